import datetime
import time

import freezegun
import pytest


@pytest.mark.parametrize("year", [1970, 1999, 2050])
def test_frozen(year):
    with freezegun.freeze_time(f"{year}-01-14"):
        assert datetime.date.today().year == year


@freezegun.freeze_time("2000-01-01")
def test_decorated():
    assert time.time() == 946684800


@pytest.fixture
def frozen():
    """Frozen while reports of setup and call are made."""
    with freezegun.freeze_time("2001-01-01", tick=True):
        yield


def test_in_fixture(frozen):
    assert datetime.datetime.now().year == 2001


def test_fails(frozen):
    assert datetime.datetime.now().year == 2002
