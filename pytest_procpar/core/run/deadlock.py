"""Decides which workers will never go on, and when that is certain enough to act on it.

A forked process has its parent's locks as they were and none of its threads, so a lock that one of those
threads would have released stays locked. The caller looks at the workers and says what points to a deadlock;
this module weighs that against time. Pure: it takes looks, and returns workers.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable
from enum import IntEnum
from typing import NamedTuple

from pytest_procpar.core.model import WorkerId
from pytest_procpar.core.record import record

__all__ = ["LOOK_SECONDS", "Deadlocks", "Evidence", "Frame", "WorkerLook", "frames_of"]

#: How often the workers are looked at, in seconds.
LOOK_SECONDS = 1.0

#: How long a worker with a proven deadlock must have stood still before it is given up: PROVEN_TIMES as long
#: as the longest test took, but between these two bounds, in seconds. The proof itself needs no time. The
#: wait is for what cannot be seen from outside, such as a timer that will break off a wait.
PROVEN_TIMES = 3.0
PROVEN_LEAST = 5.0
PROVEN_MOST = 60.0

#: The same for workers that only seem deadlocked. All must, and no test may have ended anywhere meanwhile.
LIKELY_TIMES = 20.0
LIKELY_LEAST = 120.0


class Evidence(IntEnum):
    """How strongly a look points to a deadlock."""

    NONE = 0
    #: All threads wait for locks with a time limit, again and again: they may do something in between.
    DOUBTFUL = 1
    #: All threads wait for locks, as far as we can see; or a signal may end the wait.
    LIKELY = 2
    #: All threads wait, without a time limit, for memory that no other process can change.
    PROVEN = 3


@record
class WorkerLook:
    """What a look at a worker showed. While ``mark`` stays the same, nothing in the worker has moved."""

    worker: WorkerId
    evidence: Evidence
    mark: Hashable = None


class Frame(NamedTuple):
    """One line of a stack."""

    file: str
    line: int
    function: str

    def within(self, folders: Iterable[str]) -> str:
        """The frame in words, with its file relative to the first of these folders that contains it."""
        inside = (self.file[len(folder) + 1 :] for folder in folders if self.file.startswith(f"{folder}/"))
        return f"{next(inside, self.file)}:{self.line} in {self.function}"


_FRAME = re.compile(r'  File "(.+)", line (\d+) in (.+)')


def frames_of(stacks: str) -> list[Frame]:
    """The main thread's stack, innermost frame first, from what faulthandler writes of all threads.

    faulthandler writes the main thread last; if that was the running one, it also writes it first.
    """
    frames: list[Frame] = []
    for line in stacks.splitlines():
        found = _FRAME.match(line)
        if found:
            frames.append(Frame(found[1], int(found[2]), found[3]))
        elif "most recent call first" in line:
            frames.clear()
    return frames


class Deadlocks:
    """Remembers since when each worker has stood still. Times are in seconds of the caller's clock."""

    def __init__(self) -> None:
        self._stood: dict[WorkerId, tuple[WorkerLook, float]] = {}

    def looked(self, looks: Iterable[WorkerLook], now: float) -> None:
        """Take looks at all workers that run tests or are about to; workers without a look are gone."""
        stood = {}
        for look in looks:
            known = self._stood.get(look.worker)
            is_still = known is not None and known[0] == look
            stood[look.worker] = known if known is not None and is_still else (look, now)
        self._stood = stood

    def evidence(self, worker: WorkerId) -> Evidence:
        """What the latest look at a worker showed."""
        return self._stood[worker][0].evidence if worker in self._stood else Evidence.NONE

    def seconds(self, worker: WorkerId, now: float) -> float:
        """How long a worker has stood still."""
        return now - self._stood[worker][1] if worker in self._stood else 0.0

    def proven(self, now: float) -> list[WorkerId]:
        """The workers that two looks or more found in the same proven deadlock."""
        return [
            worker
            for worker, (look, since) in self._stood.items()
            if look.evidence is Evidence.PROVEN and now > since
        ]

    def hopeless(self, now: float, *, longest: float, silent_since: float) -> list[WorkerId]:
        """The workers to give up by now.

        :param longest: how long the longest test so far took, in seconds, or another measure of how long
            something may take here.
        :param silent_since: when the latest test ended, on any worker.
        """
        patience = min(max(PROVEN_LEAST, PROVEN_TIMES * longest), PROVEN_MOST)
        proven = {
            worker: now - since
            for worker, (look, since) in self._stood.items()
            if look.evidence is Evidence.PROVEN
        }
        if any(seconds >= patience for seconds in proven.values()):
            return [worker for worker, seconds in proven.items() if seconds >= patience / 2]  # all in one go
        patience = max(LIKELY_LEAST, LIKELY_TIMES * longest)
        everyone = bool(self._stood) and all(
            look.evidence is not Evidence.NONE and now >= max(since, silent_since) + patience
            for look, since in self._stood.values()
        )
        return list(self._stood) if everyone else []
