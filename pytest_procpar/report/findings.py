"""What the re-check has found, as the user sees it: a section of the terminal summary."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pytest

from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.probes import Confirmation
from pytest_procpar.core.suspects import Finding, Kind

__all__ = ["Findings"]

#: More tests than this are counted, not listed, where listing them says little.
_LISTED = 5


class Findings:
    """Holds the findings of a run, and writes them.

    :param nodeid: gives a test's nodeid.
    """

    def __init__(self, config: pytest.Config, nodeid: Callable[[TestIndex], str]) -> None:
        self._config = config
        self._nodeid = nodeid
        self._findings: Sequence[Finding] = ()
        self._confirmations: Mapping[TestIndex, Sequence[Confirmation]] = {}
        self._left_out: Sequence[TestIndex] = ()
        self._note = ""

    def found(
        self,
        findings: Sequence[Finding],
        confirmations: Mapping[TestIndex, Sequence[Confirmation]],
        left_out: Sequence[TestIndex],
        note: str,
    ) -> None:
        """What the re-check has come to, and what came of the commands that go with it.

        :param left_out: the tests that it did not look at.
        :param note: why it ended early, if it did.
        """
        self._findings = findings
        self._confirmations = confirmations
        self._left_out = left_out
        self._note = note

    @property
    def count(self) -> int:
        """How many tests are flagged."""
        return sum(finding.kind not in (Kind.PLAIN, Kind.UNKNOWN) for finding in self._findings)

    # --- the section ---

    def write(self, reporter: Any) -> None:
        """Write the section, if there is anything to say."""
        lines = [*self._blocks(), *self._rest()]
        if lines:
            reporter.write_sep("=", "procpar: re-check")
            for line in lines:
                reporter.write_line(line)

    def _blocks(self) -> Iterable[str]:
        """A block for each root cause, and for each kind that has none."""
        roots: dict[tuple[Kind, tuple[TestIndex, ...]], list[Finding]] = {}
        for finding in self._findings:
            if finding.kind not in (Kind.PLAIN, Kind.UNKNOWN):
                roots.setdefault((finding.kind, finding.cause), []).append(finding)
        for (kind, cause), findings in roots.items():
            yield from self._block(kind, cause, findings)

    def _block(self, kind: Kind, cause: tuple[TestIndex, ...], findings: list[Finding]) -> Iterable[str]:
        for finding in findings:
            yield f"{kind.value.upper()} {self._nodeid(finding.test)}"
            if finding.message:
                yield f"    {finding.message}"
            yield f"    {self._meaning(finding)}"
            if finding.note:
                yield f"    {finding.note}"
        for test in cause:
            yield f"    {_CAUSES[kind]}: {self._nodeid(test)}"
        for finding in findings:
            for confirmation in self._confirmations.get(finding.test, ()):
                yield f"    {_confirmed(confirmation)}"

    def _meaning(self, finding: Finding) -> str:
        counts = ", ".join(
            f"{tally.under}: {_counted(tally.bad, tally.total)}" for tally in finding.tallies if tally.total
        )
        return f"{_MEANINGS[finding.kind]} ({counts})" if counts else _MEANINGS[finding.kind]

    def _rest(self) -> Iterable[str]:
        """What was not flagged, in few lines."""
        plain = [finding for finding in self._findings if finding.kind is Kind.PLAIN]
        if plain:
            names = ", ".join(self._nodeid(finding.test) for finding in plain[:_LISTED])
            more = f" and {len(plain) - _LISTED} more" if len(plain) > _LISTED else ""
            yield f"fail alone too: {names}{more}"
        for finding in self._findings:
            if finding.kind is Kind.UNKNOWN and finding.note:
                yield f"not settled: {self._nodeid(finding.test)}: {finding.note}"
        if self._note:
            yield self._note
        if self._left_out:
            names = ", ".join(map(self._nodeid, self._left_out[:_LISTED]))
            more = f" and {len(self._left_out) - _LISTED} more" if len(self._left_out) > _LISTED else ""
            yield f"not re-checked, since there are more than --recheck-tests: {names}{more}"


_CAUSES = {
    Kind.VICTIM: "polluter",
    Kind.CONTAMINATED_CRASH: "polluter",
    Kind.BRITTLE: "state-setter",
}

_MEANINGS = {
    Kind.VICTIM: "passes alone, fails after its polluter",
    Kind.CONTAMINATED_CRASH: "passes alone, crashes after its polluter",
    Kind.BRITTLE: "fails alone, passes after its state-setter",
    Kind.NIO: "passes, and fails when it is run a second time in the same process",
    Kind.PARALLEL_ONLY: "fails only while other tests run beside it",
    Kind.FLAKY: "passes and fails under the same conditions",
}


def _confirmed(confirmation: Confirmation) -> str:
    """What came of a command."""
    if confirmation.word is None:
        return f"not tried in a fresh process: {confirmation.command}"
    ends = "fails" if confirmation.word.bad else "passes"
    if confirmation.holds:
        return f"{ends}: {confirmation.command}"
    return f"collection-dependent: in a fresh process it {ends} with: {confirmation.command}"


def _counted(bad: int, total: int) -> str:
    return f"fails {bad} of {total}"
