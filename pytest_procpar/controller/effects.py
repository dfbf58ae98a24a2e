"""Carries out the core's effects, one case for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest_procpar.core.run.events as events
from pytest_procpar.controller.collaborators import Collaborators
from pytest_procpar.controller.signals import Signals
from pytest_procpar.controller.worker_deaths import Deaths
from pytest_procpar.core.inquiry.probes import Outcome
from pytest_procpar.core.model import TestIndex, WorkerId, assert_never, worker_name
from pytest_procpar.core.protocol.records import Record
from pytest_procpar.core.run.events import Effect, Event
from pytest_procpar.system.calls import monotonic
from pytest_procpar.system.headroom import private

if TYPE_CHECKING:
    from pytest_procpar.compat.xdist.plugin_scheduler import SchedulerAdapter

__all__ = ["Effects"]

#: The memory of as many workers is measured when they end: that takes about a millisecond each.
_LOOKS = 3


class Effects:
    """Sends orders to workers, and tells whoever needs to know what became of tests."""

    def __init__(self, shared: Collaborators, deaths: Deaths) -> None:
        self._cluster = shared.cluster
        self._nodes = shared.nodes
        self._results = shared.results
        self._terminal = shared.terminal
        self._supervisor = shared.supervisor
        self._run_record = shared.run_record
        self._deaths = deaths
        #: Answers for a plugin's scheduler, if a plugin has made one.
        self.scheduler: SchedulerAdapter | None = None
        #: Whether no worker can be forked any more.
        self.barren = False
        #: What the workers had for themselves that were measured, in bytes; 0: that is not known.
        self._sizes: list[int] = []

    def perform(self, effect: Effect) -> Event | None:
        """Carry out an effect; return the event that answers it, if there is one."""
        cluster = self._cluster
        match effect:
            case events.Assign(worker, tests, then):
                records: list[Record] = [*tests]
                cluster.tell(worker, records if then is None else [*records, then])
            case events.Revoke(worker):
                records = cluster.take_back(worker)
                return events.Revoked(worker, tuple(r for r in records if isinstance(r, int)))
            case events.Consult():
                assert self.scheduler is not None
                return self.scheduler.answer(effect)
            case events.Spawn(worker, replaces):
                if self.barren:
                    return None
                if cluster.has(worker):  # it has collected, and waited for the others
                    return events.WorkerReady(worker)
                if worker in cluster.refusals:
                    return self._deaths.refused(worker, cluster.refusals.pop(worker))
                if replaces is not None and not self._deaths.is_excused(replaces):
                    self._terminal.line(f"\nreplacing crashed worker {worker_name(replaces)}")
                why = cluster.spawn(worker, self._nodes.input_for(worker))
                return None if why is None else self._deaths.refused(worker, why)
            case events.Finish(worker):
                self._measure(worker)
                self._nodes[worker].shutting_down = True
                cluster.tell(worker, ["finish"])
            case events.Interrupt(worker):
                cluster.signal(worker, Signals.INT)
            case events.Kill(worker):
                cluster.signal(worker, Signals.KILL, group=True)
            case events.Dump(worker, _, limit):
                self._supervisor.hangs(worker, limit)
            case events.Terminate(worker):
                cluster.signal(worker, Signals.TERM, group=True)
            case events.Crashed(worker, test):
                self._died(worker, test, Outcome.CRASHED)
                if self._deaths.crashed(worker, test):
                    return events.ItemPutBack(test)
            case events.Hung(worker, test):
                self._died(worker, test, Outcome.HUNG)
                self._deaths.hung(worker, test)
            case events.NotRun(tests, reason):
                for test in tests:
                    self._results.not_run(test, reason)
            case events.GiveUp(reason):
                self._terminal.remember(reason)
            case events.Fewer(workers, reason):
                cluster.room = workers
                self._terminal.remember(
                    f"only {workers} worker{' fits' if workers == 1 else 's fit'}: {reason}"
                )
            case _:
                assert_never(effect)
        return None

    def _measure(self, worker: WorkerId) -> None:
        """Note how much memory workers took for themselves: the next run may start no more than fit.

        That is the mean: if one test takes much, one worker does, and not all of them.
        """
        pid = self._cluster.pid(worker)
        if len(self._sizes) < _LOOKS and pid is not None:
            self._sizes.append(private(pid))
            known = list(filter(None, self._sizes))
            self._run_record.worker_memory = sum(known) // max(1, len(known))

    def _died(self, worker: WorkerId, test: TestIndex, word: Outcome) -> None:
        seconds, starved = self._deaths.seconds(worker), self._deaths.was_starved(worker)
        self._run_record.died(worker, test, word, seconds, monotonic(), starved=starved)
