"""A lock on a folder, so that of two runs that change a file in it neither loses what the other one adds.

The folder itself is locked: no file remains of it. Where folders cannot be locked (Windows, some network
drives) there is no lock. A file is still replaced in one step then, but of two runs that end at the same
moment only one may be recorded.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["locked"]

#: How long to wait for another run that writes, in seconds. Writing takes milliseconds.
_PATIENCE = 10.0
_POLL_SECONDS = 0.01


def _bind(clock: Callable[[], float], sleep: Callable[[float], None]) -> Callable[[], float]:
    """A function that waits a moment and returns the time; tests cannot patch it."""

    def wait() -> float:
        sleep(_POLL_SECONDS)
        return clock()

    return wait


_wait = _bind(time.monotonic, time.sleep)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, if it can be locked.

    :raises TimeoutError: if another process holds it for so long that it hardly writes.
    :raises OSError: if the folder is not there.
    """
    if fcntl is None:
        yield  # type: ignore[unreachable]
        return
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _lock(fd)
        yield
    finally:
        os.close(fd)  # which gives the lock back


def _lock(fd: int) -> None:
    deadline: float | None = None
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES, errno.EINTR):
                return  # this folder cannot be locked
        now = _wait()
        deadline = deadline or now + _PATIENCE
        if now > deadline:
            raise TimeoutError(errno.ETIMEDOUT, "another process holds its lock")
