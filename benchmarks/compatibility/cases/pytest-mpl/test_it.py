import pytest
from matplotlib.figure import Figure


@pytest.mark.mpl_image_compare(deterministic=True)
@pytest.mark.parametrize("number", range(3))
def test_lines(number):
    figure = Figure()
    figure.subplots().plot([0, number])
    return figure


@pytest.mark.mpl_image_compare(deterministic=True)
def test_unknown():
    figure = Figure()
    figure.subplots().plot([3, 2, 1])
    return figure


def test_no_image():
    pass
