"""Reads and writes files so that no other user, and no process with the same pid, can interfere.

A file gets its name when it is complete. Until then it has a name that was free and that nobody can guess.
What already has the final name is replaced, and neither followed nor written into, unless it is a pipe or a
device. Nothing here waits forever.
"""

from __future__ import annotations

import errno
import os
import select
import stat
import sys
from contextlib import suppress
from pathlib import Path

__all__ = ["probe", "read", "replace", "write"]

#: How long a pipe may stay full, or empty, in seconds.
_PATIENCE = 30.0
_CHUNK = 1 << 20
_TRIES = 100
_MOST_LINKS = 40

_NEW = (
    os.O_WRONLY | os.O_CREAT | os.O_EXCL
    | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
)  # fmt: skip
#: Opens a pipe without waiting for its other end, and a terminal without making it the controlling one.
_PATIENT = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_CLOEXEC", 0)

# Bound here, since tests replace the originals.
_random, _open, _write, _close = os.urandom, os.open, os.write, os.close


def replace(path: Path, data: bytes) -> None:
    """Replace the file `path` by one with this content, or leave it as it is; a link is not followed.

    :raises OSError: if not everything can be written. Then nothing of it is left.
    """
    part, fd = _new_beside(path)
    try:
        try:
            _pour(fd, data)
        finally:
            _close(fd)  # a full disk may show only here
        os.replace(part, path)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise


def _new_beside(path: Path) -> tuple[Path, int]:
    """Make a file in the same folder. Its name has no pid in it, since containers may share the folder."""
    for _ in range(_TRIES):
        part = path.with_name(f".procpar-{_random(8).hex()}.tmp")
        with suppress(FileExistsError):
            return part, _open(part, _NEW, 0o666)
    raise FileExistsError(errno.EEXIST, "no free name for a new file", str(path.parent))


def write(path: Path, data: bytes) -> None:
    """Write `data` as the content of a file. Links are followed; a pipe or a device is written into.

    Missing folders are made. A path that leads to this process's standard output or standard error means that
    stream.

    :raises OSError: if not everything can be written. A regular file then stays as it was.
    """
    stream = _standard_stream(path)
    if stream is not None:
        with suppress(OSError, ValueError, AttributeError):
            (sys.stdout if stream == 1 else sys.stderr).flush()
        _pour(stream, data)
        return
    target = _target_of(path)
    if target.is_file() or not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        replace(target, data)
        return
    try:
        fd = _open(target, os.O_WRONLY | _PATIENT)
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise OSError(errno.ENXIO, "nobody reads this pipe") from None
        raise
    try:
        _pour(fd, data)
    finally:
        _close(fd)


def probe(path: Path) -> None:
    """Check that `write` could write to `path`. Makes missing folders, and leaves no file.

    :raises OSError: if it could not.
    """
    if path.is_dir():
        raise OSError("it is a folder")
    if _standard_stream(path) is not None:
        return
    target = _target_of(path)
    if target.exists() and not os.access(target, os.W_OK):
        raise OSError("it is not writable")
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_file() or not target.exists():
        part, fd = _new_beside(target)
        _close(fd)
        part.unlink()


def _target_of(path: Path) -> Path:
    """The path of a file that is to be written, with links resolved.

    :raises OSError: for a link, pipe or device that another user has put into a folder open to all, such as
        ``/tmp``. These are the rules of Linux's ``protected_symlinks`` and ``protected_fifos``, which do not
        apply if we resolve the link ourselves.
    """
    for _ in range(_MOST_LINKS):
        try:
            found = os.lstat(path)
        except OSError:  # it does not exist yet, or its folder does not
            return Path(os.path.realpath(path))
        if not stat.S_ISREG(found.st_mode) and not _is_trusted(found, path.parent):
            what = "link" if stat.S_ISLNK(found.st_mode) else "file"
            raise PermissionError(errno.EACCES, f"another user has put a {what} there", str(path))
        if not stat.S_ISLNK(found.st_mode):
            return Path(os.path.realpath(path))
        path = path.parent / os.readlink(path)
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))


def _is_trusted(found: os.stat_result, folder: Path) -> bool:
    """Whether it belongs to this user or to the folder's owner, or the folder is not open to all users."""
    if not hasattr(os, "geteuid"):
        return True
    around = os.stat(folder)
    for_all = stat.S_ISVTX | stat.S_IWOTH
    return around.st_mode & for_all != for_all or found.st_uid in (os.geteuid(), around.st_uid)


def _standard_stream(path: Path) -> int | None:
    """The standard stream, as a descriptor, that a path such as ``/dev/stdout`` or a log leads to, or None.

    Replacing the log would lose its content, and a second descriptor would overwrite what is written later.
    """
    with suppress(OSError, ValueError):
        there = os.stat(path)
        for stream in (1, 2):
            with suppress(OSError):
                if os.path.samestat(there, os.fstat(stream)):
                    return stream
    return None


def _pour(fd: int, data: bytes) -> None:
    """Write all of `data`."""
    left = memoryview(data)
    while left:
        with suppress(BlockingIOError):
            left = left[_write(fd, left[:_CHUNK]) :]
            continue
        if not _ready(fd, select.POLLOUT):
            raise TimeoutError(errno.ETIMEDOUT, "its reader does not read")


def read(path: Path, limit: int) -> bytes:
    """The content of a regular file or of a pipe.

    :param limit: the most bytes that it may have.
    :raises OSError: if it cannot be read, is of another kind, or has more bytes; and for a pipe to which
        nothing writes.
    """
    fd = _open(path, os.O_RDONLY | _PATIENT | getattr(os, "O_BINARY", 0))
    try:
        found = os.fstat(fd)
        kind = stat.S_IFMT(found.st_mode)
        if kind not in (stat.S_IFREG, stat.S_IFIFO, stat.S_IFDIR):
            raise OSError(errno.EINVAL, "it is a device")
        if kind == stat.S_IFREG and found.st_size > limit:
            raise OSError(errno.EFBIG, _too_large(limit))
        return _read_all(fd, limit, kind)
    finally:
        _close(fd)


def _read_all(fd: int, limit: int, kind: int) -> bytes:
    data = bytearray()
    while True:
        # Before the first writer opens the pipe, a read from it says "end of file".
        if kind == stat.S_IFIFO and not _ready(fd, select.POLLIN):
            raise TimeoutError(errno.ETIMEDOUT, "nobody writes to this pipe")
        part = os.read(fd, _CHUNK)
        if not part:
            return bytes(data)
        data += part
        if len(data) > limit:
            raise OSError(errno.EFBIG, _too_large(limit))


def _too_large(limit: int) -> str:
    return f"it is larger than {limit >> 20} MiB" if limit >> 20 else f"it is larger than {limit} bytes"


def _ready(fd: int, event: int) -> bool:
    """Whether a pipe can be written to or read from within `_PATIENCE`; an end of file counts."""
    poll = select.poll()
    poll.register(fd, event)
    return bool(poll.poll(_PATIENCE * 1000))
