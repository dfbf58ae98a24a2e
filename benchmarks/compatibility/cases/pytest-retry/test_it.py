import pytest

attempts = {}


def attempt(name):
    attempts[name] = attempts.get(name, 0) + 1
    return attempts[name]


@pytest.mark.parametrize("number", range(30))
def test_passes(number):
    pass


@pytest.mark.parametrize("number", range(3))
def test_passes_at_second_attempt(number):
    assert attempt(f"second {number}") == 2, "long " * 1000


@pytest.mark.flaky(retries=3)
def test_passes_at_third_attempt():
    assert attempt("third") == 3


def test_fails():
    pytest.fail("always")
