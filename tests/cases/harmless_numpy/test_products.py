import numpy
import pytest

A = numpy.random.RandomState(0).rand(300, 300)
PRODUCT = A @ A


@pytest.mark.parametrize("i", range(6))
def test_product(i):
    assert numpy.allclose(A @ A, PRODUCT)
    assert numpy.allclose(numpy.linalg.inv(A) @ A, numpy.eye(300), atol=1e-6)
