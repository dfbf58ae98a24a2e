"""When the watch over a run does what, to the second: the simulated cluster shows that this suffices."""

from __future__ import annotations

from pytest_procpar.core.model import RunOptions, TestIndex, WorkerId
from pytest_procpar.core.run.actions import (
    Action,
    BreakOff,
    DumpStacks,
    FinishCollecting,
    GiveUpCollecting,
    GiveUpServer,
    KillLost,
    LookForDeadlocks,
    LookIntoInboxes,
    PingServer,
    Say,
    ShowRunning,
    WakeRun,
)
from pytest_procpar.core.run.crew import START_TIMEOUT
from pytest_procpar.core.run.events import Assign, ItemBegan, SuiteCollected, WorkerReady
from pytest_procpar.core.run.hang_watch import DUMP_SECONDS
from pytest_procpar.core.run.run import Run
from pytest_procpar.core.run.vigil import (
    CALM_SECONDS,
    COLLECT_SECONDS,
    DEAF_SECONDS,
    FIRST_LOOK_SECONDS,
    LOST_SECONDS,
    PING_SECONDS,
    STALL_SECONDS,
    TERMINATED_SECONDS,
    Vigil,
)

GW0, GW1 = WorkerId(0), WorkerId(1)


class Desk:
    """A run with two workers that wait for their first tests, and the watch over it, from second 0 on."""

    def __init__(self, *, quiet: float = 0.0, ready: bool = True) -> None:
        self.run = Run(RunOptions(workers=2))
        self.vigil = Vigil(self.run, 0.0, quiet=quiet)
        self._first: dict[WorkerId, TestIndex] = {}
        self.vigil.look_again(None)
        self.run.handle(SuiteCollected(8), 0.0)
        if ready:
            for worker in (GW0, GW1):
                for effect in self.run.handle(WorkerReady(worker), 0.0):
                    if isinstance(effect, Assign):
                        self._first.setdefault(effect.worker, effect.tests[0])
        self.vigil.progressed(0.0)

    def at(self, now: float, *empty: WorkerId) -> list[Action]:
        """What is due then, where the inboxes of these workers are found empty; that is no news itself."""
        acts: list[Action] = []
        for action in self.vigil.due(now):
            match action:
                case LookIntoInboxes():
                    self.vigil.found_empty(empty, now)
                case _:
                    acts.append(action)
        return acts

    def begins(self, worker: WorkerId) -> None:
        """A worker begins its first test."""
        self.run.handle(ItemBegan(worker, self._first[worker]), 0.0)


def test_before_anything_has_happened_only_deadlocks_are_looked_for() -> None:
    vigil = Vigil(Run(RunOptions(workers=2)), 100.0, quiet=60.0)
    assert vigil.deadline() == 100.0 + FIRST_LOOK_SECONDS
    assert list(vigil.due(100.0 + FIRST_LOOK_SECONDS)) == [LookForDeadlocks()]
    assert vigil.deadline() == 100.0 + CALM_SECONDS
    vigil.look_again(105.0)
    assert list(vigil.due(104.9)) == []
    assert list(vigil.due(105.0)) == [LookForDeadlocks()]
    vigil.look_again(None)
    assert vigil.deadline() is None


def test_the_run_is_woken_when_it_wants_to_be() -> None:
    desk = Desk(ready=False)
    assert desk.at(START_TIMEOUT - 0.1) == []
    assert desk.vigil.deadline() == START_TIMEOUT
    assert desk.at(START_TIMEOUT) == [WakeRun()]


# --- silence ----------------------------------------------------------------------------------------


def test_silence_is_told_and_then_ever_more_rarely() -> None:
    desk = Desk(quiet=60.0)
    assert desk.at(59.9) == []
    for seconds, words in (60.0, "60"), (120.0, "120"), (240.0, "240"):
        assert desk.vigil.deadline() == seconds
        assert desk.at(seconds) == [
            Say(f"\nno test has ended for {words} s; running:"), ShowRunning(asked=False),
        ]  # fmt: skip
        assert desk.at(seconds) == []


def test_silence_begins_anew_when_a_test_has_ended() -> None:
    desk = Desk(quiet=60.0)
    desk.at(60.0)
    desk.vigil.progressed(100.0)
    assert desk.vigil.silent_since == 100.0
    assert desk.at(120.0) == []
    assert desk.at(160.0)[0] == Say("\nno test has ended for 60 s; running:")


def test_without_a_limit_nothing_is_told_of_silence() -> None:
    desk = Desk(quiet=0.0)
    assert desk.at(1e9) == []


def test_who_asks_is_shown_stacks_when_these_are_written() -> None:
    desk = Desk()
    desk.begins(GW1)
    desk.vigil.asked(5.0)
    assert desk.vigil.deadline() == 0.0 + CALM_SECONDS  # long past: at once
    assert desk.at(5.0) == [DumpStacks(GW1)]
    assert desk.vigil.deadline() == 5.0 + DUMP_SECONDS
    assert desk.at(5.0 + DUMP_SECONDS) == [ShowRunning(asked=True)]
    assert desk.vigil.deadline() is None


# --- the fork server --------------------------------------------------------------------------------


def test_a_fork_server_is_not_expected_to_answer_while_it_collects() -> None:
    desk = Desk()
    assert desk.at(1000.0) == []
    desk.vigil.server_serves(1000.0)
    assert desk.vigil.deadline() == 1000.0 + PING_SECONDS


def test_a_fork_server_is_asked_once_and_given_up_if_it_does_not_answer() -> None:
    desk = Desk()
    desk.vigil.server_serves(0.0)
    desk.at(CALM_SECONDS)
    assert desk.at(PING_SECONDS) == [PingServer()]
    assert desk.vigil.deadline() == DEAF_SECONDS
    assert desk.at(DEAF_SECONDS - 0.1) == []
    assert desk.at(DEAF_SECONDS) == [GiveUpServer("the fork server has not answered for 40 s")]
    assert desk.at(1e9) == []


def test_whatever_a_fork_server_says_is_an_answer() -> None:
    desk = Desk()
    desk.vigil.server_serves(0.0)
    assert desk.at(PING_SECONDS) == [PingServer()]
    desk.vigil.server_spoke(15.0)
    assert desk.at(DEAF_SECONDS - 20.0) == []
    assert desk.at(15.0 + PING_SECONDS) == [PingServer()]


def test_a_fork_server_has_its_time_to_answer_however_late_it_is_asked() -> None:
    desk = Desk()
    desk.vigil.server_serves(0.0)
    assert desk.at(DEAF_SECONDS) == [PingServer()]
    assert desk.vigil.deadline() == 2 * DEAF_SECONDS - PING_SECONDS
    assert desk.at(2 * DEAF_SECONDS - PING_SECONDS - 0.1) == []
    assert len(desk.at(2 * DEAF_SECONDS - PING_SECONDS)) == 1


def test_that_a_fork_server_serves_is_news_once() -> None:
    desk = Desk()
    desk.vigil.server_serves(0.0)
    desk.vigil.server_serves(9.0)
    assert desk.at(PING_SECONDS) == [PingServer()]


# --- workers ----------------------------------------------------------------------------------------


def test_who_closes_its_connection_may_die_by_itself_and_who_sends_nonsense_may_not() -> None:
    desk = Desk()
    desk.vigil.lost(GW0, "closed", 1.0, is_closed=True)
    desk.vigil.lost(GW1, "nonsense", 1.0, is_closed=False)
    assert desk.at(1.0) == [KillLost(GW1, "nonsense")]
    assert desk.at(0.9 + LOST_SECONDS) == []
    deadline = desk.vigil.deadline()
    assert deadline is not None
    assert deadline <= 1.0 + LOST_SECONDS
    assert desk.at(1.0 + LOST_SECONDS) == [KillLost(GW0, "closed")]
    assert desk.at(100.0) == []


def test_who_is_dead_is_not_killed() -> None:
    desk = Desk()
    desk.vigil.lost(GW0, "closed", 1.0, is_closed=True)
    desk.vigil.gone(GW0)
    desk.vigil.gone(GW1)
    assert desk.at(100.0) == []


def test_who_was_killed_is_not_killed_again_however_late_its_death_is_told() -> None:
    desk = Desk()
    desk.vigil.lost(GW0, "nonsense", 1.0, is_closed=False)
    assert desk.at(1.0) == [KillLost(GW0, "nonsense")]
    desk.vigil.lost(GW0, "closed", 1.1, is_closed=True)
    assert [a for t in range(2, 20) for a in desk.at(float(t), GW0)] == []


LOST_TESTS = KillLost(GW0, "its connection has lost the tests that it was sent")


def test_who_has_not_got_the_tests_that_it_was_sent_is_killed() -> None:
    desk = Desk()
    assert desk.at(CALM_SECONDS, GW0) == []
    assert desk.vigil.deadline() == CALM_SECONDS + STALL_SECONDS
    assert desk.at(CALM_SECONDS + STALL_SECONDS - 0.1, GW0) == []
    assert desk.at(CALM_SECONDS + STALL_SECONDS, GW0) == [LOST_TESTS]
    assert desk.at(CALM_SECONDS + STALL_SECONDS + 0.1, GW0) == []  # it takes a moment to die


def test_who_has_moved_meanwhile_gets_all_of_its_time_again() -> None:
    desk = Desk()
    desk.at(CALM_SECONDS, GW0)
    desk.at(4.0)
    assert desk.at(4.5, GW0) == []
    assert desk.at(CALM_SECONDS + STALL_SECONDS, GW0) == []
    assert desk.at(4.5 + STALL_SECONDS, GW0) == [LOST_TESTS]


def test_who_has_begun_its_test_is_waited_for_no_more() -> None:
    desk = Desk()
    desk.at(CALM_SECONDS, GW0, GW1)
    desk.begins(GW0)
    desk.begins(GW1)
    assert desk.at(3.0) == []
    assert desk.vigil.deadline() is None


def test_nobody_looks_into_inboxes_while_tests_end() -> None:
    desk = Desk()
    assert desk.at(CALM_SECONDS, GW0) == []
    desk.vigil.progressed(4.0)
    assert not list(desk.vigil.due(5.0))
    assert desk.vigil.deadline() == 4.0 + CALM_SECONDS
    assert list(desk.vigil.due(4.0 + CALM_SECONDS)) == [LookIntoInboxes((GW0, GW1))]


def test_only_inboxes_of_workers_that_should_begin_a_test_are_looked_into() -> None:
    desk = Desk()
    desk.begins(GW0)
    assert list(desk.vigil.due(CALM_SECONDS)) == [LookIntoInboxes((GW1,))]
    desk.vigil.lost(GW1, "closed", 3.0, is_closed=True)
    assert list(desk.vigil.due(3.0)) == []


def test_what_an_action_brings_about_counts_before_the_next_is_decided() -> None:
    desk = Desk(quiet=60.0)
    desk.vigil.look_again(60.0)
    desk.vigil.lost(GW0, "closed", 59.5, is_closed=True)
    done = []
    for action in desk.vigil.due(60.0):
        done.append(action)
        if action == LookForDeadlocks():  # it has found that one in a deadlock, and has ended it
            desk.vigil.gone(GW0)
            desk.vigil.progressed(60.0)
    assert done == [LookForDeadlocks()]


# --- the end ----------------------------------------------------------------------------------------


def test_a_collection_that_is_cut_off_has_its_time_to_end() -> None:
    desk = Desk()
    desk.at(3.0)
    desk.vigil.collection_cut_off(5.0)
    assert desk.vigil.deadline() == 5.0
    assert desk.at(5.0) == [FinishCollecting()]
    desk.vigil.collection_cut_off(6.0)
    assert desk.vigil.deadline() == 5.0 + COLLECT_SECONDS
    assert desk.at(5.0 + COLLECT_SECONDS) == [GiveUpCollecting()]
    assert desk.at(1e9) == []


def test_a_terminated_run_is_broken_off() -> None:
    desk = Desk()
    desk.at(3.0)
    desk.vigil.terminated("terminated by SIGTERM", 5.0)
    assert desk.vigil.deadline() == 5.0 + TERMINATED_SECONDS
    assert desk.at(5.0 + TERMINATED_SECONDS) == [BreakOff("terminated by SIGTERM")]
    assert desk.vigil.deadline() is None
