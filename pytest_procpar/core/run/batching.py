"""Which tests go together, in which order, and how many at a time.

Every ``--dist`` mode is one algorithm with three parameters: a grouping key (tests with the same key stay in
one worker), an order of the groups, and the size of the batches that workers take from the backlog. Where a
batch was too large, taking tests back from the busiest worker corrects it (`share_to_steal`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import accumulate

from pytest_procpar.core.model import Dist, RunOptions, TestIndex

__all__ = ["Backlog", "Unit", "group_tests", "share_to_steal", "split_into_partitions"]

#: Tests that run in one worker, in this order.
Unit = tuple[TestIndex, ...]


def split_into_partitions(
    count: int, keys: Sequence[str] | None, options: RunOptions
) -> list[range] | list[list[int]]:
    """The indices of each partition's tests: all tests, each worker's copy, or each worker's own tests."""
    if options.dist is Dist.STABLE and not options.pinned:
        from pytest_procpar.core.run.stable.assignment import divide  # most runs do not need it

        return divide(keys or (), options.workers)
    if options.dist is Dist.EACH:
        return [range(i * count, (i + 1) * count) for i in range(options.workers)]
    if not options.pinned:
        return [range(count)]
    sizes = [0] * options.workers
    for key in keys or ():
        sizes[int(key)] += 1
    ends = list(accumulate(sizes))
    return [range(end - size, end) for size, end in zip(sizes, ends, strict=True)]


def group_tests(
    count: int,
    keys: Sequence[str] | None,
    options: RunOptions,
    durations: Sequence[float | None] | None = None,
) -> list[Unit]:
    """The units of a suite of `count` tests, in the order in which they are dealt out.

    Units are ordered by their first test. Under the grouping modes the largest come first, or the longest if
    durations are known, unless ``--no-loadscope-reorder`` was given: a large unit that starts late ends late.
    Where each worker has tests of its own, a key names no unit, and they stay in collected order.

    :param durations: how long each test takes in seconds, None where that is not known.
    """
    if keys is None or options.divided:
        return [(TestIndex(i),) for i in range(count)]
    units: dict[str, list[TestIndex]] = {}
    for i, key in enumerate(keys):
        units.setdefault(key, []).append(TestIndex(i))
    ordered = [tuple(unit) for unit in units.values()]
    if options.dist.grouped and options.reorder:
        known = [duration for duration in durations or () if duration is not None]
        if durations is None or not known:
            ordered.sort(key=len, reverse=True)
        else:
            usual = sum(known) / len(known)
            seconds = [usual if duration is None else duration for duration in durations]
            ordered.sort(key=lambda unit: sum(seconds[test] for test in unit), reverse=True)
    return ordered


class Backlog:
    """The units that are assigned to no worker, in the order in which they are dealt out."""

    __slots__ = ("_few", "_options", "_size", "_units")

    def __init__(self, units: Iterable[Unit], options: RunOptions) -> None:
        self._units: deque[Unit] = deque(units)
        self._options = options
        self._size = sum(map(len, self._units))
        self._few = self._size < 2 * options.workers

    def __len__(self) -> int:
        return self._size

    def put_back(self, units: Sequence[Unit]) -> None:
        """Return units to the front: they were dealt out before those that are here."""
        self._units.extendleft(reversed(units))
        self._size += sum(map(len, units))

    def take_all(self) -> list[Unit]:
        """Take everything."""
        return self._take(self._size)

    def first_batch(self, waiting: int, workers: int) -> list[Unit]:
        """The first batch for one of `workers`, while `waiting` of them, this one included, have none yet."""
        is_even = self._few or self._options.dist is Dist.WORKSTEAL
        return self.take_batch(waiting if is_even else workers)

    def take_batch(self, shares: int) -> list[Unit]:
        """The next batch for one of `shares` workers; empty when nothing is left.

        ``load`` deals ever smaller batches of neighbours (guided self-scheduling, Polychronopoulos and
        Kuck 1987), so that neighbours share fixtures and workers end at about the same time. With fewer than
        two tests per worker it deals even shares, so that neighbours stay together. ``worksteal`` deals an
        even share at once. The grouping modes deal one group. A worker with tests of its own gets all of
        them.
        """
        if self._options.divided:
            return self.take_all()
        if self._options.dist.grouped:
            return self._take(1)
        if self._options.dist is Dist.WORKSTEAL:
            return self._take(-(-self._size // shares))
        limit = self._options.max_chunk or self._size
        parts = shares if self._few else 2 * shares
        return self._take(min(max(1, self._size // parts), limit))

    def _take(self, tests: int) -> list[Unit]:
        """Take whole units from the front until they hold `tests` tests."""
        taken: list[Unit] = []
        while tests > 0 and self._units:
            unit = self._units.popleft()
            taken.append(unit)
            tests -= len(unit)
            self._size -= len(unit)
        return taken


def share_to_steal(units: int, *, thief_idle: bool, victim_free: bool) -> int:
    """How many of a busy worker's `units`, none of them begun, an unoccupied worker takes from the end.

    It takes half of them. The odd one goes to the worker that is free first: the thief if it is idle, unless
    the victim is between two tests (`victim_free`) and will begin it at once. Otherwise two free workers
    would pass the last unit to and fro, faster than either could begin it.
    """
    return (units + (thief_idle and not victim_free)) // 2
