"""What is wrong with a test: whether it depends on others, on company, or on nothing that shows.

An inquiry is a search (see `core.search`) over all suspects of a run. It can be ended between any two of its
steps; what it knows by then is in its findings.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum

from .model import TestIndex
from .probes import Outcome, Probe, Word
from .record import record
from .search import CauseSearch, Search

__all__ = ["Finding", "Inquiry", "Kind", "Suspect", "Tally"]

#: How often a cause is tried before it is believed, and the test without it too.
REPEATS = 3
#: How often a test that passes alone and in company is run beside others, and again without.
_ROUNDS = 5
#: From this many tests on both halves of an order are tried at once, before the whole.
_WORTH_HALVING = 32


class Kind(str, Enum):
    """What is known of a test. The words are those of the literature (iDFlakies and iFixFlakies, 2019)."""

    #: Passes alone, fails after its polluters.
    VICTIM = "victim"
    #: The same, but it crashes.
    CONTAMINATED_CRASH = "contaminated-crash"
    #: Fails alone, passes after its state-setters.
    BRITTLE = "brittle"
    #: Passes, and fails when it is run a second time in the same process: a non-idempotent outcome.
    NIO = "nio"
    #: Fails only while others run beside it.
    PARALLEL_ONLY = "parallel-only"
    #: Passes and fails under the same conditions.
    FLAKY = "flaky"
    #: Fails alone and in company: nothing but a failure.
    PLAIN = "plain"
    #: It is not known (yet): see the note.
    UNKNOWN = "unknown"


@record
class Suspect:
    """A test that has failed somewhere, or may.

    ``word`` is how it ended in the run. ``failed_after`` and ``passed_after`` are what one process had run
    before it when it failed, or passed; None if that has not been seen. ``beside`` ran at the same time.
    """

    test: TestIndex
    word: Word
    failed_after: tuple[TestIndex, ...] | None = None
    passed_after: tuple[TestIndex, ...] | None = None
    beside: tuple[tuple[TestIndex, ...], ...] = ()


@record
class Tally:
    """How often a test failed under some conditions: "alone", "after its polluter"."""

    under: str
    bad: int
    total: int


@record
class Finding:
    """What an inquiry has come to about one test.

    ``cause`` are its polluters or state-setters, in their order. ``note`` says what is missing, if anything.
    ``message`` is the first line of the failure.
    """

    test: TestIndex
    kind: Kind
    cause: tuple[TestIndex, ...] = ()
    tallies: tuple[Tally, ...] = ()
    message: str = ""
    note: str = ""


class _Case:
    """What is known of one suspect so far."""

    def __init__(self, suspect: Suspect) -> None:
        self.suspect = suspect
        self.test = suspect.test
        self.kind = Kind.UNKNOWN
        self.settled = False
        self.alone: Word | None = None
        self.cause: tuple[TestIndex, ...] = ()
        self.search: CauseSearch | None = None
        self.message = ""
        self.note = "it was not re-checked: the time was over"
        self._tallies: dict[str, list[bool]] = {}

    def count(self, under: str, word: Word) -> None:
        self._tallies.setdefault(under, []).append(word.bad)

    def counted(self, under: str) -> list[bool]:
        return self._tallies.get(under, [])

    def settle(self, kind: Kind, note: str = "") -> None:
        self.kind = kind
        self.note = note
        self.settled = True

    @property
    def effect(self) -> str:
        """What its causes are called in a tally."""
        return "after its state-setter" if self.alone is not None and self.alone.bad else "after its polluter"

    def finding(self) -> Finding:
        tallies = tuple(Tally(under, sum(bad), len(bad)) for under, bad in self._tallies.items())
        return Finding(self.test, self.kind, self.cause, tallies, self.message, self.note)


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
        self._cases = [_Case(suspect) for suspect in suspects]
        self._preceding = preceding
        self._file_of = file_of
        self._lanes = lanes
        #: What was found to be a cause, by what it does: whether tests fail after it, or pass.
        self._causes: dict[bool, list[tuple[TestIndex, ...]]] = {True: [], False: []}

    def findings(self) -> list[Finding]:
        """What is known by now, a finding a suspect."""
        for case in self._cases:
            if not case.settled and case.search is not None:
                case.note = self._standing(case, case.search)
        return [case.finding() for case in self._cases if case.settled or case.note]

    def _standing(self, case: _Case, search: CauseSearch) -> str:
        what = "state-setter" if case.alone is not None and case.alone.bad else "polluter"
        left = search.highest - search.lowest
        known = f", beside {len(search.need)} that are known" if search.need else ""
        return f"the time was over; a {what} is among {left} tests that ran before it{known}"

    def steps(self) -> Search[None]:
        """Look into all suspects, one thing after another."""
        yield from self._try_alone()
        for case in sorted(self._cases, key=lambda case: len(case.suspect.failed_after or ())):
            if not case.settled and case.alone is not None and case.alone.good:
                yield from self._look_for_polluters(case)
        for case in self._cases:
            if not case.settled and case.alone is not None and case.alone.good:
                yield from self._repeat(case)
        yield from self._look_for_setters()

    def _ask(self, case: _Case, under: str, *probes: Probe) -> Search[list[Word]]:
        """The words on probes that all judge one suspect under the same conditions."""
        outcomes = yield [*probes]
        return self._note(case, under, probes, outcomes)

    def _note(
        self, case: _Case, under: str, probes: Sequence[Probe], outcomes: Sequence[Outcome]
    ) -> list[Word]:
        words = []
        for probe, outcome in zip(probes, outcomes, strict=True):
            word = outcome.of(probe)
            words.append(word)
            if under and word is not Word.LOST:
                case.count(under, word)
            if word.bad and outcome.message:
                case.message = outcome.message
        return words

    # --- alone ---

    def _try_alone(self) -> Search[None]:
        probes = [Probe((case.test,)) for case in self._cases]
        outcomes = yield probes
        for case, probe, outcome in zip(self._cases, probes, outcomes, strict=True):
            (case.alone,) = self._note(case, "alone", [probe], [outcome])
            case.note = "the time was over before it was tried after other tests"
            if case.alone is Word.LOST:
                case.settle(Kind.UNKNOWN, "it could not be run alone")
            elif case.alone.good and case.suspect.failed_after is None:
                case.settle(Kind.UNKNOWN)

    # --- passes alone ---

    def _look_for_polluters(self, case: _Case) -> Search[None]:
        order = case.suspect.failed_after or ()
        (again,) = yield from self._ask(case, "alone", Probe((case.test,), round=1))
        if again.bad:
            case.settle(Kind.FLAKY)
        elif order:
            shown = yield from self._where_it_shows(case, order, bad=True)
            if shown is not None:
                yield from self._find_cause(case, shown, bad=True)

    def _where_it_shows(
        self, case: _Case, order: tuple[TestIndex, ...], *, bad: bool
    ) -> Search[tuple[TestIndex, ...] | None]:
        """The part of `order`, or the whole, after which the suspect fails (or, if not `bad`, passes)."""

        def shows(word: Word) -> bool:
            return word.bad if bad else word.good

        parts = [order]
        if len(order) >= _WORTH_HALVING and self._lanes > 1:
            half = len(order) // 2
            parts = [order[half:], order[:half]]
        probes = [Probe((*part, case.test)) for part in parts]
        words = yield from self._ask(case, "", *probes)
        for part, word in zip(parts, words, strict=True):
            if shows(word):
                return part
        if len(parts) == 1:
            case.count("after the tests before it", words[0])
            return None
        (word,) = yield from self._ask(case, "after the tests before it", Probe((*order, case.test)))
        return order if shows(word) else None

    def _find_cause(self, case: _Case, order: tuple[TestIndex, ...], *, bad: bool) -> Search[None]:
        """Search for the cause in `order`, after which it shows; try it on the others then."""
        again = [Probe((*order, case.test), round=i) for i in (1, 2)]
        words = yield from self._ask(case, "after the tests before it", *again)
        if not all(word.bad if bad else word.good for word in words):
            case.settle(Kind.FLAKY)
            return
        search = case.search = CauseSearch(order, case.test, bad=bad)
        if not (yield from search.steps()):
            case.settle(
                Kind.FLAKY, "the search for what it depends on was stopped: outcomes contradicted each other"
            )
            return
        if (yield from self._confirm(case, search, bad=bad)):
            self._causes[bad].append(search.need)
            yield from self._try_on_others(search.need, bad=bad)

    def _confirm(self, case: _Case, search: CauseSearch, *, bad: bool) -> Search[bool]:
        """Believe a cause if it works every time, and the test without it behaves otherwise every time."""
        rounds = range(2, 2 + REPEATS)
        with_it = [Probe((*search.need, case.test), round=i) for i in rounds]
        without = [Probe((case.test,), round=i) for i in rounds]
        outcomes = yield with_it + without
        effects = self._note(case, case.effect, with_it, outcomes[:REPEATS])
        controls = self._note(case, "alone", without, outcomes[REPEATS:])
        if all(map(search.shows, effects)) and not any(map(search.shows, controls)):
            case.cause = search.need
            crashed = bad and Word.CRASHED in effects
            case.settle(Kind.CONTAMINATED_CRASH if crashed else Kind.VICTIM if bad else Kind.BRITTLE)
            return True
        case.settle(Kind.FLAKY)
        return False

    def _try_on_others(self, cause: tuple[TestIndex, ...], *, bad: bool) -> Search[None]:
        """See which other suspects have the same cause: one fork each."""
        others = []
        for case in self._cases:
            after = case.suspect.failed_after if bad else self._may_pass_after(case)
            if case.settled or case.alone is None or case.alone.bad is bad or after is None:
                continue
            if set(cause) <= set(after):
                others.append(case)
        probes = [Probe((*cause, case.test)) for case in others]
        if not probes:
            return
        outcomes = yield probes
        for case, probe, outcome in zip(others, probes, outcomes, strict=True):
            search = CauseSearch(cause, case.test, bad=bad)
            if search.shows(outcome.of(probe)):
                case.search = search
                yield from search.try_cause(cause)
                yield from self._confirm(case, search, bad=bad)

    # --- passes alone, and in company ---

    def _repeat(self, case: _Case) -> Search[None]:
        """What shows neither alone nor in company may show beside others, or at times."""
        beside, order = case.suspect.beside, case.suspect.failed_after or ()
        case.note = "the time was over before it was tried beside other tests"
        for i in range(_ROUNDS if beside else 0):
            yield from self._ask(case, "beside others", Probe((case.test,), beside, round=i))
        rounds = range(5, 5 + _ROUNDS)
        yield from self._ask(case, "alone", *[Probe((case.test,), round=i) for i in rounds])
        if order:
            yield from self._ask(
                case, "after the tests before it", *[Probe((*order, case.test), round=i) for i in rounds]
            )
        elsewhere = case.counted("alone") + case.counted("after the tests before it")
        beside_others = any(case.counted("beside others")) and not any(elsewhere)
        case.settle(Kind.PARALLEL_ONLY if beside_others else Kind.FLAKY)

    # --- fails alone ---

    def _may_pass_after(self, case: _Case) -> tuple[TestIndex, ...] | None:
        seen = case.suspect.passed_after
        return self._preceding(case.test) if seen is None else seen

    def _look_for_setters(self) -> Search[None]:
        """Try what fails alone after the tests before it: first those of its file, then all."""
        cases = [case for case in self._cases if not case.settled and case.alone and case.alone.bad]
        for case in cases:
            near = self._of_the_same_file(case)
            if near and not case.settled:
                yield from self._look_for_setter(case, near)
        for case in sorted(cases, key=lambda case: case.test):
            if not case.settled:
                case.note = "the time was over before it was tried after all tests that precede it"
                order = self._may_pass_after(case) or ()
                yield from self._look_for_setter(case, order)
                if not case.settled:
                    self._fails_anyway(case)

    def _look_for_setter(self, case: _Case, order: tuple[TestIndex, ...]) -> Search[None]:
        probe = Probe((*order, case.test))
        (word,) = yield from self._ask(case, "after the tests before it", probe)
        if word.good and order:
            yield from self._find_cause(case, order, bad=False)

    def _of_the_same_file(self, case: _Case) -> tuple[TestIndex, ...]:
        order = self._may_pass_after(case) or ()
        file = self._file_of(case.test)
        near = tuple(test for test in order if self._file_of(test) == file)
        return () if near == order else near

    def _fails_anyway(self, case: _Case) -> None:
        if case.suspect.word.good:  # it has passed in the run
            case.settle(Kind.FLAKY)
        elif case.counted("after the tests before it") or not self._may_pass_after(case):
            case.settle(Kind.PLAIN)
        else:
            case.settle(Kind.UNKNOWN, "it fails alone; what precedes it could not be run to its end")
