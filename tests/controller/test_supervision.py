"""What is said of running tests, and what is known of a dead worker."""

from __future__ import annotations

import signal
from typing import Any
from unittest.mock import MagicMock

import pytest

from pytest_procpar.controller.supervision import Supervisor
from pytest_procpar.core.protocol.worker_status import Death, Stage, WorkerStatus
from pytest_procpar.system.calls import DUMP_SIGNAL, KILLED, monotonic
from tests.controller.office import GW0, GW1, GW2, Office, death

SIGKILL, SIGSEGV = int(signal.SIGKILL), int(signal.SIGSEGV)


class Desk(Office):
    def __init__(self) -> None:
        super().__init__()
        self.worker_status: dict[int, WorkerStatus] = {}
        self.cluster.worker_status.side_effect = self.worker_status.__getitem__
        self.cluster.pid.side_effect = lambda worker: None
        self.cluster.stacks.return_value = ""
        self.left = death(Stage.CALL, 0)
        self.cluster.death.side_effect = self._death
        self.supervisor = Supervisor(
            self.mocks.run, self.cluster, self.mocks.terminal, "t::test_{}".format, 0.0, 0.0
        )

    def _death(self, worker: int, cause: str, peak_memory: int | None, out_of_memory: str) -> Death:
        left = self.left
        return Death(
            cause, left.worker_status, left.stacks, peak_memory=peak_memory, out_of_memory=out_of_memory
        )

    def died(self, status: int = SIGKILL, reason: str | None = None) -> Death:
        return self.supervisor.death(GW0, status, reason, 123)

    def memory_is(self, exhausted: str) -> None:
        self.supervisor._memory = MagicMock()
        self.supervisor._memory.seen.return_value = exhausted

    def said(self) -> list[str]:
        return [text for _, text in self.told("terminal.notice")]


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_it_is_said_that_no_test_is_running(desk: Desk) -> None:
    desk.supervisor.show_running(stacks=True)
    assert desk.said() == ["no test is running"]


def test_every_running_test_is_shown_with_its_process_and_phase(desk: Desk) -> None:
    desk.mocks.run.running.return_value = {GW0: 3, GW1: 5}
    desk.worker_status |= {
        GW0: WorkerStatus(Stage.CALL, None, monotonic() + 60),
        GW1: WorkerStatus(Stage.SETUP, None, 0.0),
    }
    desk.cluster.pid.side_effect = {GW0: 70, GW1: 71}.get
    desk.supervisor.show_running(stacks=False)
    first, second = desk.said()
    assert first == "[gw0] pid 70 runs t::test_3 (call since 0.0 s)"  # never less than none
    assert second.startswith("[gw1] pid 71 runs t::test_5 (setup since ")
    assert desk.told("cluster.stacks") == []


def test_stacks_are_shown_below_the_test_they_are_of(desk: Desk) -> None:
    desk.mocks.run.running.return_value = {GW0: 3}
    desk.worker_status |= {GW0: WorkerStatus(Stage.CALL, None, 0.0)}
    desk.cluster.stacks.return_value = "\nThread 1:\n  File x\n\n"
    desk.supervisor.show_running(stacks=True)
    assert desk.said()[1:] == ["    Thread 1:", "      File x"]


def test_old_stacks_are_thrown_away_before_new_ones_are_asked_for(desk: Desk) -> None:
    desk.supervisor.dump_stacks(GW0)
    assert desk.told("cluster.stacks", "cluster.signal") == [
        ("cluster.stacks", GW0),
        ("cluster.signal", GW0, DUMP_SIGNAL),
    ]


def test_workers_stand_idle_that_run_nothing_and_have_nothing_to_read(desk: Desk) -> None:
    between, call = WorkerStatus(Stage.BETWEEN, None, 0.0), WorkerStatus(Stage.CALL, None, 0.0)
    desk.worker_status |= {GW0: between, GW1: call, GW2: WorkerStatus(Stage.STARTING, None, 0.0)}
    desk.cluster.has_unread.return_value = False
    assert desk.supervisor.with_empty_inboxes([GW0, GW1, GW2]) == [GW0, GW2]
    desk.cluster.has_unread.side_effect = lambda worker: worker == GW0
    assert desk.supervisor.with_empty_inboxes([GW0, GW1, GW2]) == [GW2]


def test_a_death_is_told_by_how_the_process_ended(desk: Desk) -> None:
    assert desk.died(SIGSEGV).cause == "killed by SIGSEGV"
    assert desk.died(3 << 8).cause == "exited with code 3"
    assert desk.died(0, "no room").cause == "no room"
    assert desk.died().peak_memory == 123


def test_what_a_worker_has_noted_of_itself_is_part_of_the_cause_on_one_line(desk: Desk) -> None:
    desk.left = death(Stage.CALL, 0, note="a test has\nclosed it")
    assert desk.died(1 << 8).cause == r"exited with code 1 (a test has\nclosed it)"


@pytest.mark.parametrize(
    ("exhausted", "text", "starved"),
    [
        ("its cgroup", "the kernel has killed a process meanwhile: its cgroup was exhausted", True),
        ("", "the kernel's counters show no out-of-memory kill", False),
    ],
)
def test_of_a_kill_by_nobody_known_it_is_told_what_the_kernel_counts(
    desk: Desk, exhausted: str, text: str, starved: bool
) -> None:
    desk.memory_is(exhausted)
    found = desk.died()
    assert (found.cause, found.out_of_memory, found.is_starved) == (KILLED, text, starved)


def test_without_a_look_around_the_counters_are_not_believed(desk: Desk) -> None:
    assert not desk.died().is_starved


def test_memory_is_not_suspected_of_another_signal(desk: Desk) -> None:
    desk.memory_is("memory")
    found = desk.died(SIGSEGV)
    assert (found.out_of_memory, found.is_starved) == ("", False)


def test_a_worker_whose_connection_is_ruined_is_killed_with_its_children_and_why_is_told(
    desk: Desk,
) -> None:
    desk.memory_is("memory")
    assert not desk.supervisor.had_lost(GW0)
    desk.supervisor.kill_lost(GW0, "it cannot be read")
    assert desk.told("terminal.line") == [("terminal.line", "[gw0] is killed: it cannot be read")]
    (call,) = desk.cluster.signal.call_args_list
    assert (call.args, call.kwargs) == ((GW0, signal.SIGKILL), {"group": True})
    found = desk.died()
    assert (found.cause, found.out_of_memory) == (f"{KILLED}: it cannot be read", "")
    assert desk.supervisor.had_lost(GW0)
    assert not desk.supervisor.had_lost(GW1)


def hang(desk: Desk, limit: float = 2.5, stage: Stage = Stage.TEARDOWN) -> None:
    desk.worker_status[GW0] = WorkerStatus(stage, None, 1.0)
    desk.supervisor.hangs(GW0, limit)


def test_a_hang_is_told_by_what_the_worker_did_when_its_time_was_over(desk: Desk) -> None:
    desk.memory_is("memory")
    assert desk.supervisor.limit_of(GW0) is None
    hang(desk)
    desk.left = death(Stage.ENDING, 0, stacks="Thread 1")
    found = desk.died()
    assert (found.worker_status.stage, found.stacks, found.out_of_memory) == (Stage.TEARDOWN, "Thread 1", "")
    assert desk.supervisor.limit_of(GW0) == 2.5
    assert ("cluster.signal", GW0, DUMP_SIGNAL) in desk.told("cluster.signal")


def test_a_hang_without_stacks_says_so_and_what_the_kernel_knew(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_procpar.controller.supervision.kernel_state", lambda pid: f"state of {pid}")
    desk.cluster.pid.side_effect = lambda worker: 70
    hang(desk)
    assert desk.died().stacks == "no stacks: it did not take the signal. state of 70"


def test_a_worker_that_stood_still_counts_as_hung_without_being_asked_for_stacks(desk: Desk) -> None:
    desk.worker_status[GW0] = WorkerStatus(Stage.BETWEEN, None, 1.0)
    desk.supervisor.stood_still(GW0, 9.0)
    assert desk.supervisor.limit_of(GW0) == 9.0
    assert desk.told("cluster.signal") == []
    assert desk.died().worker_status.stage is Stage.BETWEEN


def test_a_dead_worker_is_watched_no_more(desk: Desk) -> None:
    vigil: Any = MagicMock()
    desk.supervisor.vigil = vigil
    desk.died()
    vigil.gone.assert_called_once_with(GW0)
