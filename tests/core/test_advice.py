"""What one run tells about the next: no schedule is promised that cannot be, and what costs time is named."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_procpar.core.advice.advice import Advice, RanTest, RunFacts, advise
from pytest_procpar.core.advice.makespan import Batch, schedule, shortest, split
from pytest_procpar.core.history.run_log import Ending

SECONDS = st.floats(0.0, 10.0, allow_nan=False)
BATCHES = st.lists(
    st.builds(Batch, st.lists(SECONDS, min_size=1, max_size=8).map(tuple), st.just(0.0) | SECONDS),
    min_size=1,
    max_size=12,
)
WORKERS = st.integers(1, 8)


# --- schedules ---


@given(BATCHES, WORKERS)
def test_no_schedule_undercuts_the_bound_or_is_beyond_that_of_lpt(batches: list[Batch], workers: int) -> None:
    took = schedule(batches, workers).seconds
    assert took >= shortest(batches, workers) * (1 - 1e-9)
    # Unsplit batches are what LPT may have to deal out whole; lumps are no longer than a fiftieth.
    whole = max(batch.seconds if batch.cost else max(batch.tests) for batch in batches)
    total = sum(batch.seconds for batch in batches)
    assert took <= (total / workers + max(whole, total / workers / 50)) * (1 + 1e-9)


@given(BATCHES)
def test_one_worker_takes_the_sum(batches: list[Batch]) -> None:
    assert schedule(batches, 1).seconds == pytest.approx(sum(batch.seconds for batch in batches))


@given(st.lists(SECONDS, min_size=1, max_size=20), SECONDS, st.integers(1, 9))
def test_parts_have_all_tests_and_each_pays(tests: list[float], cost: float, parts: int) -> None:
    some = split(Batch(tuple(tests), cost), parts)
    assert sorted(seconds for part in some for seconds in part.tests) == sorted(tests)
    assert len(some) == min(parts, len(tests))
    assert all(part.tests and part.cost == cost for part in some)


def test_a_batch_is_split_only_where_that_pays() -> None:
    six = [Batch((0.02,) * 40, 1.0)] * 6
    good = schedule(six, 4)
    assert good.seconds == pytest.approx(3.2, abs=0.01)
    assert sum(good.parts.get(place, 1) for place in range(6)) == 8
    assert schedule(six, 6).parts == {}
    assert schedule([Batch((0.1,) * 4, 1.0)], 2) == schedule([Batch((0.1,) * 4, 1.0)], 3)


def test_trivial_tests_are_dealt_evenly() -> None:
    assert schedule([Batch((0.001,))] * 10_000, 4).seconds == pytest.approx(2.5, rel=0.03)


# --- advice ---


def ran(*tests: tuple[str, float, float], start: float = 0.0) -> list[RanTest]:
    """What a worker ran: nodeid, seconds of the set-up and of the call, without a gap."""
    found = []
    for nodeid, setup, call in tests:
        found.append(RanTest(nodeid, Ending.RAN, setup, call, 0.0, start, start + setup + call))
        start += setup + call
    return found


def advice_of(workers: Sequence[list[RanTest]], cpus: int = 4, began: float = -1.0) -> Advice:
    advice = advise(RunFacts(began, {f"gw{place}": tests for place, tests in enumerate(workers)}, cpus))
    assert advice is not None
    return advice


def module(name: str, count: int, cost: float, seconds: float = 0.1) -> list[tuple[str, float, float]]:
    return [(f"{name}.py::test_{i}", cost if i == 0 else 0.0, seconds) for i in range(count)]


def test_without_a_test_there_is_nothing_to_say() -> None:
    assert advise(RunFacts(0.0, {}, 4)) is None
    assert advise(RunFacts(0.0, {"gw0": []}, 4)) is None


def test_a_module_that_several_workers_have_set_up_is_dear() -> None:
    halves = ran(*module("a", 5, 2.0), *module("b", 5, 2.0))
    advice = advice_of([halves, halves])
    assert [(dear.key, dear.set_ups, dear.needed) for dear in advice.dear] == [("a.py", 2, 1), ("b.py", 2, 1)]
    assert [dear.cost for dear in advice.dear] == pytest.approx([2.0, 2.0])
    assert sum(dear.wasted for dear in advice.dear) == pytest.approx(4.0)
    assert advice.work == pytest.approx(10.0)
    assert advice.best == pytest.approx(3.0)


def test_set_ups_that_shorten_the_run_are_not_wasted() -> None:
    half = ran(*module("a", 5, 2.0))
    (dear,) = advice_of([half, half]).dear
    assert (dear.set_ups, dear.needed, dear.wasted) == (2, 2, 0.0)


def test_a_worker_that_comes_back_to_a_module_sets_it_up_again() -> None:
    there = module("a", 3, 1.0)
    advice = advice_of([ran(*there, *module("b", 2, 0.0), *there)])
    assert [(dear.key, dear.set_ups) for dear in advice.dear] == [("a.py", 2)]


def test_what_every_worker_sets_up_once_is_not_dear() -> None:
    advice = advice_of([ran(*module("a", 3, 0.0), *module("b", 3, 0.0))] * 2)
    assert list(advice.dear) == []


def test_a_dear_class_in_a_dear_module_is_named_too() -> None:
    inner = [("a.py::TestX::test_1", 3.0, 0.1), ("a.py::TestX::test_2", 0.0, 0.1)]
    advice = advice_of([ran(*module("a", 3, 1.0), *inner)])
    assert {dear.key: round(dear.cost, 3) for dear in advice.dear} == {"a.py": 1.0, "a.py::TestX": 3.0}
    assert advice.best == pytest.approx(advice.work)


def test_the_longest_test_bounds_a_run() -> None:
    advice = advice_of([ran(("a.py::test_long", 0.0, 9.0)), ran(*module("b", 10, 0.0))])
    assert advice.is_bound_by_one_test
    assert advice.longest == ("a.py::test_long", 9.0)
    assert advice.longest_of_file == ("a.py", 9.0)
    assert advice.bound == pytest.approx(9.0)
    assert not advice_of([ran(*module("b", 10, 0.0))] * 2).is_bound_by_one_test


def test_idle_is_what_is_missing_at_both_ends_and_between() -> None:
    late = ran(("b.py::test_1", 0.0, 1.0), start=2.0)
    late += ran(("b.py::test_2", 0.0, 1.0), start=3.0)
    late += ran(("b.py::test_3", 0.0, 1.0), start=7.0)
    advice = advice_of([ran(("a.py::test", 0.0, 10.0)), late])
    assert advice.tests == pytest.approx(10.0)
    assert advice.idle["gw0"] == pytest.approx(0.0)
    assert advice.idle["gw1"] == pytest.approx((2.0 + 2.0 + 1.0 + 2.0) / 10 - 0.2, abs=0.21)
    assert advice.before == pytest.approx(1.0)


def test_the_smallest_number_of_workers_that_is_about_as_fast_is_worth_having() -> None:
    tests = ran(*((f"a.py::test_{i}", 0.0, 1.0) for i in range(3)))
    advice = advice_of([tests], cpus=8)
    assert advice.expected[1] == pytest.approx(3.0)
    assert advice.expected[2] == pytest.approx(2.0)
    assert advice.worth == 3
    assert max(advice.expected) == 16


def test_workers_stand_in_the_order_of_their_numbers() -> None:
    advice = advice_of([ran(("a.py::test", 0.0, 1.0))] * 12)
    assert list(advice.idle)[:3] == ["gw0", "gw1", "gw2"]
    assert list(advice.idle)[-1] == "gw11"


@given(
    st.lists(
        st.lists(
            st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(0, 5), SECONDS, SECONDS), max_size=8
        ),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from(Ending),
)
def test_advice_never_fails_and_its_figures_agree(
    workers: list[list[tuple[str, int, float, float]]], ending: Ending
) -> None:
    processes = {
        f"gw{place}": [
            RanTest(
                f"{name}.py::test_{number}", ending, setup, call, 0.0, float(at), float(at) + setup + call
            )
            for at, (name, number, setup, call) in enumerate(tests)
        ]
        for place, tests in enumerate(workers)
    }
    advice = advise(RunFacts(0.0, processes, 4))
    if advice is None:
        assert not any(processes.values())
        return
    assert advice.bound <= advice.best * (1 + 1e-9)
    assert advice.worth in advice.expected
    assert all(dear.set_ups >= 1 and dear.needed >= 1 and dear.wasted >= 0 for dear in advice.dear)
