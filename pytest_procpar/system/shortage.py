"""How many workers and throw-away processes there is room for, and what to say of an error of the system's.

Memory is the subject of `headroom`.
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

#: How many descriptors a worker takes in the controller: a pipe to hear it, both ends of its inbox (one
#: descriptor on Linux), files for stacks, captured output and captured errors, and a pipe for standard error.
_A_WORKER = 6 if os.path.isdir("/proc/self/fd") else 7
#: The same of a throw-away process: its stream, and its pidfd.
_A_PROCESS = 2
#: How many the controller may need for everything else: the fork server's stream, selectors, signals,
#: reports, the re-check.
_SPARE = 18

_FILES = (errno.EMFILE, errno.ENFILE)
_PROCESSES = (errno.EAGAIN, errno.ENOMEM)


def is_shortage(error: OSError) -> bool:
    """Whether an error says that descriptors, processes or memory have run out: later there may be some."""
    return error.errno in (*_FILES, *_PROCESSES)


def in_words(error: BaseException) -> str:
    """What went wrong, as part of a sentence: what has run out and its limit, or the system's own words."""
    if not isinstance(error, OSError) or error.errno is None:
        return str(error) or type(error).__name__
    if error.errno in _FILES:
        return f"no descriptors are left (ulimit -n: {descriptor_limit()})"
    if error.errno == errno.EAGAIN:
        limits = f"ulimit -u: {_shown(resource.RLIMIT_NPROC)}; a container may have a limit of its own"
        return f"the system grants no more processes ({limits})"
    if error.errno == errno.ENOMEM:
        return "the system grants no more memory"
    # Arguments that are too long are no fault of the program's file.
    is_about_file = isinstance(error.filename, str) and error.errno != errno.E2BIG
    return os.strerror(error.errno) + (f" ({error.filename})" if is_about_file else "")


def descriptor_limit() -> str:
    """How many descriptors this process may have, for a sentence."""
    return _shown(resource.RLIMIT_NOFILE)


def _shown(which: int) -> str:
    soft, _ = resource.getrlimit(which)
    return "unlimited" if soft == resource.RLIM_INFINITY else str(soft)


def room_for_workers(wanted: int) -> int:
    """For how many workers this process has descriptors: from one to `wanted`."""
    return _room(wanted, _A_WORKER)


def room_for_processes(wanted: int) -> int:
    """For how many throw-away processes there is room: half of what is granted is for what tests start."""
    room, granted = _room(wanted, _A_PROCESS), processes_granted()
    return room if granted is None else max(1, min(room, granted // 2))


def processes_granted(root: Path = Path("/")) -> int | None:
    """How many processes and threads the control groups of this process still grant; None: there is no limit.

    Kernel documentation: cgroup-v2 and cgroup-v1/pids, which have the same files.
    """
    return min(_processes_left(root), default=None)


def _processes_left(root: Path) -> Iterator[int]:
    for _, directory in own_directories(root, "pids"):
        most, now = (read_text(directory / name).strip() for name in ("pids.max", "pids.current"))
        if most.isdecimal() and now.isdecimal():
            yield max(0, int(most) - int(now))


def _room(wanted: int, each: int) -> int:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    top = max(needed for _, needed in far_places(soft, hard))
    if soft == resource.RLIM_INFINITY or top >= each * wanted + 1024:
        return wanted
    return room_within(wanted, each, top, _count_open(top))


def room_within(wanted: int, each: int, limit: int, used: int) -> int:
    """How many of the `wanted`, but at least one, fit into a process that has `used` of `limit` descriptors.

    :param each: how many descriptors one takes.
    """
    return max(1, min(wanted, (limit - used - _SPARE) // each))


def _count_open(limit: int) -> int:
    """How many descriptors are open; where that cannot be listed, how many below `limit`."""
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
