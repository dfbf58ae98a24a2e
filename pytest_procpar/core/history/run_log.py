"""What one run has measured, in the order in which each process ran its tests. It costs next to nothing."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from enum import IntEnum
from typing import TypeAlias

from pytest_procpar.core.record import record

__all__ = ["DurationLog", "Ending", "Phases", "Timed"]

#: (start, stop, duration) of setup, call and teardown of a test that passed.
Phases: TypeAlias = Sequence[tuple[float, float, float]]

_PHASES = {"setup": 0, "call": 1, "teardown": 2}


class Ending(IntEnum):
    """What a test's times tell."""

    #: It ran to its end: passed, or failed as expected.
    RAN = 0
    #: The same, but its set-up may be that of a second attempt, for which wider fixtures were there.
    RAN_AGAIN = 1
    #: It failed: it would take that long at least.
    FAILED = 2
    #: It failed before its fixtures were there, or not at its first attempt.
    FAILED_ODDLY = 3
    #: It was skipped before its fixtures were set up.
    SKIPPED = 4
    #: It was skipped later.
    SKIPPED_LATE = 5


@record
class Timed:
    """A test in a process, with the seconds of its phases."""

    nodeid: str
    ending: Ending
    setup: float
    call: float
    teardown: float


class _Attempt:
    """The latest attempt of a test that did more than pass."""

    __slots__ = ("again", "called", "late", "outcome", "times", "unprepared")

    def __init__(self, *, again: bool) -> None:
        self.again = again
        self.times = [0.0, 0.0, 0.0]
        self.outcome = "passed"
        #: Whether it ended in its set-up, and whether it was skipped later.
        self.unprepared = self.late = False
        #: Whether its call has been reported.
        self.called = False

    def add(self, data: Mapping[str, object], place: int) -> None:
        seconds = data.get("duration")
        self.times[place] = seconds if isinstance(seconds, float) else 0.0
        outcome = data.get("outcome")
        if outcome == "failed":
            self.outcome = "failed"
        elif outcome == "skipped" and self.outcome == "passed" and (place != 1 or "wasxfail" not in data):
            self.outcome, self.late = "skipped", place > 0
        self.unprepared |= place == 0 and outcome != "passed"
        self.called |= place == 1

    @property
    def ending(self) -> Ending:
        if self.outcome == "failed":
            return Ending.FAILED_ODDLY if self.unprepared or self.again else Ending.FAILED
        if self.outcome == "skipped":
            return Ending.SKIPPED_LATE if self.late or self.again else Ending.SKIPPED
        return Ending.RAN_AGAIN if self.again else Ending.RAN


class DurationLog:
    """Notes the tests of a run as they end.

    Tests and workers are whatever identifies them to the caller. A test that crashed or hung never ends here:
    its times would say nothing of what it takes.
    """

    def __init__(self) -> None:
        #: By worker: test, ending, set-up, call, teardown; then those of the next test.
        self._ended: dict[Hashable, list[object]] = {}
        self._open: dict[Hashable, _Attempt] = {}

    def reported(self, test: Hashable, data: Mapping[str, object]) -> None:
        """A phase of a test was more than a plain pass; `data` is a report as pytest serializes it."""
        place = _PHASES.get(str(data.get("when")))
        if place is None or data.get("$report_type") != "TestReport":
            return  # of a subtest, or of a plugin's own kind
        attempt = self._open.get(test)
        if attempt is None or place == 0:
            attempt = self._open[test] = _Attempt(again=attempt is not None)
        attempt.add(data, place)

    def ended(self, worker: Hashable, test: Hashable, passed: Phases | None) -> None:
        """A test has ended; `passed` are the times of its phases if all that it did was to pass."""
        ended = self._ended.setdefault(worker, [])
        if passed is not None:
            again = test in self._open and self._open.pop(test) is not None
            (_, _, setup), (_, _, call), (_, _, teardown) = passed
            ended += (test, Ending.RAN_AGAIN if again else Ending.RAN, setup, call, teardown)
        else:
            attempt = self._open.pop(test, None)
            if attempt is not None and (attempt.called or attempt.unprepared):  # not interrupted
                ended += (test, attempt.ending, *attempt.times)

    def processes(
        self, ids: Sequence[str] | None, a_process: int | None, apart: Collection[int]
    ) -> list[list[Timed]]:
        """The tests that each process ran to their ends, in order.

        :param ids: the nodeid of each test, if tests are places in the collected order (beyond its end: in
            that of a further copy); None: tests are nodeids.
        :param a_process: after how many tests a worker goes on in a fresh process; None: never.
        :param apart: the tests with a process of their own.
        """
        found: list[list[Timed]] = []
        for columns in self._ended.values():
            shared: list[Timed] = []
            for test, *rest in zip(*[iter(columns)] * 5, strict=True):
                index = None
                if ids is not None:
                    index = test % len(ids)
                    test = ids[index]
                if index in apart:
                    found.append([Timed(test, *rest)])
                else:
                    shared.append(Timed(test, *rest))
            found += _divided(shared, a_process)
        return found


def _divided(tests: list[Timed], a_process: int | None) -> Iterable[list[Timed]]:
    if a_process is None:
        return [tests] if tests else []
    return [tests[begin : begin + a_process] for begin in range(0, len(tests), a_process)]
