import pytest
from inline_snapshot import snapshot


def test_equal():
    assert 1 + 1 == snapshot(2)


def test_less():
    assert snapshot(3) <= 5


@pytest.mark.parametrize("word", ["a", "b"])
def test_in(word):
    assert word in snapshot(["a", "b"])


def test_differs():
    assert [1, 2] == snapshot([1, 3])


def test_new():
    assert "text" == snapshot()
