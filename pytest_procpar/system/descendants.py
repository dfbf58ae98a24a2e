"""The processes that descend from this one, as the Linux kernel sees them.

Where there is no ``/proc``, none are seen. Functions are bound against mocks as in `system/calls.py`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import ModuleType
from typing import NamedTuple

from pytest_procpar.system import genuine
from pytest_procpar.system.calls import end_process, is_foreign, out_of_reach

__all__ = [
    "Process", "bind_death", "descendants", "is_childless", "line_of", "list_names", "open_pidfd",
    "read_bytes", "reap", "set_subreaper", "wake_with_parent",
]  # fmt: skip

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PR_GET_CHILD_SUBREAPER = 37


class Process(NamedTuple):
    """What is known about a process."""

    pid: int
    #: When it started, in clock ticks since the machine did. Two processes with the same pid differ in it.
    started: int
    parent: int
    group: int
    session: int
    #: Whether it has ended and nothing has waited for it.
    ended: bool
    #: Its command line, or its name if the command line is not available.
    command: str


def _bind_list(listdir: Callable[[str], list[str]] = os.listdir) -> Callable[[str], list[str]]:
    def list_names(folder: str) -> list[str]:
        try:
            return listdir(folder)
        except OSError:
            return []

    return list_names


#: Returns the names in a folder; none if the folder is gone.
list_names = _bind_list()


def _bind_read(
    open_file: Callable[[str, int], int] = os.open,
    read: Callable[[int, int], bytes] = genuine.read,
    close: Callable[[int], None] = genuine.close,
    readable: int = os.O_RDONLY,
) -> Callable[[str], bytes]:
    def read_bytes(path: str) -> bytes:
        data = b""
        try:
            fd = open_file(path, readable)
            try:
                while chunk := read(fd, 4096):
                    data += chunk
            finally:
                close(fd)
        except OSError:
            pass
        return data

    return read_bytes


#: Returns the contents of a file; empty if the file, or the process that it describes, is gone.
read_bytes = _bind_read()


def _bind_childless(waitid: Callable[..., object] | None, system: ModuleType = os) -> Callable[[], bool]:
    how = (system.P_ALL, 0, system.WEXITED | system.WNOHANG | system.WNOWAIT) if waitid is not None else ()

    def is_childless() -> bool:
        if waitid is None:
            return False
        try:
            waitid(*how)
        except ChildProcessError:
            return True
        except OSError:
            pass
        return False

    return is_childless


#: Whether this process certainly has no child, ended or not.
is_childless = _bind_childless(genuine.waitid)


def _bind_reap(
    waitpid: Callable[[int, int], object] = genuine.waitpid, how: int = os.WNOHANG
) -> Callable[[int], None]:
    def reap(pid: int) -> None:
        try:
            waitpid(pid, how)
        except OSError:
            pass

    return reap


#: Waits for a child that has ended.
reap = _bind_reap()


def _bind_pidfd(pidfd_open: Callable[[int], int] | None) -> Callable[[int], int | None]:
    def open_pidfd(pid: int) -> int | None:
        if pidfd_open is None:
            return None
        try:
            return out_of_reach(pidfd_open(pid))
        except OSError:
            return None

    return open_pidfd


#: Returns a descriptor, out of reach, that becomes readable when a process ends; None if the kernel has none.
open_pidfd = _bind_pidfd(getattr(os, "pidfd_open", None))


def _read_process(proc: str, pid: str | int, *, command: bool = True) -> Process | None:
    before, _, after = read_bytes(f"{proc}/{pid}/stat").rpartition(b")")
    fields = after.split()
    if len(fields) < 20:
        return None
    line = b""
    if command:
        line = read_bytes(f"{proc}/{pid}/cmdline").replace(b"\0", b" ").strip() or before.partition(b"(")[2]
    return Process(
        pid=int(pid),
        started=int(fields[19]),
        parent=int(fields[1]),
        group=int(fields[2]),
        session=int(fields[3]),
        ended=fields[0] in (b"Z", b"X"),
        command=" ".join(line.decode(errors="replace").split()),
    )


def descendants(ancestor: int, proc: str = "/proc") -> dict[int, Process]:
    """The processes below `ancestor`, by pid, including those that have ended and have not been waited for.

    Processes whose parents have ended are included only if an ancestor here is a subreaper. None are seen
    where ``/proc`` belongs to another process namespace.
    """
    if is_foreign(proc):
        return {}
    tasks = list_names(f"{proc}/{ancestor}/task")
    listed = any("children" in list_names(f"{proc}/{ancestor}/task/{task}") for task in tasks)
    pids = _listed_below(ancestor, proc) if listed else _found_below(ancestor, proc)
    found = (_read_process(proc, pid) for pid in pids)
    return {process.pid: process for process in found if process is not None}


def _listed_below(ancestor: int, proc: str) -> list[int]:
    """Find the descendants from the lists of children that most kernels keep for every thread."""
    found: list[int] = []
    todo = [ancestor]
    while todo:
        pid = todo.pop()
        for task in list_names(f"{proc}/{pid}/task"):
            todo += map(int, read_bytes(f"{proc}/{pid}/task/{task}/children").split())
        found.append(pid)
    return found[1:]


def _found_below(ancestor: int, proc: str) -> list[int]:
    """Find the descendants by looking up the parent of every process of the machine."""
    names = (name for name in list_names(proc) if name.isdigit())
    every = (_read_process(proc, name, command=False) for name in names)
    children: dict[int, list[int]] = {}
    for process in every:
        if process is not None:
            children.setdefault(process.parent, []).append(process.pid)
    found: list[int] = []
    todo: Iterable[int] = [ancestor]
    while todo:
        todo = [child for pid in todo for child in children.get(pid, ())]
        found += todo
    return found


def line_of(process: Process, below: Mapping[int, Process]) -> Iterator[int]:
    """Yield the pid of a process, and those of its ancestors that are in `below`."""
    member: Process | None = process
    while member is not None:
        yield member.pid
        member = below.get(member.parent)


def _load_prctl() -> Callable[..., int] | None:
    """The system call prctl(2); None if there is none."""
    try:
        import ctypes

        prctl: Callable[..., int] = ctypes.CDLL(None, use_errno=True).prctl
    except (ImportError, AttributeError, OSError):
        return None
    return prctl


def set_subreaper(wanted: bool) -> bool:
    """Make orphaned descendants children of this process, or not (Linux); return whether they were before."""
    prctl = _load_prctl()
    if prctl is None:
        return False
    import ctypes

    before = ctypes.c_int(0)
    prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(before), 0, 0, 0)
    prctl(_PR_SET_CHILD_SUBREAPER, int(wanted), 0, 0, 0)
    return bool(before.value)


def wake_with_parent() -> None:
    """Have the kernel continue this process, if it is stopped, when its parent dies (Linux; else nothing)."""
    prctl = _load_prctl()
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGCONT), 0, 0, 0)


def bind_death() -> Callable[[int], None]:
    """Return what a child calls, with its parent's pid, so as to be killed when that dies (Linux only)."""
    prctl = _load_prctl()
    if prctl is None:
        return lambda parent: None

    def die_with(parent: int, getppid: Callable[[], int] = os.getppid) -> None:
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if getppid() != parent:
            end_process(1)

    return die_with
