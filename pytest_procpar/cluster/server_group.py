"""The processes that a run's workers are started from: the one in use, and those before and beside it."""

from __future__ import annotations

import errno
import os
import selectors
import signal
from typing import Any

import pytest

from pytest_procpar.cluster.server_process import ServerProcess, recipe, start_server
from pytest_procpar.config.settings import Settings
from pytest_procpar.core.model import StartMethod
from pytest_procpar.core.protocol.messages import FromServer, Ping, Quit, Setup, Suspend
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
    """These processes.

    :param method: how workers are to be started, until `fall_back` or `switch` is called.
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
        #: Those that workers were started from before `switch`.
        self.former: list[ServerProcess] = []
        self._setup: Setup
        self._selector: selectors.BaseSelector

    @property
    def every(self) -> list[ServerProcess]:
        """All that workers have been started from."""
        return [self.current, *self.former]

    def heard_by(self, selector: selectors.BaseSelector) -> None:
        """Register there whoever may have something to say, now and later."""
        self._selector = selector
        selector.register(self.current.port, selectors.EVENT_READ, None)

    def receive(self) -> tuple[list[FromServer], bool]:
        """What they have said, and whether all are still there.

        :raises WireError: if somebody else wrote to a stream.
        """
        heard = [server.receive() for server in self.every]
        return [message for messages, _ in heard for message in messages], all(up for _, up in heard)

    def set_up(
        self, inputs: list[dict[str, Any]], environ: dict[str, str], cwd: str, basetemp: str | None
    ) -> None:
        """Give the one in use what it waits for."""
        self._setup = Setup(inputs, environ, cwd, basetemp, self._recipe)
        self.current.set_up(self._setup, self._board)

    def fall_back(self) -> None:
        """The suite must not be run in forks of the fork server: end it, and use the one that has none."""
        assert self._standby is not None
        self._selector.unregister(self.current.port)
        self.current.port.send(Quit())
        self.current.end(_QUIT_SECONDS)
        self.current, self._standby = self._standby, None
        self._selector.register(self.current.port, selectors.EVENT_READ, None)
        self.method = StartMethod.FORK_EARLY
        self.current.set_up(self._setup, self._board)

    def switch(self) -> None:
        """Start workers as fresh interpreters from now on. The others go on as they are.

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
        self._selector.register(server.port, selectors.EVENT_READ, None)
        self._setup = changed(self._setup, recipe=recipe(self._config, self._settings))
        server.set_up(self._setup, self._board)

    def give_up_former(self) -> None:
        """Kill those that workers were started from before `switch`, and the workers with them."""
        for server in self.former:
            self._selector.unregister(server.port)
            server.kill()
            server.end(_QUIT_SECONDS)
        self.former.clear()

    def forking(self) -> int | None:
        """The pid of the one that workers are, or were, forked from; None if there is none."""
        if self.method is not StartMethod.SPAWN:
            return self.current.pid
        return self.former[0].pid if self.former else None

    def interrupt_collection(self) -> None:
        """Interrupt the collection of the one in use, if there is one, as Ctrl-C would."""
        if self.method.collects_once:
            try:
                os.kill(self.current.pid, signal.SIGINT)
            except ProcessLookupError:
                pass

    def collected(self) -> None:
        """The suite is known, and the one that has led to it is the one that will be used."""
        if self._standby is not None:  # it ends when it sees that; `end` waits for it
            self._standby.port.shut()

    def is_up(self) -> bool:
        """Whether the one in use is still alive. Messages that have come from it are dropped."""
        try:
            return self.current.receive()[1]
        except WireError:
            return False

    # --- Ctrl-Z ---

    def suspend(self, *, serving: bool) -> None:
        """Stop them and what they have started; `serving` says that they are past the collection."""
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
        """Let all go on."""
        for server in self.every:
            signal_group(server.pid, signal.SIGCONT)

    # --- the end ---

    def ping(self) -> None:
        """Ask them for a sign of life: `Pong`."""
        for server in self.every:
            server.port.send(Ping())

    def dismiss(self) -> None:
        """Let them end, without waiting for it."""
        for server in self.every:
            server.port.send(Quit())

    def hurry(self) -> None:
        """Give them only a few seconds for their end: a signal has asked for it."""
        self._quit_seconds = _HURRIED_SECONDS

    def kill(self, *, standby: bool) -> None:
        """Kill them. Any thread may call it, at any moment.

        :param standby: the one that waits beside them, too.
        """
        for server in (*self.every, self._standby if standby else None):
            if server is not None:
                server.kill()

    def end(self) -> int:
        """See all of them gone; the highest wait status of those that were in use."""
        status = max([server.end(self._quit_seconds) for server in self.every])
        if self._standby is not None:
            self._standby.let_go(self._quit_seconds)
        return status

    def status(self) -> int:
        """The wait status of one that has closed its stream."""
        return next(filter(None, [server.status() for server in self.every]), 0)

    def stood_still(self) -> bool:
        """Whether one was killed at its end, where it waited for a lock that nobody could release."""
        return any(server.stood_still for server in self.every)


def _has_stopped(pid: int) -> bool:
    """Whether a child is stopped, or gone; True where that cannot be asked without reaping it (macOS)."""
    if waitid is None:
        return True
    try:
        return waitid(os.P_PID, pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True
