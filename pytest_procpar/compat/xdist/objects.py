"""The objects through which plugins look at a worker, in the shape that pytest-xdist gave them."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import pytest

from pytest_procpar.core.model import WorkerId, WorkerInput

if TYPE_CHECKING:
    from pytest_procpar.core.run.foreign.consulting import Want

__all__ = ["Gateway", "Node", "NodeManager", "Spec", "TakesOrders"]

#: Records what a worker is asked to do, and with which tests, by their positions in the collected order.
TakesOrders: TypeAlias = "Callable[[WorkerId, Want, tuple[int, ...]], None]"


class Spec:
    """How a worker was made: always locally."""

    popen = True
    chdir = python = ssh = socket = via = None

    def __init__(self, worker_id: str) -> None:
        self.id = worker_id

    def __str__(self) -> str:
        return "popen"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Spec)  # not the id: a replacement has the same specification (XSpec)

    def __hash__(self) -> int:
        return hash(str(self))

    def __repr__(self) -> str:
        return f"<XSpec 'popen//id={self.id}'>"


class RInfo:
    """Facts about the process behind a gateway."""

    def __init__(self) -> None:
        self.executable = sys.executable
        self.cwd = os.getcwd()
        self.platform = sys.platform
        self.version_info = tuple(sys.version_info)
        self.pid = os.getpid()


class Gateway:
    """The connection between the controller and a worker; to a plugin, mainly an id."""

    def __init__(self, spec: Spec) -> None:
        self.id = spec.id
        self.spec = spec

    def _rinfo(self, update: bool = False) -> RInfo:
        return RInfo()

    def __repr__(self) -> str:
        return f"<Gateway id={self.id!r}>"


class _WorkerInfo(dict[str, object]):
    """The type of `Node.workerinfo`: a dict that finds out its ``platform`` when first asked for it.

    `platform.platform` starts a process to learn the processor's name.
    """

    def __missing__(self, key: str) -> object:
        if key != "platform":
            raise KeyError(key)
        self[key] = platform.platform()
        return self[key]

    def get(self, key: str, default: object = None) -> object:
        return self[key] if key in self or key == "platform" else default


class NodeManager:
    """What the workers of a run have in common."""

    def __init__(self, config: pytest.Config, testrunuid: str) -> None:
        self.config = config
        self.testrunuid = testrunuid
        self.roots: list[object] = []
        self.specs: list[Spec] = []


class Node:
    """A worker as the controller's plugins see it.

    ``workerinfo`` is set once the worker is ready, ``workeroutput`` once it has finished its session: a
    worker that crashed has none.
    """

    workerinfo: dict[str, object]
    workeroutput: dict[str, object]
    _order: Callable[[Want, tuple[int, ...]], None] | None = None

    def __init__(self, config: pytest.Config, manager: NodeManager, worker_id: str, count: int) -> None:
        self.config = config
        self.nodemanager = manager
        self.gateway = Gateway(Spec(worker_id))
        self.workerinput: WorkerInput = {
            "workerid": worker_id,
            "workercount": count,
            "testrunuid": manager.testrunuid,
            "mainargv": list(sys.argv),
        }
        self.shutting_down = False

    def __repr__(self) -> str:
        return f"<WorkerController {self.gateway.id}>"

    # --- what a plugin's scheduler calls ---

    def connect(self, worker: WorkerId, orders: TakesOrders) -> None:
        """Let a scheduler command the worker."""
        self._order = partial(orders, worker)

    def send_runtest_some(self, indices: Sequence[int]) -> None:
        """Have the worker run these tests, given by position in the collected order, after those it has."""
        self._command("run", indices)

    def send_runtest_all(self) -> None:
        """Have the worker run all tests."""
        self._command("run all")

    def send_steal(self, indices: Sequence[int]) -> None:
        """Ask for tests back: all of these, or none if the worker has begun one of them.

        The answer comes as a call of the scheduler's ``remove_pending_tests_from_node``.
        """
        self._command("steal", indices)

    def shutdown(self) -> None:
        """Let the worker end once it has run what it has."""
        self.shutting_down = True
        self._command("shut down")

    def _command(self, what: Want, tests: Sequence[int] = ()) -> None:
        if self._order is None:
            raise RuntimeError(
                f"{self} takes no orders: --dist decides what it runs. Return a scheduler of your own from "
                "the hook pytest_xdist_make_scheduler."
            )
        self._order(what, tuple(tests))

    # --- what the run does ---

    def make_ready(self) -> None:
        """Fill in what is known about a forked worker, which is a copy of this process."""
        self.workerinfo = _WorkerInfo(
            version=sys.version,
            version_info=tuple(sys.version_info),
            sysplatform=sys.platform,
            executable=sys.executable,
            cwd=os.getcwd(),
            id=self.gateway.id,
            spec=self.gateway.spec,
        )
