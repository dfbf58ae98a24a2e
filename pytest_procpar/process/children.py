"""The workers of a fork server, as its child processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress

from pytest_procpar.core.model import WorkerId
from pytest_procpar.process.system import monotonic, pause

__all__ = ["Children"]

#: How often to look for dead children where the kernel cannot tell (no pidfd), in seconds.
_POLL_SECONDS = 0.05

#: How long processes may take to end after SIGTERM before they are killed, in seconds.
_GRACE = 1.0


class Children:
    """Knows, signals and reaps the worker processes."""

    def __init__(self) -> None:
        self._pids: dict[WorkerId, int] = {}
        self._fds: dict[WorkerId, int | None] = {}

    @property
    def poll_seconds(self) -> float | None:
        """After how many seconds `reap` is due though nothing was signalled; None if never."""
        return _POLL_SECONDS if any(fd is None for fd in self._fds.values()) else None

    def add(self, worker: WorkerId, pid: int) -> int | None:
        """Note a new child, and give it a process group of its own.

        Returns a descriptor that becomes readable when it is dead, where there is such.
        """
        with suppress(OSError):  # the child does it too: whoever comes first
            os.setpgid(pid, pid)
        fd: int | None = None
        if hasattr(os, "pidfd_open"):
            with suppress(OSError):
                fd = os.pidfd_open(pid)
        self._pids[worker] = pid
        self._fds[worker] = fd
        return fd

    def reap(self) -> Iterator[tuple[WorkerId, int, int | None]]:
        """Worker, wait status and descriptor of every child that has died; the descriptor is the caller's."""
        for worker, pid in list(self._pids.items()):
            try:
                done, status = os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:  # somebody waited for all children; how it died is lost
                done, status = pid, 0
            if done:
                del self._pids[worker]
                yield worker, status, self._fds.pop(worker)

    def signal(self, worker: WorkerId, signum: int, *, group: bool = False) -> None:
        """Send a signal to a worker, or to its process group; nothing if it is dead."""
        pid = self._pids.get(worker)
        if pid is not None:
            with suppress(ProcessLookupError, PermissionError):
                (os.killpg if group else os.kill)(pid, signum)

    def kill_all(self) -> None:
        """End every worker and what it has started: politely, then not."""
        groups = set(self._pids.values())
        for pid in groups:
            _signal_group(pid, signal.SIGTERM)
        deadline = monotonic() + _GRACE
        while groups and monotonic() < deadline:
            self._reap_and_close()
            groups = {pid for pid in groups if _signal_group(pid, 0)}
            if groups:
                pause(0.005)
        for pid in groups:
            _signal_group(pid, signal.SIGKILL)
        while self._pids:
            self._reap_and_close()
            if self._pids:
                pause(0.005)

    def _reap_and_close(self) -> None:
        for _worker, _status, fd in self.reap():
            if fd is not None:
                os.close(fd)

    def forget(self) -> None:
        """In a forked child: its parent's children are none of its."""
        for fd in self._fds.values():
            if fd is not None:
                os.close(fd)
        self._pids.clear()
        self._fds.clear()


def _signal_group(pid: int, signum: int) -> bool:
    """Send a signal to a process group; whether there is such a group."""
    try:
        os.killpg(pid, signum)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
