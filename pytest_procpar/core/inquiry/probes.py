"""A question about tests, put to a throw-away process, and the answer.

Outcomes are what tests do in processes forked from the collected suite; nothing here knows how that is done.
"""

from __future__ import annotations

from enum import Enum

from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.record import record

__all__ = ["Confirmation", "ProbeResult", "Probe", "Outcome"]

#: Multiples of the golden ratio, less their whole parts, are spread evenly however many there are.
_STRIDE = (5**0.5 - 1) / 2


class Outcome(str, Enum):
    """How a test ended."""

    PASSED = "passed"
    SKIPPED = "skipped"
    FAILED = "failed"
    CRASHED = "crashed"
    HUNG = "hung"
    #: It did not run: the process had come to its end before.
    LOST = "lost"

    @property
    def bad(self) -> bool:
        """Whether that is a failure."""
        return self in (Outcome.FAILED, Outcome.CRASHED, Outcome.HUNG)

    @property
    def good(self) -> bool:
        """Whether it is none; a test that did not run is neither good nor bad."""
        return self in (Outcome.PASSED, Outcome.SKIPPED)


@record
class Probe:
    """Run these tests in this order, in a process forked from the collected suite. The last one is judged.

    ``beside`` are sequences that run again and again in other processes meanwhile. ``round`` tells
    repetitions apart. A ``fresh`` one shares no part of its run with another.
    """

    tests: tuple[TestIndex, ...]
    beside: tuple[tuple[TestIndex, ...], ...] = ()
    round: int = 0
    fresh: bool = False

    def sides(self, count: int) -> list[tuple[TestIndex, ...]]:
        """What runs beside it in no more than so many processes: what is too much comes after the others.

        Each round begins elsewhere, or a long test at the beginning would keep the others from being met.
        """
        sides = list(self.beside[:count])
        for at, more in enumerate(self.beside[count:] if count else ()):
            sides[at % count] += more
        starts = [int(self.round * _STRIDE % 1 * len(side)) for side in sides]
        return [side[start:] + side[:start] for side, start in zip(sides, starts, strict=True)]


@record
class ProbeResult:
    """How each test of a probe ended, as far as they ran, and the first line of the last one's failure.

    One that was not begun, or not brought to its end, since there was no time for it is not `in_time`.
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

    ``word`` is how the judged test ended, None if that could not be found out; ``expected`` whether a failure
    was expected. One that lets tests run at the same time depends `by_chance` on who is faster: of so many
    `runs` the last one is told, which is the first that came as expected, if any did. ``reason`` says what
    has kept it from being found out, if anything has but the time.
    """

    command: str
    expected_bad: bool
    word: Outcome | None
    by_chance: bool = False
    runs: int = 1
    reason: str = ""

    @property
    def holds(self) -> bool:
        """Whether it came as expected."""
        return self.word is not None and (self.word.bad if self.expected_bad else self.word.good)
