"""The workers of a fork server, as its child processes."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from pytest_procpar.core.model import WorkerId
from pytest_procpar.system.calls import monotonic, pause
from pytest_procpar.system.descendants import descendants, is_childless, open_pidfd, reap
from pytest_procpar.system.genuine import close, wait4

__all__ = [
    "RSS_UNIT", "Children", "SessionOver", "kill_with_descendants", "nobody_else_waits", "signal_group",
]  # fmt: skip

#: How often to look for dead children where the kernel cannot tell (no pidfd), in seconds.
_POLL_SECONDS = 0.05

#: How long processes may take to end after SIGTERM before they are killed, in seconds.
_GRACE = 1.0


#: The unit of `ru_maxrss`, the peak of a process's memory, in bytes (getrusage(2)).
RSS_UNIT = 1 if sys.platform == "darwin" else 1024


class SessionOver(BaseException):
    """A child came upon something that ends the session, and has told the controller."""

    def __init__(self, status: int, interrupted: bool) -> None:
        super().__init__(status)
        self.status = status
        self.interrupted = interrupted


@contextmanager
def nobody_else_waits() -> Iterator[None]:
    """Inside the block, only we wait for the children of this process, and of its forks.

    A handler for SIGCHLD may wait for every child, and the kernel does so if the signal is ignored: how our
    children ended would be lost.
    """
    previous = signal.getsignal(signal.SIGCHLD)
    if previous in (signal.SIG_DFL, None):
        yield
        return
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGCHLD, previous)


class Dead(NamedTuple):
    """A child that has died: wait status, peak memory in bytes, and its pidfd if it has one."""

    worker: WorkerId
    status: int
    peak_memory: int | None
    fd: int | None


class Children:
    """Knows, signals and reaps the worker processes."""

    def __init__(self) -> None:
        self._pids: dict[WorkerId, int] = {}
        self._fds: dict[WorkerId, int | None] = {}

    @property
    def poll_seconds(self) -> float | None:
        """After how many seconds `reap` is due although nothing was signalled; None if never."""
        return _POLL_SECONDS if any(fd is None for fd in self._fds.values()) else None

    @property
    def pids(self) -> frozenset[int]:
        """The pids of children that have not been reaped."""
        return frozenset(self._pids.values())

    def add(self, worker: WorkerId, pid: int) -> int | None:
        """Note a new child, and give it a process group of its own.

        Return a descriptor that becomes readable when the child is dead; None where there is no such thing.
        """
        with suppress(OSError):  # the child does it too: whichever comes first
            os.setpgid(pid, pid)
        fd = open_pidfd(pid)
        self._pids[worker] = pid
        self._fds[worker] = fd
        return fd

    def reap(self) -> Iterator[Dead]:
        """Every child that has died; the caller owns its descriptor."""
        for worker, pid in list(self._pids.items()):
            peak: int | None = None
            try:
                done, status, usage = wait4(pid, os.WNOHANG)
                peak = usage.ru_maxrss * RSS_UNIT
            except ChildProcessError:  # something waited for all children; how it died is lost
                done, status = pid, 0
            if done:
                del self._pids[worker]
                yield Dead(worker, status, peak, self._fds.pop(worker))

    def signal(self, worker: WorkerId, signum: int, *, group: bool = False) -> None:
        """Send a signal to a worker, or to its process group; do nothing if it is dead."""
        pid = self._pids.get(worker)
        if pid is not None and group:
            signal_group(pid, signum)
        elif pid is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signum)

    def signal_all(self, signum: int) -> None:
        """Send a signal to the process group of every worker."""
        for pid in self._pids.values():
            signal_group(pid, signum)

    def kill_all(self) -> None:
        """End every worker and its process group: first with SIGTERM, then with SIGKILL."""
        groups = {group for group in map(_group_of, self._pids.values()) if group is not None}
        for signum in (signal.SIGCONT, signal.SIGTERM):  # a stopped process cannot end
            for group in groups:
                _is_group(group, signum)
        deadline = monotonic() + _GRACE
        while groups and monotonic() < deadline:
            self._reap_and_close()
            groups = {group for group in groups if _is_group(group)}
            if groups:
                pause(0.005)
        for group in groups:
            _is_group(group, signal.SIGKILL)
        for pid in self._pids.values():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        while self._pids:
            self._reap_and_close()
            if self._pids:
                pause(0.005)

    def end_leftovers(self, spare: Iterable[int] = ()) -> None:
        """End the processes that workers have left behind, if the kernel lets this process see them.

        :param spare: pids of processes that were there before any worker.
        """
        deadline = monotonic() + _GRACE
        signum = signal.SIGTERM
        while not is_childless():
            known = {*spare, *self._pids.values()}
            found = [p for p in descendants(os.getpid()).values() if p.pid not in known]
            left = [p.pid for p in found if not p.ended]
            # The list is not taken at one moment: it misses children of one that ends meanwhile, which are
            # now ours.
            ended = [p.pid for p in found if p.ended and p.parent == os.getpid()]
            if not left and not ended:
                return
            for pid in ended:
                reap(pid)
            if monotonic() > deadline:
                signum = signal.SIGKILL
            if monotonic() > deadline + _GRACE:  # the kernel does not let go of them
                return
            for pid in left:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signum)
            pause(0.005)

    def _reap_and_close(self) -> None:
        for dead in self.reap():
            if dead.fd is not None:
                close(dead.fd)

    def forget(self) -> None:
        """In a forked child: forget the parent's children, which are not its own."""
        for fd in self._fds.values():
            if fd is not None:
                close(fd)
        self._pids.clear()
        self._fds.clear()


def signal_group(pid: int, signum: int) -> None:
    """Send a signal to the process group of a process; only to the process if it is in our group.

    A worker may have changed its group since it was forked (`os.setsid` in a test).
    """
    group = _group_of(pid)
    with suppress(ProcessLookupError, PermissionError):
        if group is None:
            os.kill(pid, signum)
        else:
            os.killpg(group, signum)


def kill_with_descendants(pid: int) -> None:
    """Kill a process and its descendants if this process can see them; it spares itself.

    They are stopped first, so that none forks while others are killed.
    """
    me = os.getpid()
    stopped: list[int] = []
    found = [pid]
    while found:
        for one in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(one, signal.SIGSTOP)
        stopped += found
        below = descendants(pid).values()
        found = [process.pid for process in below if not process.ended and process.pid not in (me, *stopped)]
    for one in reversed(stopped):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(one, signal.SIGKILL)


def _group_of(pid: int) -> int | None:
    """The process group of a process; None if it is ours, or the process is gone."""
    with suppress(ProcessLookupError):
        group = os.getpgid(pid)
        return None if group == os.getpgrp() else group
    return None


def _is_group(group: int, signum: int = 0) -> bool:
    """Send a signal to a process group; return whether there is such a group."""
    try:
        os.killpg(group, signum)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
