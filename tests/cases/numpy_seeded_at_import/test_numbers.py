import numpy
import pytest

numpy.random.seed(7)
EXPECTED = numpy.random.RandomState(7).rand(3).tolist()


@pytest.fixture(scope="session")
def numbers():
    return numpy.random.rand(3).tolist()


@pytest.mark.parametrize("i", range(4))
def test_numbers_are_those_of_the_seed(numbers, i):
    assert numbers == EXPECTED
