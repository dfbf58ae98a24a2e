"""What is told of a re-check: each finding with all that belongs to it."""

from __future__ import annotations

from .findings import Finding, Kind
from .model import TestIndex
from .probes import Confirmation, Word
from .record import record

__all__ = ["Change", "Insight", "Rechecked"]

#: The kinds that go with a command, which has to do what they say before they are told.
_TRIED = (Kind.VICTIM, Kind.CONTAMINATED_CRASH, Kind.BRITTLE, Kind.NIO)


@record
class Change:
    """State that a polluter has changed: a name, and short representations of before and after.

    ``proven`` says that the other test passes once this one is put back, together with the other proven ones.
    """

    slot: str
    before: str
    after: str
    proven: bool


@record
class Insight:
    """A finding, how its test ended in the run, and the commands that show it.

    ``cleaners`` undo what its causes do, ``changes`` are how they do it: None if that was not asked for.
    """

    finding: Finding
    word: Word
    confirmations: tuple[Confirmation, ...] = ()
    cleaners: tuple[TestIndex, ...] | None = None
    changes: tuple[Change, ...] | None = None

    @property
    def collection_dependent(self) -> bool:
        """Whether a fresh process, which imports less, comes to another outcome."""
        certain = [tried for tried in self.confirmations if not tried.by_chance]
        return any(tried.word is not None and not tried.holds for tried in certain)

    @property
    def confirmed(self) -> bool:
        """Whether its first command was tried, if the finding is of a kind that has one."""
        tried = self.confirmations[:1]
        return self.finding.kind not in _TRIED or bool(tried and tried[0].word is not None)

    @property
    def flagged(self) -> bool:
        """Whether the test is flagged: something is known of it, beyond that it fails."""
        kind = self.finding.kind
        if kind is Kind.PLAIN:
            return self.collection_dependent
        return kind is not Kind.UNKNOWN and self.confirmed


@record
class Rechecked:
    """All that a re-check has come to.

    ``left_out`` are the failed tests that were not looked into, ``note`` says why it ended early, if it did.
    """

    insights: tuple[Insight, ...] = ()
    left_out: tuple[TestIndex, ...] = ()
    note: str = ""

    @property
    def flagged(self) -> list[Insight]:
        """What is to be told of tests by name."""
        return [insight for insight in self.insights if insight.flagged]
