"""A question about tests that is put to a throw-away process, and the answer.

Outcomes are what tests do in processes forked from the collected suite; nothing here knows how that is done.
"""

from __future__ import annotations

from enum import Enum

from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.record import record

__all__ = ["Confirmation", "ProbeResult", "Probe", "Outcome"]

#: Multiples of the golden ratio, modulo 1, are spread evenly, however many there are.
_STRIDE = (5**0.5 - 1) / 2


class Outcome(str, Enum):
    """How a test ended."""

    PASSED = "passed"
    SKIPPED = "skipped"
    FAILED = "failed"
    CRASHED = "crashed"
    HUNG = "hung"
    #: It did not run: the process had ended before.
    LOST = "lost"

    @property
    def bad(self) -> bool:
        """Whether it is a failure."""
        return self in (Outcome.FAILED, Outcome.CRASHED, Outcome.HUNG)

    @property
    def good(self) -> bool:
        """Whether the test ran and did not fail; a test that did not run is neither good nor bad."""
        return self in (Outcome.PASSED, Outcome.SKIPPED)


@record
class Probe:
    """Run these tests in this order, in a process forked from the collected suite. The last one is judged.

    ``beside`` are sequences that run again and again in other processes meanwhile. ``round`` tells
    repetitions apart. A ``fresh`` probe shares no part of its run with another.
    """

    tests: tuple[TestIndex, ...]
    beside: tuple[tuple[TestIndex, ...], ...] = ()
    round: int = 0
    fresh: bool = False

    def sides(self, count: int) -> list[tuple[TestIndex, ...]]:
        """What runs beside it in at most `count` processes; further sequences are appended to the first ones.

        Each round begins at another test, since a long test at the beginning would hide the others.
        """
        sides = list(self.beside[:count])
        for at, more in enumerate(self.beside[count:] if count else ()):
            sides[at % count] += more
        starts = [int(self.round * _STRIDE % 1 * len(side)) for side in sides]
        return [side[start:] + side[:start] for side, start in zip(sides, starts, strict=True)]


@record
class ProbeResult:
    """How each test of a probe ended, as far as they ran, and the first line of the last one's failure.

    ``in_time`` is False if there was no time to begin the probe or to finish it.
    """

    words: tuple[Outcome, ...]
    message: str = ""
    in_time: bool = True

    def of(self, probe: Probe) -> Outcome:
        """How the judged test ended."""
        return self.words[-1] if len(self.words) == len(probe.tests) else Outcome.LOST


@record
class Confirmation:
    """A command that runs tests, and what came of it in a fresh process.

    ``word`` is how the judged test ended, None if that could not be found out; ``expected_bad`` says whether
    a failure was expected. If the command runs tests at the same time, the result depends ``by_chance`` on
    which is faster: then ``word`` is that of the last of ``runs`` runs, which is the first one that ended as
    expected, if any did. ``reason`` says what, other than time, kept us from finding out.
    """

    command: str
    expected_bad: bool
    word: Outcome | None
    by_chance: bool = False
    runs: int = 1
    reason: str = ""

    @property
    def holds(self) -> bool:
        """Whether it ended as expected."""
        return self.word is not None and (self.word.bad if self.expected_bad else self.word.good)
