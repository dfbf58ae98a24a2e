"""The vocabulary of the re-check: what is asked about a test, and what is found.

Nothing here knows how anything is found out.
"""

from __future__ import annotations

from enum import Enum

from pytest_procpar.core.inquiry.cause_search import CauseSearch
from pytest_procpar.core.inquiry.probes import Outcome
from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.record import record

__all__ = [
    "FAILED_AGAIN",
    "MISSED",
    "NOTHING_KNOWN",
    "NOT_RECHECKED",
    "OUT_OF_TIME",
    "PLAINLY",
    "Case",
    "Finding",
    "Kind",
    "Suspect",
    "Tally",
]

#: How the note begins on a suspect that was not run again, and the whole note if there was no time for it.
MISSED = "it was not re-checked: "
OUT_OF_TIME = "time ran out"
NOT_RECHECKED = f"{MISSED}{OUT_OF_TIME}"
#: The note on a suspect for which there was no time alone.
FAILED_AGAIN = "it failed again in a fresh process that ran others of its root, too"
#: How the note ends on a suspect that passed in the run, and in all that it was tried with since.
NOTHING_KNOWN = "nothing is known against it"


class Kind(str, Enum):
    """What is known of a test, in the words of the literature (iDFlakies and iFixFlakies, 2019)."""

    #: Passes alone, fails after its polluters.
    VICTIM = "victim"
    #: Passes alone, crashes after its polluters.
    CONTAMINATED_CRASH = "contaminated-crash"
    #: Fails alone, passes after its state-setters.
    BRITTLE = "brittle"
    #: Passes, but fails when it runs a second time in the same process: a non-idempotent outcome.
    NIO = "nio"
    #: Fails only while others run beside it.
    PARALLEL_ONLY = "parallel-only"
    #: Passes and fails under the same conditions.
    FLAKY = "flaky"
    #: Fails in processes that were forked from the one that has loaded the suite, and in no other.
    FORK_DEPENDENT = "fork-dependent"
    #: Fails on its own while a file that tests have left is there, and passes without it.
    FILE_DEPENDENT = "file-dependent"
    #: Fails alone and in company: nothing but a failure.
    PLAIN = "plain"
    #: Fails alone. It was not tried after some of the tests before it: see the note.
    FAILS_ALONE = "fails-alone"
    #: Nothing is known (yet): see the note.
    UNKNOWN = "unknown"


#: The kinds of tests that fail alone, and depend on nothing that shows.
PLAINLY = (Kind.PLAIN, Kind.FAILS_ALONE)


@record
class Suspect:
    """A test that has failed somewhere, or may fail.

    ``word`` is how it ended in the run. ``failed_after`` and ``passed_after`` are what a process had run
    before it when it failed, or passed: nothing (an empty tuple) if it came first; None if that was never
    seen. ``beside`` ran at the same time.

    Suspects with the same ``root`` (see `roots`) have failed in the same way. They are ``alike`` if the same
    fixture has failed: if one fails alone, all do. They are in ``contention`` if they could not get something
    that only one process at a time can have, such as a port. ``kept`` says that probes have just run
    ``failed_after``, so that a probe of any beginning of it takes little time.
    """

    test: TestIndex
    word: Outcome
    failed_after: tuple[TestIndex, ...] | None = None
    passed_after: tuple[TestIndex, ...] | None = None
    beside: tuple[tuple[TestIndex, ...], ...] = ()
    root: int | None = None
    alike: bool = False
    contention: bool = False
    kept: bool = False


@record
class Tally:
    """How often a test failed under some conditions: "alone", "after its polluter"."""

    under: str
    bad: int
    total: int


@record
class Finding:
    """What an inquiry has found out about one test.

    ``cause`` are its polluters or state-setters, in their order; for an NIO, the test itself. ``note`` says
    what is missing, if anything. ``message`` is the first line of the failure. ``sides`` is what ran at the
    same time, one sequence per process, if the test fails because of that. ``files`` are the files that tests
    have left, if it fails because of them.
    """

    test: TestIndex
    kind: Kind
    cause: tuple[TestIndex, ...] = ()
    tallies: tuple[Tally, ...] = ()
    message: str = ""
    note: str = ""
    sides: tuple[tuple[TestIndex, ...], ...] = ()
    files: tuple[str, ...] = ()

    @property
    def fails_since(self) -> bool:
        """Whether the test passed in the run and never since: what has changed is outside all processes."""
        failures = bool(self.tallies) and all(tally.bad == tally.total for tally in self.tallies)
        return self.kind is Kind.FLAKY and failures

    @property
    def beside(self) -> tuple[TestIndex, ...]:
        """The tests that ran at the same time."""
        return tuple(dict.fromkeys(test for side in self.sides for test in side))


class Case:
    """What is known of one suspect so far."""

    def __init__(self, suspect: Suspect) -> None:
        self.suspect = suspect
        self.test = suspect.test
        self.kind = Kind.UNKNOWN
        self.settled = False
        self.alone = Outcome.LOST
        self.cause: tuple[TestIndex, ...] = ()
        #: What it fails beside, as far as that is known.
        self.beside = suspect.beside
        self.search: CauseSearch | None = None
        #: The test that ended the process of the last probe before the suspect could run.
        self.ended_by: TestIndex | None = None
        #: For what fails alone: the tests after which it has failed; the order after which it has passed (and
        #: the conditions that this is counted under); and whether it could not be reached after others.
        self.failed_after = set(suspect.failed_after or ()) if suspect.word.bad else set()
        self.worth: tuple[tuple[TestIndex, ...], str] | None = None
        self.cut_off = False
        self.message = ""
        self.note = NOT_RECHECKED
        self._tallies: dict[str, list[bool]] = {}

    def count(self, under: str, word: Outcome) -> None:
        """Add one run of the test to the tally of these conditions; a run that was lost does not count."""
        if word is not Outcome.LOST:
            self._tallies.setdefault(under, []).append(word.bad)

    def counted(self, under: str) -> list[bool]:
        """Whether the test failed, for each run under these conditions."""
        return self._tallies.get(under, [])

    @property
    def wavers(self) -> bool:
        """Whether it has both passed and failed under the same conditions."""
        return any(0 < sum(bad) < len(bad) for bad in self._tallies.values())

    def settle(self, kind: Kind, note: str = "") -> None:
        """Make this the answer."""
        self.kind = kind
        self.note = note
        self.settled = True

    @property
    def role(self) -> str:
        """The name for the tests that its outcome depends on."""
        return "state-setter" if self.alone.bad else "polluter"

    def finding(self) -> Finding:
        """What is known, as a `Finding` to report."""
        tallies = tuple(Tally(under, sum(bad), len(bad)) for under, bad in self._tallies.items())
        note = self.note if self.settled or self.search is None else self._standing(self.search)
        sides = self.beside if self.kind is Kind.PARALLEL_ONLY else ()
        return Finding(self.test, self.kind, self.cause, tallies, self.message, note, sides)

    def _standing(self, search: CauseSearch) -> str:
        if search.found:
            return f"{OUT_OF_TIME} before its {self.role} was confirmed"
        left = search.highest - search.lowest
        known = f", beside {len(search.need)} that are known" if search.need else ""
        return f"{OUT_OF_TIME}; a {self.role} is among {left} tests that ran before it{known}"
