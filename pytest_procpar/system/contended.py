"""Finds the open file that other processes have locked: messages often do not name what was not available.

Files are only looked at: opening and closing one again would end this process's own locks on it (POSIX). The
module is imported when a test has failed, so the test's mocks may be in place: they leave `posix` alone.
"""

from __future__ import annotations

import posix
import stat
from collections.abc import Iterable
from contextlib import suppress

from pytest_procpar.core.inquiry.contention import is_contended

__all__ = ["contended_file", "locked_by_others"]

_MAGIC = b"SQLite format 3\0"
_CHUNK = 1 << 16


def contended_file(message: str) -> str:
    """The path of the file that a message about an unavailable resource means.

    It is the one file that is open here and locked by others, or else the one open database. Empty if there
    is none, or more than one: a guess would be worth nothing.
    """
    if not is_contended(message):
        return ""
    others = _locked()
    locked, databases = set(), set()
    for fd in _descriptors():
        with suppress(OSError):
            status = posix.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                continue
            path = posix.readlink(f"/proc/self/fd/{fd}")
            if status.st_ino in others:
                locked.add(path)
            if "/.coverage" not in path and _is_database(fd):
                databases.add(path)
    found = locked or databases
    return found.pop() if len(found) == 1 else ""


def locked_by_others(lines: Iterable[str], pid: int) -> set[int]:
    """The inodes of files that other processes have locked, according to lines of /proc/locks."""
    found = set()
    for line in lines:
        fields = line.split()
        if len(fields) > 5 and fields[1] != "->" and fields[4] != str(pid):
            with suppress(ValueError):
                found.add(int(fields[5].rpartition(":")[2]))
    return found


def _locked() -> set[int]:
    content = b""
    with suppress(OSError):  # other systems do not have it
        fd = posix.open("/proc/locks", posix.O_RDONLY | posix.O_CLOEXEC)
        try:
            while chunk := posix.read(fd, _CHUNK):
                content += chunk
        finally:
            posix.close(fd)
    return locked_by_others(content.decode("ascii", "replace").splitlines(), posix.getpid())


def _descriptors() -> list[int]:
    with suppress(OSError):
        return [int(name) for name in posix.listdir("/proc/self/fd")]
    return []


def _is_database(fd: int) -> bool:
    with suppress(OSError):  # it may be open for writing only
        return posix.pread(fd, len(_MAGIC), 0) == _MAGIC
    return False
