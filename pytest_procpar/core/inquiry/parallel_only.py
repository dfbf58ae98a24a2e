"""Whether a test fails because of what runs beside it, and because of which part of that.

Tests that run at the same time may or may not meet. So it says little that a test passes beside others once;
that it fails beside them says much, if it never fails without them.
"""

from __future__ import annotations

from collections.abc import Sequence

from pytest_procpar.core.inquiry.cause_search import CauseSearch, Search
from pytest_procpar.core.inquiry.findings import Case, Kind
from pytest_procpar.core.inquiry.probes import Probe
from pytest_procpar.core.inquiry.trials import (
    AFTER,
    ALONE,
    BESIDE,
    BESIDE_SOME,
    IN_TURN,
    ROUNDS,
    ask,
    ask_often,
    failed_elsewhere,
)
from pytest_procpar.core.model import TestIndex

__all__ = ["look_beside", "meet", "narrow", "take_turns"]

_Sides = tuple[tuple[TestIndex, ...], ...]

#: A test is parallel-only if it failed this often beside others, and never in `_CONTROLS` times as many runs
#: without them: if the others did not matter, that would happen by chance in less than one case in a hundred.
_FAILURES, _CONTROLS = 3, 4


def meet(case: Case) -> Search[None]:
    """Run a suspect in contention beside others. Its message says why it fails, so once is enough."""
    case.note = "time ran out before it was tried beside other tests"
    yield from _ask_beside(case, BESIDE, case.suspect.beside, enough=1)
    if any(case.counted(BESIDE)) and not failed_elsewhere(case):
        case.settle(Kind.PARALLEL_ONLY)


def take_turns(cases: Sequence[Case]) -> Search[None]:
    """Run those that want the same thing one after the other in one process, as far as time allows.

    What passes there fails for no other reason, and running them as one group helps.
    """
    probe = Probe(tuple(sorted(case.test for case in cases)))
    (outcome,) = yield [probe]
    words = dict(zip(probe.tests, outcome.words, strict=False))
    for case in cases:
        if case.test in words:
            case.count(IN_TURN, words[case.test])


def look_beside(case: Case, order: tuple[TestIndex, ...]) -> Search[bool]:
    """Run a suspect beside others and without them; return whether it is parallel-only.

    :param order: what its worker had run before it: that is tried, too.
    """
    case.note = "time ran out before it was tried beside other tests"
    yield from _ask_beside(case, BESIDE, case.suspect.beside)
    case.note = "time ran out before it was repeated often enough"
    yield from ask_often(case, (), range(6, 6 + ROUNDS))
    if order:
        yield from ask_often(case, order, range(6, 6 + ROUNDS))
    beside = case.counted(BESIDE)
    if sum(beside) < _FAILURES or failed_elsewhere(case):
        return False
    missing = _CONTROLS * len(beside) - len(case.counted(ALONE) + case.counted(AFTER))
    yield from ask_often(case, (), range(6 + ROUNDS, 6 + ROUNDS + missing))
    return not failed_elsewhere(case)


def narrow(case: Case) -> Search[None]:
    """Find out which of the tests beside it make a parallel-only test fail; what is known stays known."""
    search = _PartnerSearch(case)
    if len(search.candidates()) < 2:
        return
    case.settle(Kind.PARALLEL_ONLY, "time ran out before it was found out which of these matter")
    if (yield from search.steps()):
        sides = search.sides(search.need)
        yield from _ask_beside(case, BESIDE_SOME, sides)
        if sum(case.counted(BESIDE_SOME)) >= _FAILURES:
            case.beside = sides
            case.settle(Kind.PARALLEL_ONLY)
            return
    case.settle(Kind.PARALLEL_ONLY, "which of these matter could not be found out")


def _ask_beside(case: Case, under: str, sides: _Sides, enough: int = _FAILURES) -> Search[None]:
    """Run a suspect beside others until it has failed often enough, or does not seem to fail."""
    for i in range(2 * ROUNDS if sides else 0):
        failed = sum(case.counted(under))
        if failed >= enough or (i >= ROUNDS and not failed):
            break
        yield from ask(case, under, number=i, beside=sides)


class _PartnerSearch(CauseSearch):
    """The search for a cause with "beside" for "after": one failure in several runs is enough to show it.

    The fewer tests run beside a suspect, again and again, the more often it meets each of them.
    """

    def __init__(self, case: Case) -> None:
        self._case = case
        failed = case.counted(BESIDE)
        self._tries = ROUNDS if 2 * sum(failed) >= len(failed) else 2 * ROUNDS
        others = dict.fromkeys(test for side in case.suspect.beside for test in side)
        super().__init__(tuple(others), case.test, bad=True)

    def sides(self, tests: tuple[TestIndex, ...]) -> _Sides:
        """These tests, each in the sequence where it ran."""
        chosen = [tuple(test for test in side if test in tests) for side in self._case.suspect.beside]
        return tuple(side for side in chosen if side)

    def shows_after(self, tests: tuple[TestIndex, ...]) -> Search[bool]:
        """Whether the suspect fails beside these tests, in one of several runs."""
        for i in range(self._tries):
            if (yield from ask(self._case, "", number=i, beside=self.sides(tests))).bad:
                return True
        return False
