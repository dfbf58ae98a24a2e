"""What ran where, when and beside what: the record that explanations start from."""

from __future__ import annotations

from math import inf

from pytest_procpar.core.model import TestIndex, WorkerId

__all__ = ["History"]

#: Of one worker's tests that overlapped a test, at most this many are named: those that took longest, since
#: the test most likely met those.
_BESIDE = 50


class _Run:
    """One run of a test. Until it has ended, it overlaps whatever comes."""

    __slots__ = ("apart", "begin", "end", "test")

    def __init__(self, test: TestIndex, begin: float, *, apart: bool) -> None:
        self.test = test
        self.apart = apart
        self.begin = begin
        self.end = inf


class History:
    """The order of the tests on every worker, with times in seconds of the caller's clock.

    :param tests_a_process: after how many tests a worker goes on in a fresh process; None: never.
    """

    def __init__(self, tests_a_process: int | None = None) -> None:
        self._tests_a_process = tests_a_process
        self._runs: dict[WorkerId, list[_Run]] = {}
        self._last: dict[TestIndex, tuple[WorkerId, int]] = {}

    def began(self, worker: WorkerId, test: TestIndex, now: float, *, apart: bool = False) -> None:
        """A test begins, `apart` if in a process of its own. If it ran before, this run counts."""
        runs = self._runs.setdefault(worker, [])
        self._last[test] = (worker, len(runs))
        runs.append(_Run(test, now, apart=apart))

    def ended(self, test: TestIndex, now: float) -> None:
        """A test has ended, in whatever way."""
        if test in self._last:
            self._run(test).end = now

    def _run(self, test: TestIndex) -> _Run:
        worker, place = self._last[test]
        return self._runs[worker][place]

    def has_ended(self, test: TestIndex) -> bool:
        """Whether a test has run to an end."""
        return test in self._last and self._run(test).end != inf

    def duration(self, test: TestIndex) -> float:
        """How long a test took, in seconds; 0 if it did not run, or has not ended."""
        if test not in self._last:
            return 0.0
        run = self._run(test)
        return 0.0 if run.end == inf else run.end - run.begin

    def latest(self, worker: WorkerId) -> TestIndex | None:
        """The test that began last on a worker; None if none did."""
        runs = self._runs.get(worker)
        return runs[-1].test if runs else None

    def first(self) -> float | None:
        """When the first test began; None if none did."""
        return min((runs[0].begin for runs in self._runs.values() if runs), default=None)

    def longest(self) -> float:
        """How long the longest of the ended tests took, in seconds; 0 if there is none."""
        took = (run.end - run.begin for runs in self._runs.values() for run in runs if run.end != inf)
        return max(took, default=0.0)

    def before(self, test: TestIndex) -> tuple[TestIndex, ...]:
        """The tests that the same process had run before this one, in order."""
        if test not in self._last or self._run(test).apart:
            return ()
        worker, place = self._last[test]
        shared = [run.test for run in self._runs[worker][:place] if not run.apart]
        first = 0 if self._tests_a_process is None else len(shared) - len(shared) % self._tests_a_process
        return tuple(shared[first:])

    def beside(self, test: TestIndex) -> tuple[tuple[TestIndex, ...], ...]:
        """The tests that ran at the same time on other workers, one sequence per worker that had any."""
        if test not in self._last:
            return ()
        own, _ = self._last[test]
        run = self._run(test)
        found = []
        for worker, runs in self._runs.items():
            if worker == own:
                continue
            meanwhile = [r for r in runs if r.begin <= run.end and r.end >= run.begin]
            if meanwhile:
                longest = sorted(meanwhile, key=lambda r: r.begin - r.end)[:_BESIDE]
                found.append(tuple(r.test for r in sorted(longest, key=lambda r: r.begin)))
        return tuple(found)

    def company(self, test: TestIndex) -> tuple[tuple[TestIndex, ...], ...]:
        """What each of the other workers had begun when a test ended, in order."""
        if test not in self._last:
            return ()
        own, _ = self._last[test]
        end = self._run(test).end
        sides = [runs for worker, runs in self._runs.items() if worker != own]
        return tuple(tuple(run.test for run in runs if run.begin <= end) for runs in sides)

    def sequences(self) -> list[tuple[WorkerId, tuple[TestIndex, ...]]]:
        """What every worker ran, in order."""
        return [(worker, tuple(run.test for run in runs)) for worker, runs in self._runs.items()]
