"""Who gets which test: the ledger, the pool and the workers of one lane.

A lane is a set of tests and the workers that share them. A run has one; under ``--dist each`` every worker
has a lane of its own, with a copy of all tests. The dealer decides who runs what and what a worker is told
to expect; whether workers are started, replaced or let go is not its business.
"""

from __future__ import annotations

from collections.abc import Iterable

from .events import Assign, Effect, Outlook, Revoke
from .ledger import Ledger, LedgerError, State
from .lifecycle import Phase, WorkerState
from .model import RunOptions, TestIndex, WorkerId
from .policy import Pool, Unit, share_to_steal

__all__ = ["IN_HAND", "Dealer"]

#: A worker that has fewer tests in hand than this gets more, up to twice as many. What is in hand can be
#: taken back at any time, so depth costs nothing; it must outlast the pauses in which the controller lets
#: results pile up (some milliseconds of 0.1 ms tests).
IN_HAND = 128

#: A worker draws its next batch when what it owns will last less than this, in seconds.
_HORIZON = 0.02


class Dealer:
    """Deals the tests of one lane out to its workers.

    Effects are appended to `out`, which belongs to the caller.
    """

    __slots__ = ("_in_hand", "_options", "_out", "_pool", "_stopped", "_workers", "ledger")

    def __init__(
        self,
        units: Iterable[Unit],
        ledger: Ledger,
        options: RunOptions,
        out: list[Effect],
        in_hand: int = IN_HAND,
    ) -> None:
        self.ledger = ledger
        self._pool = Pool(units, options)
        self._options = options
        self._out = out
        self._in_hand = in_hand
        self._stopped = False
        self._workers: dict[WorkerId, WorkerState] = {}

    @property
    def served(self) -> bool:
        """Whether the lane has a worker that runs tests, or will."""
        return any(worker.phase is not Phase.FINISHING for worker in self._workers.values())

    @property
    def busy(self) -> bool:
        """Whether a test runs, or is still to run on the worker it is assigned to."""
        return any(worker.busy for worker in self._workers.values())

    # --- workers come and go ---

    def join(self, worker: WorkerState) -> None:
        """Let a worker that is coming up have a part in the lane."""
        self._workers[worker.id] = worker

    def reserve(self, worker: WorkerState, shares: int) -> None:
        """Assign a worker that is coming up its first batch, as one of `shares` that have none yet."""
        self._own(worker, self._pool.take_batch(shares))

    def ready(self, worker: WorkerState, now: float) -> None:
        """Open the game for a worker that has come up; those who wait may take from what it reserved."""
        self.feed_hungry(now)
        self._feed(worker, now)

    def condemn(self, worker: WorkerState, now: float) -> None:
        """Take back, for the others, what a worker that is being ended has not begun."""
        if worker.revoking:
            return
        if worker.in_hand:
            self._revoke(worker)
        else:
            self._return(worker.disown(len(worker.units)))
            self.feed_hungry(now)

    def leave(self, worker: WorkerState) -> TestIndex | None:
        """Take the tests of a dead worker back; the one it died of, which is thereby settled, if any."""
        del self._workers[worker.id]
        self._return(worker.surrender())
        if worker.running is not None:
            self.ledger.settle(worker.running)
        return worker.running

    # --- tests begin and end ---

    def began(self, worker: WorkerState, test: TestIndex, now: float) -> None:
        """Note that a test runs.

        :raises LedgerError: if it is not that worker's turn for that test; nothing has changed.
        """
        if not worker.begin(test):
            raise LedgerError(f"test {test} began on gw{worker.id} out of turn")
        self.ledger.begin(test, worker.id)
        self._feed(worker, now)
        if not self.ledger.unbegun:
            self._tell_all()

    def finished(self, worker: WorkerState, test: TestIndex, now: float) -> None:
        """Note that a test has ended.

        :raises LedgerError: if the worker does not run it; nothing has changed.
        """
        if worker.running != test:
            raise LedgerError(f"test {test} finished on gw{worker.id}, which runs {worker.running}")
        self.ledger.settle(test)
        worker.running = None
        worker.finished += 1
        if not worker.owned:
            self._feed(worker, now)

    def revoked(self, worker: WorkerState, tests: tuple[TestIndex, ...], now: float) -> None:
        """Deal out anew what a worker gave back."""
        if worker.phase is Phase.CONDEMNED:
            # The rest of a group that it has begun waits for its death: it may still hold what they share.
            worker.revoked(frozenset(tests))
            self._return(worker.disown(len(worker.units)))
            self.feed_hungry(now)
            return
        if self._stopped:
            self._return(worker.shed(frozenset(tests)))
            self._tell(worker)
            return
        again = worker.revoked(frozenset(tests))
        if again:
            self._out.append(Assign(worker.id, tuple(again)))
        # The hungry first: it was for one of them that the tests were taken back.
        self.feed_hungry(now)
        self._feed(worker, now)

    def reopen(self, test: TestIndex) -> bool:
        """Make a settled test one that is to run; False if it is not settled, and will run anyway."""
        if self.ledger.state(test) is not State.SETTLED:
            return False
        self.ledger.reopen(test)
        self._pool.put_back([(test,)])
        return True

    def abandon(self) -> tuple[TestIndex, ...]:
        """Settle the tests nobody is left to run."""
        left = tuple(test for unit in self._pool.take_all() for test in unit)
        for test in left:
            self.ledger.drop(test)
        return left

    def stop(self) -> None:
        """Hand nothing out from now on, and take back what has not begun."""
        if self._stopped:
            return
        self._stopped = True
        for worker in self._workers.values():
            if worker.revoking or worker.phase is Phase.CONDEMNED:
                continue
            if worker.in_hand:
                self._revoke(worker)
            else:
                self._return(worker.disown(len(worker.units)))
                self._tell(worker)

    # --- tests find their workers ---

    def feed_hungry(self, now: float) -> None:
        """See to it that no worker without tests goes without, if there are some for it."""
        for worker in self._workers.values():
            if not worker.owned:
                self._feed(worker, now)

    def _feed(self, worker: WorkerState, now: float) -> None:
        """See to it that a worker knows what comes next."""
        if worker.phase is not Phase.ACTIVE or worker.revoking:
            return
        if not self._stopped:
            if self._pool and self._runs_low(worker, now):
                self._own(worker, self._pool.take_batch(self._options.workers))
            if not worker.owned:
                self._steal_for(worker)
            if worker.units and worker.in_hand < self._in_hand:
                self._hand_out(worker)
        if not worker.owned:
            self._tell(worker)

    def _runs_low(self, worker: WorkerState, now: float) -> bool:
        """Whether what a worker owns will end before the next batch can be with it."""
        if not worker.owned or not worker.finished:
            return not worker.owned
        return worker.owned <= self._in_hand and worker.owned * worker.pace(now) <= _HORIZON

    def _hand_out(self, worker: WorkerState) -> None:
        tests = tuple(worker.hand_out(2 * self._in_hand))
        owns_all = worker.owned == self.ledger.unbegun and not worker.units
        worker.told = "last" if owns_all else None
        self._out.append(Assign(worker.id, tests, worker.told))

    def _steal_for(self, thief: WorkerState) -> None:
        """Take units that have not begun from the worker that has the most of them.

        A worker that is still coming up is left alone: the first batches are dealt in the workers' order.
        """
        victim, share = thief, 0
        for worker in self._workers.values():
            if worker is not thief and worker.phase is Phase.ACTIVE and not worker.revoking:
                count = share_to_steal(worker.spare, thief_idle=thief.idle, victim_free=worker.free)
                if count > share:
                    victim, share = worker, count
        if share > len(victim.units):
            self._revoke(victim)
        elif share:
            units = victim.disown(share)
            self._take_back(units)
            self._own(thief, units)

    def _own(self, worker: WorkerState, units: list[Unit]) -> None:
        for unit in units:
            for test in unit:
                self.ledger.assign(test, worker.id)
        worker.own(units)

    def _return(self, units: list[Unit]) -> None:
        self._take_back(units)
        self._pool.put_back(units)

    def _take_back(self, units: list[Unit]) -> None:
        for unit in units:
            for test in unit:
                self.ledger.take_back(test)

    def _revoke(self, worker: WorkerState) -> None:
        worker.revoking = True
        self._out.append(Revoke(worker.id))

    def _tell(self, worker: WorkerState) -> None:
        """Tell a worker that has no tests left what to make of that, once.

        There is no way back from "last": it has torn everything down by then.
        """
        if worker.owned or worker.revoking or worker.phase is not Phase.ACTIVE:
            return
        outlook: Outlook = "hold" if self.ledger.unbegun and not self._stopped else "last"
        if worker.told not in (outlook, "last"):
            worker.told = outlook
            self._out.append(Assign(worker.id, (), outlook))

    def _tell_all(self) -> None:
        for worker in self._workers.values():
            self._tell(worker)
