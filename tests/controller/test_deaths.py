"""Who is to blame for a death: the test that ran, the latest one, the worker, or nobody."""

from __future__ import annotations

from typing import Any

import pytest

import pytest_procpar.core.run.events as events
from pytest_procpar.controller.worker_deaths import Deaths, Postmortem
from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.protocol.worker_status import Death, Stage
from tests.controller.office import GW0, Office, death


class Desk(Office):
    def __init__(self, running: int | None = 0) -> None:
        super().__init__()
        self.mocks.run.running.return_value = {} if running is None else {GW0: running}
        self.mocks.results.keywords.return_value = ("t.py", "test_0")
        self.deaths = Deaths(self.mocks)

    def examine(self, death: Death, status: int = 11) -> Postmortem:
        return self.deaths.examine(GW0, death, status)

    def blamed(self) -> tuple[Any, Any]:
        """The test, and the stage that its crash is reported of."""
        self.deaths.crashed(GW0, self.mocks.run.running()[GW0])
        _, test, found = self.mocks.results.crashed.call_args.args
        return test, found.worker_status.stage


def test_the_running_test_is_to_blame_and_the_death_explained() -> None:
    desk = Desk()
    assert desk.examine(death(Stage.TEARDOWN, 0)) == Postmortem(GW0, None, None, False, None)
    assert desk.blamed() == (0, Stage.TEARDOWN)
    assert desk.told("terminal.line") == [("terminal.line", "[gw0] node down: killed by SIGSEGV")]
    assert desk.nodes[GW0].shutting_down is True


@pytest.mark.parametrize("phases", [None, ((0.0, 1.0, 1.0),) * 3])
def test_a_test_that_was_over_has_ended_and_nobody_is_to_blame(phases: Any) -> None:
    desk = Desk()
    found = desk.examine(death(Stage.BETWEEN, 0, phases=phases))
    passes = None if phases is None else (("t.py", "test_0"), phases)
    assert found == Postmortem(GW0, TestIndex(0), passes, True, None)


def test_a_test_that_had_hung_was_not_over() -> None:
    desk = Desk()
    desk.mocks.supervisor.limit_of.return_value = 2.5
    assert desk.examine(death(Stage.BETWEEN, 0)).ended is None


def test_a_test_whose_slot_is_of_an_earlier_one_was_in_its_setup() -> None:
    desk = Desk(running=1)
    assert desk.examine(death(Stage.BETWEEN, 0)).ended is None
    assert desk.blamed() == (1, Stage.SETUP)


def test_of_a_worker_that_was_not_heard_any_more_nobody_knows_the_phase() -> None:
    desk = Desk()
    desk.mocks.supervisor.had_lost.return_value = True
    assert desk.examine(death(Stage.BETWEEN, 0)).ended is None
    desk.examine(death(Stage.CALL, 5))
    assert desk.blamed() == (0, Stage.BETWEEN)


def test_a_death_without_a_test_is_unexplained_unless_the_run_stops_or_it_was_excused() -> None:
    assert Desk(running=None).examine(death(Stage.BETWEEN, 0)).unexplained
    desk = Desk(running=None)
    desk.mocks.run.stopping = True
    assert not desk.examine(death(Stage.BETWEEN, 0)).unexplained
    desk = Desk(running=None)
    desk.deaths.excuse(GW0)
    assert not desk.examine(death(Stage.BETWEEN, 0)).unexplained
    assert desk.told("terminal.line") == []
    assert desk.deaths.is_excused(GW0)


@pytest.mark.parametrize(
    ("status", "limit", "excused", "breaks", "unexplained"),
    [
        (0, None, False, None, False),
        (11, None, False, "worker gw0 failed at its exit: killed by SIGSEGV", False),
        (11, None, True, None, False),
        (9, 2.5, False, None, True),  # the end of its session took too long
    ],
)
def test_after_its_session_only_a_failing_exit_breaks_the_run(
    status: int, limit: float | None, excused: bool, breaks: str | None, unexplained: bool
) -> None:
    desk = Desk(running=None)
    desk.deaths.session_finished(GW0)
    desk.mocks.supervisor.limit_of.return_value = limit
    if excused:
        desk.deaths.excuse(GW0)
    found = desk.examine(death(Stage.ENDING, 0), status)
    assert (found.breaks, found.unexplained) == (breaks, unexplained)
    assert desk.told("terminal.line") == []
    assert desk.deaths.has_finished(GW0)


@pytest.mark.parametrize(("finished", "cause"), [(False, "killed by SIGSEGV"), (True, None)])
def test_plugins_hear_of_a_cause_unless_the_session_had_finished(finished: bool, cause: str | None) -> None:
    desk = Desk()
    desk.examine(death())
    if finished:
        desk.deaths.session_finished(GW0)
    desk.deaths.bury(GW0)
    assert desk.told("cluster.release", "nodes.down") == [
        ("cluster.release", GW0),
        ("nodes.down", GW0, cause),
    ]


@pytest.mark.parametrize(
    ("stage", "test", "limit", "reported"),
    [
        (Stage.LATE_TEARDOWN, 3, None, "results.crashed"),
        (Stage.LATE_TEARDOWN, 3, 2.5, "results.hung"),
        (Stage.LATE_TEARDOWN, None, None, "results.worker_died"),
        (Stage.BETWEEN, 3, None, "results.worker_died"),
        (Stage.ENDING, 3, 2.5, "results.worker_died"),
    ],
)
def test_an_unexplained_death_is_the_workers_unless_shared_fixtures_were_torn_down(
    stage: Stage, test: Any, limit: float | None, reported: str
) -> None:
    desk = Desk(running=None)
    desk.mocks.supervisor.limit_of.return_value = limit
    desk.examine(death(stage, test))
    desk.deaths.report_unexplained(GW0)
    ((name, node, *_),) = desk.told("results.crashed", "results.hung", "results.worker_died")
    assert (name, node) == (reported, desk.nodes[GW0])


def test_a_hung_test_is_reported_with_the_limit_that_it_exceeded() -> None:
    desk = Desk()
    desk.mocks.supervisor.limit_of.return_value = 2.5
    found = death()
    desk.examine(found)
    desk.deaths.hung(GW0, TestIndex(0))
    assert desk.told("results.hung") == [("results.hung", desk.nodes[GW0], 0, found, 2.5)]


def test_a_refused_process_is_released_and_told_to_plugins_and_the_core() -> None:
    desk = Desk(running=None)
    assert desk.deaths.refused(GW0, "no room") == events.Refused(GW0, "no room")
    assert desk.nodes[GW0].shutting_down is True
    assert desk.told("cluster.release", "nodes.down") == [
        ("cluster.release", GW0),
        ("nodes.down", GW0, "no room"),
    ]


def test_what_memory_and_time_a_death_has_taken_is_remembered() -> None:
    desk = Desk()
    desk.examine(death(is_starved=True))
    assert desk.deaths.was_starved(GW0)
    assert desk.deaths.seconds(GW0) > 0
    assert desk.deaths.starvation(GW0) is None
    desk.deaths.starved(GW0, "no process")
    assert desk.deaths.starvation(GW0) == "no process"
