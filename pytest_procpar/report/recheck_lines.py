"""Single lines of the summary of a re-check: headlines, meanings, counts, state and commands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from pytest_procpar.core.inquiry.contention import PORT, is_contended
from pytest_procpar.core.inquiry.findings import (
    MISSED,
    NOT_RECHECKED,
    PLAINLY,
    Finding,
    Kind,
)
from pytest_procpar.core.inquiry.probes import Confirmation
from pytest_procpar.core.inquiry.trials import IN_TURN
from pytest_procpar.core.recheck.result import RecheckFinding, RecheckResult, StateChange, Suggestion

if TYPE_CHECKING:
    from pytest_procpar.core.inquiry.roots import Root

__all__ = [
    "MEANINGS", "ROLES", "budget_that_would_do", "heading_of", "headlines", "lines_in_turn",
    "lines_of_root", "lines_of_state", "lines_of_suggestion", "meaning_of", "order_of_lines", "reason_of",
    "tried_line", "untried_line",
]  # fmt: skip

#: How much is shown of a command that could not be run, in characters.
READABLE = 1000


ROLES = {
    Kind.VICTIM: "polluter",
    Kind.CONTAMINATED_CRASH: "polluter",
    Kind.BRITTLE: "state-setter",
}


MEANINGS = {
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
ONE_GROUP = "use one xdist_group, with --dist=loadgroup"


#: How a test ended with a patch.
HELPS = "it passes, after that and after all that ran before it"


GROUPED = "and --dist=loadgroup they share a process, in which it passes"


def lines_of_root(root: Root | None, count: int) -> Iterable[str]:
    """What tests that failed in the same way have in common, and what to do about it."""
    if root is None:
        return
    if count > 1 and root.where:
        yield f"    all have failed {root.where}"
    if root.contention:
        named = "it" if count > 1 else root.where.removeprefix("on ")
        own = "take a free one" if root.where.startswith("on port ") else "have its own in tmp_path"
        yield f"    one process at a time can have {named}: let each test {own}, or {ONE_GROUP}"
    elif root.where.startswith("on file "):
        named = "" if count > 1 else f" {root.where.removeprefix('on file ')}"
        advice = f"let each have its own in tmp_path, or {ONE_GROUP}"
        yield f"    tests that share the file{named}: {advice}"
    elif is_contended(root.message):  # neither the message nor the line names it
        what, own = ("an address", "take a free port") if PORT in root.message else ("it", "have its own")
        yield f"    one process at a time can have {what}: let each test {own}, or {ONE_GROUP}"


def lines_in_turn(insights: Sequence[RecheckFinding]) -> Iterable[str]:
    """What came of running them one after the other, as the tests of one group."""
    seen = [tally for each in insights for tally in each.finding.tallies if tally.under == IN_TURN]
    if not seen:
        return
    passed = sum(not tally.bad for tally in seen)
    rest = len(insights) - len(seen)
    more = f", and for {rest} more there was no time" if rest else ""
    yield f"    tried: one after the other in one process {passed} of {len(seen)} pass{more}"


def order_of_lines(way: tuple[tuple[int, Kind], object]) -> tuple[int, bool]:
    """The key by which lines are sorted."""
    place, kind = way[0]
    return place, kind is not Kind.PLAIN


def headlines(result: RecheckResult) -> Iterable[str]:
    """How many failures there are, and how many roots, if that is not the same number."""
    failures = len({test for root in result.roots for test in root.tests})
    if len(result.roots) < failures:
        roots = len(result.roots)
        yield f"{failures} failures, {roots} root{'' if roots == 1 else 's'}"


def reason_of(missed: RecheckFinding, result: RecheckResult) -> str:
    """Why a test was not run again."""
    note = missed.finding.note
    if note != NOT_RECHECKED:
        return note.removeprefix(MISSED)
    more = f" (--recheck-budget={result.budget} would leave some)" if result.budget else ""
    return f"there was no time{more}"


def untried_line(insights: Sequence[RecheckFinding], result: RecheckResult) -> str:
    """What was left out of the attempts to show that these tests depend on no other."""
    notes = {insight.finding.note for insight in insights}
    note = notes.pop() if len(notes) == 1 else "not tried after all tests before them"
    would = budget_that_would_do(result)
    return f" ({note}{would and f': {would}'})"


def budget_that_would_do(result: RecheckResult) -> str:
    """The budget with which there would be enough time, if it is known."""
    return f"--recheck-budget={result.budget} would" if result.budget else ""


def meaning_of(finding: Finding) -> str:
    """What a finding says of its test, with the counts."""
    if finding.kind is Kind.FLAKY and finding.tallies and not any(tally.bad for tally in finding.tallies):
        runs = sum(tally.total for tally in finding.tallies)
        counts = ", ".join(f"{tally.under} {tally.total}" for tally in finding.tallies)
        return f"failed once, and not again in {runs} run{'' if runs == 1 else 's'}: {counts}"
    if finding.fails_since:
        return f"passed in the run, and fails since: a file or database may be to blame{counts_of(finding)}"
    return f"{MEANINGS[finding.kind]}{counts_of(finding)}"


def heading_of(insight: RecheckFinding) -> str:
    """The heading of a finding."""
    name = insight.finding.kind.value.upper().replace("-", " ")
    if insight.finding.kind in PLAINLY:
        return "COLLECTION DEPENDENT"
    return f"{name} (COLLECTION DEPENDENT)" if insight.collection_dependent else name


def counts_of(finding: Finding) -> str:
    """How often the test failed, under the conditions that matter."""
    role = ROLES.get(finding.kind)
    told = [tally for tally in finding.tallies if tally.under != IN_TURN]
    shown = [t for t in told if role is None or t.under in ("alone", f"after its {role}")]
    counts = [f"{tally.under} {tally.bad} of {tally.total}" for tally in shown]
    return f" (failures: {', '.join(counts)})" if counts else ""


def lines_of_state(changes: Sequence[StateChange] | None, kind: Kind) -> Iterable[str]:
    """What the state is that differs, and whether it is proven to be the cause."""
    if changes is None:
        return
    for change in changes:
        if change.proven:
            yield f"    proven: {change.slot} is {change.before} before and {change.after} after"
    if not any(change.proven for change in changes):
        how = "even if all else is put back" if kind is Kind.BRITTLE else "when it is put back"
        yield f"    no state was found that makes it pass {how}"


def lines_of_suggestion(suggestion: Suggestion | None) -> Iterable[str]:
    """What would help, and the patch."""
    if suggestion is not None:
        yield f"    tried: with this patch {GROUPED if suggestion.grouped else HELPS}"
        yield from (f"    {line}".rstrip() for line in suggestion.diff.split("\n")[:-1])


def shortened_command(command: str) -> str:
    """A command, cut if it is too long to read."""
    return command if len(command) <= READABLE else f"{command[:READABLE]}..."


def tried_line(confirmation: Confirmation) -> str:
    """What came of a command."""
    if confirmation.reason:
        return f"could not be confirmed ({confirmation.reason}): {shortened_command(confirmation.command)}"
    if confirmation.word is None:
        return f"not tried: {confirmation.command}"
    if confirmation.by_chance and not confirmation.holds:
        runs = f"{confirmation.runs} run{'' if confirmation.runs == 1 else 's'}"
        return f"has not failed in {runs}, but may: {confirmation.command}"
    if confirmation.runs > 1:
        return f"fails (1 of {confirmation.runs} runs): {confirmation.command}"
    ends = "fails" if confirmation.word.bad else "passes"
    return f"{ends}: {confirmation.command}"
