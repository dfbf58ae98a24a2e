import pytest


@pytest.mark.parametrize("number", range(10))
def test(number):
    pass
