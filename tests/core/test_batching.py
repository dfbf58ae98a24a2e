from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_procpar.core.model import Dist, RunOptions, TestIndex
from pytest_procpar.core.run.batching import Backlog, Unit, group_tests, share_to_steal, split_into_partitions


def unit(*tests: int) -> Unit:
    return tuple(map(TestIndex, tests))


def singles(count: int) -> list[Unit]:
    return [unit(i) for i in range(count)]


def sizes(pool: Backlog, shares: int) -> list[int]:
    """How many units each batch has, until the pool is empty."""
    out = []
    while pool:
        out.append(len(pool.take_batch(shares)))
    return out


# --- units ------------------------------------------------------------------------------------------


def test_without_keys_every_test_is_a_unit_in_collected_order() -> None:
    assert group_tests(3, None, RunOptions(2)) == [(0,), (1,), (2,)]


@pytest.mark.parametrize("dist", [Dist.LOADSCOPE, Dist.LOADFILE, Dist.LOADGROUP])
def test_the_largest_group_comes_first_and_equals_stay_in_order(dist: Dist) -> None:
    units = group_tests(6, ["a", "b", "c", "b", "c", "d"], RunOptions(2, dist))
    assert units == [(1, 3), (2, 4), (0,), (5,)]


def test_the_longest_group_comes_first_if_durations_are_known() -> None:
    keys, durations = ["a", "b", "b", "c", "c", "c"], [9.0, 2.0, None, 0.1, 0.1, 0.1]
    units = group_tests(6, keys, RunOptions(2, Dist.LOADFILE), durations)
    assert units == [(0,), (1, 2), (3, 4, 5)]
    assert group_tests(6, keys, RunOptions(2, Dist.LOADFILE), [None] * 6)[0] == (3, 4, 5)
    in_order = RunOptions(2, Dist.LOADFILE, reorder=False)
    assert group_tests(6, keys, in_order, [*reversed(durations)])[0] == (0,)


def test_groups_stay_in_collected_order_if_they_are_not_to_be_reordered() -> None:
    units = group_tests(6, ["a", "b", "c", "b", "c", "d"], RunOptions(2, Dist.LOADSCOPE, reorder=False))
    assert units == [(0,), (1, 3), (2, 4), (5,)]


# --- partitions -------------------------------------------------------------------------------------


def test_all_workers_share_one_partition_unless_asked_otherwise() -> None:
    assert split_into_partitions(3, None, RunOptions(2)) == [range(3)]


def test_under_each_every_worker_has_a_partition_with_all_tests() -> None:
    assert split_into_partitions(3, None, RunOptions(2, Dist.EACH)) == [range(3), range(3, 6)]


def test_pinned_tests_are_in_the_partition_of_their_worker_which_may_have_none() -> None:
    options = RunOptions(4, pinned=True)
    partitions = split_into_partitions(5, ["0", "0", "2", "2", "2"], options)
    assert partitions == [range(2), range(2, 2), range(2, 5), range(5, 5)]
    assert split_into_partitions(0, None, options) == [range(0)] * 4


# --- batches ----------------------------------------------------------------------------------------


def test_a_worker_with_tests_of_its_own_gets_them_all_at_once() -> None:
    assert sizes(Backlog(singles(40), RunOptions(2, max_chunk=1, pinned=True)), 2) == [40]


def test_load_deals_ever_smaller_batches() -> None:
    assert sizes(Backlog(singles(40), RunOptions(2)), 2) == [10, 7, 5, 4, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1]


def test_load_deals_neighbours_in_collected_order() -> None:
    assert Backlog(singles(12), RunOptions(2)).take_batch(2) == [(0,), (1,), (2,)]


@pytest.mark.parametrize(("chunk", "largest"), [(1, 1), (3, 3), (100, 10), (None, 10)])
def test_a_batch_of_load_is_no_larger_than_max_chunk(chunk: int | None, largest: int) -> None:
    assert max(sizes(Backlog(singles(40), RunOptions(2, max_chunk=chunk)), 2)) == largest


def test_worksteal_deals_even_shares() -> None:
    pool = Backlog(singles(10), RunOptions(3, Dist.WORKSTEAL))
    assert [len(pool.take_batch(shares)) for shares in (3, 2, 1)] == [4, 3, 3]


def test_the_grouping_modes_deal_one_group_at_a_time() -> None:
    pool = Backlog([unit(0, 1, 2), unit(3), unit(4)], RunOptions(1, Dist.LOADFILE))
    assert [pool.take_batch(1) for _ in range(3)] == [[(0, 1, 2)], [(3,)], [(4,)]]


def test_each_deals_all_there_is() -> None:
    assert sizes(Backlog(singles(10), RunOptions(3, Dist.EACH)), 3) == [10]


@pytest.mark.parametrize("dist", Dist)
def test_an_empty_pool_deals_nothing(dist: Dist) -> None:
    pool = Backlog([], RunOptions(2, dist))
    assert pool.take_batch(2) == []
    assert pool.take_all() == []


def test_what_is_put_back_is_dealt_next_in_its_old_order() -> None:
    pool = Backlog([unit(4), unit(5)], RunOptions(2))
    pool.put_back([unit(0, 1), unit(2)])
    assert len(pool) == 5
    assert pool.take_all() == [(0, 1), (2,), (4,), (5,)]
    assert len(pool) == 0


@given(
    st.lists(st.integers(1, 5)), st.sampled_from(list(Dist)), st.integers(1, 8), st.none() | st.integers(1, 9)
)
@settings(deadline=None)
def test_batches_cover_the_pool_in_order_and_none_is_empty(
    lengths: list[int], dist: Dist, shares: int, chunk: int | None
) -> None:
    starts = [sum(lengths[:i]) for i in range(len(lengths))]
    units = [unit(*range(start, start + size)) for start, size in zip(starts, lengths, strict=True)]
    pool = Backlog(units, RunOptions(shares, dist, max_chunk=chunk))
    dealt: list[Unit] = []
    while pool:
        batch = pool.take_batch(shares)
        assert batch
        dealt += batch
        assert len(pool) == sum(lengths) - sum(map(len, dealt))
    assert dealt == units


# --- stealing ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("units", "idle", "free", "share"),
    [
        (0, True, False, 0),
        (1, True, False, 1),  # nobody else will begin it soon
        (1, False, False, 0),  # either may be the first to be free
        (1, True, True, 0),  # its owner begins it now
        (5, True, False, 3),
        (5, False, False, 2),
        (5, True, True, 2),
        (6, True, False, 3),
        (6, False, True, 3),
    ],
)
def test_half_is_stolen_and_the_odd_unit_goes_to_whoever_is_free_first(
    units: int, idle: bool, free: bool, share: int
) -> None:
    assert share_to_steal(units, thief_idle=idle, victim_free=free) == share
