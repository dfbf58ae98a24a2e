"""Child processes that go on with what their parent holds, and how they ended.

A test's process is forked from one that runs no test and waits in the meantime. The two share one connection,
one slot and one black box, and never use them at the same time. This module knows nothing about tests.
"""

from __future__ import annotations

import faulthandler
import json
import mmap
import os
import resource
import signal
import struct
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

from pytest_procpar.core.record import fields, record
from pytest_procpar.forking.children import RSS_UNIT, nobody_else_waits
from pytest_procpar.forking.fork import forget_exit_handlers, fork
from pytest_procpar.system.calls import DUMP_SIGNAL, end_process, getpid
from pytest_procpar.system.descendants import bind_death, open_pidfd
from pytest_procpar.system.genuine import READ, Handler, close, make_poll, wait4

__all__ = ["Child", "ChildRunner", "ChildResult", "die_of"]

_LENGTH = struct.Struct("<I")
_ROOM = 1 << 14
#: How often to look whether a child is dead where the kernel cannot tell (no pidfd), in milliseconds.
_LOOK_MS = 50


@record
class ChildResult:
    """What a child leaves at its regular end; one that leaves nothing has died.

    ``status`` is the session's exit status if something has ended it, and ``interrupted`` whether that was an
    interrupt or `pytest.exit`. ``latest`` is the test that ran last (-1: none), ``failed`` the number of
    failures so far, and ``finish`` says whether the controller has announced that no test will follow.
    """

    status: int | None = None
    interrupted: bool = False
    latest: int = -1
    failed: int = 0
    shouldfail: str | bool = False
    shouldstop: str | bool = False
    finish: bool = False


class Child:
    """A child as its parent sees it."""

    def __init__(self) -> None:
        self.pid = 0
        #: Its wait status, once it has been reaped.
        self.status: int | None = None
        self._memory = mmap.mmap(-1, _ROOM)

    def leave(self, word: ChildResult) -> None:
        """In the child: leave the result. The length is written last."""
        values = {name: getattr(word, name) for name in fields(ChildResult)}
        for name in ("shouldfail", "shouldstop"):
            if isinstance(values[name], str):
                values[name] = values[name][:1000]
        data = json.dumps(values).encode()
        self._memory[4 : 4 + len(data)] = data
        _LENGTH.pack_into(self._memory, 0, len(data))

    def close(self) -> ChildResult | None:
        """The result that the child has left; frees the memory."""
        (length,) = _LENGTH.unpack_from(self._memory, 0)
        word = ChildResult(**json.loads(self._memory[4 : 4 + length])) if length else None
        self._memory.close()
        return word


class ChildRunner:
    """Forks children, waits for them, and passes on the signals that are meant for them.

    :param adopt: gives the child, right after the fork, what it shares with its parent.
    :param stacks: the descriptor for the stacks that `DUMP_SIGNAL` asks for.
    """

    def __init__(self, adopt: Callable[[], None], stacks: int) -> None:
        self._adopt = adopt
        self._stacks = stacks
        self._die_with = bind_death()
        #: The living children, the one at work last; and whether one is being forked.
        self._living: list[int] = []
        self._forking = False
        self._pending: list[int] = []
        #: The handler for SIGCHLD in children; in this process only we wait (see `nobody_else_waits`).
        self._on_child: Handler = signal.SIG_DFL
        #: The other handlers that children have.
        self._handlers: dict[int, Handler] = {
            signal.SIGINT: signal.default_int_handler,
            signal.SIGTERM: signal.SIG_DFL,
        }
        #: The peak memory of the child that was reaped last, in bytes.
        self.peak_memory = 0

    # --- children ---

    def fork(self, work: Callable[[], ChildResult]) -> Child:
        """Fork a child that does `work`, and nothing else; what that returns is its result.

        :raises OSError: if the system grants no process.
        """
        child = Child()
        self._forking, parent = True, getpid()
        try:
            child.pid = fork()
            if child.pid == 0:
                self._be_child(child, parent, work)
            self._living.append(child.pid)
        except OSError:
            child.close()
            raise
        finally:
            self._forking = False
            while self._pending:
                signum = self._pending.pop(0)
                self._caught(signum, None)
        return child

    def _be_child(self, child: Child, parent: int, work: Callable[[], ChildResult]) -> NoReturn:
        status = 3
        try:
            self._die_with(parent)
            self._restore_handlers()
            signal.signal(signal.SIGCHLD, self._on_child)
            with suppress(ValueError, RuntimeError):  # no descriptor to write to
                faulthandler.register(DUMP_SIGNAL, file=self._stacks, all_threads=True, chain=False)
            forget_exit_handlers()
            self._adopt()
            for signum in self._pending:  # they came before the handlers were the child's own
                os.kill(getpid(), signum)
            child.leave(work())
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            end_process(status)

    def wait(self, child: Child) -> tuple[ChildResult | None, int]:
        """Wait for a child to end; return its result, if it left one, and its wait status."""
        if child.status is None:
            self._reap(child, 0)
        status = child.status or 0
        word = child.close()
        return (word if status == 0 else None), status

    def _reap(self, child: Child, options: int) -> None:
        try:
            pid, status, usage = wait4(child.pid, options)
        except ChildProcessError:  # something has waited for all children; how it ended is lost
            pid, status, usage = child.pid, 0, None
        if pid:
            child.status = status
            self.peak_memory = usage.ru_maxrss * RSS_UNIT if usage is not None else 0
            self._living.remove(child.pid)

    def wait_or_read(self, child: Child, fd: int) -> bool:
        """Wait until `fd` is readable and return True, or until the child is dead and return False."""
        pidfd = open_pidfd(child.pid)
        poll = make_poll()
        for watched in (fd, pidfd):
            if watched is not None:
                poll.register(watched, READ)
        try:
            while True:
                ready = [found for found, _ in poll.poll(_LOOK_MS if pidfd is None else None)]
                if fd in ready:
                    return True
                if pidfd is None:
                    self._reap(child, os.WNOHANG)
                if pidfd in ready or child.status is not None:
                    return False
        finally:
            if pidfd is not None:
                close(pidfd)

    # --- signals ---

    @contextmanager
    def passing_on_signals(self) -> Iterator[None]:
        """Inside the block, pass signals on to the child at work; without one they have their usual effect.

        SIGTERM and the like go to the process group, so that a child in that group has them already. Its
        parent stays until the child is gone: otherwise no process could report how it ended.
        """
        faulthandler.unregister(DUMP_SIGNAL)
        self._on_child = signal.getsignal(signal.SIGCHLD) or signal.SIG_DFL
        for signum in self._handlers:
            self._handlers[signum] = signal.signal(signum, self._caught) or signal.SIG_DFL
        signal.signal(DUMP_SIGNAL, self._caught)
        try:
            with nobody_else_waits():
                yield
        finally:
            self._restore_handlers()
            faulthandler.register(DUMP_SIGNAL, file=self._stacks, all_threads=True, chain=False)

    def _restore_handlers(self) -> None:
        for signum, handler in self._handlers.items():
            signal.signal(signum, handler)

    def _caught(self, signum: int, frame: FrameType | None) -> None:
        if self._forking:
            self._pending.append(signum)
        elif self._living:
            self._pass_on(signum)
        elif signum == signal.SIGINT:
            raise KeyboardInterrupt
        elif signum == DUMP_SIGNAL:
            faulthandler.dump_traceback(file=self._stacks, all_threads=True)
        else:
            die_of(signum)

    def _pass_on(self, signum: int) -> None:
        pid = self._living[-1]
        with suppress(ProcessLookupError, PermissionError):
            if signum != signal.SIGTERM:
                os.kill(pid, signum)
            elif (group := os.getpgid(pid)) != os.getpgrp():
                os.killpg(group, signum)


def die_of(status: int) -> NoReturn:
    """End this process in the same way as the one with this wait status: by the same signal or exit code."""
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        signum = -code
        _, hard = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
        faulthandler.disable()
        with suppress(OSError, ValueError):  # two signals cannot have a handler
            signal.signal(signum, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signum])
        os.kill(getpid(), signum)
    end_process(code if code >= 0 else 1)
