import pytest

attempts = {}


def attempt(name):
    attempts[name] = attempts.get(name, 0) + 1
    return attempts[name]


@pytest.mark.parametrize("number", range(55))
def test_passes(number):
    pass


@pytest.mark.parametrize("number", range(3))
def test_passes_at_second_attempt(number):
    assert attempt(f"second {number}") == 2


def test_passes_at_third_attempt():
    assert attempt("third") == 3


def test_fails():
    pytest.fail("always")


@pytest.mark.flaky(reruns=1, condition="True")
def test_has_a_mark():
    assert attempt("mark") == 2


@pytest.fixture
def shaky():
    if attempt("fixture") < 3:
        raise RuntimeError("not yet")


def test_of_a_shaky_fixture(shaky):
    pass


@pytest.mark.skip(reason="not today")
def test_skipped():
    pass


@pytest.mark.flaky(reruns=2, only_rerun=["ValueError"])
def test_fails_otherwise():
    raise KeyError("not this one")
