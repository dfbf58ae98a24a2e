"""What a run leaves for those who ask afterwards why a test failed: outcomes, places and times.

Noting a test costs next to nothing, since most runs are green and nobody asks. Under ``--dist each`` every
worker runs a copy of each test; answers are about the test, not about a copy.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, TypeAlias

from pytest_procpar.core.history.run_log import DurationLog, Phases, Timed
from pytest_procpar.core.inquiry.history import History
from pytest_procpar.core.inquiry.probes import Outcome
from pytest_procpar.core.model import ReportData, TestIndex, WorkerId
from pytest_procpar.core.record import record

if TYPE_CHECKING:
    from pytest_procpar.core.inquiry.roots import Failure

__all__ = ["Manner", "RunRecord", "Seen", "manner_of"]

#: The phase in which a test has failed, and the file and line, as far as they are known.
Manner: TypeAlias = tuple[str, str, int]


def manner_of(data: Mapping[str, object]) -> Manner | None:
    """How a test has failed, by a report as pytest serializes it; None if the report is not of a failure."""
    if data.get("outcome") != "failed":
        return None
    longrepr = data.get("longrepr")
    crash = longrepr.get("reprcrash") if isinstance(longrepr, dict) else None
    place = crash if isinstance(crash, dict) else {}
    return str(data.get("when")), str(place.get("path", "")), int(place.get("lineno") or 0)


@record
class Seen:
    """A test that failed, crashed or hung: how, after what, and beside what."""

    test: TestIndex
    word: Outcome
    before: tuple[TestIndex, ...]
    beside: tuple[tuple[TestIndex, ...], ...]


class RunRecord:
    """The record of one run. Times are in seconds of the machine's monotonic clock.

    :param tests_a_process: after how many tests a worker goes on in a fresh process; None: never.
    :param root: the rootdir.
    :param here: the folder that pytest was started in.
    """

    def __init__(self, tests_a_process: int | None, root: str = "", here: str = "") -> None:
        self._folders = root, here
        self._tests_a_process = tests_a_process
        self._history = History(tests_a_process)
        self._durations = DurationLog()
        self.ids: list[str] = []
        self._apart: frozenset[int] = frozenset()
        #: If every worker runs each test: by test, the copy that failed first, apart from the first copy.
        self._first_bad: dict[TestIndex, TestIndex] = {}
        #: The outcomes of tests that did not end as passed.
        self._words: dict[TestIndex, Outcome] = {}
        #: How a test first failed.
        self._manners: dict[TestIndex, Manner] = {}
        #: What the first report of a failure tells.
        self._failures: dict[TestIndex, Failure] = {}
        #: The tests that the kernel seems to have killed because memory ran out.
        self._starved: list[TestIndex] = []
        #: How many bytes the first workers to end had for themselves, on average; 0: that is not known.
        self.worker_memory = 0
        #: See `companions`; None: still to be worked out.
        self._companions: tuple[TestIndex, ...] | None = None

    # --- what happens ---

    def collected(self, ids: list[str], apart: Iterable[int] = ()) -> None:
        """The tests are known, and which of them get a process of their own."""
        self.ids = ids
        self._apart = frozenset(apart)
        self._companions = None

    def reported(self, test: TestIndex, data: ReportData) -> None:
        """A worker has sent a report of more than a plain pass, as pytest serializes it."""
        self._durations.reported(test, data)
        outcome = data.get("outcome")
        if outcome == "failed":
            if self.ends_its_process(test):
                self._companions = None
            self._words[test] = Outcome.FAILED
            self._note_bad(test)
            self._manners.setdefault(test, manner_of(data) or ("", "", 0))
            self._note_failure(self._kind(test), data)
        elif outcome == "skipped" and "wasxfail" not in data:
            self._words.setdefault(test, Outcome.SKIPPED)

    def _note_bad(self, test: TestIndex) -> None:
        kind = self._kind(test)
        if kind != test:
            self._first_bad.setdefault(kind, test)

    def _note_failure(self, test: TestIndex, data: ReportData) -> None:
        from pytest_procpar.core.inquiry.roots import failure_of  # only red runs need it

        if test not in self._failures:
            self._failures[test] = failure_of(test, data, *self._folders)

    def finished(
        self, worker: WorkerId, test: TestIndex, began: float, ended: float, passed: Phases | None = None
    ) -> None:
        """A worker has run a test between these two moments.

        :param passed: start, stop and duration of each phase, if the test only passed.
        """
        self._durations.ended(worker, test, passed)
        self._history.began(worker, test, began, apart=self.is_apart(self._kind(test)))
        self._history.ended(test, ended)

    def died(
        self,
        worker: WorkerId,
        test: TestIndex,
        word: Outcome,
        seconds: float,
        now: float,
        *,
        starved: bool = False,
    ) -> None:
        """A test has ended its process, or was ended, after `seconds`; `starved`: because memory ran out."""
        self._words[test] = word
        self._companions = None
        self._note_bad(test)
        if starved:
            self._starved.append(self._kind(test))
        self._history.began(worker, test, now - seconds, apart=self.is_apart(self._kind(test)))
        self._history.ended(test, now)

    # --- questions ---

    @property
    def failures(self) -> int:
        """How many tests have failed, crashed or hung."""
        return sum(word.bad for word in self._words.values())

    def failed(self) -> list[Seen]:
        """The tests that failed, crashed or hung, in the order in which we heard of them, each of them once.

        Leaves out what was killed because memory ran out: that would happen again, and might hit others, too.
        """
        return [
            Seen(
                self._kind(test),
                word,
                self._kinds(self._history.before(test)),
                self.beside(test),
            )
            for test, word in self._words.items()
            if word.bad and self._kind(test) not in self._starved and test == self._telling(self._kind(test))
        ]

    def starved(self) -> tuple[TestIndex, ...]:
        """The tests that the kernel seems to have killed because memory ran out."""
        return tuple(dict.fromkeys(self._starved))

    def processes(self) -> list[list[Timed]]:
        """What each process ran to its end, in order, with the durations that pytest has measured."""
        return self._durations.processes(self.ids, self._tests_a_process, self._apart)

    def tests(self) -> list[TestIndex]:
        """All tests."""
        return [TestIndex(i) for i in range(len(self.ids))]

    def word(self, test: TestIndex) -> Outcome:
        """How a test ended; if every worker runs each test, badly if it did so in one of them."""
        return self._words.get(self._telling(test), Outcome.PASSED)

    def _telling(self, test: TestIndex) -> TestIndex:
        """The copy of a test that tells most: the first worker's if it failed, else the first that failed."""
        if self._first_bad and not self._words.get(test, Outcome.PASSED).bad:
            return self._first_bad.get(test, test)
        return test

    def alike(self, test: TestIndex) -> tuple[TestIndex, ...]:
        """All copies of a failed test that ended as it did: several, if every worker runs each test."""
        first = self._telling(test)
        end = self._words.get(first), self._manners.get(first)
        return tuple(
            one
            for one, word in self._words.items()
            if self._kind(one) == self._kind(test) and (word, self._manners.get(one)) == end
        )

    def has_ended(self, test: TestIndex) -> bool:
        """Whether a test has run to an end."""
        return self._history.has_ended(test)

    def manner(self, test: TestIndex) -> Manner | None:
        """How a test has failed; None if it has not."""
        return self._manners.get(self._telling(test)) if self.word(test) is Outcome.FAILED else None

    def failure(self, test: TestIndex) -> Failure | None:
        """How a test has failed, as its first failure report tells; None if there is none."""
        return None if self.ends_its_process(test) else self._failures.get(test)

    def company(self, test: TestIndex) -> tuple[tuple[TestIndex, ...], ...]:
        """What each of the other workers had begun when a test ended, without what ended its process."""
        sides = self._history.company(self._telling(test))
        alive = [tuple(other for other in side if not self.ends_its_process(other)) for side in sides]
        return tuple(self._kinds(side) for side in alive if side)

    def before(self, test: TestIndex) -> tuple[TestIndex, ...]:
        """What the same process had run before a test, in order."""
        return self._kinds(self._history.before(self._telling(test)))

    def ends_its_process(self, test: TestIndex) -> bool:
        """Whether a test has crashed or hung."""
        return self.word(test) in (Outcome.CRASHED, Outcome.HUNG)

    def is_apart(self, test: TestIndex) -> bool:
        """Whether a mark gives a test a process of its own, wherever it runs."""
        return test in self._apart

    def is_alone(self, test: TestIndex) -> bool:
        """Whether a test shared its process with no other: by a mark, or because every test has its own."""
        return self.is_apart(test) or self._tests_a_process == 1

    @property
    def forks_anyway(self) -> bool:
        """Whether tests run in forked processes under every start method, because workers fork for them.

        If a mark gives one test a process of its own, the others run in another process, too, so that they do
        not change the one from which it is forked.
        """
        return bool(self._apart) or self._tests_a_process is not None

    def companions(self) -> list[TestIndex]:
        """The tests that may share a process with others: neither apart from them nor ending it."""
        return list(self._known_companions())

    def _known_companions(self) -> tuple[TestIndex, ...]:
        if self._companions is None:  # kept, since a search asks at each step, for each suspect
            self._companions = tuple(
                test for test in self.tests() if not self.is_apart(test) and not self.ends_its_process(test)
            )
        return self._companions

    def preceding(self, test: TestIndex) -> tuple[TestIndex, ...]:
        """The tests that may precede a test in its process, in collected order."""
        companions = self._known_companions()
        return () if self.is_apart(test) else companions[: bisect_left(companions, test)]

    def file_of(self, test: TestIndex) -> str:
        """The file of a test."""
        return self.ids[test].split("::", 1)[0]

    def seconds(self, test: TestIndex) -> float:
        """How long a test took, in seconds; 0 if it hung."""
        return 0.0 if self.word(test) is Outcome.HUNG else self._history.duration(self._telling(test))

    def latest(self, worker: WorkerId) -> TestIndex | None:
        """The test that a worker has run to its end last; None if it has run none."""
        return self._history.latest(worker)

    def first(self) -> float | None:
        """When the first test began; None if none did."""
        return self._history.first()

    def longest(self) -> float:
        """How long the longest test took so far, in seconds."""
        return self._history.longest()

    def limit(self, test: TestIndex) -> float:
        """How long a test that hung was given, in seconds; 0 for others."""
        return self._history.duration(self._telling(test)) if self.word(test) is Outcome.HUNG else 0.0

    def beside(self, test: TestIndex) -> tuple[tuple[TestIndex, ...], ...]:
        """What ran beside a test, without tests that end their process: the rest must run again and again."""
        sides = self._history.beside(test)
        alive = [tuple(other for other in side if not self.ends_its_process(other)) for side in sides]
        return tuple(self._kinds(side) for side in alive if side)

    def _kind(self, test: TestIndex) -> TestIndex:
        return TestIndex(test % len(self.ids))

    def _kinds(self, tests: tuple[TestIndex, ...]) -> tuple[TestIndex, ...]:
        return tuple(map(self._kind, tests))
