"""Files that are open when a process is forked: the forked process reads on from a position of its own.

A fork copies descriptors, and a copy shares its position with the original: two workers that read from one
`zipfile.ZipFile` would each get what the other has left. So `note` is called before a fork, and `renew` right
after it in the forked process, where each such file is opened again. This works only with ``/proc`` (Linux):
elsewhere ``/dev/fd`` gives copies that share their position, too.

Files stay shared where a position of one's own would do harm:

- a file that is only written, since one process would overwrite what another has written;
- a file without a name that is written, since its content belongs to those who share it;
- a locked file, since the lock may belong to what is shared;
- files that were open before pytest loaded anything of the suite: the standard streams, files of a launcher.
"""

from __future__ import annotations

import fcntl
import io
import os
import stat
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from operator import methodcaller
from typing import Final, NamedTuple

from pytest_procpar.system import frozen_heap, genuine

__all__ = ["WRITERS", "WrittenFiles", "begin", "note", "renew", "settle", "written_files"]

#: The flags that describe how a file is open, without those that only matter when it is opened (open(2),
#: fcntl(2)).
_KEPT_FLAGS: Final = (
    os.O_ACCMODE | os.O_APPEND | os.O_NONBLOCK | os.O_SYNC | os.O_DSYNC
    | getattr(os, "O_DIRECT", 0) | getattr(os, "O_NOATIME", 0)
)  # fmt: skip
_ACCESS: Final = os.O_ACCMODE
_READ, _READ_AND_WRITE, _PATH_ONLY = os.O_RDONLY, os.O_RDWR, getattr(os, "O_PATH", 0)
_ANEW: Final = os.O_CLOEXEC | os.O_NOCTTY
_FROM_START, _FROM_HERE = os.SEEK_SET, os.SEEK_CUR


class _File(NamedTuple):
    """An open file: the descriptors that share its position, which file it is, and how it was opened."""

    fds: tuple[int, ...]
    identity: tuple[int, int]
    flags: int


#: Python's file objects that buffer what was written.
WRITERS: Final = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)


class WrittenFiles(NamedTuple):
    """The descriptors of the suite's files that are open for writing: all, and those opened here."""

    every: frozenset[int]
    own: frozenset[int]


#: The files that were open at `begin`; and those found by the latest `note`, in this process or in the one
#: that it was forked from.
_before: frozenset[tuple[int, int]] = frozenset()
_noted: tuple[_File, ...] = ()
#: The files that were written at the latest `note`, and those of them that this process has inherited.
_written: frozenset[tuple[int, int]] = frozenset()
_inherited: frozenset[tuple[int, int]] = frozenset()


def _bind_find(
    listdir: Callable[[str], list[str]] = os.listdir,
    fstat: Callable[[int], os.stat_result] = os.fstat,
    control: Callable[..., int] = fcntl.fcntl,
    get_flags: int = fcntl.F_GETFL,
    is_regular: Callable[[int], bool] = stat.S_ISREG,
) -> Callable[[], Iterator[tuple[_File, bool]]]:
    def find() -> Iterator[tuple[_File, bool]]:
        try:
            fds = sorted(map(int, listdir("/proc/self/fd")))
        except OSError:  # there is no /proc
            return
        for fd in fds:
            with suppress(OSError):  # the descriptor that was opened for the list is closed
                status = fstat(fd)
                if is_regular(status.st_mode):
                    yield (
                        _File((fd,), (status.st_dev, status.st_ino), control(fd, get_flags)),
                        status.st_nlink > 0,
                    )

    return find


#: The open regular files, and whether each has a name.
_find = _bind_find()


def begin() -> None:
    """Note the files that are open now: they are not the suite's."""
    global _before
    _before = frozenset(file.identity for file, _ in _find())


def note() -> None:
    """Note which files are open, and flush what is buffered for them: a fork is about to follow.

    Nothing else that shares their positions may run in the meantime. If no such file is open, this takes 30
    µs.
    """
    global _noted, _written
    read, written = [], []
    for file in _files():
        access = file.flags & _ACCESS
        if access != _READ:
            written.append(file)
        if access in (_READ, _READ_AND_WRITE):
            read.append(file)
    if written:
        _flush({fd for file in written for fd in file.fds})
    _written = frozenset(file.identity for file in written)
    locked = _locked_inodes() if read else ()
    _noted = tuple(_group(file for file in read if file.identity[1] not in locked))


def _files() -> Iterator[_File]:
    """The suite's open files, without those that are written and have no name."""
    for file, has_name in _find():
        is_written = file.flags & _ACCESS != _READ
        if file.identity not in _before and not file.flags & _PATH_ONLY and (has_name or not is_written):
            yield file


def written_files() -> WrittenFiles:
    """The descriptors that are open now."""
    files = [file for file in _files() if file.flags & _ACCESS != _READ]
    own = (file for file in files if file.identity not in _inherited)
    return WrittenFiles(
        frozenset(fd for file in files for fd in file.fds), frozenset(fd for file in own for fd in file.fds)
    )


def _group(files: Iterable[_File]) -> Iterator[_File]:
    """The files, with descriptors that are copies of each other put together."""
    alike: dict[tuple[tuple[int, int], int], list[int]] = {}
    for file in files:
        alike.setdefault((file.identity, file.flags), []).extend(file.fds)
    for (identity, flags), fds in alike.items():
        with suppress(OSError):  # a file that cannot seek has no position
            for copies in _copies(fds) if len(fds) > 1 else (fds,):
                yield _File(tuple(copies), identity, flags)


def _bind_copies(seek: Callable[[int, int, int], int] = os.lseek) -> Callable[[list[int]], list[list[int]]]:
    def copies(fds: list[int]) -> list[list[int]]:
        """Group descriptors of one file: those that move together belong together."""
        before = [seek(fd, 0, _FROM_HERE) for fd in fds]
        try:
            for mark, fd in enumerate(fds):
                seek(fd, mark, _FROM_START)
            found: dict[int, list[int]] = {}
            for fd in fds:
                found.setdefault(seek(fd, 0, _FROM_HERE), []).append(fd)
        finally:
            for fd, position in zip(fds, before, strict=True):
                seek(fd, position, _FROM_START)
        return list(found.values())

    return copies


_copies = _bind_copies()


def _bind_locked(
    open_file: Callable[..., int] = os.open,
    read: Callable[[int, int], bytes] = genuine.read,
    close: Callable[[int], None] = genuine.close,
) -> Callable[[], Collection[int]]:
    def locked() -> Collection[int]:
        data = b""
        try:
            fd = open_file("/proc/locks", _READ | _ANEW)
        except OSError:
            return ()
        try:
            while part := read(fd, 1 << 16):
                data += part
        except OSError:
            return ()
        finally:
            close(fd)
        # 1: POSIX  ADVISORY  WRITE 3568 fd:00:2531452 0 EOF
        fields = (word for line in data.split(b"\n") for word in line.split() if word.count(b":") == 2)
        return {int(word.rpartition(b":")[2]) for word in fields}

    return locked


#: The inodes of all locked files (/proc/locks names devices differently from stat(2)).
_locked_inodes = _bind_locked()


def _flush(fds: Collection[int]) -> None:
    """Flush what Python's file objects hold for these descriptors: after a fork each process would write it.

    It looks at every object: 30 ms for a million.
    """
    settle((thing for thing in frozen_heap.every_object() if issubclass(type(thing), WRITERS)), fds, "flush")


def settle(files: Iterable[object], fds: Collection[int], how: str) -> None:
    """Call the method ``how`` of each of these files that has one of these descriptors."""
    descriptor = methodcaller("fileno")
    call = methodcaller(how, *((None, None, None) if how == "__exit__" else ()))
    for file in files:
        with suppress(Exception):  # it is closed, is no file after all, or its disk is full
            if descriptor(file) in fds:
                call(file)


def _bind_renew(
    open_file: Callable[..., int] = os.open,
    close: Callable[[int], None] = genuine.close,
    fstat: Callable[[int], os.stat_result] = os.fstat,
    seek: Callable[[int, int, int], int] = os.lseek,
    copy: Callable[..., int] = os.dup2,
    is_inheritable: Callable[[int], bool] = os.get_inheritable,
) -> Callable[[_File], None]:
    def is_open(fd: int, identity: tuple[int, int]) -> bool:
        try:
            status = fstat(fd)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == identity

    def renew_one(file: _File) -> None:
        fds = [fd for fd in file.fds if is_open(fd, file.identity)]
        if not fds:
            return
        own = open_file(f"/proc/self/fd/{fds[0]}", file.flags & _KEPT_FLAGS | _ANEW)
        try:
            seek(own, seek(fds[0], 0, _FROM_HERE), _FROM_START)
            for fd in fds:
                copy(own, fd, is_inheritable(fd))
        finally:
            close(own)

    return renew_one


_renew = _bind_renew()


def renew() -> None:
    """In a process that was just forked: give each noted file a position of its own.

    A file that may not be opened again (this process has given up its rights, or the file system has become
    read-only) stays shared.
    """
    global _inherited
    _inherited = _written
    for file in _noted:
        with suppress(OSError):
            _renew(file)
