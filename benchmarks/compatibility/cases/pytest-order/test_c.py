import pytest

ran = []


@pytest.mark.order(after="test_second")
def test_third():
    assert ran == ["first", "second"]
    ran.append("third")


@pytest.mark.order(1)
def test_first():
    assert ran == []
    ran.append("first")


@pytest.mark.order(after="test_first")
def test_second():
    assert ran == ["first"]
    ran.append("second")
