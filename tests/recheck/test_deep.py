"""A deep survey spends its time on orders, and on what may follow the tests that change state."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import pytest

from pytest_procpar.core.inquiry.cause_search import Search
from pytest_procpar.core.inquiry.probes import Probe
from pytest_procpar.core.inquiry.run_record import RunRecord
from pytest_procpar.core.model import TestIndex, WorkerId
from pytest_procpar.core.recheck.budget import Spending
from pytest_procpar.core.survey.changers import StateAfter
from pytest_procpar.recheck.deep import DeepSurvey
from tests.core.pollution import HEALTHY, Bench, Indices, Model, Suite, flags

COUNT, SECONDS = 120, 0.01
#: In the first orders they never stand side by side.
POLLUTER, VICTIM = TestIndex(17), TestIndex(83)


def suite_with(cleaners: int) -> Suite:
    """One polluter, one victim, and so many tests that undo what the polluter does."""
    models = [HEALTHY] * COUNT
    models[POLLUTER] = Model(sets=flags("a"))
    models[VICTIM] = Model(victim_of=flags("a"))
    places = [place for place in range(COUNT) if place not in (POLLUTER, VICTIM)]
    for place in places[:: len(places) // cleaners][:cleaners]:
        models[place] = Model(clears=flags("a"))
    return Suite(models)


class Driver:
    """Answers searches on a made suite; each test takes its time of a clock that nothing else moves."""

    def __init__(self, suite: Suite, changers: Iterable[TestIndex]) -> None:
        self.now = 0.0
        self.batches: list[list[Probe]] = []
        self.passes: list[float] = []
        self._bench = Bench(suite)
        self._changers = set(changers)

    def try_to_drive(self, search: Search[Any], deadline: float) -> Any:
        try:
            probes = next(search)
            while True:
                assert self.now < deadline
                self.batches.append(probes)
                self.now += sum(len(probe.tests) for probe in probes) * SECONDS
                probes = search.send(self._bench.answer(probes))
        except StopIteration as stop:
            return stop.value

    def states(self, order: Indices, deadline: float) -> list[StateAfter]:
        self.passes.append(deadline)
        self.now += len(order) * SECONDS
        slots: dict[str, str] = {}
        states = []
        for test in order:
            if test in self._changers:
                slots[f"slot of {test}"] = "changed"
            states.append(StateAfter(test, tuple(slots.items())))
        return states


def surveyed(driver: Driver, budget: float) -> tuple[set[TestIndex], DeepSurvey]:
    """What shows itself within the budget."""
    run = RunRecord(None)
    run.collected([f"test_it.py::test_{place}" for place in range(COUNT)])
    for place in range(COUNT):
        run.finished(WorkerId(0), TestIndex(place), place * SECONDS, (place + 1) * SECONDS)
    time = Spending(budget, 1.0, asked_for=True)
    time.begin(driver.now)
    deep = DeepSurvey(run, time, 1, "", lambda: driver.now)
    shown: set[TestIndex] = set()
    while (suspects := deep.suspects(cast("Any", driver), [])) is not None:
        shown.update(suspect.test for suspect in suspects)
        for suspect in suspects:
            assert suspect.failed_after is not None
    return shown, deep


@pytest.mark.parametrize("changers", [[POLLUTER], [TestIndex(3), POLLUTER, TestIndex(50)]])
def test_what_many_tests_undo_shows_right_after_the_test_that_changes_state(
    changers: list[TestIndex],
) -> None:
    budget = 60.0  # nearly all pairs are tried by then, but not side by side
    shown, deep = surveyed(Driver(suite_with(COUNT - 2), []), budget)
    assert VICTIM not in shown
    assert deep.coverage.tried > 0.99 > deep.coverage.adjacent
    shown, deep = surveyed(Driver(suite_with(COUNT - 2), changers), budget)
    assert shown == {VICTIM}
    assert deep.coverage.followed == len(changers)


def test_who_changes_state_is_looked_for_once_and_only_when_nearly_all_pairs_are_tried() -> None:
    driver = Driver(suite_with(1), [POLLUTER])
    surveyed(driver, 10.0)
    assert driver.passes == []
    driver = Driver(suite_with(1), [POLLUTER])
    surveyed(driver, 120.0)
    (deadline,) = driver.passes
    assert deadline < 120.0


def test_what_was_tried_side_by_side_is_not_tried_again() -> None:
    driver = Driver(suite_with(60), [POLLUTER])
    surveyed(driver, 120.0)
    pairs = [probe.tests for batch in driver.batches for probe in batch if len(probe.tests) == 2]
    assert {one for one, _ in pairs} == {POLLUTER}
    assert 1 < len(set(pairs)) == len(pairs) < COUNT - 1


def test_where_all_pairs_were_side_by_side_nothing_more_is_tried() -> None:
    driver = Driver(suite_with(60), [POLLUTER])
    shown, deep = surveyed(driver, 10_000.0)
    assert shown == {VICTIM}
    assert deep.coverage.complete


def test_a_budget_is_kept_to() -> None:
    driver = Driver(suite_with(60), list(map(TestIndex, range(COUNT))))
    surveyed(driver, 60.0)
    assert driver.now <= 60.0


def test_orders_of_equally_slow_tests_are_cut_short_where_there_is_no_time_for_all() -> None:
    driver = Driver(suite_with(1), [])
    budget = 1.2 * COUNT * SECONDS
    _, deep = surveyed(driver, budget)
    lengths = [len(probe.tests) for batch in driver.batches for probe in batch]
    assert 0.05 * COUNT < lengths[-1] < 0.5 * COUNT
    assert driver.now > 0.4 * budget
    assert deep.coverage.left_out > COUNT // 2
