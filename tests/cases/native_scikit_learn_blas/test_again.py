import numpy
import pytest
from sklearn.linear_model import LinearRegression

X = numpy.random.RandomState(0).rand(3000, 60)


def total():
    return round(float(LinearRegression().fit(X, X.sum(1)).predict(X).sum()), 3)


TOTAL = total()


@pytest.mark.parametrize("i", range(6))
def test_again(i):
    assert total() == TOTAL
