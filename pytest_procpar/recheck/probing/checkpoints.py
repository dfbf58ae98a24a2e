"""A checkpoint tree as the controller sees it: throw-away processes that are kept to be forked.

All processes of a tree use one worker's identity, so only one of them runs tests at a time.
"""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

from pytest_procpar.core.inquiry.probes import Outcome
from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.protocol.probe import ForkChild, WaitChild
from pytest_procpar.ipc.port import Port
from pytest_procpar.system.calls import socket_pair
from pytest_procpar.system.descendants import open_pidfd
from pytest_procpar.system.genuine import READ, close, make_poll
from pytest_procpar.system.headroom import headroom
from pytest_procpar.system.shortage import room_for_processes

__all__ = ["ProbeHandle", "CheckpointTree", "check_point_cap", "check_points", "memory_cap"]

Indices = tuple[TestIndex, ...]

#: How many checkpoints at most a pass leaves, and how many seconds of tests must have run before one.
_MOST = 64
_WORTH_A_FORK = 0.015
#: What a checkpoint costs, in seconds.
_FORK = 0.005

#: How many passes keep their checkpoints.
_SWEEPS = 6

#: How many checkpoints are measured whenever one more is kept: measuring all of them each time would take
#: quadratic time.
_MEASURED = 4


class ProbeHandle:
    """One process: the stream to it, and what it has run since the suite was collected."""

    def __init__(self, port: Port, parent: ProbeHandle | None) -> None:
        self.port = port
        self.parent = parent
        self.pid: int | None = None
        self.pidfd: int | None = None
        self.tests: Indices = ()
        self.words: tuple[Outcome, ...] = ()
        self.used = 0
        self.closed = False
        #: Whether fixtures are alive in it that it has to tear down.
        self.holding = False
        #: In bytes: its own memory and its share of what it shares; for a root, all that it uses.
        self.size = 0

    def fork_child(self) -> ProbeHandle:
        """Fork a child from this process."""
        ours, theirs = socket_pair()
        self.port.send(ForkChild(), [theirs.fileno()])
        theirs.close()
        child = ProbeHandle(Port(ours), self)
        child.tests, child.words = self.tests, self.words
        return child

    def found(self, pid: int) -> None:
        """Note the process id, and open a pidfd for it."""
        self.pid = pid
        if self.parent is None:
            self.size = _kilobytes(f"/proc/{pid}/smaps_rollup", "Rss:") << 10
        self.pidfd = open_pidfd(pid)

    def measure(self) -> None:
        """Measure its size.

        A process that has just been forked shares everything. It takes memory of its own later, when others
        change what they shared with it.
        """
        if self.pid is not None:
            self.size = _kilobytes(f"/proc/{self.pid}/smaps_rollup", "Pss:") << 10

    def kill(self) -> None:
        """Kill it and what it has started; its parent reaps it."""
        if self.pid is not None:
            for send in (os.killpg, os.kill):
                with suppress(ProcessLookupError, PermissionError):
                    send(self.pid, signal.SIGKILL)
            if self.parent is not None and not self.parent.closed:
                self.parent.port.send(WaitChild(self.pid))

    def await_end(self, seconds: float) -> None:
        """Wait up to `seconds` for it to end, which frees its memory; without a pidfd, do not wait."""
        if self.pidfd is not None:
            poll = make_poll()
            poll.register(self.pidfd, READ)
            poll.poll(seconds * 1000)

    def close(self) -> None:
        """Close the stream."""
        self.closed = True
        self.port.close()
        if self.pidfd is not None:
            close(self.pidfd)
            self.pidfd = None


class CheckpointTree:
    """The root and the checkpoints: suspended processes, found by the tests that they have run.

    :param cap: how much memory the checkpoints may take in addition to what the root uses, in bytes.
    :param most: how many checkpoints there may be.
    """

    def __init__(self, root: ProbeHandle, cap: int, most: int = 2 * _MOST) -> None:
        self.root = root
        self._cap = cap
        self._most = most
        self._kept: list[ProbeHandle] = []
        #: The same checkpoints, in the order in which they are measured next.
        self._to_measure: deque[ProbeHandle] = deque()
        #: The processes of passes, which hold the fixtures that their checkpoints share.
        self.sweeps: list[ProbeHandle] = []
        self._clock = 0

    def closest(self, tests: Indices) -> ProbeHandle:
        """The process that has run the longest beginning of `tests`, and nothing else."""
        best = self.root
        for handle in self._kept:
            size = len(handle.tests)
            if len(best.tests) < size <= len(tests) and handle.tests == tests[:size]:
                best = handle
        self._clock += 1
        best.used = self._clock
        return best

    def keeps(self, handle: ProbeHandle) -> bool:
        """Whether a process is one of the checkpoints."""
        return handle in self._kept

    def has(self, tests: Indices) -> bool:
        """Whether there is a checkpoint for exactly these tests."""
        return any(handle.tests == tests for handle in self._kept)

    def keep(self, handle: ProbeHandle) -> list[ProbeHandle]:
        """Keep a checkpoint; return those that have to go for it, the least recently used ones."""
        self._clock += 1
        handle.used = self._clock
        self._measure_some()
        self._kept.append(handle)
        self._to_measure.appendleft(handle)
        gone = []
        while len(self._kept) > 1 and self._too_many():
            oldest = min(self._kept, key=lambda kept: kept.used)
            self.drop(oldest)
            gone.append(oldest)
        return gone

    def _measure_some(self) -> None:
        for _ in range(min(_MEASURED, len(self._to_measure))):
            self._to_measure[0].measure()
            self._to_measure.rotate(-1)

    def _too_many(self) -> bool:
        # The size of each includes its share of what all share with the root: together they count that at
        # most once.
        taken = sum(kept.size for kept in self._kept) - self.root.size
        return len(self._kept) > self._most or taken > self._cap

    def surplus(self) -> ProbeHandle | None:
        """The oldest process of a pass, if there are too many of them."""
        return self.sweeps[0] if len(self.sweeps) > _SWEEPS else None

    def born_of(self, sweep: ProbeHandle) -> list[ProbeHandle]:
        """The checkpoints that a pass has left."""
        return [handle for handle in self._kept if handle.parent is sweep]

    def drop(self, handle: ProbeHandle) -> None:
        """Forget a process that is of no use any more."""
        for handles in (self._kept, self._to_measure, self.sweeps):
            if handle in handles:
                handles.remove(handle)

    def handles(self) -> list[ProbeHandle]:
        """All processes that wait, children before their parents."""
        return [*reversed(self._kept), *reversed(self.sweeps), self.root]


def check_points(tests: Sequence[TestIndex], seconds: Callable[[TestIndex], float]) -> list[int]:
    """The places in `tests`, whose last one is judged, at which a pass leaves a checkpoint.

    There is one before the last test if that is worth it. The others are spaced evenly by the time that tests
    take (`seconds`), so densely that the forks take as long as running again what lies between two of them.
    """
    times = [seconds(test) for test in tests[:-1]]
    total = sum(times)
    step = max(total / _MOST, (total * _FORK) ** 0.5, _WORTH_A_FORK)
    places, spent = [], 0.0
    for place, time in enumerate(times, 1):
        spent += time
        if spent >= step or (place == len(times) and total >= _WORTH_A_FORK):
            places.append(place)
            spent = 0.0
    return places


def memory_cap() -> int:
    """How much memory checkpoints may take together, in bytes: a quarter of what is available."""
    room = headroom()
    return 1 << 30 if room is None else room >> 2


def check_point_cap(trees: int) -> int:
    """How many checkpoints each of `trees` trees may keep, so that descriptors suffice."""
    wanted = 2 * _MOST + _SWEEPS + 2  # besides the passes, the root and its latest child
    return max(1, room_for_processes(trees * wanted) // trees - _SWEEPS - 2)


def _kilobytes(path: str, name: str) -> int:
    """A figure from the kernel; 0 if it does not give one."""
    with suppress(OSError, ValueError), open(path, encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith(name):
                return int(line.split()[1])
    return 0
