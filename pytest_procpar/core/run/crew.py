"""The workers of a run that are alive, and what can be asked of all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pytest_procpar.core.model import TestIndex, WorkerId
from pytest_procpar.core.run.events import Effect, Fewer
from pytest_procpar.core.run.ledger import LedgerError
from pytest_procpar.core.run.worker_state import Phase, WorkerState

__all__ = ["START_TIMEOUT", "Crew", "missing_of"]

#: A worker that is not ready after this many seconds is killed and replaced.
START_TIMEOUT = 60.0


class Crew:
    """The living workers, in the order of their starts. Times are in seconds of the caller's clock."""

    def __init__(self) -> None:
        self._workers: dict[WorkerId, WorkerState] = {}
        self._next = 0
        #: Whether a worker, before it is ready, only has to take its identity (and does not collect).
        self.quick_starts = True
        #: Whether a worker has got stuck, so that others are started in another way.
        self.stuck_once = False
        #: Why there are fewer workers than wanted, until `fewer` has said so.
        self.refused: str | None = None

    def __iter__(self) -> Iterator[WorkerState]:
        return iter(self._workers.values())

    def __len__(self) -> int:
        return len(self._workers)

    def get(self, worker: WorkerId) -> WorkerState:
        """A worker.

        :raises LedgerError: if there is no such worker.
        """
        try:
            return self._workers[worker]
        except KeyError:
            raise LedgerError(f"there is no gw{worker}, or not any more") from None

    def find(self, worker: WorkerId) -> WorkerState | None:
        """A worker, or None if there is no such worker."""
        return self._workers.get(worker)

    def add(self, now: float, partition: int) -> WorkerState:
        """Number a new worker, which is about to be started."""
        worker = WorkerState(WorkerId(self._next), now, partition, fresh=self.stuck_once)
        self._next += 1
        self._workers[worker.id] = worker
        return worker

    def remove(self, worker: WorkerId) -> None:
        """A worker is gone."""
        del self._workers[worker]

    def awaited(self) -> list[WorkerId]:
        """The workers that run nothing and have tests in hand: they are about to begin one."""
        return [w.id for w in self if w.phase is Phase.ACTIVE and w.running is None and w.in_hand]

    def hears(self, worker: WorkerId) -> bool:
        """Whether what a worker says of its tests counts; it does not once the worker is being ended."""
        held = self._workers.get(worker)
        return held is not None and held.phase is not Phase.CONDEMNED

    def running(self) -> dict[WorkerId, TestIndex]:
        """Which worker runs which test."""
        return {w.id: w.running for w in self if w.running is not None}

    def hungry(self, enough: int) -> bool:
        """Whether a worker has less than that in hand, or all are finishing."""
        working = [w for w in self if w.phase is not Phase.FINISHING]
        return not working or any(w.in_hand < enough for w in working)

    def fewer(self) -> list[Effect]:
        """Says how many workers there are, if there are fewer than wanted, once none is starting any more."""
        why, phases = self.refused, [worker.phase for worker in self]
        if why is None or not phases or Phase.STARTING in phases:
            return []
        self.refused = None
        return [Fewer(len(phases), why)]

    def deadline(self) -> float | None:
        """When a worker that is starting takes too long; None: never."""
        if not self.quick_starts:
            return None
        starting = [w.since for w in self if w.phase is Phase.STARTING]
        return min(starting) + START_TIMEOUT if starting else None

    def late(self, now: float) -> list[WorkerState]:
        """The workers that take too long to start."""
        if not self.quick_starts:
            return []
        return [w for w in self if w.phase is Phase.STARTING and now >= w.since + START_TIMEOUT]


def missing_of(count: int, workers: Iterable[WorkerState], unbegun: int) -> int:
    """How many workers to start so that there are `count`: no more than there are tests that have not begun.

    One that is being ended will be replaced.
    """
    staying = sum(worker.phase is not Phase.FINISHING for worker in workers)
    return max(0, min(count - staying, unbegun))
