"""What a worker's death means: for the test that ran there, for its neighbours, for the run.

A death goes one way: `Deaths.examine` finds out what it means, the loop sends the event to the core, and the
core's answer comes back as effects. Nothing here sends the core anything.
"""

from __future__ import annotations

import pytest_procpar.core.run.events as events
from pytest_procpar.controller.collaborators import Collaborators
from pytest_procpar.core.model import TestIndex, WorkerId, worker_name
from pytest_procpar.core.protocol.common import PassedPhases
from pytest_procpar.core.protocol.worker_status import Death, Stage, WorkerStatus
from pytest_procpar.core.record import changed, record
from pytest_procpar.core.run.events import Event
from pytest_procpar.system.calls import monotonic

__all__ = ["Deaths", "Postmortem"]


@record
class Postmortem:
    """What a death means, found out before the core hears of it and before any report is made.

    ``ended`` is the test that the worker had run to its end but not yet reported, ``passes`` its phases if it
    passed. ``unexplained``: no test is to blame, the worker was not due to end, and it was not killed for no
    fault of its own. ``breaks`` says how the death breaks the run, if it does.
    """

    worker: WorkerId
    ended: TestIndex | None
    passes: PassedPhases | None
    unexplained: bool
    breaks: str | None


class Deaths:
    """Notes every death, and finds out what is to blame."""

    def __init__(self, shared: Collaborators) -> None:
        self._run = shared.run
        self._run_record = shared.run_record
        self._cluster = shared.cluster
        self._nodes = shared.nodes
        self._results = shared.results
        self._terminal = shared.terminal
        self._supervisor = shared.supervisor
        self._finished: set[WorkerId] = set()
        #: Workers that are killed for no fault of their own; the user has been told.
        self._excused: set[WorkerId] = set()
        #: Why sound workers had to end: the system granted them no process.
        self._starved: dict[WorkerId, str] = {}
        self._known: dict[WorkerId, Death] = {}

    def session_finished(self, worker: WorkerId) -> None:
        """Note that a worker has finished its session: what follows is its regular end."""
        self._finished.add(worker)

    def excuse(self, worker: WorkerId) -> None:
        """Note that a worker is about to be killed and nothing is to blame: the user has been told."""
        self._excused.add(worker)

    def has_finished(self, worker: WorkerId) -> bool:
        """Whether a worker has finished its session."""
        return worker in self._finished

    def is_excused(self, worker: WorkerId) -> bool:
        """Whether a worker was killed for no fault of its own."""
        return worker in self._excused

    def starved(self, worker: WorkerId, reason: str) -> None:
        """Note that a worker could not get a process for its next test, and ends."""
        self._starved[worker] = reason

    def starvation(self, worker: WorkerId) -> str | None:
        """Why a sound worker had to end; None if it did not have to."""
        return self._starved.get(worker)

    # --- deaths ---

    def out_of_turn(self, worker: WorkerId) -> Event:
        """Kill a worker from which a test has taken what it was sent; return the event for the core."""
        latest = self._run_record.latest(worker)
        after = "" if latest is None else f", after {self._results.nodeid(latest)}"
        self._supervisor.kill_lost(worker, f"its connection has lost tests that it was sent{after}")
        return events.Stuck(worker)

    def refused(self, worker: WorkerId, reason: str) -> Event:
        """Take down the node of a worker that the system grants no process; return the event for the core."""
        self._nodes[worker].shutting_down = True
        self._cluster.release(worker)
        self._nodes.down(worker, reason)
        return events.Refused(worker, reason)

    def examine(self, worker: WorkerId, death: Death, status: int = 0) -> Postmortem:
        """Find out what a death means, print a line about it, and close the worker's node to further orders.

        :param status: how the process ended, as a wait status; 0 also if nobody could reap it.
        """
        finished, excused = worker in self._finished, worker in self._excused
        self._nodes[worker].shutting_down = True
        if not finished and not excused:
            self._terminal.line(f"[{worker_name(worker)}] node down: {death.cause}")
        test = self._run.running().get(worker)
        ended = passes = None
        if test is not None and self._was_over(worker, test, death):
            phases = death.worker_status.phases
            passes = None if phases is None else (self._results.keywords(test), phases)
            test, ended = None, test
        elif test is not None and self._supervisor.had_lost(worker):  # it may have run on unheard
            death = changed(death, worker_status=WorkerStatus(Stage.BETWEEN, test, death.worker_status.since))
        elif test is not None and death.worker_status.test != test:  # it had only just begun
            death = changed(death, worker_status=WorkerStatus(Stage.SETUP, test, death.worker_status.since))
        self._known[worker] = death
        regular = finished and self._supervisor.limit_of(worker) is None
        unexplained = test is None and not regular and not excused and not self._run.stopping
        breaks = None
        if status and regular and not excused:
            breaks = f"worker {worker_name(worker)} failed at its exit: {death.cause}"
        return Postmortem(worker, ended, passes, unexplained, breaks)

    def bury(self, worker: WorkerId) -> None:
        """Release what a dead worker needed, and tell plugins, before a replacement starts."""
        self._cluster.release(worker)
        self._nodes.down(worker, None if worker in self._finished else self._known[worker].cause)

    def report_unexplained(self, worker: WorkerId) -> None:
        """Report a death that no test is to blame for."""
        death = self._known[worker]
        node, test, limit = self._nodes[worker], death.worker_status.test, self._supervisor.limit_of(worker)
        if death.worker_status.stage is not Stage.LATE_TEARDOWN or test is None:
            self._results.worker_died(node, death, limit)
        # An error of the latest test, as pytest reports whatever goes wrong in shared fixtures.
        elif limit is None:
            self._results.crashed(node, test, death)
        else:
            self._results.hung(node, test, death, limit)

    def _was_over(self, worker: WorkerId, test: TestIndex, death: Death) -> bool:
        """Whether a worker had run a test to its end but not yet reported it."""
        worker_status = death.worker_status
        over = worker_status.stage is Stage.BETWEEN and worker_status.test == test
        return over and self._supervisor.limit_of(worker) is None and not self._supervisor.had_lost(worker)

    def seconds(self, worker: WorkerId) -> float:
        """How long a dead worker had been doing the last thing it did, in seconds."""
        return max(0.0, monotonic() - self._known[worker].worker_status.since)

    def was_starved(self, worker: WorkerId) -> bool:
        """Whether memory ran out when a dead worker was killed."""
        return self._known[worker].is_starved

    # --- what the core answers ---

    def crashed(self, worker: WorkerId, test: TestIndex) -> bool:
        """Report a test that died with its worker; return True if a plugin wants it to run again."""
        return self._results.crashed(self._nodes[worker], test, self._known[worker])

    def hung(self, worker: WorkerId, test: TestIndex) -> None:
        """Report a test that was ended because it took too long."""
        limit = self._supervisor.limit_of(worker)
        assert limit is not None
        self._results.hung(self._nodes[worker], test, self._known[worker], limit)
