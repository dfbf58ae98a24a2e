"""The controller's loop: wait for messages, signals and deadlines, and do what is due."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

import pytest_procpar.core.run.actions as actions
import pytest_procpar.core.run.events as events
from pytest_procpar.compat.pytest_private.streams import forget_hung_up_terminal
from pytest_procpar.controller.collaborators import Collaborators
from pytest_procpar.controller.course import Course
from pytest_procpar.controller.hearing import Hearing
from pytest_procpar.controller.signals import Signals
from pytest_procpar.core.model import WorkerInput, assert_never
from pytest_procpar.core.run.actions import Action
from pytest_procpar.system.calls import pause

if TYPE_CHECKING:
    from pytest_procpar.compat.xdist.plugin_scheduler import ForeignScheduling
    from pytest_procpar.controller.deadlocks import DeadlockWatch

__all__ = ["Loop"]

#: When to try again to look for deadlocks if that was impossible, in seconds.
_LOOK_AGAIN = 1.0
#: How long results may pile up while every worker has enough to do, in seconds: each wake-up of the
#: controller may take a processor away from a worker.
_PILE_UP = 0.01


class Loop:
    """Waits, and handles signals and deadlines; `Hearing` takes in messages, `Course` tells the core."""

    def __init__(self, shared: Collaborators) -> None:
        self._shared = shared  # for the part that is made later
        self._config = shared.config
        self._settings = shared.settings
        self._cluster = shared.cluster
        self._run = shared.run
        self._results = shared.results
        self._terminal = shared.terminal
        self._clock = shared.clock
        self._supervisor = shared.supervisor
        self._vigil = shared.supervisor.vigil
        self._course = Course(shared)
        self._hearing = Hearing(shared, self._course)
        #: Looks for workers that will never go on; made when the first look is due.
        self._deadlocks: DeadlockWatch | None = None
        #: Writes the output that is held back for the terminal.
        self.show: Callable[[], None] = lambda: None

    def deal_by(self, scheduling: ForeignScheduling) -> None:
        """Let a plugin's scheduler decide which worker runs what; call this before the tests are known."""
        self._course.deal_by(scheduling)

    def begin(self, session: pytest.Session, inputs: list[WorkerInput]) -> None:
        """Begin the collection: the controller's session has started."""
        self._course.begin(session, inputs)

    def look_around(self) -> None:
        """Take note of the machine and of earlier runs before any test runs; call this when there is time."""
        self._supervisor.look_around()
        self._course.look_ahead()
        self._course.staffing.get_ready()

    def leave_host(self) -> None:
        """Take no part any more among the runs of this machine: no process of this one tests anything."""
        self._course.staffing.leave()

    @property
    def over(self) -> bool:
        """Whether nothing more will happen."""
        return self._course.over

    @property
    def server_gone(self) -> bool:
        """Whether no worker can be made or reaped any more."""
        return self._course.server_gone

    @property
    def worker_memory(self) -> int:
        """The peak memory of the largest worker that ended with status 0, in bytes."""
        return self._hearing.worker_memory

    def step(self, signals: Signals) -> None:
        """Wait until something happens, and handle it."""
        if self._course.collected and not self._results.eager and not self._run.hungry():
            self.show()
            pause(_PILE_UP)
        now = self._clock.now()
        if self._course.cut_off:
            self._vigil.collection_cut_off(now)
        dues = (self._vigil.deadline(), self._course.staffing.deadline())
        deadline = min((due for due in dues if due is not None), default=None)
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
        if self._course.staffing.is_due(self._clock.now()):
            self._course.look_at_other_runs()
        self._course.stop_if_wanted()

    def heed(self, signals: Signals) -> None:
        """End the run in order if a signal asks for it."""
        for signum in self._caught(signals):
            if signum in Signals.END:
                self._course.interrupted(signum)

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
                self._course.happened(events.Tick())
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
                self._hearing.lose_server(why)
            case actions.FinishCollecting():
                self._course.collecting.cut_off()
            case actions.GiveUpCollecting():
                self._course.collecting.give_up()
            case actions.BreakOff(why):
                raise pytest.exit.Exception(why, returncode=pytest.ExitCode.INTERRUPTED)
            case _:
                assert_never(action)

    def _look_for_deadlocks(self) -> None:
        course = self._course
        if self._deadlocks is None:
            try:
                from pytest_procpar.controller.deadlocks import DeadlockWatch
            except OSError:  # no descriptor is left to open a module's file
                self._vigil.look_again(self._clock.now() + _LOOK_AGAIN)
                return

            settings = self._settings
            acts = settings.start_method is None and settings.tests_a_process is None
            self._deadlocks = DeadlockWatch(self._shared, course.deaths, course.collecting, acts=acts)
        replaced = self._deadlocks.look(collected=course.collected)
        for stuck in replaced.stuck:
            course.happened(stuck)
        for worker in replaced.dead:
            course.killed(worker, replaced.cause)

    def _show_hint(self) -> None:
        """Show why nothing happens, if a reason is known."""
        hint = None if self._deadlocks is None else self._deadlocks.hint()
        if hint is not None:
            self._terminal.notice(f"    {hint}")

    @property
    def _serving(self) -> bool:
        """Whether the fork server listens: it does not while it collects."""
        return self._course.collected or not self._cluster.method.collects_once

    def _listen(self, seconds: float | None) -> None:
        self.show()
        with self._clock.waiting(seconds):
            sources = self._cluster.wait(seconds)
        for source in sources:
            if source is None:
                self._hearing.listen_to_server()
            else:
                self._hearing.listen_to_worker(source)

    def _signalled(self, signum: int, signals: Signals) -> None:
        if signum == Signals.STOP:
            self.show()
            with self._clock.stopped():
                self._cluster.suspend(serving=self._serving)
                self._course.staffing.idle()
                signals.stop_this_process()
                self._course.staffing.go_on()
                self._cluster.resume()
        elif signum in Signals.ASK:
            self._vigil.asked(self._clock.now())
        else:
            self._course.interrupted(signum)
