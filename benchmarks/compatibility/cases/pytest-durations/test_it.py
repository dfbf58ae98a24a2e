import time

import pytest


@pytest.fixture
def slow():
    time.sleep(0.02)
    yield
    time.sleep(0.02)


@pytest.fixture(scope="session")
def once():
    time.sleep(0.05)


@pytest.mark.parametrize("number", range(4))
def test_slow(slow, number):
    time.sleep(0.01 * number)


def test_once(once):
    pass
