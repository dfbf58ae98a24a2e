"""A red run pays little unless there is something to find, or somebody is ready to wait."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_procpar.core.recheck.budget import LEAST_BUDGET, LEAST_BUDGET_ASKED_FOR, Spending, of_a_search


def begun(
    budget: float | None = None, seconds: float = 1.0, *, asked_for: bool = False, fresh: float = 0.0
) -> Spending:
    time = Spending(budget, seconds, asked_for=asked_for, fresh=fresh)
    time.begin(100.0)
    return time


def test_plain_failures_cost_two_seconds_or_a_fifth_of_the_run() -> None:
    # A fifth is for what comes around the probes.
    assert begun(seconds=3.0).end_of_cheap == pytest.approx(101.6)
    assert begun(seconds=50.0).end_of_cheap == pytest.approx(108.0)


def test_of_that_so_much_is_kept_as_a_fresh_process_takes_if_one_is_needed() -> None:
    time = begun(fresh=0.5)
    time.found(0, plain=False)
    assert time.end_of_cheap == pytest.approx(101.6)
    time.found(0, plain=True)
    assert time.end_of_cheap == pytest.approx(101.1)
    slow = begun(fresh=7.0)
    slow.found(0, plain=True)
    assert slow.end_of_cheap == pytest.approx(101.0)


def test_what_has_hung_may_take_its_limit_again_whatever_time_is_left() -> None:
    assert begun(seconds=61.0).end_of_hung(101.0, 1.0) == 161.0
    assert begun(seconds=61.0).end_of_hung(103.0, 60.0) == 103.0 + 60.0 + LEAST_BUDGET
    assert begun(5.0).end_of_hung(103.0, 60.0) == 105.0


def test_a_search_may_take_as_long_as_the_run_and_ten_seconds_at_least() -> None:
    assert begun(seconds=3.0).deadline == 100.0 + LEAST_BUDGET
    assert begun(seconds=50.0).deadline == 150.0
    assert begun(seconds=3.0, asked_for=True).deadline == 100.0 + LEAST_BUDGET_ASKED_FOR


@pytest.mark.parametrize(("budget", "asked_for"), [(30.0, False), (None, True)])
def test_who_is_ready_to_wait_has_all_tried(budget: float | None, asked_for: bool) -> None:
    time = begun(budget, asked_for=asked_for)
    assert time.patient
    assert time.end_of_cheap == time.end_of_long == time.end_of_search


@pytest.mark.parametrize(("budget", "cheap"), [(None, 10.0), (30.0, 30.0)])
def test_what_may_find_nothing_takes_no_longer_than_that(budget: float | None, cheap: float) -> None:
    assert begun(budget, seconds=50.0).cheap == cheap


def test_what_comes_before_the_first_probe_takes_nothing_from_it() -> None:
    time = begun()
    time.ready(101.5)
    assert time.end_of_cheap == pytest.approx(103.1)


@given(st.none() | st.floats(0, 1e4), st.floats(0, 1e4), st.booleans(), st.floats(0, 100))
def test_nothing_is_planned_beyond_what_is_allowed(
    budget: float | None, seconds: float, asked_for: bool, late: float
) -> None:
    time = begun(budget, seconds, asked_for=asked_for, fresh=late)
    time.found(0, plain=True)
    time.ready(100.0 + late)
    assert time.end_of_long <= time.end_of_cheap <= time.end_of_search <= time.deadline
    assert time.end_of_orders <= time.end_of_search
    time.extend(late)
    assert time.end_of_long <= time.end_of_cheap <= time.end_of_search <= time.deadline


@given(st.floats(0, 1e4), st.floats(0, 1e4))
def test_with_the_budget_that_is_named_there_is_time(needed: float, seconds: float) -> None:
    time = begun(seconds=seconds)
    with_it = begun(float(time.needed(needed)), seconds)
    assert with_it.end_of_long - 100.0 >= needed


def test_the_more_is_found_the_more_is_kept_for_fresh_processes() -> None:
    time = begun(100.0)
    ends = []
    for findings in (0, 5, 20, 1000):
        time.found(findings)
        ends.append(time.deadline - time.end_of_search)
    assert ends == [5.0, 5.0, 20.0, 50.0]


@pytest.mark.parametrize(("start", "expected"), [(0.1, [5.0, 10.0, 50.0]), (3.0, [5.0, 30.0, 50.0])])
def test_where_a_process_takes_long_to_start_more_is_kept_for_each_finding(
    start: float, expected: list[float]
) -> None:
    time = Spending(100.0, 10.0, asked_for=True, fresh=start)
    time.begin(0.0)
    kept = []
    for findings in (0, 10, 60):
        time.found(findings)
        kept.append(time.deadline - time.end_of_search)
    assert kept == expected


def test_where_patches_are_tried_more_is_kept_for_each_finding() -> None:
    def end(*, explained: bool) -> float:
        time = Spending(100.0, 10.0, asked_for=True, explained=explained)
        time.begin(0.0)
        time.found(8)
        return time.end_of_search

    assert end(explained=False) == 92.0
    assert end(explained=True) == 76.0


def test_of_a_short_budget_a_quarter_is_kept_though_nothing_is_found_yet() -> None:
    time = begun(8.0)
    assert time.deadline - time.end_of_search == 2.0


@given(st.floats(1, 1e4), st.integers(0, 100), st.floats(0, 1.5))
def test_one_inquiry_and_the_first_orders_leave_time_for_others(
    budget: float, findings: int, late: float
) -> None:
    time = begun(budget)
    time.found(findings)
    now = 100.0 + late * budget
    left = time.end_of_search - now
    for end in (time.end_of_shown(now), time.end_of_alone(now), time.end_of_passes(now, budget)):
        assert end >= now
        assert left <= 0 or time.end_of_search - end == pytest.approx(left / 2, rel=0.21)


@given(st.floats(1, 1e4), st.floats(0, 1.5), st.floats(0, 1e4))
def test_the_first_orders_are_whole_if_that_leaves_time_to_search(
    budget: float, late: float, seconds: float
) -> None:
    time = begun(budget)
    now = 100.0 + late * budget
    left, end = max(0.0, time.end_of_search - now), time.end_of_passes(now, seconds)
    if seconds <= 0.85 * left:
        assert end - now >= seconds * (1 - 1e-9) or end - now == pytest.approx(seconds, abs=1e-9)
    else:
        assert end - now == pytest.approx(left / 2)


@given(st.floats(0, 1e4), st.floats(0, 1e4), st.integers(0, 200), st.floats(0, 9))
def test_with_the_budget_that_is_named_there_is_time_before_other_orders(
    needed: float, seconds: float, findings: int, fresh: float
) -> None:
    """However many findings there are by then."""
    time = begun(seconds=seconds, asked_for=True, fresh=fresh)
    time.found(findings)
    with_it = begun(float(time.needed(needed, more=True)), seconds, fresh=fresh)
    with_it.found(findings)
    assert with_it.end_of_shown(100.0) - 100.0 >= needed


def test_a_search_begins_at_check_points() -> None:
    """122 tests of 0.4 s take 49 s; after the first time a search among them takes less than half of that."""
    assert 0 < of_a_search(122, 0.4) < 0.5 * 122 * 0.4
    assert of_a_search(1000, 0.4) < 2 * of_a_search(10, 0.4)
