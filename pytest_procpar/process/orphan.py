"""The end of a process whose controller goes away while it is busy with code that is not ours.

Otherwise it would go on, for good if that code hangs: nobody else can know of it.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["interrupted_without_peer"]


@contextmanager
def interrupted_without_peer(fd: int) -> Iterator[None]:
    """Meanwhile, raise a KeyboardInterrupt in the main thread as soon as the peer of socket `fd` is gone.

    The kernel says so by SIGIO, which code that wants it for something else takes away from us.
    """
    poll = select.poll()
    poll.register(fd, 0)

    def look(signum: int, frame: FrameType | None) -> None:
        if any(event & select.POLLHUP for _, event in poll.poll(0)):
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
