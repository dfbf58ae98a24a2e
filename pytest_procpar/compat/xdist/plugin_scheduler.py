"""A scheduler that a plugin made: called on behalf of the core, and shown to other plugins.

It is an object that follows pytest-xdist's scheduling protocol (its ``scheduler/protocol.py``). It is told
about workers, and about tests that have ended. It answers by calling methods of its nodes, during such a call
or at any other time. These calls are noted as orders and carried out once the scheduler has returned, since a
scheduler is not made to be called from inside its own calls.

Exceptions that it raises are not caught: they end the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import index
from typing import Protocol, SupportsIndex

import pytest

from pytest_procpar.compat.xdist.nodes import Nodes
from pytest_procpar.compat.xdist.options import told_dist
from pytest_procpar.core.model import WorkerId, assert_never, worker_name
from pytest_procpar.core.record import changed
from pytest_procpar.core.run.events import Consult, Decided
from pytest_procpar.core.run.foreign.consulting import (
    AllIdle,
    CaughtUp,
    Completed,
    GivenBack,
    SchedulerOrder,
    Want,
    WorkerGone,
    WorkerUp,
)

__all__ = ["ForeignScheduling", "XdistScheduler", "SchedulerAdapter"]


class XdistNode(Protocol):
    """A worker as its scheduler sees it, to the extent that it is used here."""

    def shutdown(self) -> None:
        """Let the worker end once it has run what it has."""


class XdistScheduler(Protocol):
    """The part of pytest-xdist's scheduling protocol that is used here."""

    @property
    def nodes(self) -> Iterable[XdistNode]:
        """The nodes that it knows."""

    @property
    def collection_is_completed(self) -> bool:
        """Whether all nodes that it waits for have reported what they collected."""

    @property
    def tests_finished(self) -> bool:
        """Whether nothing is left to hand out: the nodes may be shut down."""

    def add_node(self, node: XdistNode) -> None:
        """A node is ready."""

    def add_node_collection(self, node: XdistNode, collection: Sequence[str]) -> None:
        """A node has collected these tests."""

    def schedule(self) -> None:
        """Start to hand out tests, or continue."""

    def mark_test_complete(self, node: XdistNode, item_index: int, duration: float = 0) -> None:
        """A test has ended."""

    def mark_test_pending(self, item: str) -> None:
        """A test has to run again."""

    def remove_pending_tests_from_node(self, node: XdistNode, indices: Sequence[int]) -> None:
        """A node has given tests back: the answer to a steal."""

    def remove_node(self, node: XdistNode) -> str | None:
        """A node is gone; return the test that it must have been running."""


class SchedulerAdapter:
    """Asks a scheduler what the core wants to know.

    :param node: returns a worker's node.
    """

    def __init__(self, scheduler: XdistScheduler, node: Callable[[WorkerId], XdistNode]) -> None:
        self._scheduler = scheduler
        self._node = node
        self._orders: list[SchedulerOrder] = []
        #: The scheduler's names for the tests, in collected order, once they are collected.
        self.collection: list[str] = []

    def note(self, worker: WorkerId, what: Want, tests: tuple[int, ...]) -> None:
        """Note an order that the scheduler gave by calling a method of a node."""
        self._orders.append(SchedulerOrder(worker, what, tests))

    def answer(self, consult: Consult) -> Decided:
        """Call the scheduler; return what it orders now, and what it has ordered since the last call.

        :raises IndexError: if it sends a test that does not exist.
        """
        scheduler = self._scheduler
        dealing = finished = False
        match consult.news:
            case None:
                pass
            case WorkerUp(worker):
                dealing = self._add(self._node(worker))
            case WorkerGone(worker):
                node = self._node(worker)
                if node in scheduler.nodes:
                    scheduler.remove_node(node)
            case Completed(worker, test, seconds):
                scheduler.mark_test_complete(self._node(worker), test, seconds)
            case GivenBack(worker, tests):
                scheduler.remove_pending_tests_from_node(self._node(worker), list(tests))
            case AllIdle():
                scheduler.schedule()
            case CaughtUp():
                finished = self._wind_up()
            case _:
                assert_never(consult.news)
        orders = tuple(map(self._checked, self._orders))
        self._orders.clear()
        return Decided(orders, dealing, finished)

    def _add(self, node: XdistNode) -> bool:
        """Tell it about a node; return whether it has all nodes that it waits for, and hands out tests."""
        self._scheduler.add_node(node)
        self._scheduler.add_node_collection(node, list(self.collection))
        if not self._scheduler.collection_is_completed:
            return False
        self._scheduler.schedule()
        return True

    def _wind_up(self) -> bool:
        """Shut its nodes down if it has nothing left to hand out; return whether they were shut down."""
        if not self._scheduler.tests_finished:
            return False
        for node in list(self._scheduler.nodes):
            node.shutdown()
        return True

    def _checked(self, order: SchedulerOrder) -> SchedulerOrder:
        if order.what != "run":
            return order
        return changed(order, tests=tuple(self._place(test, order.worker) for test in order.tests))

    def _place(self, test: SupportsIndex, worker: WorkerId) -> int:
        place, count = index(test), len(self.collection)
        if not 0 <= place < count:
            name, known = type(self._scheduler).__name__, f"there are {count}, from 0 up"
            raise IndexError(f"{name} sends test {test} to {worker_name(worker)}: {known}")
        return place


class _Overheard:
    """A scheduler with one method replaced."""

    def __init__(self, scheduler: XdistScheduler, mark_test_pending: Callable[[str], None]) -> None:
        self._scheduler = scheduler
        self.mark_test_pending = mark_test_pending

    def __getattr__(self, name: str) -> object:
        return getattr(self._scheduler, name)


class ForeignScheduling:
    """A scheduler that a plugin has made, connected to the run's nodes."""

    def __init__(self, config: pytest.Config, scheduler: XdistScheduler, nodes: Nodes) -> None:
        self.scheduler = scheduler
        self._config = config
        #: Answers the core.
        self.adapter = SchedulerAdapter(scheduler, nodes.__getitem__)
        #: The scheduler's names for the tests, by nodeid, where they differ from the nodeids.
        self._names: dict[str, str] = {}
        self._wanted: set[str] = set()
        self._mark = scheduler.mark_test_pending
        # Plugins must be given the scheduler itself, and its own method does not tell us when it is called.
        self._seen: object = scheduler
        try:
            scheduler.mark_test_pending = self._mark_test_pending  # type: ignore[method-assign]
        except (AttributeError, TypeError):  # it has slots
            self._seen = _Overheard(scheduler, self._mark_test_pending)
        nodes.connect(self.adapter.note)

    @property
    def name(self) -> str:
        """The name of the scheduler's class."""
        return type(self.scheduler).__name__

    def collected(self, ids: list[str], keys: list[str] | None) -> None:
        """Take the collected tests.

        Under ``--dist=loadgroup`` pytest-xdist appends a test's group to its nodeid, and subclasses of its
        schedulers look for it there. Our nodeids stay as they are, so the scheduler gets names of its own.
        """
        self.adapter.collection = list(ids)
        if told_dist(self._config) == "loadgroup" and keys is not None:
            pairs = list(zip(ids, keys, strict=True))
            names = [nodeid if key.startswith("\0") else f"{nodeid}@{key}" for nodeid, key in pairs]
            self.adapter.collection = names
            self._names = dict(zip(ids, names, strict=True))

    def consult(self, crashitem: str, call: Callable[[object], None]) -> bool:
        """Pass the scheduler to `call`; return whether that asked for the crashed test to run again."""
        self._wanted.clear()
        call(self._seen)
        return self._names.get(crashitem, crashitem) in self._wanted

    def _mark_test_pending(self, item: str) -> None:
        name = self._names.get(item, item)
        self._mark(name)
        self._wanted.add(name)
