"""What the next run is to expect: the duration of each test, and what each setting takes to set up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pytest_procpar.core.history.durations import (
    KEPT,
    OF_SETTING,
    OF_TEST,
    DurationHistory,
    Row,
    median,
    smoothed,
    split_nodeid,
)

__all__ = ["Forecast", "expected"]

_SECOND = 1_000_000
#: What part of the tests may be new for the rest to say how long the suite takes.
_NEW = 0.05


def expected(row: Row) -> float:
    """How long a test takes without its settings, in microseconds, by its row; 0 if it was only skipped."""
    time, weight, weights = 0.0, 1.0, 0.0
    for begin in range(0, len(row) - 3, OF_TEST):  # as `smoothed` does, for all phases at once
        time += weight * sum(row[begin + 1 : begin + OF_TEST])
        weights += weight
        weight /= 2
    return time / weights if weights else 0.0


class Forecast:
    """Answers from a history, in seconds.

    A test that is not known takes the median of its function with other parameters, otherwise that of its
    module, otherwise that of the suite. What was only ever skipped does not count for these.
    """

    def __init__(self, history: DurationHistory) -> None:
        self._history = history
        #: By file: the median for each function, and that of all tests; made where a test is not known.
        self._files: dict[str, tuple[dict[str, float], float | None]] = {}
        self._suite: float | None = None
        self._knows_suite = False

    @property
    def knows_tests(self) -> bool:
        """Whether any test is known."""
        return bool(self._history.tests)

    def durations(self, nodeids: Iterable[str]) -> list[float | None]:
        """The time that each test takes, without its settings; None if nothing is known of any test."""
        tests = self._history.tests
        found: list[float | None] = []
        for nodeid in nodeids:
            file, name = split_nodeid(nodeid)
            row = tests[file].get(name) if file in tests else None
            time = expected(row) if row is not None else self._fallback(file, name)
            found.append(None if time is None else time / _SECOND)
        return found

    def knows_most(self, nodeids: Sequence[str]) -> bool:
        """Whether nearly all of these tests have run before: what is said of others is a guess."""
        tests = self._history.tests
        new = sum(name not in tests.get(file, ()) for file, name in map(split_nodeid, nodeids))
        return new <= _NEW * len(nodeids)

    def worker_memory(self) -> int:
        """How many bytes workers had for themselves in the latest runs that say so, at most; 0: none does."""
        runs = self._history.runs
        known = [runs[number].memory for number in sorted(runs, reverse=True) if runs[number].memory]
        return max(known[:KEPT], default=0)

    def settings(self, *phases: int) -> dict[str, float]:
        """The time that it takes to set up, and to tear down, the fixtures of each setting, by its key.

        Those that are not there take next to nothing. The empty key stands for a process: fixtures of the
        session.

        :param phases: 0 for set-up, 1 for teardown; none: both.
        """
        found = {}
        for key, row in self._history.settings.items():
            times = smoothed(row, OF_SETTING)
            found[key] = sum(times[phase] for phase in phases or (0, 1)) / _SECOND
        return found

    def _fallback(self, file: str, name: str) -> float | None:
        if file not in self._files:
            self._files[file] = self._medians(file)
        functions, module = self._files[file]
        time = functions.get(_function(name), module)
        return self._of_suite() if time is None else time

    def _medians(self, file: str) -> tuple[dict[str, float], float | None]:
        functions: dict[str, list[float]] = {}
        for name, row in self._history.tests.get(file, {}).items():
            if len(row) > 1:
                functions.setdefault(_function(name), []).append(expected(row))
        times = [time for some in functions.values() for time in some]
        return (
            {function: median(some) for function, some in functions.items()},
            median(times) if times else None,
        )

    def _of_suite(self) -> float | None:
        if not self._knows_suite:
            rows = [row for rows in self._history.tests.values() for row in rows.values()]
            times = [expected(row) for row in rows if len(row) > 1]
            self._suite = median(times) if times else None
            self._knows_suite = True
        return self._suite


def _function(name: str) -> str:
    """What tests have in common that differ only in their parameters."""
    return name.partition("[")[0]
