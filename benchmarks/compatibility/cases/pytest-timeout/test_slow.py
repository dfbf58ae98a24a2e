import time


def test_one():
    time.sleep(0.5)


def test_two():
    pass
