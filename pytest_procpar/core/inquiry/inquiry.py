"""What is wrong with a test: whether it depends on others, on company, or on nothing that shows.

An inquiry is a search (see `core.inquiry.cause_search`) over all suspects of a run. It can be ended between
any two of its steps; its findings say what it knows by then.

Only probes of different tests share a batch: the probes of a batch may run at once, and a test that uses a
port or a file fails beside a second run of itself. A failure in a batch is therefore believed only once the
test has failed again with nothing beside it.

Cheap probes come first, for all suspects: each suspect alone, and then those that fail alone after the tests
that precede them. Of suspects with the same root only one is looked into, if the others end like it when they
run alone. Suspects that hung come last, since each of their probes may take that long again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pytest_procpar.core.inquiry.cause_search import MOST, CauseSearch, OutOfTime, Search
from pytest_procpar.core.inquiry.failing_alone import CANNOT_BE_REACHED, FailingAlone
from pytest_procpar.core.inquiry.findings import NOTHING_KNOWN, Case, Finding, Kind, Suspect, Tally
from pytest_procpar.core.inquiry.leaders import Leaders
from pytest_procpar.core.inquiry.parallel_only import look_beside, meet, narrow, take_turns
from pytest_procpar.core.inquiry.probes import Outcome, Probe
from pytest_procpar.core.inquiry.trials import (
    AFTER,
    AFTER_SOME,
    ALONE,
    BESIDE_SUSPECTS,
    REPEATS,
    ask,
    failed_elsewhere,
    note,
)
from pytest_procpar.core.model import TestIndex

__all__ = ["Finding", "Inquiry", "Kind", "Suspect", "Tally"]

_Tests = tuple[TestIndex, ...]

#: From this many tests on, parts of an order are tried before the whole: several at once, in this many waves.
_WORTH_PARTING = 32
_WAVES = 4
_IN_A_CROWD = f"it failed beside other probes only: {NOTHING_KNOWN}"


class Inquiry:
    """Looks into suspects, the likely answers first.

    :param preceding: returns the tests before a test in collected order, without those that end their
        process.
    :param file_of: returns something that tests of the same file have in common.
    :param concurrency: how many probes run at the same time.
    :param affordable: returns, of tests that are to run in this order, those for which there is time.
    :param thorough: how many suspects, from the first on, to look into by themselves, whatever their roots.
    """

    def __init__(
        self,
        suspects: Sequence[Suspect],
        preceding: Callable[[TestIndex], _Tests],
        file_of: Callable[[TestIndex], object],
        concurrency: int = 1,
        *,
        affordable: Callable[[_Tests], _Tests] = lambda tests: tests,
        thorough: int = 0,
    ) -> None:
        self._cases = [Case(suspect) for suspect in suspects]
        self._alone = FailingAlone(preceding, file_of, affordable)
        self._concurrency = concurrency
        self._thorough = thorough > 0
        self._leaders = Leaders(self._cases, thorough)
        #: Whether there is something to find, so that probes may now take the time of a search.
        self.searching = False
        #: Whether tests that want the same thing run one after the other: what is wrong is known by then.
        self.trying_turns = False

    def findings(self) -> list[Finding]:
        """What is known by now, one finding per suspect."""
        return [self._alone.standing(case) for case in self._cases]

    def steps(self) -> Search[None]:
        """Look into all suspects, one after another, as far as time allows."""
        for hung in (False, True):
            cases = [case for case in self._cases if (case.suspect.word is Outcome.HUNG) == hung]
            leaders = [case for case in cases if self._leaders.of(case) is case]
            followers = [case for case in cases if self._leaders.of(case) is not case]
            self.searching = hung
            yield from self._try_alone(leaders)
            yield from self._try_after_others(leaders)
            yield from self._try_alone([case for case in followers if not self._leaders.know(case)])
            yield from self._meet(leaders)
            self.searching = True
            yield from self._look_into(leaders)
            followers = [case for case in followers if not self._leaders.settle(case)]
            yield from self._try_alone([case for case in followers if self._leaders.leave_open(case)])
            yield from self._try_after_others(followers)
            yield from self._look_into(followers)

    def _try_after_others(self, cases: Sequence[Case]) -> Search[None]:
        """Try what fails alone after the tests that precede it; what hangs only if there is time for all."""
        failing = [case for case in cases if not case.settled and case.alone.bad]
        if not self._thorough:
            failing = [case for case in failing if case.suspect.word is not Outcome.HUNG]
        yield from self._alone.look(failing)

    def _meet(self, cases: Sequence[Case]) -> Search[None]:
        """Try suspects in contention beside others, and those that want the same thing in turn."""
        for case in cases:
            if case.suspect.contention and case.alone.good:
                yield from self._in_time(case, meet)
            together = self._leaders.followers(case)
            if case.kind is Kind.PARALLEL_ONLY and len(together) > 1:
                self.trying_turns = True
                yield from take_turns(together)
                self.trying_turns = False

    def _look_into(self, cases: Sequence[Case]) -> Search[None]:
        """Look into suspects that were tried alone, and into those that fail then after others."""
        passing = [case for case in cases if not case.settled and case.alone.good]
        for case in sorted(passing, key=lambda case: len(case.suspect.failed_after or ())):
            yield from self._in_time(case, self._look_for_polluters)
        for case in passing:
            yield from self._in_time(case, self._repeat)
        for case in cases:
            yield from self._in_time(case, self._look_for_setter)
        for case in cases:
            if not case.settled and case.alone.bad and case.search is None:
                self._alone.conclude(case)
        for case in cases:
            # Of several that want the same thing we know what they meet: each other.
            in_turn = case.suspect.contention and len(self._leaders.followers(case)) > 1
            if case.kind is Kind.PARALLEL_ONLY and not in_turn:
                yield from self._in_time(case, narrow, settled=True)

    def _in_time(
        self, case: Case, look: Callable[[Case], Search[None]], *, settled: bool = False
    ) -> Search[None]:
        """Look into a suspect as far as time allows: one that is open or, with `settled`, one that is not."""
        if case.settled == settled:
            try:
                yield from look(case)
            except OutOfTime:
                return

    # --- alone ---

    def _try_alone(self, cases: Sequence[Case]) -> Search[None]:
        if not cases:
            return
        probes = [Probe((case.test,)) for case in cases]
        crowded = self._concurrency > 1 and len(probes) > 1
        outcomes = yield probes
        tried = []
        for case, probe, outcome in zip(cases, probes, outcomes, strict=True):
            if outcome.in_time:
                tried.append(case)
                doubtful = crowded and outcome.of(probe).bad and not self._leaders.of(case).alone.bad
                case.alone = note(case, BESIDE_SUSPECTS if doubtful else ALONE, probe, outcome)
                case.note = "time ran out before it was tried after other tests"
        for case in tried:
            if case.counted(BESIDE_SUSPECTS):
                yield from self._in_time(case, self._try_alone_again)
            if case.alone is Outcome.LOST:
                case.settle(Kind.UNKNOWN, "it could not be run alone")
            elif case.alone.good and case.suspect.word.good and case.suspect.failed_after is None:
                case.settle(Kind.UNKNOWN, f"it passes alone too: {NOTHING_KNOWN}")

    def _try_alone_again(self, case: Case) -> Search[None]:
        again = yield from ask(case, ALONE, (), number=1)
        case.alone = case.alone if again is Outcome.LOST else again

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

        What ran last is tried first: most often a polluter ran shortly before.
        """
        if not order:
            return []
        parts = _parts(order, _WAVES * self._concurrency)
        if len(order) < _WORTH_PARTING or self._concurrency == 1 or case.suspect.kept:
            return [order]
        for at in range(0, len(parts), self._concurrency):
            some = parts[at : at + self._concurrency]
            probes = [Probe((*part, case.test)) for part in some]
            outcomes = yield probes
            if not any(outcome.in_time for outcome in outcomes):
                raise OutOfTime
            words = [outcome.of(probe) for probe, outcome in zip(probes, outcomes, strict=True)]
            showing = [part for part, word in zip(some, words, strict=True) if word.bad]
            if showing:
                return [*showing, order]
        return [order]

    def _shows_always(
        self, case: Case, order: _Tests, under: str, *, bad: bool, first: int = 1
    ) -> Search[bool]:
        """Whether the suspect always fails (or, if not `bad`, always passes) after these tests.

        :param first: the number of the first run; the runs before it were made already.
        """
        for i in range(first, 1 + REPEATS):
            word = yield from ask(case, under, order, number=i)
            if not (word.bad if bad else word.good):
                return False
        return True

    def _find_cause(self, case: Case, order: _Tests, *, bad: bool) -> Search[None]:
        """Search for the cause in `order`, after which the symptom shows; then try it on other suspects."""
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
        """Believe a cause if it works every time, and the test ends differently every time without it."""
        words = []
        for i in range(3, 3 + REPEATS):
            word = yield from ask(case, f"after its {case.role}", search.need, number=i, fresh=True)
            control = yield from ask(case, ALONE, (), number=i)
            words.append(word)
            if Outcome.LOST in (word, control):
                case.settle(Kind.UNKNOWN, f"its {case.role} could not be confirmed: a process was lost")
                return False
            if not search.shows(word) or search.shows(control):
                case.settle(Kind.FLAKY, f"what seemed to be its {case.role} does not always act")
                return False
        case.cause = search.need
        case.settle(self._kind_of(case, words, bad=bad))
        return True

    def _kind_of(self, case: Case, words: Sequence[Outcome], *, bad: bool) -> Kind:
        if not bad:
            return Kind.BRITTLE
        if case.cause == (case.test,):
            return Kind.NIO
        return Kind.CONTAMINATED_CRASH if Outcome.CRASHED in words else Kind.VICTIM

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
        if case.settled or not (case.alone.good if bad else case.alone.bad):
            return False
        return set(cause) <= set(case.suspect.failed_after or () if bad else self._alone.order(case))

    # --- passes alone, and in company ---

    def _repeat(self, case: Case) -> Search[None]:
        """Try beside others, and often, a suspect that fails neither alone nor in company."""
        order = case.suspect.failed_after or ()
        if case.suspect.contention:
            yield from meet(case)
            if case.settled:
                return
        parallel_only = yield from look_beside(case, order)
        after = case.counted(AFTER)
        if after and all(after) and not any(case.counted(ALONE)):  # the first attempt had not reached it
            yield from self._find_cause(case, order, bad=True)
            return
        if parallel_only:
            case.settle(Kind.PARALLEL_ONLY)
        elif order and not case.counted(AFTER) and not failed_elsewhere(case):
            case.settle(Kind.UNKNOWN, "it passes alone; what ran before it could not be run to its end")
        elif case.suspect.word.good and self._concurrency > 1 and not failed_elsewhere(case):
            case.settle(Kind.UNKNOWN, _IN_A_CROWD)
        else:
            case.settle(Kind.FLAKY)

    # --- fails alone ---

    def _look_for_setter(self, case: Case) -> Search[None]:
        """Search for what it passes after, if it has passed after anything and does so again."""
        if case.worth is None:
            return
        order, under = case.worth
        case.note = "time ran out before its state-setter was found"
        if (yield from self._shows_always(case, order, under, bad=False, first=2)):
            yield from self._find_cause(case, order, bad=False)
        elif case.wavers:
            case.settle(Kind.FLAKY)
        else:
            case.settle(Kind.UNKNOWN, CANNOT_BE_REACHED)


def _parts(order: _Tests, most: int) -> list[_Tests]:
    """Parts of an order, at most `most` of them, the last one first.

    Each begins at a multiple of a power of two, so that parts of a longer order begin alike, and what was run
    for one suspect is useful for the next.
    """
    size = 1
    while size * most < len(order):
        size *= 2
    return [order[start : start + size] for start in reversed(range(0, len(order), size))]
