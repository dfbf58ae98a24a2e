import pytest


@pytest.mark.dependency
def test_first():
    pass


@pytest.mark.dependency(depends=["test_first"])
def test_second():
    pass


@pytest.mark.dependency
def test_fails():
    pytest.fail("on purpose")


@pytest.mark.dependency(depends=["test_fails"])
def test_third():
    pass


@pytest.mark.dependency(depends=["test_third"])
def test_fourth():
    pass
