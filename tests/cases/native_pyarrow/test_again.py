import pyarrow
import pyarrow.compute
import pytest


def total():
    table = pyarrow.table({"a": list(range(50_000))})
    return pyarrow.compute.sum(table.group_by("a").aggregate([("a", "sum")])["a_sum"]).as_py()


TOTAL = total()


@pytest.mark.parametrize("i", range(6))
def test_again(i):
    assert total() == TOTAL
