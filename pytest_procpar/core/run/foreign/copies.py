"""The copies of tests that a plugin's scheduler sends more than once."""

from __future__ import annotations

from pytest_procpar.core.model import TestIndex, WorkerId
from pytest_procpar.core.run.ledger import Ledger

__all__ = ["Copies"]


class Copies:
    """Which copies of each test wait to be assigned, and how many there are.

    The first copy of a test has its place in the collected order as its index, and each further one an index
    that is `count` higher. The ledger is told of all that happens to them.
    """

    def __init__(self, ledger: Ledger, count: int) -> None:
        self._ledger = ledger
        self.count = count
        self._waiting = [[TestIndex(i)] for i in range(count)]
        self._made = [1] * count

    def place(self, test: TestIndex) -> int:
        """A test's place in the collected order, whichever copy it is."""
        return test % self.count

    def waiting(self, place: int) -> TestIndex | None:
        """The copy of this test that has waited longest; None if none waits."""
        return next(iter(self._waiting[place]), None)

    def all_waiting(self) -> list[TestIndex]:
        """All copies that wait to be assigned, in collected order."""
        return [test for copies in self._waiting for test in copies]

    def another(self, place: int) -> TestIndex:
        """Make one more copy of a test; it waits."""
        copy = TestIndex(place + self._made[place] * self.count)
        self._made[place] += 1
        if copy not in self._ledger:
            self._ledger.grow(self.count)
        self._ledger.reopen(copy)
        self.wait(copy)
        return copy

    def wait(self, test: TestIndex) -> None:
        """Let a copy wait that the ledger knows as open."""
        self._waiting[self.place(test)].append(test)

    def assign(self, test: TestIndex, worker: WorkerId) -> None:
        """A copy that waits goes to a worker."""
        self._ledger.assign(test, worker)
        self._waiting[self.place(test)].remove(test)

    def take_back(self, test: TestIndex) -> None:
        """A copy that was assigned waits again."""
        self._ledger.take_back(test)
        self.wait(test)

    def drop(self, test: TestIndex) -> None:
        """A copy that waits will not run."""
        self._ledger.drop(test)
        self._waiting[self.place(test)].remove(test)
