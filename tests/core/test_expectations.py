from __future__ import annotations

import math

import pytest

from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.run.sharing.expectations import Expectations
from pytest_procpar.core.run.sharing.wide_fixtures import NOTHING, WideFixtures

#: Modules 0 and 1 have a fixture of the same name each, module 2 has two; tests 4 and 5 need nothing.
WIDE = WideFixtures(
    use_of=(1, 1, 2, 2, 0, 0, 3, 3),
    uses=(NOTHING, ((0,), (0,)), ((1,), (1,)), ((2,), (2, 3))),
    names=("db", "db", "db", "web"),
    labels=("0::db", "1::db", "2::db", "2::web"),
    homes=(0, 1, 2, 2),
)


def learn(
    expected: Expectations, test: int, seconds: float, set_up: float | None, *new: int, first: bool = False
) -> None:
    expected.learn(TestIndex(test), new, (seconds, set_up), first=first)


def test_a_fixture_costs_what_its_set_up_takes_beyond_that_of_others() -> None:
    expected = Expectations(WIDE)
    assert not expected.knows_cost(0)
    assert expected.cost(0) == 0.0
    learn(expected, 0, 1.6, 1.5, 0)
    learn(expected, 1, 0.6, 0.5)
    assert expected.cost(0) == pytest.approx(1.0)


def test_one_that_was_not_set_up_costs_what_others_of_its_name_cost() -> None:
    expected = Expectations(WIDE)
    learn(expected, 0, 1.0, 1.0, 0)
    assert expected.knows_cost(1)
    assert expected.cost(1) == 1.0
    assert not expected.knows_cost(3)
    learn(expected, 2, 3.0, 3.0, 1)
    assert (expected.cost(0), expected.cost(1), expected.cost(2)) == (1.0, 3.0, 2.0)


def test_what_several_fixtures_cost_is_shared_by_those_of_which_nothing_is_known() -> None:
    expected = Expectations(WIDE)
    learn(expected, 0, 1.0, 1.0, 0)
    learn(expected, 6, 4.0, 4.0, 2, 3)
    assert expected.cost(3) == pytest.approx(3.0)
    assert expected.cost(2) == pytest.approx(1.0)
    learn(expected, 6, 8.0, 8.0, 2, 3)
    assert expected.cost(2) == pytest.approx(2.0)
    assert expected.cost(3) == pytest.approx(4.5)  # the mean of 3 and 6


def test_a_workers_first_test_counts_only_until_others_have_shown_the_cost() -> None:
    expected = Expectations(WIDE)
    learn(expected, 0, 5.0, 5.0, 0, first=True)  # with what the whole session shares
    assert (expected.cost(0), expected.cost(1)) == (5.0, 5.0)
    learn(expected, 2, 0.5, 0.5, 1)
    assert (expected.cost(0), expected.cost(1)) == (0.5, 0.5)


def test_a_set_up_that_failed_or_skipped_tells_nothing() -> None:
    expected = Expectations(WIDE)
    learn(expected, 0, 1.0, None, 0)
    assert not expected.knows_cost(0)
    assert not expected.know_something
    assert expected.ended == 1


def test_a_test_lasts_as_long_as_others_of_its_home_have_without_set_ups() -> None:
    expected = Expectations(WIDE)
    nominal = expected.seconds(TestIndex(0))
    learn(expected, 0, 1.3, 1.0, 0)
    learn(expected, 4, 0.1, 0.0)
    assert nominal > 0
    assert expected.seconds(TestIndex(1)) == pytest.approx(0.3)
    assert expected.seconds(TestIndex(5)) == pytest.approx(0.1)
    assert expected.seconds(TestIndex(2)) == pytest.approx(0.2)


def test_a_test_that_took_no_time_does_not_make_others_take_none() -> None:
    expected = Expectations(WIDE)
    learn(expected, 0, 0.0, 0.0, 0)
    assert expected.seconds(TestIndex(1)) > 0


def test_what_is_known_from_elsewhere_counts_at_once() -> None:
    expected = Expectations(WIDE, (0.1, None, 3.0, *(None,) * 5), {"1::db": 7.0})
    assert expected.know_tests
    assert expected.know_something
    assert expected.seconds(TestIndex(2)) == 3.0
    assert expected.seconds(TestIndex(1)) == pytest.approx(1.55)
    assert expected.cost(1) == 7.0
    assert expected.cost(0) == 7.0


def test_a_set_up_that_goes_on_is_suspected_to_last_as_long_again() -> None:
    expected = Expectations(WIDE)
    expected.suspect((0,), 2.0)
    assert expected.cost(0) == 4.0
    assert not expected.knows_cost(0)
    learn(expected, 0, 3.0, 3.0, 0)
    assert expected.cost(0) == 3.0
    expected.suspect((0,), 50.0)
    assert expected.cost(0) == 3.0


@pytest.mark.parametrize("set_up", [-1.0, math.inf, math.nan])
def test_times_that_cannot_be_do_no_harm(set_up: float) -> None:
    expected = Expectations(WIDE)
    learn(expected, 0, 1.0, set_up, 0)
    assert 0.0 <= expected.cost(0) <= 1.0
    assert 0.0 < expected.seconds(TestIndex(1)) <= 1.0
