"""Which ordered pairs of tests some orders have tried: what it is worth that they have shown nothing.

A harm that one test does to another shows only if the second runs after the first, and nothing in between
undoes the harm. The collected order and its reverse have each ordered pair once, but most pairs with so much
between that they say little.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.record import record

__all__ = ["Coverage", "Pairs"]

#: This many pairs are followed closely. If there are more, this many are a sample, with an error of about 1
#: in 100.
_FOLLOWED = 2000

#: Multiples of the golden ratio, modulo 1, are spread evenly, however many there are.
_STRIDE = (5**0.5 - 1) / 2


@record
class Coverage:
    """What some `orders` of `tests` tests have tried.

    An ordered pair of tests is ``tried`` if the second has run after the first in one process, and no third
    test was between them each time: whatever the first left behind, no single test can have undone it unseen.
    A pair is ``adjacent`` if at least once nothing at all was between them; then it is tried, too. Both are
    fractions of all pairs, from 0 to 1. If not all pairs were followed, ``tried`` is an ``estimate`` from a
    sample. ``left_out`` tests took too long to be in all orders, and ``not_alone`` tests took too long to run
    alone. For ``followed`` tests that change state, all others ran right after them, each in a process of its
    own.
    """

    tests: int
    orders: int
    tried: float
    adjacent: float
    estimate: bool
    left_out: int = 0
    followed: int = 0
    not_alone: int = 0

    @property
    def complete(self) -> bool:
        """Whether all pairs are tried, as closely as possible."""
        return self.adjacent >= 1


class Pairs:
    """Takes note of orders. Takes n * n / 8 bytes for n tests."""

    def __init__(self, tests: Sequence[TestIndex]) -> None:
        self._places = {test: place for place, test in enumerate(tests)}
        count = len(tests)
        self._all = count * (count - 1)
        self._is_adjacent = bytearray(count * count // 8 + 1)
        self._adjacent = 0
        #: For pairs that are not tried yet, what was between them each time, as a bit set; None: never seen.
        self._between: dict[tuple[int, int], int | None] = dict.fromkeys(_sample(count))
        self._followed = len(self._between)

    def ran(self, order: Sequence[TestIndex]) -> None:
        """One process has run these tests, each to its end."""
        places = [self._places[test] for test in order]
        for one, other in pairwise(places):
            self._note_adjacent(one, other)
        self._note_between(places)

    def _note_adjacent(self, one: int, other: int) -> None:
        byte, bit = divmod(one * len(self._places) + other, 8)
        if one != other and not self._is_adjacent[byte] >> bit & 1:
            self._is_adjacent[byte] |= 1 << bit
            self._adjacent += 1

    def _note_between(self, order: Sequence[int]) -> None:
        at = {place: number for number, place in enumerate(order)}
        shown = {pair for pair in self._between if at.get(pair[0], len(at)) < at.get(pair[1], -1)}
        before = _before(order, {place for pair in shown for place in pair})
        for pair in shown:
            one, other = pair
            between = before[other] ^ before[one] ^ (1 << one)
            known = self._between[pair]
            left = between if known is None else between & known
            if left:
                self._between[pair] = left
            else:
                del self._between[pair]

    def is_adjacent(self, one: TestIndex, other: TestIndex) -> bool:
        """Whether the second test has run right after the first one."""
        byte, bit = divmod(self._places[one] * len(self._places) + self._places[other], 8)
        return bool(self._is_adjacent[byte] >> bit & 1)

    @property
    def complete(self) -> bool:
        """Whether each test has run right after each other one."""
        return self._adjacent == self._all

    @property
    def tried(self) -> float:
        """The fraction of all pairs that is tried, judged by those that are followed: see `Coverage`."""
        return 1 - len(self._between) / self._followed if self._followed else 1.0

    def coverage(self, orders: int, left_out: int = 0, followed: int = 0, not_alone: int = 0) -> Coverage:
        """What `orders` orders have tried."""
        everything = self._all
        return Coverage(
            len(self._places),
            orders,
            self.tried,
            self._adjacent / everything if everything else 1.0,
            estimate=self._followed < everything,
            left_out=left_out,
            followed=followed,
            not_alone=not_alone,
        )


def _sample(count: int) -> list[tuple[int, int]]:
    """Ordered pairs of different numbers below `count`: all, or as many as are followed, evenly spread."""
    everything = count * (count - 1)
    numbers = range(everything)
    if everything > _FOLLOWED:
        chosen = {int(everything * (number * _STRIDE % 1)) for number in range(_FOLLOWED)}
        return [_pair(number, count) for number in sorted(chosen)]
    return [_pair(number, count) for number in numbers]


def _pair(number: int, count: int) -> tuple[int, int]:
    one, other = divmod(number, count - 1)
    return one, other + (other >= one)


def _before(order: Sequence[int], wanted: set[int]) -> dict[int, int]:
    """For each of the places `wanted`, what is before it in an order, as a bit set."""
    found, bits = {}, 0
    for place in order:
        if place in wanted:
            found[place] = bits
        bits |= 1 << place
    return found
