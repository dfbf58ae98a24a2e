"""The processes that start a run's workers: the one in use, earlier ones, and the standby."""

from __future__ import annotations

import errno
import os
import signal

import pytest

from pytest_procpar.cluster.listener import Listener
from pytest_procpar.cluster.server_process import ServerProcess, recipe, start_server
from pytest_procpar.config.settings import Settings
from pytest_procpar.core.model import StartMethod, WorkerInput
from pytest_procpar.core.protocol.server import FromServer, Ping, Quit, Setup, Suspend
from pytest_procpar.core.protocol.wire import WireError
from pytest_procpar.core.record import changed
from pytest_procpar.forking.children import signal_group
from pytest_procpar.ipc.board import Board
from pytest_procpar.system.calls import monotonic, pause
from pytest_procpar.system.genuine import waitid

__all__ = ["ServerGroup"]

#: How long the fork server may take for what plugins do at unconfigure and exit, in seconds.
_QUIT_SECONDS = 60.0
#: The same once a signal has asked for the end.
_HURRIED_SECONDS = 3.0

#: How long the processes may take to stop when the run is suspended, in seconds.
_STOP_SECONDS = 2.0


class ServerGroup:
    """The processes that start workers.

    :param method: how workers are started, until `fall_back` or `switch` is called.
    """

    def __init__(self, config: pytest.Config, settings: Settings, board: Board, method: StartMethod) -> None:
        self._config, self._settings, self._board = config, settings, board
        self.method = method
        self._quit_seconds = _QUIT_SECONDS
        self._recipe = recipe(config, settings) if method is StartMethod.SPAWN else None
        provisional = method is StartMethod.FORK and settings.start_method is None
        self.current = start_server(config, settings, board, method, watched=provisional)
        #: Forked before anything was configured: it takes over if the suite must not be forked, and kills the
        #: fork server if that outlives this process.
        self._standby: ServerProcess | None = None
        if method is StartMethod.FORK:
            early, other = StartMethod.FORK_EARLY, self.current
            try:
                self._standby = start_server(config, settings, board, early, beside=other)
            except OSError:
                self.current.end(_QUIT_SECONDS)
                raise
        #: The processes that started workers before `switch`.
        self.former: list[ServerProcess] = []
        self._setup: Setup
        self._listener: Listener

    @property
    def every(self) -> list[ServerProcess]:
        """All processes that have started workers."""
        return [self.current, *self.former]

    def heard_by(self, listener: Listener) -> None:
        """Let `listener` hear each process that may send messages, now and later."""
        self._listener = listener
        listener.add(self.current.port)

    def receive(self) -> tuple[list[FromServer], bool]:
        """The messages of all processes, and whether all are still there.

        :raises WireError: if something else wrote to a stream.
        """
        heard = [server.receive() for server in self.every]
        return [message for messages, _ in heard for message in messages], all(up for _, up in heard)

    def set_up(
        self, inputs: list[WorkerInput], environ: dict[str, str], cwd: str, basetemp: str | None
    ) -> None:
        """Send the process in use what it waits for."""
        self._setup = Setup(inputs, environ, cwd, basetemp, self._recipe)
        self.current.set_up(self._setup, self._board)

    def fall_back(self) -> None:
        """End the fork server and use the standby: the suite must not run in forks of the former."""
        assert self._standby is not None
        self._listener.drop(self.current.port)
        self.current.port.send(Quit())
        self.current.end(_QUIT_SECONDS)
        self.current, self._standby = self._standby, None
        self._listener.add(self.current.port)
        self.method = StartMethod.FORK_EARLY
        self.current.set_up(self._setup, self._board)

    def switch(self) -> None:
        """Start workers as fresh interpreters from now on. The existing ones go on as they are.

        :raises OSError: if no interpreter can be started, or there is no memory to share with it.
        """
        if self._board.fileno() == -1:
            raise OSError(errno.ENOSYS, "the run has no memory that a fresh interpreter finds")
        try:
            server = start_server(self._config, self._settings, self._board, StartMethod.SPAWN)
        except pytest.UsageError as error:
            raise OSError(errno.EAGAIN, str(error)) from None
        self.former.append(self.current)
        self.current, self.method = server, StartMethod.SPAWN
        self._listener.add(server.port)
        self._setup = changed(self._setup, recipe=recipe(self._config, self._settings))
        server.set_up(self._setup, self._board)

    def give_up_former(self) -> None:
        """Kill the processes that started workers before `switch`, and these workers with them."""
        for server in self.former:
            self._listener.drop(server.port)
            server.kill()
            server.end(_QUIT_SECONDS)
        self.former.clear()

    def forking(self) -> int | None:
        """The pid of the process that workers are, or were, forked from; None if there is none."""
        if self.method is not StartMethod.SPAWN:
            return self.current.pid
        return self.former[0].pid if self.former else None

    def interrupt_collection(self) -> None:
        """Interrupt the collection of the process in use, if there is one, as Ctrl-C would."""
        if self.method.collects_once:
            try:
                os.kill(self.current.pid, signal.SIGINT)
            except ProcessLookupError:
                pass

    def collected(self) -> None:
        """Dismiss the standby: the suite is known, and the process that has led to it is the one to use."""
        if self._standby is not None:  # it ends when it notices that; `end` waits for it
            self._standby.port.shut()

    def is_up(self) -> bool:
        """Whether the process in use is still alive. Messages from it are dropped."""
        try:
            return self.current.receive()[1]
        except WireError:
            return False

    # --- Ctrl-Z ---

    def suspend(self, *, serving: bool) -> None:
        """Stop the processes and what they have started; `serving` says that they are past the collection."""
        pids = [server.pid for server in self.every]
        for server in self.every:
            if serving:
                server.port.send(Suspend())
            else:
                signal_group(server.pid, signal.SIGSTOP)
        deadline = monotonic() + _STOP_SECONDS
        while monotonic() < deadline and not all(map(_has_stopped, pids)):
            pause(0.002)

    def resume(self) -> None:
        """Let all processes continue."""
        for server in self.every:
            signal_group(server.pid, signal.SIGCONT)

    # --- the end ---

    def ping(self) -> None:
        """Ask the processes for a sign of life: `Pong`."""
        for server in self.every:
            server.port.send(Ping())

    def dismiss(self) -> None:
        """Let the processes end, without waiting for it."""
        for server in self.every:
            server.port.send(Quit())

    def hurry(self) -> None:
        """Give the processes only a few seconds to end: a signal has asked for the end."""
        self._quit_seconds = _HURRIED_SECONDS

    def kill(self, *, standby: bool) -> None:
        """Kill the processes. Any thread may call this, at any moment.

        :param standby: also kill the standby.
        """
        for server in (*self.every, self._standby if standby else None):
            if server is not None:
                server.kill()

    def end(self) -> int:
        """Wait until all processes are gone; return the highest wait status of those that were in use."""
        status = max([server.end(self._quit_seconds) for server in self.every])
        if self._standby is not None:
            self._standby.let_go(self._quit_seconds)
        return status

    def status(self) -> int:
        """The wait status of a process that has closed its stream."""
        return next(filter(None, [server.status() for server in self.every]), 0)

    def stood_still(self) -> bool:
        """Whether a process was killed at its exit, where it waited for a lock that nothing could release."""
        return any(server.stood_still for server in self.every)


def _has_stopped(pid: int) -> bool:
    """Whether a child is stopped or gone; True where only reaping it would tell (macOS)."""
    if waitid is None:
        return True
    try:
        return waitid(os.P_PID, pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True
