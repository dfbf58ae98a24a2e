import pytest
from shapes import area


@pytest.mark.parametrize("size", range(10))
def test_square(size):
    assert area("square", size) == size**2


@pytest.mark.parametrize("size", range(1, 3))
def test_circle(size):
    assert area("circle", size) > size**2
