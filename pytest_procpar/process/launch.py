"""The controller's handle on its fork server and, through it, on the workers' processes."""

from __future__ import annotations

import os
import selectors
import signal
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from pytest_procpar.core.messages import Fork, FromServer, FromWorker, Quit, Record, Setup, Signal
from pytest_procpar.core.model import WorkerId
from pytest_procpar.core.wire import WireError
from pytest_procpar.process.board import Board
from pytest_procpar.process.fork import fork
from pytest_procpar.process.system import monotonic, pause, socket_pair
from pytest_procpar.process.transport import Link, Port
from pytest_procpar.settings import Settings

__all__ = ["Cluster"]

#: How long the fork server may take for what plugins do at unconfigure and exit, in seconds.
_QUIT_SECONDS = 60.0


class Cluster:
    """The fork server, the workers, and the streams to them."""

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        ours, theirs = socket_pair()
        self._owner = os.getpid()
        self._status: int | None = None
        self.board = Board(config.getoption("maxfail", 0) or 0)
        self.server_pid = fork()
        if self.server_pid == 0:
            from pytest_procpar.process.forkserver import ForkServer

            ours.close()
            ForkServer(config, settings, Link(theirs), self.board).serve()
        theirs.close()
        self._server = Port(ours)
        self._workers: dict[WorkerId, Port] = {}
        self._pids: dict[WorkerId, int] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._server, selectors.EVENT_READ, None)

    # --- waiting ---

    def wait(self, seconds: float | None) -> list[WorkerId | None]:
        """Wait until somebody has something to say: those workers, None standing for the fork server."""
        self._watch(self._server, None)
        for worker, port in self._workers.items():
            if port.garbled is None:
                self._watch(port, worker)
        ready: list[WorkerId | None] = []
        for key, events in self._selector.select(seconds):
            if events & selectors.EVENT_WRITE and isinstance(key.fileobj, Port):
                key.fileobj.flush()
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
        messages, is_open = self._server.receive()
        if self._server.garbled is not None:
            raise WireError(f"the fork server cannot be understood: {self._server.garbled}")
        return messages, is_open  # type: ignore[return-value]

    def setup(
        self, inputs: list[dict[str, Any]], environ: dict[str, str], cwd: str, basetemp: str | None
    ) -> None:
        """Give the fork server what it waits for."""
        self._server.send(Setup(inputs, environ, cwd, basetemp))

    def spawn(self, worker: WorkerId, workerinput: dict[str, Any]) -> None:
        """Have a worker forked."""
        ours, theirs = socket_pair()
        port = Port(ours, theirs)
        self._server.send(Fork(worker, workerinput), [theirs.fileno()])
        self._workers[worker] = port
        self._selector.register(port, selectors.EVENT_READ, worker)

    def interrupt_server(self) -> None:
        """Interrupt the collection, as Ctrl-C would."""
        with suppress(ProcessLookupError):
            os.kill(self.server_pid, signal.SIGINT)

    # --- workers ---

    def forked(self, worker: WorkerId, pid: int) -> None:
        """Note a worker's process id, in case that the fork server dies before it."""
        self._pids[worker] = pid

    def from_worker(self, worker: WorkerId) -> tuple[list[FromWorker], str | None]:
        """What a worker has said; and, once, why it cannot be understood any longer."""
        port = self._workers.get(worker)
        if port is None:
            return [], None
        known = port.garbled is not None
        messages, _ = port.receive()
        if known or port.garbled is None:
            return messages, None  # type: ignore[return-value]
        self._selector.unregister(port)
        return messages, port.garbled  # type: ignore[return-value]

    def tell(self, worker: WorkerId, records: list[Record]) -> None:
        """Put records into a worker's inbox."""
        self._workers[worker].send_records(records)

    def take_back(self, worker: WorkerId) -> list[Record]:
        """Empty a worker's inbox: what it had not read."""
        return self._workers[worker].drain()

    def signal(self, worker: WorkerId, signum: int, *, group: bool = False) -> None:
        """Send a signal to a worker."""
        self._server.send(Signal(worker, signum, group))

    def release(self, worker: WorkerId) -> None:
        """Forget a worker that is dead and has been listened to."""
        self._pids.pop(worker, None)
        port = self._workers.pop(worker, None)
        if port is not None:
            with suppress(KeyError):
                self._selector.unregister(port)
            port.close()

    # --- the end ---

    def dismiss(self) -> None:
        """Let the fork server end, without waiting for it."""
        self._server.send(Quit())

    def close(self) -> None:
        """Close everything, and see the fork server and all workers gone. Repeating it does nothing."""
        if self._status is not None or os.getpid() != self._owner:
            return
        self._selector.close()
        self._server.close()
        self._status = self._reap(_QUIT_SECONDS)
        for worker in list(self._workers):
            pid = self._pids.get(worker)
            if pid is not None and self._status != 0:  # the fork server could not do it
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(pid, signal.SIGKILL)
            self._workers.pop(worker).close()

    def server_status(self) -> int:
        """The wait status of a fork server that has closed its stream."""
        if self._status is None:
            self._status = self._reap(1.0)
        return self._status

    def kill_orphans(self) -> Iterator[WorkerId]:
        """Kill the workers of a dead fork server; those that had been running."""
        for worker, pid in list(self._pids.items()):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
            yield worker

    def _reap(self, seconds: float) -> int:
        deadline = monotonic() + seconds
        delay = 0.0005
        while True:
            try:
                pid, status = os.waitpid(self.server_pid, os.WNOHANG)
            except ChildProcessError:
                return 0
            if pid:
                return status
            if monotonic() >= deadline:
                with suppress(ProcessLookupError):
                    os.kill(self.server_pid, signal.SIGKILL)
            pause(delay)
            delay = min(delay * 2, 0.02)
