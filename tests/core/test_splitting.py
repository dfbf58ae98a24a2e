from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.run.sharing.expectations import Expectations
from pytest_procpar.core.run.sharing.splitting import COLD, Standing, best_split, seconds_in_order
from tests.core.fixtures_at_work import Suite


def expectations(suite: Suite) -> Expectations:
    known = suite.known(durations=True, costs=True)
    return Expectations(suite.wide, known.durations, known.costs)


def all_of(suite: Suite) -> list[TestIndex]:
    return [TestIndex(i) for i in range(len(suite.durations))]


def modules(*costs: float, count: int = 10, seconds: float = 0.1) -> Suite:
    suite = Suite()
    for cost in costs:
        suite.module(count, seconds, cost)
    return suite


def split(suite: Suite, victim: float = 0.0, thief: float = 0.0, *, standing: bool = False) -> int:
    """How many tests of a suite are taken from a worker that has all of it."""
    at_victim = Standing((0,), frozenset([0])) if standing else COLD
    units = [(test,) for test in all_of(suite)]
    return best_split(units, (victim, at_victim), (thief, COLD), expectations(suite)).units


def test_what_costs_nothing_is_halved() -> None:
    assert split(modules(0.0)) == 5


def test_the_part_that_needs_another_set_up_is_the_smaller_by_that() -> None:
    # (R - c) / 2t, with R = 1 s, c = 0.4 s and t = 0.1 s
    assert split(modules(0.4), standing=True) == 3


def test_a_set_up_that_the_victim_has_to_make_too_does_not_count() -> None:
    assert split(modules(0.4)) == 5


@pytest.mark.parametrize("cost", [1.0, 5.0])
def test_what_would_take_longer_elsewhere_stays(cost: float) -> None:
    assert split(modules(cost), standing=True) == 0


def test_a_small_gain_is_not_worth_another_set_up() -> None:
    assert split(modules(0.7, seconds=0.1), standing=True) == 0  # it would gain 0.1 s for 0.7 s more work


def test_a_dear_module_moves_as_a_whole() -> None:
    assert split(modules(3.0, 3.0)) == 10
    assert split(modules(3.0, 3.0, 3.0)) == 10
    assert split(modules(3.0, 3.0, 3.0, 3.0)) == 20


def test_nobody_takes_the_only_test_of_a_worker_that_is_free() -> None:
    suite = Suite()
    suite.tests(1, 1.0)
    assert split(suite) == 0
    assert split(suite, victim=0.5) == 1
    assert split(suite, victim=0.5, thief=0.5) == 0


def test_what_stands_in_the_thief_costs_nothing() -> None:
    suite = modules(0.8)
    units = [(test,) for test in all_of(suite)]
    warm = Standing((0,), frozenset([0]))
    assert best_split(units, (0.0, warm), (0.0, warm), expectations(suite)).units == 5
    assert best_split(units, (0.0, warm), (0.0, COLD), expectations(suite)).units == 0


def test_units_are_not_divided() -> None:
    suite = Suite()
    suite.tests(10, 0.1)
    tests = all_of(suite)
    units = [tuple(tests[:4]), tuple(tests[4:9]), tuple(tests[9:])]
    assert best_split(units, (0.0, COLD), (0.0, COLD), expectations(suite)).units == 2


@st.composite
def queues(draw: st.DrawFn) -> Suite:
    suite = Suite()
    for _ in range(draw(st.integers(1, 4))):
        module = suite.home()
        of_module = suite.fixture(module, draw(st.sampled_from([0.0, 0.3, 2.0])))
        for _ in range(draw(st.integers(1, 3))):
            home = suite.home()
            of_class = suite.fixture(home, draw(st.sampled_from([0.0, 0.3, 2.0])))
            needed = draw(st.sampled_from([(), (of_module,), (of_class,), (of_module, of_class)]))
            use = ((module, home), needed)
            suite.tests(draw(st.integers(1, 4)), draw(st.sampled_from([0.01, 0.2, 1.0])), use)
    return suite


@settings(max_examples=200, deadline=None)
@given(suite=queues(), victim=st.sampled_from([0.0, 0.1, 2.0]), thief=st.sampled_from([0.0, 0.1]))
def test_the_split_is_the_best_of_all(suite: Suite, victim: float, thief: float) -> None:
    """Against trying each of them."""
    expected, tests = expectations(suite), all_of(suite)
    found = best_split([(test,) for test in tests], (victim, COLD), (thief, COLD), expected)
    before = victim + seconds_in_order(tests, COLD, expected)

    def gain(count: int) -> float:
        kept, taken = tests[: len(tests) - count], tests[len(tests) - count :]
        there = victim + seconds_in_order(kept, COLD, expected)
        here = seconds_in_order(taken, COLD, expected)
        more = max(0.0, there + here - before)
        return max(before, thief) - max(there, thief + here) - 0.25 * more

    best = max(gain(count) for count in range(1, len(tests) + 1))
    assert found.gain == pytest.approx(best, abs=1e-5)
    if found.units:
        assert gain(found.units) == pytest.approx(best, abs=1e-5)
    else:
        assert best <= 1e-5
