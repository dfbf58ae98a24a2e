"""The tests that a plugin's scheduler asks back from workers."""

from __future__ import annotations

from collections import deque

from pytest_procpar.core.model import TestIndex, WorkerId
from pytest_procpar.core.run.foreign.consulting import GivenBack
from pytest_procpar.core.run.foreign.copies import Copies
from pytest_procpar.core.run.worker_state import WorkerState

__all__ = ["AskedBack"]


class AskedBack:
    """What the scheduler wants back from whom, and who could not give it."""

    def __init__(self, copies: Copies) -> None:
        self._copies = copies
        #: What the scheduler has asked back from each worker, in this order.
        self._wanted: dict[WorkerId, deque[tuple[int, ...]]] = {}
        #: The workers that could not give back what was wanted, and have not been heard of since.
        self._refused: list[WorkerId] = []

    def ask(self, worker: WorkerId, places: tuple[int, ...]) -> None:
        """The scheduler wants these tests back."""
        self._wanted.setdefault(worker, deque()).append(places)

    def forget(self, worker: WorkerId) -> None:
        """A worker is gone, with what was wanted from it."""
        self._wanted.pop(worker, None)

    def give(self, worker: WorkerState) -> list[GivenBack]:
        """Answer what was asked back from a worker, now that all its tests that have not begun are here.

        A refusal waits until the worker is heard of again, since we do not know yet what it has begun by
        then: the scheduler would ask for the same tests again, and never stop.
        """
        answers = []
        for wanted in self._wanted.pop(worker.id, ()):
            found = self._take(worker, wanted)
            if found:
                answers.append(GivenBack(worker.id, tuple(map(self._copies.place, found))))
            else:
                self._refused.append(worker.id)
        return answers

    def _take(self, worker: WorkerState, wanted: tuple[int, ...]) -> list[TestIndex]:
        """Take all these tests from a worker, or none if one of them is not there (as under pytest-xdist)."""
        asked, place = set(wanted), self._copies.place
        found = [test for (test,) in worker.units if place(test) in asked]
        if len(found) != len(asked) or set(map(place, found)) != asked:
            return []
        worker.units = deque(unit for unit in worker.units if place(unit[0]) not in asked)
        worker.owned -= len(found)
        for test in found:
            self._copies.take_back(test)
        return found

    def refusing(self) -> set[WorkerId]:
        """The workers whose refusals wait."""
        return set(self._refused)

    def refusals(self, worker: WorkerId) -> list[GivenBack]:
        """The refusals of a worker, which need not wait any more."""
        found = [GivenBack(refused, ()) for refused in self._refused if refused == worker]
        self._refused = [refused for refused in self._refused if refused != worker]
        return found
