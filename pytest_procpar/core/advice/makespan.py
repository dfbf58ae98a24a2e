"""How long tests take with so many workers, if they are dealt out well and fixtures cost what they cost.

A batch is what shares a wide fixture: tests that run in one worker pay for it once. A batch that is too long
for one worker is split, and every part pays. Parts are dealt out longest first (LPT: R. L. Graham, Bounds on
multiprocessing timing anomalies, SIAM J. Appl. Math. 17, 1969): that takes at most 4/3 - 1/(3n) of the least
time for these parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapreplace

from pytest_procpar.core.record import record

__all__ = ["Batch", "Schedule", "schedule", "shortest", "split"]

#: Tests that are shorter than this part of the whole are put together.
_LUMP = 0.02


@record
class Batch:
    """Tests that share a fixture: what each of them takes, and what the fixture costs, in seconds."""

    tests: tuple[float, ...]
    cost: float = 0.0

    @property
    def seconds(self) -> float:
        """What all of it takes in one worker."""
        return sum(self.tests) + self.cost


def shortest(batches: Sequence[Batch], workers: int) -> float:
    """What no schedule can undercut: the longest test with its fixture, or the sum divided by the workers."""
    longest = max((max(batch.tests, default=0.0) + batch.cost for batch in batches), default=0.0)
    return max(longest, sum(batch.seconds for batch in batches) / workers)


def split(batch: Batch, parts: int) -> list[Batch]:
    """A batch in so many parts of about the same length, each with the fixture's cost; at most one a test."""
    loads = [(0.0, place) for place in range(min(parts, len(batch.tests)))]
    tests: list[list[float]] = [[] for _ in loads]
    for seconds in sorted(batch.tests, reverse=True):
        load, place = loads[0]
        tests[place].append(seconds)
        heapreplace(loads, (load + seconds, place))
    return [Batch(tuple(some), batch.cost) for some in tests]


@record
class Schedule:
    """How long it takes, in seconds, and the batches that are split: into how many parts, by their places."""

    seconds: float
    parts: dict[int, int]


def schedule(batches: Sequence[Batch], workers: int) -> Schedule:
    """A good schedule for so many workers.

    Batches without a cost are as good as their single tests. Of the others, some may have to be split: the
    shortest ones, which LPT deals out last. As many of these, and into as many parts, as is best.
    """
    limit = shortest(batches, workers)
    fixed = _lumps([seconds for batch in batches if not batch.cost for seconds in batch.tests], limit)
    dear = [place for place, batch in enumerate(batches) if batch.cost]
    dear.sort(key=lambda place: batches[place].seconds)
    best = Schedule(_dealt([*fixed, *(batches[place].seconds for place in dear)], workers), {})
    for parts in dict.fromkeys((2, 3, workers)):
        seconds = list(fixed)
        for done, place in enumerate(dear[: 2 * workers] if parts <= workers else ()):
            seconds += [part.seconds for part in split(batches[place], parts)]
            rest = [batches[other].seconds for other in dear[done + 1 :]]
            took = _dealt([*seconds, *rest], workers)
            if took < best.seconds:
                best = Schedule(took, dict.fromkeys(dear[: done + 1], parts))
    return best


def _lumps(tests: Sequence[float], limit: float) -> list[float]:
    """Tests that are short in comparison with the whole, put together: that saves time and changes little."""
    most = limit * _LUMP
    lumps, lump = [], 0.0
    for seconds in tests:
        if seconds >= most:
            lumps.append(seconds)
            continue
        lump += seconds
        if lump >= most:
            lumps.append(lump)
            lump = 0.0
    return [*lumps, lump] if lump else lumps


def _dealt(seconds: Sequence[float], workers: int) -> float:
    loads = [0.0] * workers
    for each in sorted(seconds, reverse=True):
        heapreplace(loads, loads[0] + each)
    return max(loads)
