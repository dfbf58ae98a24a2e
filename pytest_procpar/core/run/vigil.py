"""When the controller has waited long enough, for whom, and what it does then: the one watch over a run.

`Run` decides who runs which test, and how long a test may take. `Vigil` decides everything else about time: a
run in which no test ends, workers that are not heard of any more, workers that wait for tests which are lost,
a fork server that does not answer, and a collection or a run that should end and does not.

Pure: a method for each kind of event tells `Vigil` what happened and at what time; `due` returns what to do,
as records; `deadline` says when to ask again. It reads no clock, sends nothing and prints nothing. Its times
are in seconds of the run's clock, which stands still while the run is suspended, so no time limit here has to
care about Ctrl-Z.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pytest_procpar.core.model import WorkerId
from pytest_procpar.core.run.actions import (
    Action,
    BreakOff,
    DumpStacks,
    FinishCollecting,
    GiveUpCollecting,
    GiveUpServer,
    KillLost,
    LookForDeadlocks,
    LookIntoInboxes,
    PingServer,
    Say,
    ShowRunning,
    WakeRun,
)
from pytest_procpar.core.run.hang_watch import DUMP_SECONDS
from pytest_procpar.core.run.run import Run

__all__ = [
    "CALM_SECONDS",
    "COLLECT_SECONDS",
    "DEAF_SECONDS",
    "FIRST_LOOK_SECONDS",
    "LOST_SECONDS",
    "PING_SECONDS",
    "STALL_SECONDS",
    "TERMINATED_SECONDS",
    "Vigil",
]

#: After how many silent seconds the fork server is asked for a sign of life, and after how many it is taken
#: for dead. It has nothing to say while all workers run tests, so silence alone means nothing, and whatever
#: it says counts as an answer. It has half a minute to answer. It answers at once unless it is stopped or the
#: machine is out of memory; and as giving it up ends the run, that must not be hasty.
PING_SECONDS = 10.0
DEAF_SECONDS = 40.0

#: After how many seconds without the end of a test we look into inboxes. That takes a system call for each
#: worker at every wake-up, so it is not worth it while tests end; and a worker that is about to begin a test
#: looks the same.
CALM_SECONDS = 2.0
#: How long a worker may then be found idle with an empty inbox although it was sent tests. Between reading a
#: number and beginning that test a worker does little, so one that stays like this has not read the number.
#: Somebody else has: a test that reads from a descriptor without knowing what it is.
STALL_SECONDS = 3.0

#: How long a worker that has closed its connection may take to die. Most likely it is dead already; how it
#: ended says more than that we killed it, and its parent may be slow to tell. A worker that sends nonsense is
#: killed at once, since it goes on running tests.
LOST_SECONDS = 10.0

#: After how many seconds we first look for workers that will never go on. Most runs are over by then, and
#: need not import the code for it.
FIRST_LOOK_SECONDS = 1.0

#: How long workers that collect for themselves may take to end if there will be no run. They are interrupted
#: at once, so only the ends of their sessions are left.
COLLECT_SECONDS = 10.0

#: How long the workers may take to end after SIGTERM or SIGHUP to the controller. `docker stop` sends SIGKILL
#: ten seconds after SIGTERM, and the results so far must be reported before that.
TERMINATED_SECONDS = 5.0


class Vigil:
    """Knows since when each process has been silent. Times are in seconds of the run's clock.

    :param run: asked when it wants to be woken and what its workers do; never changed.
    :param quiet: after how many seconds without the end of a test to say what is running; 0: never.
    """

    def __init__(
        self,
        run: Run,
        now: float,
        *,
        quiet: float = 0.0,
        ping: float = PING_SECONDS,
        deaf: float = DEAF_SECONDS,
    ) -> None:
        self._run = run
        #: When the latest test ended, or the tests became known.
        self.silent_since = now
        self._quiet = self._next_quiet = quiet
        self._quiet_at: float | None = None
        #: When to begin looking into inboxes; None: that has begun, and we look at every wake-up.
        self._calm_at: float | None = now + CALM_SECONDS
        #: Since when workers have waited for tests that were sent to them and are no longer in their inboxes.
        self._stalled: dict[WorkerId, float] = {}
        #: The workers that can no longer be heard: when to kill them for that, and why.
        self._lost: dict[WorkerId, tuple[float, str]] = {}
        #: Those that were killed for that and are not known to be dead.
        self._killed: set[WorkerId] = set()
        #: When somebody asked what is running, and when the workers' stacks will have been written for that.
        self._asked_at: float | None = None
        self._shown_at: float | None = None
        self._look_at: float | None = now + FIRST_LOOK_SECONDS
        self._ping, self._deaf = ping, deaf
        #: Whether the fork server listens, and is expected to.
        self._serves = False
        self._heard = now
        #: When it was asked for a sign of life; None if it has spoken since.
        self._pinged_at: float | None = None
        self._is_cut_off = False
        self._finish_at: float | None = None
        self._give_up_at: float | None = None
        self._break_off_at: float | None = None
        self._why = ""

    # --- what has happened ---

    def progressed(self, now: float) -> None:
        """A test has ended, a worker has died, or the tests have become known: the silence starts again."""
        self.silent_since = now
        self._stalled.clear()
        self._calm_at = now + CALM_SECONDS
        if self._quiet:
            self._quiet_at = now + self._quiet
            self._next_quiet = self._quiet

    def server_serves(self, now: float) -> None:
        """The fork server listens from now on: while it collects it cannot, and is not expected to."""
        if not self._serves:
            self._serves = True
            self.server_spoke(now)

    def server_spoke(self, now: float) -> None:
        """The fork server has said something, whatever it was."""
        self._heard = now
        self._pinged_at = None

    def lost(self, worker: WorkerId, why: str, now: float, *, is_closed: bool) -> None:
        """A worker can no longer be heard.

        :param is_closed: whether it has closed its connection, and all that it sent was understood.
        """
        if worker not in self._killed:  # otherwise its death has closed the connection
            self._lost[worker] = (now + LOST_SECONDS if is_closed else now), why

    def gone(self, worker: WorkerId) -> None:
        """A worker is dead."""
        self._lost.pop(worker, None)
        self._killed.discard(worker)

    def found_empty(self, workers: Iterable[WorkerId], now: float) -> None:
        """Of the workers that were to be looked at, these do nothing and have an empty inbox."""
        # A worker that is missing has moved since the last look. If it is found like this again, its time
        # starts again.
        stalled = {worker: self._stalled.get(worker, now) for worker in workers}
        for worker in [worker for worker, since in stalled.items() if now >= since + STALL_SECONDS]:
            del stalled[worker]
            self.lost(worker, "its connection has lost the tests that it was sent", now, is_closed=False)
        self._stalled = stalled

    def asked(self, now: float) -> None:
        """Somebody wants to see what is running."""
        self._asked_at = now

    def look_again(self, when: float | None) -> None:
        """Set when to look for deadlocks next; None: never, as no worker was or will be forked."""
        self._look_at = when

    def collection_cut_off(self, now: float) -> None:
        """There will be no run, though workers still collect. Calling this again changes nothing."""
        if not self._is_cut_off:
            self._is_cut_off = True
            self._finish_at = now

    def terminated(self, why: str, now: float) -> None:
        """A signal asks the run to end, and its sender will not wait."""
        self._break_off_at, self._why = now + TERMINATED_SECONDS, why

    # --- what follows ---

    def deadline(self) -> float | None:
        """When something is due: the only time that the controller's loop needs to know. None: never."""
        times = [
            self._run.deadline(), self._asked_at, self._shown_at, self._quiet_at, self._calm_at,
            self._look_at, self._finish_at, self._give_up_at, self._break_off_at,
        ]  # fmt: skip
        if self._serves:
            times.append(self._server_due())
        times += [since + STALL_SECONDS for since in self._stalled.values()]
        times += [when for when, _ in self._lost.values()]
        return min((time for time in times if time is not None), default=None)

    def due(self, now: float) -> Iterator[Action]:
        """What to do by now. Ask at every wake-up, after hearing all that was said.

        Perform each action, and report its result, before you take the next one: a worker that a look for
        deadlocks has ended is not killed for being lost, and a death that an action causes ends the silence.

        The order: first what may set tests free, since it ends the silence; then what is only printed; then
        kills, so that a line about running tests still names the worker that the next line tells of. The fork
        server comes after the workers, since it is what kills them. What ends the loop comes last.
        """
        yield from self._show_to_who_asked(now)
        wake_at = self._run.deadline()
        if wake_at is not None and now >= wake_at:
            yield WakeRun()
        if self._look_at is not None and now >= self._look_at:
            self._look_at = None
            yield LookForDeadlocks()
        yield from self._look_for_stalls(now)
        yield from self._tell_what_runs(now)
        for worker, (when, why) in list(self._lost.items()):
            if now >= when:
                del self._lost[worker]
                self._killed.add(worker)
                yield KillLost(worker, why)
        yield from self._doubt_the_server(now)
        yield from self._end(now)

    def _show_to_who_asked(self, now: float) -> Iterator[Action]:
        if self._asked_at is not None:
            self._asked_at = None
            self._shown_at = now + DUMP_SECONDS
            for worker in self._run.running():
                yield DumpStacks(worker)

    def _look_for_stalls(self, now: float) -> Iterator[Action]:
        """A test may have emptied its worker's inbox: then everything waits for that worker alone."""
        if now < self.silent_since + CALM_SECONDS:
            return
        self._calm_at = None
        awaited = tuple(w for w in self._run.awaited() if w not in self._lost and w not in self._killed)
        if awaited:
            yield LookIntoInboxes(awaited)
        else:
            self._stalled.clear()

    def _tell_what_runs(self, now: float) -> Iterator[Action]:
        if self._shown_at is not None and now >= self._shown_at:
            self._shown_at = None
            yield ShowRunning(asked=True)
        if self._quiet_at is not None and now >= self._quiet_at:
            silence = self._next_quiet
            # Ever more rarely, so that a run that hangs all night does not fill a log.
            self._quiet_at = now + silence
            self._next_quiet *= 2
            yield Say(f"\nno test has ended for {silence:g} s; running:")
            yield ShowRunning(asked=False)

    def _server_due(self) -> float:
        # Counted from the ping: a plugin that takes its time in the controller may have delayed that.
        if self._pinged_at is not None:
            return self._pinged_at + self._deaf - self._ping
        return self._heard + self._ping

    def _doubt_the_server(self, now: float) -> Iterator[Action]:
        if not self._serves or now < self._server_due():
            return
        if self._pinged_at is None:
            self._pinged_at = now
            yield PingServer()
        else:
            self._serves = False
            yield GiveUpServer(f"the fork server has not answered for {self._deaf:g} s")

    def _end(self, now: float) -> Iterator[Action]:
        if self._finish_at is not None:
            self._finish_at = None
            self._give_up_at = now + COLLECT_SECONDS
            yield FinishCollecting()
        if self._give_up_at is not None and now >= self._give_up_at:
            self._give_up_at = None
            yield GiveUpCollecting()
        if self._break_off_at is not None and now >= self._break_off_at:
            self._break_off_at = None
            yield BreakOff(self._why)
