import warnings

import pytest


@pytest.mark.parametrize("number", range(4))
def test_passes(number):
    print("printed", number)


def test_fails():
    print("before the failure")
    assert {"a": 1} == {"a": 2}


@pytest.mark.skip(reason="not today")
def test_skipped():
    pass


@pytest.mark.xfail(reason="not yet")
def test_expected():
    raise ValueError


@pytest.mark.xfail(reason="already")
def test_unexpected():
    pass


def test_warns():
    warnings.warn("of a test", UserWarning)


@pytest.fixture
def broken():
    raise RuntimeError("no fixture")


def test_error(broken):
    pass
