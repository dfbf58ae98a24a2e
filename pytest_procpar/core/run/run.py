"""The run itself: one state machine that turns what happened into what to do.

It knows neither processes nor pytest. `Run.handle` takes each event with the time at which it happened, and
returns effects that the caller performs in order. The answer to an effect that needs one (`Spawn`, `Revoke`,
`Finish`) is a later event. If a plugin's scheduler has to be asked, `Consult` comes alone, and the other
effects come with the last answer.

This module holds the workers' lives: start, deadline, replacement, end. `Scheduler` decides who runs which
test.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import pytest_procpar.core.run.events as events
from pytest_procpar.core.model import RunOptions, TestIndex, Took, WorkerId, assert_never
from pytest_procpar.core.run.crew import Crew
from pytest_procpar.core.run.events import Effect, Event
from pytest_procpar.core.run.hang_watch import HangWatch
from pytest_procpar.core.run.ledger import LedgerError
from pytest_procpar.core.run.partition import IN_HAND, Partition
from pytest_procpar.core.run.replacing import Replacing
from pytest_procpar.core.run.schedulers import make_schedulers
from pytest_procpar.core.run.worker_state import Phase, WorkerState

if TYPE_CHECKING:
    from pytest_procpar.core.run.foreign.plugin_scheduling import PluginScheduler

__all__ = ["Run"]


class Run:
    """The state of a run from the first collected test to the last worker's end.

    :param in_hand: a worker with fewer tests than this is sent more, if there are any.
    """

    def __init__(self, options: RunOptions, in_hand: int = IN_HAND) -> None:
        self._options = options
        self._in_hand = in_hand
        self._partitions: list[Partition] = []
        #: What kind of scheduler a plugin has made, and the partition whose tests it deals out.
        self._scheduler: str | None = None
        self._foreign: PluginScheduler | None = None
        self._collected_tests = 0
        self._crew = Crew()
        self._replacing = Replacing(options)
        self._stopping = False
        self._watchdog = HangWatch(options.hang_timeout)
        #: Whether to start as many workers as were asked for, however few the tests.
        self.all_wanted = False
        #: How many workers to start at first at most; None: no such limit.
        self.at_first: int | None = None
        self._out: list[Effect] = []

    def deal_by(self, scheduler: str) -> None:
        """Let a plugin's scheduler decide who runs what; call this before the tests are known.

        :param scheduler: what kind of scheduler it is.
        """
        self._scheduler = scheduler

    # --- questions ---

    def workers_for(self, tests: int, started: int = 0, keys: Sequence[str] | None = None) -> int:
        """How many workers run a suite; a plugin's scheduler gets as many as it was promised.

        :param started: how many have been started already; all of them are used.
        """
        options = self._options
        promised = self.all_wanted or (self._scheduler is not None and tests)
        return max(started, options.workers if promised else options.workers_for(tests, keys, self.at_first))

    @property
    def over(self) -> bool:
        """Whether nothing more will happen: no worker is left, and none will come."""
        return not self._crew and (bool(self._partitions) or self._stopping)

    @property
    def stopping(self) -> bool:
        """Whether no further test will begin."""
        return self._stopping

    def awaited(self) -> list[WorkerId]:
        """The workers that run nothing and have tests in hand: they are about to begin one."""
        return self._crew.awaited()

    def hears(self, worker: WorkerId) -> bool:
        """Whether what a worker says of its tests counts; it does not once the worker is being ended."""
        return self._crew.hears(worker)

    def unsettled(self) -> Iterator[TestIndex]:
        """The tests without an outcome, in collected order; there are none unless the run was stopped."""
        return iter(sorted(test for each in self._partitions for test in each.ledger.unsettled_tests()))

    def usable(self) -> int:
        """How many workers could run a test now."""
        return sum(partition.ledger.unbegun for partition in self._partitions) + len(self.running())

    def running(self) -> dict[WorkerId, TestIndex]:
        """Which worker runs which test."""
        return self._crew.running()

    def hungry(self) -> bool:
        """Whether a worker waits to be told something, or soon will; or whether all are finishing."""
        return self._crew.hungry(self._in_hand // 2)

    def deadline(self) -> float | None:
        """When a `Tick` is due, in seconds of the caller's clock; None: never."""
        dues = [self._crew.deadline(), self._watchdog.deadline(), *(p.deadline() for p in self._partitions)]
        return min((due for due in dues if due is not None), default=None)

    # --- what happens ---

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Take one event; return the effects to perform, in order.

        :param now: seconds on any clock that does not jump back.
        :raises LedgerError: if the event contradicts what happened before; nothing has changed then.
        """
        if self._foreign is not None and self._asks and not isinstance(event, (events.Decided, events.Stop)):
            raise LedgerError(f"a scheduler was asked, and instead of its answer came {event}")
        match event:
            case events.ItemBegan(worker, test):
                self._began(worker, test, now)
            case events.ItemFinished(worker, test, took):
                self._finished(worker, test, now, took)
            case events.WorkerReady(worker):
                self._ready(worker, now)
            case events.Revoked(worker, tests):
                self._revoked(worker, tests, now)
            case events.Died(worker):
                self._died(worker, now)
            case events.SuiteCollected():
                self._watchdog = HangWatch(self._options.hang_timeout, dict(event.limits))
                self._crew.quick_starts = not event.started
                self._collected(event, now)
            case events.Refused(worker, reason):
                self._refuse(worker, reason, now)
            case events.ItemPutBack(test):
                self._put_back(test, now)
            case events.Decided():
                self._decided(event, now)
            case events.Stuck(worker, told):
                self._stuck(worker, told, now)
            case events.Stop(interrupt):
                self._stop(interrupt, now)
            case events.Tick():
                self._tick(now)
            case events.Allotted(workers):
                most = min(workers, self._collected_tests)
                for partition in self._partitions:
                    for _ in range(self._replacing.granted(partition.allot(most))):
                        self._spawn(now, partition=0)
            case _:
                assert_never(event)
        if self._foreign is not None and self._foreign.consult is not None:
            return [self._foreign.consult]
        if not self._out:
            return []
        out = self._out.copy()
        self._out.clear()
        return out

    def _collected(self, suite: events.SuiteCollected, now: float) -> None:
        count = self._collected_tests = suite.count
        if self._scheduler is not None and count:
            from pytest_procpar.core.run.foreign.plugin_scheduling import PluginScheduler

            self._foreign = PluginScheduler(self._scheduler, count, self._out, self._in_hand)
            self._partitions.append(self._foreign)
        else:
            self._partitions += make_schedulers(suite, self._options, self._out, self._in_hand)
        if self._stopping:
            return
        workers = self.workers_for(count, suite.started, suite.keys)
        for i in range(workers):
            worker = self._spawn(now, partition=i if len(self._partitions) > 1 else 0)
            self._partitions[worker.partition].reserve(worker, workers - i, workers)

    def _ready(self, worker_id: WorkerId, now: float) -> None:
        worker = self._crew.get(worker_id)
        if worker.phase is not Phase.STARTING:
            raise LedgerError(f"gw{worker_id} is ready a second time")
        worker.phase = Phase.ACTIVE
        worker.since = now
        self._partitions[worker.partition].ready(worker, now)
        self._tell_refusals()
        self._finish_when_done(now)

    def _began(self, worker_id: WorkerId, test: TestIndex, now: float) -> None:
        worker = self._crew.get(worker_id)
        if worker.phase is Phase.CONDEMNED:
            return
        self._partitions[worker.partition].began(worker, test, now)
        self._replacing.began()
        if self._watchdog.awake:
            self._watchdog.watch(worker_id, test, test % self._collected_tests, now)

    def _finished(self, worker_id: WorkerId, test: TestIndex, now: float, took: Took | None) -> None:
        worker = self._crew.get(worker_id)
        if worker.phase is Phase.CONDEMNED:
            return  # the worker is being ended because this test had taken too long
        self._partitions[worker.partition].finished(worker, test, now, took)
        self._watchdog.forget(worker_id)
        if not worker.owned:
            self._finish_when_done(now)

    def _revoked(self, worker_id: WorkerId, tests: tuple[TestIndex, ...], now: float) -> None:
        worker = self._crew.find(worker_id)
        if worker is None or not worker.revoking:
            return  # it died before it could answer
        self._partitions[worker.partition].revoked(worker, tests, now)
        self._finish_when_done(now)

    def _died(self, worker_id: WorkerId, now: float) -> None:
        worker = self._crew.get(worker_id)
        self._crew.remove(worker_id)
        partition = self._partitions[worker.partition]
        wanted = worker.phase is not Phase.FINISHING
        self._watchdog.forget(worker_id)
        crashed = partition.leave(worker)
        if crashed is not None:
            verdict = events.Hung if worker.phase is Phase.CONDEMNED else events.Crashed
            self._out.append(verdict(worker_id, crashed))
        elif wanted and not worker.finished and not worker.excused:
            self._replacing.stillborn()
        if wanted and not self._stopping:
            if not worker.excused:
                self._replacing.crashed(worker_id)
            self._replace(worker, now)
        partition.feed_hungry(now)
        self._tell_refusals()
        self._finish_when_done(now)

    def _refuse(self, worker_id: WorkerId, reason: str, now: float) -> None:
        """The system grants no process for a worker: the others have to run its tests."""
        worker = self._crew.get(worker_id)
        if worker.running is not None:  # it was being ended, and the end of its test was not heard
            self._died(worker_id, now)
            return
        self._crew.remove(worker_id)
        self._watchdog.forget(worker_id)
        partition = self._partitions[worker.partition]
        partition.leave(worker)
        if partition.served or not partition.ledger.unbegun:
            self._crew.refused = reason
        elif not self._stopping:
            self._say_once(reason)
            self._out.append(events.NotRun(partition.abandon(), reason))
        partition.feed_hungry(now)
        self._tell_refusals()
        self._finish_when_done(now)

    @property
    def _asks(self) -> bool:
        """Whether a plugin's scheduler was asked something and has not answered."""
        return self._foreign is not None and self._foreign.consult is not None

    def _decided(self, answer: events.Decided, now: float) -> None:
        if self._foreign is None or self._foreign.consult is None:
            raise LedgerError(f"no scheduler was asked, and there is an answer: {answer}")
        self._foreign.decided(answer)
        self._tell_refusals()
        self._finish_when_done(now)

    def _tell_refusals(self) -> None:
        """Say how many workers there are, once none is starting any more."""
        if not self._asks:
            self._out += self._crew.fewer()

    def _put_back(self, test: TestIndex, now: float) -> None:
        number = next(i for i, partition in enumerate(self._partitions) if test in partition.ledger)
        partition = self._partitions[number]
        if self._stopping or not partition.reopen(test) or partition.served:
            partition.feed_hungry(now)
            return
        # Its last worker died of that test, or was let go because there was nothing left to do.
        refusal = self._replacing.refusal()
        if refusal is not None:
            self._say_once(refusal)
            self._out.append(events.NotRun(partition.abandon(), refusal))
        else:
            self._spawn(now, number)

    def _stop(self, interrupt: bool, now: float) -> None:
        self._stopping = True
        # Take back first, then interrupt: a worker whose test ends claims its next one.
        for partition in self._partitions:
            partition.stop()
        if interrupt:
            self._out += [events.Interrupt(w.id) for w in self._crew if w.phase is not Phase.FINISHING]
        self._finish_when_done(now)

    def _tick(self, now: float) -> None:
        for worker in self._crew.late(now):
            worker.since = now
            self._out.append(events.Kill(worker.id))
        for partition in self._partitions:
            due = partition.deadline()
            if due is not None and now >= due:
                partition.feed_hungry(now)
        for effect in self._watchdog.due(now):
            if isinstance(effect, events.Dump):
                self._condemn(self._crew.get(effect.worker), now)
            self._out.append(effect)

    def _stuck(self, worker_id: WorkerId, told: bool, now: float) -> None:
        worker = self._crew.get(worker_id)
        if worker.phase is Phase.CONDEMNED:
            return
        self._crew.quick_starts = False
        self._crew.stuck_once = True
        self._watchdog.forget(worker_id)
        if worker.phase is not Phase.FINISHING:
            worker.excused = not told
            self._condemn(worker, now)
        self._out.append(events.Kill(worker_id))

    def _condemn(self, worker: WorkerState, now: float) -> None:
        if worker.phase is Phase.ACTIVE:
            worker.phase = Phase.CONDEMNED
            self._partitions[worker.partition].condemn(worker, now)

    # --- workers come and go ---

    def _spawn(self, now: float, partition: int, replaces: WorkerId | None = None) -> WorkerState:
        worker = self._crew.add(now, partition)
        self._partitions[partition].join(worker)
        self._out.append(events.Spawn(worker.id, replaces))
        return worker

    def _replace(self, dead: WorkerState, now: float) -> None:
        """Start a worker in place of a dead one, or leave its tests to the others if that is not allowed.

        If it is not allowed, we say so even if no tests are left or others can run them.
        """
        refusal = self._replacing.refusal()
        partition = self._partitions[dead.partition]
        if refusal is not None:
            self._say_once(refusal)
        if not partition.ledger.unbegun:
            return
        if refusal is None:
            self._spawn(now, dead.partition, dead.id)
        elif not partition.served:
            self._out.append(events.NotRun(partition.abandon(), refusal))

    def _say_once(self, why: str) -> None:
        if self._replacing.is_news(why):
            self._out.append(events.GiveUp(why))

    def _finish_when_done(self, now: float) -> None:
        """Let the workers finish, but only once no test runs or will run anywhere."""
        if self._asks:
            return
        if any(
            partition.busy if self._stopping else partition.ledger.unsettled for partition in self._partitions
        ):
            return
        for worker in self._crew:
            if worker.phase is Phase.ACTIVE:
                worker.phase = Phase.FINISHING
                self._out.append(events.Finish(worker.id))
                self._watchdog.watch(worker.id, None, None, now)
