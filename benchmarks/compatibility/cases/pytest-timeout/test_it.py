import select
import threading

import pytest


@pytest.mark.parametrize("number", range(3))
def test_passes(number):
    pass


@pytest.mark.timeout(0.3)
def test_hangs():
    select.select([], [], [], 60)


@pytest.fixture
def hangs():
    threading.Event().wait(60)


@pytest.mark.timeout(0.3)
def test_fixture_hangs(hangs):
    pass


@pytest.mark.timeout(0.3, func_only=True)
def test_after_the_others():
    pass
