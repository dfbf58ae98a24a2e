"""Child processes that a test module has started: only the process that started them can wait for them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from pytest_procpar.system.descendants import is_childless

if TYPE_CHECKING:
    from pytest_procpar.start_method.objects.holders import Holder

__all__ = ["HeldProcesses"]


class HeldProcesses:
    """Running processes in variables of test modules.

    A process that a conftest or another plugin has started is a server for all tests: one serves all workers.

    :param is_vouched: whether the kind is safe, or what a module holds.
    """

    def __init__(self, config: pytest.Config, is_vouched: Callable[[str], bool]) -> None:
        self._config = config
        self._is_vouched = is_vouched

    def begin(self) -> None:
        """Do nothing: the modules that hold such processes are imported later."""

    def findings(self) -> Iterator[str]:
        """Yield a reason for each process, with the variable that holds it."""
        if self._is_vouched("children"):
            return
        for _, holder in self._held():
            if not self._is_vouched(holder.module):
                yield f"a child process was started, held by {holder}"

    def abandon(self) -> None:
        """End those that this process has started: no test will run here that would do so."""
        for process, _ in list(self._held()):
            with suppress(Exception):
                process.kill()
                (process.wait if hasattr(process, "wait") else process.join)()

    def _held(self) -> Iterator[tuple[Any, Holder]]:
        if is_childless():
            return
        from pytest_procpar.start_method.objects.holders import project_variables

        is_plugin = self._config.pluginmanager.is_registered
        for value, holder in project_variables():
            if _is_running(value) and not is_plugin(sys.modules.get(holder.module)):
                yield value, holder


def _is_running(thing: Any) -> bool:
    with suppress(Exception):  # it may be another process's, or not be started
        if any(base.__name__ == "Popen" and base.__module__ == "subprocess" for base in type(thing).__mro__):
            return thing.returncode is None and thing.poll() is None
        if any(base.__module__ == "multiprocessing.process" for base in type(thing).__mro__):
            return thing.pid is not None and bool(thing.is_alive())
    return False
