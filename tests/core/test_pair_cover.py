"""Orders that bring each test directly after each other one."""

from __future__ import annotations

from itertools import islice, pairwise, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.survey.pair_cover import orders_by_file, orders_by_test, rows

FILES = st.lists(st.integers(1, 6), min_size=1, max_size=6)


def _neighbours(order: list[int] | tuple[TestIndex, ...]) -> list[tuple[int, int]]:
    return list(pairwise(order))


@given(st.integers(0, 60))
def test_each_ordered_pair_is_side_by_side(count: int) -> None:
    found = list(rows(count))
    assert all(sorted(row) == list(range(count)) for row in found)
    assert {pair for row in found for pair in _neighbours(row)} == set(permutations(range(count), 2))


@pytest.mark.parametrize("count", [1, 2, 10, 30, 100])
def test_no_order_can_be_spared_if_the_next_number_is_a_prime(count: int) -> None:
    pairs = [pair for row in rows(count) for pair in _neighbours(row)]
    assert len(pairs) == len(set(pairs)) == count * (count - 1)


def test_few_rows_have_nearly_all_triples_in_all_orders() -> None:
    """So no single test is between two others each time."""
    wanted = set(permutations(range(30), 3))
    for row in islice(rows(30), 20):
        at = {one: place for place, one in enumerate(row)}
        wanted = {(a, b, c) for a, b, c in wanted if not at[a] < at[b] < at[c]}
    assert len(wanted) <= 30 * 29 * 28 // 20


@given(st.integers(0, 12), st.text(max_size=3))
def test_orders_by_test_are_all_that_it_takes_and_the_same_for_the_same_seed(count: int, seed: str) -> None:
    tests = [TestIndex(7 * number) for number in range(count)]
    names = [f"test_{number}" for number in range(count)]
    orders = list(orders_by_test(tests, names, seed))
    assert {pair for order in orders for pair in _neighbours(order)} == set(permutations(tests, 2))
    assert orders == list(orders_by_test(tests, names, seed))


@given(FILES, st.text(max_size=3))
def test_orders_by_file_keep_files_together_and_have_each_after_each(sizes: list[int], seed: str) -> None:
    file_of = [file for file, size in enumerate(sizes) for _ in range(size)]
    tests = [TestIndex(number) for number in range(len(file_of))]
    names = [f"test_{number}" for number in tests]
    orders = list(orders_by_file(tests, names, file_of.__getitem__, seed))
    met = set()
    for order in orders:
        assert sorted(order) == tests
        changes = [(one, other) for one, other in _neighbours(order) if file_of[one] != file_of[other]]
        assert len(changes) == len(sizes) - 1
        met |= {(file_of[one], file_of[other]) for one, other in changes}
    assert met == (set(permutations(range(len(sizes)), 2)) if len(sizes) > 1 else set())
    assert bool(orders) == (len(sizes) > 1)
