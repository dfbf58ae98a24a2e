"""The processes that start workers, as the controller makes and ends them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from pytest_procpar.compat.plugins.after_fork import adapted_sockets
from pytest_procpar.config.settings import INTERPRETER, Settings
from pytest_procpar.core.model import StartMethod
from pytest_procpar.core.protocol.server import FromServer, Recipe, Setup
from pytest_procpar.core.protocol.wire import WireError
from pytest_procpar.coverage_data.measuring import begin_beside, pass_on_coverage
from pytest_procpar.forking import file_positions
from pytest_procpar.forking.children import kill_with_descendants
from pytest_procpar.forking.fork import fork
from pytest_procpar.ipc.board import Board
from pytest_procpar.ipc.link import Link
from pytest_procpar.ipc.port import Port
from pytest_procpar.replay.file import REPLAY
from pytest_procpar.start_method.hazards import HAZARDS
from pytest_procpar.system.calls import Socket, end_process, monotonic, socket_pair
from pytest_procpar.system.genuine import HANGUP, READ, make_poll, waitpid
from pytest_procpar.system.shortage import in_words

if TYPE_CHECKING:
    from pytest_procpar.system.stalled import Exit

__all__ = ["ServerProcess", "recipe", "start_server"]


#: After how many seconds to look whether a process that is to end stands still.
_FIRST_LOOK = 1.0


class ServerProcess:
    """A process that starts workers."""

    def __init__(self, pid: int, port: Port) -> None:
        self.pid = pid
        self.port = port
        self._status: int | None = None
        #: Whether it was killed at its exit, where it waited for a lock that no thread could release.
        self.stood_still = False

    def receive(self) -> tuple[list[FromServer], bool]:
        """The messages of the process, and whether it is still there.

        :raises WireError: if something else wrote to its stream.
        """
        messages, is_open = self.port.receive()
        if self.port.garbled is not None:
            raise WireError(f"the fork server cannot be understood: {self.port.garbled}")
        return messages, is_open  # type: ignore[return-value]

    def set_up(self, setup: Setup, board: Board) -> None:
        """Send the process what it waits for."""
        fds = []
        if setup.recipe is not None:
            fds = [board.fileno(), 1]
        self.port.send(setup, fds)

    def kill(self) -> None:
        """Kill the process and its descendants; do nothing if it has been reaped."""
        if self._status is None:
            kill_with_descendants(self.pid)

    def status(self, seconds: float = 1.0) -> int:
        """The wait status of a process that is to end; it is killed after `seconds`."""
        if self._status is None:
            self._status = self._reap(seconds)
        return self._status

    def end(self, seconds: float) -> int:
        """Close the stream, which ends the process, and wait until it is gone; return its wait status."""
        self.port.close()
        return self.status(seconds)

    def let_go(self, seconds: float) -> int:
        """End a standby that is not wanted, and wait until it is gone; return its wait status."""
        self.port.shut()  # closing it would tell the process that the controller is gone
        status = self.status(seconds)
        self.port.close()
        return status

    def _reap(self, seconds: float) -> int:
        deadline = monotonic() + seconds
        delay = 0.0005
        watch: Exit | None = None
        look_at = monotonic() + _FIRST_LOOK
        while True:
            try:
                pid, status = waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                return 0
            if pid:
                return status
            if monotonic() >= deadline:
                self.kill()
            elif watch is None and monotonic() >= look_at:
                from pytest_procpar.system.stalled import Exit

                watch = Exit(self.pid)
            elif watch is not None and not self.stood_still and watch.is_hopeless():
                self.stood_still = True
                self.kill()
            time.sleep(delay)  # looked up now: gevent's lets greenlets of plugins run meanwhile
            delay = min(delay * 2, 0.02)


def start_server(
    config: pytest.Config,
    settings: Settings,
    board: Board,
    method: StartMethod,
    *,
    watched: bool = False,
    beside: ServerProcess | None = None,
) -> ServerProcess:
    """Start a process that starts workers.

    :param watched: whether it finds out if it is safe to fork from it.
    :param beside: makes the process the standby of this fork server.
    :raises pytest.UsageError: if a fresh interpreter cannot be started.
    :raises OSError: if a process cannot be forked.
    """
    ours, theirs = socket_pair()
    if method is StartMethod.SPAWN:
        try:
            pid = _spawn_server(theirs.fileno())
        except OSError as error:
            raise pytest.UsageError(f"no fresh interpreter could be started: {in_words(error)}") from None
        theirs.close()
        return ServerProcess(pid, Port(ours))
    controller = os.getpid()
    file_positions.note()
    pid = fork()
    if pid == 0:
        ours.close()
        if beside is not None:
            beside.port.close()
            _stand_by(theirs, controller, beside.pid)
        from pytest_procpar.server.fork_server import be_process

        board.let_go_of_descriptors()
        body = _body(config, settings, board, method, Link(theirs), controller, watched=watched)
        be_process(body)
    theirs.close()
    return ServerProcess(pid, Port(ours))


def _spawn_server(stream: int) -> int:
    from pytest_procpar.forking.interpreter import start_interpreter

    return start_interpreter(
        "pytest_procpar.server.spawn_server",
        str(stream).encode(),
        [stream],
        flags=_interpreter_flags(),
        path=[str(entry) for entry in sys.path],
        environ=os.environ,
    )


def _stand_by(stream: Socket, controller: int, server: int) -> None:
    """Wait until this process is wanted, and end it if it never is.

    Until then it imports nothing: that would take 10 ms of a processor that the other server could use. If
    the controller dies, this process ends the other server, which may be stuck in code that is not ours.
    """
    os.setpgid(0, 0)
    poll = make_poll()
    poll.register(stream, READ)
    ((_, event),) = poll.poll()
    if not stream.recv(1, socket.MSG_PEEK):
        if event & HANGUP:  # otherwise the controller has shut one direction: it does not want this process
            from pytest_procpar.worker.orphan import end_orphan, is_orphaned

            if is_orphaned(controller):
                end_orphan(server)
        end_process(0)


def _body(
    config: pytest.Config,
    settings: Settings,
    board: Board,
    method: StartMethod,
    link: Link,
    controller: int,
    *,
    watched: bool,
) -> Callable[[], None]:
    from pytest_procpar.server.fork_server import serve_collected, serve_early

    if method is StartMethod.FORK_EARLY:
        return lambda: serve_early(config, settings.worker, link, board)
    hazards = config.stash.get(HAZARDS, None) if watched else None
    if hazards is not None:
        hazards.excuse(lambda: adapted_sockets(config))
    return lambda: serve_collected(config, settings.worker, link, board, hazards, controller)


#: The options of this process's interpreter, such as ``-O`` and ``-W`` (`multiprocessing` asks there, too).
_interpreter_flags: Callable[[], list[str]] = getattr(subprocess, "_args_from_interpreter_flags", list)


def recipe(config: pytest.Config, settings: Settings) -> Recipe:
    """How a fresh interpreter becomes a worker of this run."""
    params, replay = config.invocation_params, config.stash.get(REPLAY, None)
    argv, path = config.stash.get(INTERPRETER, (sys.argv, sys.path))
    return Recipe(
        flags=list(_interpreter_flags()),
        path=[str(entry) for entry in path],
        argv=list(argv),
        args=[*begin_beside(config), *map(str, params.args)],
        folder=str(params.dir),
        roots=[str(config.rootpath), str(params.dir)],
        options=settings.worker,
        coverage=pass_on_coverage(config),
        replay=None if replay is None else (replay.path, replay.sequences),
    )
