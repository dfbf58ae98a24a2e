"""What plugins see as a run's scheduler where ``--dist`` decides, and how a plugin is asked for its own one.

Plugins get it from ``getplugin("dsession").sched`` and as the argument ``sched`` of `pytest_handlecrashitem`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from pytest_procpar.compat.foreign_options import shows_debug_log
from pytest_procpar.compat.xdist.nodes import Nodes
from pytest_procpar.compat.xdist.objects import Node
from pytest_procpar.compat.xdist.options import told_specifications

if TYPE_CHECKING:
    from pytest_procpar.compat.xdist.plugin_scheduler import ForeignScheduling

__all__ = ["Log", "OwnScheduling", "make_scheduling"]


class Log:
    """The log that a scheduler is given: call it like `print`; each attribute is a log of that name.

    Nothing is written unless pytest runs with ``--debug``, as under pytest-xdist.
    """

    def __init__(self, name: str, *, enabled: bool) -> None:
        self.name = name
        self.enabled = enabled

    def __repr__(self) -> str:
        return f"Log({self.name!r}, enabled={self.enabled})"

    def __call__(
        self, *words: object, sep: str | None = " ", end: str | None = "\n", flush: bool = False
    ) -> None:
        """Write a line."""
        if self.enabled:
            print(f"[{self.name}]", *words, file=sys.stderr, sep=sep, end=end, flush=flush)

    def __getattr__(self, name: str) -> Log:
        if name.startswith("__"):
            raise AttributeError(name)
        return Log(name, enabled=self.enabled)


class OwnScheduling:
    """The scheduler of ``--dist`` as plugins see it. They have no say in what it hands out."""

    #: The name of the scheduler; None, since ``--dist`` says it.
    name: str | None = None

    def __init__(self, config: pytest.Config, nodes: Nodes) -> None:
        self.config = config
        self.collection: list[str] | None = None
        self._nodes = nodes
        self._crashitem: str | None = None
        self._put_back = False

    @property
    def scheduler(self) -> object:
        """The object that plugins get to see."""
        return self

    @property
    def nodes(self) -> list[Node]:
        """The nodes of the workers that are alive."""
        return self._nodes.alive()

    @property
    def numnodes(self) -> int:
        """The number of workers that the run began with."""
        return len(told_specifications(self.config))

    @property
    def collection_is_completed(self) -> bool:
        """Whether the tests are known."""
        return self.collection is not None

    @property
    def has_pending(self) -> bool:
        """Whether tests are running or waiting to run."""
        return self.collection_is_completed and not self.tests_finished

    @property
    def tests_finished(self) -> bool:
        """Whether all workers that are left are finishing their sessions."""
        return self.collection_is_completed and all(node.shutting_down for node in self.nodes)

    def collected(self, ids: list[str], keys: list[str] | None) -> None:
        """Take the collected tests."""
        self.collection = list(ids)

    def mark_test_pending(self, item: str) -> None:
        """Run a crashed test again.

        :raises NotImplementedError: for any other test, or after `pytest_handlecrashitem`.
        """
        if item != self._crashitem:
            raise NotImplementedError(f"{item} cannot be run again: it has not crashed just now")
        self._put_back = True

    def consult(self, crashitem: str, call: Callable[[object], None]) -> bool:
        """Pass this object to `call`; return whether that asked for the crashed test to run again."""
        self._crashitem, self._put_back = crashitem, False
        try:
            call(self)
        finally:
            self._crashitem = None
        return self._put_back


def make_scheduling(config: pytest.Config, nodes: Nodes) -> ForeignScheduling | None:
    """Ask plugins for a scheduler; return None if no plugin offers one."""
    log = Log("dsession", enabled=shows_debug_log(config))
    scheduler = config.hook.pytest_xdist_make_scheduler(config=config, log=log)
    if scheduler is None:
        return None
    from pytest_procpar.compat.xdist.plugin_scheduler import ForeignScheduling  # most runs need none

    return ForeignScheduling(config, scheduler, nodes)
