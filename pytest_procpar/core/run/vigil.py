"""When the controller has waited long enough, for whom, and what it does then: the one watch over a run.

`Run` decides who runs which test, and how long a test may take. This decides everything else that time has to
do with: a run in which nothing ends, workers that nothing more is heard of or that wait for tests which are
lost, a fork server that does not answer, a collection or a run that is to end and does not.

Pure: `Vigil` is told what happened, by a method for each kind of event, and at what time; `due` gives what is
to be done, as records; `deadline` says when to ask again. It reads no clock, and sends and prints nothing.
Its times are seconds of the run's clock, which stands still while the run is suspended: no time-out here has
to know of Ctrl-Z.
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
    PingWorker,
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

#: After how many silent seconds the fork server is asked for a sign of life, and taken for dead. It has
#: nothing to say while all workers run tests, so silence alone means nothing; whatever it says counts as an
#: answer. Between the two it has half a minute: it answers at once unless it is stopped or the machine is out
#: of memory, and what that ends in is the end of the run, which must not be hasty.
PING_SECONDS = 10.0
DEAF_SECONDS = 40.0

#: After how many seconds without the end of a test inboxes are looked into. Asking is a system call for each
#: worker, at every wake-up: not worth it while tests end, and a worker that is about to begin a test looks
#: just the same.
CALM_SECONDS = 2.0
#: How long a worker may then be found doing nothing, its inbox empty, though tests have been sent to it.
#: Between reading a number and beginning that test it does little: who is found so for this long has not read
#: the number itself. Somebody else has, a test that reads from descriptors which it does not know.
STALL_SECONDS = 3.0

#: How long a worker may take to die that has closed its connection: most likely it is dead already, how it
#: ended says more than that it was killed, and its parent may be slow to tell. One that sends nonsense is not
#: waited for, since it goes on running tests.
LOST_SECONDS = 10.0

#: After how many seconds it is first looked for workers that will never go on. Most runs are over before, and
#: need not import what that takes.
FIRST_LOOK_SECONDS = 1.0

#: How long workers that collect for themselves may take to end when there will be no run: they are
#: interrupted at once, and have the ends of their sessions left.
COLLECT_SECONDS = 10.0

#: How long the workers may take to end after SIGTERM or SIGHUP to the controller. `docker stop` sends SIGKILL
#: ten seconds after SIGTERM: by then the results so far have to be told.
TERMINATED_SECONDS = 5.0


class Vigil:
    """Knows since when everybody has been silent. Times are in seconds of the run's clock.

    :param run: asked when it wants to be woken and what its workers do; never changed.
    :param quiet: after how many seconds without the end of a test to say what is running, 0: never.
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
        #: When a test has ended last, or the tests have become known.
        self.silent_since = now
        self._quiet = self._next_quiet = quiet
        self._quiet_at: float | None = None
        #: When inboxes are looked into, at every wake-up from then on: None then.
        self._calm_at: float | None = now + CALM_SECONDS
        #: Since when workers wait for tests that were sent to them and are not in their inboxes any more.
        self._stalled: dict[WorkerId, float] = {}
        #: The workers that nothing more can be heard of: when they are to be killed for that, and why.
        self._lost: dict[WorkerId, tuple[float, str]] = {}
        #: Those that were killed for that and are not known to be dead.
        self._killed: set[WorkerId] = set()
        #: When somebody has asked what is running, and when the stacks for that are written.
        self._asked_at: float | None = None
        self._shown_at: float | None = None
        self._look_at: float | None = now + FIRST_LOOK_SECONDS
        self._ping, self._deaf = ping, deaf
        #: Whether the fork server listens, and is to.
        self._serves = False
        self._heard = now
        #: When it was asked for a sign of life since.
        self._pinged_at: float | None = None
        self._is_cut_off = False
        self._finish_at: float | None = None
        self._give_up_at: float | None = None
        self._break_off_at: float | None = None
        self._why = ""

    # --- what has happened ---

    def progressed(self, now: float) -> None:
        """A test has ended, a worker has died, or the tests are known: silence begins anew."""
        self.silent_since = now
        self._stalled.clear()
        self._calm_at = now + CALM_SECONDS
        if self._quiet:
            self._quiet_at = now + self._quiet
            self._next_quiet = self._quiet

    def server_serves(self, now: float) -> None:
        """The fork server listens from now on: as long as it collects it cannot, and is not expected to."""
        if not self._serves:
            self._serves = True
            self.server_spoke(now)

    def server_spoke(self, now: float) -> None:
        """The fork server has said something, whatever it was."""
        self._heard = now
        self._pinged_at = None

    def lost(self, worker: WorkerId, why: str, now: float, *, is_closed: bool) -> None:
        """Nothing more can be heard of a worker.

        :param is_closed: whether all that came was understood and it has closed its connection.
        """
        if worker not in self._killed:  # else it is its death that has closed the connection
            self._lost[worker] = (now + LOST_SECONDS if is_closed else now), why

    def gone(self, worker: WorkerId) -> None:
        """A worker is dead."""
        self._lost.pop(worker, None)
        self._killed.discard(worker)

    def found_empty(self, workers: Iterable[WorkerId], now: float) -> None:
        """These of the workers to be looked at do nothing, and there is nothing in their inboxes."""
        # Who is missing has moved since the last look: its time begins anew if it is found so again.
        stalled = {worker: self._stalled.get(worker, now) for worker in workers}
        for worker in [worker for worker, since in stalled.items() if now >= since + STALL_SECONDS]:
            del stalled[worker]
            self.lost(worker, "its connection has lost the tests that it was sent", now, is_closed=False)
        self._stalled = stalled

    def asked(self, now: float) -> None:
        """Somebody wants to see what is running."""
        self._asked_at = now

    def look_again(self, when: float | None) -> None:
        """When to look for deadlocks next; None: no worker was forked, and none will be."""
        self._look_at = when

    def collection_cut_off(self, now: float) -> None:
        """There will be no run, though workers still collect. Repeating it changes nothing."""
        if not self._is_cut_off:
            self._is_cut_off = True
            self._finish_at = now

    def terminated(self, why: str, now: float) -> None:
        """A signal asks for the end of the run, and will not wait for it."""
        self._break_off_at, self._why = now + TERMINATED_SECONDS, why

    # --- what follows ---

    def deadline(self) -> float | None:
        """When something is due: the only time that the controller's loop has to know. None: never."""
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
        """What is to be done by now; to be asked at every wake-up, after all that was said has been heard.

        Each is to be done, and told what comes of it, before the next one is taken: whom a look for deadlocks
        has ended is not killed for being lost, and a death that it brings about ends the silence.

        The order: what may set tests free goes first, since it ends silence; then what is only said; then who
        is killed, so that a line that tells what is running names whom the next one tells of. The fork server
        goes after the workers, since a kill is asked of it. What ends the loop goes last.
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
        """A test may have read its worker's inbox empty: then nobody waits for anything but that worker."""
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
            # Ever more rarely: a run that hangs for a night fills no log.
            self._quiet_at = now + silence
            self._next_quiet *= 2
            yield Say(f"\nno test has ended for {silence:g} s; running:")
            yield ShowRunning(asked=False)

    def _server_due(self) -> float:
        # From the question on: the controller may be late with that, since a plugin takes its time there.
        if self._pinged_at is not None:
            return self._pinged_at + self._deaf - self._ping
        return self._heard + self._ping

    def _doubt_the_server(self, now: float) -> Iterator[Action]:
        if not self._serves or now < self._server_due():
            return
        if self._pinged_at is None:
            self._pinged_at = now
            yield PingWorker()
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
