"""Makes plain data of what a re-check has found."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from pytest_procpar.core.inquiry.probes import Confirmation
from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.recheck.result import RecheckFinding, RecheckResult, StateChange

if TYPE_CHECKING:
    from pytest_procpar.core.inquiry.finding_record import (
        ChangeRecord,
        CommandRecord,
        FindingRecord,
        RootRecord,
        TestName,
    )

__all__ = ["finding_records"]


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


def _change(change: StateChange) -> ChangeRecord:
    return {
        "slot": change.slot,
        "before": change.before,
        "after": change.after,
        "proven": change.proven,
    }
