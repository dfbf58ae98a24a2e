"""One worker as the controller sees it: its phase and the tests that it holds."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from enum import Enum, auto

from pytest_procpar.core.model import TestIndex, WorkerId
from pytest_procpar.core.run.batching import Unit
from pytest_procpar.core.run.events import Outlook

__all__ = ["Phase", "WorkerState"]


class Phase(Enum):
    """The life of a worker; it only ever moves down this list."""

    STARTING = auto()
    ACTIVE = auto()
    #: It is being ended: its test has taken too long, or it will never go on.
    CONDEMNED = auto()
    FINISHING = auto()


class WorkerState:
    """The tests that one worker holds, and what it has been told.

    A worker's future is, in this order: ``current`` (the rest of the unit that it has begun, which no other
    worker gets), ``handed`` (units that the worker has and has not begun) and ``units`` (assigned, but not
    handed out). ``owned`` counts the tests in all three.

    The worker itself is ahead of this view: its latest messages may still be on their way.
    """

    __slots__ = (
        "claimed",
        "current",
        "excused",
        "finished",
        "fresh",
        "handed",
        "id",
        "in_hand",
        "latest",
        "owned",
        "partition",
        "phase",
        "revoking",
        "running",
        "since",
        "told",
        "units",
    )  # fmt: skip

    def __init__(self, worker: WorkerId, now: float, partition: int = 0, *, fresh: bool = False) -> None:
        self.id = worker
        #: Whether it was started after a worker had got stuck, and so in another way.
        self.fresh = fresh
        self.phase = Phase.STARTING
        #: When the current phase began, in seconds of the caller's clock.
        self.since = now
        #: When it last began a test, or came up.
        self.latest = now
        #: Which of the run's partitions the worker draws from (under ``--dist each`` each has its own).
        self.partition = partition
        self.current: deque[TestIndex] = deque()
        self.handed: deque[Unit] = deque()
        self.units: deque[Unit] = deque()
        self.owned = 0
        #: How many tests are with the worker and have not begun.
        self.in_hand = 0
        #: How many of the first units in ``handed`` the worker must have begun although it has not said so
        #: yet: they were missing from its answer to a `Revoke`.
        self.claimed = 0
        self.running: TestIndex | None = None
        self.finished = 0
        #: What the worker knows about the time after its last test: "hold", "last" or nothing yet.
        self.told: Outlook | None = None
        #: Whether it is killed through no fault of the test that it runs, which is to run again.
        self.excused = False
        #: Whether it has not answered a `Revoke` yet.
        self.revoking = False

    @property
    def busy(self) -> bool:
        """Whether a test runs here or is to run here."""
        return self.running is not None or self.owned > 0

    @property
    def idle(self) -> bool:
        """Whether the worker has nothing to do, and nothing is on its way to it."""
        return self.phase is Phase.ACTIVE and not self.busy

    @property
    def free(self) -> bool:
        """Whether nothing keeps the worker from beginning its next unit now."""
        return self.running is None and not self.current and not self.claimed

    @property
    def spare(self) -> int:
        """How many units it has not begun, as far as we know."""
        return len(self.handed) - self.claimed + len(self.units)

    def pace(self, now: float) -> float:
        """How many seconds a test has taken on this worker so far, all included; 0 if unknown."""
        return (now - self.since) / self.finished if self.finished else 0.0

    def outlasts(self, seconds: float, now: float) -> bool:
        """Whether what it owns will keep it busy for `seconds`, judged by its pace or by the running test."""
        # Computed in the same way as the deadline: a difference of floats could still be below `seconds`
        # then.
        return now >= self.latest + seconds or self.pace(now) * self.owned >= seconds

    def own(self, units: Iterable[Unit]) -> None:
        """Take over units that are not handed out yet."""
        for unit in units:
            self.units.append(unit)
            self.owned += len(unit)

    def disown(self, count: int) -> list[Unit]:
        """Give up the last `count` units, in order; none of them has been handed out."""
        units = [self.units.pop() for _ in range(count)]
        units.reverse()
        self.owned -= sum(map(len, units))
        return units

    def begin(self, test: TestIndex) -> bool:
        """Note that a test begins; False, with nothing changed, if it is not that test's turn."""
        if self.running is not None:
            return False
        current = self.current
        if current:
            if current[0] != test:
                return False
            current.popleft()
        elif self.handed and self.handed[0][0] == test:
            current.extend(self.handed.popleft())
            current.popleft()
            self.claimed -= self.claimed > 0
        else:
            return False
        self.owned -= 1
        self.in_hand -= 1
        self.running = test
        return True

    def hand_out(self, depth: int) -> list[TestIndex]:
        """Move units to the worker until it has `depth` tests in hand; return the tests to send."""
        out: list[TestIndex] = []
        while self.units and self.in_hand < depth:
            unit = self.units.popleft()
            self.handed.append(unit)
            self.in_hand += len(unit)
            out.extend(unit)
        return out

    def revoked(self, tests: Collection[TestIndex]) -> list[TestIndex]:
        """Take back handed-out tests; return those of begun units, which have to be sent again."""
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
        self.claimed = len(kept)
        self.units.extendleft(reversed(freed))
        self.revoking = False
        # Whatever stood behind the tests, "hold" or "last", was taken back with them.
        self.told = None
        return again

    def shed(self, tests: Collection[TestIndex]) -> list[Unit]:
        """Give up all that the worker has not begun; it has answered that it has not begun `tests`."""
        again = self.revoked(tests)
        self.current = deque(test for test in self.current if test not in tests)
        self.handed = deque(tuple(test for test in unit if test not in tests) for unit in self.handed)
        self.in_hand -= len(again)
        self.owned -= len(again)
        return [*([tuple(again)] if again else []), *self.disown(len(self.units))]

    def surrender(self) -> list[Unit]:
        """Give up all tests that have not begun; the rest of a begun unit becomes a unit of its own."""
        units = [tuple(self.current)] if self.current else []
        units += [*self.handed, *self.units]
        for queue in (self.current, self.handed, self.units):
            queue.clear()
        self.owned = self.in_hand = self.claimed = 0
        return units
