"""How well runs with wide fixtures, or with known durations, come out: seconds and set-ups, simulated."""

from __future__ import annotations

import importlib
import os
import random
from itertools import groupby

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_procpar.core.model import Dist
from pytest_procpar.core.run.sharing.wide_fixtures import NOTHING
from tests.core.fixtures_at_work import Result, Suite, perform

MODES = [Dist.LOAD, Dist.WORKSTEAL]

EXAMPLES = int(os.environ.get("PROCPAR_EXAMPLES", "150"))


def six_modules(count: int = 6) -> Suite:
    """Modules of 40 tests of 20 ms, with a fixture of 1 s each."""
    suite = Suite()
    for _ in range(count):
        suite.module(40, 0.02, cost=1.0)
    return suite


def visits(suite: Suite, result: Result) -> list[list[tuple[int, ...]]]:
    """The homes that each worker comes through, in order."""
    return [
        [homes for homes, _ in groupby(suite.uses[test][0] for test in ran)] for ran in result.ran.values()
    ]


# --- dear fixtures -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dist", MODES)
@pytest.mark.parametrize("latency", [0.0, 0.001])
def test_modules_with_a_dear_fixture_are_divided_only_at_the_end(dist: Dist, latency: float) -> None:
    result = perform(six_modules(), 4, dist, latency=latency)
    assert result.set_ups <= 8
    assert result.seconds <= 3.3  # six set-ups without any division take 3.6


@pytest.mark.parametrize("dist", MODES)
@pytest.mark.parametrize("seed", range(20))
def test_no_module_is_set_up_again_for_its_last_tests(dist: Dist, seed: int) -> None:
    made_up = random.Random(seed)
    suite = six_modules()
    suite.durations = [seconds * made_up.uniform(0.9, 1.3) for seconds in suite.durations]
    result = perform(suite, 4, dist, latency=made_up.choice([0.0001, 0.001, 0.005]))
    assert result.set_ups <= 8
    assert result.seconds <= 3.6


@pytest.mark.parametrize("dist", MODES)
def test_every_worker_begins_with_a_module_of_its_own_and_runs_all_of_it(dist: Dist) -> None:
    suite = six_modules(8)
    result = perform(suite, 4, dist)
    assert result.set_ups == 8
    assert all(len(homes) == 2 for homes in visits(suite, result))
    assert result.seconds == pytest.approx(3.6)


@pytest.mark.parametrize("dist", MODES)
def test_the_tests_of_one_module_are_shared_evenly_though_each_worker_sets_it_up(
    dist: Dist,
) -> None:
    result = perform(six_modules(1), 4, dist)
    assert result.set_ups == 4
    assert result.seconds == pytest.approx(1.2)
    suite = Suite()
    suite.module(240, 0.02, cost=1.0)
    assert perform(suite, 4, dist).seconds == pytest.approx(2.2)


@pytest.mark.parametrize("dist", MODES)
def test_where_there_are_fewer_modules_than_workers_the_larger_ones_are_divided(dist: Dist) -> None:
    result = perform(six_modules(3), 4, dist)
    assert result.set_ups == 4
    assert result.seconds == pytest.approx(1.8)
    suite = six_modules(1)
    suite.module(120, 0.02, cost=1.0)
    result = perform(suite, 4, dist)
    assert result.set_ups == 4
    assert result.seconds == pytest.approx(1.8)


@pytest.mark.parametrize("dist", MODES)
def test_tests_that_are_shorter_than_another_set_up_stay_where_it_is_made(dist: Dist) -> None:
    suite = Suite()
    for _ in range(5):
        suite.module(20, 0.001, cost=1.0)
    result = perform(suite, 4, dist)
    assert result.set_ups == 5


def test_a_fixture_that_shows_to_be_slow_changes_what_follows() -> None:
    def made(cost: float) -> Suite:
        suite = Suite()
        for _ in range(4):
            suite.module(10, 0.02, cost=0.0, name="quick")
        for _ in range(10):
            suite.module(40, 0.02, cost=cost)
        return suite

    cheap, dear = perform(made(0.001), 4), perform(made(1.0), 4)
    assert dear.set_ups - 4 <= 14  # each worker may take a part of a module at the end
    assert cheap.seconds <= 1.05 * made(0.001).total / 4
    assert dear.seconds <= (made(1.0).total + 4 * 1.0) / 4 + 0.5


def test_the_longest_module_comes_first_once_it_is_known_what_its_fixture_costs() -> None:
    suite = Suite()
    for count in (10, 12, 5, 5, 100):
        suite.module(count, 0.02, cost=1.0)
    result = perform(suite, 2)
    assert visits(suite, result) == [[(0,), (4,)], [(1,), (2,), (3,)]]


def test_what_earlier_runs_have_shown_is_known_from_the_start() -> None:
    suite = Suite()
    for cost in (0.1, 0.1, 0.1, 3.0):
        suite.module(20, 0.01, cost=cost, name=f"costs {cost}")
    result = perform(suite, 2, durations=True, costs=True)
    assert result.ran[min(result.ran)][0] == 60
    assert result.seconds == pytest.approx(3.2)
    assert result.set_ups == 4


# --- classes, modules with classes, parameters -------------------------------------------------------


@pytest.mark.parametrize("dist", MODES)
def test_a_class_that_sets_up_much_stays_together(dist: Dist) -> None:
    suite = Suite()
    for _ in range(12):
        home = suite.home()
        suite.tests(5, 0.01, ((home,), (suite.fixture(home, 0.5, "setUpClass"),)))
    result = perform(suite, 4, dist)
    assert result.set_ups == 12
    assert result.seconds <= 1.7


def nested(module_cost: float, class_cost: float) -> Suite:
    """Two modules with four classes each; every class has a fixture, and every module has one."""
    suite = Suite()
    for _ in range(2):
        module = suite.home()
        of_module = suite.fixture(module, module_cost, "of module")
        for _ in range(4):
            home = suite.home()
            suite.tests(10, 0.01, ((module, home), (of_module, suite.fixture(home, class_cost, "of class"))))
    return suite


@pytest.mark.parametrize("dist", MODES)
def test_a_dear_module_with_classes_stays_together(dist: Dist) -> None:
    result = perform(nested(1.0, 0.001), 2, dist)
    assert sum(count for fixture, count in result.by_fixture.items() if fixture in (0, 5)) == 2


@pytest.mark.parametrize("dist", MODES)
def test_dear_classes_of_a_cheap_module_are_shared_class_by_class(dist: Dist) -> None:
    result = perform(nested(0.0001, 0.5), 4, dist)
    classes = sum(count for fixture, count in result.by_fixture.items() if fixture not in (0, 5))
    assert classes <= 10
    assert result.seconds <= 1.75  # eight classes of 0.6 s each for four workers: 1.2, and what is learned


@pytest.mark.parametrize("dist", MODES)
def test_each_parameter_of_a_fixture_is_set_up_by_itself(dist: Dist) -> None:
    suite = Suite()
    home = suite.home()
    for _ in range(8):
        suite.tests(10, 0.01, ((home,), (suite.fixture(home, 0.5),)))
    result = perform(suite, 4, dist)
    assert result.set_ups <= 12
    assert result.seconds <= 1.5


def test_a_test_that_needs_nothing_of_its_module_may_leave_it() -> None:
    suite = Suite()
    home = suite.home()
    fixture = suite.fixture(home, 1.0)
    suite.tests(2, 0.02, ((home,), (fixture,)))
    suite.tests(200, 0.02, ((home,), ()))
    suite.module(10, 0.02, cost=0.0, name="quick")
    result = perform(suite, 2)
    assert result.set_ups <= 3
    assert result.seconds <= 2.7


# --- cheap fixtures ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dist", MODES)
def test_cheap_fixtures_keep_nobody_from_sharing_tests_evenly(dist: Dist) -> None:
    suite = Suite()
    for _ in range(20):
        suite.module(20, 0.005, cost=0.001)
    result = perform(suite, 4, dist)
    assert result.seconds <= 1.05 * suite.total / 4
    assert result.set_ups <= 2 * 20


@pytest.mark.parametrize("dist", MODES)
def test_one_module_of_many_trivial_tests_is_shared_evenly(dist: Dist) -> None:
    suite = Suite()
    suite.module(1000, 0.0001, cost=0.0005)
    assert perform(suite, 4, dist).seconds <= 1.1 * suite.total / 4


# --- known durations ---------------------------------------------------------------------------------


def of_power_law(seed: int) -> Suite:
    made_up = random.Random(seed)
    suite = Suite()
    for _ in range(64):
        suite.tests(1, 0.02 * made_up.paretovariate(1.1))
    return suite


@pytest.mark.parametrize("seed", range(20))
def test_what_is_known_to_last_begins_first(seed: int) -> None:
    suite = of_power_law(seed)
    best = max(*suite.durations, suite.total / 8)
    assert perform(suite, 8, durations=True).seconds <= 1.05 * best


def test_a_long_test_at_the_end_of_the_suite_begins_first_once_it_is_known() -> None:
    suite = Suite()
    suite.tests(299, 0.06)
    suite.tests(1, 3.0)
    assert perform(suite, 4, durations=True).seconds <= 1.05 * suite.total / 4


def test_neighbours_of_equal_length_stay_together_though_durations_are_known() -> None:
    suite = Suite()
    suite.tests(1000, 0.01)
    result = perform(suite, 2, durations=True)
    first, second = (result.ran[worker] for worker in sorted(result.ran))
    assert first[:200] == [*range(200)]
    assert second[:100] == [*range(second[0], second[0] + 100)]
    assert result.seconds <= 1.01 * suite.total / 2


# --- bounds ------------------------------------------------------------------------------------------


@st.composite
def suites(draw: st.DrawFn, dearest: float) -> Suite:
    """Modules with and without fixtures, and with classes, of tests that last for anything."""
    suite = Suite()
    seconds = st.sampled_from([0.0, 0.001, 0.03, 0.3, 2.0])  # what takes 20 ms is left alone
    costs = st.sampled_from([cost for cost in (0.0, 0.001, 0.05, 1.0, 5.0) if cost <= dearest])
    for _ in range(draw(st.integers(1, 8))):
        kind = draw(st.sampled_from(["plain", "module", "classes"]))
        if kind == "plain":
            suite.tests(draw(st.integers(1, 20)), draw(seconds))
        elif kind == "module":
            suite.module(draw(st.integers(1, 30)), draw(seconds), draw(costs))
        else:
            module = suite.home()
            of_module = suite.fixture(module, draw(costs), "of module")
            for _ in range(draw(st.integers(1, 3))):
                home = suite.home()
                of_class = suite.fixture(home, draw(costs), "of class")
                suite.tests(draw(st.integers(1, 10)), draw(seconds), ((module, home), (of_module, of_class)))
    return suite


@pytest.mark.parametrize("dist", MODES)
@settings(max_examples=EXAMPLES, deadline=None, derandomize="CI" in os.environ)
@given(suite=suites(dearest=0.0), workers=st.integers(1, 6), durations=st.booleans())
def test_without_set_ups_nobody_waits_as_long_as_there_is_work(
    dist: Dist, suite: Suite, workers: int, durations: bool
) -> None:
    """The bound of list scheduling (Graham 1966), 2 - 1/m times the best; what is short is left alone."""
    result = perform(suite, workers, dist, durations=durations, costs=True)
    longest = max(suite.durations)
    assert result.seconds <= suite.total / workers + (1 - 1 / workers) * longest + 0.03


@pytest.mark.parametrize("dist", MODES)
@settings(max_examples=EXAMPLES, deadline=None, derandomize="CI" in os.environ)
@given(suite=suites(dearest=5.0), workers=st.integers(1, 6), known=st.booleans())
def test_who_waits_would_gain_little_by_another_set_up(
    dist: Dist, suite: Suite, workers: int, known: bool
) -> None:
    """As above; a worker waits at most for what is not worth a set-up: one and a half times its cost."""
    result = perform(suite, workers, dist, durations=known, costs=known)
    made = sum(suite.costs[fixture] * count for fixture, count in result.by_fixture.items())
    dearest = max(sum(suite.costs[fixture] for fixture in fixtures) for _, fixtures in suite.uses)
    longest = max(suite.durations)
    # What is being set up for the first time tells nothing of how long tests there take, until it is over.
    waits = longest if known else 2 * longest
    assert result.seconds <= (sum(suite.durations) + made) / workers + waits + 2.5 * dearest + 0.05
    assert workers > 1 or set(result.by_fixture.values()) <= {1}


def uneven(modules: int, *, cost: float) -> Suite:
    """Modules of 20 tests each that take 0.05 s and more, a few of them much more."""
    suite, chance = Suite(), random.Random(3)
    for _ in range(modules):
        home = suite.home()
        use = ((home,), (suite.fixture(home, cost),)) if cost else NOTHING
        for _ in range(20):
            suite.tests(1, min(5.0, 0.05 * chance.paretovariate(1.3)), use)
    return suite


@pytest.mark.parametrize(
    ("where", "name", "cost", "most"),
    [("sharing.scheduler", "best_split", 1.0, 15), ("scheduler", "share_to_steal", 0.0, 10)],
)
def test_each_of_many_workers_looks_at_few_others(
    monkeypatch: pytest.MonkeyPatch, where: str, name: str, cost: float, most: int
) -> None:
    # Else all that have run out of tests would look at all that have some, at every event.
    module = importlib.import_module(f"pytest_procpar.core.run.{where}")
    weigh, weighed = getattr(module, name), []

    def noted(*args: object, **options: object) -> object:
        weighed.append(args)
        return weigh(*args, **options)

    monkeypatch.setattr(module, name, noted)
    suite = uneven(60, cost=cost)
    perform(suite, 48)
    assert 0 < len(weighed) <= most * len(suite.durations)
