"""What a worker leaves behind when it dies: stacks, captured output, its last words.

The files are the controller's, so they outlive the worker. For the worker they are descriptors, to which it
writes through faulthandler and pytest's capture.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress

from pytest_procpar.core.protocol.worker_status import Death, WorkerStatus
from pytest_procpar.system.calls import out_of_reach
from pytest_procpar.system.genuine import close, read, write

__all__ = ["BlackBox", "in_memory"]

#: How many bytes of captured output are read, and how many of standard error are kept.
_CAPTURED = 1 << 20
_LAST_WORDS = 4096
_CHUNK = 1 << 16


class BlackBox:
    """The controller's side: the files of one worker, and the reading end of its standard error.

    ``theirs`` are the descriptors that go to the worker: for stacks, standard error, captured output and
    captured errors. `sent` closes the one that only the worker needs.
    """

    def __init__(self) -> None:
        opened: list[int] = []
        try:
            opened.extend(out_of_reach(make()) for make in (in_memory, _on_disk, _on_disk))
            ours, theirs = os.pipe()
        except OSError:
            for fd in opened:
                close(fd)
            raise
        self._stacks, self._out, self._err = opened
        ours = out_of_reach(ours)
        self._stderr: int | None = ours
        os.set_blocking(ours, False)
        self.theirs = [self._stacks, theirs, self._out, self._err]
        self._last_words = b""
        #: How many bytes of the stacks have been read by earlier calls.
        self._seen = 0

    def fileno(self) -> int:
        """The descriptor to wait on for the worker's standard error; -1 once that is closed."""
        return -1 if self._stderr is None else self._stderr

    def sent(self) -> None:
        """Close the worker's own descriptor, after all of them have been sent to the worker."""
        close(self.theirs[1])

    def relay(self, target: int = 2) -> bool:
        """Pass on to `target` what has come on the worker's standard error; return False at its end."""
        while self._stderr is not None:
            try:
                data = read(self._stderr, _CHUNK)
            except BlockingIOError:
                return True
            if not data:
                return False
            self._last_words = (self._last_words + data)[-_LAST_WORDS:]
            _write_all(target, data)
            if len(data) < _CHUNK:
                return True
        return False

    def stacks(self) -> str:
        """Return the stacks that were written since the last call."""
        data = _read(self._stacks, self._seen)
        self._seen += len(data)
        return data.decode(errors="replace")

    def death(
        self, cause: str, worker_status: WorkerStatus, peak_memory: int | None, out_of_memory: str
    ) -> Death:
        """All that is known about a worker that is gone."""
        self.relay()
        return Death(
            cause=cause,
            worker_status=worker_status,
            stacks=self.stacks().strip("\n"),
            out=_read(self._out).decode(errors="replace"),
            err=_read(self._err).decode(errors="replace"),
            stderr=self._last_words.decode(errors="replace"),
            peak_memory=peak_memory,
            out_of_memory=out_of_memory,
        )

    def clear(self) -> None:
        """Forget what one process left, since the next one writes to the same files."""
        self._last_words = b""
        self.stacks()
        for fd in (self._out, self._err):
            os.ftruncate(fd, 0)

    def close(self) -> None:
        """Close everything."""
        for fd in (self._stacks, self._out, self._err, self._stderr):
            if fd is not None:
                close(fd)
        self._stderr = None


def in_memory() -> int:
    """Make a file without a name, in memory if the system can do that."""
    with suppress(OSError):  # not known to the kernel, or not allowed in a container
        return _memfd()
    return _without_a_name()


def _on_disk() -> int:
    """Make a file without a name on disk, since tests may print much; in memory if the disk is full."""
    try:
        return _without_a_name()
    except OSError:
        return _memfd()


def _memfd() -> int:
    create: Callable[[str], int] | None = getattr(os, "memfd_create", None)
    if create is None:
        raise OSError(errno.ENOSYS, "this system has no files in memory")
    return create("procpar")


def _without_a_name() -> int:
    with tempfile.TemporaryFile(buffering=0) as file:
        return os.dup(file.fileno())


def _read(fd: int, start: int = 0) -> bytes:
    size = os.fstat(fd).st_size
    begin = max(start, size - _CAPTURED)
    data = b""
    while len(data) < size - begin:
        part = os.pread(fd, size - begin - len(data), begin + len(data))
        if not part:
            break
        data += part
    return data


def _write_all(fd: int, data: bytes) -> None:
    """Write to a descriptor that may be closed, full or non-blocking. What cannot be written is lost."""
    with suppress(OSError):
        while data:
            data = data[write(fd, data) :]
