import pytest


def test_passes():
    pass


@pytest.mark.repeat(5)
def test_five_times():
    pass


@pytest.mark.parametrize("letter", "a")
def test_parametrized(letter):
    pass


def test_fails():
    pytest.fail("on purpose")
