"""What a re-check knows so far: findings, their roots and causes, what was confirmed, and what would help.

Starts nothing and waits for nothing. Whoever finds something out writes it down here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from pytest_procpar.core.inquiry.findings import FAILED_AGAIN, OUT_OF_TIME
from pytest_procpar.core.inquiry.inquiry import Finding, Kind
from pytest_procpar.core.inquiry.probes import Confirmation
from pytest_procpar.core.inquiry.roots import Root
from pytest_procpar.core.inquiry.run_record import RunRecord
from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.recheck.result import RecheckFinding, RecheckResult, StateChange, Suggestion
from pytest_procpar.core.recheck.retrial import Retried
from pytest_procpar.core.record import changed
from pytest_procpar.core.survey.comparing import merged
from pytest_procpar.recheck.fork_trial import Blamed, TrialResult
from pytest_procpar.recheck.mishaps import Mishaps
from pytest_procpar.system.kept_files import PutBack

if TYPE_CHECKING:
    from pytest_procpar.core.survey.pairs import Coverage

__all__ = ["POLLUTED", "Casebook", "Cause", "cause_of", "is_confirmed", "is_cut_off", "polluters_of"]

#: A cause, and whether tests need it (or fail because of it).
Cause: TypeAlias = tuple[tuple[TestIndex, ...], bool]

#: The kinds whose cause is a polluter.
POLLUTED = (Kind.VICTIM, Kind.CONTAMINATED_CRASH)

#: The kinds whose cause has an effect that can be looked into.
_DEPENDENT = (*POLLUTED, Kind.BRITTLE, Kind.NIO)


class Casebook:
    """What is known of the tests that a re-check looks into.

    :param run_record: what the run has left behind.
    """

    def __init__(self, run_record: RunRecord) -> None:
        self._run = run_record
        self.findings: list[Finding] = []
        self.roots: tuple[Root, ...] = ()
        #: Failed tests that are beyond the number of those looked into.
        self.left_out: list[TestIndex] = []
        #: What fresh processes showed of each finding.
        self.tried: dict[Finding, list[Confirmation]] = {}
        #: What became of findings of earlier runs.
        self.retried: list[Retried] = []
        #: The tests that the fork is to blame for.
        self.blamed: tuple[Blamed, ...] = ()
        #: By polluters: the tests that undo their effect.
        self.cleaners: dict[tuple[TestIndex, ...], tuple[TestIndex, ...]] = {}
        #: By cause, and whether it is needed: the state that it changes, and what would help against it.
        self.changes: dict[Cause, tuple[StateChange, ...]] = {}
        self.suggestions: dict[Cause, Suggestion | None] = {}
        #: By parallel-only test: what keeps it from running beside the others.
        self.groups: dict[TestIndex, Suggestion | None] = {}

    def merge(self, findings: Sequence[Finding]) -> None:
        """Take in findings: of two about one test, the one that says more stays."""
        self.findings = merged(self.findings, findings)

    def settle(self, finding: Finding) -> None:
        """Replace what is said about a test by this finding."""
        self.findings = [finding if one.test == finding.test else one for one in self.findings]

    def replace(self, found: dict[Finding, Finding]) -> None:
        """Replace findings by others that say more of the same tests, and keep what was tried of them."""
        for old, new in found.items():
            self.tried[new] = self.tried.pop(old, [])
        self.findings = [found.get(finding, finding) for finding in self.findings]

    def failed_again(self, followers: Sequence[Finding]) -> None:
        """Note which of these failed once more with others of their root, without a try of their own."""
        self.replace(
            {
                one: changed(one, note=FAILED_AGAIN)
                for one in followers
                if is_confirmed(self.tried.get(one, ()))
            }
        )

    def blame(self, result: TrialResult) -> None:
        """Take over the result of a trial of the fork."""
        self.findings = result.told(self.findings, self.tried)
        self.left_out = [test for test in self.left_out if test not in result.tests]
        self.blamed = result.blamed

    # --- what can be asked ---

    def contended(self) -> dict[TestIndex, tuple[TestIndex, ...]]:
        """By test that wanted something at the same time as others: all tests that wanted it."""
        return {test: root.tests for root in self.roots if root.contention for test in root.tests}

    def first_of_roots(self) -> frozenset[TestIndex]:
        """The first test of each root: the one that is looked into."""
        return frozenset(root.tests[0] for root in self.roots)

    def polluters(self) -> dict[tuple[TestIndex, ...], TestIndex]:
        """The causes that make tests fail, each with a victim."""
        return {polluters_of(one): one.test for one in reversed(self.findings) if polluters_of(one)}

    def causes(self) -> dict[Cause, TestIndex]:
        """The causes whose effect can be looked into, each with a test that depends on it."""
        explicable = [one for one in self.findings if cause_of(one)[0] and one.kind in _DEPENDENT]
        return {cause_of(one): one.test for one in reversed(explicable)}

    def could_be_helped(self) -> bool:
        """Whether there may be something to suggest that makes a test pass."""
        return any(
            polluters_of(one) or (one.kind is Kind.PARALLEL_ONLY and one.beside) for one in self.findings
        )

    def result(
        self, mishaps: Mishaps, files: PutBack, budget: int, coverage: Coverage | None
    ) -> RecheckResult:
        """What the re-check came to.

        :param files: what was put back of the user's files.
        :param budget: the budget that would settle what is open, in seconds; 0 for none.
        :param coverage: the pairs of tests that a deep survey has tried.
        """
        return RecheckResult(
            tuple(self._told(finding, mishaps) for finding in self.findings),
            tuple(self.left_out),
            mishaps.note,
            self._run.starved(),
            put_back=files.changed,
            altered=files.lost,
            roots=self.roots,
            budget=budget,
            coverage=coverage,
        )

    def _told(self, finding: Finding, mishaps: Mishaps) -> RecheckFinding:
        cause = cause_of(finding)
        return RecheckFinding(
            mishaps.told(finding),
            self._run.word(finding.test),
            tuple(self.tried.get(finding, ())),
            self.cleaners.get(polluters_of(finding)),
            self.changes.get(cause),
            self.suggestions.get(cause) or self.groups.get(finding.test),
        )


def is_confirmed(confirmations: Sequence[Confirmation]) -> bool:
    """Whether a fresh process has shown what a finding says."""
    return any(tried.holds for tried in confirmations[:1])


def is_cut_off(finding: Finding) -> bool:
    """Whether there was no time to find out more about it."""
    return finding.kind is Kind.FAILS_ALONE or (finding.kind is Kind.UNKNOWN and OUT_OF_TIME in finding.note)


def polluters_of(finding: Finding) -> tuple[TestIndex, ...]:
    """The tests that make this one fail, if there are any."""
    return finding.cause if finding.kind in POLLUTED else ()


def cause_of(finding: Finding) -> Cause:
    """What the test depends on; an empty cause if nothing."""
    if finding.kind is Kind.NIO:
        return ((finding.test,), False)
    return (finding.cause, finding.kind is Kind.BRITTLE)
