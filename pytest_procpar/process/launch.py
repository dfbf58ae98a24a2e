"""The controller's handle on its fork server and, through it, on the workers' processes."""

from __future__ import annotations

import os
import selectors
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from pytest_procpar.core.messages import (
    Fork,
    FromServer,
    FromWorker,
    Ping,
    Plant,
    Quit,
    Record,
    Setup,
    Signal,
    Suspend,
    fingerprint,
)
from pytest_procpar.core.model import StartMethod, WorkerId
from pytest_procpar.core.vitals import Death, Vitals
from pytest_procpar.process.blackbox import BlackBox, in_memory
from pytest_procpar.process.board import Board, Slot
from pytest_procpar.process.children import signal_group
from pytest_procpar.process.heap import SharedHeap
from pytest_procpar.process.servers import ServerProcess, choose_method, recipe, start_server
from pytest_procpar.process.system import monotonic, out_of_reach, pause, socket_pair
from pytest_procpar.process.transport import Port
from pytest_procpar.settings import Settings

__all__ = ["Cluster"]

#: How long the fork server may take for what plugins do at unconfigure and exit, in seconds.
_QUIT_SECONDS = 60.0

#: How long the processes may take to stop when the run is suspended, in seconds.
_STOP_SECONDS = 2.0


class _Worker:
    """What the controller holds of a worker."""

    def __init__(self, port: Port, box: BlackBox, slot: Slot) -> None:
        self.port = port
        self.box = box
        self.slot = slot
        self.pid: int | None = None
        #: Whether nothing more is expected of it.
        self.lost = False


class Cluster:
    """The process that workers are started from, the workers, and the streams to them."""

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        self._owner = os.getpid()
        self._closed = False
        self.method, self.reason = choose_method(config, settings)
        shared = out_of_reach(in_memory()) if self.method is StartMethod.SPAWN else -1
        # Beside the workers that live, there may be some whose death has not been told yet.
        self.board = Board(config.getoption("maxfail", 0) or 0, 2 * settings.workers + 16, shared)
        provisional = self.method is StartMethod.FORK and settings.start_method is None
        self._heap = SharedHeap(freeze=settings.worker.freeze_heap)
        self._recipe = recipe(config, settings) if self.method is StartMethod.SPAWN else None
        self._server = start_server(config, settings, self.board, self.method, watched=provisional)
        #: As it was before anything was configured, in case that the other one turns out to be of no use.
        self._standby: ServerProcess | None = None
        if provisional:
            early, port = StartMethod.FORK_EARLY, self._server.port
            self._standby = start_server(config, settings, self.board, early, not_theirs=port)
        self._setup: Setup
        #: The fingerprint of the collected suite, where every process collects itself.
        self._suite: int | None = None
        self._workers: dict[WorkerId, _Worker] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._server.port, selectors.EVENT_READ, None)

    # --- waiting ---

    def wait(self, seconds: float | None) -> list[WorkerId | None]:
        """Wait until somebody has something to say: those workers, None standing for the fork server."""
        self._watch(self._server.port, None)
        for worker, held in self._workers.items():
            if not held.lost:
                self._watch(held.port, worker)
        ready: list[WorkerId | None] = []
        for key, events in self._selector.select(seconds):
            source = key.fileobj
            if isinstance(source, BlackBox):
                if not source.relay():
                    self._selector.unregister(source)
                continue
            if events & selectors.EVENT_WRITE and isinstance(source, Port):
                source.flush()
            if events & selectors.EVENT_READ:
                ready.append(key.data)
        return ready

    def _watch(self, port: Port, worker: WorkerId | None) -> None:
        interest = selectors.EVENT_READ | (selectors.EVENT_WRITE if port.clogged else 0)
        if self._selector.get_key(port).events != interest:
            self._selector.modify(port, interest, worker)

    def listen_to(self, fd: int) -> None:
        """Let `wait` also end when `fd` becomes readable (its owner reads it)."""
        self._selector.register(fd, selectors.EVENT_READ, None)

    # --- the fork server ---

    def from_server(self) -> tuple[list[FromServer], bool]:
        """What the fork server has said, and whether it is still there.

        :raises WireError: if somebody else wrote to its stream.
        """
        return self._server.receive()

    def setup(
        self, inputs: list[dict[str, Any]], environ: dict[str, str], cwd: str, basetemp: str | None
    ) -> None:
        """Give the fork server what it waits for."""
        self._setup = Setup(inputs, environ, cwd, basetemp, self._recipe)
        self._server.set_up(self._setup, self.board)

    def fall_back(self) -> None:
        """The suite must not be run in forks of the fork server: end it, and use the one that has none."""
        assert self._standby is not None
        self._selector.unregister(self._server.port)
        self._server.port.send(Quit())
        self._server.end(_QUIT_SECONDS)
        self._server, self._standby = self._standby, None
        self._selector.register(self._server.port, selectors.EVENT_READ, None)
        self.method = StartMethod.FORK_EARLY
        self._server.set_up(self._setup, self.board)

    def has(self, worker: WorkerId) -> bool:
        """Whether a worker has been started, and is not known to be dead."""
        return worker in self._workers

    def spawn(self, worker: WorkerId, workerinput: dict[str, Any]) -> None:
        """Have a worker started."""
        ours, theirs = socket_pair()
        held = _Worker(Port(ours, theirs), BlackBox(), self.board.slot(self.board.take_slot()))
        order = Fork(worker, workerinput, held.slot.number)
        self._server.port.send(order, [theirs.fileno(), *held.box.theirs])
        held.box.sent()
        self._workers[worker] = held
        self._selector.register(held.port, selectors.EVENT_READ, worker)
        self._selector.register(held.box, selectors.EVENT_READ, worker)

    def plant(self, worker: WorkerId, workerinput: dict[str, Any], basetemp: str | None) -> Port:
        """Have the root of a tree of throw-away processes started; the stream to it is the caller's."""
        ours, theirs = socket_pair()
        self._server.port.send(Plant(worker, workerinput, basetemp, self._suite), [theirs.fileno()])
        theirs.close()
        return Port(ours)

    def fileno(self) -> int:
        """The descriptor on which the fork server is heard."""
        return self._server.port.fileno()

    def interrupt_collection(self) -> None:
        """Interrupt the fork server's collection, if there is one, as Ctrl-C would."""
        if self.method.collects_once:
            with suppress(ProcessLookupError):
                os.kill(self._server.pid, signal.SIGINT)

    def collected(self, ids: list[str]) -> None:
        """The suite is known, and the server that has led to it is the one that will be used."""
        if not self.method.collects_once:
            self._suite = fingerprint(ids)
        if self._standby is not None:  # it ends when it sees that; `close` waits for it
            self._standby.port.close()

    def server_note(self) -> str:
        """What the fork server has noted last."""
        return self.board.slot(0).read().note

    # --- workers ---

    def forked(self, worker: WorkerId, pid: int) -> None:
        """Note a worker's process id, in case that the fork server dies before it."""
        self._workers[worker].pid = pid

    def from_worker(self, worker: WorkerId) -> tuple[list[FromWorker], str | None]:
        """What a worker has said; and, once, why nothing more can come: it need not be dead."""
        held = self._workers.get(worker)
        if held is None:
            return [], None
        port = held.port
        messages, is_open = port.receive()
        reason = port.garbled or (None if is_open else "its connection to the controller is closed")
        if reason is None or held.lost:
            return messages, None  # type: ignore[return-value]
        held.lost = True
        self._selector.unregister(port)
        return messages, reason  # type: ignore[return-value]

    def is_silent(self, worker: WorkerId) -> bool:
        """Whether what a lost worker said was understood to the end: it may be about to die."""
        return self._workers[worker].port.garbled is None

    def tell(self, worker: WorkerId, records: list[Record]) -> None:
        """Put records into a worker's inbox."""
        self._workers[worker].port.send_records(records)

    def has_unread(self, worker: WorkerId) -> bool:
        """Whether there are records in a worker's inbox."""
        return self._workers[worker].port.untouched

    def take_back(self, worker: WorkerId) -> list[Record]:
        """Empty a worker's inbox: what it had not read."""
        return self._workers[worker].port.drain()

    def signal(self, worker: WorkerId, signum: int, *, group: bool = False) -> None:
        """Send a signal to a worker."""
        self._server.port.send(Signal(worker, signum, group))

    def vitals(self, worker: WorkerId) -> Vitals:
        """How far a worker has come."""
        return self._workers[worker].slot.read()

    def pid(self, worker: WorkerId) -> int | None:
        """A worker's process id, once it is known."""
        return self._workers[worker].pid

    def stacks(self, worker: WorkerId) -> str:
        """The stacks that a worker has written down since the last call (see `DUMP_SIGNAL`)."""
        return self._workers[worker].box.stacks()

    def death(self, worker: WorkerId, cause: str, peak_memory: int | None, out_of_memory: str) -> Death:
        """All that is known of a worker that is dead and has been listened to."""
        held = self._workers[worker]
        return held.box.death(cause, held.slot.read(), peak_memory, out_of_memory)

    def release(self, worker: WorkerId) -> None:
        """Forget a worker that is dead and has been listened to."""
        held = self._workers.pop(worker, None)
        if held is not None:
            for source in (held.port, held.box):
                with suppress(KeyError, ValueError):
                    self._selector.unregister(source)
            held.port.close()
            held.box.close()
            self.board.free_slot(held.slot.number)

    # --- Ctrl-Z ---

    def suspend(self, *, serving: bool) -> None:
        """Stop all processes but this one; `serving` says that the fork server is past the collection."""
        pid = self._server.pid
        if serving:
            self._server.port.send(Suspend())
        else:
            signal_group(pid, signal.SIGSTOP)
        deadline = monotonic() + _STOP_SECONDS
        while monotonic() < deadline and not _has_stopped(pid):
            pause(0.002)

    def resume(self) -> None:
        """Let all go on."""
        signal_group(self._server.pid, signal.SIGCONT)

    # --- the end ---

    def dismiss(self) -> None:
        """Let the fork server end, without waiting for it."""
        self._server.port.send(Quit())

    def kill_server(self) -> None:
        """End a fork server that does not answer."""
        self._server.kill()

    def ping(self) -> None:
        """Ask the fork server for a sign of life: `Pong`."""
        self._server.port.send(Ping())

    def close(self) -> None:
        """Close everything, and see the fork server and all workers gone. Repeating it does nothing."""
        if self._closed or os.getpid() != self._owner:
            return
        self._closed = True
        self._selector.close()
        status = self._server.end(_QUIT_SECONDS)
        if self._standby is not None:
            self._standby.end(_QUIT_SECONDS)
        for held in self._workers.values():
            if held.pid is not None and status != 0:  # the fork server could not do it
                signal_group(held.pid, signal.SIGKILL)
            held.port.close()
            held.box.close()
        self._workers.clear()
        self._heap.release()

    def server_status(self) -> int:
        """The wait status of a fork server that has closed its stream."""
        return self._server.status()

    def kill_orphans(self) -> Iterator[WorkerId]:
        """Kill the workers of a dead fork server; those that had been running."""
        for worker, held in list(self._workers.items()):
            if held.pid is not None:
                signal_group(held.pid, signal.SIGKILL)
            yield worker


def _has_stopped(pid: int) -> bool:
    """Whether a child is stopped, or gone; True where that cannot be asked without reaping it (macOS)."""
    wait: Callable[..., object] | None = getattr(os, "waitid", None)
    if wait is None:
        return True
    try:
        return wait(os.P_PID, pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True
