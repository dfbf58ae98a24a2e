import numba
import numpy
import pytest


@numba.njit(parallel=True)
def total(numbers):
    result = 0.0
    for i in numba.prange(numbers.shape[0]):
        result += numbers[i]
    return result


TOTAL = total(numpy.ones(1000))


@pytest.mark.parametrize("i", range(6))
def test_again(i):
    assert total(numpy.ones(1000)) == TOTAL
