from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_procpar.core.model import Dist, RunOptions, TestIndex
from pytest_procpar.core.run.batching import Backlog, Unit
from pytest_procpar.core.run.sharing.expectations import Expectations
from pytest_procpar.core.run.sharing.shelf import Shelf
from tests.core.fixtures_at_work import Suite


def shelf(
    suite: Suite, workers: int, dist: Dist = Dist.LOAD, *, chunk: int | None = None, known: bool = False
) -> tuple[Shelf, Expectations]:
    """A shelf with all tests of a suite; with `known`, with what they take and cost."""
    told = suite.known(durations=known, costs=known)
    expected = Expectations(suite.wide, told.durations, told.costs)
    options = RunOptions(workers, dist, max_chunk=chunk)
    return Shelf(map(TestIndex, range(len(suite.durations))), expected, options), expected


def modules(*counts: int, cost: float = 1.0) -> Suite:
    suite = Suite()
    for count in counts:
        suite.module(count, 0.02, cost)
    return suite


def numbers(units: list[Unit]) -> list[int]:
    return [test for unit in units for test in unit]


def first_batches(pool: Shelf, workers: int) -> list[int]:
    """How many tests each worker gets at first."""
    return [len(pool.first_batch(workers - i, workers)) for i in range(workers)]


@pytest.mark.parametrize("dist", [Dist.LOAD, Dist.WORKSTEAL])
@pytest.mark.parametrize(
    ("counts", "workers", "batches"),
    [
        ((40, 40, 40, 40, 40, 40), 4, [40, 40, 40, 40]),
        ((40, 40, 40), 4, [20, 20, 40, 40]),
        ((240,), 4, [60, 60, 60, 60]),
        ((10, 100), 4, [10, 33, 33, 34]),
        ((3,), 2, [1, 2]),
        ((100, 10), 3, [50, 50, 10]),
        ((1, 1), 2, [1, 1]),
        ((1,), 1, [1]),
    ],
)
def test_every_worker_begins_with_a_block_of_its_own_if_there_are_enough(
    dist: Dist, counts: tuple[int, ...], workers: int, batches: list[int]
) -> None:
    assert first_batches(shelf(modules(*counts), workers, dist)[0], workers) == batches


@pytest.mark.parametrize("dist", [Dist.LOAD, Dist.WORKSTEAL])
@pytest.mark.parametrize("count", [2, 5, 58, 100])
def test_what_shares_nothing_is_dealt_as_without_all_this(dist: Dist, count: int) -> None:
    suite = Suite()
    suite.tests(count, 0.02)
    options = RunOptions(3, dist)
    ours = Shelf(map(TestIndex, range(count)), Expectations(suite.wide), options)
    theirs = Backlog([(TestIndex(i),) for i in range(count)], options)
    for waiting in (3, 2, 1):
        assert ours.first_batch(waiting, 3) == theirs.first_batch(waiting, 3)
    while theirs:
        assert ours.take_batch(3) == theirs.take_batch(3)
    assert not ours


def test_a_block_of_unknown_cost_is_dealt_alone_and_whole() -> None:
    suite = Suite()
    suite.tests(3, 0.02)
    for _ in range(8):
        suite.module(5, 0.02, cost=1.0)
    pool, _ = shelf(suite, 2)
    assert numbers(pool.first_batch(2, 2)) == [0, 1, 2]
    assert numbers(pool.first_batch(1, 2)) == [3, 4, 5, 6, 7]
    assert numbers(pool.take_batch(2)) == [8, 9, 10, 11, 12]


def test_once_a_cost_is_known_the_longest_block_comes_first() -> None:
    pool, expected = shelf(modules(5, 5, 10, 40, 20), 2)
    pool.first_batch(2, 2)
    pool.first_batch(1, 2)
    expected.learn(TestIndex(0), (0,), (1.02, 1.0), first=True)
    pool.refresh()
    assert [len(pool.take_batch(2)) for _ in range(3)] == [40, 20, 10]


def test_blocks_that_are_seen_to_be_cheap_are_divided() -> None:
    pool, expected = shelf(modules(5, 5, 100), 2)
    pool.first_batch(2, 2)
    pool.first_batch(1, 2)
    expected.learn(TestIndex(0), (0,), (0.02, 0.0001), first=True)
    pool.refresh()
    assert [len(pool.take_batch(2)) for _ in range(3)] == [25, 18, 14]


def test_classes_are_the_blocks_of_a_module_that_is_cheap() -> None:
    suite = Suite()
    module = suite.home()
    of_module = suite.fixture(module, 0.0, "cheap")
    for cost in (2.0, 3.0):
        home = suite.home()
        suite.tests(4, 0.02, ((module, home), (of_module, suite.fixture(home, cost, "dear"))))
    suite.tests(4, 0.02, ((module,), (of_module,)))
    pool, _ = shelf(suite, 2, known=True)
    assert numbers(pool.take_batch(2)) == [4, 5, 6, 7]
    assert numbers(pool.take_batch(2)) == [0, 1, 2, 3]
    assert numbers(pool.take_batch(2))[0] == 8


def test_long_tests_come_first_and_the_others_stay_together() -> None:
    suite = Suite()
    for seconds in (0.01, 0.01, 5.0, 0.01, 7.0, 0.01):
        suite.tests(1, seconds)
    pool, _ = shelf(suite, 2, known=True)
    assert [numbers(pool.first_batch(waiting, 2)) for waiting in (2, 1)] == [[4], [2]]
    assert numbers(pool.take_all()) == [0, 1, 3, 5]


def test_one_worker_runs_all_in_the_collected_order() -> None:
    pool, _ = shelf(modules(3, 9, 6), 1, known=True)
    dealt = numbers(pool.first_batch(1, 1))
    while pool:
        dealt += numbers(pool.take_batch(1))
    assert dealt == [*range(18)]


def test_what_comes_back_is_dealt_next_and_whole() -> None:
    pool, _ = shelf(modules(4, 4, 4), 2)
    first = pool.first_batch(2, 2)
    pool.put_back(first[1:])
    assert len(pool) == 11
    assert numbers(pool.take_batch(2)) == [1, 2, 3]


def test_who_has_begun_a_module_gets_the_rest_of_it() -> None:
    pool, expected = shelf(modules(4, 6, 4), 2)
    pool.put_back(pool.first_batch(2, 2)[2:])
    expected.learn(TestIndex(0), (0,), (1.02, 1.0), first=True)
    pool.refresh()
    assert pool.take_of(-1) == []
    assert numbers(pool.take_of(0)) == [2, 3]
    assert pool.take_of(0) == []


@pytest.mark.parametrize("known", [False, True])
def test_no_batch_is_larger_than_max_chunk(known: bool) -> None:
    pool, _ = shelf(modules(40, 7), 2, chunk=5, known=known)
    sizes = [len(pool.take_batch(2)) for _ in range(11)]
    assert max(sizes) == 5
    assert sum(sizes) <= 47


@settings(max_examples=200, deadline=None)
@given(
    counts=st.lists(st.integers(1, 12), min_size=1, max_size=8),
    plain=st.integers(0, 20),
    workers=st.integers(1, 6),
    dist=st.sampled_from([Dist.LOAD, Dist.WORKSTEAL]),
    chunk=st.none() | st.integers(1, 5),
    known=st.booleans(),
    cost=st.sampled_from([0.0, 0.001, 1.0]),
)
def test_everything_is_dealt_once_and_no_batch_is_empty(
    counts: list[int], plain: int, workers: int, dist: Dist, chunk: int | None, known: bool, cost: float
) -> None:
    suite = modules(*counts, cost=cost)
    suite.tests(plain, 0.3)
    pool, expected = shelf(suite, workers, dist, chunk=chunk, known=known)
    dealt: list[int] = []
    for waiting in range(workers, 0, -1):
        dealt += numbers(pool.first_batch(waiting, workers))
    while pool:
        before = len(pool)
        batch = numbers(pool.take_batch(workers))
        assert batch
        assert len(pool) == before - len(batch)
        dealt += batch
        expected.learn(TestIndex(batch[0]), suite.uses[batch[0]][1], (cost + 0.02, cost), first=False)
        pool.refresh()
    assert sorted(dealt) == [*range(len(suite.durations))]
