"""Who gets which test under our own ``--dist`` modes, and what workers are told to expect."""

from __future__ import annotations

from collections.abc import Hashable

from pytest_procpar.core.model import RunOptions, TestIndex, Took
from pytest_procpar.core.run.batching import Backlog, Unit, share_to_steal
from pytest_procpar.core.run.crew import missing_of
from pytest_procpar.core.run.events import Assign, Effect, Outlook
from pytest_procpar.core.run.ledger import Ledger
from pytest_procpar.core.run.partition import IN_HAND, Partition
from pytest_procpar.core.run.worker_state import Phase, WorkerState

__all__ = ["HORIZON", "Scheduler"]

#: A worker draws its next batch when what it owns will last for less than this many seconds. And nothing is
#: taken from a worker that will have run all that it owns within this time: asking for it takes as long as
#: some short tests, and neighbouring tests often rely on each other.
HORIZON = 0.02


class Scheduler(Partition):
    """Deals out one partition's tests to its workers, from a backlog."""

    __slots__ = ("_look_again", "_options", "_pool", "_rescued", "_saved", "_vain")

    def __init__(
        self,
        pool: Backlog,
        ledger: Ledger,
        options: RunOptions,
        out: list[Effect],
        in_hand: int = IN_HAND,
    ) -> None:
        super().__init__(ledger, out, in_hand)
        self._pool = pool
        self._options = options
        #: When to look again whether to take tests from a worker that seemed about to finish them quickly.
        self._look_again: float | None = None
        #: Units that stuck workers had begun. Fresh workers get them, as long as there are any.
        self._rescued: list[Unit] = []
        self._saved: set[TestIndex] = set()
        #: While all that are hungry are fed, what kind of worker has found nothing to take from others: the
        #: next one of that kind will not either. Else many of them, each looking at all others, take long.
        self._vain: set[Hashable] | None = None

    # --- workers come and go ---

    def reserve(self, worker: WorkerState, waiting: int, workers: int) -> None:
        """Assign a first batch to a worker that is coming up, one of `waiting` of all `workers`."""
        self._own(worker, self._pool.first_batch(waiting, workers))

    def ready(self, worker: WorkerState, now: float) -> None:
        """Feed a worker that has come up; workers that wait may now take from what it reserved."""
        worker.latest = now
        self.feed_hungry(now)
        self._feed(worker, now)

    def condemn(self, worker: WorkerState, now: float) -> None:
        """Take back what a worker that is being ended has not begun, and give it to the others."""
        if worker.revoking:
            return
        if worker.in_hand:
            self._revoke(worker)
        else:
            self._return(worker.disown(len(worker.units)))
            self.feed_hungry(now)

    def leave(self, worker: WorkerState) -> TestIndex | None:
        """Take back the tests of a dead worker; return the test that it died of, which settles that test.

        What an excused worker ran goes back with the rest of its unit, which must not be split.
        """
        del self._workers[worker.id]
        running, rest = worker.running, tuple(worker.current)
        units = worker.surrender()
        self._take_back(units)
        if running is not None:
            self.ledger.settle(running)
        if running is not None and worker.excused:
            self.ledger.reopen(running)
            self._rescued.append((running, *rest))
            self._saved.update((running, *rest))
            units = units[bool(rest) :]  # the first one is `rest`, if there is any
        self._pool.put_back(units)
        return None if worker.excused else running

    def allot(self, count: int) -> int:
        """How many workers to start so that there are `count`, at most as many as were asked for."""
        if self._stopped or self._options.divided:
            return 0
        return missing_of(min(count, self._options.workers), self._workers.values(), self.ledger.unbegun)

    # --- tests begin and end ---

    def began(self, worker: WorkerState, test: TestIndex, now: float) -> None:
        """Note that a test runs, and give its worker more if it needs more."""
        self._note_begun(worker, test)
        worker.latest = now
        self._feed(worker, now)
        if not self.ledger.unbegun:
            self._tell_all()

    def finished(self, worker: WorkerState, test: TestIndex, now: float, took: Took | None = None) -> None:
        """Note that a test has ended, and give its worker more if that was its last."""
        self._note_finished(worker, test)
        if not worker.owned:
            self._feed(worker, now)

    def revoked(self, worker: WorkerState, tests: tuple[TestIndex, ...], now: float) -> None:
        """Deal out again what a worker gave back."""
        if worker.phase is Phase.CONDEMNED:
            # The rest of a group that the worker has begun waits for its death: until then the worker may
            # hold what these tests share.
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
        # The hungry first: the tests were taken back for one of them.
        self.feed_hungry(now)
        self._feed(worker, now)

    def _reopened(self, test: TestIndex) -> None:
        self._pool.put_back([(test,)])

    def abandon(self) -> tuple[TestIndex, ...]:
        """Settle the tests that no worker is left to run, and return them."""
        left = tuple(test for unit in [*self._rescued, *self._pool.take_all()] for test in unit)
        self._rescued.clear()
        for test in left:
            self.ledger.drop(test)
        return left

    def _empty(self, worker: WorkerState) -> None:
        self._return(worker.disown(len(worker.units)))
        self._tell(worker)

    # --- tests find their workers ---

    def feed_hungry(self, now: float) -> None:
        """Feed each worker that has no tests, if there are any for it."""
        self._look_again = None
        self._vain = set()
        for worker in self._workers.values():
            if not worker.owned:
                self._feed(worker, now)
        self._vain = None

    def deadline(self) -> float | None:
        """When a waiting worker may take what another one has had time enough to run."""
        return self._look_again

    def _feed(self, worker: WorkerState, now: float) -> None:
        """Tell a worker what comes next: hand out tests, or say what follows the last one."""
        if worker.phase is not Phase.ACTIVE or worker.revoking:
            return
        if not self._stopped:
            if self._rescued and not worker.owned and self._may_rescue(worker):
                self._own(worker, [self._rescued.pop(0)])
            if self._pool and self._runs_low(worker, now):
                self._own(worker, self._next_batch(worker, now))
            if not worker.owned:
                self._steal_for(worker, now)
            if worker.units and worker.in_hand < self._in_hand:
                self._hand_out(worker)
        if not worker.owned:
            self._tell(worker)

    def _next_batch(self, worker: WorkerState, now: float) -> list[Unit]:
        """What a worker draws from the backlog."""
        return self._pool.take_batch(self._options.workers)

    def _may_rescue(self, worker: WorkerState) -> bool:
        return worker.fresh or not any(other.fresh for other in self._workers.values())

    def _runs_low(self, worker: WorkerState, now: float) -> bool:
        """Whether a worker will have run all that it owns before the next batch can reach it."""
        if not worker.owned or not worker.finished:
            return not worker.owned
        return worker.owned <= self._in_hand and worker.owned * worker.pace(now) <= HORIZON

    def _hand_out(self, worker: WorkerState) -> None:
        tests = tuple(worker.hand_out(2 * self._in_hand))
        owns_all = worker.owned == self.ledger.unbegun and not worker.units
        worker.told = "last" if owns_all else None
        self._out.append(Assign(worker.id, tests, worker.told))

    def _steal_for(self, thief: WorkerState, now: float) -> None:
        """Take units that have not begun from the worker that has most of them.

        A worker that is still coming up is left alone: the first batches are dealt out in the order of the
        workers. A worker that may finish its tests within `HORIZON` is looked at again later.
        """
        kind = thief.idle, thief.fresh
        if self._is_vain(kind):
            return
        victim, share = thief, 0
        for worker in self._workers.values():
            if self._is_bound(worker, thief):
                continue
            if worker is not thief and worker.phase is Phase.ACTIVE and not worker.revoking:
                count = share_to_steal(worker.spare, thief_idle=thief.idle, victim_free=worker.free)
                if count > share and worker.outlasts(HORIZON, now):
                    victim, share = worker, count
                elif count > share:
                    self._look_at(worker.latest + HORIZON)
        if share:
            self._take(victim, share, thief)
        else:
            self._note_vain(kind)

    def _is_vain(self, kind: Hashable) -> bool:
        """Whether a worker of this kind has just found nothing to take."""
        return self._vain is not None and kind in self._vain

    def _note_vain(self, kind: Hashable) -> None:
        if self._vain is not None:
            self._vain.add(kind)

    def _is_bound(self, worker: WorkerState, thief: WorkerState) -> bool:
        """Whether a worker holds what stuck workers had begun, which the thief is not to have."""
        held = (*worker.handed, *worker.units) if self._saved and not thief.fresh else ()
        return any(not self._saved.isdisjoint(unit) for unit in held)

    def _look_at(self, due: float) -> None:
        self._look_again = due if self._look_again is None else min(due, self._look_again)

    def _take(self, victim: WorkerState, count: int, thief: WorkerState) -> None:
        """Take a worker's last `count` units, or ask for them first if it has them in hand."""
        if count > len(victim.units):
            self._revoke(victim)
            return
        units = victim.disown(count)
        self._take_back(units)
        self._own(thief, units)

    def _own(self, worker: WorkerState, units: list[Unit]) -> None:
        if self._vain:
            self._vain.clear()  # now there may be something to take here
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

    def _tell(self, worker: WorkerState) -> None:
        """Tell a worker that has no tests left what to expect."""
        if worker.owned or worker.revoking or worker.phase is not Phase.ACTIVE:
            return
        outlook: Outlook = "hold" if self.ledger.unbegun and not self._stopped else "last"
        self._say(worker, outlook)

    def _tell_all(self) -> None:
        for worker in self._workers.values():
            self._tell(worker)
