"""Runs whose number of workers changes while they go on, in a simulated cluster."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_procpar.core.model import Dist, RunOptions, TestIndex, WorkerId
from pytest_procpar.core.run.events import (
    Allotted,
    Assign,
    Died,
    Effect,
    Event,
    ItemBegan,
    ItemFinished,
    Spawn,
    SuiteCollected,
    WorkerReady,
)
from pytest_procpar.core.run.run import Run
from tests.core.cluster import simulate
from tests.core.test_run_simulated import (
    EXAMPLES,
    PROMISES,
    _knowledge,
    a_worker_is_spawned_at_the_start_or_for_a_dead_one_or_for_a_test_put_back,
    nobody_takes_what_is_reserved_for_a_worker_that_is_coming_up,
    scenarios,
)

#: What cannot hold where workers are started in the middle of a run.
EXCEPTIONS = (
    a_worker_is_spawned_at_the_start_or_for_a_dead_one_or_for_a_test_put_back,
    nobody_takes_what_is_reserved_for_a_worker_that_is_coming_up,
)
GW0, GW1, GW2 = map(WorkerId, range(3))


@pytest.mark.parametrize(
    ("dist", "pinned"), [*((mode, False) for mode in Dist if mode is not Dist.NO), (Dist.LOAD, True)]
)
@settings(
    max_examples=EXAMPLES, deadline=None, derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
@given(data=st.data())
def test_a_run_keeps_its_promises_whatever_it_is_allotted(
    dist: Dist, pinned: bool, data: st.DataObject
) -> None:
    scenario = data.draw(scenarios(dist, pinned))
    known = dist in (Dist.LOAD, Dist.WORKSTEAL) and not pinned and data.draw(st.booleans())
    scenario = replace(
        scenario,
        known=_knowledge(scenario.tests, scenario.seed) if known else None,
        at_first=data.draw(st.none() | st.integers(1, 6)),
        allotted=tuple(data.draw(st.lists(st.tuples(st.integers(1, 150), st.integers(0, 8)), max_size=8))),
    )
    trace = simulate(scenario)
    for check in PROMISES:
        if check not in EXCEPTIONS:
            check(trace)


class Desk:
    """A run of ten tests for up to three workers, of which one is started."""

    def __init__(
        self,
        dist: Dist = Dist.LOAD,
        keys: tuple[str, ...] | None = None,
        max_restarts: int | None = None,
    ) -> None:
        self.run = Run(RunOptions(workers=3, dist=dist, max_restarts=max_restarts, hang_timeout=60.0))
        self.run.at_first = 1
        self.now = 0.0
        self.effects = self.run.handle(SuiteCollected(10, keys), 0.0)

    def happened(self, *events: Event) -> list[Effect]:
        self.effects = []
        for event in events:
            self.now += 1
            self.effects += self.run.handle(event, self.now)
        return self.effects

    def dealt(self, worker: WorkerId) -> tuple[TestIndex, ...]:
        """What a worker has been dealt by the latest events."""
        return tuple(
            test
            for effect in self.effects
            if isinstance(effect, Assign) and effect.worker == worker
            for test in effect.tests
        )


def test_as_many_are_started_at_first_as_may_be() -> None:
    desk = Desk()
    assert desk.run.workers_for(10) == 1
    assert desk.effects == [Spawn(GW0)]


def test_more_are_started_up_to_what_was_asked_for_and_are_dealt_tests() -> None:
    desk = Desk()
    desk.happened(WorkerReady(GW0))
    assert desk.happened(Allotted(9)) == [Spawn(GW1), Spawn(GW2)]
    desk.happened(WorkerReady(GW1), WorkerReady(GW2))
    assert [effect.worker for effect in desk.effects if isinstance(effect, Assign)] == [GW1, GW2]


def test_no_more_are_started_than_there_are_tests_that_have_not_begun() -> None:
    desk = Desk()
    desk.happened(WorkerReady(GW0))
    for test in map(TestIndex, range(9)):
        desk.happened(ItemBegan(GW0, test), ItemFinished(GW0, test))
    assert desk.happened(Allotted(3)) == [Spawn(GW1)]


def test_a_run_that_may_not_replace_workers_does_not_do_so_when_it_grows() -> None:
    desk = Desk(max_restarts=0)
    desk.happened(Allotted(2), WorkerReady(GW0), WorkerReady(GW1), Died(GW1))
    assert not any(isinstance(effect, Spawn) for effect in desk.happened(Allotted(3)))


def test_nobody_is_let_go_if_there_may_be_fewer() -> None:
    desk = Desk()
    desk.happened(Allotted(2), WorkerReady(GW0), WorkerReady(GW1))
    assert desk.happened(Allotted(1)) == []
    assert desk.happened(Allotted(3)) == [Spawn(GW2)]
