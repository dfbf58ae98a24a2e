"""The controller's loop, told by a fake cluster what processes say: what it does about it, in which order."""

from __future__ import annotations

import signal
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest

from pytest_procpar.controller import course as course_module
from pytest_procpar.controller import loop as loop_module
from pytest_procpar.controller.collaborators import Collaborators
from pytest_procpar.controller.loop import Loop
from pytest_procpar.controller.run_end import Ending
from pytest_procpar.controller.supervision import Supervisor
from pytest_procpar.core.model import RunOptions, TestIndex, WorkerId
from pytest_procpar.core.protocol.common import Broke, Collected
from pytest_procpar.core.protocol.server import Reaped
from pytest_procpar.core.protocol.worker import Began, Done, Finished, FromWorker, Ready, Reported
from pytest_procpar.core.protocol.worker_status import Death, Stage, WorkerStatus
from pytest_procpar.core.run.events import Effect, Event, ItemFinished
from pytest_procpar.core.run.run import Run
from pytest_procpar.system.clock import Clock

LOCATION = ("test_it.py", 0, "test_it")


class Desk:
    """A controller without processes: messages go in, and what its collaborators were told comes out."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tests: int = 2, workers: int = 1) -> None:
        monkeypatch.setattr(course_module, "learn_collection", lambda *args: None)
        monkeypatch.setattr(loop_module, "pause", lambda seconds: None)
        self.mocks = MagicMock()
        cluster = self.cluster = self.mocks.cluster
        self.words: list[Any] = []
        self.says: dict[WorkerId, list[FromWorker]] = {}
        cluster.wait.side_effect = lambda seconds: [None, *self.says]
        cluster.from_server.side_effect = lambda: (self._taken(self.words), True)
        cluster.from_worker.side_effect = lambda worker: (self.says.pop(worker, []), None)
        cluster.has.return_value = False
        cluster.spawn.return_value = None
        cluster.refusals = {}
        cluster.take_back.return_value = []
        cluster.worker_status.return_value = WorkerStatus(Stage.BETWEEN, None, 0.0)
        self.worker_status = WorkerStatus(Stage.CALL, TestIndex(0), 0.0)
        cluster.death.side_effect = lambda worker, cause, memory, oom: Death(cause, self.worker_status)
        self.mocks.nodes.all_wanted.return_value = False
        self.mocks.results.eager = True
        self.mocks.results.scheduling.name = None
        self.mocks.settings.workers, self.mocks.settings.elastic = workers, 0
        self.mocks.settings.shares_host = False
        self.mocks.settings.run_options.return_value = RunOptions(workers=workers)
        self.mocks.run_record.worker_memory = 0
        self.mocks.results.nodeid = "test_{}".format
        self.mocks.results.crashed.return_value = False
        self.run, self.ending = Run(RunOptions(workers=workers)), Ending()
        clock = Clock(lambda: 0.0)
        supervisor = Supervisor(self.run, cluster, self.mocks.terminal, self.mocks.results.nodeid, 0.0, 0.0)
        self.loop = Loop(
            Collaborators(
                self.mocks.config, self.mocks.settings, cluster, self.run, self.mocks.run_record,
                self.mocks.nodes, self.mocks.results, self.mocks.terminal, self.ending, clock, supervisor,
            )
        )  # fmt: skip
        session: Any = SimpleNamespace(shouldfail=False, shouldstop=False, testsfailed=0)
        self.loop.begin(session, [])
        self.server_says(Collected([f"test_{i}" for i in range(tests)], None, [], [], {}, []))
        for worker in range(self.run.workers_for(tests)):
            self.worker_says(worker, Ready(100 + worker))
        self.mocks.reset_mock()

    @staticmethod
    def _taken(words: list[Any]) -> list[Any]:
        taken, words[:] = list(words), []
        return taken

    def _step(self) -> None:
        signals = MagicMock()
        signals.caught.return_value = []
        self.loop.step(signals)

    def server_says(self, *messages: Any) -> None:
        self.words += messages
        self._step()

    def worker_says(self, worker: int, *messages: FromWorker) -> None:
        self.says[WorkerId(worker)] = [*messages]
        self._step()

    def told(self, *names: str) -> list[str]:
        """The calls of these names (``results.crashed``), in their order."""
        return [name for name, _, _ in self.mocks.mock_calls if name in names]


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(monkeypatch)


KILLED = int(signal.SIGKILL)
REPORTS = ("results.crashed", "results.hung", "results.worker_died", "results.finished")


def began(test: int) -> Began:
    return Began(TestIndex(test), LOCATION)


def finished(test: int) -> Finished:
    return Finished(TestIndex(test), None, 0.0, 0.0)


def test_the_core_is_told_how_long_tests_and_their_set_ups_took(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(monkeypatch, tests=4)
    heard: list[Event] = []
    handle = desk.run.handle

    def listen(event: Event, now: float) -> list[Effect]:
        heard.append(event)
        return handle(event, now)

    monkeypatch.setattr(desk.run, "handle", listen)
    phases = ((0.0, 0.25, 0.25), (0.25, 1.0, 0.75), (1.0, 1.5, 0.5))
    desk.worker_says(0, began(0), Finished(TestIndex(0), ((), phases), 5.0, 6.5))
    desk.worker_says(0, began(1), Reported(TestIndex(1), set_up("passed")), finished(1))
    desk.worker_says(0, began(2), Reported(TestIndex(2), set_up("skipped")), finished(2))
    desk.worker_says(0, began(3), finished(3))
    took = [event.took for event in heard if isinstance(event, ItemFinished)]
    assert took == [(1.5, 0.25), (0.0, 0.5), (0.0, None), (0.0, None)]


def set_up(outcome: str) -> dict[str, object]:
    return {"when": "setup", "outcome": outcome, "duration": 0.5}


def reaped(worker: int, status: int = KILLED, reason: str | None = None) -> Reaped:
    return Reaped(WorkerId(worker), status, reason)


def test_plugins_hear_of_a_dead_worker_before_its_replacement_is_made(desk: Desk) -> None:
    desk.worker_says(0, began(0))
    desk.server_says(reaped(0))
    order = desk.told("nodes.down", "results.crashed", "cluster.spawn", "cluster.release")
    assert order == ["cluster.release", "nodes.down", "results.crashed", "cluster.spawn"]
    assert desk.mocks.results.crashed.call_args.args[1] == 0


def test_what_a_dead_worker_has_said_is_heard_before_it_is_judged(desk: Desk) -> None:
    desk.worker_says(0, began(0))
    desk.says[WorkerId(0)] = [finished(0), began(1)]
    desk.cluster.wait.side_effect = lambda seconds: [None]  # its words are found at its death only
    desk.server_says(reaped(0))
    assert desk.mocks.results.finished.call_args.args[1] == 0
    assert desk.mocks.results.crashed.call_args.args[1] == 1


def test_a_test_that_was_over_when_its_worker_died_has_ended(desk: Desk) -> None:
    desk.worker_says(0, began(0))
    desk.worker_status = WorkerStatus(Stage.BETWEEN, TestIndex(0), 0.0)
    desk.server_says(reaped(0))
    assert desk.told(*REPORTS) == ["results.finished", "results.worker_died"]
    assert desk.told("cluster.spawn")  # for the other test


def test_a_test_that_had_only_just_begun_died_in_its_setup(desk: Desk) -> None:
    desk.worker_says(0, began(0), finished(0), began(1))
    desk.worker_status = WorkerStatus(Stage.BETWEEN, TestIndex(0), 0.0)
    desk.server_says(reaped(0))
    _, test, death = desk.mocks.results.crashed.call_args.args
    assert (test, death.worker_status.stage, death.worker_status.test) == (1, Stage.SETUP, 1)


def test_a_regular_end_is_nobodys_fault(desk: Desk) -> None:
    desk.worker_says(0, began(0), finished(0), began(1), finished(1), Done({}))
    desk.mocks.reset_mock()
    desk.server_says(reaped(0, status=0))
    assert desk.told(*REPORTS, "terminal.line", "cluster.spawn") == []
    assert desk.mocks.nodes.down.call_args.args == (0, None)
    assert (desk.loop.over, desk.ending.broken) == (True, False)


def test_a_worker_that_fails_at_its_exit_breaks_the_run(desk: Desk) -> None:
    desk.worker_says(0, began(0), finished(0), began(1), finished(1), Done({}))
    desk.server_says(reaped(0))
    assert desk.ending.broken
    assert desk.told("results.worker_died", "results.crashed") == []


def test_a_death_in_the_teardown_of_shared_fixtures_is_an_error_of_the_latest_test(desk: Desk) -> None:
    desk.worker_says(0, began(0), finished(0))
    desk.worker_status = WorkerStatus(Stage.LATE_TEARDOWN, TestIndex(0), 0.0)
    desk.mocks.reset_mock()
    desk.server_says(reaped(0))
    assert desk.told(*REPORTS) == ["results.crashed"]
    assert desk.mocks.results.crashed.call_args.args[1] == 0


def test_a_death_between_two_tests_is_reported_as_the_workers(desk: Desk) -> None:
    desk.worker_says(0, began(0), finished(0))
    desk.worker_status = WorkerStatus(Stage.BETWEEN, TestIndex(0), 0.0)
    desk.mocks.reset_mock()
    desk.server_says(reaped(0))
    assert desk.told(*REPORTS) == ["results.worker_died"]


def test_a_refused_process_is_no_death(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(monkeypatch, workers=2)
    desk.server_says(reaped(1, status=0, reason="no room"))
    assert desk.told(*REPORTS) == []
    assert desk.mocks.nodes.down.call_args.args == (1, "no room")
    assert "no room" in desk.mocks.terminal.remember.call_args.args[0]


def test_without_the_fork_server_workers_are_killed_and_their_tests_have_crashed(desk: Desk) -> None:
    desk.worker_says(0, began(0))
    desk.cluster.from_server.side_effect = lambda: ([], False)
    desk.cluster.server_status.return_value = KILLED
    desk.cluster.server_note.return_value = ""
    desk.cluster.kill_orphans.return_value = [WorkerId(0)]
    desk.server_says()
    assert (desk.loop.over, desk.ending.broken) == (True, True)
    assert desk.told(*REPORTS) == ["results.crashed"]
    assert desk.told("cluster.spawn") == []  # nobody could fork it


def test_an_internal_error_of_a_worker_stops_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(monkeypatch, tests=400, workers=2)
    desk.worker_says(0, Broke("Traceback"))
    assert (desk.ending.broken, desk.run.stopping) == (True, True)
    assert desk.told("cluster.board.stop") == ["cluster.board.stop"]
    assert desk.mocks.results.internal_error.call_args.args == ("worker gw0", "Traceback")
