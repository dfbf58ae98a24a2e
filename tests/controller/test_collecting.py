"""One suite of what one process or several have collected, and what becomes of those that cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_procpar.controller.collection import Collecting
from pytest_procpar.controller.signals import Signals
from pytest_procpar.core.model import ReportData, StartMethod, WorkerId
from pytest_procpar.core.protocol.common import Collected, Halted
from pytest_procpar.core.protocol.server import Reaped
from tests.controller.office import GW0, GW1, GW2, Office, death

if TYPE_CHECKING:
    from pytest_procpar.core.protocol.common import WarningData


def suite(*ids: str) -> Collected:
    return Collected([*ids], None, [], [], {}, [])


class Desk(Office):
    """``workers`` collect for themselves, if there are any."""

    def __init__(self, workers: int = 0, refused: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.cluster.method = StartMethod.FORK_EARLY if workers else StartMethod.FORK
        self.cluster.reason = None
        self.refused = refused
        self.cluster.spawn.side_effect = lambda worker, given: (
            f"no room for {given}" if worker in self.refused else None
        )
        self.mocks.supervisor.death.return_value = death()
        self.collecting = Collecting(self.mocks)
        self.collecting.begin([{"id": n} for n in range(workers or 2)])

    def reaped(self, worker: WorkerId, status: int = 0, reason: str | None = None) -> bool:
        return self.collecting.reaped(Reaped(worker, status, reason))


def test_with_a_fork_server_that_collects_no_worker_is_started_yet() -> None:
    desk = Desk()
    assert desk.told("cluster.spawn", "terminal.start_method") == []
    assert (desk.collecting.started, desk.collecting.knows(GW0)) == (0, False)
    assert desk.collecting.is_over
    assert desk.collecting.merged() is None


def test_workers_that_collect_for_themselves_are_started_with_their_input_and_the_server_is_asked_again() -> (
    None
):
    desk = Desk(2)
    assert desk.told("cluster.spawn", "supervisor.vigil.server_serves") == [
        ("supervisor.vigil.server_serves", 7.0),
        ("cluster.spawn", GW0, {"id": 0}),
        ("cluster.spawn", GW1, {"id": 1}),
    ]
    assert (desk.collecting.started, desk.collecting.is_over) == (2, False)


def test_an_unusual_start_method_is_told_with_its_reason() -> None:
    desk = Desk()
    desk.cluster.reason, desk.cluster.method = "a conftest reads its id", StartMethod.SPAWN
    desk.collecting.begin([{}])
    assert desk.told("terminal.start_method", "cluster.spawn") == [
        ("terminal.start_method", StartMethod.SPAWN, "a conftest reads its id"),
        ("cluster.spawn", GW0, {}),
    ]


def test_what_cannot_be_forked_from_is_collected_by_each_worker() -> None:
    desk = Desk()
    desk.collecting.fall_back("a thread runs", StartMethod.FORK_EARLY)
    told = desk.told("terminal.start_method", "cluster.fall_back", "cluster.spawn")
    names = ["terminal.start_method", "cluster.fall_back", "cluster.spawn", "cluster.spawn"]
    assert [name for name, *_ in told] == names


@pytest.mark.parametrize("can_spawn", [True, False])
def test_what_no_fork_may_share_is_collected_by_fresh_interpreters(can_spawn: bool) -> None:
    desk = Desk()
    desk.cluster.give_up_former.return_value = []
    desk.cluster.switch.side_effect = None if can_spawn else OSError("no interpreter")
    desk.collecting.fall_back("a number became a name", StartMethod.SPAWN)
    told = desk.told("terminal.start_method", "cluster.fall_back", "cluster.switch", "cluster.spawn")
    methods = [StartMethod.SPAWN] if can_spawn else [StartMethod.SPAWN, StartMethod.FORK_EARLY]
    assert [what[1] for what in told if what[0] == "terminal.start_method"] == methods
    assert [name for name, *_ in told].count("cluster.spawn") == 2


def test_the_suite_is_known_once_all_have_collected_it_and_is_the_first_workers() -> None:
    desk = Desk(3)
    assert desk.collecting.collected(GW2, suite("a", "b")) is None
    assert desk.collecting.collected(GW1, suite("a", "b")) is None
    first = suite("a", "b")
    assert desk.collecting.collected(GW0, first) is first


def test_workers_that_have_collected_different_tests_are_an_error_and_an_empty_suite() -> None:
    desk = Desk(2)
    desk.collecting.collected(GW0, suite("a"))
    merged = desk.collecting.collected(GW1, suite("b"))
    assert merged is not None
    assert merged.ids == []
    ((_, what, text),) = desk.told("results.collection_failed")
    assert what == "collections of the workers"
    assert "between gw0 and gw1" in text


def test_a_worker_for_which_there_is_no_process_is_left_out_and_the_others_suffice() -> None:
    desk = Desk(3, refused=(1,))
    assert desk.cluster.refusals == {GW1: "no room for {'id': 1}"}
    assert desk.collecting.collected(GW0, suite("a")) is None
    assert desk.collecting.collected(GW2, suite("a")) is not None
    assert not desk.ending.halted


def test_the_last_worker_being_refused_frees_what_the_others_wait_for() -> None:
    desk = Desk(2)
    desk.collecting.collected(GW0, suite("a"))
    assert desk.reaped(GW1, reason="no room")
    assert desk.told("cluster.release") == [("cluster.release", GW1)]
    assert desk.collecting.merged() is not None
    assert desk.collecting.started == 1


def test_without_any_process_the_run_ends_with_the_reason_of_the_last() -> None:
    desk = Desk(2, refused=(0, 1))
    assert desk.ending._halt == Halted("usage", "no worker could be started: no room for {'id': 1}")
    assert desk.collecting.started == 0
    assert desk.collecting.is_over


def test_a_worker_that_dies_before_it_has_collected_breaks_the_run_once() -> None:
    desk = Desk(2)
    assert desk.reaped(GW0, 11)
    text = "worker gw0 died before it had collected: killed by SIGSEGV"
    assert desk.told("terminal.remember", "nodes.down", "cluster.release") == [
        ("cluster.release", GW0),
        ("nodes.down", GW0, "killed by SIGSEGV"),
        ("terminal.remember", text),
    ]
    assert desk.nodes[GW0].shutting_down is True
    assert desk.ending.broken
    assert desk.reaped(GW1, 11)
    assert len(desk.told("terminal.remember")) == 1
    assert desk.collecting.collected(GW1, suite("a")) is None  # the run is over, whoever collects


@pytest.mark.parametrize(("status", "cause"), [(0, None), (256, "killed by SIGSEGV")])
def test_a_worker_that_has_ended_its_session_is_down_for_no_cause_unless_its_exit_fails(
    status: int, cause: str | None
) -> None:
    desk = Desk(2)
    desk.ending.halt(Halted("exit", "enough"))
    desk.collecting.session_ends(GW0)
    assert desk.reaped(GW0, status)
    assert desk.told("nodes.down") == [("nodes.down", GW0, cause)]
    assert desk.told("terminal.remember") == []
    assert not desk.ending.broken


def test_deaths_after_the_collection_are_the_runs() -> None:
    desk = Desk(1)
    desk.collecting.collected(GW0, suite("a"))
    assert not desk.reaped(GW0, 11)
    assert not Desk().reaped(GW0, 11)
    assert not Desk(1).reaped(GW1, 11)


def test_a_replacement_must_have_collected_the_same() -> None:
    desk = Desk(1)
    desk.collecting.collected(GW0, suite("a"))
    assert desk.collecting.collected(GW1, suite("a")) is None
    assert desk.told("terminal.remember", "cluster.signal") == []
    assert desk.collecting.collected(GW2, suite("b")) is None
    (remembered,) = desk.told("terminal.remember")
    assert remembered[1].startswith("worker gw2 cannot be used: Different tests were collected between gw0")
    assert desk.told("cluster.signal") == [("cluster.signal", GW2, Signals.KILL)]
    assert desk.ending.broken


def warning(when: str) -> WarningData:
    return {
        "text": "w", "module": "builtins", "category": "UserWarning", "filename": "t.py", "lineno": 1,
        "line": None, "when": when, "nodeid": "", "location": None,
    }  # fmt: skip


def test_what_several_workers_say_of_the_collection_is_told_once_and_as_often_as_one_says_it() -> None:
    desk = Desk(2)
    data: ReportData = {"nodeid": "t.py", "outcome": "failed", "longrepr": "E"}
    for worker, times in ((GW0, 1), (GW1, 2)):
        for _ in range(times):
            desk.collecting.reported(worker, data)
            desk.collecting.warned(worker, warning("collect"))
    assert len(desk.told("results.collect_reported")) == 2
    assert len(desk.told("results.warned")) == 2
    desk.collecting.reported(GW0, {**data, "longrepr": "other"})
    assert len(desk.told("results.collect_reported")) == 3


def test_warnings_of_tests_are_all_told() -> None:
    desk = Desk(2)
    for worker in (GW0, GW1):
        desk.collecting.warned(worker, warning("runtest"))
    assert len(desk.told("results.warned")) == 2


def test_at_the_end_who_waits_is_told_to_finish_and_who_collects_is_interrupted_but_once() -> None:
    desk = Desk(3)
    desk.collecting.collected(GW0, suite("a"))
    desk.collecting.session_ends(GW1)
    desk.ending.halt(Halted("exit", "enough"))
    desk.collecting.cut_off()
    assert desk.told("cluster.tell", "cluster.signal") == [
        ("cluster.tell", GW0, ["finish"]),
        ("cluster.signal", GW2, Signals.INT),
    ]
    desk.collecting.collected(GW2, suite("a"))  # it was not to be interrupted
    assert desk.told("cluster.tell")[-1] == ("cluster.tell", GW2, ["finish"])


def test_without_workers_there_is_nobody_to_cut_off() -> None:
    desk = Desk()
    desk.collecting.cut_off()
    assert desk.told("cluster.tell", "cluster.signal") == []


def test_who_does_not_end_is_waited_for_until_given_up() -> None:
    desk = Desk(1)
    assert not desk.collecting.is_over
    desk.collecting.give_up()
    assert desk.collecting.is_over


def test_a_collection_begun_anew_repeats_no_news_and_releases_the_former_workers() -> None:
    desk = Desk(2)
    data: dict[str, Any] = {"nodeid": "t.py", "outcome": "failed", "longrepr": "E"}
    desk.collecting.reported(GW0, data)
    desk.collecting.session_ends(GW0)
    desk.cluster.give_up_former.return_value = [GW0, GW1]
    desk.mocks.reset_mock()
    desk.collecting.start_over()
    assert desk.told("cluster.switch", "cluster.release", "cluster.spawn") == [
        ("cluster.switch",),
        ("cluster.release", GW0),
        ("cluster.release", GW1),
        ("cluster.spawn", GW0, {"id": 0}),
        ("cluster.spawn", GW1, {"id": 1}),
    ]
    desk.collecting.reported(GW0, data)
    assert desk.told("results.collect_reported") == []
    desk.collecting.cut_off()  # that one had ended was the former's
    assert len(desk.told("cluster.signal")) == 2
