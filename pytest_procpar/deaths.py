"""What a worker's death means: for the test that ran there, for its neighbours, for the run."""

from __future__ import annotations

from collections.abc import Callable

import pytest_procpar.core.events as events
from pytest_procpar.compat.nodes import Nodes
from pytest_procpar.core.events import Event
from pytest_procpar.core.messages import Reaped
from pytest_procpar.core.model import TestIndex, WorkerId, worker_name
from pytest_procpar.core.record import changed
from pytest_procpar.core.run import Run
from pytest_procpar.core.vitals import Death, Stage, Vitals
from pytest_procpar.process.launch import Cluster
from pytest_procpar.process.system import monotonic
from pytest_procpar.report.results import Results
from pytest_procpar.report.terminal import Terminal
from pytest_procpar.supervision import Supervisor

__all__ = ["Deaths"]


class Deaths:
    """Takes note of every death, and finds out who is to blame.

    :param happened: tells the core of an event, and does what it says.
    """

    def __init__(
        self,
        run: Run,
        cluster: Cluster,
        nodes: Nodes,
        results: Results,
        terminal: Terminal,
        supervisor: Supervisor,
        happened: Callable[[Event], None],
    ) -> None:
        self._run = run
        self._cluster = cluster
        self._nodes = nodes
        self._results = results
        self._terminal = terminal
        self._supervisor = supervisor
        self._happened = happened
        self._finished: set[WorkerId] = set()
        #: Those that are killed for no fault of their own, which has been said.
        self._excused: set[WorkerId] = set()
        #: Why workers had to end that were in order: the system granted them no process.
        self._starved: dict[WorkerId, str] = {}
        self._known: dict[WorkerId, Death] = {}

    def session_finished(self, worker: WorkerId) -> None:
        """A worker has finished its session: what follows is its regular end."""
        self._finished.add(worker)

    def excuse(self, worker: WorkerId) -> None:
        """A worker is to be killed, and nobody is to blame: that has been said."""
        self._excused.add(worker)

    def has_finished(self, worker: WorkerId) -> bool:
        """Whether a worker has finished its session."""
        return worker in self._finished

    def is_excused(self, worker: WorkerId) -> bool:
        """Whether a worker was killed for no fault of its own."""
        return worker in self._excused

    def starved(self, worker: WorkerId, reason: str) -> None:
        """A worker could not get a process for its next test, and ends."""
        self._starved[worker] = reason

    # --- what has died ---

    def refused(self, worker: WorkerId, reason: str) -> Event:
        """The system grants no process for a worker: the event for the core."""
        self._nodes[worker].shutting_down = True
        self._cluster.release(worker)
        self._nodes.down(worker, reason)
        return events.Refused(worker, reason)

    def reaped(self, message: Reaped) -> str | None:
        """A worker that has been listened to is reaped; how that breaks the run, if it does."""
        worker = message.worker
        death = self._supervisor.death(worker, message.status, message.reason, message.peak_memory)
        reason = message.reason or self._starved.get(worker)
        if reason is not None:
            self._happened(self.refused(worker, reason))
            return None
        self._died(worker, death)
        if worker in self._excused:
            return None
        if message.status and worker in self._finished and self._supervisor.limit_of(worker) is None:
            return f"worker {worker_name(worker)} failed at its exit: {death.cause}"
        return None

    def killed(self, worker: WorkerId, cause: str) -> None:
        """This process has killed a worker that nobody can reap."""
        self._died(worker, self._supervisor.death(worker, 0, cause, None))

    def _died(self, worker: WorkerId, death: Death) -> None:
        finished = worker in self._finished
        self._known[worker] = death
        node = self._nodes[worker]
        node.shutting_down = True
        if not finished and worker not in self._excused:
            self._terminal.line(f"[{worker_name(worker)}] node down: {death.cause}")
        running = self._run.running().get(worker)
        if running is not None and self._was_over(worker, running, death):
            running = None
        elif running is not None and self._supervisor.had_lost(worker):  # it may have run on unheard
            death = changed(death, vitals=Vitals(Stage.BETWEEN, running, death.vitals.since))
            self._known[worker] = death
        elif running is not None and death.vitals.test != running:  # it had only just begun
            death = changed(death, vitals=Vitals(Stage.SETUP, running, death.vitals.since))
            self._known[worker] = death
        self._cluster.release(worker)
        self._nodes.down(worker, None if finished else death.cause)  # before a replacement comes up
        regular = finished and self._supervisor.limit_of(worker) is None
        blameless = running is None and not regular and not self._run.stopping
        self._happened(events.Died(worker, finished))
        if blameless and worker not in self._excused:
            self._blame_nobody(worker, death)

    def _was_over(self, worker: WorkerId, test: TestIndex, death: Death) -> bool:
        """Whether a worker had run a test to its end and only not come to say so; then it has ended now."""
        vitals = death.vitals
        over = vitals.stage is Stage.BETWEEN and vitals.test == test
        if not over or self._supervisor.limit_of(worker) is not None or self._supervisor.had_lost(worker):
            return False
        passes = None if vitals.phases is None else (self._results.keywords(test), vitals.phases)
        self._happened(events.Finished(worker, test))
        self._results.finished(self._nodes[worker], test, passes)
        return True

    def _blame_nobody(self, worker: WorkerId, death: Death) -> None:
        node, test, limit = self._nodes[worker], death.vitals.test, self._supervisor.limit_of(worker)
        if death.vitals.stage is not Stage.LATE_TEARDOWN or test is None:
            self._results.worker_died(node, death, limit)
        # An error of the latest test, as pytest has it for what goes wrong in shared fixtures.
        elif limit is None:
            self._results.crashed(node, test, death)
        else:
            self._results.hung(node, test, death, limit)

    def seconds(self, worker: WorkerId) -> float:
        """How long a dead worker had been doing what it did last."""
        return max(0.0, monotonic() - self._known[worker].vitals.since)

    def was_starved(self, worker: WorkerId) -> bool:
        """Whether memory ran out when a dead worker was killed."""
        return self._known[worker].is_starved

    # --- what the core makes of it ---

    def crashed(self, worker: WorkerId, test: TestIndex) -> bool:
        """A test died with its worker; True if a plugin wants it to run again."""
        return self._results.crashed(self._nodes[worker], test, self._known[worker])

    def hung(self, worker: WorkerId, test: TestIndex) -> None:
        """A test was ended since it took too long."""
        limit = self._supervisor.limit_of(worker)
        assert limit is not None
        self._results.hung(self._nodes[worker], test, self._known[worker], limit)
