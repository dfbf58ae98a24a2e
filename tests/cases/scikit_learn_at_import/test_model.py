import numpy
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor

X = numpy.random.RandomState(0).rand(2000, 6)
Y = X.sum(1)


def predictions():
    return HistGradientBoostingRegressor(max_iter=5, random_state=0).fit(X, Y).predict(X)


EXPECTED = predictions()


@pytest.mark.parametrize("i", range(4))
def test_trains(i):
    assert numpy.allclose(predictions(), EXPECTED)
