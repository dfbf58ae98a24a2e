"""What is reported of a re-check: each finding with all that belongs to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_procpar.core.inquiry.findings import PLAINLY, Finding, Kind
from pytest_procpar.core.inquiry.probes import Confirmation, Outcome
from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.record import record

if TYPE_CHECKING:
    from pytest_procpar.core.inquiry.roots import Root
    from pytest_procpar.core.survey.pairs import Coverage

__all__ = ["ENDED_EARLY", "StateChange", "RecheckFinding", "RecheckResult", "Suggestion"]

#: How the note begins on a re-check that did not reach its end.
ENDED_EARLY = "the re-check has ended early:"

#: The kinds that come with a command, which must do what they say before they are reported.
_TRIED = (Kind.VICTIM, Kind.CONTAMINATED_CRASH, Kind.BRITTLE, Kind.NIO)


@record
class StateChange:
    """State that a polluter has changed: a name, and short representations of before and after.

    ``proven`` says that the other test passes once this slot is put back, together with the other proven
    ones. ``way`` and ``module`` tell what it is: see `remedies.Slot`.
    """

    slot: str
    before: str
    after: str
    proven: bool
    way: str = ""
    module: str = ""


@record
class Suggestion:
    """What was tried and helps: a fixture or marks, as a diff of files with paths from the rootdir.

    ``grouped`` says that it helps under ``--dist=loadgroup``, where tests of one group share a worker.
    """

    diff: str
    grouped: bool = False


@record
class RecheckFinding:
    """A finding, how its test ended in the run, and the commands that show it.

    ``cleaners`` undo what its causes do, and ``changes`` are how the causes do it; None if that was not asked
    for. With ``suggestion`` applied the test passes.
    """

    finding: Finding
    word: Outcome
    confirmations: tuple[Confirmation, ...] = ()
    cleaners: tuple[TestIndex, ...] | None = None
    changes: tuple[StateChange, ...] | None = None
    suggestion: Suggestion | None = None

    @property
    def collection_dependent(self) -> bool:
        """Whether the test ends differently in a fresh process, which imports less."""
        certain = [tried for tried in self.confirmations if not tried.by_chance]
        return any(tried.word is not None and not tried.holds for tried in certain)

    @property
    def confirmed(self) -> bool:
        """Whether its first command was tried, if findings of this kind have one."""
        tried = self.confirmations[:1]
        return self.finding.kind not in _TRIED or bool(tried and tried[0].word is not None)

    @property
    def flagged(self) -> bool:
        """Whether the test is flagged: more is known of it than that it fails."""
        kind = self.finding.kind
        if kind in PLAINLY:
            return self.collection_dependent
        return kind is not Kind.UNKNOWN and self.confirmed


@record
class RecheckResult:
    """All that a re-check has found.

    ``left_out`` are the failed tests that were not looked into, ``starved`` those that the kernel seems to
    have killed because memory ran out. ``note`` says why the re-check ended early, if it did. ``put_back``
    are the files that tests changed when they ran again and that have been restored, ``altered`` those that
    could not be. ``roots`` are those of all failures. With a ``budget`` of that many seconds more could be
    said; 0: nothing was left out because time ran out. ``coverage`` says how much was tried to find what
    hides, if that was asked for.
    """

    insights: tuple[RecheckFinding, ...] = ()
    left_out: tuple[TestIndex, ...] = ()
    note: str = ""
    starved: tuple[TestIndex, ...] = ()
    put_back: tuple[str, ...] = ()
    altered: tuple[str, ...] = ()
    roots: tuple[Root, ...] = ()
    budget: int = 0
    coverage: Coverage | None = None

    @property
    def flagged(self) -> list[RecheckFinding]:
        """The findings that are reported with the test's name."""
        return [insight for insight in self.insights if insight.flagged]
