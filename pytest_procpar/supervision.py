"""What the controller knows of its processes beyond what they say: who hangs, who died how, who is silent."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from pytest_procpar.core.model import TestIndex, WorkerId, worker_name
from pytest_procpar.core.printable import printable_line
from pytest_procpar.core.record import changed
from pytest_procpar.core.vitals import Death, Stage, Vitals
from pytest_procpar.process.clock import Clock
from pytest_procpar.process.launch import Cluster
from pytest_procpar.process.memory import OutOfMemory
from pytest_procpar.process.system import DUMP_SIGNAL, KILLED, describe_status, kernel_state, monotonic
from pytest_procpar.report.terminal import Terminal

__all__ = ["LOST_SECONDS", "Supervisor"]

#: After how many silent seconds the fork server is asked for a sign of life, and taken for dead.
_PING_SECONDS = 10.0
_DEAF_SECONDS = 40.0

#: How long workers have for writing down their stacks when somebody has asked for them, in seconds.
_STACK_SECONDS = 0.3

#: How long a worker may wait for tests that it has been sent, in seconds, and when that is looked at.
_STALL_SECONDS = 3.0
_CALM_SECONDS = 2.0

#: How long a worker that cannot be understood any more may take to die by itself, in seconds.
LOST_SECONDS = 0.5


class _Hang(NamedTuple):
    """What a worker had exceeded, in seconds, what the kernel said of it then, and what it was doing."""

    limit: float
    kernel: str
    vitals: Vitals


class Supervisor:
    """Keeps an eye on the workers and on the fork server.

    :param quiet: after how many seconds without a result it says what is running; 0: never.
    :param nodeid: gives a test's nodeid.
    """

    def __init__(
        self,
        cluster: Cluster,
        clock: Clock,
        terminal: Terminal,
        nodeid: Callable[[TestIndex], str],
        quiet: float,
    ) -> None:
        self._cluster = cluster
        self._clock = clock
        self._terminal = terminal
        self._nodeid = nodeid
        self._hung: dict[WorkerId, _Hang] = {}
        #: The workers that nothing more can be heard of, why, and when they are to be killed for that.
        self._lost: dict[WorkerId, tuple[str, float]] = {}
        #: Those that were.
        self._killed: dict[WorkerId, str] = {}
        self._quiet = quiet
        self._quiet_at: float | None = None
        self._next_quiet = quiet
        self._status_at: float | None = None
        self._ended_at = clock.now()
        #: Since when workers wait for tests that were sent to them and are not in their inboxes any more.
        self._stalled: dict[WorkerId, float] = {}
        self._server_heard = clock.now()
        self._pinged = False
        self._memory: OutOfMemory | None = None
        #: What is known of why nothing happens.
        self.hint: Callable[[], str | None] = lambda: None

    def look_around(self) -> None:
        """See how things stand before any test runs; takes a moment."""
        self._memory = OutOfMemory()

    # --- time ---

    def deadline(self) -> float | None:
        """When `look` is due."""
        ping = self._server_heard + (_DEAF_SECONDS if self._pinged else _PING_SECONDS)
        times = [ping, self._quiet_at, self._status_at, *(when for _, when in self._lost.values())]
        times += [since + _STALL_SECONDS for since in self._stalled.values()]
        if self._clock.now() < self._ended_at + _CALM_SECONDS:
            times.append(self._ended_at + _CALM_SECONDS)
        return min(t for t in times if t is not None)

    def look(self, running: Mapping[WorkerId, TestIndex], *, serving: bool) -> str | None:
        """Do what is due; why the fork server has to be given up, if it has.

        :param serving: whether the fork server is past the collection, in which it cannot answer.
        """
        now = self._clock.now()
        if self._status_at is not None and now >= self._status_at:
            self._status_at = None
            self._show_status(running, stacks=True)
        if self._quiet_at is not None and now >= self._quiet_at:
            self._terminal.notice(f"\nno test has ended for {self._next_quiet:g} s; running:")
            self._show_status(running, stacks=False)
            hint = self.hint()
            if hint is not None:
                self._terminal.notice(f"    {hint}")
            self._quiet_at = now + self._next_quiet
            self._next_quiet *= 2
        for worker, (why, when) in list(self._lost.items()):
            if now >= when:
                del self._lost[worker]
                self._killed[worker] = why
                self._terminal.line(f"[{worker_name(worker)}] is killed: {why}")
                self._cluster.signal(worker, signal.SIGKILL, group=True)
        if not serving:
            self._server_heard = now
        elif now >= self._server_heard + _DEAF_SECONDS and self._pinged:
            return f"the fork server has not answered for {_DEAF_SECONDS:g} s"
        elif now >= self._server_heard + _PING_SECONDS and not self._pinged:
            self._pinged = True
            self._cluster.ping()
        return None

    def heard_server(self) -> None:
        """The fork server has said something."""
        self._server_heard = self._clock.now()
        self._pinged = False

    def test_ended(self, now: float) -> None:
        """Something has happened: silence begins anew."""
        self._ended_at = now
        self._stalled.clear()
        if self._quiet:
            self._quiet_at = now + self._quiet
            self._next_quiet = self._quiet

    # --- status ---

    def ask_status(self, running: Mapping[WorkerId, TestIndex]) -> None:
        """Have the workers write down their stacks, to be shown at once."""
        for worker in running:
            self._cluster.stacks(worker)
            self._cluster.signal(worker, DUMP_SIGNAL)
        self._status_at = self._clock.now() + _STACK_SECONDS

    def _show_status(self, running: Mapping[WorkerId, TestIndex], *, stacks: bool) -> None:
        if not running:
            self._terminal.notice("no test is running")
        for worker, test in running.items():
            vitals = self._cluster.vitals(worker)
            where = f"{vitals.stage} since {max(0.0, monotonic() - vitals.since):.1f} s"
            who = f"[{worker_name(worker)}] pid {self._cluster.pid(worker)}"
            self._terminal.notice(f"{who} runs {self._nodeid(test)} ({where})")
            text = self._cluster.stacks(worker).strip("\n") if stacks else ""
            for line in text.splitlines():
                self._terminal.notice(f"    {line}")

    # --- hangs and deaths ---

    def look_for_stalls(self, awaited: Iterable[WorkerId]) -> None:
        """Give up workers that wait for tests though these have been sent: a test has read their inbox empty.

        :param awaited: the workers that run nothing and should be about to begin a test.
        """
        now = self._clock.now()
        if now < self._ended_at + _CALM_SECONDS:
            return
        stalled = {
            worker: self._stalled.get(worker, now)
            for worker in awaited
            if worker not in self._lost
            and self._cluster.vitals(worker).stage in (Stage.BETWEEN, Stage.STARTING)
            and not self._cluster.has_unread(worker)
        }
        for worker in [worker for worker, since in stalled.items() if now >= since + _STALL_SECONDS]:
            del stalled[worker]
            self.lost_contact(worker, "its connection has lost the tests that it was sent")
        self._stalled = stalled

    def hangs(self, worker: WorkerId, limit: float) -> None:
        """A worker has taken longer than `limit`, in seconds: see what it is doing before it is ended."""
        pid = self._cluster.pid(worker)
        state = kernel_state(pid) if pid is not None else ""
        self._hung[worker] = _Hang(limit, state, self._cluster.vitals(worker))
        self._cluster.stacks(worker)
        self._cluster.signal(worker, DUMP_SIGNAL)

    def lost_contact(self, worker: WorkerId, why: str, grace: float = 0.0) -> None:
        """Nothing can be done with a worker any more, since a test has ruined its connection: end it.

        :param grace: how long it may take to end by itself, in seconds.
        """
        self._lost[worker] = (why, self._clock.now() + grace)

    def has_killed(self, worker: WorkerId, why: str) -> None:
        """A worker is being killed, for no fault of what it runs."""
        self._killed[worker] = why

    def stood_still(self, worker: WorkerId, seconds: float) -> None:
        """A worker is killed that has done nothing for so long, and will not; its stacks are written."""
        self._hung[worker] = _Hang(seconds, "", self._cluster.vitals(worker))

    @property
    def silent_since(self) -> float:
        """When a test has ended last, or the tests have become known, in seconds of the run's clock."""
        return self._ended_at

    def had_lost(self, worker: WorkerId) -> bool:
        """Whether a dead worker was killed since its connection was ruined."""
        return worker in self._killed

    def limit_of(self, worker: WorkerId) -> float | None:
        """What a dead worker had exceeded, in seconds; None if it did not hang."""
        return self._hung[worker].limit if worker in self._hung else None

    def death(self, worker: WorkerId, status: int, reason: str | None, peak_memory: int | None) -> Death:
        """All there is to know of a worker that is dead and has been listened to."""
        cause = reason or describe_status(status)
        self._lost.pop(worker, None)
        out_of_memory, which = "", ""
        if worker in self._killed:
            cause = f"{cause}: {self._killed[worker]}"
        elif cause == KILLED and worker not in self._hung:
            which = self._memory.seen() if self._memory is not None else ""
            out_of_memory = (
                f"the kernel has killed a process meanwhile: {which} was exhausted"
                if which
                else "the kernel's counters show no out-of-memory kill"
            )
        death = changed(
            self._cluster.death(worker, cause, peak_memory, out_of_memory), is_starved=bool(which)
        )
        hang = self._hung.get(worker)
        if hang is not None:
            stacks = death.stacks or f"no stacks: it did not take the signal. {hang.kernel}"
            return changed(death, vitals=hang.vitals, stacks=stacks)
        if death.vitals.note:
            return changed(death, cause=f"{cause} ({printable_line(death.vitals.note)})")
        return death
