"""A tree of throw-away processes, as the controller sees it: what can be forked, and is kept for that.

All processes of a tree go by one worker's identity, so only one of them runs tests at a time.
"""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

from pytest_procpar.core.inquiry.probes import Outcome
from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.protocol.messages import ForkChild, WaitChild
from pytest_procpar.ipc.transport import Port
from pytest_procpar.system.calls import socket_pair
from pytest_procpar.system.descendants import open_pidfd
from pytest_procpar.system.genuine import READ, close, make_poll
from pytest_procpar.system.headroom import headroom
from pytest_procpar.system.shortage import room_for_processes

__all__ = ["ProbeHandle", "CheckpointTree", "check_point_cap", "check_points", "memory_cap"]

Indices = tuple[TestIndex, ...]

#: No more check-points than this along one pass, and none before so much time has been spent, in seconds.
_MOST = 64
_WORTH_A_FORK = 0.015
#: What a check-point costs, in seconds.
_FORK = 0.005

#: No more passes than this have their check-points kept.
_SWEEPS = 6

#: How many check-points are measured when one more is kept: to measure all each time would take the square.
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
        #: In bytes: its part of what it shares, and what is its alone; of a root, all that it uses.
        self.size = 0

    def fork_child(self) -> ProbeHandle:
        """Have a child forked from here."""
        ours, theirs = socket_pair()
        self.port.send(ForkChild(), [theirs.fileno()])
        theirs.close()
        child = ProbeHandle(Port(ours), self)
        child.tests, child.words = self.tests, self.words
        return child

    def found(self, pid: int) -> None:
        """Its process id is known."""
        self.pid = pid
        if self.parent is None:
            self.size = _kilobytes(f"/proc/{pid}/smaps_rollup", "Rss:") << 10
        self.pidfd = open_pidfd(pid)

    def measure(self) -> None:
        """Find out its size. A process that has just been forked shares everything: it takes memory of its
        own later, when others change what they shared with it.
        """
        if self.pid is not None:
            self.size = _kilobytes(f"/proc/{self.pid}/smaps_rollup", "Pss:") << 10

    def kill(self) -> None:
        """End it and what it has started; its parent reaps it."""
        if self.pid is not None:
            for send in (os.killpg, os.kill):
                with suppress(ProcessLookupError, PermissionError):
                    send(self.pid, signal.SIGKILL)
            if self.parent is not None and not self.parent.closed:
                self.parent.port.send(WaitChild(self.pid))

    def await_end(self, seconds: float) -> None:
        """Wait for its end, and so for its memory, for at most so many seconds; not without a pidfd."""
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
    """The root, and the check-points: suspended processes by what they have run.

    :param cap: how much memory the check-points may take in addition to what the root uses, in bytes.
    :param most: how many there may be.
    """

    def __init__(self, root: ProbeHandle, cap: int, most: int = 2 * _MOST) -> None:
        self.root = root
        self._cap = cap
        self._most = most
        self._kept: list[ProbeHandle] = []
        #: The same ones, those first that are to be measured next.
        self._to_measure: deque[ProbeHandle] = deque()
        #: The processes that passes were run in, which hold the fixtures that their check-points share.
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
        """Whether this is one of its check-points."""
        return handle in self._kept

    def has(self, tests: Indices) -> bool:
        """Whether there is a check-point for exactly this."""
        return any(handle.tests == tests for handle in self._kept)

    def keep(self, handle: ProbeHandle) -> list[ProbeHandle]:
        """Keep a check-point; those that have to go for it, the least used ones."""
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
        # What all share with the root is in their sizes too: together they have it at most once.
        taken = sum(kept.size for kept in self._kept) - self.root.size
        return len(self._kept) > self._most or taken > self._cap

    def surplus(self) -> ProbeHandle | None:
        """The oldest trunk, if there are too many."""
        return self.sweeps[0] if len(self.sweeps) > _SWEEPS else None

    def born_of(self, sweep: ProbeHandle) -> list[ProbeHandle]:
        """The check-points that a trunk has left."""
        return [handle for handle in self._kept if handle.parent is sweep]

    def drop(self, handle: ProbeHandle) -> None:
        """A process is of no use any more."""
        for handles in (self._kept, self._to_measure, self.sweeps):
            if handle in handles:
                handles.remove(handle)

    def handles(self) -> list[ProbeHandle]:
        """All processes that wait, children before their parents."""
        return [*reversed(self._kept), *reversed(self.sweeps), self.root]


def check_points(tests: Sequence[TestIndex], seconds: Callable[[TestIndex], float]) -> list[int]:
    """At which places of `tests`, of which the last one is judged, a pass leaves a check-point.

    Before the last one if it is worth it, and evenly by the time that tests take (`seconds`), as often as
    the forks take as long as running again what lies between two of them.
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
    """How much memory check-points may take together, in bytes: a quarter of what is available."""
    room = headroom()
    return 1 << 30 if room is None else room >> 2


def check_point_cap(trees: int) -> int:
    """How many check-points each of so many trees may keep, so that descriptors suffice."""
    wanted = 2 * _MOST + _SWEEPS + 2  # besides the trunks, the root and its latest child
    return max(1, room_for_processes(trees * wanted) // trees - _SWEEPS - 2)


def _kilobytes(path: str, name: str) -> int:
    """A figure of the kernel's; 0 if it is not told."""
    with suppress(OSError, ValueError), open(path, encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith(name):
                return int(line.split()[1])
    return 0
