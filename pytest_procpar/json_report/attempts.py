"""What is kept of one attempt to run a test: its phases, how it ended, and what was said.

It reads reports and keeps none of them. It does not know which test it belongs to.
"""

from __future__ import annotations

from math import isfinite
from typing import Any, TypedDict

import pytest

from pytest_procpar.json_report.file import plain

__all__ = ["PHASES", "Attempt", "AttemptRecord", "PhaseRecord", "SubtestRecord", "text_of"]

#: The phases that a report can be about, in their order.
PHASES = ("setup", "call", "teardown")
#: The `when` of a report that was made for a test whose process died, here and in other plugins.
_CRASH = "???"
#: The prefix of the facts that our crash reports carry among the user's properties.
_OURS = "procpar_"


class PhaseRecord(TypedDict):
    """A phase: its report's outcome, its start in seconds since the epoch, its duration in seconds."""

    outcome: str
    start: float
    duration: float


class _Failure(TypedDict, total=False):
    message: str
    longrepr: str
    sections: list[list[str]]


class SubtestRecord(_Failure):
    """A subtest. An attempt lists them in the order in which they ended."""

    description: str
    outcome: str


class _Notes(_Failure, total=False):
    properties: list[list[object]]
    leaks: list[str]
    subtests: list[SubtestRecord]
    death: dict[str, object]


class AttemptRecord(_Notes):
    """One attempt to run a test; what does not apply is absent."""

    worker: str | None
    outcome: str
    phases: dict[str, PhaseRecord]


def text_of(longrepr: object) -> str:
    """A failure as plain text, without the line about the worker and without colours."""
    if isinstance(longrepr, tuple) and len(longrepr) == 3:  # from a skip
        return f"{longrepr[0]}:{longrepr[1]}: {longrepr[2]}"
    # pytest turns a representation into text only in a property of reports.
    bare: Any = pytest.CollectReport("", "failed", longrepr, None)  # type: ignore[arg-type]
    try:
        return str(bare.longreprtext)
    except Exception as error:
        return f"<a failure that cannot be shown: {type(error).__name__}>"


def _seconds(value: Any) -> float:
    """A time as it is written; 0 for anything but a number, since a plugin may have put anything there."""
    try:
        seconds = float(value)
    except (TypeError, ValueError, OverflowError):
        return 0.0
    return round(seconds, 6) if isfinite(seconds) else 0.0


def _first_line(text: object) -> str:
    """The first line of a text, without the space around it."""
    stripped = str(text).strip()
    return stripped.splitlines()[0].rstrip() if stripped else ""


def _message(report: pytest.TestReport) -> str:
    """The reason of a skip or of an expected failure, or else what was raised."""
    longrepr = report.longrepr
    if not report.failed and hasattr(report, "wasxfail"):
        return _first_line(str(report.wasxfail).removeprefix("reason: "))
    if isinstance(longrepr, tuple) and len(longrepr) == 3:
        reason = str(longrepr[2])
        return _first_line("" if reason == "Skipped" else reason.removeprefix("Skipped: "))
    crash = getattr(longrepr, "reprcrash", None)
    return _first_line(text_of(longrepr) if crash is None else crash.message)


def _describe(report: pytest.TestReport) -> _Failure:
    failure: _Failure = {}
    if report.longrepr is not None or hasattr(report, "wasxfail"):
        message = _message(report)
        if message:
            failure["message"] = message
    if report.longrepr is not None:
        text = text_of(report.longrepr)
        if text:
            failure["longrepr"] = text
    if report.sections:
        failure["sections"] = [[str(title), str(text)] for title, text in report.sections]
    return failure


def _word(report: pytest.TestReport) -> str:
    """The category in which pytest's terminal counts a report; `passed` also for phases it does not count."""
    match report.outcome:
        case "passed":
            return "xpassed" if hasattr(report, "wasxfail") else "passed"
        case "failed":
            return "error" if report.when in ("setup", "teardown") else "failed"
        case "skipped":
            return "xfailed" if hasattr(report, "wasxfail") else "skipped"
        case _:  # from another plugin: the outcome is still to come
            return "rerun"  # type: ignore[unreachable]


def _subtest(report: pytest.TestReport) -> SubtestRecord:
    context = report.context
    parts = [] if context.msg is None else [f"[{context.msg}]"]
    if context.kwargs:
        parts.append(f"({', '.join(f'{name}={value}' for name, value in context.kwargs.items())})")
    record: SubtestRecord = {"description": " ".join(parts) or "(<subtest>)", "outcome": _word(report)}
    record.update(_describe(report))  # type: ignore[typeddict-item]
    return record


class Attempt:
    """One attempt to run a test."""

    __slots__ = ("_closed", "_notes", "_phases", "_set_up", "_torn_down", "_verdict", "_worker")

    def __init__(self, worker: str | None) -> None:
        self._worker = worker
        #: When, outcome, start, duration and word of each report.
        self._phases: list[tuple[str | None, str, float, float, str]] = []
        self._notes: _Notes | None = None
        #: A word that nothing more in this attempt can change.
        self._verdict: str | None = None
        self._set_up = self._torn_down = self._closed = False

    # --- questions ---

    def takes(self, when: str | None, subtest: bool) -> bool:
        """Whether a report belongs to this attempt, and does not begin another."""
        if self._closed:
            return when == "teardown" and self.rerun and not self._torn_down
        if when == "setup":
            return not self._set_up and not self._torn_down
        return not self._torn_down or (when == "teardown" and not subtest)

    @property
    def rerun(self) -> bool:
        """Whether it ended so that another attempt could follow."""
        return any(phase[4] == "rerun" for phase in self._phases)

    @property
    def died(self) -> bool:
        """Whether a crash ended it."""
        return self._closed and not self.rerun and self.began

    @property
    def began(self) -> bool:
        """Whether the test has begun, and was not only given up."""
        return self._verdict != "not-run"

    @property
    def outcome(self) -> str:
        """How it ended: as pytest's terminal counts, but one word for all phases."""
        if self._verdict is not None:
            return self._verdict
        words = {phase[4] for phase in self._phases}
        if self._notes is not None:
            words |= {"failed" for part in self._notes.get("subtests", ()) if part["outcome"] == "failed"}
        for word in ("rerun", "failed", "error"):
            if word in words:
                return word
        calls = [phase[4] for phase in self._phases if phase[0] not in ("setup", "teardown")]
        if calls:
            return calls[0]
        words.discard("passed")
        if words:
            return min(words)
        return "not-run" if self._torn_down else "unfinished"  # not-run: --setup-only

    # --- reports ---

    def add(self, report: pytest.TestReport) -> None:
        """Take in a report of a phase, or of a crash."""
        word = _word(report)
        self._add(report.when, report.outcome, getattr(report, "start", 0.0), report.duration, word)
        if word != "passed" or report.sections or report.user_properties or report.longrepr is not None:
            self._note(report)
            self._closed = report.when == _CRASH or self.rerun

    def add_pass(self, when: str, start: float, duration: float) -> None:
        """Take in a phase that passed and left nothing behind, by what its report says."""
        self._add(when, "passed", start, duration, "passed")

    def _add(self, when: str | None, outcome: str, start: float, duration: float, word: str) -> None:
        self._phases.append((when, outcome, start, duration, word))
        self._set_up = self._set_up or when == "setup"
        self._torn_down = self._torn_down or when == "teardown"

    def add_subtest(self, report: pytest.TestReport) -> None:
        """Take in a subtest's report."""
        notes = self._notes = self._notes or {}
        notes.setdefault("subtests", []).append(_subtest(report))

    def _note(self, report: pytest.TestReport) -> None:
        notes = self._notes = self._notes or {}
        crash = report.when == _CRASH
        failure = _describe(report)
        if "message" in notes and not crash and not (report.failed and self._is_first_failure()):
            failure.pop("message", None)
        if "longrepr" in failure and "longrepr" in notes:
            failure["longrepr"] = f"{notes['longrepr']}\n\n{failure['longrepr']}"
        notes.update(failure)  # type: ignore[typeddict-item]
        if report.user_properties:
            self._note_properties(
                notes, [(str(name), plain(value)) for name, value in report.user_properties], crash
            )

    def _is_first_failure(self) -> bool:
        return sum(phase[1] == "failed" for phase in self._phases) == 1

    def _note_properties(self, notes: _Notes, properties: list[tuple[str, object]], crash: bool) -> None:
        facts = {name: value for name, value in properties if name.startswith(_OURS)} if crash else {}
        if "procpar_outcome" in facts:
            self._note_death(notes, {name.removeprefix(_OURS): value for name, value in facts.items()})
        rest = []
        for name, value in properties:
            if name == "procpar_leak":
                leaks = notes.setdefault("leaks", [])
                if str(value) not in leaks:
                    leaks.append(str(value))
            elif name not in facts or "procpar_outcome" not in facts:
                rest.append([name, value])
        # A later phase's report has the earlier ones' properties, too; a crash report has none of them.
        if rest:
            notes["properties"] = notes.get("properties", []) + rest if crash else rest

    def _note_death(self, notes: _Notes, facts: dict[str, object]) -> None:
        facts.pop("leak", None)
        self._verdict = str(facts.pop("outcome"))
        worker = facts.get("worker")
        self._worker = self._worker or (None if worker is None else str(worker))
        notes["death"] = facts

    # --- output ---

    def record(self) -> AttemptRecord:
        """The record to write."""
        record: AttemptRecord = {
            "worker": self._worker,
            "outcome": self.outcome,
            "phases": self._phase_records(),
        }
        if self._notes is not None:
            record.update(self._notes)  # type: ignore[typeddict-item]
        return record

    def _phase_records(self) -> dict[str, PhaseRecord]:
        records: dict[str, PhaseRecord] = {}
        for when, outcome, start, duration, _ in self._phases:
            if when not in PHASES:
                continue
            known = records.get(when)
            if known is None:
                records[when] = {"outcome": outcome, "start": _seconds(start), "duration": _seconds(duration)}
            else:  # a late teardown of what had been kept for a test that was taken back
                known["duration"] = round(known["duration"] + _seconds(duration), 6)
                if outcome != "passed":
                    known["outcome"] = outcome
        return records
