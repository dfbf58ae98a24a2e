import pytest


@pytest.mark.dependency
def test_first():
    pass


@pytest.mark.dependency(depends=["test_first"])
def test_second():
    pass
