"""What the re-check has found, as the user sees it: a section of the terminal summary."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from pytest_procpar.core.findings import Finding, Kind
from pytest_procpar.core.insights import Change, Insight, Rechecked
from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.probes import Confirmation, Word

__all__ = ["write_findings"]

#: More tests than this are counted, not listed, where listing them says little.
_LISTED = 5

_ROLES = {
    Kind.VICTIM: "polluter",
    Kind.CONTAMINATED_CRASH: "polluter",
    Kind.BRITTLE: "state-setter",
}

_MEANINGS = {
    Kind.VICTIM: "passes alone and fails after its polluter",
    Kind.CONTAMINATED_CRASH: "passes alone and crashes after its polluter",
    Kind.BRITTLE: "fails alone and passes after its state-setter",
    Kind.NIO: "passes, and fails when it is run once more in the same process",
    Kind.PARALLEL_ONLY: "fails only while other tests run beside it",
    Kind.FLAKY: "passes and fails under the same conditions",
    Kind.PLAIN: "fails alone, after all tests are collected",
}

#: What a test does that depends on nothing, by how it ended in the run.
_PLAINLY = {Word.FAILED: "fails", Word.CRASHED: "crashes", Word.HUNG: "hangs"}


def write_findings(result: Rechecked, nodeid: Callable[[TestIndex], str], reporter: Any) -> None:
    """Write the section, if there is anything to say: a block for each root cause.

    :param nodeid: gives a test's nodeid.
    :param reporter: pytest's terminal reporter.
    """
    section = _Section(nodeid, reporter._screen_width)
    lines = [*section.blocks(result.flagged), *section.rest(result)]
    if lines:
        reporter.write_sep("=", "procpar: re-check")
        for line in lines:
            reporter.write_line(line)


class _Section:
    def __init__(self, nodeid: Callable[[TestIndex], str], width: int) -> None:
        self._nodeid = nodeid
        self._width = width

    def blocks(self, insights: Sequence[Insight]) -> Iterable[str]:
        roots: dict[tuple[object, ...], list[Insight]] = {}
        for insight in insights:
            finding = insight.finding
            root: tuple[object, ...] = (finding,)
            if finding.kind in _ROLES and finding.cause:
                root = (_heading(insight), finding.cause)
            roots.setdefault(root, []).append(insight)
        for group in roots.values():
            yield from self._block(group)

    def _block(self, insights: list[Insight]) -> Iterable[str]:
        first = insights[0]
        kind, cause = first.finding.kind, first.finding.cause
        for insight in insights:
            yield f"{_heading(insight)} {self._nodeid(insight.finding.test)}"
            if insight.finding.message:
                yield self._fitted(f"    {insight.finding.message}")
        yield f"    {_MEANINGS[kind]}{_counts(first.finding)}"
        if kind in _ROLES:
            plural = "s, which act together" if len(cause) > 1 else ""
            for test in cause:
                yield f"    {_ROLES[kind]}{plural}: {self._nodeid(test)}"
        if first.finding.beside:
            yield f"    beside: {self._names(first.finding.beside)}"
        yield from _state(first.changes, kind)
        yield from self._cleaners(first.cleaners)
        for tried in first.confirmations:
            yield f"    {_tried(tried)}"
        for insight in insights:
            if insight.finding.note:
                yield f"    {insight.finding.note}"

    def _fitted(self, line: str) -> str:
        """A line, cut if it is too long for the terminal."""
        return line if len(line) <= self._width else f"{line[: self._width - 3]}..."

    def _cleaners(self, cleaners: Sequence[TestIndex] | None) -> Iterable[str]:
        if cleaners is not None:
            yield f"    cleaner: {self._names(cleaners)}" if cleaners else "    no cleaner was found"

    def rest(self, result: Rechecked) -> Iterable[str]:
        """What was not flagged, in few lines."""
        unflagged = [insight for insight in result.insights if not insight.flagged]
        for word, verb in _PLAINLY.items():
            plain = [i.finding.test for i in unflagged if i.finding.kind is Kind.PLAIN and i.word is word]
            if plain:
                yield f"{verb} alone and in company: {self._names(plain)}"
        for insight in unflagged:
            finding = insight.finding
            name = self._nodeid(finding.test)
            if finding.kind is Kind.UNKNOWN and finding.note:
                yield f"not settled: {name}: {finding.note}"
            elif finding.kind not in (Kind.UNKNOWN, Kind.PLAIN):
                what = f"it {_MEANINGS[finding.kind]} ({self._names(finding.cause)})"
                yield f"not settled: {name}: {what}, but it could not be seen in a fresh process"
        if result.note:
            yield result.note
        if result.left_out:
            names = self._names(result.left_out)
            yield f"not re-checked, since there are more than --recheck-tests allows: {names}"

    def _names(self, tests: Sequence[TestIndex]) -> str:
        names = ", ".join(map(self._nodeid, tests[:_LISTED]))
        return f"{names} and {len(tests) - _LISTED} more" if len(tests) > _LISTED else names


def _heading(insight: Insight) -> str:
    name = insight.finding.kind.value.upper().replace("-", " ")
    if insight.finding.kind is Kind.PLAIN:
        return "COLLECTION DEPENDENT"
    return f"{name} (COLLECTION DEPENDENT)" if insight.collection_dependent else name


def _counts(finding: Finding) -> str:
    """How often the test failed, under the conditions that matter."""
    role = _ROLES.get(finding.kind)
    shown = [t for t in finding.tallies if role is None or t.under in ("alone", f"after its {role}")]
    counts = [f"{tally.under} {tally.bad} of {tally.total}" for tally in shown]
    return f" (failures: {', '.join(counts)})" if counts else ""


def _state(changes: Sequence[Change] | None, kind: Kind) -> Iterable[str]:
    if changes is None:
        return
    for change in changes:
        if change.proven:
            yield f"    proven: {change.slot} is {change.before} before and {change.after} after"
    if not any(change.proven for change in changes):
        how = "even if all else is put back" if kind is Kind.BRITTLE else "when it is put back"
        yield f"    no state was found that makes it pass {how}"


def _tried(confirmation: Confirmation) -> str:
    """What came of a command."""
    if confirmation.word is None:
        return f"not tried: {confirmation.command}"
    if confirmation.by_chance and not confirmation.holds:
        return f"has not failed in {confirmation.runs} runs, but may: {confirmation.command}"
    if confirmation.runs > 1:
        return f"fails (1 of {confirmation.runs} runs): {confirmation.command}"
    ends = "fails" if confirmation.word.bad else "passes"
    return f"{ends}: {confirmation.command}"
