"""How far the run has come: what happened goes to the core here, and its answers are carried out."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

import pytest_procpar.core.run.events as events
from pytest_procpar.compat.foreign_options import goes_on_after_collection_errors
from pytest_procpar.compat.pytest_private.cache import learn_collection
from pytest_procpar.controller.collaborators import Collaborators
from pytest_procpar.controller.collection import Collecting
from pytest_procpar.controller.effects import Effects
from pytest_procpar.controller.signals import Signals
from pytest_procpar.controller.worker_deaths import Deaths, Postmortem
from pytest_procpar.core.model import WorkerId, WorkerInput, worker_name
from pytest_procpar.core.protocol.common import Collected, Halted
from pytest_procpar.core.run.events import Event
from pytest_procpar.core.sizing.numbers import Limits, number_of, reason_of
from pytest_procpar.history.keeper import forecast
from pytest_procpar.host.staffing import Staffing

if TYPE_CHECKING:
    from pytest_procpar.compat.xdist.plugin_scheduler import ForeignScheduling
    from pytest_procpar.core.run.sharing.wide_fixtures import Known, SharedData

__all__ = ["Course"]


class Course:
    """The only way to the core: collection, tests, deaths, and orders to stop.

    It hears nothing itself: whoever hears of something says so here.
    """

    def __init__(self, shared: Collaborators) -> None:
        self._config = shared.config
        self._settings = shared.settings
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
        #: Counts the workers.
        self.staffing = Staffing(shared.settings, os.environ)
        shared.config.add_cleanup(self.staffing.leave)
        self.deaths = Deaths(shared)
        self._effects = Effects(shared, self.deaths)
        self.collecting = Collecting(shared)
        self._session: pytest.Session
        #: Whether the suite is known.
        self.collected = False
        #: Whether no worker can be made or reaped any more.
        self.server_gone = False

    def deal_by(self, scheduling: ForeignScheduling) -> None:
        """Let a plugin's scheduler decide which worker runs what; call this before the tests are known."""
        self._run.deal_by(scheduling.name)
        self._effects.scheduler = scheduling.adapter

    def begin(self, session: pytest.Session, inputs: list[WorkerInput]) -> None:
        """Begin the collection: the controller's session has started."""
        self._session = session
        self.collecting.begin(inputs)

    @property
    def over(self) -> bool:
        """Whether nothing more will happen."""
        if self.server_gone or self._run.over:
            return True
        return self.cut_off and self.collecting.is_over

    @property
    def cut_off(self) -> bool:
        """Whether the run has ended before it began."""
        return self._ending.halted and not self.collected

    def happened(self, event: Event) -> None:
        """Pass an event to the core, and carry out the effects that it answers with."""
        now = self._clock.now()
        if isinstance(event, (events.ItemFinished, events.SuiteCollected, events.Died)):
            self._vigil.progressed(now)
        queue = deque([event])
        while queue:
            for effect in self._run.handle(queue.popleft(), now):
                answer = self._effects.perform(effect)
                if isinstance(answer, events.Decided):
                    queue.appendleft(answer)  # the core awaits it before anything else
                elif answer is not None:
                    queue.append(answer)
        if self._run.over:
            self.staffing.idle()

    def suite_collected(self, collected: Collected) -> None:
        """The suite is known: make workers for it, or none if it cannot be run."""
        session, config = self._session, self._config
        self._cluster.collected(collected.ids)
        self.collecting.known(collected)
        learn_collection(config, collected.ids, len(collected.deselected))
        self._terminal.deselected(collected.deselected)
        session.testscollected = len(collected.ids)
        runnable = not session.testsfailed or goes_on_after_collection_errors(config)
        ids, keys = (collected.ids, collected.keys) if runnable else ([], None)
        self._ending.collection_failed = not runnable
        self._results.collected(ids)
        self._run_record.collected(ids, collected.apart)
        self._results.scheduling.collected(ids, keys)
        started = self.collecting.started
        self._run.all_wanted = self._nodes.all_wanted()
        history = forecast(self._config)
        durations = [] if history is None else history.durations(ids)
        limits = self._limits(ids, keys, started, durations) if ids else None
        count = self._run.workers_for(len(ids), started, keys)
        self._nodes.make_ready(count, ids, self.staffing.most if limits is not None else count)
        if runnable:
            dist = self._results.scheduling.name or (None if self._settings.pinned else self._settings.dist)
            why = "" if limits is None else reason_of(limits, self._settings.elastic)
            self._terminal.collected(count, len(ids), dist, collected.lines, why)
        self.collected = True
        self._vigil.server_serves(self._clock.now())
        time_limits = tuple(collected.limits.items()) if runnable else ()
        groups = tuple(keys) if keys is not None else None
        known = self._known(durations, collected.shared) if ids else None
        self.happened(events.SuiteCollected(len(ids), groups, time_limits, started, known))

    def _limits(
        self,
        ids: Sequence[str],
        keys: Sequence[str] | None,
        started: int,
        durations: Sequence[float | None],
    ) -> Limits:
        """What limits the number of workers for these tests; as many are started if the run is free to."""
        staffing, history = self.staffing, forecast(self._config)
        is_dealt = self._results.scheduling.name is not None
        is_divided = self._settings.run_options().divided
        is_free = not (started or self._run.all_wanted or is_dealt or is_divided)
        known = staffing.worth(ids, keys, durations, history) if is_free else None
        parent = self._cluster.fork_server() if is_free else None
        measured = 0 if history is None else history.worker_memory()
        now = self._clock.now()
        limits = staffing.begin(len(ids), known, parent, measured, now, grows=is_free)
        self._run.at_first = number_of(limits)
        if staffing.trouble is not None:
            self._terminal.line(f"processors are not shared with other runs: {staffing.trouble}", least=1)
        return limits

    def look_at_other_runs(self) -> None:
        """Start the workers that other runs have left meanwhile, and all if the history was wrong."""
        count = self.staffing.look(self._run.usable(), self._clock.now())
        if count is not None and not self._run.stopping:
            self.happened(events.Allotted(count))

    def look_ahead(self) -> None:
        """Read what earlier runs say of the tests, and import what uses and records it: it will be needed."""
        history = forecast(self._config)
        if history is not None:
            import pytest_procpar.core.history.recording
        if history is not None and history.knows_tests:
            import pytest_procpar.core.run.sharing.knowing
            import pytest_procpar.core.run.sharing.scheduler  # noqa: F401

    def _known(self, durations: Sequence[float | None], shared: SharedData | None) -> Known | None:
        """What is known of the tests before they run: what they share, and what they took in earlier runs."""
        if shared is None and not any(durations):
            return None
        history = forecast(self._config)
        from pytest_procpar.core.run.sharing.knowing import known_of

        settings = {} if history is None else history.settings(0)
        return known_of(shared, durations, settings, self._settings.run_options())

    def lose_server(self) -> None:
        """Note that the fork server is gone: no worker can be made any more."""
        self.server_gone = self._effects.barren = True

    # --- ends ---

    def stop_if_wanted(self) -> None:
        """Stop if pytest's session says so, as it does after `--maxfail` failures."""
        wanted = self._session.shouldfail or self._session.shouldstop
        if wanted and self.collected and not self._run.stopping:
            self.stop()

    def interrupted(self, signum: int) -> None:
        """Handle the first Ctrl-C, SIGTERM or SIGHUP: end in order; `Signals` handles the second one."""
        if signum != Signals.INT:
            why = f"terminated by {Signals.name(signum)}"
            self._ending.halt(Halted("exit", why, pytest.ExitCode.INTERRUPTED))
            self._vigil.terminated(why, self._clock.now())
            self._cluster.hurry()
        else:
            self._ending.halt(Halted("keyboard", ""))
        if not self.collected:
            self._cluster.interrupt_collection()
            return
        for worker, test in self._run.running().items():
            self._terminal.line(
                f"[{worker_name(worker)}] interrupted while running {self._results.nodeid(test)}"
            )
        self.stop(interrupt=True)

    def stop(self, *, interrupt: bool = False) -> None:
        """Let no further test begin.

        :param interrupt: whether to interrupt those that run.
        """
        self._cluster.board.stop()
        self.happened(events.Stop(interrupt))

    def killed(self, worker: WorkerId, cause: str) -> None:
        """Handle the death of a worker that this process has killed and nobody can reap."""
        self.died(self.deaths.examine(worker, self._supervisor.death(worker, 0, cause, None)))

    def died(self, found: Postmortem) -> None:
        """Handle a worker's death: report, tell the core, and break the run off if nothing can go on."""
        worker = found.worker
        if found.ended is not None:
            self.happened(events.ItemFinished(worker, found.ended))
            self._results.finished(self._nodes[worker], found.ended, found.passes)
        self.deaths.bury(worker)
        self.happened(events.Died(worker))
        if found.unexplained:
            self.deaths.report_unexplained(worker)
        if found.breaks is not None:
            self._ending.broken_by(found.breaks)
