import numpy
import pytest
import xgboost

X = numpy.random.RandomState(0).rand(2000, 6)
Y = X.sum(1)


def predictions():
    return xgboost.train({"nthread": 2}, xgboost.DMatrix(X, Y), 3).predict(xgboost.DMatrix(X))


EXPECTED = predictions()


@pytest.mark.parametrize("i", range(4))
def test_trains(i):
    assert numpy.allclose(predictions(), EXPECTED)
