"""What is done about each effect of the core, and which event answers it."""

from __future__ import annotations

from typing import Any
from unittest.mock import MagicMock

import pytest

import pytest_procpar.core.run.events as events
from pytest_procpar.controller.effects import Effects
from pytest_procpar.controller.signals import Signals
from pytest_procpar.core.inquiry.probes import Outcome
from pytest_procpar.core.model import TestIndex
from tests.controller.office import GW0, GW1, Office

T3, T4 = TestIndex(3), TestIndex(4)


class Desk(Office):
    def __init__(self) -> None:
        super().__init__()
        self.deaths = self.mocks.deaths
        self.deaths.is_excused.return_value = False
        self.deaths.refused.side_effect = events.Refused
        self.deaths.crashed.return_value = False
        self.effects = Effects(self.mocks, self.deaths)
        self.perform = self.effects.perform


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.mark.parametrize("then", [None, "hold", "last"])
def test_tests_are_handed_out_in_one_message_with_what_follows_them(desk: Desk, then: Any) -> None:
    assert desk.perform(events.Assign(GW0, (T3, T4), then)) is None
    records = [3, 4] if then is None else [3, 4, then]
    assert desk.told("cluster.tell") == [("cluster.tell", GW0, records)]


def test_of_what_is_taken_back_the_core_hears_of_tests_only(desk: Desk) -> None:
    desk.cluster.take_back.return_value = [T3, "hold", T4, "last"]
    assert desk.perform(events.Revoke(GW0)) == events.Revoked(GW0, (T3, T4))


def test_a_plugins_scheduler_is_asked_for_its_answer(desk: Desk) -> None:
    desk.effects.scheduler = scheduler = MagicMock()
    effect = events.Consult()
    assert desk.perform(effect) is scheduler.answer.return_value
    scheduler.answer.assert_called_once_with(effect)


def test_a_worker_is_started_with_its_input(desk: Desk) -> None:
    assert desk.perform(events.Spawn(GW1)) is None
    assert desk.told("cluster.spawn", "terminal.line") == [
        ("cluster.spawn", GW1, desk.mocks.nodes.input_for.return_value)
    ]


def test_a_replacement_is_announced_unless_nobody_was_to_blame(desk: Desk) -> None:
    desk.perform(events.Spawn(GW1, replaces=GW0))
    assert desk.told("terminal.line") == [("terminal.line", "\nreplacing crashed worker gw0")]
    desk.mocks.reset_mock()
    desk.deaths.is_excused.return_value = True
    desk.perform(events.Spawn(GW1, replaces=GW0))
    assert desk.told("terminal.line") == []
    assert desk.told("cluster.spawn")


def test_a_worker_that_has_collected_for_itself_is_ready_and_not_started(desk: Desk) -> None:
    desk.cluster.has.return_value = True
    assert desk.perform(events.Spawn(GW1)) == events.WorkerReady(GW1)
    assert desk.told("cluster.spawn") == []


def test_a_worker_that_was_refused_when_it_was_to_collect_is_refused_once(desk: Desk) -> None:
    desk.cluster.refusals = {GW1: "no room"}
    assert desk.perform(events.Spawn(GW1)) == events.Refused(GW1, "no room")
    assert desk.told("cluster.spawn") == []
    assert desk.perform(events.Spawn(GW1)) is None
    assert desk.told("cluster.spawn")


def test_a_process_that_the_system_refuses_is_told_to_the_core(desk: Desk) -> None:
    desk.cluster.spawn.return_value = "no room"
    assert desk.perform(events.Spawn(GW1)) == events.Refused(GW1, "no room")


def test_without_a_fork_server_nothing_is_started_and_nothing_said(desk: Desk) -> None:
    desk.effects.barren = True
    desk.cluster.has.return_value = True
    assert desk.perform(events.Spawn(GW1, replaces=GW0)) is None
    assert desk.told("cluster.spawn", "terminal.line") == []


def test_a_worker_that_is_to_finish_takes_no_more_orders(desk: Desk) -> None:
    desk.perform(events.Finish(GW1))
    assert desk.nodes[GW1].shutting_down is True
    assert desk.told("cluster.tell") == [("cluster.tell", GW1, ["finish"])]


@pytest.mark.parametrize(("found", "noted"), [((5, 90, 7, 99), 34), ((0, 8, 10, 99), 9), ((0, 0, 0, 99), 0)])
def test_the_memory_of_the_first_workers_that_finish_is_measured(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, found: tuple[int, ...], noted: int
) -> None:
    sizes = iter(found)
    monkeypatch.setattr("pytest_procpar.controller.effects.private", lambda pid: next(sizes))
    desk.cluster.pid.side_effect = (None, 11, 12, 13, 14)
    for _ in range(5):
        desk.perform(events.Finish(GW1))
    assert desk.mocks.run_record.worker_memory == noted


@pytest.mark.parametrize(
    ("effect", "signal", "group"),
    [
        (events.Interrupt(GW1), Signals.INT, None),
        (events.Terminate(GW1), Signals.TERM, True),
        (events.Kill(GW1), Signals.KILL, True),
    ],
)
def test_only_an_interrupt_spares_what_a_test_has_started(
    desk: Desk, effect: Any, signal: int, group: bool | None
) -> None:
    assert desk.perform(effect) is None
    (call,) = desk.cluster.signal.call_args_list
    assert (call.args, call.kwargs.get("group")) == ((GW1, signal), group)


def test_stacks_are_asked_for_with_the_limit_that_was_exceeded(desk: Desk) -> None:
    desk.perform(events.Dump(GW1, T3, 2.5))
    assert desk.told("supervisor.hangs") == [("supervisor.hangs", GW1, 2.5)]


def test_a_crash_is_recorded_before_it_is_reported(desk: Desk) -> None:
    assert desk.perform(events.Crashed(GW1, T3)) is None
    recorded, reported = desk.told("run_record.died", "deaths.crashed")
    assert recorded[:4] == ("run_record.died", GW1, T3, Outcome.CRASHED)
    assert reported == ("deaths.crashed", GW1, T3)


def test_a_crashed_test_that_a_plugin_wants_again_is_put_back(desk: Desk) -> None:
    desk.deaths.crashed.return_value = True
    assert desk.perform(events.Crashed(GW1, T3)) == events.ItemPutBack(T3)


def test_a_hung_test_is_recorded_and_reported_and_never_put_back(desk: Desk) -> None:
    desk.deaths.was_starved.return_value = True
    assert desk.perform(events.Hung(GW1, T3)) is None
    recorded, reported = desk.told("run_record.died", "deaths.hung", "deaths.crashed")
    assert recorded[:5] == ("run_record.died", GW1, T3, Outcome.HUNG, desk.deaths.seconds.return_value)
    assert reported == ("deaths.hung", GW1, T3)
    assert desk.mocks.run_record.died.call_args.kwargs == {"starved": True}


def test_each_test_that_is_not_run_is_reported_with_the_reason(desk: Desk) -> None:
    desk.perform(events.NotRun((T3, T4), "why"))
    assert desk.told("results.not_run") == [("results.not_run", T3, "why"), ("results.not_run", T4, "why")]


@pytest.mark.parametrize(
    ("effect", "text"),
    [
        (events.GiveUp("it is over"), "it is over"),
        (events.Fewer(1, "no room"), "only 1 worker fits: no room"),
        (events.Fewer(2, "no room"), "only 2 workers fit: no room"),
    ],
)
def test_what_ends_or_narrows_the_run_is_said_now_and_in_the_summary(
    desk: Desk, effect: Any, text: str
) -> None:
    desk.perform(effect)
    assert desk.told("terminal.remember") == [("terminal.remember", text)]
    if isinstance(effect, events.Fewer):
        assert desk.cluster.room == effect.workers
