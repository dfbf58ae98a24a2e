import numpy
import xgboost

X = numpy.random.RandomState(0).rand(3000, 6)


def total():
    model = xgboost.train({"nthread": 2}, xgboost.DMatrix(X, X.sum(1)), 3)
    return round(float(model.predict(xgboost.DMatrix(X)).sum()), 1)


TOTAL = total()
