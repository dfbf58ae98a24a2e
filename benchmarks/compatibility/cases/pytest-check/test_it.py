import pytest
from pytest_check import check


def test_passes():
    check.equal(1, 1)
    check.is_in(1, [1, 2])


@pytest.mark.parametrize("number", [1, 2, 3])
def test_several(number):
    check.less(number, 2, "first")
    check.not_equal(number, 3, "second")
    with check:
        assert number != 3, "third"
