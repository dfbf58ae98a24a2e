from concurrent.futures import ProcessPoolExecutor

import pytest

POOL = ProcessPoolExecutor(2)


@pytest.mark.parametrize("i", range(6))
def test_square(i):
    assert POOL.submit(pow, i, 2).result(timeout=60) == i * i
