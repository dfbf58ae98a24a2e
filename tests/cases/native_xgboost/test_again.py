import pytest
from conftest import TOTAL, total


@pytest.mark.parametrize("i", range(6))
def test_again(i):
    assert total() == TOTAL
