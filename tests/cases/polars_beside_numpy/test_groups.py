import numpy  # noqa: F401
import polars
import pytest

FRAME = polars.DataFrame({"a": list(range(100_000)), "b": [i % 7 for i in range(100_000)]})


def sums():
    return FRAME.lazy().group_by("b").agg(polars.col("a").sum()).sort("b").collect()


EXPECTED = sums()


@pytest.mark.parametrize("i", range(6))
def test_sums(i):
    assert sums().equals(EXPECTED)
