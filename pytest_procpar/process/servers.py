"""The processes that workers are started from, as the controller makes and ends them."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from pytest_procpar.compat.adapters import adapted_sockets
from pytest_procpar.core.messages import FromServer, Setup
from pytest_procpar.core.model import StartMethod
from pytest_procpar.core.wire import WireError
from pytest_procpar.gateways import Interpreter
from pytest_procpar.process.board import Board
from pytest_procpar.process.covdata import pass_on_coverage
from pytest_procpar.process.fork import fork
from pytest_procpar.process.hazards import (
    EARLY_PLUGINS,
    WIRE,
    Hazards,
    hazard_before_configure,
    known_plugin,
)
from pytest_procpar.process.system import end_process, monotonic, pause, socket_pair
from pytest_procpar.process.transport import Link, Port
from pytest_procpar.settings import Settings

__all__ = ["ServerProcess", "choose_method", "recipe", "start_server"]


class ServerProcess:
    """A process that workers are started from.

    :param interpreter: what the process was started by, if it was not forked.
    """

    def __init__(self, pid: int, port: Port, interpreter: Interpreter | None = None) -> None:
        self.pid = pid
        self.port = port
        self._interpreter = interpreter
        self._status: int | None = None

    def receive(self) -> tuple[list[FromServer], bool]:
        """What the process has said, and whether it is still there.

        :raises WireError: if somebody else wrote to its stream.
        """
        messages, is_open = self.port.receive()
        if self.port.garbled is not None:
            raise WireError(f"the fork server cannot be understood: {self.port.garbled}")
        return messages, is_open  # type: ignore[return-value]

    def set_up(self, setup: Setup, board: Board) -> None:
        """Give the process what it waits for."""
        fds = []
        if setup.recipe is not None:
            fds = [board.fileno(), 1]
        self.port.send(setup, fds)

    def kill(self) -> None:
        """End a process that does not answer."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def status(self, seconds: float = 1.0) -> int:
        """The wait status of a process that is to end, in at most so many seconds; then it is killed."""
        if self._status is None:
            self._status = self._reap(seconds)
        return self._status

    def end(self, seconds: float) -> int:
        """Close the stream, which ends the process, and see it gone; its wait status."""
        self.port.close()
        status = self.status(seconds)
        if self._interpreter is not None:
            self._interpreter.close()
        return status

    def _reap(self, seconds: float) -> int:
        deadline = monotonic() + seconds
        delay = 0.0005
        while True:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                return 0
            if pid:
                return status
            if monotonic() >= deadline:
                self.kill()
            pause(delay)
            delay = min(delay * 2, 0.02)


def choose_method(config: pytest.Config, settings: Settings) -> tuple[StartMethod, str | None]:
    """How workers are to be started and, if that is not as usual and nobody has asked for it, why."""
    if settings.start_method is not None:
        return settings.start_method, None
    if not hasattr(os, "fork"):
        return StartMethod.SPAWN, "this platform cannot fork"
    vouched = settings.fork_safe
    hazard = hazard_before_configure(config, config.stash.get(WIRE, None), vouched)
    if hazard is not None:
        return StartMethod.SPAWN, hazard
    plugin = known_plugin(config, EARLY_PLUGINS, vouched)
    return (StartMethod.FORK, None) if plugin is None else (StartMethod.FORK_EARLY, plugin)


def start_server(
    config: pytest.Config,
    settings: Settings,
    board: Board,
    method: StartMethod,
    *,
    watched: bool = False,
    not_theirs: Port | None = None,
) -> ServerProcess:
    """Start the process that workers are started from.

    :param watched: whether it is to find out if it is safe to fork from it.
    :param not_theirs: for one that stands by: the stream to the other one, which it must not keep open.
    """
    if method is StartMethod.SPAWN:
        interpreter = Interpreter("pytest_procpar.process.spawnserver", "serve")
        return ServerProcess(interpreter.pid, Port(interpreter.socket), interpreter)
    ours, theirs = socket_pair()
    pid = fork()
    if pid == 0:
        ours.close()
        if not_theirs is not None:
            not_theirs.close()
            _stand_by(theirs)
        from pytest_procpar.process.forkserver import be_process

        body = _body(config, settings, board, method, Link(theirs), watched=watched)
        be_process(body)
    theirs.close()
    return ServerProcess(pid, Port(ours))


def _stand_by(stream: socket.socket) -> None:
    """Wait until this process is wanted, and end it if it never is. Till then it loads nothing: that would
    take 10 ms of a processor which the other server could have.
    """
    os.setpgid(0, 0)
    poll = select.poll()
    poll.register(stream, select.POLLIN)
    poll.poll()
    if not stream.recv(1, socket.MSG_PEEK):
        end_process(0)


def _body(
    config: pytest.Config,
    settings: Settings,
    board: Board,
    method: StartMethod,
    link: Link,
    *,
    watched: bool,
) -> Callable[[], None]:
    from pytest_procpar.process.forkserver import serve_collected, serve_early

    wire = config.stash.get(WIRE, None)
    if method is StartMethod.FORK_EARLY:
        return lambda: serve_early(config, settings.worker, link, board)
    hazards = (
        Hazards(config, wire, settings.fork_safe, adapted_sockets) if watched and wire is not None else None
    )
    return lambda: serve_collected(config, settings.worker, link, board, hazards)


#: The options of this process's interpreter, such as ``-O`` and ``-W`` (`multiprocessing` asks there, too).
_interpreter_flags: Callable[[], list[str]] = getattr(subprocess, "_args_from_interpreter_flags", list)


def recipe(config: pytest.Config, settings: Settings) -> dict[str, Any]:
    """What a fresh interpreter needs to become a worker of this run."""
    params = config.invocation_params
    return {
        "args": [str(arg) for arg in params.args],
        "dir": str(params.dir),
        "argv": list(sys.argv),
        "path": [str(entry) for entry in sys.path],
        "flags": list(_interpreter_flags()),
        "options": settings.worker.as_tuple(),
        "coverage": pass_on_coverage(config),
    }
