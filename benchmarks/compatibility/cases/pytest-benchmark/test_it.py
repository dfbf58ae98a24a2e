import pytest


@pytest.mark.parametrize("number", range(2))
def test_fast(benchmark, number):
    assert benchmark(lambda: number + 1) == number + 1


def test_pedantic(benchmark):
    assert benchmark.pedantic(len, args=("abc",), rounds=2) == 3


def test_no_benchmark():
    pass
