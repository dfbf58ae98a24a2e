"""The controller's loop: wait for what happens, ask the core what to do, and carry it out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

import pytest_procpar.core.run.actions as actions
import pytest_procpar.core.run.events as events
from pytest_procpar.compat.pytest_private.cache import learn_collection
from pytest_procpar.compat.pytest_private.streams import forget_hung_up_terminal
from pytest_procpar.controller.collaborators import Collaborators
from pytest_procpar.controller.collection import Collecting
from pytest_procpar.controller.effects import Effects
from pytest_procpar.controller.signals import Signals
from pytest_procpar.controller.worker_deaths import Deaths, Postmortem
from pytest_procpar.core.model import WorkerId, assert_never, worker_name
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
from pytest_procpar.core.run.actions import Action
from pytest_procpar.core.run.events import Event
from pytest_procpar.system.calls import describe_status, pause

if TYPE_CHECKING:
    from pytest_procpar.compat.xdist.plugin_scheduler import ForeignScheduling
    from pytest_procpar.controller.deadlocks import DeadlockWatch

__all__ = ["Loop"]

#: How long results may pile up while every worker has enough to do, in seconds: each wake-up of the
#: controller may take a processor away from a worker.
_PILE_UP = 0.01


class Loop:
    """Hears the fork server, the workers and signals, and turns what they say into events for the core."""

    def __init__(self, shared: Collaborators) -> None:
        self._shared = shared
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
        self._vigil = self._supervisor.vigil
        self._deaths = Deaths(shared)
        self._effects = Effects(shared, self._deaths)
        self._collecting = Collecting(shared)
        #: Looks for workers that will never go on; made when the first look is due.
        self._deadlocks: DeadlockWatch | None = None
        self._session: pytest.Session
        self._collected = False
        #: The peak memory of the largest worker that ended with status 0, in bytes.
        self.worker_memory = 0
        #: Whether no worker can be made or reaped any more.
        self.server_gone = False
        #: Writes the output that is held back for the terminal.
        self.show: Callable[[], None] = lambda: None

    def deal_by(self, scheduling: ForeignScheduling) -> None:
        """Let a plugin's scheduler decide which worker runs what; call this before the tests are known."""
        self._run.deal_by(scheduling.name)
        self._effects.scheduler = scheduling.adapter

    def begin(self, session: pytest.Session, inputs: list[dict[str, Any]]) -> None:
        """Begin the collection: the controller's session has started."""
        self._session = session
        self._collecting.begin(inputs)

    def look_around(self) -> None:
        """Take note of the machine's state before any test runs; call this when there is time."""
        self._supervisor.look_around()

    @property
    def over(self) -> bool:
        """Whether nothing more will happen."""
        if self.server_gone or self._run.over:
            return True
        return self._cut_off and self._collecting.is_over

    @property
    def _cut_off(self) -> bool:
        """Whether the run has ended before it began."""
        return self._ending.halted and not self._collected

    # --- the loop ---

    def step(self, signals: Signals) -> None:
        """Wait until something happens, and handle it."""
        if self._collected and not self._results.eager and not self._run.hungry():
            self.show()
            pause(_PILE_UP)
        now = self._clock.now()
        if self._cut_off:
            self._vigil.collection_cut_off(now)
        deadline = self._vigil.deadline()
        self._listen(None if deadline is None else max(0.0, deadline - now))
        caught = self._caught(signals)
        if caught:
            self._listen(0.0)  # so that what had begun when the signal came is interrupted, and named
        for signum in caught:
            self._signalled(signum, signals)
        # Only after everything that was sent has been read: no worker is judged while a message of its own
        # waits.
        for action in self._vigil.due(self._clock.now()):
            self._act(action)
        self._stop_if_wanted()

    def heed(self, signals: Signals) -> None:
        """End the run in order if a signal asks for it."""
        for signum in self._caught(signals):
            if signum in Signals.END:
                self.interrupted(signum)

    def _caught(self, signals: Signals) -> list[int]:
        """The signals since the last call; after a hang-up, nothing more is written to the terminal."""
        caught = signals.caught()
        if Signals.HUP in caught:
            forget_hung_up_terminal(self._config)
        return caught

    def _act(self, action: Action) -> None:
        """Carry out an action that is due."""
        match action:
            case actions.WakeRun():
                self._happened(events.Tick())
            case actions.LookForDeadlocks():
                self._look_for_deadlocks()
            case actions.LookIntoInboxes(workers):
                self._vigil.found_empty(self._supervisor.with_empty_inboxes(workers), self._clock.now())
            case actions.DumpStacks(worker):
                self._supervisor.dump_stacks(worker)
            case actions.Say(text):
                self._terminal.notice(text)
            case actions.ShowRunning(asked):
                self._supervisor.show_running(stacks=asked)
                if not asked:
                    self._show_hint()
            case actions.KillLost(worker, why):
                self._supervisor.kill_lost(worker, why)
            case actions.PingServer():
                self._cluster.ping()
            case actions.GiveUpServer(why):
                self._cluster.kill_server()
                self._lose_server(why)
            case actions.FinishCollecting():
                self._collecting.cut_off()
            case actions.GiveUpCollecting():
                self._collecting.give_up()
            case actions.BreakOff(why):
                raise pytest.exit.Exception(why, returncode=pytest.ExitCode.INTERRUPTED)
            case _:
                assert_never(action)

    def _look_for_deadlocks(self) -> None:
        if self._deadlocks is None:
            from pytest_procpar.controller.deadlocks import DeadlockWatch

            settings = self._settings
            acts = settings.start_method is None and settings.tests_a_process is None
            self._deadlocks = DeadlockWatch(self._shared, self._deaths, self._collecting, acts=acts)
        replaced = self._deadlocks.look(collected=self._collected)
        for stuck in replaced.stuck:
            self._happened(stuck)
        for worker in replaced.dead:
            self._killed(worker, replaced.cause)

    def _show_hint(self) -> None:
        """Show why nothing happens, if a reason is known."""
        hint = None if self._deadlocks is None else self._deadlocks.hint()
        if hint is not None:
            self._terminal.notice(f"    {hint}")

    @property
    def _serving(self) -> bool:
        """Whether the fork server listens: it does not while it collects."""
        return self._collected or not self._cluster.method.collects_once

    def _listen(self, seconds: float | None) -> None:
        self.show()
        with self._clock.waiting(seconds):
            sources = self._cluster.wait(seconds)
        for source in sources:
            if source is None:
                self._listen_to_server()
            else:
                self._listen_to_worker(source)

    def _stop_if_wanted(self) -> None:
        wanted = self._session.shouldfail or self._session.shouldstop
        if wanted and self._collected and not self._run.stopping:
            self._stop()

    def _signalled(self, signum: int, signals: Signals) -> None:
        if signum == Signals.STOP:
            self.show()
            with self._clock.stopped():
                self._cluster.suspend(serving=self._serving)
                signals.stop_this_process()
                self._cluster.resume()
        elif signum in Signals.ASK:
            self._vigil.asked(self._clock.now())
        else:
            self.interrupted(signum)

    def interrupted(self, signum: int) -> None:
        """Handle the first Ctrl-C, SIGTERM or SIGHUP: end in order; `Signals` handles the second one."""
        if signum != Signals.INT:
            why = f"terminated by {Signals.name(signum)}"
            self._ending.halt(Halted("exit", why, pytest.ExitCode.INTERRUPTED))
            self._vigil.terminated(why, self._clock.now())
            self._cluster.hurry()
        else:
            self._ending.halt(Halted("keyboard", ""))
        if not self._collected:
            self._cluster.interrupt_collection()
            return
        for worker, test in self._run.running().items():
            self._terminal.line(
                f"[{worker_name(worker)}] interrupted while running {self._results.nodeid(test)}"
            )
        self._stop(interrupt=True)

    def _stop(self, *, interrupt: bool = False) -> None:
        self._cluster.board.stop()
        self._happened(events.Stop(interrupt))

    def _happened(self, event: Event) -> None:
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

    # --- what the fork server says ---

    def _listen_to_server(self) -> None:
        messages, is_open = self._cluster.from_server()
        self._vigil.server_spoke(self._clock.now())
        for message in messages:
            match message:
                case Collected():
                    self._suite_collected(message)
                case CollectReported(data):
                    self._collecting.reported(None, data)
                case Unsafe(reason):
                    self._collecting.fall_back(reason)
                    return
                case Forked(worker, pid):
                    self._cluster.forked(worker, pid)
                case Reaped():
                    self._reaped(message)
                case Pong():
                    pass
                case Warned(data):
                    self._collecting.warned(None, data)
                case Logged():
                    self._results.logged(None, message)
                case Halted():
                    self._ending.halt(message)
                case Broke(text):
                    self.broke("the fork server", text)
                case _:
                    assert_never(message)
        if not is_open and not self.server_gone:
            self._lose_server()

    def _suite_collected(self, collected: Collected) -> None:
        """The suite is known: make workers for it, or none if it cannot be run."""
        session, config = self._session, self._config
        self._cluster.collected(collected.ids)
        self._collecting.known(collected)
        learn_collection(config, collected.ids, len(collected.deselected))
        self._terminal.deselected(collected.deselected)
        session.testscollected = len(collected.ids)
        runnable = not session.testsfailed or config.option.continue_on_collection_errors
        ids, keys = (collected.ids, collected.keys) if runnable else ([], None)
        self._ending.collection_failed = not runnable
        self._results.collected(ids)
        self._run_record.collected(ids, collected.apart)
        self._results.scheduling.collected(ids, keys)
        started = self._collecting.started
        if self._nodes.all_wanted():
            self._run.start_all()
        count = self._run.workers_for(len(ids), started)
        self._nodes.make_ready(count, ids)
        if runnable:
            dist = self._results.scheduling.name or (None if self._settings.pinned else self._settings.dist)
            self._terminal.collected(count, len(ids), dist, collected.lines)
        self._collected = True
        self._vigil.server_serves(self._clock.now())
        limits = tuple(collected.limits.items()) if runnable else ()
        groups = tuple(keys) if keys is not None else None
        self._happened(events.SuiteCollected(len(ids), groups, limits, started))

    def _lose_server(self, why: str | None = None) -> None:
        """The fork server is gone: without it no worker can be made or reaped."""
        self.server_gone = self._effects.barren = True
        status = self._cluster.server_status()
        note = "" if self._collected else self._cluster.server_note()
        if not self._ending.halted:
            what = f"the fork server died {note}".rstrip()
            reason = why or f"{what}: {describe_status(status)}"
            self._terminal.remember(self._ending.broken_by(reason))
        for worker in self._cluster.kill_orphans():
            self._listen_to_worker(worker)
            if worker in self._run.running():
                self._killed(worker, "killed, because the fork server died")

    # --- deaths ---

    def _reaped(self, message: Reaped) -> None:
        """Handle a worker's death: read its last messages, then judge."""
        worker = message.worker
        self._listen_to_worker(worker)
        if not message.status:
            self.worker_memory = max(self.worker_memory, message.peak_memory or 0)
        if self._collecting.reaped(message):
            suite = self._collecting.merged()
            if suite is not None:
                self._suite_collected(suite)
            return
        death = self._supervisor.death(worker, message.status, message.reason, message.peak_memory)
        reason = message.reason or self._deaths.starvation(worker)
        if reason is not None:
            self._happened(self._deaths.refused(worker, reason))
        else:
            self._died(self._deaths.examine(worker, death, message.status))

    def _killed(self, worker: WorkerId, cause: str) -> None:
        """Handle the death of a worker that this process has killed and nobody can reap."""
        self._died(self._deaths.examine(worker, self._supervisor.death(worker, 0, cause, None)))

    def _died(self, found: Postmortem) -> None:
        worker = found.worker
        if found.ended is not None:
            self._happened(events.ItemFinished(worker, found.ended))
            self._results.finished(self._nodes[worker], found.ended, found.passes)
        self._deaths.bury(worker)
        self._happened(events.Died(worker))
        if found.unexplained:
            self._deaths.report_unexplained(worker)
        if found.breaks is not None:
            self._ending.broken_by(found.breaks)

    def broke(self, who: str, text: str) -> None:
        """Print another process's internal error as if it were this one's, and end the run."""
        self._ending.broken_by(f"internal error in {who}")
        self._results.internal_error(who, text)
        if self._collected and not self._run.stopping:
            self._stop()

    # --- what workers say ---

    def _listen_to_worker(self, worker: WorkerId) -> None:
        messages, lost = self._cluster.from_worker(worker)
        for message in messages:
            self._hear(worker, message)
            self._stop_if_wanted()
        if lost is not None:
            is_closed = self._cluster.is_silent(worker)
            self._vigil.lost(worker, lost, self._clock.now(), is_closed=is_closed)

    def _hear(self, worker: WorkerId, message: FromWorker) -> None:
        node = self._nodes[worker]
        match message:
            case Began(test, location):
                if self._run.hears(worker):
                    self._happened(events.ItemBegan(worker, test))
                    self._results.began(test, location)
            case Finished(test, passes, began, ended):
                if self._run.hears(worker):
                    self._happened(events.ItemFinished(worker, test))
                    self._results.finished(node, test, passes)
                    self._run_record.finished(worker, test, began, ended)
            case Reported(test, data):
                if self._run.hears(worker):
                    self._run_record.reported(test, data)
                    self._results.reported(node, test, data)
            case Collected():
                suite = self._collecting.collected(worker, message)
                if suite is not None:
                    self._suite_collected(suite)
                elif self._ending.broken and self._collected and not self._run.stopping:
                    self._stop()  # a replacement would run other tests than the others
            case CollectReported(data):
                self._collecting.reported(worker, data)
            case Ready():
                if not self._collecting.knows(worker):  # otherwise it counts as ready once the others are
                    self._happened(events.WorkerReady(worker))
            case Warned(data):
                self._collecting.warned(worker, data)
            case JunitRecord():
                self._results.junit_noted(node, message)
            case Logged():
                self._results.logged(node, message)
            case Halted():
                if self._hears(worker):
                    self._worker_halted(worker, message)
            case Broke(text):
                if self._hears(worker):
                    self._collecting.session_ends(worker)
                    self.broke(f"worker {worker_name(worker)}", text)
            case Starved(reason):
                self._deaths.starved(worker, reason)
            case Done(output):
                node.workeroutput = output
                self._collecting.session_ends(worker)
                self._deaths.session_finished(worker)
            case _:
                assert_never(message)

    def _hears(self, worker: WorkerId) -> bool:
        """Whether what a worker says about itself counts."""
        return not self._collected or self._run.hears(worker)

    def _worker_halted(self, worker: WorkerId, halt: Halted) -> None:
        self._ending.halt(halt)
        if not self._collected:
            self._collecting.session_ends(worker)
        elif not self._run.stopping:
            self._stop(interrupt=halt.kind == "keyboard")
