"""The objects by which plugins know a run's scheduler: ours, or one that a plugin has made.

Both are what ``getplugin("dsession").sched`` and the argument ``sched`` of `pytest_handlecrashitem` give.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest

from pytest_procpar.compat.nodes import Nodes
from pytest_procpar.compat.xdist import Node
from pytest_procpar.core.events import Effect
from pytest_procpar.core.foreign import ForeignDealer, Order, Scheduler
from pytest_procpar.core.model import WorkerId

__all__ = ["ForeignScheduling", "Log", "OwnScheduling", "make_scheduling"]


class Log:
    """What a scheduler is given to log to: called like `print`, and each attribute is a log of that name.

    Nothing is written unless pytest runs with ``--debug``, as under pytest-xdist.
    """

    def __init__(self, name: str, *, enabled: bool) -> None:
        self.name = name
        self.enabled = enabled

    def __repr__(self) -> str:
        return f"Log({self.name!r}, enabled={self.enabled})"

    def __call__(self, *words: object, **options: Any) -> None:
        """Write a line."""
        if self.enabled:
            print(f"[{self.name}]", *words, file=sys.stderr, **options)

    def __getattr__(self, name: str) -> Log:
        if name.startswith("__"):
            raise AttributeError(name)
        return Log(name, enabled=self.enabled)


class OwnScheduling:
    """The scheduler of ``--dist``, as far as plugins ask for it: what it hands out, it decides alone."""

    #: What kind of scheduler it is, if ``--dist`` does not say that.
    name: str | None = None

    def __init__(self, config: pytest.Config, nodes: Nodes) -> None:
        self.config = config
        self.collection: list[str] | None = None
        self._nodes = nodes
        self._crashitem: str | None = None
        self._put_back = False

    @property
    def scheduler(self) -> object:
        """What plugins get to see."""
        return self

    @property
    def nodes(self) -> list[Node]:
        """The nodes of the workers that are alive."""
        return self._nodes.alive()

    @property
    def numnodes(self) -> int:
        """How many workers the run was begun with."""
        return len(self.config.option.tx)

    @property
    def collection_is_completed(self) -> bool:
        """Whether the tests are known."""
        return self.collection is not None

    @property
    def has_pending(self) -> bool:
        """Whether tests run, or are to run."""
        return self.collection_is_completed and not self.tests_finished

    @property
    def tests_finished(self) -> bool:
        """Whether all workers that are left finish their sessions."""
        return self.collection_is_completed and all(node.shutting_down for node in self.nodes)

    def collected(self, ids: list[str], keys: list[str] | None) -> None:
        """The tests are known."""
        self.collection = list(ids)

    def mark_test_pending(self, item: str) -> None:
        """Run a crashed test again.

        :raises NotImplementedError: for any other test, or after `pytest_handlecrashitem`.
        """
        if item != self._crashitem:
            raise NotImplementedError(f"{item} cannot be run again: it has not crashed just now")
        self._put_back = True

    def consult(self, crashitem: str, call: Callable[[object], None]) -> bool:
        """Call what may want a crashed test to run again; whether it does."""
        self._crashitem, self._put_back = crashitem, False
        try:
            call(self)
        finally:
            self._crashitem = None
        return self._put_back


class _Overheard:
    """A scheduler, but for one method."""

    def __init__(self, scheduler: Scheduler, mark_test_pending: Callable[[str], None]) -> None:
        self._scheduler = scheduler
        self.mark_test_pending = mark_test_pending

    def __getattr__(self, name: str) -> Any:
        return getattr(self._scheduler, name)


class ForeignScheduling:
    """A scheduler that a plugin has made, connected to the run's nodes."""

    def __init__(self, config: pytest.Config, scheduler: Scheduler, nodes: Nodes) -> None:
        self.scheduler = scheduler
        self._config = config
        self._nodes = nodes
        self._orders: deque[Order] = deque()
        self._ids: list[str] = []
        #: The names by which the scheduler knows the tests, and these by nodeid where they differ.
        self._collection: list[str] = []
        self._names: dict[str, str] = {}
        self._wanted: set[str] = set()
        self._mark = scheduler.mark_test_pending
        # It is the scheduler itself that plugins have to be given, and its method says nothing to us.
        self._seen: object = scheduler
        try:
            scheduler.mark_test_pending = self._mark_test_pending  # type: ignore[method-assign]
        except (AttributeError, TypeError):  # it has slots
            self._seen = _Overheard(scheduler, self._mark_test_pending)
        nodes.connect(self._orders.append)

    @property
    def name(self) -> str:
        """What kind of scheduler it is."""
        return type(self.scheduler).__name__

    def collected(self, ids: list[str], keys: list[str] | None) -> None:
        """The tests are known.

        Under ``--dist=loadgroup`` pytest-xdist appends a test's group to its nodeid, and its schedulers'
        subclasses look for it there; ours stay as they are, so the scheduler gets names of its own.
        """
        self._ids = self._collection = list(ids)
        if self._config.option.dist == "loadgroup" and keys is not None:
            pairs = list(zip(ids, keys, strict=True))
            self._collection = [
                nodeid if key.startswith("\0") else f"{nodeid}@{key}" for nodeid, key in pairs
            ]
            self._names = dict(zip(ids, self._collection, strict=True))

    def lane(self, out: list[Effect]) -> ForeignDealer:
        """What deals the collected tests as the scheduler says; effects go to `out`."""
        return ForeignDealer(self.scheduler, self._node, self._collection, out, self._orders)

    def consult(self, crashitem: str, call: Callable[[object], None]) -> bool:
        """Call what may want a crashed test to run again; whether it does."""
        self._wanted.clear()
        call(self._seen)
        return self._names.get(crashitem, crashitem) in self._wanted

    def _mark_test_pending(self, item: str) -> None:
        name = self._names.get(item, item)
        self._mark(name)
        self._wanted.add(name)

    def _node(self, worker: WorkerId) -> Node:
        return self._nodes[worker]


def make_scheduling(config: pytest.Config, nodes: Nodes) -> ForeignScheduling | None:
    """Ask plugins for a scheduler; None if none has one to offer."""
    log = Log("dsession", enabled=bool(config.option.debug))
    scheduler = config.hook.pytest_xdist_make_scheduler(config=config, log=log)
    return None if scheduler is None else ForeignScheduling(config, scheduler, nodes)
