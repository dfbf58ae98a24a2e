import logging
import os
import unittest

import pytest


@pytest.mark.parametrize("i", range(4))
def test_prints(i):
    print("out", i)
    logging.getLogger("app").warning("warning %d", i)


def test_fails():
    assert not "this fails"


@pytest.mark.skip(reason="not today")
def test_skipped():
    pass


def test_writes_to_descriptors():
    os.write(1, b"out\n")
    os.write(2, b"err\n")


class TestSubTests(unittest.TestCase):
    def test_one_fails(self):
        for i in range(3):
            with self.subTest(i=i):
                assert i != 1
