"""Which processes a tree keeps, forks from and gives up, and where a pass leaves check-points."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import pairwise
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pytest_procpar.core.model import TestIndex
from pytest_procpar.ipc.port import Port
from pytest_procpar.recheck.probing.checkpoints import (
    CheckpointTree,
    Indices,
    ProbeHandle,
    check_points,
    memory_cap,
)
from pytest_procpar.recheck.probing.conversations import Conversations, Ended, Job, ProbeContext
from pytest_procpar.system.calls import socket_pair

if TYPE_CHECKING:
    from pytest_procpar.cluster.cluster import Cluster

pytestmark = pytest.mark.python_dependent

#: More than a tree keeps, whatever the memory.
MANY = 200

DURATIONS = st.lists(st.floats(0.0, 2.0) | st.sampled_from([0.0, 0.0001, 0.015, 30.0]), min_size=1)
ORDERS = st.lists(st.sampled_from([TestIndex(i) for i in range(3)]), max_size=5).map(tuple)


@pytest.fixture(scope="module")
def port() -> Iterator[Port]:
    """A stream that nobody listens to: a tree says nothing to its processes."""
    ours, theirs = socket_pair()
    made = Port(ours)
    yield made
    made.close()
    theirs.close()


def points(durations: list[float]) -> list[int]:
    """The check-points of a pass over tests that take so long; the last one is judged."""
    return check_points([TestIndex(i) for i in range(len(durations))], durations.__getitem__)


def no_time(test: TestIndex) -> float:
    return 0.0


def order(*tests: int) -> Indices:
    return tuple(map(TestIndex, tests))


class Grove:
    """A tree, and what it should keep: the most lately used last."""

    def __init__(self, port: Port, cap: int) -> None:
        self.cap = cap
        self.root = ProbeHandle(port, None)
        self.tree = CheckpointTree(self.root, cap)
        self.expected: list[ProbeHandle] = []
        self._port = port

    def keep(self, tests: Indices, size: int = 0, parent: ProbeHandle | None = None) -> list[ProbeHandle]:
        """Keep a process that has run `tests`; what had to go for it."""
        handle = ProbeHandle(self._port, parent)
        handle.tests, handle.size = tests, size
        gone = self.tree.keep(handle)
        self.expected.append(handle)
        return gone

    def kept(self) -> list[ProbeHandle]:
        return [handle for handle in self.tree.handles() if self.tree.keeps(handle)]


# --- where check-points are left --------------------------------------------------------------------


@given(DURATIONS)
def test_check_points_are_places_before_the_judged_test_in_order(durations: list[float]) -> None:
    places = points(durations)
    assert places == sorted(set(places))
    assert all(0 < place < len(durations) for place in places)


@given(DURATIONS)
def test_there_is_one_right_before_the_judged_test_or_none_at_all(durations: list[float]) -> None:
    places = points(durations)
    if sum(durations[:-1]) >= 0.015:
        assert places[-1] == len(durations) - 1
    else:
        assert places == []


@given(DURATIONS)
def test_what_lies_between_two_is_worth_a_fork(durations: list[float]) -> None:
    places = [0, *points(durations)]
    between = [sum(durations[start:end]) for start, end in pairwise(places)]
    assert all(seconds >= 0.0149 for seconds in between[:-1])


@given(DURATIONS)
def test_what_must_be_run_again_is_short_unless_one_test_is_long(durations: list[float]) -> None:
    total = sum(durations[:-1])
    longest = max(total / 64, (total * 0.005) ** 0.5, 0.015)
    places = [0, *points(durations)]
    for start, end in pairwise(places):
        assert sum(durations[start : end - 1]) <= longest * 1.001


@given(DURATIONS)
@example([0.001] * 500)
def test_forks_take_no_longer_than_what_they_save_to_run_again(durations: list[float]) -> None:
    total = sum(durations[:-1])
    forks = len(points(durations))
    assert 0.005 * (forks - 1) <= max((total * 0.005) ** 0.5, 0.015) * 1.001


@pytest.mark.parametrize("seconds", [0.0, 0.00001, 0.001, 0.02, 1.0])
def test_no_pass_leaves_more_than_65(seconds: float) -> None:
    assert len(points([seconds] * 5000)) <= 65


def test_a_test_alone_leaves_none() -> None:
    assert points([10.0]) == []


# --- what is forked ---------------------------------------------------------------------------------


@given(st.lists(ORDERS.filter(bool), unique=True, max_size=12), ORDERS)
def test_the_closest_has_run_the_longest_beginning_and_nothing_else(
    port: Port, kept: list[Indices], wanted: Indices
) -> None:
    grove = Grove(port, 1)
    for tests in kept:
        grove.keep(tests)
    beginnings = [tests for tests in kept if wanted[: len(tests)] == tests]
    assert grove.tree.closest(wanted).tests == max(beginnings, key=len, default=())


@given(st.lists(ORDERS.filter(bool), unique=True, max_size=6), ORDERS.filter(bool))
def test_it_has_what_it_keeps(port: Port, kept: list[Indices], wanted: Indices) -> None:
    grove = Grove(port, 1)
    for tests in kept:
        grove.keep(tests)
    assert grove.tree.has(wanted) == (wanted in kept)


def test_nothing_is_forked_from_what_was_dropped(port: Port) -> None:
    grove = Grove(port, 1)
    grove.keep(order(1, 2))
    grove.tree.drop(grove.tree.closest(order(1, 2, 3)))
    assert grove.tree.closest(order(1, 2, 3)) is grove.root
    assert not grove.tree.has(order(1, 2))


def test_what_is_not_known_can_be_dropped(port: Port) -> None:
    grove = Grove(port, 1)
    grove.tree.drop(ProbeHandle(port, None))
    assert grove.tree.handles() == [grove.root]


# --- what has to go ---------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=40), st.integers(0, 100))
def test_the_least_used_go_until_the_others_fit(port: Port, steps: list[tuple[int, bool]], cap: int) -> None:
    grove = Grove(port, cap)
    for number, (size, use) in enumerate(steps):
        if use and grove.expected:
            used = grove.expected.pop(0)
            assert grove.tree.closest(used.tests) is used
            grove.expected.append(used)
        gone = grove.keep(order(number), size)
        too_many = []
        while len(grove.expected) > 1 and sum(handle.size for handle in grove.expected) > cap:
            too_many.append(grove.expected.pop(0))
        assert gone == too_many
        assert set(grove.kept()) == set(grove.expected)


def test_the_latest_is_kept_though_it_alone_is_too_large(port: Port) -> None:
    grove = Grove(port, 10)
    grove.keep(order(1), 5)
    (gone,) = grove.keep(order(1, 2), 11)
    assert gone.tests == order(1)
    assert [handle.tests for handle in grove.kept()] == [order(1, 2)]


def test_there_are_never_more_than_128(port: Port) -> None:
    grove = Grove(port, 1)
    gone = [handle for number in range(MANY) for handle in grove.keep(order(number))]
    assert len(grove.kept()) == 128
    assert [handle.tests for handle in gone] == [order(number) for number in range(MANY - 128)]


def test_the_oldest_trunk_is_surplus_from_the_seventh_on(port: Port) -> None:
    grove = Grove(port, 1)
    sweeps = [ProbeHandle(port, grove.root) for _ in range(7)]
    grove.tree.sweeps += sweeps[:6]
    assert grove.tree.surplus() is None
    grove.tree.sweeps.append(sweeps[6])
    assert grove.tree.surplus() is sweeps[0]
    grove.tree.drop(sweeps[0])
    assert grove.tree.surplus() is None


def test_a_trunk_knows_its_own_check_points(port: Port) -> None:
    grove = Grove(port, 1)
    one, other = ProbeHandle(port, grove.root), ProbeHandle(port, grove.root)
    for number, parent in enumerate([one, other, one]):
        grove.keep(order(number), parent=parent)
    assert [handle.tests for handle in grove.tree.born_of(one)] == [order(0), order(2)]


def test_children_are_listed_before_their_parents(port: Port) -> None:
    grove = Grove(port, 1)
    sweep = ProbeHandle(port, grove.root)
    grove.tree.sweeps.append(sweep)
    grove.keep(order(1), parent=sweep)
    listed = grove.tree.handles()
    for handle in listed:
        assert handle.parent is None or listed.index(handle) < listed.index(handle.parent)
    assert listed[-1] is grove.root


def test_check_points_may_take_a_part_of_what_is_available() -> None:
    assert memory_cap() > 1 << 20


# --- jobs -------------------------------------------------------------------------------------------


def test_process_that_an_abandoned_job_knew_alone_is_ended_with_the_others() -> None:
    pairs = [socket_pair() for _ in range(3)]
    wake, waker = os.pipe()
    (server, _), *streams = pairs
    parent, child = (ProbeHandle(Port(ours), None) for ours, _ in streams)
    cluster = cast("Cluster", SimpleNamespace(fileno=server.fileno))
    jobs = Conversations(cluster, ProbeContext(no_time, no_time, lambda: True, wake), lambda handle: None)

    def work() -> Job[None]:
        jobs.watch(parent)
        jobs.watch(child)
        yield child, 0.0

    with pytest.raises(Ended):
        jobs.drive([work()])
    assert jobs.abandon() == [child]
    jobs.discard(child)
    jobs.close()
    assert parent.closed
    for stream in (*pairs[0], *(theirs for _, theirs in streams)):
        stream.close()
    os.close(wake)
    os.close(waker)
