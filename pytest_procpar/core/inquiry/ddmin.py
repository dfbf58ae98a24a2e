"""Finds which of the things that changed made a test fail: the smallest set that, put back, lets it pass.

Pure: the search asks, by yielding, whether the test passes with certain things put back, and is sent the
answer. It knows neither what the things are nor how they are put back.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from itertools import pairwise
from typing import TypeAlias

__all__ = ["Blame", "find_blame"]

#: Yields batches of sets, which may be tried side by side. Is sent, for each set, whether the test passed
#: with exactly that set put back. Returns what is proven, or None.
Blame: TypeAlias = Generator[list[frozenset[int]], list[bool], frozenset[int] | None]


class _Spent(Exception):
    """No more sets may be tried."""


class _Search:
    def __init__(self, probes: int) -> None:
        self.left = probes
        self._known: dict[frozenset[int], bool] = {}

    def ask(
        self, batch: Sequence[frozenset[int]]
    ) -> Generator[list[frozenset[int]], list[bool], frozenset[int] | None]:
        """The first set of the batch that lets the test pass, if any does. No set is tried twice.

        If not all of them may still be tried, the first ones are tried.

        :raises _Spent: if none of those lets it pass.
        """
        new = [wanted for wanted in dict.fromkeys(batch) if wanted not in self._known]
        tried = new[: max(0, self.left)]
        if tried:
            self.left -= len(tried)
            answers = yield tried
            self._known.update(zip(tried, answers, strict=True))
        for wanted in batch:
            if self._known.get(wanted):
                return wanted
        if len(tried) < len(new):
            raise _Spent
        return None

    def minimize(self, whole: frozenset[int]) -> Generator[list[frozenset[int]], list[bool], frozenset[int]]:
        """A 1-minimal subset of a set that lets the test pass: without any one member, it does not.

        Delta debugging (Zeller and Hildebrandt 2002). The subset was itself tried and let the test pass.
        """
        current, pieces = sorted(whole), 2
        while len(current) > 1:
            parts = _split(current, pieces)
            rests = [frozenset(current) - part for part in parts]
            # Of two pieces, each is the other's rest. Single members are known from the start not to be
            # enough.
            smaller = yield from self.ask(parts if pieces == 2 else [*parts, *rests])
            if smaller is not None:
                pieces = 2 if smaller in parts else max(2, pieces - 1)
                current = sorted(smaller)
            elif pieces >= len(current):
                break
            else:
                pieces = min(len(current), 2 * pieces)
        return frozenset(current)


def find_blame(count: int, *, probes: int, batch: int = 8) -> Blame:
    """Search for the smallest set of `count` things that lets the test pass when it is put back.

    The likeliest things have the lowest numbers. Each is tried alone first, `batch` at a time. If none is
    enough, all are tried together. If that is enough, they are reduced until not one can be left out
    (1-minimal: there may be a smaller set of others). At most `probes` sets are tried.

    Returns a 1-minimal set that was tried and let the test pass. Returns None if no set does, or if the
    probes were too few to prove one.

    :raises ValueError: if `probes` is negative.
    """
    if probes < 0:
        raise ValueError(f"there cannot be {probes} probes")
    search = _Search(probes)
    try:
        for some in _batches(count, batch):
            if (alone := (yield from search.ask(some))) is not None:
                return alone
        together = frozenset(range(count))
        if count < 2 or (yield from search.ask([together])) is None:
            return None
        return (yield from search.minimize(together))
    except _Spent:
        return None


def _batches(count: int, size: int) -> Iterable[list[frozenset[int]]]:
    for start in range(0, count, max(1, size)):
        yield [frozenset({i}) for i in range(start, min(count, start + max(1, size)))]


def _split(members: list[int], pieces: int) -> list[frozenset[int]]:
    """Cut members into pieces of neighbours, as even as possible."""
    edges = [len(members) * i // pieces for i in range(pieces + 1)]
    return [frozenset(members[start:end]) for start, end in pairwise(edges)]
