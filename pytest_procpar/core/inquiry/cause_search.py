"""The search for the tests on which another test's outcome depends.

A search is a generator: it yields a batch of probes, which may run at the same time, and is sent their
results. So it can be tried on suites that exist only as a formula.

The search for several tests that only act together goes back to delta debugging (Zeller and Hildebrandt,
2002). It also uses what delta debugging did not have: the state after any part of an order can be kept, so
that a probe of "the first i tests" costs no more than the tests that it adds.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

from pytest_procpar.core.inquiry.probes import Outcome, Probe, ProbeResult
from pytest_procpar.core.model import TestIndex

__all__ = ["MOST", "CauseSearch", "OutOfTime", "Search", "put"]

_T = TypeVar("_T")

#: Yields probes, is sent the result of each, and returns a `_T` at the end.
Search = Generator[list[Probe], list[ProbeResult], _T]

#: A search is given up if it needs more tests together than this.
MOST = 8


class OutOfTime(Exception):
    """There was no time for a probe: nothing follows from it."""


def put(probe: Probe) -> Search[ProbeResult]:
    """Run one probe and return its result.

    :raises OutOfTime: if there was no time for it.
    """
    (outcome,) = yield [probe]
    if not outcome.in_time:
        raise OutOfTime
    return outcome


class CauseSearch:
    """Looks for the tests of `order` that `victim` needs before it to end as it did after all of them.

    :param order: the tests after which the symptom showed.
    :param bad: the symptom: a failure (of a victim), or a pass (of a brittle test, which fails otherwise).
    """

    def __init__(self, order: tuple[TestIndex, ...], victim: TestIndex, *, bad: bool) -> None:
        self._order = order
        self._victim = victim
        self._bad = bad
        #: The tests that are known to be needed, in their order.
        self.need: tuple[TestIndex, ...] = ()
        #: The next needed test is in ``order[lowest:highest]``.
        self.lowest = 0
        self.highest = len(order)
        #: Whether `need` is known to be enough.
        self.found = False
        #: Whether there were probes in which the victim did not run.
        self.lost = False

    def shows(self, word: Outcome) -> bool:
        """Whether a test that ended in this way shows the symptom."""
        return word.bad if self._bad else word.good

    def candidates(self) -> tuple[TestIndex, ...]:
        """The tests that may be the next needed one."""
        return self._order[self.lowest : self.highest]

    def steps(self) -> Search[bool]:
        """Search; return whether a cause was found, which is then in `need`.

        The search relies only on this: the symptom shows after all of `order`, and not when the test runs
        alone. False means that more than `MOST` tests are needed (`need` has that many then), or that results
        contradict each other: the test, or one before it, does not always behave the same. A test that did
        not run because one before it ended the process shows nothing: after such a probe (see `lost`) there
        need be no contradiction.
        """
        self.found = yield from self._collect()
        if self.found:
            yield from self._minimize()
        return self.found

    def try_cause(self, known: tuple[TestIndex, ...]) -> Search[bool]:
        """Whether the cause `known` of another test, or a part of it, is the cause here too: then `need`."""
        if not (yield from self.shows_after(known)):
            return False
        self.need = known
        self.found = True
        yield from self._minimize()
        return True

    def _collect(self) -> Search[bool]:
        end = len(self._order)
        while end > 0 and len(self.need) < MOST:
            # The symptom shows after order[:high] and `need`, and not after order[:low] and `need`.
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
        """Leave out whatever is not needed: what remains is 1-minimal."""
        at = 0
        while at < len(self.need) > 1:
            rest = self.need[:at] + self.need[at + 1 :]
            if (yield from self.shows_after(rest)):
                # Go back to the start: an earlier test may only have undone what the removed one did.
                self.need, at = rest, 0
            else:
                at += 1

    def shows_after(self, tests: tuple[TestIndex, ...]) -> Search[bool]:
        """Whether the symptom shows after these tests."""
        probe = Probe((*tests, self._victim))
        outcome = yield from put(probe)
        word = outcome.of(probe)
        self.lost = self.lost or word is Outcome.LOST
        return self.shows(word)
