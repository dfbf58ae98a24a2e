"""Tells whether a process stands still for good, from what the Linux kernel shows about its threads.

A lock of a thread library is a word in memory: a thread that finds it taken has the kernel wait for a change
(futex(2)). If that memory belongs to the process alone, only its own threads can announce a change. So if all
threads of a process wait like that, and none has a timeout, it never goes on, unless a signal comes.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Hashable
from contextlib import suppress
from typing import NamedTuple

import pytest_procpar.core.run.deadlock as weighing
from pytest_procpar.core.model import WorkerId
from pytest_procpar.core.run.deadlock import Evidence
from pytest_procpar.system.calls import DUMP_SIGNAL, is_foreign, monotonic
from pytest_procpar.system.descendants import descendants, list_names, read_bytes

__all__ = ["Exit", "Standing", "futex_numbers", "look_at"]

#: The number of the system call futex(2), by machine, and of its form with 64-bit times (the kernel's
#: tables).
_FUTEX_64 = {
    "x86_64": 202, "aarch64": 98, "arm64": 98, "riscv64": 98, "loongarch64": 98, "ppc64": 221, "ppc64le": 221,
    "s390x": 238,
}  # fmt: skip
_FUTEX_32 = (240, 422)

#: The operations that wait (linux/futex.h): WAIT, LOCK_PI, WAIT_BITSET, WAIT_REQUEUE_PI, LOCK_PI2.
_WAITS = frozenset((0, 6, 9, 11, 13))
_PRIVATE = 128
_CLOCK_REALTIME = 256

#: Signals that timers and other programs send to a process that waits for them. (Signals of timers that
#: measure processor time do not come while it waits.)
_AWAITED = frozenset(
    int(getattr(signal, name)) for name in ("SIGALRM", "SIGUSR1", "SIGUSR2") if hasattr(signal, name)
)
_REALTIME = range(int(getattr(signal, "SIGRTMIN", 65)), int(getattr(signal, "SIGRTMAX", 64)) + 1)


class Standing(NamedTuple):
    """How a process stands, and what stays the same while nothing in it moves."""

    evidence: Evidence
    #: For each thread: its id, what it waits for, its processor time, how often it was switched to.
    mark: tuple[tuple[Hashable, ...], ...] = ()

    @property
    def place(self) -> tuple[tuple[Hashable, ...], ...]:
        """What its threads wait for, whether they were woken up meanwhile or not."""
        return tuple(thread[:2] for thread in self.mark)


_MOVING = Standing(Evidence.NONE)


def futex_numbers(machine: str, *, is_64bit: bool) -> tuple[int, ...]:
    """The numbers of the system call futex(2); empty if they are not known."""
    if not is_64bit:
        return _FUTEX_32
    return (_FUTEX_64[machine],) if machine in _FUTEX_64 else ()


_FUTEX = futex_numbers(os.uname().machine, is_64bit=sys.maxsize > 1 << 32)


def look_at(pid: int, proc: str = "/proc", *, alone: bool = True) -> Standing:
    """Look at a process that this one may trace, usually one that it started.

    :param alone: whether a process with running children does not count, since it may wait for them.
    """
    if is_foreign(proc):
        return _MOVING
    evidence = Evidence.PROVEN
    marks: list[tuple[Hashable, ...]] = []
    for task in list_names(f"{proc}/{pid}/task"):
        found = None
        with suppress(ValueError):  # a kernel that shows it in another format
            found = _look_at_thread(f"{proc}/{pid}/task/{task}", f"{proc}/{pid}/maps")
        if found is None:
            return _MOVING
        evidence = min(evidence, found[0])
        marks.append((task, *found[1]))
    if not marks:
        return _MOVING
    if evidence is Evidence.PROVEN and _awaits_signal(f"{proc}/{pid}/status"):
        evidence = Evidence.LIKELY
    if alone and any(not process.ended for process in descendants(pid, proc).values()):
        return _MOVING
    return Standing(evidence, tuple(marks))


class Exit:
    """Watches a process that is supposed to end."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._due = monotonic() + weighing.LOOK_SECONDS
        self._deadlocks = weighing.Deadlocks()

    def is_hopeless(self) -> bool:
        """Whether it certainly will not end. To be called repeatedly."""
        now = monotonic()
        if now < self._due:
            return False
        self._due = now + weighing.LOOK_SECONDS
        standing = look_at(self._pid, alone=False)
        self._deadlocks.looked([weighing.WorkerLook(WorkerId(0), standing.evidence, standing.mark)], now)
        is_proven = standing.evidence is Evidence.PROVEN
        return is_proven and bool(self._deadlocks.hopeless(now, longest=0.0, silent_since=now))


def _look_at_thread(folder: str, maps: str) -> tuple[Evidence, tuple[Hashable, ...]] | None:
    """How likely it is that a thread waits for a lock, and what must not change then; None if it is not."""
    fields = read_bytes(f"{folder}/stat").rpartition(b")")[2].split()
    if len(fields) < 13 or fields[0] != b"S":
        return None
    time = fields[11], fields[12]
    switches = tuple(line for line in read_bytes(f"{folder}/status").splitlines() if b"ctxt_switches" in line)
    call = read_bytes(f"{folder}/syscall").split()
    if len(call) > 6:
        if not _waits_for_itself(call, maps):
            return None
        if int(call[4], 16):  # a timeout: it may do something else every now and then
            return Evidence.DOUBTFUL, (tuple(call[:3]), (), ())
        return (Evidence.PROVEN if switches else Evidence.LIKELY), (tuple(call), time, switches)
    if call:  # "running", or in no system call
        return None
    where = read_bytes(f"{folder}/wchan")
    return (Evidence.LIKELY, (where, time, switches)) if b"futex" in where and switches else None


def _waits_for_itself(call: list[bytes], maps: str) -> bool:
    """Whether a thread waits for memory that only the threads of its process can change."""
    address, operation = int(call[1], 16), int(call[2], 16)
    if int(call[0]) not in _FUTEX or operation & ~(_PRIVATE | _CLOCK_REALTIME) not in _WAITS:
        return False
    return bool(operation & _PRIVATE) or _is_private(address, maps)


def _is_private(address: int, maps: str) -> bool:
    """Whether memory belongs to one process only. Waiting for a thread's end does not use a private futex."""
    from pytest_procpar.core.evidence.thread_owner import MemoryMap, parse_maps

    mapping = MemoryMap(parse_maps(os.fsdecode(read_bytes(maps)))).at(address)
    return mapping is not None and mapping.is_private


def _awaits_signal(status: str) -> bool:
    """Whether a process has a handler for a signal that may end its wait."""
    for line in read_bytes(status).splitlines():
        name, _, mask = line.partition(b":")
        if name == b"SigCgt":
            caught = int(mask, 16)
            numbers = {number for number in (*_AWAITED, *_REALTIME) if caught & 1 << (number - 1)}
            return bool(numbers - {DUMP_SIGNAL, *_INTERNAL})
    return True


#: The signals that the C library reserves: those below the first one that programs may use.
_INTERNAL = range(32, _REALTIME.start)
