"""Whether a test that fails alone also fails after the tests that precede it, and what to say then.

Most failing tests are plain bugs. So the questions here are cheap: does it fail after the tests of its file
that precede it, and then after all that precede it, as far as time allows? If it passes after some, that is
worth a search.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate

from pytest_procpar.core.inquiry.cause_search import OutOfTime, Search
from pytest_procpar.core.inquiry.findings import Case, Finding, Kind, Suspect, Tally
from pytest_procpar.core.inquiry.probes import Outcome
from pytest_procpar.core.inquiry.trials import AFTER, AFTER_MOST, AFTER_SOME, ALONE, ask
from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.record import changed

__all__ = ["CANNOT_BE_REACHED", "FailingAlone", "affordable", "beginning", "on_its_own"]

_Tests = tuple[TestIndex, ...]

#: How many tests that end their process are left out of an order to reach a suspect at its end.
_DETOURS = 8

CANNOT_BE_REACHED = "it fails alone; what precedes it could not be run to its end"


class FailingAlone:
    """Knows what precedes a suspect, and tries the suspect after that.

    :param preceding: returns the tests before a test in collected order, without those that end their
        process.
    :param file_of: returns something that tests of the same file have in common.
    :param affordable: returns, of tests that are to run in this order, those for which there is time.
    """

    def __init__(
        self,
        preceding: Callable[[TestIndex], _Tests],
        file_of: Callable[[TestIndex], object],
        affordable: Callable[[_Tests], _Tests],
    ) -> None:
        self._preceding = preceding
        self._file_of = file_of
        self._affordable = affordable
        #: Tests that have ended a process that still had tests to run.
        self._deadly: set[TestIndex] = set()

    def order(self, case: Case) -> _Tests:
        """The tests after which a suspect may pass."""
        seen = case.suspect.passed_after
        order = self._preceding(case.test) if seen is None else seen
        return tuple(test for test in order if test not in self._deadly)

    def look(self, cases: Sequence[Case]) -> Search[None]:
        """Try each after the tests of its file, then after all. What it passes after becomes its `worth`."""
        for case in cases:
            near = self._of_the_same_file(case)
            if near:
                yield from self._in_time(self._try_after(case, near, AFTER_SOME))
        rest = sorted((case for case in cases if case.worth is None), key=lambda case: case.test)
        if not rest:
            return
        kept = self._worth_a_try(rest)
        for case in rest:
            case.note = "time ran out before it was tried after all tests that precede it"
            yield from self._in_time(self._try_after_all(case, kept))
            if case.worth is None and case.suspect.word.bad and set(self.order(case)) <= case.failed_after:
                self.conclude(case)

    def conclude(self, case: Case) -> None:
        """Settle a suspect that has passed after nothing, by what is known of it."""
        untried = set(self.order(case)) - case.failed_after
        if case.wavers:
            case.settle(Kind.FLAKY)
        elif untried and case.cut_off:
            case.settle(Kind.UNKNOWN, CANNOT_BE_REACHED)
        elif case.suspect.word.good:  # it passed in the run
            if not untried:
                case.settle(Kind.FLAKY)
        elif untried:
            case.settle(Kind.FAILS_ALONE, _left_out(untried))
        else:
            case.settle(Kind.PLAIN)

    def standing(self, case: Case) -> Finding:
        """What is known of a suspect so far; if it has failed alone, that."""
        finding, seen = case.finding(), case.counted(ALONE)
        is_open = not case.settled and case.search is None and case.worth is None
        may_fail_alone = is_open and seen and all(seen) and case.suspect.word.bad
        # This is asked at each step of a search, so the part whose cost grows with the suite comes last.
        if may_fail_alone and (untried := set(self.order(case)) - case.failed_after):
            return changed(finding, kind=Kind.FAILS_ALONE, note=_left_out(untried))
        return finding

    def _worth_a_try(self, cases: Sequence[Case]) -> set[TestIndex]:
        """The tests to try suspects after: all that precede them, or some that they did not fail after."""
        every = {test for case in cases for test in self.order(case)}
        kept = set(self._affordable(tuple(sorted(every))))
        if kept != every:
            new = {test for case in cases for test in self.order(case) if test not in case.failed_after}
            kept = set(self._affordable(tuple(sorted(new))))
        return kept

    def _in_time(self, steps: Search[object]) -> Search[None]:
        """Go as far as time allows."""
        try:
            yield from steps
        except OutOfTime:
            return

    def _try_after(self, case: Case, order: _Tests, under: str) -> Search[Outcome]:
        word = yield from ask(case, under, order, number=1)
        if word.good and order:
            case.worth = (order, under)
        elif word.bad:
            case.failed_after.update(order)
        return word

    def _try_after_all(self, case: Case, kept: set[TestIndex]) -> Search[None]:
        """Try a suspect after all that precede it, or most of them; leave out what ends the process."""
        for _ in range(1 + _DETOURS):
            order = self.order(case)
            if order and order == case.suspect.failed_after and case.suspect.word.bad:
                case.count(AFTER, case.suspect.word)  # the run itself has tried that
                yield from ask(case, ALONE, (), number=2)  # and here whether it always fails
                return
            part = tuple(test for test in order if test in kept)
            if order and not part:
                return
            under = ALONE if not order else AFTER if part == order else AFTER_MOST
            word = yield from self._try_after(case, part, under)
            case.cut_off = word is Outcome.LOST
            if case.ended_by is None:
                return
            self._deadly.add(case.ended_by)

    def _of_the_same_file(self, case: Case) -> _Tests:
        order = self.order(case)
        file = self._file_of(case.test)
        near = tuple(test for test in order if self._file_of(test) == file)
        return () if near == order else near


def on_its_own(suspect: Suspect, preceding: _Tests) -> Finding:
    """What is known of a suspect that has failed alone once; `FailingAlone` deals with what precedes it."""
    untried = set(preceding) - set(suspect.failed_after or ())
    kind = Kind.FAILS_ALONE if untried else Kind.PLAIN
    note = _left_out(untried) if untried else ""
    return Finding(suspect.test, kind, tallies=(Tally(ALONE, 1, 1),), note=note)


def _left_out(untried: set[TestIndex]) -> str:
    return f"not tried after {len(untried)} test{'s' if len(untried) > 1 else ''} before it"


def affordable(tests: _Tests, seconds: Callable[[TestIndex], float], budget: float) -> _Tests:
    """Those of the tests that take at most `budget` seconds together: the slowest are left out.

    :param seconds: returns how long a test takes.
    """
    left = max(0.0, budget)
    kept = set()
    for test in sorted(tests, key=lambda test: (seconds(test), test)):
        left -= seconds(test)
        if left < 0:
            break
        kept.add(test)
    return tuple(test for test in tests if test in kept)


def beginning(tests: _Tests, seconds: Callable[[TestIndex], float], budget: float) -> _Tests:
    """The first of these tests that take at most `budget` seconds together, in their order."""
    for place, spent in enumerate(accumulate(map(seconds, tests))):
        if spent > budget:
            return tests[:place]
    return tests
