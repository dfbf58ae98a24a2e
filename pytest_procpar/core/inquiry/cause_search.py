"""The search for the tests that another one's outcome depends on.

A search is a generator: it yields a batch of probes, which may be run at the same time, and is sent their
outcomes. So it can be tried on suites that exist only as a formula.

The search for several tests that only act together goes back to delta debugging (Zeller and Hildebrandt,
2002), but uses what that had not: that the state after any part of an order can be kept, so that a probe of
"the first i tests" costs no more than the tests that come on top.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

from pytest_procpar.core.inquiry.probes import Outcome, Probe, ProbeResult
from pytest_procpar.core.model import TestIndex

__all__ = ["MOST", "CauseSearch", "OutOfTime", "Search", "put"]

_T = TypeVar("_T")

#: Yields probes, is sent the outcome of each, and returns a `_T` at the end.
Search = Generator[list[Probe], list[ProbeResult], _T]

#: A search that needs more tests than this together is given up.
MOST = 8


class OutOfTime(Exception):
    """There was no time for a probe: nothing follows from it."""


def put(probe: Probe) -> Search[ProbeResult]:
    """What comes of one probe.

    :raises OutOfTime: if there was no time for it.
    """
    (outcome,) = yield [probe]
    if not outcome.in_time:
        raise OutOfTime
    return outcome


class CauseSearch:
    """Looks for the tests of `order` that `victim` needs before it to end as it did after all of them.

    :param order: the tests after which it showed.
    :param bad: what showed: a failure (for a victim), or none (for a brittle test, which fails otherwise).
    """

    def __init__(self, order: tuple[TestIndex, ...], victim: TestIndex, *, bad: bool) -> None:
        self._order = order
        self._victim = victim
        self._bad = bad
        #: The tests that are known to be needed, in their order.
        self.need: tuple[TestIndex, ...] = ()
        #: The next one is among the tests of `order` from `lowest` up to, and without, `highest`.
        self.lowest = 0
        self.highest = len(order)
        #: Whether `need` is known to be enough.
        self.found = False
        #: Whether there were probes in which the victim did not run.
        self.lost = False

    def shows(self, word: Outcome) -> bool:
        """Whether a test that ended so shows what is looked for."""
        return word.bad if self._bad else word.good

    def candidates(self) -> tuple[TestIndex, ...]:
        """The tests among which the next needed one is."""
        return self._order[self.lowest : self.highest]

    def steps(self) -> Search[bool]:
        """Search; whether a cause was found: `need`.

        Relies on this only: that it shows after all of `order`, and does not for the test alone. False means
        that it needs more than `MOST` tests (`need` has so many then), or that outcomes contradict each
        other: the test, or one before it, does not always behave the same. A test that did not run since one
        before it ended the process shows nothing: if there was such a probe (`lost`), nothing may contradict.
        """
        self.found = yield from self._collect()
        if self.found:
            yield from self._minimize()
        return self.found

    def try_cause(self, known: tuple[TestIndex, ...]) -> Search[bool]:
        """Whether what was found for another test is the cause here too, or a part of it: `need`."""
        if not (yield from self.shows_after(known)):
            return False
        self.need = known
        self.found = True
        yield from self._minimize()
        return True

    def _collect(self) -> Search[bool]:
        end = len(self._order)
        while end > 0 and len(self.need) < MOST:
            # It shows after order[:high] and `need`, and not after order[:low] and `need`.
            low, high = 0, end
            while high - low > 1:
                self.lowest, self.highest = low, high
                middle = (low + high) // 2
                if (yield from self.shows_after(self._order[:middle] + self.need)):
                    high = middle
                else:
                    low = middle
            self.need = (self._order[high - 1], *self.need)
            end = high - 1
            self.lowest, self.highest = 0, end
            if (yield from self.shows_after(self.need)):
                return True
        return False

    def _minimize(self) -> Search[None]:
        """Leave out whatever is not needed: what is left is 1-minimal."""
        at = 0
        while at < len(self.need) > 1:
            rest = self.need[:at] + self.need[at + 1 :]
            if (yield from self.shows_after(rest)):
                # What was needed may be so no more: one before may have undone what the one left out did.
                self.need, at = rest, 0
            else:
                at += 1

    def shows_after(self, tests: tuple[TestIndex, ...]) -> Search[bool]:
        """Whether it shows after these tests."""
        probe = Probe((*tests, self._victim))
        outcome = yield from put(probe)
        word = outcome.of(probe)
        self.lost = self.lost or word is Outcome.LOST
        return self.shows(word)
