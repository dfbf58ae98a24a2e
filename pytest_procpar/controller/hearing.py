"""Hears what the fork server and the workers say, and passes it on: to the core, to reports."""

from __future__ import annotations

import pytest_procpar.core.run.events as events
from pytest_procpar.controller.collaborators import Collaborators
from pytest_procpar.controller.course import Course
from pytest_procpar.core.model import ReportData, StartMethod, WorkerId, assert_never, worker_name
from pytest_procpar.core.protocol.common import Broke, Collected, CollectReported, Halted, Logged, Warned
from pytest_procpar.core.protocol.server import Forked, Pong, Reaped, Unsafe
from pytest_procpar.core.protocol.worker import (
    Began,
    Done,
    Finished,
    FromWorker,
    JunitRecord,
    Ready,
    Reported,
    Starved,
)
from pytest_procpar.core.run.ledger import OutOfTurn
from pytest_procpar.system.calls import describe_status

__all__ = ["Hearing"]


class Hearing:
    """Turns messages into events for the core; one case for each message."""

    def __init__(self, shared: Collaborators, course: Course) -> None:
        self._course = course
        self._cluster = shared.cluster
        self._run = shared.run
        self._run_record = shared.run_record
        self._nodes = shared.nodes
        self._results = shared.results
        self._terminal = shared.terminal
        self._ending = shared.ending
        self._clock = shared.clock
        self._supervisor = shared.supervisor
        self._vigil = shared.supervisor.vigil
        #: The peak memory of the largest worker that ended with status 0, in bytes.
        self.worker_memory = 0
        #: How long the set-up of a worker's running test took, in seconds, if it was reported by itself.
        self._set_ups: dict[WorkerId, float] = {}

    # --- what the fork server says ---

    def listen_to_server(self) -> None:
        """Take in what the fork server has sent."""
        messages, is_open = self._cluster.from_server()
        self._vigil.server_spoke(self._clock.now())
        for message in messages:
            match message:
                case Collected():
                    self._course.suite_collected(message)
                case CollectReported(data):
                    self._course.collecting.reported(None, data)
                case Unsafe(reason, early):
                    self._course.collecting.fall_back(
                        reason, StartMethod.SPAWN if early else StartMethod.FORK_EARLY
                    )
                    return
                case Forked(worker, pid):
                    self._cluster.forked(worker, pid)
                case Reaped():
                    self._reaped(message)
                case Pong():
                    pass
                case Warned(data):
                    self._course.collecting.warned(None, data)
                case Logged():
                    self._results.logged(None, message)
                case Halted():
                    self._ending.halt(message)
                case Broke(text):
                    self._broke("the fork server", text)
                case _:
                    assert_never(message)
        if not is_open and not self._course.server_gone:
            self.lose_server()

    def lose_server(self, why: str | None = None) -> None:
        """The fork server is gone: without it no worker can be made or reaped."""
        self._course.lose_server()
        status = self._cluster.server_status()
        note = "" if self._course.collected else self._cluster.server_note()
        if not self._ending.halted:
            what = f"the fork server died {note}".rstrip()
            reason = why or f"{what}: {describe_status(status)}"
            self._terminal.remember(self._ending.broken_by(reason))
        for worker in self._cluster.kill_orphans():
            self.listen_to_worker(worker)
            if worker in self._run.running():
                self._course.killed(worker, "killed, because the fork server died")

    def _reaped(self, message: Reaped) -> None:
        """Handle a worker's death: read its last messages, then judge."""
        worker = message.worker
        self.listen_to_worker(worker)
        if not message.status:
            self.worker_memory = max(self.worker_memory, message.peak_memory or 0)
        if self._course.collecting.reaped(message):
            suite = self._course.collecting.merged()
            if suite is not None:
                self._course.suite_collected(suite)
            return
        death = self._supervisor.death(worker, message.status, message.reason, message.peak_memory)
        reason = message.reason or self._course.deaths.starvation(worker)
        if reason is not None:
            self._course.happened(self._course.deaths.refused(worker, reason))
        else:
            self._course.died(self._course.deaths.examine(worker, death, message.status))

    def _broke(self, who: str, text: str) -> None:
        """Print another process's internal error as if it were this one's, and end the run."""
        self._ending.broken_by(f"internal error in {who}")
        self._results.internal_error(who, text)
        if self._course.collected and not self._run.stopping:
            self._course.stop()

    # --- what workers say ---

    def listen_to_worker(self, worker: WorkerId) -> None:
        """Take in what a worker has sent, and note if its end of the connection is gone."""
        messages, lost = self._cluster.from_worker(worker)
        for message in messages:
            self._hear(worker, message)
            self._course.stop_if_wanted()
        if lost is not None:
            is_closed = self._cluster.is_silent(worker)
            self._vigil.lost(worker, lost, self._clock.now(), is_closed=is_closed)

    def _hear(self, worker: WorkerId, message: FromWorker) -> None:
        node = self._nodes[worker]
        match message:
            case Began(test, location):
                if self._run.hears(worker):
                    try:
                        self._course.happened(events.ItemBegan(worker, test))
                    except OutOfTurn:
                        self._course.happened(self._course.deaths.out_of_turn(worker))
                    else:
                        self._results.began(test, location)
            case Finished(test, passes, began, ended):
                if self._run.hears(worker):
                    if passes is not None:
                        set_up: float | None = passes[1][0][2]
                    else:
                        set_up = self._set_ups.pop(worker, None)
                    self._course.happened(events.ItemFinished(worker, test, (ended - began, set_up)))
                    self._results.finished(node, test, passes)
                    self._run_record.finished(worker, test, began, ended, passes and passes[1])
            case Reported(test, data):
                if self._run.hears(worker):
                    if data.get("when") == "setup":
                        self._note_set_up(worker, data)
                    self._run_record.reported(test, data)
                    self._results.reported(node, test, data)
            case Collected():
                suite = self._course.collecting.collected(worker, message)
                if suite is not None:
                    self._course.suite_collected(suite)
                elif self._ending.broken and self._course.collected and not self._run.stopping:
                    self._course.stop()  # a replacement would run other tests than the others
            case CollectReported(data):
                self._course.collecting.reported(worker, data)
            case Ready():
                if not self._course.collecting.knows(
                    worker
                ):  # otherwise it counts as ready once the others are
                    self._course.happened(events.WorkerReady(worker))
            case Warned(data):
                self._course.collecting.warned(worker, data)
            case JunitRecord():
                self._results.junit_noted(node, message)
            case Logged():
                self._results.logged(node, message)
            case Halted():
                if self._hears(worker):
                    self._worker_halted(worker, message)
            case Broke(text):
                if self._hears(worker):
                    self._course.collecting.session_ends(worker)
                    self._broke(f"worker {worker_name(worker)}", text)
            case Starved(reason):
                self._course.deaths.starved(worker, reason)
            case Done(output):
                node.workeroutput = output
                self._course.collecting.session_ends(worker)
                self._course.deaths.session_finished(worker)
            case _:
                assert_never(message)

    def _note_set_up(self, worker: WorkerId, data: ReportData) -> None:
        """Note how long the set-up of a worker's running test took, if it ended as it should."""
        seconds = data.get("duration")
        if data.get("outcome") == "passed" and isinstance(seconds, float):
            self._set_ups[worker] = seconds
        else:
            self._set_ups.pop(worker, None)

    def _hears(self, worker: WorkerId) -> bool:
        """Whether what a worker says about itself counts."""
        return not self._course.collected or self._run.hears(worker)

    def _worker_halted(self, worker: WorkerId, halt: Halted) -> None:
        self._ending.halt(halt)
        if not self._course.collected:
            self._course.collecting.session_ends(worker)
        elif not self._run.stopping:
            self._course.stop(interrupt=halt.kind == "keyboard")
