"""Who gets which test, where a plugin's own scheduler decides it (`pytest_xdist_make_scheduler`).

The scheduler is an object of pytest-xdist's scheduling protocol (its
``scheduler/protocol.py``): it is told of workers and of tests that have ended, and answers by calling its
nodes' methods, in the midst of that or at any other time. These calls are noted as orders and carried out
when the scheduler has returned, since it is not made for being called from inside of its own calls.

Its mistakes cost no test its outcome: what it has lost is found when all workers are idle, and settled.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from operator import index
from typing import Any, Literal, Protocol, TypeAlias

from .dealer import IN_HAND
from .events import Assign, Effect, GiveUp, NotRun
from .lane import Lane
from .ledger import Ledger
from .lifecycle import Phase, WorkerState
from .model import TestIndex, WorkerId
from .record import record

__all__ = ["ForeignDealer", "Order", "Scheduler"]


@record
class Order:
    """What a scheduler wants of a worker; ``tests`` are places in the collected order."""

    worker: WorkerId
    what: Literal["run", "run all", "steal", "shut down"]
    tests: tuple[int, ...] = ()


class Scheduler(Protocol):
    """The part of pytest-xdist's scheduling protocol that is called; nodes are opaque."""

    @property
    def nodes(self) -> Iterable[Any]:
        """The nodes that it knows."""

    @property
    def collection_is_completed(self) -> bool:
        """Whether all nodes that it waits for have told what they collected."""

    @property
    def tests_finished(self) -> bool:
        """Whether nothing is left to hand out: the nodes may be shut down."""

    def add_node(self, node: Any) -> None:
        """A node is ready."""

    def add_node_collection(self, node: Any, collection: Sequence[str]) -> None:
        """A node has collected these tests."""

    def schedule(self) -> None:
        """Begin to hand out tests, or go on with it."""

    def mark_test_complete(self, node: Any, item_index: int, duration: float = 0) -> None:
        """A test has ended."""

    def mark_test_pending(self, item: str) -> None:
        """A test has to run again."""

    def remove_pending_tests_from_node(self, node: Any, indices: Sequence[int]) -> None:
        """A node has given tests back: the answer to a steal."""

    def remove_node(self, node: Any) -> str | None:
        """A node is gone; the test that it must have been running."""


#: What a scheduler is told once it has returned: a test is complete, or these were given back.
_Answer: TypeAlias = "tuple[WorkerId, int | tuple[int, ...]]"


class ForeignDealer(Lane):
    """A lane whose tests are dealt by a foreign scheduler.

    A test that is sent once more after it has ended, or while it is elsewhere, runs once more: as another
    copy of it, whose index is ``len(collection)`` higher. A test that has crashed does not, unless a plugin
    has asked for that: pytest-xdist's grouping schedulers send all that a dead worker had, the culprit too.

    :param node: gives a worker's node.
    :param orders: takes what the scheduler's nodes are called for, and belongs to them.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        node: Callable[[WorkerId], Any],
        collection: Sequence[str],
        out: list[Effect],
        orders: deque[Order],
        in_hand: int = IN_HAND,
    ) -> None:
        super().__init__(Ledger(len(collection)), out, in_hand)
        self._scheduler = scheduler
        self._name = type(scheduler).__name__
        self._node = node
        self._collection = list(collection)
        self._orders = orders
        self._answers: deque[_Answer] = deque()
        #: The workers that the scheduler has been told of, and those that it has shut down.
        self._known: set[WorkerId] = set()
        self._shut: set[WorkerId] = set()
        #: Whether the scheduler has begun to hand out tests.
        self._scheduling = False
        #: Whether `tests_finished` has been answered by shutting down the nodes.
        self._winding_up = False
        #: When the running tests began.
        self._begun: dict[WorkerId, float] = {}
        #: What was asked back, in this order.
        self._steals: dict[WorkerId, deque[tuple[int, ...]]] = {}
        #: The workers that could not give back what was wanted, and have not been heard of since.
        self._refused: list[WorkerId] = []
        #: The copies of each test that are pending, and how many it has.
        self._open = [[TestIndex(i)] for i in range(len(collection))]
        self._copies = [1] * len(collection)
        self._sent: set[int] = set()
        self._crashed: set[int] = set()
        #: What runs without the scheduler's knowledge, which had lost it; and what it does not know to be
        #: settled, and may send yet.
        self._rescued: set[TestIndex] = set()
        self._unknown: set[int] = set()

    # --- workers come and go ---

    def reserve(self, worker: WorkerState, shares: int) -> None:
        """Assign nothing: the scheduler will."""

    def ready(self, worker: WorkerState, now: float) -> None:
        """Let the scheduler have a worker that has come up."""
        self.feed_hungry(now)

    def condemn(self, worker: WorkerState, now: float) -> None:
        """Take back what a worker that is being ended has not begun: it waits for the worker's death."""
        if worker.in_hand and not worker.revoking:
            self._revoke(worker)

    def leave(self, worker: WorkerState) -> TestIndex | None:
        """Tell the scheduler that a worker is dead; the test it died of, which is thereby settled, if any."""
        del self._workers[worker.id]
        self._begun.pop(worker.id, None)
        self._steals.pop(worker.id, None)
        left = [test for (test,) in worker.surrender()]
        for test in left:
            self._take_back(test)
        crashed = worker.running
        if crashed is not None:
            self.ledger.settle(crashed)
            self._crashed.add(self._place(crashed))
        self._rescued.difference_update(left, () if crashed is None else (crashed,))
        self._winding_up = False
        if not self._stopped and worker.id in self._known:
            node = self._node(worker.id)
            if node in self._scheduler.nodes:
                # It takes the first test that it has sent there for the culprit, and may never send it again,
                # though the worker has died between two tests: that test is found among the lost ones.
                self._scheduler.remove_node(node)
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
        if worker.id in self._refused and not worker.claimed:
            self._refuse(worker.id)
            self.feed_hungry(now)
        else:
            self._feed(worker)

    def finished(self, worker: WorkerState, test: TestIndex, now: float) -> None:
        """Tell the scheduler that a test has ended, and how long it took."""
        self._note_finished(worker, test)
        seconds = now - self._begun.pop(worker.id)
        if test in self._rescued:
            self._rescued.discard(test)
        elif not self._stopped:
            self._scheduler.mark_test_complete(self._node(worker.id), self._place(test), seconds)
        self._refuse(worker.id)
        self.feed_hungry(now)

    def revoked(self, worker: WorkerState, tests: tuple[TestIndex, ...], now: float) -> None:
        """Give the scheduler what it wanted back, if all of that had not begun, and the worker the rest."""
        if self._stopped:
            for unit in worker.shed(frozenset(tests)):
                for test in unit:
                    self._take_back(test)
            self._feed(worker)
            return
        worker.revoked(frozenset(tests))
        self._give_back(worker)
        self.feed_hungry(now)

    def _give_back(self, worker: WorkerState) -> None:
        """Answer what was asked back of a worker, all of whose tests that have not begun are here.

        A refusal waits until the worker is heard of again, as what it has begun by then is not known yet: the
        scheduler would ask for the same again, and never stop.
        """
        for wanted in self._steals.pop(worker.id, ()):
            found = self._take_from(worker, wanted)
            if found:
                self._answers.append((worker.id, found))
            else:
                self._refused.append(worker.id)

    def _take_from(self, worker: WorkerState, wanted: tuple[int, ...]) -> tuple[int, ...]:
        """Take all these tests from a worker, or none if one is not to be had (as under pytest-xdist)."""
        asked = set(wanted)
        found = [test for (test,) in worker.units if self._place(test) in asked]
        if len(found) != len(asked) or {self._place(test) for test in found} != asked:
            return ()
        worker.units = deque(unit for unit in worker.units if self._place(unit[0]) not in asked)
        worker.owned -= len(found)
        for test in found:
            self._take_back(test)
        return tuple(map(self._place, found))

    def _reopened(self, test: TestIndex) -> None:
        self._open[self._place(test)].append(test)
        self._crashed.discard(self._place(test))

    def abandon(self) -> tuple[TestIndex, ...]:
        """Settle the tests nobody is left to run."""
        left = tuple(self._pending())
        for test in left:
            self.ledger.drop(test)
            self._open[self._place(test)].remove(test)
            self._unknown.add(self._place(test))
        return left

    def _empty(self, worker: WorkerState) -> None:
        for (test,) in worker.disown(len(worker.units)):
            self._take_back(test)
        self._feed(worker)

    # --- tests find their workers ---

    def feed_hungry(self, now: float) -> None:
        """Carry out what the scheduler wants, and see what it has lost."""
        if not self._stopped:
            for worker_id in set(self._refused):
                if worker_id not in self._workers or self._workers[worker_id].idle:
                    self._refuse(worker_id)
            self._introduce()
            self._obey()
            if self._is_stuck():
                self._look_for_lost()
        for worker in self._workers.values():
            self._feed(worker)

    def _introduce(self) -> None:
        """Tell the scheduler of the workers that have come up; of the first ones, in their order."""
        for worker in self._workers.values():
            if worker.phase is Phase.STARTING and not self._scheduling:
                return
            if worker.phase is not Phase.ACTIVE or worker.id in self._known:
                continue
            node = self._node(worker.id)
            self._known.add(worker.id)
            self._scheduler.add_node(node)
            self._scheduler.add_node_collection(node, list(self._collection))
            if self._scheduler.collection_is_completed:
                self._scheduling = True
                self._scheduler.schedule()

    def _obey(self, *, only_pending: bool = False) -> None:
        """Carry out orders, and answer, until there are none.

        :param only_pending: run nothing once more: it is complete at once.
        """
        while True:
            if self._orders:
                self._carry_out(self._orders.popleft(), only_pending)
            elif self._answers:
                self._answer(*self._answers.popleft())
            elif self._scheduling and not self._winding_up and self._scheduler.tests_finished:
                self._winding_up = True
                for node in list(self._scheduler.nodes):
                    node.shutdown()
            else:
                return

    def _carry_out(self, order: Order, only_pending: bool) -> None:
        worker = self._workers.get(order.worker)
        if order.what == "shut down":
            self._shut.add(order.worker)
        elif order.what == "steal":
            if worker is not None:
                self._steal(worker, order.tests)
        else:
            for place in range(len(self._collection)) if order.what == "run all" else order.tests:
                self._send(worker, order.worker, place, only_pending)

    def _send(self, worker: WorkerState | None, worker_id: WorkerId, place: int, only_pending: bool) -> None:
        count = len(self._collection)
        if not 0 <= index(place) < count:
            known = f"there are {count}, from 0 up"
            raise IndexError(f"{self._name} sends test {place} to gw{worker_id}: {known}")
        self._sent.add(place)
        pending = self._open[place]
        if worker is None or worker.phase is Phase.FINISHING:
            return  # found to be lost if nobody else gets it
        if not pending and (only_pending or place in self._crashed or place in self._unknown):
            self._unknown.discard(place)
            self._answers.append((worker_id, place))
            return
        self._assign(worker, pending[0] if pending else self._another(place))

    def _another(self, place: int) -> TestIndex:
        """One more copy of a test."""
        count = len(self._collection)
        copy = TestIndex(place + self._copies[place] * count)
        self._copies[place] += 1
        if copy not in self.ledger:
            self.ledger.grow(count)
        self.ledger.reopen(copy)
        self._open[place].append(copy)
        return copy

    def _assign(self, worker: WorkerState, test: TestIndex) -> None:
        self.ledger.assign(test, worker.id)
        self._open[self._place(test)].remove(test)
        worker.own([(test,)])

    def _take_back(self, test: TestIndex) -> None:
        self.ledger.take_back(test)
        self._open[self._place(test)].append(test)

    def _steal(self, worker: WorkerState, tests: tuple[int, ...]) -> None:
        self._steals.setdefault(worker.id, deque()).append(tests)
        if worker.revoking or worker.phase is Phase.CONDEMNED:
            return
        if worker.in_hand:
            self._revoke(worker)
        else:
            self._give_back(worker)

    def _refuse(self, worker: WorkerId) -> None:
        """Let the scheduler know that a worker could not give back what was wanted."""
        self._answers.extend((worker, ()) for refused in self._refused if refused == worker)
        self._refused = [refused for refused in self._refused if refused != worker]

    def _answer(self, worker: WorkerId, what: int | tuple[int, ...]) -> None:
        if worker not in self._known:
            return
        node = self._node(worker)
        if isinstance(what, int):
            self._scheduler.mark_test_complete(node, what, 0.0)
        else:
            self._scheduler.remove_pending_tests_from_node(node, list(what))

    def _feed(self, worker: WorkerState) -> None:
        """See to it that a worker knows what comes next."""
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
        """Whether tests are left, and nothing will happen that could move the scheduler."""
        workers = self._workers.values()
        waiting = [worker for worker in workers if worker.idle and not worker.revoking]
        return bool(waiting) and len(waiting) == len(workers) and self.ledger.unsettled > 0

    def _look_for_lost(self) -> None:
        """Have tests run that the scheduler has forgotten, or say that they were not.

        First it is asked again: pytest-xdist's grouping schedulers, having sent an empty group, need that.
        What it had sent once and a death has made it lose runs in any worker. What it has never sent is what
        it does not want to have run, or cannot.
        """
        for _ in range(len(self._collection) + 1 if self._scheduling else 0):
            self._scheduler.schedule()
            moved = bool(self._orders)
            self._obey(only_pending=True)
            if self.busy:
                return
            if not moved:
                break
        lost = [test for test in self._pending() if self._place(test) in self._sent]
        if lost:
            worker = next(iter(self._workers.values()))
            for test in lost:
                self._rescued.add(test)
                self._unknown.add(self._place(test))
                self._assign(worker, test)
            return
        reason = f"the scheduler {self._name} has given these tests to no worker"
        self._out += [GiveUp(reason), NotRun(self.abandon(), reason)]

    def _pending(self) -> list[TestIndex]:
        return [test for copies in self._open for test in copies]

    def _place(self, test: TestIndex) -> int:
        """A test's place in the collected order, whichever copy it is."""
        return test % len(self._collection)
