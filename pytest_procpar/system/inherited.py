"""Waits for children that a process did not start: their own parents have ended (see `set_subreaper`).

The first process of the machine, which would inherit them otherwise, waits for them as soon as they end. A
test may rely on that: it kills a daemon, and goes on when the process no longer exists.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Container
from contextlib import suppress
from types import TracebackType

from pytest_procpar.system.calls import getpid, out_of_reach
from pytest_procpar.system.descendants import descendants, reap
from pytest_procpar.system.genuine import close, get_handler, read, set_handler, waitid

__all__ = ["Woken", "reap_inherited"]

#: How often to look for them if no signal can tell, in seconds.
_LOOK_SECONDS = 0.1


def reap_inherited(own: Container[int]) -> None:
    """Wait for every child that has ended and was not started here.

    :param own: children that were started here. So were those in this process's process group.
    """
    if waitid is None:  # such a system does not let processes inherit children, either
        return
    group = os.getpgrp()

    def is_own(pid: int) -> bool:
        return pid in own or os.getpgid(pid) == group

    with suppress(ChildProcessError, ProcessLookupError):
        while (ended := waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
            if is_own(ended.si_pid):  # the kernel would report this one again and again
                break
            reap(ended.si_pid)
        else:
            return
        me = getpid()
        for process in descendants(me).values():
            if process.ended and process.parent == me and not is_own(process.pid):
                reap(process.pid)


class Woken:
    """Inside the context, `fd` is readable when a child has ended; it is None if nothing can tell.

    A child that is forked inside the context has to leave it, too.
    """

    def __init__(self) -> None:
        self.fd: int | None = None
        self._wake = -1
        self._previous: object = None

    @property
    def look_seconds(self) -> float | None:
        """After how many seconds to look, even if `fd` has not become readable; None: never."""
        return _LOOK_SECONDS if self.fd is None and waitid is not None else None

    def drain(self) -> None:
        """Make `fd` unreadable until the next child ends."""
        if self.fd is not None:
            with suppress(BlockingIOError):
                while read(self.fd, 1 << 10):
                    pass

    def __enter__(self) -> Woken:
        # A handler that C code has installed could not be put back, so ours is not installed then.
        if waitid is None or get_handler(signal.SIGCHLD) is None:
            return self
        with suppress(OSError):
            self.fd, self._wake = map(out_of_reach, os.pipe())
            for fd in (self.fd, self._wake):
                os.set_blocking(fd, False)
            self._previous = set_handler(signal.SIGCHLD, lambda *_: None)
            signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.fd is not None:
            signal.set_wakeup_fd(-1)
            set_handler(signal.SIGCHLD, self._previous)
            for fd in (self.fd, self._wake):
                close(fd)
            self.fd = None
