"""What a run leaves behind for those who ask afterwards why a test failed: outcomes, places and times.

Taking note of a test costs next to nothing, since most runs are green and nobody asks. Under ``--dist each``
there are several tests of a kind; what is told is told of the kind.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .history import History
from .messages import PassedPhases
from .model import TestIndex, WorkerId
from .probes import Word
from .record import record

__all__ = ["RunRecord", "Seen"]


@record
class Seen:
    """A test that failed, crashed or hung: how, after what, and beside what."""

    test: TestIndex
    word: Word
    before: tuple[TestIndex, ...]
    beside: tuple[tuple[TestIndex, ...], ...]


class RunRecord:
    """The record of one run. Times are in seconds since the epoch.

    :param tests_a_process: after how many tests a worker runs on in a fresh process; None: never.
    """

    def __init__(self, tests_a_process: int | None) -> None:
        self._history = History(tests_a_process)
        self.ids: list[str] = []
        self._apart: frozenset[int] = frozenset()
        #: What did not end as passed.
        self._words: dict[TestIndex, Word] = {}
        self._times: dict[TestIndex, tuple[float, float]] = {}

    # --- what happens ---

    def collected(self, ids: list[str], apart: Iterable[int] = ()) -> None:
        """The tests are known, and which of them get a process of their own."""
        self.ids = ids
        self._apart = frozenset(apart)

    def reported(self, test: TestIndex, data: dict[str, Any]) -> None:
        """A worker has sent a report that is more than a plain pass, as pytest serializes it."""
        outcome = data.get("outcome")
        if outcome == "failed":
            self._words[test] = Word.FAILED
        elif outcome == "skipped" and "wasxfail" not in data:
            self._words.setdefault(test, Word.SKIPPED)
        start, stop = data.get("start"), data.get("stop")
        if isinstance(start, float) and isinstance(stop, float):
            first, last = self._times.get(test, (start, stop))
            self._times[test] = (min(first, start), max(last, stop))

    def finished(self, worker: WorkerId, test: TestIndex, passes: PassedPhases | None, now: float) -> None:
        """A worker has run a test; `passes` are the phases of a plain pass."""
        if passes is not None:
            phases = passes[1]
            start, stop = phases[0][0], phases[2][1]
        else:
            start, stop = self._times.pop(test, (now, now))
        self._history.began(worker, test, start, apart=self.is_apart(self._kind(test)))
        self._history.ended(test, stop)

    def died(self, worker: WorkerId, test: TestIndex, word: Word, seconds: float, now: float) -> None:
        """A test has ended its process, or was ended, after so many seconds."""
        self._words[test] = word
        self._history.began(worker, test, now - seconds, apart=self.is_apart(self._kind(test)))
        self._history.ended(test, now)

    # --- what is asked ---

    @property
    def failures(self) -> int:
        """How many tests have failed, crashed or hung."""
        return sum(word.bad for word in self._words.values())

    def failed(self) -> list[Seen]:
        """What has failed, crashed or hung, in the order in which that was heard."""
        return [
            Seen(
                self._kind(test),
                word,
                self._kinds(self._history.before(test)),
                self._beside(test),
            )
            for test, word in self._words.items()
            if word.bad
        ]

    def tests(self) -> list[TestIndex]:
        """All tests."""
        return [TestIndex(i) for i in range(len(self.ids))]

    def word(self, test: TestIndex) -> Word:
        """How a test ended."""
        return self._words.get(test, Word.PASSED)

    def before(self, test: TestIndex) -> tuple[TestIndex, ...]:
        """What the same process had run before a test, in order."""
        return self._kinds(self._history.before(test))

    def ends_its_process(self, test: TestIndex) -> bool:
        """Whether a test has crashed or hung."""
        return self.word(test) in (Word.CRASHED, Word.HUNG)

    def is_apart(self, test: TestIndex) -> bool:
        """Whether a test has a mark by which it runs in a process of its own, wherever it runs."""
        return test in self._apart

    def companions(self) -> list[TestIndex]:
        """The tests that may share a process with others: neither apart from them nor ending it."""
        return [test for test in self.tests() if not self.is_apart(test) and not self.ends_its_process(test)]

    def preceding(self, test: TestIndex) -> tuple[TestIndex, ...]:
        """What may precede a test in its process, in the order of the collection."""
        return () if self.is_apart(test) else tuple(other for other in self.companions() if other < test)

    def file_of(self, test: TestIndex) -> str:
        """The file of a test."""
        return self.ids[test].split("::", 1)[0]

    def seconds(self, test: TestIndex) -> float:
        """How long a test took; 0 if it hung."""
        return 0.0 if self.word(test) is Word.HUNG else self._history.duration(test)

    def limit(self, test: TestIndex) -> float:
        """How long a test may take that has hung, in seconds; 0 for others."""
        return self._history.duration(test) if self.word(test) is Word.HUNG else 0.0

    def _beside(self, test: TestIndex) -> tuple[tuple[TestIndex, ...], ...]:
        """What ran beside a test, without what would keep the others from being run again and again."""
        sides = self._history.beside(test)
        alive = [tuple(other for other in side if not self.ends_its_process(other)) for side in sides]
        return tuple(self._kinds(side) for side in alive if side)

    def _kind(self, test: TestIndex) -> TestIndex:
        return TestIndex(test % len(self.ids))

    def _kinds(self, tests: tuple[TestIndex, ...]) -> tuple[TestIndex, ...]:
        return tuple(map(self._kind, tests))
