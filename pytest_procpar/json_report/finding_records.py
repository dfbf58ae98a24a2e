"""Findings as plain data, for programs: what `pytest_procpar_findings` passes and the JSON report holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypedDict

from pytest_procpar.core.inquiry.probes import Confirmation
from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.recheck.result import RecheckFinding, RecheckResult

__all__ = ["FindingRecord", "finding_records"]


class TestName(TypedDict):
    """A test."""

    nodeid: str
    index: int


class TallyRecord(TypedDict):
    """How often the test failed under some conditions."""

    under: str
    failed: int
    runs: int


class _Tried(TypedDict, total=False):
    runs: int
    reason: str


class CommandRecord(_Tried):
    """A command, how the test should end, and how it ended in a fresh process (null: not tried).

    ``runs`` is there if that depends on which process is faster: how often the command was tried until it
    ended as expected. ``reason`` is there if something kept the command from being tried.
    """

    command: str
    expected: str
    outcome: str | None


class ChangeRecord(TypedDict):
    """State that a polluter changes, and whether putting it back is proven to make the test pass."""

    slot: str
    before: str
    after: str
    proven: bool


class RootRecord(TypedDict):
    """What several tests that have failed in the same way have in common.

    It has the first of them, how many there are, where they failed in words (empty: not all at the same
    place), and the message of the first.
    """

    first: TestName
    tests: int
    where: str
    message: str


class _More(TypedDict, total=False):
    since: str
    runs: int
    cleaners: list[TestName]
    state: list[ChangeRecord]
    root: RootRecord
    files: list[str]
    patch: str


class FindingRecord(_More):
    """A finding. What was not asked for is absent.

    ``since`` is the day (ISO 8601) on which it was first found, and ``runs`` is how many runs found it, this
    one included; both are there if the project's cache keeps the finding.
    """

    kind: str
    flagged: bool
    collection_dependent: bool
    test: TestName
    causes: list[TestName]
    beside: list[TestName]
    message: str
    note: str
    tallies: list[TallyRecord]
    commands: list[CommandRecord]


def finding_records(result: RecheckResult, nodeid: Callable[[TestIndex], str]) -> list[FindingRecord]:
    """The findings of a re-check; a finding that is not flagged says why."""

    def names(tests: Iterable[TestIndex]) -> list[TestName]:
        return [{"nodeid": nodeid(test), "index": test} for test in tests]

    roots: dict[TestIndex, RootRecord] = {}
    for root in result.roots:
        if len(root.tests) > 1:
            first, *_ = names(root.tests[:1])
            shared: RootRecord = {
                "first": first,
                "tests": len(root.tests),
                "where": root.where,
                "message": root.message,
            }
            roots.update(dict.fromkeys(root.tests, shared))
    records = []
    for insight in result.insights:
        records.append(record := _record(insight, names))
        if insight.finding.test in roots:
            record["root"] = roots[insight.finding.test]
    return records


def _record(insight: RecheckFinding, names: Callable[[Iterable[TestIndex]], list[TestName]]) -> FindingRecord:
    finding = insight.finding
    made: FindingRecord = {
        "kind": finding.kind.value,
        "flagged": insight.flagged,
        "collection_dependent": insight.collection_dependent,
        "test": names([finding.test])[0],
        "causes": names(finding.cause),
        "beside": names(finding.beside),
        "message": finding.message,
        "note": finding.note,
        "tallies": [
            {"under": tally.under, "failed": tally.bad, "runs": tally.total} for tally in finding.tallies
        ],
        "commands": [_command(tried) for tried in insight.confirmations],
    }
    if finding.files:
        made["files"] = list(finding.files)
    if insight.cleaners is not None:
        made["cleaners"] = names(insight.cleaners)
    if insight.changes is not None:
        made["state"] = [_change(change) for change in insight.changes]
    if insight.suggestion is not None:
        made["patch"] = insight.suggestion.diff
    return made


def _command(tried: Confirmation) -> CommandRecord:
    made: CommandRecord = {
        "command": tried.command,
        "expected": "failed" if tried.expected_bad else "passed",
        "outcome": None if tried.word is None else tried.word.value,
    }
    if tried.by_chance:
        made["runs"] = tried.runs
    if tried.reason:
        made["reason"] = tried.reason
    return made


def _change(change: Any) -> ChangeRecord:
    return {
        "slot": change.slot,
        "before": change.before,
        "after": change.after,
        "proven": change.proven,
    }
