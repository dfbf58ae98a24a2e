"""Of suspects that have failed in the same way, only one is looked into: it leads, and others may follow."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_procpar.core.inquiry.findings import PLAINLY, Case, Kind
from pytest_procpar.core.inquiry.probes import Outcome
from pytest_procpar.core.inquiry.trials import IN_TURN

__all__ = ["Leaders"]


class Leaders:
    """Knows which suspect leads those of each root: the first one.

    :param single: how many suspects, from the first on, lead only themselves, unless the same fixture has
        failed, or they wanted the same thing at the same time.
    """

    def __init__(self, cases: Sequence[Case], single: int) -> None:
        self._cases = cases
        self._single = set(cases[:single])
        self._of_root: dict[int, Case] = {}
        for case in cases:
            if case.suspect.root is not None:
                self._of_root.setdefault(case.suspect.root, case)

    def of(self, case: Case) -> Case:
        """The leader of a suspect, which may be the suspect itself."""
        root = case.suspect.root
        single = case in self._single and not (case.suspect.alike or case.suspect.contention)
        return case if root is None or single else self._of_root[root]

    def followers(self, leader: Case) -> list[Case]:
        """The suspects that this one leads, itself included."""
        return [case for case in self._cases if self.of(case) is leader]

    def know(self, case: Case) -> bool:
        """Whether we know how an untried suspect ends alone: as its leader does."""
        leader = self.of(case)
        if case.suspect.contention:
            return leader.alone.good and not any(case.counted(IN_TURN))
        return case.suspect.alike and leader.alone.bad

    def settle(self, case: Case) -> bool:
        """Settle a suspect if what was found about its leader holds for it; return whether it is settled."""
        leader = self.of(case)
        word = leader.alone if self.know(case) else case.alone
        if leader.kind in PLAINLY and word.bad:
            case.settle(leader.kind, leader.note)
        elif leader.kind is Kind.PARALLEL_ONLY and word.good and not any(case.counted(IN_TURN)):
            case.beside = ()  # it was not itself run beside others
            case.settle(leader.kind)
        return case.settled

    def leave_open(self, case: Case) -> bool:
        """Whether to try an untried suspect alone after all: its failure may be more than a plain bug."""
        return case.alone is Outcome.LOST and self.of(case).kind not in PLAINLY
