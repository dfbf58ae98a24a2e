"""One worker as the controller sees it: its phase and the tests it holds."""

from __future__ import annotations

from collections import deque
from enum import Enum, auto

from .events import Outlook
from .model import TestIndex, WorkerId
from .policy import Unit

__all__ = ["Phase", "WorkerState"]


class Phase(Enum):
    """The life of a worker; it only ever goes down this list."""

    STARTING = auto()
    ACTIVE = auto()
    FINISHING = auto()


class WorkerState:
    """The tests one worker holds, and what it has been told.

    A worker's future is, in this order: ``current`` (the rest of the unit it has begun; it stays
    here), ``handed`` (units that are with the worker and have not begun) and ``units`` (assigned, not
    handed out). ``owned`` counts the tests in all three.
    """

    __slots__ = (
        "current", "finished", "handed", "id", "in_hand", "lane", "owned", "phase",
        "revoking", "running", "since", "told", "units",
    )  # fmt: skip

    def __init__(self, worker: WorkerId, now: float, lane: int) -> None:
        self.id = worker
        self.phase = Phase.STARTING
        #: When the present phase began, in seconds of the caller's clock.
        self.since = now
        #: Which pool the worker draws from (under ``--dist each`` every worker has its own).
        self.lane = lane
        self.current: deque[TestIndex] = deque()
        self.handed: deque[Unit] = deque()
        self.units: deque[Unit] = deque()
        self.owned = 0
        #: How many tests are with the worker and have not begun.
        self.in_hand = 0
        self.running: TestIndex | None = None
        self.finished = 0
        #: What the worker knows of the time after its last test: "hold", "last" or not yet.
        self.told: Outlook | None = None
        #: Whether the answer to a Revoke is outstanding.
        self.revoking = False

    @property
    def idle(self) -> bool:
        """Whether the worker waits with nothing to do and nothing on its way."""
        return self.phase is Phase.ACTIVE and self.running is None and not self.owned

    def pace(self, now: float) -> float:
        """Seconds a test takes on this worker, all told, by what it did so far; 0 if unknown."""
        return (now - self.since) / self.finished if self.finished else 0.0

    def begin(self, test: TestIndex) -> bool:
        """Note that a test begins; False if it is not the one whose turn it is."""
        if not self.current and self.handed:
            self.current.extend(self.handed.popleft())
        if not self.current or self.current[0] != test:
            return False
        self.current.popleft()
        self.owned -= 1
        self.in_hand -= 1
        self.running = test
        return True

    def hand_out(self, depth: int) -> list[TestIndex]:
        """Move units to the worker until it has `depth` tests in hand; the tests that go out."""
        out: list[TestIndex] = []
        while self.units and self.in_hand < depth:
            unit = self.units.popleft()
            self.handed.append(unit)
            self.in_hand += len(unit)
            out.extend(unit)
        return out

    def revoked(self, tests: frozenset[TestIndex]) -> list[TestIndex]:
        """Take back handed-out tests; those of a unit that has begun, which have to go out again."""
        again = [test for test in self.current if test in tests]
        kept: list[Unit] = []
        freed: list[Unit] = []
        for unit in self.handed:
            back = [test for test in unit if test in tests]
            if len(back) == len(unit):
                freed.append(unit)
                self.in_hand -= len(unit)
            else:
                kept.append(unit)
                again.extend(back)
        self.handed = deque(kept)
        self.units.extendleft(reversed(freed))
        self.revoking = False
        return again

    def surrender(self) -> list[Unit]:
        """Give up all tests that have not begun, the rest of a begun unit as a unit of its own."""
        units = [tuple(self.current)] if self.current else []
        units += [*self.handed, *self.units]
        for queue in (self.current, self.handed, self.units):
            queue.clear()
        self.owned = self.in_hand = 0
        return units
