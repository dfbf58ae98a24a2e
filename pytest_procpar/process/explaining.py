"""Finds out by which state one test depends on others: in a process that runs these, and in children of it.

What is proven was tried: a child put state back, ran the test, and it passed.
"""

from __future__ import annotations

from pytest_procpar.core.blame import find_blame
from pytest_procpar.core.changers import State
from pytest_procpar.core.insights import Change
from pytest_procpar.core.messages import Changed, ChangedSlot, Compare, Perform, Rested, Restore, Watch
from pytest_procpar.core.model import TestIndex
from pytest_procpar.process.jobs import Job, Jobs
from pytest_procpar.process.trees import Indices, Twig

__all__ = ["explain", "states"]

#: How often state is put back at most to prove which of it is to blame.
_TRIALS = 300


def explain(jobs: Jobs, twig: Twig, cause: Indices, test: TestIndex, *, needed: bool) -> Job[list[Change]]:
    """What `cause` changes, and by which of it `test` depends on that.

    :param twig: a process in which no test has run yet.
    :param needed: whether the test needs the cause (or fails by it). Then a slot is proven to matter if the
        test passes though all others are put back; otherwise, if it passes when that slot is.
    """
    twig.port.send(Watch())
    yield from jobs.perform(twig, cause, test)
    if len(twig.tests) < len(cause):
        return []
    slots = yield from _changed(jobs, twig, test)
    names = [name for name, _, _, restorable, *_ in slots if restorable]
    proven = yield from _prove(jobs, twig, test, names, needed=needed)
    return [
        Change(name, before, after, name in proven, way, module)
        for name, before, after, _, way, module in slots
    ]


def states(jobs: Jobs, twig: Twig, order: Indices, found: list[State]) -> Job[None]:
    """Run tests in this order, and add to `found` what is otherwise than before all, after each of them.

    :param twig: a process in which no test has run yet.
    """
    twig.port.send(Watch())
    for at, test in enumerate(order):
        following = order[at + 1] if at + 1 < len(order) else None
        yield from jobs.perform(twig, (test,), following)
        if len(twig.tests) <= at:
            return
        twig.port.send(Compare(imports=False))
        answer = yield from jobs.expect(twig, Changed)
        if answer is None:
            return
        found.append(State(test, tuple((name, after) for name, _, after, *_ in answer.slots)))


def _changed(jobs: Jobs, twig: Twig, test: TestIndex) -> Job[tuple[ChangedSlot, ...]]:
    """The slots that are otherwise than before, for a test that comes next."""
    twig.port.send(Perform((), test))  # what it would not find any more is not to blame
    if (yield from jobs.expect(twig, Rested)) is None:
        return ()
    twig.port.send(Compare())
    answer = yield from jobs.expect(twig, Changed)
    return () if answer is None else answer.slots


def _prove(jobs: Jobs, twig: Twig, test: TestIndex, names: list[str], *, needed: bool) -> Job[set[str]]:
    """The names of the slots that, put back (or, if `needed`, alone not put back), let the test pass."""

    def passes(chosen: frozenset[int]) -> Job[bool]:
        restored = tuple(name for at, name in enumerate(names) if (at in chosen) != needed)
        return _passes_with(jobs, twig, test, restored)

    if (yield from passes(frozenset())):  # then no slot can be to blame
        return set()
    search = find_blame(len(names), probes=_TRIALS, batch=1)
    try:
        batch = next(search)
        while True:
            answers = []
            for chosen in batch:
                passed = yield from passes(chosen)
                answers.append(passed)
            batch = search.send(answers)
    except StopIteration as stop:
        return {names[at] for at in stop.value or ()}


def _passes_with(jobs: Jobs, twig: Twig, test: TestIndex, restored: tuple[str, ...]) -> Job[bool]:
    child = yield from jobs.sprout(twig)
    if child is None:
        return False
    child.port.send(Restore(restored))
    yield from jobs.perform(child, (test,), None)
    passed = child.words[-1].good
    jobs.discard(child)
    return passed
