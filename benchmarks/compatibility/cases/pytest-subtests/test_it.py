import unittest

import pytest


def test_all_pass(subtests):
    for number in range(3):
        with subtests.test(number=number):
            print(number)
            assert number < 3


def test_some_fail(subtests):
    for number in range(3):
        with subtests.test(msg="numbers", number=number):
            assert number != 1


def test_skips(subtests):
    with subtests.test("skipped"):
        pytest.skip("not this one")
    with subtests.test("failed"):
        pytest.fail("but this")


class TestCase(unittest.TestCase):
    def test_unittest(self):
        for number in range(2):
            with self.subTest(number=number):
                self.assertEqual(number, 0)
