"""Where every test of a partition is: pending, assigned, running or settled.

The rules on which all other promises rest:

- a test moves pending -> assigned -> running -> settled; only an assigned one can be taken back;
- a test is settled exactly once, unless a plugin reopens it after a crash;
- a test begins on the worker that it is assigned to, and nowhere else.

Breaking a rule raises `LedgerError` and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import IntEnum

from pytest_procpar.core.model import TestIndex, WorkerId

__all__ = ["ItemState", "Ledger", "LedgerError", "OutOfTurn", "ScatteredLedger"]


class LedgerError(Exception):
    """A test was about to make a move that the rules forbid."""


class OutOfTurn(LedgerError):
    """A worker has begun another test than the next one that it was sent: something has read that one."""


class ItemState(IntEnum):
    """Where a test is."""

    PENDING = 0
    ASSIGNED = 1
    RUNNING = 2
    SETTLED = 3


class Ledger:
    """The state and the owner of `count` tests, the first of which has the index `first`."""

    __slots__ = ("_first", "_owner", "_state", "unbegun", "unsettled")

    def __init__(self, count: int, first: int = 0) -> None:
        self._first = first
        self._state: bytearray | dict[int, int] = bytearray(count)
        self._owner: list[WorkerId | None] | dict[int, WorkerId | None] = [None] * count
        #: How many tests are pending or assigned.
        self.unbegun = count
        #: How many tests are not settled.
        self.unsettled = count

    def __contains__(self, test: TestIndex) -> bool:
        return 0 <= test - self._first < len(self._state)

    def state(self, test: TestIndex) -> ItemState:
        """Where a test is."""
        return ItemState(self._state[test - self._first])

    def owner(self, test: TestIndex) -> WorkerId | None:
        """The worker that a test is assigned to or runs on."""
        return self._owner[test - self._first]

    def unsettled_tests(self) -> Iterator[TestIndex]:
        """All tests that are not settled, in collected order."""
        return (TestIndex(self._first + i) for i, at in enumerate(self._state) if at != ItemState.SETTLED)

    def assign(self, test: TestIndex, worker: WorkerId) -> None:
        """Assign a pending test to a worker."""
        self._move(test, ItemState.PENDING, ItemState.ASSIGNED)
        self._owner[test - self._first] = worker

    def take_back(self, test: TestIndex) -> None:
        """Make an assigned test pending again."""
        self._move(test, ItemState.ASSIGNED, ItemState.PENDING)
        self._owner[test - self._first] = None

    def begin(self, test: TestIndex, worker: WorkerId) -> None:
        """Note that a test runs on the worker that it is assigned to."""
        owner = self._owner[test - self._first]
        if owner != worker:
            raise LedgerError(f"test {test} begins on gw{worker}, but is with {owner}")
        self._move(test, ItemState.ASSIGNED, ItemState.RUNNING)
        self.unbegun -= 1

    def settle(self, test: TestIndex) -> None:
        """Note that a running test has its outcome."""
        self._move(test, ItemState.RUNNING, ItemState.SETTLED)
        self._owner[test - self._first] = None
        self.unsettled -= 1

    def drop(self, test: TestIndex) -> None:
        """Settle a pending test that will not be run."""
        self._move(test, ItemState.PENDING, ItemState.SETTLED)
        self.unbegun -= 1
        self.unsettled -= 1

    def reopen(self, test: TestIndex) -> None:
        """Make a settled test pending again."""
        self._move(test, ItemState.SETTLED, ItemState.PENDING)
        self.unbegun += 1
        self.unsettled += 1

    def grow(self, count: int) -> None:
        """Make room for `count` more tests, which count as settled until they are reopened."""
        assert isinstance(self._state, bytearray)
        assert isinstance(self._owner, list)
        self._state.extend(bytes([ItemState.SETTLED]) * count)
        self._owner.extend([None] * count)

    def _move(self, test: TestIndex, source: ItemState, target: ItemState) -> None:
        at = test - self._first
        if self._state[at] != source:
            raise LedgerError(
                f"test {test} is {self.state(test).name}, so it cannot go from {source.name} to {target.name}"
            )
        self._state[at] = target


class ScatteredLedger(Ledger):
    """The state and the owner of tests that are no neighbours; it cannot grow."""

    __slots__ = ()

    def __init__(self, tests: Iterable[TestIndex]) -> None:
        super().__init__(0)
        self._state = dict.fromkeys(tests, int(ItemState.PENDING))
        self._owner = dict.fromkeys(self._state)
        self.unbegun = self.unsettled = len(self._state)

    def __contains__(self, test: TestIndex) -> bool:
        return test in self._state

    def unsettled_tests(self) -> Iterator[TestIndex]:
        """All tests that are not settled, in collected order."""
        assert isinstance(self._state, dict)
        return (TestIndex(test) for test, at in self._state.items() if at != ItemState.SETTLED)
