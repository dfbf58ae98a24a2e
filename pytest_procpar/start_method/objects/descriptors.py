"""Open descriptors that workers must not share: those whose content belongs to one process."""

from __future__ import annotations

import _socket
import fcntl
import gc
import io
import logging
import os
import select
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from pytest_procpar.start_method.objects.databases import database_of

if TYPE_CHECKING:
    from pytest_procpar.start_method.objects.holders import Holder

__all__ = ["Descriptors", "open_files"]

#: Libraries that send datagrams and get no answers.
_ONLY_SEND: Final = frozenset({"statsd", "datadog"})
#: The kernel's names for descriptors without a file that can be shared (for a child process, for a profiler).
_HARMLESS: Final = ("anon_inode:[pidfd]", "anon_inode:[perf_event]", "anon_inode:bpf")


#: The types that have a descriptor of their own.
_WITH_FILENO: Final = (_socket.socket, io.FileIO, getattr(select, "epoll", io.FileIO))
#: The types of objects that hold a database.
_DATABASES: Final = frozenset(
    {
        ("sqlite3", "Connection"),
        ("duckdb", "DuckDBPyConnection"),
        ("_duckdb", "DuckDBPyConnection"),
        ("builtins", "Environment"),
        ("lmdb", "Environment"),
        ("_gdbm", "gdbm"),
        ("_dbm", "dbm"),
    }
)


class _Found(NamedTuple):
    """A descriptor that must not be shared.

    Attributes:
        kind: The word in ``procpar_fork_safe`` that covers all of its kind.
        words: What it is, for the message.
        holds: Whether an object is, or holds, something of this kind. Its descriptor is compared as well.
    """

    kind: str
    words: str
    holds: Callable[[object], bool] = lambda thing: False


class Descriptors:
    """Sockets, pipes, databases and the like that were opened since `begin` (Linux; elsewhere none).

    :param is_vouched: whether a kind is safe, or what a module holds.
    :param adapted: returns the descriptors that are renewed in each worker.
    """

    def __init__(
        self,
        is_vouched: Callable[[str], bool] = lambda name: False,
        adapted: Callable[[], frozenset[int]] = frozenset,
    ) -> None:
        self._is_vouched = is_vouched
        self._adapted = adapted
        self._before: frozenset[str] = frozenset()

    def begin(self) -> None:
        """Note which descriptors there are."""
        self._before = frozenset(_key(fd, target) for fd, target in open_files())

    def findings(self) -> Iterator[str]:
        """Yield a reason for each new one: what it is and what holds it."""
        if not any(self._new()):
            return
        from pytest_procpar.start_method.objects.holders import held_by

        gc.collect()  # some may be garbage
        for fd, found in self._new():
            holder = _holder(fd, found)
            if not self._is_excused(fd, found, holder):
                yield f"{found.words}{held_by(holder) or f' (descriptor {fd})'}"

    def _new(self) -> Iterator[tuple[int, _Found]]:
        excused: frozenset[int] | None = None
        for fd, target in open_files():
            if _key(fd, target) in self._before:
                continue
            found = _classify(fd, target)
            if found is None or self._is_vouched(found.kind):
                continue
            if excused is None:
                excused = self._adapted() | _of_multiprocessing()
            if fd not in excused:
                yield fd, found

    def _is_excused(self, fd: int, found: _Found, holder: Holder | None) -> bool:
        if holder is not None and self._is_vouched(holder.module):
            return True
        return found.kind == "sockets" and _is_only_sent_to(fd, holder)


def open_files() -> Iterator[tuple[int, str]]:
    """This process's descriptors, and what the kernel calls the file behind each (Linux; elsewhere none)."""
    with suppress(OSError):
        for name in os.listdir("/proc/self/fd"):
            with suppress(OSError):
                yield int(name), os.readlink(f"/proc/self/fd/{name}")


def _key(fd: int, target: str) -> str:
    """What identifies an open file. Copies of a descriptor have the same key, unless the file has no name."""
    return f"{fd} {target}" if target.startswith("anon_inode:") else target


# --- what it is -----------------------------------------------------------------------------------


def _classify(fd: int, target: str) -> _Found | None:
    if target.startswith("socket:"):
        return _Found("sockets", f"a socket was opened: {_ends(fd)}")
    if target.startswith("pipe:"):
        return _Found("pipes", "a pipe was opened")
    if target == "/dev/ptmx":
        return _Found("pipes", "a pseudo-terminal was opened")
    if target.startswith("anon_inode:"):
        return _classify_nameless(target)
    return _classify_file(fd, target) if target.startswith("/") else None


def _classify_nameless(target: str) -> _Found | None:
    # gevent makes a new loop in every process that we fork.
    if target.startswith(_HARMLESS) or "gevent" in sys.modules:
        return None
    name = target.removeprefix("anon_inode:").strip("[]")
    if name == "eventpoll":
        return _Found("event-loops", "an event loop's epoll descriptor was opened")
    return _Found("event-loops", f"a descriptor of the kind {name} was opened")


def _classify_file(fd: int, target: str) -> _Found | None:
    """Classify the file at a path. A file in memory is found where it is mapped, if it is."""
    try:
        status = os.fstat(fd)
        flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    except OSError:
        return None
    if stat.S_ISFIFO(status.st_mode):
        return _Found("pipes", f"the fifo {target} was opened")
    if not stat.S_ISREG(status.st_mode) or target.startswith("/memfd:"):
        return None
    library = database_of(fd, target)
    if library is None and not status.st_size and flags & os.O_ACCMODE == os.O_RDWR:
        library = "SQLite" if _has_sqlite(target) else None
    if library is not None:
        return _Found("databases", f"a database is open: {target} ({library})", _is_database)
    if flags & os.O_ACCMODE == os.O_RDWR and not status.st_nlink and not target.startswith("/dev/shm/"):
        return _Found("files", "a temporary file without a name was opened")
    return None


def _has_sqlite(path: str) -> bool:
    """Whether an empty file is a database with a connection that has written nothing yet."""
    sqlite = sys.modules.get("sqlite3")
    if sqlite is None:
        return False
    from pytest_procpar.start_method.objects.holders import find_holder

    def is_connected(thing: object) -> bool:
        if not issubclass(type(thing), sqlite.Connection):
            return False
        rows = sqlite.Cursor(thing).execute("PRAGMA database_list")  # not made by a factory of the project's
        return any(row[2] == path for row in rows)

    return find_holder(is_connected) is not None


def _is_database(thing: object) -> bool:
    kind = type(thing)
    return (kind.__module__.partition(".")[0], kind.__name__) in _DATABASES


def _ends(fd: int) -> str:
    """A socket's ends, as far as can be told."""
    words = f"descriptor {fd}"
    with suppress(OSError), closing(_socket.socket(fileno=os.dup(fd))) as copy:
        words = f"bound to {copy.getsockname()!r}"
        with suppress(OSError):
            words = f"connected to {copy.getpeername()!r}"
    return words


# --- what holds it, and what excuses it -------------------------------------------------------------


def _holder(fd: int, found: _Found) -> Holder | None:
    from pytest_procpar.start_method.objects.holders import find_holder

    def is_it(thing: object) -> bool:
        return found.holds(thing) or _leads_to(thing, fd)

    return find_holder(is_it)


def _leads_to(thing: object, fd: int) -> bool:
    """Whether an object owns a descriptor. Methods of a project's own classes are not called."""
    if issubclass(type(thing), _WITH_FILENO):
        return cast("_socket.socket", thing).fileno() == fd
    # For multiprocessing, which need not be loaded: its connections, and the sentinels of its children.
    return fd in (getattr(thing, name, None) for name in _handles(type(thing)))


def _handles(kind: type) -> tuple[str, ...]:
    match kind.__module__:
        case "multiprocessing.connection" | "billiard.connection":
            return ("_handle",)
        case (
            "multiprocessing.popen_fork"
            | "multiprocessing.popen_forkserver"
            | "multiprocessing.popen_spawn_posix"
        ):
            return ("sentinel",)
        case _:
            return ()


def _of_multiprocessing() -> frozenset[int]:
    """The pipes to multiprocessing's helper processes, which are made to be shared."""
    found = []
    for name, module in list(sys.modules.items()):
        if name.endswith(("multiprocessing.resource_tracker", "loky.backend.resource_tracker")):
            found.append(getattr(getattr(module, "_resource_tracker", None), "_fd", None))
    server = getattr(sys.modules.get("multiprocessing.forkserver"), "_forkserver", None)
    found.append(getattr(server, "_forkserver_alive_fd", None))
    return frozenset(fd for fd in found if isinstance(fd, int))


def _is_only_sent_to(fd: int, holder: Holder | None) -> bool:
    """Whether a socket sends logs or metrics as datagrams: nothing comes back, and each arrives whole."""
    try:
        with closing(_socket.socket(fileno=os.dup(fd))) as copy:
            if copy.type != _socket.SOCK_DGRAM:
                return False
            if copy.family == _socket.AF_UNIX and not copy.getsockname():
                return True
    except OSError:
        return False
    if holder is not None and holder.kind.__module__.partition(".")[0] in _ONLY_SEND:
        return True
    for reference in list(logging._handlerList):  # type: ignore[attr-defined]
        handler = reference()
        if fd in (_fileno(getattr(handler, name, None)) for name in ("sock", "socket")):
            return True
    return False


def _fileno(sock: object) -> int:
    return cast("_socket.socket", sock).fileno() if issubclass(type(sock), _socket.socket) else -1
