"""Orders in which each test comes directly after each other one, and otherwise with others between the two.

They are the rows of a Vatican square. For a prime p, the k-th row is k, 2k, 3k, ... modulo p. Each ordered
pair of the p - 1 numbers is side by side in exactly one row, has one number between in exactly one row, and
so on. Numbers for which there are no tests are left out. So each row brings new neighbours, and what is
between two tests differs from row to row as much as in random orders. However many tests there are, a few
dozen rows are enough that no third test is between two others each time.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from math import isqrt

from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.survey.orders import shuffled

__all__ = ["orders_by_file", "orders_by_test", "rows"]

_Tests = tuple[TestIndex, ...]

#: Multiples of the golden ratio, modulo 1, are spread evenly, however many there are.
_STRIDE = (5**0.5 - 1) / 2


def rows(count: int) -> Iterator[list[int]]:
    """Orders of the numbers below `count`, in which each ordered pair of them is side by side at least once.

    Their number is one less than the smallest prime above `count`.
    """
    prime = _prime_above(count)
    for factor in sorted(range(1, prime), key=lambda factor: factor * _STRIDE % 1):
        numbers = (factor * place % prime - 1 for place in range(1, prime))
        yield [number for number in numbers if number < count]


def _prime_above(number: int) -> int:
    number += 1
    while number < 2 or any(number % factor == 0 for factor in range(2, isqrt(number) + 1)):
        number += 1
    return number


def orders_by_test(tests: Sequence[TestIndex], names: Sequence[str], seed: str) -> Iterator[_Tests]:
    """Orders in which each of these tests comes directly after each other one, without regard to files.

    :param names: the name of each; with the same `seed`, the same names give the same orders.
    """
    drawn = [tests[place] for place in shuffled(names, seed)]
    for row in rows(len(drawn)):
        yield tuple(drawn[place] for place in row)


def orders_by_file(
    tests: Sequence[TestIndex],
    names: Sequence[str],
    file_of: Callable[[TestIndex], Hashable],
    seed: str,
) -> Iterator[_Tests]:
    """Orders in which the tests of a file stay together, so that what they share is made only once per order.

    Each file comes directly after each other one, and each test after each other one of its file, if there
    are as many orders as that takes. For a single file there are no orders.
    """
    files: dict[Hashable, list[int]] = {}
    for place, test in enumerate(tests):
        files.setdefault(file_of(test), []).append(place)
    if len(files) < 2:
        return
    insides = [
        _again_and_again([tests[place] for place in places], [names[place] for place in places], seed)
        for places in files.values()
    ]
    for row in rows(len(insides)):
        yield tuple(test for number in row for test in next(insides[number]))


def _again_and_again(tests: Sequence[TestIndex], names: Sequence[str], seed: str) -> Iterator[_Tests]:
    while True:
        yield from orders_by_test(tests, names, seed)
