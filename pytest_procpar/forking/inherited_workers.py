"""Lets a forked process ask about processes of `multiprocessing` that were started before the fork.

`multiprocessing.Process` refuses to be asked outside of the process that started it. An object that was
inherited answers as there: whether the process runs, and how it has ended, are looked up in /proc. Where
there is none, the refusal stays.

As with a program (`inherited_processes`), a worker does not end what serves all workers: `terminate` and
`kill` send nothing, and from then on the object says that the process has ended by that signal.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Protocol

from pytest_procpar.system.calls import getpid, monotonic

__all__ = ["adopt_workers"]

#: `multiprocessing`, its copy made for dill, and Celery's.
_PACKAGES = ("multiprocessing", "multiprocess", "billiard")
#: How a process has ended if nobody knows.
_UNKNOWN = 0


class _Popen(Protocol):
    """What `multiprocessing` keeps of a process that it has started."""

    pid: int
    returncode: int | None
    sentinel: int

    def close(self) -> None: ...


def adopt_workers(
    status_of: Callable[[int], int | str | None], wait_for_end: Callable[[int, float | None], None]
) -> None:
    """Let this process, which was just forked, ask about all such processes that its parent had started.

    :param status_of: returns the wait status of a process that was inherited, "runs", or None if nothing is
        known about it.
    :param wait_for_end: waits until a process has ended, for this many seconds at most (None: no limit).
    """
    parent = os.getppid()
    for package in _PACKAGES:
        known = getattr(sys.modules.get(f"{package}.process"), "_dangling", ())
        for process in list(known):
            popen = getattr(process, "_popen", None)
            if popen is not None and process._parent_pid == parent:
                process._parent_pid = getpid()
                process._popen = _Inherited(popen, status_of, wait_for_end)


class _Inherited:
    """Stands in for the `Popen` object of a process that another process has started."""

    def __init__(
        self,
        popen: _Popen | _Inherited,
        status_of: Callable[[int], int | str | None],
        wait_for_end: Callable[[int, float | None], None],
    ) -> None:
        self._popen: _Popen = popen._popen if isinstance(popen, _Inherited) else popen
        self._status_of = status_of
        self._wait_for_end = wait_for_end
        self.pid: int = popen.pid
        self.returncode: int | None = popen.returncode

    def __getattr__(self, name: str) -> object:
        return getattr(self._popen, name)

    def poll(self, flag: int = os.WNOHANG) -> int | None:
        """How the process has ended; None if it runs."""
        if self.returncode is None:
            status = self._status_of(self.pid)
            if status != "runs":
                self.returncode = os.waitstatus_to_exitcode(status) if isinstance(status, int) else _UNKNOWN
        return self.returncode

    def wait(self, timeout: float | None = None) -> int | None:
        """The same, after the process has ended or this many seconds have passed."""
        until = None if timeout is None else monotonic() + timeout
        while self.poll() is None:
            left = None if until is None else until - monotonic()
            if left is not None and left <= 0:
                break
            self._wait_for_end(self.pid, left)
        return self.returncode

    def terminate(self) -> None:
        """Say from now on that the process has ended; it serves others."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """The same, by another signal."""
        self._end(signal.SIGKILL)

    def interrupt(self) -> None:
        """The same, by another signal (Python 3.14)."""
        self._end(signal.SIGINT)

    def _end(self, signum: int) -> None:
        if self.poll() is None:
            self.returncode = -signum

    def close(self) -> None:
        """Close what this process has inherited of it."""
        self._popen.close()
