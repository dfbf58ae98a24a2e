import sys


def test_closes():
    sys.stdout.close()


def test_after():
    pass


def test_later():
    pass
