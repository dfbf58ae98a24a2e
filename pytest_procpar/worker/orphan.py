"""The end of a process whose controller goes away while it is busy with code that is not ours.

Without this it would run on, forever if that code hangs, since no other process knows about it. It is
interrupted and has a few seconds to end; after that, another process kills it (`end_orphan`).
"""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from pytest_procpar.forking.children import kill_with_descendants
from pytest_procpar.forking.fork import fork
from pytest_procpar.system.calls import end_process, monotonic, pause
from pytest_procpar.system.descendants import bind_death, open_pidfd
from pytest_procpar.system.genuine import HANGUP, READ, close, make_poll

__all__ = ["end_orphan", "ending_with", "interrupted_without_peer", "is_orphaned"]

#: How long a process may take to end when its controller is gone, in seconds.
GRACE = 3.0

#: How often to check that a process is gone where the kernel cannot tell (no pidfd), in seconds.
_LOOK_SECONDS = 0.05


@contextmanager
def interrupted_without_peer(fd: int) -> Iterator[None]:
    """Raise a KeyboardInterrupt in the main thread if the other end of `fd` goes away during the block.

    :param fd: a socket, or the reading end of a pipe.

    The kernel announces it with SIGIO; code that uses this signal for something else takes it away from us.
    """
    poll = make_poll()
    poll.register(fd, 0)

    def look(signum: int, frame: FrameType | None) -> None:
        if any(event & HANGUP for _, event in poll.poll(0)):
            raise KeyboardInterrupt

    previous = signal.signal(signal.SIGIO, look)
    fcntl.fcntl(fd, fcntl.F_SETOWN, os.getpid())
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    fcntl.fcntl(fd, fcntl.F_SETFL, flags | os.O_ASYNC)
    try:
        look(signal.SIGIO, None)  # it may have gone before
        yield
    finally:
        fcntl.fcntl(fd, fcntl.F_SETFL, flags)
        signal.signal(signal.SIGIO, previous)


def end_orphan(pid: int, seconds: float = GRACE) -> None:
    """Give a process that others reap `seconds` to end; then kill it and its descendants except this one."""
    if not _has_ended(pid, seconds):
        kill_with_descendants(pid)


def _has_ended(pid: int, seconds: float) -> bool:
    """Whether a process ends within `seconds`."""
    fd = open_pidfd(pid)
    if fd is not None:
        poll = make_poll()
        poll.register(fd, READ)
        has_ended = bool(poll.poll(seconds * 1000))
        close(fd)
        return has_ended
    deadline = monotonic() + seconds
    while _is_there(pid):
        if monotonic() >= deadline:
            return False
        pause(_LOOK_SECONDS)
    return True


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def is_orphaned(parent: int, seconds: float = 1.0) -> bool:
    """Whether the parent of this process, with the pid `parent`, is gone or goes within `seconds`.

    A process that ends closes its descriptors first: a process that sees them closed may still have a parent.
    """
    deadline = monotonic() + seconds
    while os.getppid() == parent:
        if monotonic() >= deadline:
            return False
        pause(0.001)
    return True


def ending_with(parent: int, *, dismissed: bool) -> None:
    """Make sure that this process, on which nothing depends any more, does not outlive its parent for long.

    :param dismissed: whether the parent has told it to quit. Then the kernel kills it with the parent;
        otherwise, if the parent is gone, it has `GRACE` seconds.
    """
    if dismissed or not is_orphaned(parent):
        bind_death()(parent)
        return
    me = os.getpid()
    if fork() == 0:
        try:
            end_orphan(me)
        finally:
            end_process(0)
