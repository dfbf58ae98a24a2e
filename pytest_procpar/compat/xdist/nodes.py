"""The workers of a run as nodes, and the hooks that tell plugins about them, in pytest-xdist's order."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_procpar.compat.plugins.reporters import tell_reporters
from pytest_procpar.compat.pytest_private.warnings import tell_warning
from pytest_procpar.compat.pytest_reports.quiet_hooks import module_of
from pytest_procpar.compat.xdist.objects import Node, NodeManager, TakesOrders
from pytest_procpar.compat.xdist.options import tell_workers
from pytest_procpar.core.model import WorkerId, WorkerInput, worker_name

__all__ = ["Nodes"]

#: Packages of plugins that implement hooks for nodes, but need no nodes besides those that run tests.
_CONTENT = frozenset(
    {
        "flaky", "pytest_cov", "pytest_metadata", "pytest_procpar", "pytest_randomly", "pytest_rerunfailures",
        "pytest_retry", "syrupy", "testmon",
    }
)  # fmt: skip


class Nodes:
    """One `Node` for every worker, by its id."""

    def __init__(self, config: pytest.Config, testrunuid: str) -> None:
        self._config = config
        self.manager = NodeManager(config, testrunuid)
        self._nodes: dict[WorkerId, Node] = {}
        self._down: set[WorkerId] = set()
        self._count = 0
        self._ids: list[str] = []
        self._orders: TakesOrders | None = None

    def __getitem__(self, worker: WorkerId) -> Node:
        return self._nodes[worker]

    def alive(self) -> list[Node]:
        """The nodes of the workers that are not gone."""
        return [node for worker, node in self._nodes.items() if worker not in self._down]

    def all_wanted(self) -> bool:
        """Whether some plugin may prepare something for each node, and wait for what each node returns."""
        hook = self._config.hook
        callers = (hook.pytest_configure_node, hook.pytest_testnodeready, hook.pytest_testnodedown)
        plugins = [impl.plugin for caller in callers for impl in caller.get_hookimpls()]
        return any(module_of(plugin).partition(".")[0] not in _CONTENT for plugin in plugins)

    def connect(self, orders: TakesOrders) -> None:
        """Let a scheduler command the workers through their nodes; the commands go to `orders`."""
        self._orders = orders
        for worker, node in self._nodes.items():
            node.connect(worker, orders)

    def set_up(self, count: int) -> list[WorkerInput]:
        """Make the first `count` nodes; return the workerinput of each, with what plugins put into it."""
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

    def make_ready(self, count: int, ids: list[str], most: int) -> None:
        """Tell plugins about the collected suite, and drop the nodes beyond the `count` that will run it.

        :param most: how many there may be later: what workers are told.
        """
        self._count, self._ids = max(count, most), ids
        tell_workers(self._config, count)
        for worker in [w for w in self._nodes if w >= count]:
            del self._nodes[worker]
        for node in self._nodes.values():
            node.workerinput["workercount"] = self._count
            node.make_ready()
            self._config.hook.pytest_testnodeready(node=node)
        for node in self._nodes.values():
            self._config.hook.pytest_xdist_node_collection_finished(node=node, ids=ids)
        tell_reporters(self._config, ids)

    def input_for(self, worker: WorkerId) -> WorkerInput:
        """Return the workerinput of a worker that is about to be forked; make the node of a replacement."""
        if worker not in self._nodes:
            node = Node(self._config, self.manager, worker_name(worker), self._count)
            self._introduce(worker, node)
            node.make_ready()
            self._config.hook.pytest_testnodeready(node=node)
            self._config.hook.pytest_xdist_node_collection_finished(node=node, ids=self._ids)
        return self._nodes[worker].workerinput

    def inputs(self, least: int) -> list[WorkerInput]:
        """Return the workerinput of the workers that the run began with, and of more, up to `least`.

        No more are made if the project itself prepares nodes: what it prepared was for the run.
        """
        count = self._count if _prepares_nodes(self._config) else max(self._count, least)
        return [self.input_for(WorkerId(i)) for i in range(count)]

    def down(self, worker: WorkerId, error: object | None) -> None:
        """Tell plugins that a worker is gone."""
        self._down.add(worker)
        node = self._nodes[worker]
        self._config.hook.pytest_testnodedown(node=node, error=error)
        _has_returned_coverage(self._config, node)

    def abandon(self) -> None:
        """At the end of the run, tell plugins about each node that has not been reported as gone yet.

        Such a node has returned nothing. If a plugin raises an error because of that, the error is shown as a
        warning, so that it does not hide how the run ended.
        """
        for worker, node in self._nodes.items():
            if worker in self._down:
                continue
            node.shutting_down = True
            try:
                self.down(worker, "its session was never finished")
            except Exception as error:
                name = f"pytest_testnodedown of {node.gateway.id}"
                text = f"{name}, whose session was never finished: {type(error).__name__}: {error}"
                tell_warning(self._config, text, "pytest_testnodedown")


def _prepares_nodes(config: pytest.Config) -> bool:
    """Whether a conftest or a plugin of the project itself has a hook that prepares nodes."""
    codes = [
        getattr(impl.function, "__code__", None) for impl in config.hook.pytest_configure_node.get_hookimpls()
    ]
    paths = [Path(code.co_filename) for code in codes if code is not None]
    return any(path.is_relative_to(config.rootpath) and "site-packages" not in path.parts for path in paths)


def _has_returned_coverage(config: pytest.Config, node: Node) -> None:
    """Keep pytest-cov from reporting this worker as without data: a dead worker's data is recovered."""
    plugin = config.pluginmanager.getplugin("_cov")
    failed = getattr(getattr(plugin, "cov_controller", None), "failed_workers", None)
    if isinstance(failed, list) and node in failed:
        failed.remove(node)
