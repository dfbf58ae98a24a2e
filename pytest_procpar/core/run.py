"""The run itself: one state machine that turns what happened into what is to be done.

It knows neither processes nor pytest. `Run.handle` is given every event with the time at which it
happened, and returns effects that the caller performs in order. An effect that needs an answer
(`Spawn`, `Revoke`, `Finish`) gets it as a later event.
"""

from __future__ import annotations

from collections.abc import Iterator

from .events import (
    Assign,
    Began,
    Collected,
    Crashed,
    Died,
    Effect,
    Event,
    Finish,
    Finished,
    GiveUp,
    Interrupt,
    Kill,
    NotRun,
    Outlook,
    PutBack,
    Ready,
    Revoke,
    Revoked,
    Spawn,
    Stop,
    Tick,
)
from .ledger import Ledger, LedgerError
from .lifecycle import Phase, WorkerState
from .model import Dist, RunOptions, TestIndex, WorkerId, assert_never
from .policy import Pool, Unit, group_tests, share_to_steal

__all__ = ["Run"]

#: Tests a worker has in hand: filled up to the second number when below the first. What is in hand can
#: be taken back at any time, so depth costs nothing; it must outlast the pauses in which the
#: controller lets results pile up (some milliseconds of 0.1 ms tests).
_IN_HAND_LOW, _IN_HAND_FULL = 64, 128

#: A worker draws its next batch when what it owns will last less than this, in seconds.
_HORIZON = 0.02

#: A worker that has not reported for duty after this many seconds is killed and replaced.
START_TIMEOUT = 60.0


class Run:
    """The state of a run from the first collected test to the last worker's end."""

    def __init__(self, options: RunOptions) -> None:
        self._options = options
        self._ledger = Ledger(0)
        self._pools: list[Pool] = []
        self._workers: dict[WorkerId, WorkerState] = {}
        self._next_worker = 0
        self._restarts = 0
        self._stillborn = 0
        self._stopping = False
        self._out: list[Effect] = []

    # --- what can be asked ---

    @property
    def over(self) -> bool:
        """Whether nothing will happen any more: no worker is left, and none will come."""
        return bool(self._pools) and not self._workers

    @property
    def stopping(self) -> bool:
        """Whether no further test will begin."""
        return self._stopping

    def unsettled(self) -> Iterator[TestIndex]:
        """The tests without an outcome, in collected order: none, unless the run was stopped."""
        return self._ledger.unsettled_tests()

    def running(self) -> dict[WorkerId, TestIndex]:
        """Which worker runs which test."""
        return {w.id: w.running for w in self._workers.values() if w.running is not None}

    def hungry(self) -> bool:
        """Whether a worker is, or soon will be, waiting for a word from the controller."""
        return any(
            w.in_hand < _IN_HAND_LOW // 2 and w.phase is not Phase.FINISHING
            for w in self._workers.values()
        )

    def deadline(self) -> float | None:
        """When a `Tick` is due, in seconds of the caller's clock; None if time does not matter."""
        starting = [w.since for w in self._workers.values() if w.phase is Phase.STARTING]
        return min(starting) + START_TIMEOUT if starting else None

    # --- what happens ---

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Take one event in; the effects to perform, in order.

        :param now: seconds on any clock that does not jump back.
        :raises LedgerError: if the event contradicts what happened before: a bug of ours.
        """
        out: list[Effect] = []
        self._out = out
        match event:
            case Began(worker, test):
                self._began(self._workers[worker], test, now)
            case Finished(worker, test):
                self._finished(self._workers[worker], test, now)
            case Ready(worker):
                self._ready(self._workers[worker], now)
            case Revoked(worker, tests):
                self._revoked(worker, tests, now)
            case Died(worker, finished):
                self._died(self._workers.pop(worker), finished, now)
            case Collected(count, keys):
                self._collected(count, keys, now)
            case PutBack(test):
                self._put_back(test, now)
            case Stop(interrupt):
                self._stop(interrupt)
            case Tick():
                self._tick(now)
            case _:
                assert_never(event)
        return out

    def _collected(self, count: int, keys: tuple[str, ...] | None, now: float) -> None:
        options = self._options
        each = options.dist is Dist.EACH
        lanes = options.workers if each else 1
        self._ledger = Ledger(count * lanes)
        units = group_tests(count, keys, options)
        for lane in range(lanes):
            copies = (tuple(TestIndex(t + lane * count) for t in unit) for unit in units)
            self._pools.append(Pool(copies if lane else units, options))
        workers = options.workers if each else min(options.workers, max(1, count))
        for i in range(workers):
            worker = self._spawn(now, lane=i if each else 0)
            unserved = workers - i if options.dist is Dist.WORKSTEAL else workers
            self._own(worker, self._pools[worker.lane].take_batch(unserved))
        if not count:
            self._finish_when_done()

    def _ready(self, worker: WorkerState, now: float) -> None:
        worker.phase = Phase.ACTIVE
        worker.since = now
        self._feed(worker, now)
        self._finish_when_done()

    def _began(self, worker: WorkerState, test: TestIndex, now: float) -> None:
        if not worker.begin(test):
            raise LedgerError(f"test {test} began on gw{worker.id} out of turn")
        self._ledger.begin(test, worker.id)
        self._stillborn = 0
        self._feed(worker, now)
        if not self._ledger.unbegun:
            self._tell_all()

    def _finished(self, worker: WorkerState, test: TestIndex, now: float) -> None:
        if worker.running != test:
            raise LedgerError(f"test {test} finished on gw{worker.id}, which runs {worker.running}")
        worker.running = None
        worker.finished += 1
        self._ledger.settle(test)
        if not worker.owned:
            self._feed(worker, now)
            self._finish_when_done()

    def _revoked(self, worker_id: WorkerId, tests: tuple[TestIndex, ...], now: float) -> None:
        worker = self._workers.get(worker_id)
        if worker is None or not worker.revoking:
            return  # it died before it could answer
        again = worker.revoked(frozenset(tests))
        if self._stopping:
            self._drop_future(worker, again)
            self._finish_when_done()
            return
        if again:
            self._out.append(Assign(worker.id, tuple(again)))
        for other in self._workers.values():
            if not other.owned and other is not worker:
                self._feed(other, now)
        worker.told = None
        self._feed(worker, now)

    def _died(self, worker: WorkerState, finished: bool, now: float) -> None:
        if worker.running is not None:
            self._ledger.settle(worker.running)
            self._out.append(Crashed(worker.id, worker.running))
        elif not worker.finished and not finished:
            self._stillborn += 1
        units = worker.surrender()
        for unit in units:
            for test in unit:
                self._ledger.take_back(test)
        self._pools[worker.lane].put_back(units)
        if not self._stopping and self._ledger.unbegun:
            self._replace(worker, now)
        self._feed_idle(now)
        self._finish_when_done()

    def _put_back(self, test: TestIndex, now: float) -> None:
        if self._stopping:
            return
        self._ledger.reopen(test)
        lane = test // (len(self._ledger) // len(self._pools))
        self._pools[lane].put_back([(test,)])
        if not any(w.phase is not Phase.FINISHING and w.lane == lane for w in self._workers.values()):
            self._spawn(now, lane)
        self._feed_idle(now)

    def _stop(self, interrupt: bool) -> None:
        self._stopping = True
        for worker in self._workers.values():
            if interrupt and worker.phase is not Phase.FINISHING:
                self._out.append(Interrupt(worker.id))
            if worker.in_hand and not worker.revoking:
                worker.revoking = True
                self._out.append(Revoke(worker.id))
            elif not worker.in_hand:
                self._drop_future(worker, [])
        self._finish_when_done()

    def _tick(self, now: float) -> None:
        for worker in self._workers.values():
            if worker.phase is Phase.STARTING and now >= worker.since + START_TIMEOUT:
                worker.since = now
                self._out.append(Kill(worker.id))

    # --- workers come and go ---

    def _spawn(self, now: float, lane: int, replaces: WorkerId | None = None) -> WorkerState:
        worker = WorkerState(WorkerId(self._next_worker), now, lane)
        self._next_worker += 1
        self._workers[worker.id] = worker
        self._out.append(Spawn(worker.id, replaces))
        return worker

    def _replace(self, dead: WorkerState, now: float) -> None:
        """Fork a worker in the place of a dead one, or say why not."""
        limit = self._options.max_restarts
        if self._stillborn > 2 + self._options.workers:
            why = f"{self._stillborn} workers in a row died before their first test"
        elif limit is None or self._restarts < limit:
            self._restarts += 1
            self._spawn(now, dead.lane, dead.id)
            return
        elif limit == 0:
            why = f"worker gw{dead.id} crashed and worker restarting disabled"
        else:
            why = f"maximum crashed workers reached: {limit}"
        mates = [w for w in self._workers.values() if w.lane == dead.lane]
        if not mates:
            self._out.append(GiveUp(why))
            left = [test for unit in self._pools[dead.lane].take_all() for test in unit]
            for test in left:
                self._ledger.drop(test)
            self._out.append(NotRun(tuple(left), why))

    def _finish_when_done(self) -> None:
        """Once no test runs or will run anywhere, and not before, let the workers finish."""
        workers = self._workers.values()
        if self._stopping:
            if any(w.running is not None or w.owned for w in workers):
                return
        elif self._ledger.unsettled:
            return
        for worker in workers:
            if worker.phase is Phase.ACTIVE:
                worker.phase = Phase.FINISHING
                self._out.append(Finish(worker.id))

    # --- tests find their workers ---

    def _own(self, worker: WorkerState, units: list[Unit]) -> None:
        for unit in units:
            for test in unit:
                self._ledger.assign(test, worker.id)
            worker.owned += len(unit)
        worker.units.extend(units)

    def _feed(self, worker: WorkerState, now: float) -> None:
        """See to it that a worker knows what comes next."""
        if worker.phase is not Phase.ACTIVE or worker.revoking:
            return
        if not self._stopping:
            pool = self._pools[worker.lane]
            if pool and worker.owned <= self._low_water(worker, now):
                self._own(worker, pool.take_batch(self._options.workers))
            if not worker.owned:
                self._steal_for(worker)
        if worker.units and worker.in_hand < _IN_HAND_LOW:
            tests = worker.hand_out(_IN_HAND_FULL)
            alone = worker.owned == self._ledger.unbegun and not worker.units
            worker.told = "last" if alone else None
            self._out.append(Assign(worker.id, tuple(tests), worker.told))
        if not worker.owned:
            self._tell(worker)

    def _feed_idle(self, now: float) -> None:
        for worker in self._workers.values():
            if not worker.owned:
                self._feed(worker, now)

    def _low_water(self, worker: WorkerState, now: float) -> int:
        pace = worker.pace(now)
        return min(_IN_HAND_LOW, int(_HORIZON / pace)) if pace else 0

    def _steal_for(self, thief: WorkerState) -> None:
        """Take units that have not begun from the worker that has the most of them."""
        victims = [
            w for w in self._workers.values()
            if w is not thief and w.lane == thief.lane and w.phase is Phase.ACTIVE and not w.revoking
        ]  # fmt: skip
        if not victims:
            return
        victim = max(victims, key=lambda w: len(w.handed) + len(w.units))
        share = share_to_steal([*victim.handed, *victim.units], idle=thief.idle)
        if not share:
            return
        if len(share) > len(victim.units):
            victim.revoking = True
            self._out.append(Revoke(victim.id))
            return
        for _ in share:
            unit = victim.units.pop()
            victim.owned -= len(unit)
            for test in unit:
                self._ledger.take_back(test)
        self._own(thief, list(share))

    def _drop_future(self, worker: WorkerState, again: list[TestIndex]) -> None:
        """Return to the pool what a stopped worker will not run any more."""
        again_set = frozenset(again)
        worker.current = type(worker.current)(t for t in worker.current if t not in again_set)
        worker.in_hand -= len(again)
        returned: list[Unit] = [tuple(again)] if again else []
        kept = [tuple(t for t in unit if t not in again_set) for unit in worker.handed]
        worker.handed = type(worker.handed)(unit for unit in kept if unit)
        returned += worker.units
        worker.units.clear()
        for unit in returned:
            worker.owned -= len(unit)
            for test in unit:
                self._ledger.take_back(test)
        self._pools[worker.lane].put_back(returned)
        if not worker.owned:
            self._tell(worker)

    def _tell(self, worker: WorkerState) -> None:
        outlook: Outlook = "hold" if self._ledger.unbegun and not self._stopping else "last"
        if worker.phase is Phase.ACTIVE and worker.told != outlook:
            worker.told = outlook
            self._out.append(Assign(worker.id, (), outlook))

    def _tell_all(self) -> None:
        for worker in self._workers.values():
            if not worker.owned:
                self._tell(worker)
