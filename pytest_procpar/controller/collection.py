"""The collection as the controller sees it: done once in the fork server, or by every worker for itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_procpar.controller.collaborators import Collaborators
from pytest_procpar.controller.signals import Signals
from pytest_procpar.core.model import ReportData, StartMethod, WorkerId, WorkerInput, worker_name
from pytest_procpar.core.protocol.common import Collected, Halted
from pytest_procpar.core.protocol.server import Reaped
from pytest_procpar.core.run.collected_suites import CollectedSuites, Merged, difference

if TYPE_CHECKING:
    from pytest_procpar.core.protocol.common import WarningData

__all__ = ["Collecting"]


class Collecting:
    """Starts the collection, and makes one suite of the results."""

    def __init__(self, shared: Collaborators) -> None:
        self._cluster = shared.cluster
        self._nodes = shared.nodes
        self._results = shared.results
        self._terminal = shared.terminal
        self._supervisor = shared.supervisor
        self._ending = shared.ending
        self._clock = shared.clock
        self._inputs: list[WorkerInput] = []
        self._merged = Merged()
        #: The workers that collect for themselves; None if none does.
        self._gathering: CollectedSuites | None = None
        self._finished: set[WorkerId] = set()
        #: What the first of them collected, and the suite once it is known.
        self._first: Collected | None = None
        self._suite: Collected | None = None
        #: Whether there will be no run, so that workers that have collected finish; whether the wait for the
        #: others is given up.
        self._is_cut_off = self._is_given_up = False

    @property
    def started(self) -> int:
        """How many workers have been started, up to the last one that has collected and waits."""
        return 0 if self._gathering is None else max(self._gathering.left, default=-1) + 1

    def knows(self, worker: WorkerId) -> bool:
        """Whether a worker is one of those that collected the suite for themselves."""
        return self._gathering is not None and worker in self._gathering.left

    # --- the beginning ---

    def begin(self, inputs: list[WorkerInput]) -> None:
        """Begin, now that the fork server has what it waits for."""
        self._inputs = inputs
        if self._cluster.reason is not None:
            self._terminal.start_method(self._cluster.method, self._cluster.reason)
        if not self._cluster.method.collects_once:
            self._start_workers()

    def fall_back(self, reason: str, method: StartMethod) -> None:
        """Collect in workers, since workers cannot be forked from the process that collected.

        :param method: how to start them instead; not used where no fresh interpreter can be started.
        """
        self._terminal.start_method(method, reason)
        self._cluster.fall_back()
        if method is StartMethod.SPAWN:
            try:
                self.start_over()
                return
            except OSError:
                self._terminal.start_method(StartMethod.FORK_EARLY, reason)
        self._start_workers()

    def start_over(self) -> None:
        """Start over with fresh interpreters, because the processes that collect will never finish.

        :raises OSError: if no interpreter can be started.
        """
        self._cluster.switch()
        for worker in self._cluster.give_up_former():
            self._cluster.release(worker)
        self._merged.forget_sources()
        self._finished.clear()
        self._start_workers()

    def _start_workers(self) -> None:
        # The process that starts workers does not collect, so it can answer.
        self._supervisor.vigil.server_serves(self._clock.now())
        workers = [WorkerId(i) for i in range(len(self._inputs))]
        self._gathering = CollectedSuites(workers)
        for worker, workerinput in zip(workers, self._inputs, strict=True):
            reason = self._cluster.spawn(worker, workerinput)
            if reason is not None:
                self._refused(self._gathering, worker, reason)

    def _refused(self, gathering: CollectedSuites, worker: WorkerId, reason: str) -> None:
        """Note that the system grants no process for a worker; the others go on, if there are any."""
        gathering.gone(worker)
        self._cluster.refusals[worker] = reason
        if not gathering.left:
            self._ending.halt(Halted("usage", f"no worker could be started: {reason}"))

    # --- what processes report about it ---

    def reported(self, source: WorkerId | None, data: ReportData) -> None:
        """Handle a collection report from a worker or from the fork server (None)."""
        if self._merged.is_new(source, (data.get("nodeid"), data.get("outcome"), str(data.get("longrepr")))):
            self._results.collect_reported(data)

    def warned(self, source: WorkerId | None, data: WarningData) -> None:
        """Pass on a warning; one from the collection is shown once, however many workers collect."""
        if data["when"] == "runtest" or self._merged.is_new(source, repr(data)):
            self._results.warned(data)

    def collected(self, worker: WorkerId, suite: Collected) -> Collected | None:
        """Note what a worker has collected for itself; return the suite once all have collected it."""
        if self._suite is not None:  # a replacement for another worker
            if suite.ids != self._suite.ids:
                self._refuse(worker, difference(WorkerId(0), self._suite.ids, worker, suite.ids))
            return None
        assert self._gathering is not None
        self._gathering.collected(worker, suite.ids)
        if self._first is None or worker == self._gathering.left[0]:
            self._first = suite
        if self._is_cut_off:  # it is not interrupted, so tell it to finish
            self._cluster.tell(worker, ["finish"])
        return self.merged()

    def known(self, suite: Collected) -> None:
        """Note the suite, whichever process collected it."""
        self._suite = suite

    def merged(self) -> Collected | None:
        """The suite, if all remaining workers have collected it; otherwise None."""
        if self._gathering is None or self._ending.halted or not self._gathering.complete:
            return None
        text = self._gathering.disagreement()
        if text is not None:
            self._results.collection_failed("collections of the workers", text)
            self._suite = Collected([], None, [], [], {}, [])
        else:
            self._suite = self._first
        return self._suite

    def _refuse(self, worker: WorkerId, text: str) -> None:
        """Kill a replacement whose collection differs: it would run other tests than those it is told to."""
        self._terminal.remember(
            self._ending.broken_by(f"worker {worker_name(worker)} cannot be used: {text}")
        )
        self._cluster.signal(worker, Signals.KILL, group=True)

    # --- the end of it ---

    def session_ends(self, worker: WorkerId) -> None:
        """Note that the session of a worker that collects has ended by itself."""
        self._finished.add(worker)

    def reaped(self, message: Reaped) -> bool:
        """Handle a worker's death; return whether the worker was one that the run does not know yet."""
        worker = message.worker
        gathering = self._gathering
        if gathering is None or self._suite is not None or worker not in gathering.left:
            return False
        if message.reason is not None:
            self._cluster.release(worker)
            self._refused(gathering, worker, message.reason)
            return True
        gathering.gone(worker)
        death = self._supervisor.death(worker, message.status, message.reason, message.peak_memory)
        self._cluster.release(worker)
        regular = worker in self._finished and not message.status
        self._nodes[worker].shutting_down = True
        self._nodes.down(worker, None if regular else death.cause)
        if not self._ending.halted:
            what = f"worker {worker_name(worker)} died before it had collected: {death.cause}"
            self._terminal.remember(self._ending.broken_by(what))
        return True

    def cut_off(self) -> None:
        """There will be no run: make the workers end."""
        self._is_cut_off = True
        if self._gathering is None:
            return
        for worker in self._gathering.waiting:
            self._cluster.tell(worker, ["finish"])
        for worker in self._gathering.collecting:
            if worker not in self._finished:
                self._cluster.signal(worker, Signals.INT)

    def give_up(self) -> None:
        """Stop waiting for workers that do not end."""
        self._is_given_up = True

    @property
    def is_over(self) -> bool:
        """Whether there is nothing left to wait for, when the run ended before it began."""
        return self._gathering is None or not self._gathering.left or self._is_given_up
