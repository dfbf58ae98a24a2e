import numba
import numpy
import pytest


@numba.njit(parallel=True)
def total(values):
    found = 0.0
    for i in numba.prange(len(values)):
        found += values[i]
    return found


VALUES = numpy.ones(100_000)
EXPECTED = total(VALUES)


@pytest.mark.parametrize("i", range(4))
def test_total(i):
    assert total(VALUES) == EXPECTED == 100_000
