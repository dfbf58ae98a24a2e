"""Which failures may be the fork's doing, if a re-check has not answered that already, and how to try them.

A test that has failed in a fresh interpreter, too, is not a candidate. Neither is one that passes and fails
in forked processes under the same conditions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from pytest_procpar.core.fork_trial.trial import Group
from pytest_procpar.core.inquiry.findings import NOT_RECHECKED, PLAINLY, Finding, Kind
from pytest_procpar.core.inquiry.probes import Confirmation, Outcome
from pytest_procpar.core.inquiry.run_record import RunRecord
from pytest_procpar.core.inquiry.trials import AFTER, ALONE
from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.record import record

if TYPE_CHECKING:
    from pytest_procpar.core.inquiry.roots import Root

__all__ = ["Plan", "followers_of", "groups_of"]

_Tests: TypeAlias = tuple[TestIndex, ...]

#: A test that takes longer than this is slow, in seconds.
_LONG = 2.0

#: At most this many orders of tests are tried.
_MOST = 20


@record
class Plan:
    """What to try first, and what to try then for tests that may also fail by what runs beside them."""

    groups: tuple[Group, ...]
    beside: tuple[Group, ...]


def groups_of(
    findings: Sequence[Finding],
    confirmed: Mapping[Finding, Sequence[Confirmation]],
    others: Iterable[TestIndex],
    run: RunRecord,
    processes: int,
    roots: Iterable[Root] = (),
    *,
    spawned: bool = False,
) -> Plan:
    """The groups of tests to try.

    Tests that fail alone are tried in one process, apart from those that end it. Those that had processes of
    their own are tried in one process first, then each in its own.

    :param confirmed: what came of a finding's commands in fresh interpreters, the most telling first.
    :param others: failed tests that the re-check has not looked into.
    :param processes: how many may run at the same time.
    :param roots: tests that have failed in the same way. If one of a root fails anyway, so do the others.
    :param spawned: whether only the processes of single tests were forked, and not the workers: then what a
        worker shares with others is not the fork's doing.
    """
    contended: set[TestIndex] = set()
    known = {finding.test for finding in findings if _fails_anyway(confirmed.get(finding, ()))}
    # Few of the tests that hung can be looked into. If one of these hangs anyway, so may the others.
    hangs = any(run.word(test) is Outcome.HUNG for test in known)
    alike: set[TestIndex] = set()
    for root in roots:
        if known.intersection(root.tests):
            alike.update(root.tests)
        if root.contention:  # of two processes that want one port, one fails, however they were started
            contended.update(root.tests)
    alone: list[TestIndex] = list(others)
    after: list[_Tests] = []
    beside: list[TestIndex] = []
    for finding in findings:
        test = finding.test
        if not run.word(test).bad or _fails_anyway(confirmed.get(finding, ())):
            continue
        match finding.kind:
            case Kind.PARALLEL_ONLY | Kind.FLAKY if test in contended:
                pass
            case Kind.PLAIN | Kind.FAILS_ALONE if test in alike:
                pass
            case Kind.UNKNOWN if finding.note == NOT_RECHECKED and test in alike:
                pass
            case Kind.UNKNOWN if finding.note == NOT_RECHECKED and hangs and run.word(test) is Outcome.HUNG:
                pass
            case Kind.PLAIN | Kind.FAILS_ALONE | Kind.BRITTLE:
                alone.append(test)
            case Kind.UNKNOWN if finding.note == NOT_RECHECKED and _is_slow(test, run):
                pass  # there was no time to run it once, so there is none to run it ten times
            case Kind.VICTIM | Kind.CONTAMINATED_CRASH:
                after.append((*finding.cause, test))
            case Kind.PARALLEL_ONLY:
                beside.append(test)
            case Kind.FLAKY if not _wavers(finding):
                beside.append(test)
            case Kind.UNKNOWN if _always_bad(finding, ALONE) is not False:
                alone.append(test)
            case Kind.UNKNOWN if _always_bad(finding, AFTER):
                after.append((*run.before(test), test))
            case Kind.UNKNOWN:
                beside.append(test)
            case _:
                pass
    failing = sorted(test for test in alone if run.word(test) is Outcome.FAILED)
    own = [test for test in failing if run.is_alone(test)]
    shared = [test for test in failing if test not in own]
    single = [(test,) for test in alone if run.word(test) is not Outcome.FAILED or (test in own and own[1:])]
    orders = [order for order in (*single, *after) if order]
    groups = [Group((tuple(some),), tuple(some)) for some in (shared, own) if some]
    groups += [Group((order,), order[-1:]) for order in orders]
    parallel = [
        Group((((*run.before(test), test)), *run.company(test))[:processes], (test,))
        for test in beside
        if not spawned
    ]
    return Plan(tuple(groups[:_MOST]), tuple(group for group in parallel[:_MOST] if len(group.sequences) > 1))


def followers_of(roots: Iterable[Root], findings: Sequence[Finding]) -> list[Finding]:
    """Findings for which there was no time, while another test of the same root just fails."""
    plain = {finding.test for finding in findings if finding.kind in PLAINLY}
    alike = {test for root in roots if plain.intersection(root.tests) for test in root.tests}
    return [one for one in findings if one.note == NOT_RECHECKED and one.test in alike]


def _fails_anyway(confirmations: Sequence[Confirmation]) -> bool:
    """Whether a fresh interpreter has shown what the finding says: the test fails there as in forked ones."""
    first = confirmations[0] if confirmations else None
    return first is not None and first.expected_bad and first.word is not None and first.word.bad


def _is_slow(test: TestIndex, run: RunRecord) -> bool:
    """Whether a test that just fails may be slow: itself, or through a fixture that the first test set up."""
    return run.word(test) is Outcome.FAILED and run.longest() > _LONG


def _always_bad(finding: Finding, under: str) -> bool | None:
    """Whether the test failed each time under these conditions; None if it was never run under them."""
    counts = [tally for tally in finding.tallies if tally.under == under]
    return counts[0].bad == counts[0].total if counts else None


def _wavers(finding: Finding) -> bool:
    return any(0 < tally.bad < tally.total for tally in finding.tallies)
