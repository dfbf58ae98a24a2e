"""What the re-check has found, as the user sees it: a section of the terminal summary."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from pytest_procpar.compat.pytest_private.output import screen_width
from pytest_procpar.core.inquiry.findings import (
    FAILED_AGAIN,
    MISSED,
    NOT_RECHECKED,
    OUT_OF_TIME,
    PLAINLY,
    Finding,
    Kind,
)
from pytest_procpar.core.inquiry.probes import Confirmation, Outcome
from pytest_procpar.core.inquiry.trials import IN_TURN
from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.printable import listed, printable_line
from pytest_procpar.core.recheck.result import RecheckFinding, RecheckResult, StateChange, Suggestion

if TYPE_CHECKING:
    from pytest_procpar.core.inquiry.roots import Root

__all__ = ["write_findings"]

#: The kinds that show only at times: they are grouped by what they have in common.
_BY_CHANCE = (Kind.PARALLEL_ONLY, Kind.FLAKY)

#: If there are more tests than this, they are counted, not listed, where a list says little.
_LISTED = 5

#: How much is shown of a command that could not be run, in characters.
_READABLE = 1000

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
    Kind.FORK_DEPENDENT: "fails in forked workers and passes in fresh interpreters",
    Kind.FLAKY: "passes and fails under the same conditions",
    Kind.FILE_DEPENDENT: "fails on its own while there is a file that tests have left, and passes without it",
    Kind.PLAIN: "fails alone, after all tests are collected",
    Kind.FAILS_ALONE: "fails alone, after all tests are collected",
}

#: How to let tests share a worker.
_ONE_GROUP = "use one xdist_group, with --dist=loadgroup"

#: How a test ended with a patch.
_HELPS = "it passes, after that and after all that ran before it"
_GROUPED = "and --dist=loadgroup they share a process, in which it passes"

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


def write_findings(result: RecheckResult, nodeid: Callable[[TestIndex], str], reporter: Any) -> None:
    """Write the section, if there is anything to say: a block for each root cause.

    :param nodeid: returns a test's nodeid.
    :param reporter: pytest's terminal reporter.
    """
    section = _Section(nodeid, screen_width(reporter))
    lines = [*_headline(result), *section.blocks(result), *section.rest(result)]
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
            if finding.kind in _ROLES and finding.cause:
                root = (_heading(insight), finding.cause)
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
        yield f"    {_meaning(first.finding)}"
        yield from _common(root, len(insights))
        if root is not None and root.contention:
            yield from _in_turn([each for each in everything if each.finding.test in root.tests])
        if kind in _ROLES:
            plural = "s, which act together" if len(cause) > 1 else ""
            for test in cause:
                yield f"    {_ROLES[kind]}{plural}: {self._nodeid(test)}"
        if first.finding.files:
            for file in first.finding.files:
                yield f"    file: {file}"
            for test in cause:
                yield f"    left by: {self._nodeid(test)}"
            yield "    let each test have its own in tmp_path, or remove it when the test is over"
        if first.finding.beside:
            yield f"    beside: {self._names(first.finding.beside)}"
        yield from _state(first.changes, kind)
        yield from self._cleaners(first.cleaners)
        yield from _suggestion(first.suggestion)
        for tried in first.confirmations:
            yield f"    {_tried(tried)}"
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
            yield f"{_heading(insight)} {name}"
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
                would = _that_would_do(result) if OUT_OF_TIME in finding.note else ""
                yield f"not settled: {name}: {finding.note}{would and f' ({would} do)'}"
            elif finding.kind not in (Kind.UNKNOWN, *PLAINLY):
                what = f"it {_MEANINGS[finding.kind]} ({self._names(finding.cause)})"
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
        for (place, kind), group in sorted(ways.items(), key=_order_of_lines):
            if place == _MISSED:
                way = f"not run again, since {_reason(group[0], result)}"
            else:
                way = [*_PLAINLY.values(), _IN_COMPANY][place][len(group) > 1]
            if kind is Kind.FAILS_ALONE:
                way += _untried(group, result)
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


def _common(root: Root | None, count: int) -> Iterable[str]:
    """What tests that failed in the same way have in common, and what to do about it."""
    if root is None:
        return
    if count > 1 and root.where:
        yield f"    all have failed {root.where}"
    if root.contention:
        named = "it" if count > 1 else root.where.removeprefix("on ")
        own = "take a free one" if root.where.startswith("on port ") else "have its own in tmp_path"
        yield f"    one process at a time can have {named}: let each test {own}, or {_ONE_GROUP}"
    elif root.where.startswith("on file "):
        named = "" if count > 1 else f" {root.where.removeprefix('on file ')}"
        advice = f"let each have its own in tmp_path, or {_ONE_GROUP}"
        yield f"    tests that share the file{named}: {advice}"


def _in_turn(insights: Sequence[RecheckFinding]) -> Iterable[str]:
    """What came of running them one after the other, as the tests of one group."""
    seen = [tally for each in insights for tally in each.finding.tallies if tally.under == IN_TURN]
    if not seen:
        return
    passed = sum(not tally.bad for tally in seen)
    rest = len(insights) - len(seen)
    more = f", and for {rest} more there was no time" if rest else ""
    yield f"    tried: one after the other in one process {passed} of {len(seen)} pass{more}"


def _order_of_lines(way: tuple[tuple[int, Kind], object]) -> tuple[int, bool]:
    place, kind = way[0]
    return place, kind is not Kind.PLAIN


def _headline(result: RecheckResult) -> Iterable[str]:
    """How many failures there are, and how many roots, if that is not the same number."""
    failures = len({test for root in result.roots for test in root.tests})
    if len(result.roots) < failures:
        roots = len(result.roots)
        yield f"{failures} failures, {roots} root{'' if roots == 1 else 's'}"


def _reason(missed: RecheckFinding, result: RecheckResult) -> str:
    """Why a test was not run again."""
    note = missed.finding.note
    if note != NOT_RECHECKED:
        return note.removeprefix(MISSED)
    more = f" (--recheck-budget={result.budget} would leave some)" if result.budget else ""
    return f"there was no time{more}"


def _untried(insights: Sequence[RecheckFinding], result: RecheckResult) -> str:
    """What was left out of the attempts to show that these tests depend on no other."""
    notes = {insight.finding.note for insight in insights}
    note = notes.pop() if len(notes) == 1 else "not tried after all tests before them"
    would = _that_would_do(result)
    return f" ({note}{would and f': {would}'})"


def _that_would_do(result: RecheckResult) -> str:
    """The budget with which there would be enough time, if it is known."""
    return f"--recheck-budget={result.budget} would" if result.budget else ""


def _meaning(finding: Finding) -> str:
    """What a finding says of its test, with the counts."""
    if finding.kind is Kind.FLAKY and finding.tallies and not any(tally.bad for tally in finding.tallies):
        runs = sum(tally.total for tally in finding.tallies)
        counts = ", ".join(f"{tally.under} {tally.total}" for tally in finding.tallies)
        return f"failed once, and not again in {runs} run{'' if runs == 1 else 's'}: {counts}"
    if finding.fails_since:
        return f"passed in the run, and fails since: a file or database may be to blame{_counts(finding)}"
    return f"{_MEANINGS[finding.kind]}{_counts(finding)}"


def _heading(insight: RecheckFinding) -> str:
    name = insight.finding.kind.value.upper().replace("-", " ")
    if insight.finding.kind in PLAINLY:
        return "COLLECTION DEPENDENT"
    return f"{name} (COLLECTION DEPENDENT)" if insight.collection_dependent else name


def _counts(finding: Finding) -> str:
    """How often the test failed, under the conditions that matter."""
    role = _ROLES.get(finding.kind)
    told = [tally for tally in finding.tallies if tally.under != IN_TURN]
    shown = [t for t in told if role is None or t.under in ("alone", f"after its {role}")]
    counts = [f"{tally.under} {tally.bad} of {tally.total}" for tally in shown]
    return f" (failures: {', '.join(counts)})" if counts else ""


def _state(changes: Sequence[StateChange] | None, kind: Kind) -> Iterable[str]:
    if changes is None:
        return
    for change in changes:
        if change.proven:
            yield f"    proven: {change.slot} is {change.before} before and {change.after} after"
    if not any(change.proven for change in changes):
        how = "even if all else is put back" if kind is Kind.BRITTLE else "when it is put back"
        yield f"    no state was found that makes it pass {how}"


def _suggestion(suggestion: Suggestion | None) -> Iterable[str]:
    if suggestion is not None:
        yield f"    tried: with this patch {_GROUPED if suggestion.grouped else _HELPS}"
        yield from (f"    {line}".rstrip() for line in suggestion.diff.split("\n")[:-1])


def _short(command: str) -> str:
    """A command, cut if it is too long to read."""
    return command if len(command) <= _READABLE else f"{command[:_READABLE]}..."


def _tried(confirmation: Confirmation) -> str:
    """What came of a command."""
    if confirmation.reason:
        return f"could not be confirmed ({confirmation.reason}): {_short(confirmation.command)}"
    if confirmation.word is None:
        return f"not tried: {confirmation.command}"
    if confirmation.by_chance and not confirmation.holds:
        runs = f"{confirmation.runs} run{'' if confirmation.runs == 1 else 's'}"
        return f"has not failed in {runs}, but may: {confirmation.command}"
    if confirmation.runs > 1:
        return f"fails (1 of {confirmation.runs} runs): {confirmation.command}"
    ends = "fails" if confirmation.word.bad else "passes"
    return f"{ends}: {confirmation.command}"
