import pytest


@pytest.mark.parametrize("number", [1, 2, 3])
def test_allocates(number):
    assert len(bytearray(number * 1024 * 1024)) == number * 1024 * 1024


@pytest.mark.limit_memory("1 MB")
def test_too_much():
    bytearray(8 * 1024 * 1024)


@pytest.mark.limit_memory("20 MB")
def test_enough():
    bytearray(8 * 1024 * 1024)
