"""What is wrong with a test: whether it depends on others, on company, or on nothing that shows.

An inquiry is a search (see `core.search`) over all suspects of a run. It can be ended between any two of its
steps; what it knows by then is in its findings.

Only probes of different tests share a batch, since batches may run at once, and a test that uses a port or a
file fails beside a second run of itself. A failure in a batch is therefore believed only when the test has
failed again with nothing beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .asking import (
    AFTER,
    AFTER_SOME,
    ALONE,
    BESIDE_SUSPECTS,
    REPEATS,
    ask,
    failed_elsewhere,
    note,
)
from .company import look_beside, narrow
from .findings import Case, Finding, Kind, Suspect, Tally
from .model import TestIndex
from .probes import Probe, Word
from .search import MOST, CauseSearch, Search

__all__ = ["Finding", "Inquiry", "Kind", "Suspect", "Tally"]

_Tests = tuple[TestIndex, ...]

#: From this many tests on parts of an order are tried before the whole, several at once, so many times.
_WORTH_PARTING = 32
_WAVES = 4
#: How many tests that end their process are left out of an order, to get to its end, a suspect.
_DETOURS = 8

_IN_A_CROWD = "it failed beside other probes only: nothing is known against it"


class Inquiry:
    """Looks into suspects, the likely answers first.

    :param preceding: gives the tests before a test in the order of the collection, without those that end
        their process.
    :param file_of: gives something that tests of the same file have in common.
    :param lanes: how many probes run at the same time.
    """

    def __init__(
        self,
        suspects: Sequence[Suspect],
        preceding: Callable[[TestIndex], tuple[TestIndex, ...]],
        file_of: Callable[[TestIndex], object],
        lanes: int = 1,
    ) -> None:
        self._cases = [Case(suspect) for suspect in suspects]
        self._preceding = preceding
        self._file_of = file_of
        self._lanes = lanes
        #: Tests that have ended a process which was to get further.
        self._deadly: set[TestIndex] = set()

    def findings(self) -> list[Finding]:
        """What is known by now, a finding a suspect."""
        return [case.finding() for case in self._cases]

    def steps(self) -> Search[None]:
        """Look into all suspects, one thing after another."""
        if not self._cases:
            return
        yield from self._try_alone()
        passing = [case for case in self._cases if not case.settled and case.alone.good]
        for case in sorted(passing, key=lambda case: len(case.suspect.failed_after or ())):
            if not case.settled:
                yield from self._look_for_polluters(case)
        for case in passing:
            if not case.settled:
                yield from self._repeat(case)
        yield from self._look_for_setters()
        for case in self._cases:
            if case.kind is Kind.PARALLEL_ONLY:
                yield from narrow(case)

    # --- alone ---

    def _try_alone(self) -> Search[None]:
        probes = [Probe((case.test,)) for case in self._cases]
        crowded = self._lanes > 1 and len(probes) > 1
        outcomes = yield probes
        for case, probe, outcome in zip(self._cases, probes, outcomes, strict=True):
            doubtful = crowded and outcome.of(probe).bad
            case.alone = note(case, BESIDE_SUSPECTS if doubtful else ALONE, probe, outcome)
            case.note = "the time was over before it was tried after other tests"
        for case in self._cases:
            if crowded and case.alone.bad:
                again = yield from ask(case, ALONE, (), number=1)
                case.alone = case.alone if again is Word.LOST else again
            if case.alone is Word.LOST:
                case.settle(Kind.UNKNOWN, "it could not be run alone")
            elif case.alone.good and case.suspect.word.good and case.suspect.failed_after is None:
                case.settle(Kind.UNKNOWN, "it passes alone too: nothing is known against it")

    # --- passes alone ---

    def _look_for_polluters(self, case: Case) -> Search[None]:
        if (yield from ask(case, ALONE, (), number=2)).bad:
            case.settle(Kind.FLAKY)
            return
        order = case.suspect.failed_after or ()
        for part in (yield from self._promising(case, order)):
            under = AFTER if part == order else AFTER_SOME
            if (yield from self._shows_always(case, part, under, bad=True)):
                yield from self._find_cause(case, part, bad=True)
                return
            if case.wavers:
                case.settle(Kind.FLAKY)
                return
        if case.suspect.word.good and case.counted(AFTER) and not failed_elsewhere(case):
            case.settle(Kind.UNKNOWN, _IN_A_CROWD)

    def _promising(self, case: Case, order: _Tests) -> Search[list[_Tests]]:
        """Parts of an order after which the suspect is likely to fail, and the whole.

        What ran last is tried first: most often the way to a polluter is not long.
        """
        if not order:
            return []
        parts = _parts(order, _WAVES * self._lanes)
        if len(order) < _WORTH_PARTING or self._lanes == 1:
            return [order]
        for at in range(0, len(parts), self._lanes):
            some = parts[at : at + self._lanes]
            probes = [Probe((*part, case.test)) for part in some]
            outcomes = yield probes
            words = [outcome.of(probe) for probe, outcome in zip(probes, outcomes, strict=True)]
            showing = [part for part, word in zip(some, words, strict=True) if word.bad]
            if showing:
                return [*showing, order]
        return [order]

    def _shows_always(self, case: Case, order: _Tests, under: str, *, bad: bool) -> Search[bool]:
        """Whether the suspect fails (or, if not `bad`, passes) after these tests, however often."""
        for i in range(1, 1 + REPEATS):
            word = yield from ask(case, under, order, number=i)
            if not (word.bad if bad else word.good):
                return False
        return True

    def _find_cause(self, case: Case, order: _Tests, *, bad: bool) -> Search[None]:
        """Search for the cause in `order`, after which it shows; try it on the others then."""
        search = case.search = CauseSearch(order, case.test, bad=bad)
        if (yield from search.steps()):
            if (yield from self._confirm(case, search, bad=bad)):
                yield from self._try_on_others(search.need, bad=bad)
        elif len(search.need) >= MOST:
            case.settle(Kind.UNKNOWN, f"its outcome depends on more than {MOST} tests before it together")
        elif search.lost:
            case.settle(Kind.UNKNOWN, f"the search for its {case.role} was stopped: a process was lost")
        else:
            case.settle(Kind.FLAKY, "the search for what it depends on was stopped: outcomes contradict")

    def _confirm(self, case: Case, search: CauseSearch, *, bad: bool) -> Search[bool]:
        """Believe a cause if it works every time, and the test without it behaves otherwise every time."""
        words = []
        for i in range(3, 3 + REPEATS):
            word = yield from ask(case, f"after its {case.role}", search.need, number=i, fresh=True)
            control = yield from ask(case, ALONE, (), number=i)
            words.append(word)
            if Word.LOST in (word, control):
                case.settle(Kind.UNKNOWN, f"its {case.role} could not be confirmed: a process was lost")
                return False
            if not search.shows(word) or search.shows(control):
                case.settle(Kind.FLAKY, f"what seemed to be its {case.role} does not always act")
                return False
        case.cause = search.need
        case.settle(self._kind_of(case, words, bad=bad))
        return True

    def _kind_of(self, case: Case, words: Sequence[Word], *, bad: bool) -> Kind:
        if not bad:
            return Kind.BRITTLE
        if case.cause == (case.test,):
            return Kind.NIO
        return Kind.CONTAMINATED_CRASH if Word.CRASHED in words else Kind.VICTIM

    def _try_on_others(self, cause: _Tests, *, bad: bool) -> Search[None]:
        """See which other suspects have the same cause: one fork each."""
        others = [case for case in self._cases if self._may_share(case, cause, bad=bad)]
        if not others:
            return
        probes = [Probe((*cause, case.test)) for case in others]
        outcomes = yield probes
        for case, probe, outcome in zip(others, probes, outcomes, strict=True):
            search = CauseSearch(cause, case.test, bad=bad)
            if search.shows(outcome.of(probe)) and (yield from search.try_cause(cause)):
                case.search = search
                note(case, "", probe, outcome)
                yield from self._confirm(case, search, bad=bad)

    def _may_share(self, case: Case, cause: _Tests, *, bad: bool) -> bool:
        if case.settled or (case.alone.bad if bad else not case.alone.bad):
            return False
        after = case.suspect.failed_after or () if bad else self._may_pass_after(case)
        return set(cause) <= set(after)

    # --- passes alone, and in company ---

    def _repeat(self, case: Case) -> Search[None]:
        """What shows neither alone nor in company may show beside others, or at times."""
        order = case.suspect.failed_after or ()
        parallel_only = yield from look_beside(case, order)
        after = case.counted(AFTER)
        if after and all(after) and not any(case.counted(ALONE)):  # it was not reached at the first attempt
            yield from self._find_cause(case, order, bad=True)
            return
        if parallel_only:
            case.settle(Kind.PARALLEL_ONLY)
        elif order and not case.counted(AFTER) and not failed_elsewhere(case):
            case.settle(Kind.UNKNOWN, "it passes alone; what ran before it could not be run to its end")
        elif case.suspect.word.good and self._lanes > 1 and not failed_elsewhere(case):
            case.settle(Kind.UNKNOWN, _IN_A_CROWD)
        else:
            case.settle(Kind.FLAKY)

    # --- fails alone ---

    def _may_pass_after(self, case: Case) -> _Tests:
        seen = case.suspect.passed_after
        order = self._preceding(case.test) if seen is None else seen
        return tuple(test for test in order if test not in self._deadly)

    def _look_for_setters(self) -> Search[None]:
        """Try what fails alone after the tests before it: first those of its file, then all."""
        cases = [case for case in self._cases if not case.settled and case.alone.bad]
        for case in cases:
            near = self._of_the_same_file(case)
            if near and not case.settled:
                yield from self._look_for_setter(case, near, AFTER_SOME)
        for case in sorted(cases, key=lambda case: case.test):
            if not case.settled:
                case.note = "the time was over before it was tried after all tests that precede it"
                yield from self._look_further(case)
                if not case.settled:
                    self._fails_anyway(case)

    def _look_further(self, case: Case) -> Search[None]:
        for _ in range(1 + _DETOURS):
            order = self._may_pass_after(case)
            yield from self._look_for_setter(case, order, AFTER if order else ALONE)
            if case.settled or case.ended_by is None:
                break
            self._deadly.add(case.ended_by)

    def _look_for_setter(self, case: Case, order: _Tests, under: str) -> Search[None]:
        if (yield from self._shows_always(case, order, under, bad=False)) and order:
            yield from self._find_cause(case, order, bad=False)
        elif case.wavers:
            case.settle(Kind.FLAKY)

    def _of_the_same_file(self, case: Case) -> _Tests:
        order = self._may_pass_after(case)
        file = self._file_of(case.test)
        near = tuple(test for test in order if self._file_of(test) == file)
        return () if near == order else near

    def _fails_anyway(self, case: Case) -> None:
        if not case.counted(AFTER) and self._may_pass_after(case):
            case.settle(Kind.UNKNOWN, "it fails alone; what precedes it could not be run to its end")
        elif case.suspect.word.good:  # it has passed in the run
            case.settle(Kind.FLAKY)
        else:
            case.settle(Kind.PLAIN)


def _parts(order: _Tests, most: int) -> list[_Tests]:
    """Parts of an order, as many as `most` at the most, the last one first.

    Where they begin are multiples of a power of two: so parts of a longer order begin alike, and what was run
    for one suspect is of use to the next.
    """
    size = 1
    while size * most < len(order):
        size *= 2
    return [order[start : start + size] for start in reversed(range(0, len(order), size))]
