import pytest


def test_passes(extra_marks=None):
    print("printed")


def test_extras(extras):
    import pytest_html

    extras.append(pytest_html.extras.json({"a": 1}))


def test_fails():
    print("before")
    assert 1 == 2


@pytest.mark.skip(reason="not today")
def test_skipped():
    pass


@pytest.mark.xfail(reason="not yet")
def test_expected():
    raise ValueError


@pytest.fixture
def broken():
    raise RuntimeError("no fixture")


def test_error(broken):
    pass
