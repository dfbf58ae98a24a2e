import lightgbm
import numpy
import pytest

X = numpy.random.RandomState(0).rand(2000, 6)
Y = X.sum(1)
SETTINGS = {"objective": "regression", "num_threads": 2, "verbosity": -1, "deterministic": True}


def predictions():
    return lightgbm.train(SETTINGS, lightgbm.Dataset(X, Y), 3).predict(X)


EXPECTED = predictions()


@pytest.mark.parametrize("i", range(4))
def test_trains(i):
    assert numpy.allclose(predictions(), EXPECTED)
