"""What the re-check has found, as the user sees it: a section of the terminal summary."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from pytest_procpar.compat.pytest_private.output import screen_width
from pytest_procpar.core.inquiry.findings import (
    FAILED_AGAIN,
    MISSED,
    OUT_OF_TIME,
    PLAINLY,
    Kind,
)
from pytest_procpar.core.inquiry.probes import Outcome
from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.printable import listed, printable_line
from pytest_procpar.core.recheck.result import RecheckFinding, RecheckResult

if TYPE_CHECKING:
    from pytest_procpar.compat.pytest_private.output import Writer
    from pytest_procpar.core.inquiry.roots import Root
from pytest_procpar.report.recheck_lines import (
    MEANINGS,
    ROLES,
    budget_that_would_do,
    heading_of,
    headlines,
    lines_in_turn,
    lines_of_root,
    lines_of_state,
    lines_of_suggestion,
    meaning_of,
    order_of_lines,
    reason_of,
    tried_line,
    untried_line,
)

__all__ = ["write_findings"]

#: The kinds that show only at times: they are grouped by what they have in common.
_BY_CHANCE = (Kind.PARALLEL_ONLY, Kind.FLAKY)
#: If there are more tests than this, they are counted, not listed, where a list says little.
_LISTED = 5
#: What a test does that depends on nothing, by how it ended in the run; and what several such tests do.
_PLAINLY = {
    Outcome.FAILED: ("fails on its own too", "fail on their own too"),
    Outcome.CRASHED: ("crashes on its own too", "crash on their own too"),
    Outcome.HUNG: ("hangs on its own too", "hang on their own too"),
}
#: The same for tests for which there was no time alone.
_IN_COMPANY = (
    "fails again in a fresh process that ran others of its root, too",
    "fail again in a fresh process that ran others of their root, too",
)
#: The places of `_IN_COMPANY`, and of tests that were not run again, after those of `_PLAINLY`.
_AGAIN, _MISSED = len(_PLAINLY), len(_PLAINLY) + 1


def write_findings(result: RecheckResult, nodeid: Callable[[TestIndex], str], reporter: Writer) -> None:
    """Write the section, if there is anything to say: a block for each root cause.

    :param nodeid: returns a test's nodeid.
    :param reporter: pytest's terminal reporter.
    """
    section = _Section(nodeid, screen_width(reporter))
    lines = [*headlines(result), *section.blocks(result), *section.rest(result)]
    if lines:
        reporter.write_sep("=", "procpar: re-check")
        for line in lines:
            reporter.write_line(printable_line(line))


class _Section:
    def __init__(self, nodeid: Callable[[TestIndex], str], width: int) -> None:
        self._nodeid = nodeid
        self._width = width

    def blocks(self, result: RecheckResult) -> Iterable[str]:
        """The flagged findings: a block for those that depend on the same, or failed in the same way."""
        common = {test: at for at, root in enumerate(result.roots) for test in root.tests}
        roots: dict[tuple[object, ...], list[RecheckFinding]] = {}
        for insight in result.flagged:
            finding = insight.finding
            root: tuple[object, ...] = (finding,)
            if finding.kind in ROLES and finding.cause:
                root = (heading_of(insight), finding.cause)
            elif finding.kind is Kind.FILE_DEPENDENT:
                root = (finding.kind, finding.files, finding.cause)
            elif finding.kind is Kind.FORK_DEPENDENT:  # tests that were tried together have the same commands
                root = (finding.kind, finding.tallies, insight.confirmations)
            elif finding.kind in _BY_CHANCE and finding.test in common:
                root = (finding.kind, common[finding.test])
            roots.setdefault(root, []).append(insight)
        for group in roots.values():
            at = common.get(group[0].finding.test)
            by_chance = at is not None and group[0].finding.kind in _BY_CHANCE
            root_of_all = result.roots[at] if at is not None and by_chance else None
            yield from self._block(group, root_of_all, result.insights)

    def _block(
        self, insights: list[RecheckFinding], root: Root | None, everything: Sequence[RecheckFinding]
    ) -> Iterable[str]:
        first = insights[0]
        kind, cause = first.finding.kind, first.finding.cause
        yield from self._headings(insights)
        yield f"    {meaning_of(first.finding)}"
        yield from lines_of_root(root, len(insights))
        if root is not None and root.contention:
            yield from lines_in_turn([each for each in everything if each.finding.test in root.tests])
        if kind in ROLES:
            plural = "s, which act together" if len(cause) > 1 else ""
            for test in cause:
                yield f"    {ROLES[kind]}{plural}: {self._nodeid(test)}"
        if first.finding.files:
            for file in first.finding.files:
                yield f"    file: {file}"
            for test in cause:
                yield f"    left by: {self._nodeid(test)}"
            yield "    let each test have its own in tmp_path, or remove it when the test is over"
        if first.finding.beside:
            yield f"    beside: {self._names(first.finding.beside)}"
        yield from lines_of_state(first.changes, kind)
        yield from self._cleaners(first.cleaners)
        yield from lines_of_suggestion(first.suggestion)
        for tried in first.confirmations:
            yield f"    {tried_line(tried)}"
        for note in dict.fromkeys(insight.finding.note for insight in insights):
            if note:
                yield f"    {note}"

    def _headings(self, insights: Sequence[RecheckFinding]) -> Iterable[str]:
        """A line for each test, with its message; if there are many tests, one line for all."""
        told = [(self._nodeid(insight.finding.test), insight) for insight in insights]
        if len(insights) > _LISTED:
            names = self._names([insight.finding.test for insight in insights])
            told = [(f"{len(insights)} tests: {names}", insights[0])]
        for name, insight in told:
            yield f"{heading_of(insight)} {name}"
            if insight.finding.message:
                yield self._fitted(f"    {insight.finding.message}")

    def _fitted(self, line: str) -> str:
        """A line, cut if it is too long for the terminal."""
        return line if len(line) <= self._width else f"{line[: self._width - 3]}..."

    def _cleaners(self, cleaners: Sequence[TestIndex] | None) -> Iterable[str]:
        if cleaners is not None:
            yield f"    cleaner: {self._names(cleaners)}" if cleaners else "    no cleaner was found"

    def rest(self, result: RecheckResult) -> Iterable[str]:
        """What was not flagged, in few lines."""
        unflagged = [insight for insight in result.insights if not insight.flagged]
        plain = [insight for insight in unflagged if insight.finding.kind in PLAINLY]
        missed = [insight for insight in unflagged if insight.finding.note.startswith(MISSED)]
        again = [insight for insight in unflagged if insight.finding.note == FAILED_AGAIN]
        yield from self._simply([*plain, *again, *missed], result)
        yield from self._unconfirmed(plain)
        for insight in unflagged:
            finding = insight.finding
            name = self._nodeid(finding.test)
            if finding.note == FAILED_AGAIN or finding.note.startswith(MISSED):
                continue
            if finding.kind is Kind.UNKNOWN and finding.note:
                would = budget_that_would_do(result) if OUT_OF_TIME in finding.note else ""
                yield f"not settled: {name}: {finding.note}{would and f' ({would} do)'}"
            elif finding.kind not in (Kind.UNKNOWN, *PLAINLY):
                what = f"it {MEANINGS[finding.kind]} ({self._names(finding.cause)})"
                why = next((f": {tried.reason}" for tried in insight.confirmations if tried.reason), "")
                yield f"not settled: {name}: {what}, but it could not be seen in a fresh process{why}"
        if result.coverage is not None:
            from pytest_procpar.json_report.orders import orders_line  # only a deep re-check needs it

            yield orders_line(result.coverage)
        yield from result.note.splitlines()
        if result.put_back:
            yield f"changed by what was run again, and put back: {listed(result.put_back, _LISTED)}"
        if result.altered:
            yield f"changed by what was run again, and NOT put back: {listed(result.altered, _LISTED)}"
        if result.starved:
            names = self._names(result.starved)
            yield f"not re-checked, since the kernel killed it when memory ran out: {names}"
        if result.left_out:
            names = self._names(result.left_out)
            yield f"not re-checked, since there are more than --recheck-tests allows: {names}"

    def _simply(self, insights: Sequence[RecheckFinding], result: RecheckResult) -> Iterable[str]:
        """Tests that fail alone or were not tried: a block per root of several tests, lines for the rest."""
        shared = {test: root for root in result.roots if len(root.tests) > 1 for test in root.tests}
        groups: dict[Root | None, list[RecheckFinding]] = {}
        for insight in insights:
            groups.setdefault(shared.get(insight.finding.test), []).append(insight)
        single = groups.pop(None, [])
        for root, group in groups.items():
            if root is None or len(group) == 1:
                single += group
                continue
            where = f" {root.where}" if root.where else ""
            yield self._fitted(f"{len(group)} tests fail{where}{root.message and ': '}{root.message}")
            for line in self._ways(group, result):
                yield f"    {line}"
        yield from self._ways(single, result)

    def _ways(self, insights: Sequence[RecheckFinding], result: RecheckResult) -> Iterable[str]:
        """One line for all tests that do the same."""
        ways: dict[tuple[int, Kind], list[RecheckFinding]] = {}
        for insight in insights:
            kind, note = insight.finding.kind, insight.finding.note
            # Under --dist each it may be another copy of the test that failed.
            word = insight.word if insight.word.bad else Outcome.FAILED
            place = list(_PLAINLY).index(word)
            if note == FAILED_AGAIN:
                place = _AGAIN
            elif note.startswith(MISSED):
                place = _MISSED
            ways.setdefault((place, kind), []).append(insight)
        for (place, kind), group in sorted(ways.items(), key=order_of_lines):
            if place == _MISSED:
                way = f"not run again, since {reason_of(group[0], result)}"
            else:
                way = [*_PLAINLY.values(), _IN_COMPANY][place][len(group) > 1]
            if kind is Kind.FAILS_ALONE:
                way += untried_line(group, result)
            yield f"{way}: {self._names([insight.finding.test for insight in group])}"

    def _unconfirmed(self, insights: Sequence[RecheckFinding]) -> Iterable[str]:
        """Plain failures that could not be confirmed in a fresh process."""
        reasons: dict[str, list[TestIndex]] = {}
        for insight in insights:
            for tried in insight.confirmations:
                if tried.reason:
                    reasons.setdefault(tried.reason, []).append(insight.finding.test)
        for reason, tests in reasons.items():
            yield f"could not be confirmed in a fresh process ({reason}): {self._names(tests)}"

    def _names(self, tests: Sequence[TestIndex]) -> str:
        return listed(list(map(self._nodeid, tests)), _LISTED)
