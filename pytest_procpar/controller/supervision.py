"""What the controller learns about its processes beyond what they say, and how it reaches them.

`core.run.vigil` decides when it is time for something; this module does it.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable
from typing import NamedTuple

from pytest_procpar.cluster.cluster import Cluster
from pytest_procpar.core.model import TestIndex, WorkerId, worker_name
from pytest_procpar.core.printable import printable_line
from pytest_procpar.core.protocol.worker_status import Death, Stage, WorkerStatus
from pytest_procpar.core.record import changed
from pytest_procpar.core.run.run import Run
from pytest_procpar.core.run.vigil import DEAF_SECONDS, PING_SECONDS, Vigil
from pytest_procpar.report.terminal import Terminal
from pytest_procpar.system.calls import DUMP_SIGNAL, KILLED, describe_status, kernel_state, monotonic
from pytest_procpar.system.oom import OutOfMemory

__all__ = ["Supervisor"]

_PING_SECONDS = PING_SECONDS
_DEAF_SECONDS = DEAF_SECONDS


class _Hang(NamedTuple):
    """The limit that a worker exceeded, in seconds; what the kernel and its `WorkerStatus` said then."""

    limit: float
    kernel: str
    worker_status: WorkerStatus


class Supervisor:
    """Watches the workers and the fork server.

    :param quiet: after how many seconds without a result to show what is running; 0: never.
    :param nodeid: returns a test's nodeid.
    """

    def __init__(
        self,
        run: Run,
        cluster: Cluster,
        terminal: Terminal,
        nodeid: Callable[[TestIndex], str],
        now: float,
        quiet: float,
    ) -> None:
        self._run = run
        self._cluster = cluster
        self._terminal = terminal
        self._nodeid = nodeid
        #: Decides when it is time for something.
        self.vigil = Vigil(run, now, quiet=quiet, ping=_PING_SECONDS, deaf=_DEAF_SECONDS)
        self._hung: dict[WorkerId, _Hang] = {}
        #: The workers that were killed for no fault of what they ran, and why.
        self._killed: dict[WorkerId, str] = {}
        self._memory: OutOfMemory | None = None

    def look_around(self) -> None:
        """Take note of the machine's state before any test runs; takes a moment."""
        self._memory = OutOfMemory()

    # --- status ---

    def dump_stacks(self, worker: WorkerId) -> None:
        """Make a worker write its stacks."""
        self._cluster.stacks(worker)  # drop what it wrote before
        self._cluster.signal(worker, DUMP_SIGNAL)

    def show_running(self, *, stacks: bool) -> None:
        """Show which worker runs what, and since when."""
        running = self._run.running()
        if not running:
            self._terminal.notice("no test is running")
        for worker, test in running.items():
            worker_status = self._cluster.worker_status(worker)
            where = f"{worker_status.stage} since {max(0.0, monotonic() - worker_status.since):.1f} s"
            who = f"[{worker_name(worker)}] pid {self._cluster.pid(worker)}"
            self._terminal.notice(f"{who} runs {self._nodeid(test)} ({where})")
            text = self._cluster.stacks(worker).strip("\n") if stacks else ""
            for line in text.splitlines():
                self._terminal.notice(f"    {line}")

    def with_empty_inboxes(self, workers: Iterable[WorkerId]) -> list[WorkerId]:
        """The ones among these workers that are idle and have nothing to read."""
        return [
            worker
            for worker in workers
            if self._cluster.worker_status(worker).stage in (Stage.BETWEEN, Stage.STARTING)
            and not self._cluster.has_unread(worker)
        ]

    # --- hangs and deaths ---

    def hangs(self, worker: WorkerId, limit: float) -> None:
        """A worker has exceeded `limit` seconds: record what it is doing before it is ended."""
        pid = self._cluster.pid(worker)
        state = kernel_state(pid) if pid is not None else ""
        self._hung[worker] = _Hang(limit, state, self._cluster.worker_status(worker))
        self.dump_stacks(worker)

    def kill_lost(self, worker: WorkerId, why: str) -> None:
        """Kill a worker that cannot be used any more, because a test has ruined its connection."""
        self.has_killed(worker, why)
        self._terminal.line(f"[{worker_name(worker)}] is killed: {why}")
        self._cluster.signal(worker, signal.SIGKILL, group=True)

    def has_killed(self, worker: WorkerId, why: str) -> None:
        """Note that a worker is being killed, for no fault of what it runs."""
        self._killed[worker] = why

    def stood_still(self, worker: WorkerId, seconds: float) -> None:
        """Note that a worker that stood still for `seconds` is being killed; its stacks have been written."""
        self._hung[worker] = _Hang(seconds, "", self._cluster.worker_status(worker))

    def had_lost(self, worker: WorkerId) -> bool:
        """Whether a dead worker was killed because its connection was ruined."""
        return worker in self._killed

    def limit_of(self, worker: WorkerId) -> float | None:
        """The time limit that a dead worker exceeded, in seconds; None if it did not hang."""
        return self._hung[worker].limit if worker in self._hung else None

    def death(self, worker: WorkerId, status: int, reason: str | None, peak_memory: int | None) -> Death:
        """Everything that is known about a dead worker whose last messages have been read."""
        cause = reason or describe_status(status)
        self.vigil.gone(worker)
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
            return changed(death, worker_status=hang.worker_status, stacks=stacks)
        if death.worker_status.note:
            return changed(death, cause=f"{cause} ({printable_line(death.worker_status.note)})")
        return death
