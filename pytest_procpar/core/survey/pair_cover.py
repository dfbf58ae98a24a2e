"""Orders that bring each test directly after each other one, and have others between it and each otherwise.

They are the rows of a Vatican square: for a prime p the k-th row is k, 2k, 3k, ... modulo p, and each
ordered pair of the p - 1 numbers is in exactly one row side by side, in exactly one row with one number
between, and so on. If p - 1 is more than there are tests, the others are left out. So each row brings new
neighbours; and what is between two tests differs from row to row, as much as in random orders. A few dozen
are enough that no third test is between two others each time, however many tests there are.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from math import isqrt

from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.survey.orders import shuffled

__all__ = ["orders_by_file", "orders_by_test", "rows"]

_Tests = tuple[TestIndex, ...]

#: Multiples of the golden ratio, less their whole parts, are spread evenly however many there are.
_STRIDE = (5**0.5 - 1) / 2


def rows(count: int) -> Iterator[list[int]]:
    """Orders of the numbers below `count`, in which each ordered pair of them is side by side at least once.

    There are `count` of them if the next number is a prime, else as many more as the next prime is larger.
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
    """Orders in which each of these tests follows each other one directly, without regard to files.

    :param names: the name of each; with the same `seed` the same names give the same orders.
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
    """Orders in which the tests of a file stay together, so that what they share is made once in each.

    Each file follows each other one directly, and each test each other one of its file, as far as there are
    as many orders as that takes. Of a single file there are none.
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
