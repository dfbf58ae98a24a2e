import numpy
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor

X = numpy.random.RandomState(0).rand(3000, 6)


def total():
    model = HistGradientBoostingRegressor(max_iter=5, random_state=0).fit(X, X.sum(1))
    return round(float(model.predict(X).sum()), 3)


TOTAL = total()


@pytest.mark.parametrize("i", range(6))
def test_again(i):
    assert total() == TOTAL
