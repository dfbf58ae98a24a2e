import pytest


@pytest.mark.parametrize("number", range(4))
def test_measured(number):
    assert sum(range(100_000 * number)) >= 0


def test_fails():
    pytest.fail("on purpose")
