"""What ran where, when and beside what: the record that explanations start from."""

from __future__ import annotations

from .model import TestIndex, WorkerId

__all__ = ["History"]

#: A test that is to be run beside another one is looked for among this many that overlapped it, a worker.
_BESIDE = 5


class History:
    """The order of the tests on every worker, with times in seconds of the caller's clock.

    :param tests_a_process: after how many tests a worker runs on in a fresh process; None: never.
    """

    def __init__(self, tests_a_process: int | None = None) -> None:
        self._tests_a_process = tests_a_process
        self._orders: dict[WorkerId, list[TestIndex]] = {}
        self._where: dict[TestIndex, tuple[WorkerId, int]] = {}
        self._times: dict[TestIndex, tuple[float, float]] = {}

    def began(self, worker: WorkerId, test: TestIndex, now: float) -> None:
        """A test begins; if it ran before, this is what counts."""
        order = self._orders.setdefault(worker, [])
        self._where[test] = (worker, len(order))
        self._times[test] = (now, now)
        order.append(test)

    def ended(self, test: TestIndex, now: float) -> None:
        """A test has ended, in whatever way."""
        begin, _ = self._times.get(test, (now, now))
        self._times[test] = (begin, now)

    def duration(self, test: TestIndex) -> float:
        """How long a test took, in seconds; 0 if it did not run."""
        begin, end = self._times.get(test, (0.0, 0.0))
        return end - begin

    def before(self, test: TestIndex) -> tuple[TestIndex, ...]:
        """The tests that the same process had run before this one, in order."""
        if test not in self._where:
            return ()
        worker, place = self._where[test]
        first = 0 if self._tests_a_process is None else place - place % self._tests_a_process
        return tuple(self._orders[worker][first:place])

    def beside(self, test: TestIndex) -> tuple[tuple[TestIndex, ...], ...]:
        """The tests that ran at the same time elsewhere: a sequence a worker, as far as there were any."""
        if test not in self._where:
            return ()
        begin, end = self._times[test]
        own, _ = self._where[test]
        found = []
        for worker, order in self._orders.items():
            if worker == own:
                continue
            meanwhile = [t for t in order if self._times[t][0] <= end and self._times[t][1] >= begin]
            if meanwhile:
                found.append(tuple(meanwhile[-_BESIDE:]))
        return tuple(found)

    def sequences(self) -> list[tuple[WorkerId, tuple[TestIndex, ...]]]:
        """What every worker ran, in order."""
        return [(worker, tuple(order)) for worker, order in self._orders.items()]
