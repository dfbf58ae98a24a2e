"""Finds out which state makes one test depend on others: in a process that runs these, and its children.

What is proven was tried: a child put state back and ran the test, which passed.
"""

from __future__ import annotations

from pytest_procpar.core.inquiry.ddmin import find_blame
from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.protocol.probe import Changed, ChangedSlot, Compare, Perform, Rested, Restore, Watch
from pytest_procpar.core.recheck.result import StateChange
from pytest_procpar.core.survey.changers import StateAfter
from pytest_procpar.recheck.probing.checkpoints import Indices, ProbeHandle
from pytest_procpar.recheck.probing.conversations import Conversations, Job

__all__ = ["explain", "states"]

#: How often state is put back at most to prove which part of it is to blame.
_TRIALS = 300


def explain(
    jobs: Conversations, handle: ProbeHandle, cause: Indices, test: TestIndex, *, needed: bool
) -> Job[list[StateChange]]:
    """The state that `cause` changes, and the parts of it through which `test` depends on the cause.

    :param handle: a process in which no test has run yet.
    :param needed: whether the test needs the cause, or fails because of it. If it needs it, a slot is proven
        to matter if the test passes although all others are put back; otherwise, if it passes when that slot
        is put back.
    """
    handle.port.send(Watch())
    yield from jobs.perform(handle, cause, test)
    if len(handle.tests) < len(cause):
        return []
    slots = yield from _changed(jobs, handle, test)
    names = [name for name, _, _, restorable, *_ in slots if restorable]
    proven = yield from _prove(jobs, handle, test, names, needed=needed)
    return [
        StateChange(name, before, after, name in proven, way, module)
        for name, before, after, _, way, module in slots
    ]


def states(jobs: Conversations, handle: ProbeHandle, order: Indices, found: list[StateAfter]) -> Job[None]:
    """Run tests in this order; after each, add to `found` what differs from the state before the first.

    :param handle: a process in which no test has run yet.
    """
    handle.port.send(Watch())
    for at, test in enumerate(order):
        following = order[at + 1] if at + 1 < len(order) else None
        yield from jobs.perform(handle, (test,), following)
        if len(handle.tests) <= at:
            return
        handle.port.send(Compare(imports=False))
        answer = yield from jobs.expect(handle, Changed)
        if answer is None:
            return
        found.append(StateAfter(test, tuple((name, after) for name, _, after, *_ in answer.slots)))


def _changed(jobs: Conversations, handle: ProbeHandle, test: TestIndex) -> Job[tuple[ChangedSlot, ...]]:
    """The slots that have changed, as a test that comes next would find them."""
    handle.port.send(Perform((), test))  # let the teardown remove what the test would not find
    if (yield from jobs.expect(handle, Rested)) is None:
        return ()
    handle.port.send(Compare())
    answer = yield from jobs.expect(handle, Changed)
    return () if answer is None else answer.slots


def _prove(
    jobs: Conversations, handle: ProbeHandle, test: TestIndex, names: list[str], *, needed: bool
) -> Job[set[str]]:
    """The names of the slots that let the test pass when put back (or, if `needed`, when all others are)."""

    def passes(chosen: frozenset[int]) -> Job[bool]:
        restored = tuple(name for at, name in enumerate(names) if (at in chosen) != needed)
        return _passes_with(jobs, handle, test, restored)

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


def _passes_with(
    jobs: Conversations, handle: ProbeHandle, test: TestIndex, restored: tuple[str, ...]
) -> Job[bool]:
    child = yield from jobs.fork_child(handle)
    if child is None:
        return False
    child.port.send(Restore(restored))
    yield from jobs.perform(child, (test,), None)
    passed = child.words[-1].good
    jobs.discard(child)
    return passed
