import random

import numpy
import pytest


@pytest.mark.parametrize("number", range(40))
def test_writes_its_random_numbers(number, faker=None):
    values = random.random(), float(numpy.random.random())
    with open(f"numbers-{number}.txt", "w", encoding="utf-8") as file:
        file.write(f"{number} {values}\n")


@pytest.fixture(scope="module")
def of_module():
    return random.random()


@pytest.mark.parametrize("number", range(5))
def test_fixture(of_module, number):
    with open(f"numbers-fixture-{number}.txt", "w", encoding="utf-8") as file:
        file.write(f"fixture {number} {random.random()}\n")
