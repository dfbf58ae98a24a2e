"""Every test of a run with its attempts, filed as reports arrive, in any order.

In a parallel run a report has the index of its test; in a plain run it belongs to the running test. This
module does not know what a report says, nor what becomes of the records.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from math import isfinite
from typing import TypedDict

import pytest

from pytest_procpar.json_report.attempts import PHASES, Attempt, AttemptRecord
from pytest_procpar.json_report.file import to_json

__all__ = ["RunLog", "SequenceRecord", "TestRecord"]


#: What is written for a test that passed and left nothing behind. That is most tests of most runs, and with
#: this they take a quarter of the time to write.
_PLAIN = (
    '{"nodeid": %s, "index": %d, "outcome": "passed", "flags": [], '
    '"attempts": [{"worker": %s, "outcome": "passed", "phases": {'
    + ", ".join(f'"{phase}": {{"outcome": "passed", "start": %.6f, "duration": %.6f}}' for phase in PHASES)
    + "}}]}"
)


class TestRecord(TypedDict):
    """A test."""

    nodeid: str
    index: int
    outcome: str
    flags: list[str]
    attempts: list[AttemptRecord]


class SequenceRecord(TypedDict):
    """What one process has run."""

    worker: str | None
    tests: list[int]


#: The phase that comes next, by how many numbers there are for the earlier ones.
_NEXT_PHASE = {0: "setup", 2: "call", 4: "teardown", 6: None}


class _Entry:
    """A test; under ``--dist each``, a test in one worker."""

    __slots__ = ("_attempts", "_passes", "_worker", "flags", "index", "nodeid")

    def __init__(self, index: int, nodeid: str, worker: str | None) -> None:
        self.index = index
        self.nodeid = nodeid
        self._worker = worker
        #: Start and duration of each phase, as long as there is nothing else to remember.
        self._passes: tuple[float, ...] = ()
        #: In the order in which they began; empty as long as `_passes` says it all.
        self._attempts: list[Attempt] = []
        #: What was found out about the test after the run.
        self.flags: tuple[str, ...] = ()

    def add(self, report: pytest.TestReport, worker: str | None) -> bool:
        """Take in a report; return whether it is the first one after the test began."""
        passes = self._passes
        if (
            report.outcome == "passed"
            and report.when == _NEXT_PHASE[len(passes)]
            and not self._attempts
            and not report.sections
            and not report.user_properties
            and report.longrepr is None
            and type(report) is pytest.TestReport
            and not hasattr(report, "wasxfail")
        ):
            self._passes = (*passes, report.start, report.duration)
            return not passes
        subtest = type(report) is not pytest.TestReport and _is_subtest(report)
        attempts = self.attempts()
        latest = attempt = attempts[-1] if attempts else None
        if attempt is None or not attempt.takes(report.when, subtest):
            attempt = Attempt(worker)
            attempts.append(attempt)
        if subtest:
            attempt.add_subtest(report)
        else:
            attempt.add(report)
        return attempt is not latest and attempt.began and (latest is None or not latest.rerun)

    def attempts(self) -> list[Attempt]:
        """The attempts so far; more can be added to this list."""
        if self._passes:
            attempt = Attempt(self._worker)
            for phase, start, duration in zip(PHASES, self._passes[::2], self._passes[1::2], strict=False):
                attempt.add_pass(phase, start, duration)
            self._attempts.append(attempt)
            self._passes = ()
        return self._attempts

    @property
    def may_run(self) -> bool:
        """Whether the test may have begun since its last report."""
        return not self._passes and (not self._attempts or self._attempts[-1].died)

    @property
    def is_new(self) -> bool:
        """Whether there has been no report of the test."""
        return not self._passes and not self._attempts

    def record(self) -> TestRecord:
        """The record to write."""
        attempts = [attempt.record() for attempt in self.attempts()]
        for attempt in attempts[:-1]:
            # pytest-rerunfailures does not report what failed, unless pytest-xdist is installed.
            if attempt["outcome"] == "unfinished" or (
                attempt["outcome"] == "not-run" and "death" not in attempt
            ):
                attempt["outcome"] = "rerun"
        outcome = attempts[-1]["outcome"] if attempts else "not-run"
        return {
            "nodeid": self.nodeid,
            "index": self.index,
            "outcome": "unfinished" if outcome == "rerun" else outcome,
            "flags": sorted({*_flags(attempts), *self.flags}),
            "attempts": attempts,
        }

    def to_json(self) -> tuple[str, str]:
        """The outcome, and the text to write."""
        if not self.flags and len(self._passes) == 2 * len(PHASES) and _are_numbers(self._passes):
            return "passed", _PLAIN % (to_json(self.nodeid), self.index, to_json(self._worker), *self._passes)
        record = self.record()
        return record["outcome"], to_json(record)


def _are_numbers(values: tuple[float, ...]) -> bool:
    """Whether they are the numbers that they should be: a plugin may have put anything there."""
    try:
        return isfinite(sum(values))
    except (TypeError, OverflowError):  # complex numbers, for instance
        return False


def _is_subtest(report: object) -> bool:
    """Whether it is a subtest's report, from pytest 9 or later, or from pytest-subtests."""
    return type(report).__name__.lower() == "subtestreport" and hasattr(report, "context")


def _flags(attempts: list[AttemptRecord]) -> set[str]:
    flags = {attempt["outcome"] for attempt in attempts} & {"crashed", "hung", "rerun"}
    if any("leaks" in attempt for attempt in attempts):
        flags.add("leaks")
    return flags


class RunLog:
    """All tests of a run."""

    def __init__(self) -> None:
        self._ids: list[str] = []
        self._copies: int | None = None
        #: By index; under ``--dist each`` by index and worker.
        self._entries: dict[int | tuple[int, str], _Entry] = {}
        #: How many tests have begun without any report so far, by nodeid.
        self._silent: defaultdict[str, int] = defaultdict(int)
        self._running: int | None = None
        #: The tests that began in each process, in order, by worker; None stands for this process.
        self._begun: defaultdict[str | None, list[int]] = defaultdict(list)
        self._places: dict[str, list[int]] | None = None

    def collected(self, ids: Iterable[str], copies: int | None) -> None:
        """The nodeids are known, in the order of their indices.

        :param copies: how many workers each test runs in under ``--dist each``, else None.
        """
        self._ids = list(ids)
        self._copies = copies
        self._places = None

    def running(self, index: int | None) -> None:
        """The test with this index runs in this process; None: a test that was not collected."""
        self._running = index
        if index is not None:
            self._note_begun(None, index)

    def began(self, nodeid: str) -> None:
        """A test begins."""
        self._silent[nodeid] += 1

    def add(self, report: pytest.TestReport) -> None:
        """A report has come."""
        is_fresh = getattr(report, "procpar_fresh", False)  # from an interpreter that was not a worker
        worker: str | None = None if is_fresh else getattr(report, "worker_id", None)
        index: int | None = getattr(report, "item_index", None)
        if index is None:
            index = self._index_of(report.nodeid)
        # A copy that no worker could run is reported without a worker.
        key = index if self._copies is None else (index, worker or f"nobody, {len(self._entries)}")
        entry = self._entries.get(key)
        if entry is None:
            nodeid = self._ids[index] if index < len(self._ids) else report.nodeid
            entry = self._entries[key] = _Entry(index, nodeid, worker)
        if entry.add(report, worker):
            self._silent[entry.nodeid] -= 1
            if worker is not None:
                self._note_begun(worker, index)

    def flag(self, index: int, word: str) -> None:
        """Something was found out about a test."""
        for entry in self._entries.values():
            if entry.index == index:
                entry.flags = (*entry.flags, word)

    def _note_begun(self, worker: str | None, index: int) -> None:
        begun = self._begun[worker]
        # A test that begins again at once does so because of a plugin, which will do the same in a replay.
        if not begun or begun[-1] != index:
            begun.append(index)

    def sequences(self) -> list[SequenceRecord]:
        """The tests that began in each process, in order; processes are ordered by their workers' numbers.

        A worker's last test is missing if it was interrupted before anything was heard of it.
        """
        by_number = sorted(self._begun.items(), key=lambda entry: (len(entry[0] or ""), entry[0] or ""))
        return [{"worker": worker, "tests": tests} for worker, tests in by_number]

    def written(self) -> Iterator[tuple[str, str]]:
        """Outcome and JSON of every test, in the order of their indices; nothing may be added afterwards."""
        entries = sorted([*self._entries.values(), *self._missing()], key=lambda entry: entry.index)
        for nodeid in [nodeid for nodeid, count in self._silent.items() if count > 0]:
            candidates = [entry for entry in entries if entry.nodeid == nodeid and entry.may_run]
            candidates.sort(key=lambda entry: not entry.is_new)
            for entry in candidates[: self._silent[nodeid]]:
                entry.attempts().append(Attempt(None))
        return map(_Entry.to_json, entries)

    def _missing(self) -> Iterator[_Entry]:
        """The tests without any report."""
        known = Counter(entry.index for entry in self._entries.values())
        for index, nodeid in enumerate(self._ids):
            for _ in range(known[index], self._copies or 1):
                yield _Entry(index, nodeid, None)

    def _index_of(self, nodeid: str) -> int:
        """The index of the test that a report without an index belongs to."""
        if self._running is not None and self._ids[self._running] == nodeid:
            return self._running
        if self._places is None:
            self._places = {}
            for index, known in enumerate(self._ids):
                self._places.setdefault(known, []).append(index)
        places = self._places.setdefault(nodeid, [])
        if not places:  # it was not collected
            places.append(len(self._ids))
            self._ids.append(nodeid)
        return next((index for index in places if index not in self._entries), places[-1])
