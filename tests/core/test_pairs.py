"""Which ordered pairs of tests are tried: no third test was between them each time."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.survey.pair_cover import orders_by_test
from pytest_procpar.core.survey.pairs import Pairs
from tests.core.pollution import ids

_COUNT = 7


def _coverage(count: int, *orders: tuple[TestIndex, ...]) -> tuple[float, float]:
    pairs = Pairs(ids(*range(count)))
    for order in orders:
        pairs.ran(order)
    found = pairs.coverage(len(orders))
    assert not found.estimate
    return found.tried, found.adjacent


def test_one_order_tries_neighbours_only() -> None:
    tried, adjacent = _coverage(4, ids(0, 1, 2, 3))
    assert (tried, adjacent) == pytest.approx((3 / 12, 3 / 12))


def test_a_pair_is_tried_once_different_tests_were_between() -> None:
    tried, adjacent = _coverage(4, ids(0, 1, 3), ids(0, 2, 3))
    assert adjacent == pytest.approx(4 / 12)
    assert tried == pytest.approx(5 / 12)


def test_the_same_test_between_each_time_may_have_hidden_it() -> None:
    tried, adjacent = _coverage(4, ids(0, 1, 2, 3), ids(0, 2, 3))
    # (0, 3) has test 2 between in both.
    assert (tried, adjacent) == pytest.approx((4 / 12, 4 / 12))


@given(st.lists(st.permutations(range(_COUNT)), max_size=6), st.integers(0, _COUNT))
def test_it_is_as_it_is_defined(orders: list[list[int]], cut: int) -> None:
    runs = [ids(*order[: len(order) - cut * (number % 2)]) for number, order in enumerate(orders)]
    tried = adjacent = 0
    for pair in permutations(range(_COUNT), 2):
        between = [
            set(run[run.index(pair[0]) + 1 : run.index(pair[1])])
            for run in runs
            if set(pair) <= set(run) and run.index(pair[0]) < run.index(pair[1])
        ]
        tried += bool(between) and not set.intersection(*between)
        adjacent += set() in between
    everything = _COUNT * (_COUNT - 1)
    assert _coverage(_COUNT, *runs) == pytest.approx((tried / everything, adjacent / everything))


def test_of_many_pairs_a_sample_tells() -> None:
    tests = ids(*range(60))
    pairs = Pairs(tests)
    assert pairs.coverage(0).estimate
    for number, order in enumerate(orders_by_test(tests, [str(test) for test in tests], "seed")):
        pairs.ran(order)
        if number == 14:
            quarter = pairs.coverage(15)
    assert quarter.adjacent == pytest.approx(0.25)
    assert 0.8 < quarter.tried < 1
    assert not quarter.complete
    assert pairs.coverage(60).complete
    assert pairs.coverage(60).tried == 1


@pytest.mark.parametrize("count", [0, 1])
def test_without_pairs_all_are_tried(count: int) -> None:
    assert _coverage(count, ids(*range(count))) == (1, 1)
