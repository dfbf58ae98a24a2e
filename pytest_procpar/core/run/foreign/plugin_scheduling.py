"""Who gets which test, where a plugin's own scheduler decides that (`pytest_xdist_make_scheduler`).

The scheduler hears of workers and of tests that have ended, and says what it wants from workers. None of this
is a call: a `Consult` tells it something, and the `Decided` that answers says what it wants. So a partition
that has to decide something talks to the scheduler first, and goes on with every answer.

The scheduler's mistakes cost no test its outcome: once all workers are idle, what it lost is settled.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from typing import TypeAlias

from pytest_procpar.core.model import TestIndex, Took, WorkerId
from pytest_procpar.core.run.events import Assign, Consult, Decided, Effect, GiveUp, NotRun
from pytest_procpar.core.run.foreign.asked_back import AskedBack
from pytest_procpar.core.run.foreign.consulting import (
    AllIdle,
    CaughtUp,
    Completed,
    GivenBack,
    News,
    SchedulerOrder,
    WorkerGone,
    WorkerUp,
)
from pytest_procpar.core.run.foreign.copies import Copies
from pytest_procpar.core.run.ledger import Ledger
from pytest_procpar.core.run.partition import IN_HAND, Partition
from pytest_procpar.core.run.worker_state import Phase, WorkerState

__all__ = ["PluginScheduler"]

#: A part of the conversation with a scheduler.
_Talk: TypeAlias = Generator[Consult, Decided, None]


class PluginScheduler(Partition):
    """A partition whose tests a plugin's scheduler deals out.

    A test that is sent again, after it has ended or while another worker has it, runs once more, as another
    copy whose index is ``len(collection)`` higher. A crashed test does not, unless a plugin has asked for
    that: pytest-xdist's grouping schedulers send again all that a dead worker had, the crashed one too.

    :param name: what kind of scheduler it is.
    """

    def __init__(self, name: str, count: int, out: list[Effect], in_hand: int = IN_HAND) -> None:
        super().__init__(Ledger(count), out, in_hand)
        self._name = name
        #: What to ask the scheduler now; None once the partition has decided.
        self.consult: Consult | None = None
        self._talk: _Talk | None = None
        #: What the scheduler wants and has not got yet.
        self._orders: deque[SchedulerOrder] = deque()
        #: What to tell it first when it is asked next, and what to tell it once its orders are carried out.
        self._news: News | None = None
        self._answers: deque[Completed | GivenBack] = deque()
        #: The workers that the scheduler knows, and those that it has shut down.
        self._known: set[WorkerId] = set()
        self._shut: set[WorkerId] = set()
        #: Whether the scheduler has begun to hand out tests.
        self._scheduling = False
        #: Whether the scheduler, its `tests_finished` being true, has shut down its nodes.
        self._winding_up = False
        #: When the running tests began.
        self._begun: dict[WorkerId, float] = {}
        self._copies = Copies(self.ledger, count)
        self._asked_back = AskedBack(self._copies)
        self._sent: set[int] = set()
        self._crashed: set[int] = set()
        #: Copies that run without the scheduler's knowledge, because it had lost them; and places whose test
        #: is settled without its knowledge, so that it may still send them.
        self._rescued: set[TestIndex] = set()
        self._unknown: set[int] = set()

    # --- workers come and go ---

    def reserve(self, worker: WorkerState, waiting: int, workers: int) -> None:
        """Assign nothing: the scheduler will."""

    def ready(self, worker: WorkerState, now: float) -> None:
        """Tell the scheduler of a worker that has come up."""
        self.feed_hungry(now)

    def condemn(self, worker: WorkerState, now: float) -> None:
        """Take back what a worker that is being ended has not begun, and keep it until the worker is dead."""
        if worker.in_hand and not worker.revoking:
            self._revoke(worker)

    def leave(self, worker: WorkerState) -> TestIndex | None:
        """Take back the tests of a dead worker; return the test that it died of, which settles that test.

        The scheduler takes the first test that it sent to that worker for the crashed one, and may never send
        it again, although the worker died between two tests. `_look_for_lost` finds such a test.
        """
        del self._workers[worker.id]
        self._begun.pop(worker.id, None)
        self._asked_back.forget(worker.id)
        left = [test for (test,) in worker.surrender()]
        for test in left:
            self._copies.take_back(test)
        crashed = worker.running
        if crashed is not None:
            self.ledger.settle(crashed)
            self._crashed.add(self._copies.place(crashed))
        self._rescued.difference_update(left, () if crashed is None else (crashed,))
        self._winding_up = False
        if not self._stopped and worker.id in self._known:
            self._news = WorkerGone(worker.id)
        self._known.discard(worker.id)
        if crashed is not None and worker.excused:
            self.reopen(crashed)
            return None
        return crashed

    # --- tests begin and end ---

    def began(self, worker: WorkerState, test: TestIndex, now: float) -> None:
        """Note that a test runs, and when it began."""
        self._note_begun(worker, test)
        self._begun[worker.id] = now
        if not worker.claimed and (refusals := self._asked_back.refusals(worker.id)):
            self._answers += refusals
            self.feed_hungry(now)
        else:
            self._feed(worker)

    def finished(self, worker: WorkerState, test: TestIndex, now: float, took: Took | None = None) -> None:
        """Tell the scheduler that a test has ended, and how long it took."""
        self._note_finished(worker, test)
        seconds = now - self._begun.pop(worker.id)
        if test in self._rescued:
            self._rescued.discard(test)
        elif not self._stopped:
            self._news = Completed(worker.id, self._copies.place(test), seconds)
        self._answers += self._asked_back.refusals(worker.id)
        self.feed_hungry(now)

    def revoked(self, worker: WorkerState, tests: tuple[TestIndex, ...], now: float) -> None:
        """Give back to the scheduler what it wanted, if none of that had begun; the worker keeps the rest."""
        if self._stopped:
            for (test,) in worker.shed(frozenset(tests)):
                self._copies.take_back(test)
            self._feed(worker)
            return
        worker.revoked(frozenset(tests))
        self._answers += self._asked_back.give(worker)
        self.feed_hungry(now)

    def _reopened(self, test: TestIndex) -> None:
        self._copies.wait(test)
        self._crashed.discard(self._copies.place(test))

    def abandon(self) -> tuple[TestIndex, ...]:
        """Settle the tests that no worker is left to run, and return them."""
        left = tuple(self._copies.all_waiting())
        for test in left:
            self._copies.drop(test)
            self._unknown.add(self._copies.place(test))
        return left

    def _empty(self, worker: WorkerState) -> None:
        for (test,) in worker.disown(len(worker.units)):
            self._copies.take_back(test)
        self._feed(worker)

    # --- tests find their workers ---

    def feed_hungry(self, now: float) -> None:
        """Talk to the scheduler, then carry out what it wants and look for what it has lost."""
        if self._stopped:
            self._feed_all()
            return
        self._talk = self._confer()
        self._go_on(None)

    def decided(self, answer: Decided) -> None:
        """Go on with the scheduler's answer to `consult`."""
        self._go_on(answer)

    def stop(self) -> None:
        """Hand out nothing from now on, take back what has not begun, and ask the scheduler nothing more."""
        self._talk = self.consult = None
        super().stop()

    def _go_on(self, answer: Decided | None) -> None:
        assert self._talk is not None
        self.consult = None
        try:
            self.consult = next(self._talk) if answer is None else self._talk.send(answer)
        except StopIteration:
            self._talk = None

    def _feed_all(self) -> None:
        for worker in self._workers.values():
            self._feed(worker)

    def _confer(self) -> _Talk:
        """Say all that there is to say now, and do what follows from the answers."""
        for worker_id in self._asked_back.refusing():
            if worker_id not in self._workers or self._workers[worker_id].idle:
                self._answers += self._asked_back.refusals(worker_id)
        news, self._news = self._news, None
        yield from self._tell(news)
        yield from self._introduce()
        yield from self._obey()
        if self._is_stuck():
            yield from self._look_for_lost()
        self._feed_all()

    def _tell(self, news: News | None) -> Generator[Consult, Decided, Decided]:
        """Tell the scheduler something, and note its orders."""
        answer = yield Consult(news)
        self._orders += answer.orders
        return answer

    def _introduce(self) -> _Talk:
        """Tell the scheduler of the workers that have come up, of the first ones in their order."""
        for worker in self._workers.values():
            if worker.phase is Phase.STARTING and not self._scheduling:
                return
            if worker.phase is not Phase.ACTIVE or worker.id in self._known:
                continue
            self._known.add(worker.id)
            answer = yield from self._tell(WorkerUp(worker.id))
            self._scheduling |= answer.dealing

    def _obey(self, *, only_pending: bool = False) -> _Talk:
        """Carry out orders and answer the scheduler, until there are no orders left.

        :param only_pending: run no test once more: such a test counts as complete at once.
        """
        while True:
            if self._orders:
                self._carry_out(self._orders.popleft(), only_pending)
            elif self._answers:
                answered = self._answers.popleft()
                if answered.worker in self._known:
                    yield from self._tell(answered)
            elif self._scheduling and not self._winding_up:
                answer = yield from self._tell(CaughtUp())
                self._winding_up = answer.finished
                if not answer.finished:
                    return
            else:
                return

    def _carry_out(self, order: SchedulerOrder, only_pending: bool) -> None:
        worker = self._workers.get(order.worker)
        if order.what == "shut down":
            self._shut.add(order.worker)
        elif order.what == "steal":
            if worker is not None:
                self._steal(worker, order.tests)
        else:
            for place in range(self._copies.count) if order.what == "run all" else order.tests:
                self._send(worker, order.worker, place, only_pending)

    def _send(self, worker: WorkerState | None, worker_id: WorkerId, place: int, only_pending: bool) -> None:
        self._sent.add(place)
        waiting = self._copies.waiting(place)
        if worker is None or worker.phase is Phase.FINISHING:
            return  # `_look_for_lost` finds it if no other worker gets it
        if waiting is None and (only_pending or place in self._crashed or place in self._unknown):
            self._unknown.discard(place)
            self._answers.append(Completed(worker_id, place, 0.0))
            return
        self._assign(worker, self._copies.another(place) if waiting is None else waiting)

    def _assign(self, worker: WorkerState, test: TestIndex) -> None:
        self._copies.assign(test, worker.id)
        worker.own([(test,)])

    def _steal(self, worker: WorkerState, tests: tuple[int, ...]) -> None:
        self._asked_back.ask(worker.id, tests)
        if worker.revoking or worker.phase is Phase.CONDEMNED:
            return
        if worker.in_hand:
            self._revoke(worker)
        else:
            self._answers += self._asked_back.give(worker)

    def _feed(self, worker: WorkerState) -> None:
        """Tell a worker what comes next: hand out tests, or say what follows the last one."""
        if worker.phase is not Phase.ACTIVE or worker.revoking:
            return
        last = worker.id in self._shut or self._stopped or not self.ledger.unbegun
        if worker.units and worker.in_hand < self._in_hand and not self._stopped:
            tests = tuple(worker.hand_out(2 * self._in_hand))
            worker.told = "last" if last and not worker.units else None
            self._out.append(Assign(worker.id, tests, worker.told))
        if not worker.owned:
            self._say(worker, "last" if last else "hold")

    # --- what the scheduler has lost ---

    def _is_stuck(self) -> bool:
        """Whether tests are left although nothing will happen that could make the scheduler send them."""
        workers = self._workers.values()
        waiting = [worker for worker in workers if worker.idle and not worker.revoking]
        return bool(waiting) and len(waiting) == len(workers) and self.ledger.unsettled > 0

    def _look_for_lost(self) -> _Talk:
        """Run the tests that the scheduler has forgotten, or report them as not run.

        First ask it again: pytest-xdist's grouping schedulers need that after they have sent an empty group.
        A test that it sent once and lost because a worker died runs in any worker. A test that it never sent
        is one that it does not want to run, or cannot.
        """
        for _ in range(self._copies.count + 1 if self._scheduling else 0):
            answer = yield from self._tell(AllIdle())
            yield from self._obey(only_pending=True)
            if self.busy:
                return
            if not answer.orders:
                break
        lost = [test for test in self._copies.all_waiting() if self._copies.place(test) in self._sent]
        if lost:
            worker = next(iter(self._workers.values()))
            for test in lost:
                self._rescued.add(test)
                self._unknown.add(self._copies.place(test))
                self._assign(worker, test)
            return
        reason = f"the scheduler {self._name} has given these tests to no worker"
        self._out += [GiveUp(reason), NotRun(self.abandon(), reason)]
