"""The operating system's functions, bound where no user's mock can reach them.

Tests patch `os.write`, `time.time` and the like, in the module that defines them and in every module
that imported them (freezegun and pyfakefs walk `sys.modules`). What we need while a test runs is bound
here once, in default arguments and closures, before any test module is imported.
"""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import socket
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

__all__ = [
    "SIGINT_GUARD",
    "describe_status",
    "monotonic",
    "out_of_reach",
    "socket_pair",
    "SigintGuard",
    "getpid",
    "pause",
]


def _bind_monotonic(clock: Callable[[], float] = time.monotonic) -> Callable[[], float]:
    return lambda: clock()


#: Seconds on a clock that does not jump back.
monotonic = _bind_monotonic()


def _bind_getpid(pid: Callable[[], int] = os.getpid) -> Callable[[], int]:
    return lambda: pid()


#: The calling process's id.
getpid = _bind_getpid()


def _bind_pause(sleep: Callable[[float], None] = time.sleep) -> Callable[[float], None]:
    return lambda seconds: sleep(seconds)


#: Wait, in seconds.
pause = _bind_pause()


def out_of_reach(fd: int) -> int:
    """Move a descriptor to where tests do not go, and return its new number; `fd` is closed.

    Programs close descriptors up to a number they chose (`os.closerange(3, 256)`) or up to the soft limit
    (`SC_OPEN_MAX`). A descriptor above the soft limit stays open and usable, so where the hard limit
    allows it ours goes there; otherwise just below the soft limit.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    margin = 4096
    if soft != unlimited and (hard == unlimited or hard >= soft + margin):
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft + margin, hard))
        try:
            moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, soft)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    else:
        lowest = 512 if soft == unlimited else max(3, soft - min(margin, soft // 2))
        moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, lowest)
    os.close(fd)
    return moved


def socket_pair() -> tuple[socket.socket, socket.socket]:
    """Two connected stream sockets, out of reach, closed on exec."""
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    return (
        socket.socket(fileno=out_of_reach(left.detach())),
        socket.socket(fileno=out_of_reach(right.detach())),
    )


class SigintGuard:
    """Puts a KeyboardInterrupt off while a frame is written: half a frame would be the end of a worker.

    Used as a context manager around short calls in the main thread. The handler that was there, a test's
    own perhaps, is put back and called if the signal came meanwhile.
    """

    __slots__ = ("_came", "_getsignal", "_main", "_previous", "_set")

    def __init__(
        self,
        set_handler: Callable[[int, Any], Any] = signal.signal,
        current: Callable[[], threading.Thread] = threading.current_thread,
    ) -> None:
        self._set = set_handler
        self._main = current
        self._previous: Any = None
        self._came = False

    def _note(self, signum: int, frame: FrameType | None) -> None:
        self._came = True

    def __enter__(self) -> None:
        self._came = False
        try:
            self._previous = self._set(signal.SIGINT, self._note)
        except ValueError:  # not in the main thread: the interrupt will not arrive here
            self._previous = None

    def __exit__(self, *_: object) -> None:
        previous, self._previous = self._previous, None
        if previous is None:
            return
        self._set(signal.SIGINT, previous)
        if self._came and callable(previous):
            previous(signal.SIGINT, None)


SIGINT_GUARD = SigintGuard()


def describe_status(status: int) -> str:
    """A wait status in words: ``killed by SIGSEGV``, ``exited with code 3``."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"exited with code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"killed by {name}"
