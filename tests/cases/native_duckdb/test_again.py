import duckdb
import pytest

CONNECTION = duckdb.connect(config={"threads": 2})


def total():
    return CONNECTION.execute("select sum(i) from range(1000000) t(i)").fetchall()


TOTAL = total()


@pytest.mark.parametrize("i", range(6))
def test_again(i):
    assert total() == TOTAL


def test_close():
    CONNECTION.close()
