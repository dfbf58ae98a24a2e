"""Which worker has taken too long, and what to do to it: dump its stacks, then SIGTERM, then SIGKILL.

A worker is watched while it runs a test, and while it finishes its session. The steps are nextest's. The dump
comes first, since SIGTERM may end the process; SIGKILL comes after a grace period.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

from pytest_procpar.core.model import TestIndex, WorkerId
from pytest_procpar.core.run.events import Dump, Effect, Kill, Terminate

__all__ = ["DUMP_SECONDS", "TERM_SECONDS", "HangWatch"]

#: How long a worker has to write its stacks, and how long it may live after SIGTERM, in seconds.
DUMP_SECONDS = 0.3
TERM_SECONDS = 2.0


class _Stage(IntEnum):
    WATCHED = 0
    DUMPED = 1
    TERMINATED = 2
    KILLED = 3


class _Watch:
    __slots__ = ("due", "limit", "stage", "test")

    def __init__(self, test: TestIndex | None, limit: float, now: float) -> None:
        self.test = test
        self.limit = limit
        self.due = now + limit
        self.stage = _Stage.WATCHED


class HangWatch:
    """Watches workers. Times are in seconds of the caller's clock; a limit of 0 means no limit.

    :param limit: how long a test, or the end of a session, may take.
    :param limits: the limits of tests that have their own, by the test's place in the collected order.
    """

    def __init__(self, limit: float, limits: Mapping[int, float] | None = None) -> None:
        self._limit = limit
        self._limits = limits or {}
        self._watches: dict[WorkerId, _Watch] = {}
        #: Whether anything is ever watched.
        self.awake = limit > 0 or any(limit > 0 for limit in self._limits.values())

    def watch(self, worker: WorkerId, test: TestIndex | None, place: int | None, now: float) -> None:
        """Watch a worker that begins the test at `place` in the collected order, or its end (None)."""
        limit = self._limit if place is None else self._limits.get(place, self._limit)
        if limit > 0:
            self._watches[worker] = _Watch(test, limit, now)
        else:
            self._watches.pop(worker, None)

    def forget(self, worker: WorkerId) -> None:
        """Stop watching a worker: it has finished what it was watched for, or is gone."""
        self._watches.pop(worker, None)

    def deadline(self) -> float | None:
        """When to call `due` next; None: never."""
        open_ = [w.due for w in self._watches.values() if w.stage is not _Stage.KILLED]
        return min(open_) if open_ else None

    def due(self, now: float) -> list[Effect]:
        """The effects that are due by now."""
        effects: list[Effect] = []
        for worker, watch in self._watches.items():
            if now < watch.due:
                continue
            match watch.stage:
                case _Stage.WATCHED:
                    effects.append(Dump(worker, watch.test, watch.limit))
                    watch.stage, watch.due = _Stage.DUMPED, now + DUMP_SECONDS
                case _Stage.DUMPED:
                    effects.append(Terminate(worker))
                    watch.stage, watch.due = _Stage.TERMINATED, now + TERM_SECONDS
                case _Stage.TERMINATED:
                    effects.append(Kill(worker))
                    watch.stage = _Stage.KILLED
                case _Stage.KILLED:
                    pass
        return effects
