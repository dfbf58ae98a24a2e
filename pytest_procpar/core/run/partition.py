"""A partition: a set of tests and the workers that share them, however they are dealt out.

A run has one. Under ``--dist each``, and where tests are pinned, every worker has one of its own. A partition
does not decide whether workers are started, replaced or let go.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from pytest_procpar.core.model import TestIndex, Took, WorkerId
from pytest_procpar.core.run.events import Assign, Effect, Outlook, Revoke
from pytest_procpar.core.run.ledger import ItemState, Ledger, LedgerError, OutOfTurn
from pytest_procpar.core.run.worker_state import Phase, WorkerState

__all__ = ["IN_HAND", "Partition"]

#: A worker with fewer tests in hand than this gets more, up to twice as many. Tests in hand can be taken back
#: at any time, so a large number costs nothing. It must outlast the pauses in which the controller lets
#: results pile up (some milliseconds of 0.1 ms tests).
IN_HAND = 128


class Partition(ABC):
    """What all partitions have in common: the ledger, the workers, and what the two must agree on.

    Effects are appended to `out`, which belongs to the caller. A worker with fewer than `in_hand` tests is
    sent more, if there are any.
    """

    __slots__ = ("_in_hand", "_out", "_stopped", "_workers", "ledger")

    def __init__(self, ledger: Ledger, out: list[Effect], in_hand: int) -> None:
        self.ledger = ledger
        self._out = out
        self._in_hand = in_hand
        self._stopped = False
        self._workers: dict[WorkerId, WorkerState] = {}

    @property
    def served(self) -> bool:
        """Whether the partition has a worker that runs tests or will run some."""
        return any(worker.phase is not Phase.FINISHING for worker in self._workers.values())

    @property
    def busy(self) -> bool:
        """Whether a test runs, or still has to run on the worker that it is assigned to."""
        return any(worker.busy for worker in self._workers.values())

    # --- workers come and go ---

    def join(self, worker: WorkerState) -> None:
        """Add a worker that is coming up."""
        self._workers[worker.id] = worker

    @abstractmethod
    def reserve(self, worker: WorkerState, waiting: int, workers: int) -> None:
        """Assign a first batch to a worker that is coming up, one of `waiting` of all `workers`."""

    @abstractmethod
    def ready(self, worker: WorkerState, now: float) -> None:
        """A worker has come up."""

    @abstractmethod
    def condemn(self, worker: WorkerState, now: float) -> None:
        """Take back what a worker that is being ended has not begun."""

    @abstractmethod
    def leave(self, worker: WorkerState) -> TestIndex | None:
        """Take back the tests of a dead worker; return the test that it died of, which settles that test.

        Returns None if no test ran. An excused worker died of no test: its running test is taken back, too.
        """

    # --- tests begin and end ---

    @abstractmethod
    def began(self, worker: WorkerState, test: TestIndex, now: float) -> None:
        """Note that a test runs.

        :raises LedgerError: if it is not that worker's turn to run that test; nothing has changed then.
        """

    @abstractmethod
    def finished(self, worker: WorkerState, test: TestIndex, now: float, took: Took | None = None) -> None:
        """Note that a test has ended.

        :raises LedgerError: if the worker does not run that test; nothing has changed then.
        """

    @abstractmethod
    def revoked(self, worker: WorkerState, tests: tuple[TestIndex, ...], now: float) -> None:
        """A worker gave these tests back."""

    def reopen(self, test: TestIndex) -> bool:
        """Let a settled test run again; False if it is not settled, and so will run anyway."""
        if self.ledger.state(test) is not ItemState.SETTLED:
            return False
        self.ledger.reopen(test)
        self._reopened(test)
        return True

    @abstractmethod
    def abandon(self) -> tuple[TestIndex, ...]:
        """Settle the tests that no worker is left to run, and return them."""

    def stop(self) -> None:
        """Hand out nothing from now on, and take back what has not begun."""
        if self._stopped:
            return
        self._stopped = True
        for worker in self._workers.values():
            if worker.revoking or worker.phase is Phase.CONDEMNED:
                continue
            if worker.in_hand:
                self._revoke(worker)
            else:
                self._empty(worker)

    @abstractmethod
    def feed_hungry(self, now: float) -> None:
        """Feed each worker that has no tests, if there are any for it."""

    def deadline(self) -> float | None:
        """When to call `feed_hungry` even if nothing happens, in seconds of the caller's clock."""
        return None

    def allot(self, count: int) -> int:
        """How many workers to start so that there are `count`; none where each has tests of its own."""
        return 0

    # --- for subclasses ---

    @abstractmethod
    def _reopened(self, test: TestIndex) -> None:
        """A settled test is to run again."""

    @abstractmethod
    def _empty(self, worker: WorkerState) -> None:
        """Take back what a worker owns and was not handed, and tell it that nothing will come."""

    def _note_begun(self, worker: WorkerState, test: TestIndex) -> None:
        if not worker.begin(test):
            raise OutOfTurn(f"test {test} began on gw{worker.id} out of turn")
        self.ledger.begin(test, worker.id)

    def _note_finished(self, worker: WorkerState, test: TestIndex) -> None:
        if worker.running != test:
            raise LedgerError(f"test {test} finished on gw{worker.id}, which runs {worker.running}")
        self.ledger.settle(test)
        worker.running = None
        worker.finished += 1

    def _revoke(self, worker: WorkerState) -> None:
        worker.revoking = True
        self._out.append(Revoke(worker.id))

    def _say(self, worker: WorkerState, outlook: Outlook) -> None:
        """Tell a worker without tests what to expect, once.

        Nothing follows "last": the worker has torn everything down by then.
        """
        if worker.told not in (outlook, "last"):
            worker.told = outlook
            self._out.append(Assign(worker.id, (), outlook))
