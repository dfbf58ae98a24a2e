"""What a finding predicts for tests in a fresh process: the finding stands or falls by that."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_procpar.core.inquiry.findings import PLAINLY, Finding, Kind
from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.record import record

__all__ = ["Expected", "expected_of", "needing"]


@record
class Expected:
    """How the last of `tests`, run in one process with others `beside` it, should end: `bad`, or not."""

    finding: Finding
    tests: tuple[TestIndex, ...]
    bad: bool
    beside: tuple[tuple[TestIndex, ...], ...] = ()

    @property
    def everything(self) -> tuple[TestIndex, ...]:
        """All tests that run, in whatever process."""
        return self.tests + tuple(test for side in self.beside for test in side)


def expected_of(finding: Finding) -> list[Expected]:
    """What a finding predicts, the most telling prediction first."""
    test, cause = finding.test, finding.cause
    match finding.kind:
        case Kind.VICTIM | Kind.CONTAMINATED_CRASH if cause:
            return [Expected(finding, (*cause, test), bad=True), Expected(finding, (test,), bad=False)]
        case Kind.BRITTLE if cause:
            return [Expected(finding, (test,), bad=True), Expected(finding, (*cause, test), bad=False)]
        case Kind.NIO:
            return [Expected(finding, (test, test), bad=True)]
        case Kind.PARALLEL_ONLY if finding.sides:
            beside = Expected(finding, (test,), bad=True, beside=finding.sides)
            return [beside, Expected(finding, (test,), bad=False)]
        case Kind.PLAIN | Kind.FAILS_ALONE:
            return [Expected(finding, (test,), bad=True)]
        case _:
            return []


def needing(findings: Iterable[Finding]) -> int:
    """How many of these findings must each be seen in a fresh process before they are reported."""
    return sum(finding.kind not in PLAINLY and bool(expected_of(finding)) for finding in findings)
