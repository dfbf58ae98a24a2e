"""What must hold whatever scheduler a plugin comes with, and whatever its workers go through."""

from __future__ import annotations

import os
import random
from collections import deque
from collections.abc import Sequence

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_procpar.core.events import Effect
from pytest_procpar.core.foreign import ForeignDealer, Order
from pytest_procpar.core.model import Dist, WorkerId
from pytest_procpar.core.run import Run
from tests.core import test_run_simulated as ours
from tests.core.cluster import Scenario, simulate

PROMISES = [
    ours.every_run_comes_to_its_end,
    ours.every_test_is_settled_exactly_once,
    ours.only_a_stopped_run_leaves_tests_without_an_outcome,
    ours.a_test_crashed_or_hung_if_and_only_if_its_worker_died_while_it_ran,
    ours.no_effect_addresses_a_worker_that_is_gone_or_let_go,
    ours.workers_are_numbered_in_the_order_of_their_birth,
    ours.a_worker_is_spawned_at_the_start_or_for_a_dead_one_or_for_a_test_put_back,
    ours.only_workers_that_did_not_come_up_or_end_in_time_are_killed,
    ours.only_what_exceeds_its_limit_is_ended_and_its_stacks_are_asked_for_before,
]


class Node:
    """A node that writes down what it is called for."""

    def __init__(self, worker: WorkerId, orders: deque[Order]) -> None:
        self.worker = worker
        self.shutting_down = False
        self._orders = orders

    def send(self, tests: Sequence[int]) -> None:
        self._orders.append(Order(self.worker, "run", tuple(tests)))

    def steal(self, tests: Sequence[int]) -> None:
        self._orders.append(Order(self.worker, "steal", tuple(tests)))

    def shutdown(self) -> None:
        self.shutting_down = True
        self._orders.append(Order(self.worker, "shut down"))


class Moody:
    """A scheduler that deals, steals, shuts down and forgets as the dice fall.

    :param flaws: the chance that it does something wrong whenever it can.
    """

    def __init__(self, workers: int, seed: int, flaws: float) -> None:
        self._dice = random.Random(seed)
        self._flaws = flaws
        self._left = workers
        self._sent: dict[Node, list[int]] = {}
        self._asked: set[Node] = set()
        self._queue: list[int] | None = None
        self._collection: list[str] = []

    def _errs(self) -> bool:
        return self._dice.random() < self._flaws

    @property
    def nodes(self) -> list[Node]:
        return list(self._sent)

    @property
    def collection_is_completed(self) -> bool:
        return self._left <= 0

    @property
    def tests_finished(self) -> bool:
        return self.collection_is_completed and (not any(self._sent.values()) or self._errs())

    def add_node(self, node: Node) -> None:
        self._sent[node] = []

    def add_node_collection(self, node: Node, collection: Sequence[str]) -> None:
        self._left -= 1
        self._collection = list(collection)

    def schedule(self) -> None:
        if self._queue is None:
            self._queue = [i for i in range(len(self._collection)) if not self._errs()]
            self._dice.shuffle(self._queue)
        self._deal()

    def _deal(self) -> None:
        assert self._queue is not None
        for node in self.nodes:
            if node.shutting_down and not self._errs():
                continue
            if len(self._sent[node]) < 2:
                size = self._dice.randrange(6)
                batch, self._queue = self._queue[:size], self._queue[size:]
                self._sent[node] += batch
                node.send(batch)
            elif node not in self._asked and self._dice.random() < 0.2:
                self._asked.add(node)
                node.steal(self._sent[node][-self._dice.randrange(1, 4) :])
        if not self._queue and self._dice.random() < 0.3:
            for node in self.nodes:
                node.shutdown()

    def mark_test_complete(self, node: Node, item_index: int, duration: float = 0) -> None:
        assert duration >= 0
        self._sent[node].remove(item_index)
        self._deal()

    def mark_test_pending(self, item: str) -> None:
        if self._errs():
            raise NotImplementedError
        assert self._queue is not None
        self._queue.append(self._collection.index(item))
        self._deal()

    def remove_pending_tests_from_node(self, node: Node, indices: Sequence[int]) -> None:
        self._asked.discard(node)
        assert self._queue is not None
        for test in indices:
            self._sent[node].remove(test)
            self._queue.append(test)
        self._deal()

    def remove_node(self, node: Node) -> str | None:
        self._asked.discard(node)
        sent = self._sent.pop(node)
        if self._queue is None or not sent:
            return None
        if not self._errs():
            self._queue += sent[self._dice.randrange(2) :]  # perhaps with the culprit
        self._deal()
        return None if self._errs() else self._collection[sent[0]]


@settings(
    max_examples=3 * ours.EXAMPLES, deadline=None, derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
@given(
    scenario=ours.scenarios(Dist.LOAD, pinned=False), seed=st.integers(0, 2**16),
    flaws=st.sampled_from([0.0, 0.0, 0.05, 0.5]),
)  # fmt: skip
def test_every_run_keeps_its_promises(scenario: Scenario, seed: int, flaws: float) -> None:
    orders: deque[Order] = deque()
    nodes: dict[WorkerId, Node] = {}

    def node(worker: WorkerId) -> Node:
        return nodes.setdefault(worker, Node(worker, orders))

    def lane(out: list[Effect]) -> ForeignDealer:
        scheduler = Moody(scenario.options.workers, seed, flaws)
        names = [str(i) for i in range(scenario.tests)]
        return ForeignDealer(scheduler, node, names, out, orders, scenario.in_hand)

    run = Run(scenario.options, in_hand=scenario.in_hand)
    run.deal_by(lane)
    trace = simulate(scenario, run)
    for check in PROMISES:
        check(trace)
