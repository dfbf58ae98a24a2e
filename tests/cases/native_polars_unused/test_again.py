import numpy  # noqa: F401
import polars
import pytest


def total():
    table = polars.DataFrame({"a": range(20_000), "b": [i % 7 for i in range(20_000)]})
    return table.lazy().group_by("b").agg(polars.col("a").sum()).sort("b").collect().to_dicts()


@pytest.mark.parametrize("i", range(6))
def test_again(i):
    assert total()[6] == {"b": 6, "a": 28568571}
