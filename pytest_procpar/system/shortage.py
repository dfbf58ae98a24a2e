"""How many workers and throw-away processes there is room for, and how to word an error of the system.

For memory, see `headroom`.
"""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from pathlib import Path

from pytest_procpar.system.calls import far_places
from pytest_procpar.system.cgroups import own_directories, read_text

__all__ = [
    "descriptor_limit",
    "in_words",
    "is_shortage",
    "processes_granted",
    "room_for_processes",
    "room_for_workers",
    "room_within",
]

#: How many descriptors the controller needs for a worker: a pipe to hear it, both ends of its inbox (one
#: descriptor on Linux), files for stacks, captured output and captured errors, and a pipe for standard error.
_A_WORKER = 6 if os.path.isdir("/proc/self/fd") else 7
#: How many it needs for a throw-away process: its stream, and its pidfd.
_A_PROCESS = 2
#: How many must be free for a run with a single worker. With fewer it is luck if a test can run.
_LEAST = 22
#: How many the controller may need for everything else: the fork server's stream, selectors, signals,
#: reports, the re-check.
_SPARE = 18

_FILES = (errno.EMFILE, errno.ENFILE)
_PROCESSES = (errno.EAGAIN, errno.ENOMEM)


def is_shortage(error: OSError) -> bool:
    """Whether an error says that descriptors, processes or memory ran out, so that trying later may work."""
    return error.errno in (*_FILES, *_PROCESSES)


def in_words(error: BaseException) -> str:
    """What went wrong, as part of a sentence: what ran out and its limit, or else the system's own words."""
    if not isinstance(error, OSError) or error.errno is None:
        return str(error) or type(error).__name__
    if error.errno in _FILES:
        return f"no descriptors are left (ulimit -n: {descriptor_limit()})"
    if error.errno == errno.EAGAIN:
        limits = f"ulimit -u: {_shown(resource.RLIMIT_NPROC)}; a container may have a limit of its own"
        return f"the system grants no more processes ({limits})"
    if error.errno == errno.ENOMEM:
        return "the system grants no more memory"
    # That arguments are too long says nothing about the program's file.
    is_about_file = isinstance(error.filename, str) and error.errno != errno.E2BIG
    return os.strerror(error.errno) + (f" ({error.filename})" if is_about_file else "")


def descriptor_limit() -> str:
    """The number of descriptors that this process may have, for a sentence."""
    return _shown(resource.RLIMIT_NOFILE)


def _shown(which: int) -> str:
    soft, _ = resource.getrlimit(which)
    return "unlimited" if soft == resource.RLIM_INFINITY else str(soft)


def room_for_workers(wanted: int) -> int:
    """For how many workers this process has descriptors: at most `wanted`, and 0 if none could run."""
    return _room(wanted, _A_WORKER, _LEAST)


def room_for_processes(wanted: int) -> int:
    """For how many throw-away processes there is room: half of the granted processes is left for tests."""
    room, granted = _room(wanted, _A_PROCESS), processes_granted()
    return room if granted is None else max(1, min(room, granted // 2))


def processes_granted(root: Path = Path("/")) -> int | None:
    """How many more processes and threads this process's control groups grant; None if there is no limit.

    Kernel documentation: cgroup-v2 and cgroup-v1/pids, which have the same files.
    """
    return min(_processes_left(root), default=None)


def _processes_left(root: Path) -> Iterator[int]:
    for _, directory in own_directories(root, "pids"):
        most, now = (read_text(directory / name).strip() for name in ("pids.max", "pids.current"))
        if most.isdecimal() and now.isdecimal():
            yield max(0, int(most) - int(now))


def _room(wanted: int, each: int, least: int = 0) -> int:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    top = max(needed for _, needed in far_places(soft, hard))
    if soft == resource.RLIM_INFINITY or top >= each * wanted + 1024:
        return wanted
    used = _count_open(top)
    return room_within(wanted, each, top, used) if top - used >= least else 0


def room_within(wanted: int, each: int, limit: int, used: int) -> int:
    """How many of the `wanted` fit into a process that has used `used` of `limit` descriptors; at least one.

    :param each: the number of descriptors that one of them takes.
    """
    return max(1, min(wanted, (limit - used - _SPARE) // each))


def _count_open(limit: int) -> int:
    """The number of open descriptors; if they cannot be listed, of those below `limit`."""
    try:
        return len(os.listdir("/dev/fd"))
    except OSError:
        return sum(_is_open(fd) for fd in range(limit))


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True
