"""How long what is driven may take: inquiries that are not the last leave time, and findings need some."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest

from pytest_procpar.config.settings import RecheckOptions
from pytest_procpar.core.inquiry.cause_search import Search
from pytest_procpar.core.inquiry.findings import Finding, Kind, Suspect
from pytest_procpar.core.inquiry.inquiry import Inquiry
from pytest_procpar.core.inquiry.probes import Outcome, Probe, ProbeResult
from pytest_procpar.core.inquiry.run_record import RunRecord
from pytest_procpar.core.model import TestIndex, WorkerId
from pytest_procpar.core.recheck.budget import Spending
from pytest_procpar.core.survey.comparing import new_suspects
from pytest_procpar.recheck.surveying import Driver, Surveys
from tests.core.pollution import HEALTHY, Bench, Model, Suite, flags, ids

POLLUTED = Suite([HEALTHY, Model(sets=flags("a")), HEALTHY, Model(victim_of=flags("a"))])
VICTIM = Suspect(TestIndex(3), Outcome.FAILED, failed_after=ids(0, 1, 2))


class Probing:
    """Answers probes at once, and notes until when each might take."""

    def __init__(self, suite: Suite = POLLUTED) -> None:
        self._bench = Bench(suite)
        self.deadlines: list[float] = []

    def run(self, probes: Sequence[Probe], deadline: float) -> list[ProbeResult]:
        self.deadlines.append(deadline)
        return self._bench.answer(probes)


class Silent:
    """Shows no progress."""

    def __getattr__(self, name: str) -> Any:
        return lambda *args: None


def inquired(time: Spending, known: Sequence[Finding] = (), until: float | None = None) -> list[float]:
    """Until when the probes of an inquiry into the victim might take."""
    probing = Probing()
    inquiry = Inquiry([VICTIM], lambda test: ids(*range(test)), lambda test: "file")
    Driver(cast("Any", probing), cast("Any", Silent()), time).inquire(inquiry, known, until)
    assert [finding.kind for finding in inquiry.findings()] == [Kind.VICTIM]
    return probing.deadlines


@pytest.fixture
def time() -> Spending:
    made = Spending(100.0, 1.0, asked_for=True)
    made.begin(0.0)
    return made


def test_an_inquiry_after_which_others_follow_ends_earlier(time: Spending) -> None:
    assert set(inquired(time, until=40.0)) == {40.0}
    assert set(inquired(time)) == {95.0}


def test_what_is_known_by_then_needs_time_that_is_not_searched_in(time: Spending) -> None:
    known = [Finding(TestIndex(i), Kind.VICTIM, ids(9)) for i in range(10, 30)]
    known += [Finding(TestIndex(i), Kind.PLAIN) for i in range(30, 60)]
    assert set(inquired(time, known)) == {80.0}
    assert time.end_of_search == 80.0


def test_tests_that_want_one_port_take_turns_for_half_of_what_plain_failures_may_take() -> None:
    port = frozenset(range(1, 4))
    probing = Probing(Suite([HEALTHY, *[Model(collides=port)] * 3]))
    suspects = [
        Suspect(test, Outcome.FAILED, beside=(ids(*port - {test}),), root=0, contention=True)
        for test in ids(*port)
    ]
    time = Spending(None, 1.0, asked_for=False)
    time.begin(0.0)
    inquiry = Inquiry(suspects, lambda test: (), lambda test: "file", 2)
    Driver(cast("Any", probing), cast("Any", Silent()), time).inquire(inquiry)
    alone, beside, in_turn = probing.deadlines
    assert (alone, beside, in_turn) == pytest.approx((1.6, 1.6, 1.0))


# --- the first orders, and every test alone ---

COUNT, SLOW = 40, frozenset(ids(7, 21))
SETTER, BRITTLE, HURT, HURTS = ids(3, 30, 10, 33)


class Slow:
    """Answers searches on a made suite; two tests take three seconds, the others a moment."""

    def __init__(self) -> None:
        models = [HEALTHY] * COUNT
        models[HURTS], models[HURT] = Model(sets=flags("a")), Model(victim_of=flags("a"))
        models[SETTER], models[BRITTLE] = Model(sets=flags("b")), Model(brittle_for=flags("b"))
        self._bench = Bench(Suite(models))
        self.now = 0.0
        self.pace = 1.0

    def try_to_drive(self, search: Search[Any], deadline: float) -> Any:
        try:
            probes = next(search)
            while True:
                self.now += self.pace * sum(seconds(t) for probe in probes for t in probe.tests)
                assert self.now <= deadline
                probes = search.send(self._bench.answer(probes))
        except StopIteration as stop:
            return stop.value


def seconds(test: TestIndex) -> float:
    return 3.0 if test in SLOW else 0.01


def surveyed(
    budget: float, pace: float = 1.0
) -> tuple[dict[TestIndex, tuple[TestIndex, ...] | None], Surveys]:
    """What shows itself, and after what it has failed, if tests take so many times what they took."""
    run = RunRecord(None)
    run.collected([f"test_it.py::test_{place}" for place in range(COUNT)])
    now = 0.0
    for test in ids(*range(COUNT)):
        run.finished(WorkerId(0), test, now, now + seconds(test))
        now += seconds(test)
    driver = Slow()
    driver.pace = pace
    spending = Spending(budget, now, asked_for=True)
    spending.begin(driver.now)
    surveys = Surveys(RecheckOptions("deep", budget=budget), run, spending, lambda: driver.now)
    surveys.run_orders(cast("Any", driver))
    suspects = {suspect.test: suspect for suspect in new_suspects(surveys.placed, run, ())}
    suspects.update((suspect.test, suspect) for suspect in surveys.run_alone(cast("Any", driver)))
    return {test: suspect.failed_after for test, suspect in suspects.items()}, surveys


def test_a_deep_survey_leaves_out_the_slowest_where_there_is_no_time_for_all() -> None:
    shown, surveys = surveyed(8.0)
    assert shown == {
        HURT: tuple(test for test in ids(*reversed(range(11, COUNT))) if test not in SLOW),
        BRITTLE: (),
    }
    assert surveys.left_out == surveys.not_alone == SLOW


def test_a_deep_survey_leaves_out_nothing_where_there_is_time() -> None:
    shown, surveys = surveyed(60.0)
    assert shown == {HURT: ids(*reversed(range(11, COUNT))), BRITTLE: ()}
    assert surveys.left_out == surveys.not_alone == set()


def test_an_order_is_whole_where_that_leaves_some_time_to_search() -> None:
    took = sum(map(seconds, ids(*range(COUNT))))
    _, surveys = surveyed(1.3 * took + 5)
    assert surveys.left_out == set()


def test_what_is_planned_goes_by_what_tests_take_in_probes() -> None:
    _, surveys = surveyed(60.0, pace=8.0)
    assert surveys.left_out == SLOW


def test_a_deep_survey_shows_what_it_can_in_no_time() -> None:
    shown, surveys = surveyed(0.1)
    assert not shown
    assert surveys.left_out > SLOW


class Uniform(Slow):
    """Notes the orders that processes are given; every test takes a moment."""

    def __init__(self) -> None:
        super().__init__()
        self.orders: list[tuple[TestIndex, ...]] = []

    def try_to_drive(self, search: Search[Any], deadline: float) -> Any:
        try:
            probes = next(search)
            while True:
                self.orders += [probe.tests for probe in probes]
                probes = search.send(self._bench.answer(probes))
        except StopIteration as stop:
            return stop.value


@pytest.mark.parametrize(("budget", "most"), [(1.1, 3), (3.0, 20), (100.0, COUNT)])
def test_processes_share_the_reverse_order_where_all_tests_are_equally_slow(budget: float, most: int) -> None:
    run = RunRecord(None)
    run.collected([f"test_it.py::test_{place}" for place in range(COUNT)])
    for test in ids(*range(COUNT)):
        run.finished(WorkerId(test % 2), test, test * 0.1, (test + 1) * 0.1)
    driver = Uniform()
    spending = Spending(budget, 4.0, asked_for=True)
    spending.begin(0.0)
    surveys = Surveys(RecheckOptions("deep", budget=budget), run, spending, lambda: 0.0)
    surveys.run_orders(cast("Any", driver), 2)
    reverse = ids(*reversed(range(COUNT)))
    if most == COUNT:
        assert driver.orders == [reverse[::-1], reverse]
    else:
        assert driver.orders == [reverse[: len(driver.orders[0])], reverse[20 : 20 + len(driver.orders[1])]]
        assert all(0 < len(order) <= most for order in driver.orders)
    assert surveys.left_out == set(reverse).difference(*driver.orders)
