"""The workers of a run as nodes, and the hooks that tell plugins about them, in pytest-xdist's order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pytest_procpar.compat.reporters import tell_reporters
from pytest_procpar.compat.xdist import Node, NodeManager
from pytest_procpar.core.foreign import Order
from pytest_procpar.core.model import WorkerId, worker_name

__all__ = ["Nodes"]


class Nodes:
    """One `Node` for every worker, by its id."""

    def __init__(self, config: pytest.Config, testrunuid: str) -> None:
        self._config = config
        self.manager = NodeManager(config, testrunuid)
        self._nodes: dict[WorkerId, Node] = {}
        self._down: set[WorkerId] = set()
        self._count = 0
        self._ids: list[str] = []
        self._orders: Callable[[Order], None] | None = None

    def __getitem__(self, worker: WorkerId) -> Node:
        return self._nodes[worker]

    def alive(self) -> list[Node]:
        """The nodes of the workers that are not gone."""
        return [node for worker, node in self._nodes.items() if worker not in self._down]

    def connect(self, orders: Callable[[Order], None]) -> None:
        """Let a scheduler command the workers through their nodes: where what it wants goes."""
        self._orders = orders
        for worker, node in self._nodes.items():
            node.connect(worker, orders)

    def set_up(self, count: int) -> list[dict[str, Any]]:
        """Make the first `count` nodes; the workerinput of each, with what plugins have put into it."""
        self._count = count
        nodes = [Node(self._config, self.manager, worker_name(WorkerId(i)), count) for i in range(count)]
        self.manager.specs = [node.gateway.spec for node in nodes]
        self._config.hook.pytest_xdist_setupnodes(config=self._config, specs=self.manager.specs)
        for i, node in enumerate(nodes):
            self._introduce(WorkerId(i), node)
        return [node.workerinput for node in nodes]

    def _introduce(self, worker: WorkerId, node: Node) -> None:
        self._nodes[worker] = node
        if self._orders is not None:
            node.connect(worker, self._orders)
        self._config.hook.pytest_xdist_newgateway(gateway=node.gateway)
        self._config.hook.pytest_configure_node(node=node)

    def make_ready(self, count: int, ids: list[str]) -> None:
        """The suite is known and `count` workers will run it: the rest of the nodes never existed."""
        self._count, self._ids = count, ids
        self._config.option.numprocesses = count
        self._config.option.tx = ["popen"] * count
        for worker in [w for w in self._nodes if w >= count]:
            del self._nodes[worker]
        for node in self._nodes.values():
            node.workerinput["workercount"] = count
            node.make_ready()
            self._config.hook.pytest_testnodeready(node=node)
        for node in self._nodes.values():
            self._config.hook.pytest_xdist_node_collection_finished(node=node, ids=ids)
        tell_reporters(self._config, ids)

    def input_for(self, worker: WorkerId) -> dict[str, Any]:
        """The workerinput of a worker that is about to be forked; a replacement's node is made now."""
        if worker not in self._nodes:
            node = Node(self._config, self.manager, worker_name(worker), self._count)
            self._introduce(worker, node)
            node.make_ready()
            self._config.hook.pytest_testnodeready(node=node)
            self._config.hook.pytest_xdist_node_collection_finished(node=node, ids=self._ids)
        return self._nodes[worker].workerinput

    def inputs(self, least: int) -> list[dict[str, Any]]:
        """The workerinput of the workers that the run has begun with, and of more if these are too few."""
        return [self.input_for(WorkerId(i)) for i in range(max(self._count, least))]

    def down(self, worker: WorkerId, error: object | None) -> None:
        """A worker is gone."""
        self._down.add(worker)
        node = self._nodes[worker]
        self._config.hook.pytest_testnodedown(node=node, error=error)
        _has_returned_coverage(self._config, node)


def _has_returned_coverage(config: pytest.Config, node: Node) -> None:
    """Keep pytest-cov from saying that this worker has none: that of one that has died is recovered."""
    plugin = config.pluginmanager.getplugin("_cov")
    failed = getattr(getattr(plugin, "cov_controller", None), "failed_workers", None)
    if isinstance(failed, list) and node in failed:
        failed.remove(node)
