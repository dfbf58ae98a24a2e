"""Which workers will never go on, and when that is certain enough to do something about it.

A forked process has the locks of its parent as they were, and none of its threads: what a thread would have
released stays locked. Whoever looks at the workers says what speaks for that; here it is weighed against
time. Pure: looks go in, workers come out.
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

#: How long a worker stands that is proven to be deadlocked before that is believed: so many times the longest
#: test, within these bounds, in seconds. The proof needs no time: this is for what is not seen from outside,
#: a timer that will break off a wait.
PROVEN_TIMES = 3.0
PROVEN_LEAST = 5.0
PROVEN_MOST = 60.0

#: The same for one that only seems to be. All must, and no test may have ended anywhere meanwhile.
LIKELY_TIMES = 20.0
LIKELY_LEAST = 120.0


class Evidence(IntEnum):
    """What speaks for a deadlock."""

    NONE = 0
    #: All threads wait for locks for a limited time, again and again: they may look for something in between.
    DOUBTFUL = 1
    #: All threads wait for locks, as far as can be seen; or a signal may end that.
    LIKELY = 2
    #: All threads wait, without a limit in time, for memory that nobody else can change.
    PROVEN = 3


@record
class WorkerLook:
    """How a worker was found. As long as ``mark`` stays the same, nothing has moved in it."""

    worker: WorkerId
    evidence: Evidence
    mark: Hashable = None


class Frame(NamedTuple):
    """A line of a stack."""

    file: str
    line: int
    function: str

    def within(self, folders: Iterable[str]) -> str:
        """The line in words, its file as seen from the first of these folders that it is in."""
        inside = (self.file[len(folder) + 1 :] for folder in folders if self.file.startswith(f"{folder}/"))
        return f"{next(inside, self.file)}:{self.line} in {self.function}"


_FRAME = re.compile(r'  File "(.+)", line (\d+) in (.+)')


def frames_of(stacks: str) -> list[Frame]:
    """The stack of the main thread, the innermost frame first, out of what faulthandler writes of all.

    It writes the main thread last; and first, again, if that is the one which was running.
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
    """Remembers since when workers have stood still. Times are in seconds of the caller's clock."""

    def __init__(self) -> None:
        self._stood: dict[WorkerId, tuple[WorkerLook, float]] = {}

    def looked(self, looks: Iterable[WorkerLook], now: float) -> None:
        """All workers that run tests, or are to, have been looked at; those that are missing are gone."""
        stood = {}
        for look in looks:
            known = self._stood.get(look.worker)
            is_still = known is not None and known[0] == look
            stood[look.worker] = known if known is not None and is_still else (look, now)
        self._stood = stood

    def evidence(self, worker: WorkerId) -> Evidence:
        """What the latest look at a worker has shown."""
        return self._stood[worker][0].evidence if worker in self._stood else Evidence.NONE

    def seconds(self, worker: WorkerId, now: float) -> float:
        """How long a worker has stood still."""
        return now - self._stood[worker][1] if worker in self._stood else 0.0

    def proven(self, now: float) -> list[WorkerId]:
        """The workers that have been found in the same proven deadlock at least twice."""
        return [
            worker
            for worker, (look, since) in self._stood.items()
            if look.evidence is Evidence.PROVEN and now > since
        ]

    def hopeless(self, now: float, *, longest: float, silent_since: float) -> list[WorkerId]:
        """The workers to be given up by now.

        :param longest: how long the longest test so far took, in seconds, or what else tells how long
            something may take here.
        :param silent_since: when a test has ended last, anywhere.
        """
        patience = min(max(PROVEN_LEAST, PROVEN_TIMES * longest), PROVEN_MOST)
        proven = {
            worker: now - since
            for worker, (look, since) in self._stood.items()
            if look.evidence is Evidence.PROVEN
        }
        if any(seconds >= patience for seconds in proven.values()):
            return [worker for worker, seconds in proven.items() if seconds >= patience / 2]  # in one go
        patience = max(LIKELY_LEAST, LIKELY_TIMES * longest)
        everyone = bool(self._stood) and all(
            look.evidence is not Evidence.NONE and now >= max(since, silent_since) + patience
            for look, since in self._stood.values()
        )
        return list(self._stood) if everyone else []
