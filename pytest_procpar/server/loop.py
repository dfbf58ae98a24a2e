"""The loop of a process that starts workers: it starts, signals and reaps them as the controller orders."""

from __future__ import annotations

import errno
import os
import select
import signal
from collections.abc import Callable, Iterable
from typing import TypeAlias, cast

from pytest_procpar.core.model import assert_never
from pytest_procpar.core.protocol.server import (
    Fork,
    Forked,
    Ping,
    Pong,
    Quit,
    Reaped,
    Setup,
    Signal,
    StartRoot,
    Suspend,
    ToServer,
)
from pytest_procpar.forking.children import Children, nobody_else_waits
from pytest_procpar.forking.fork import disregard_interrupts
from pytest_procpar.ipc.link import Link
from pytest_procpar.system.calls import monotonic, pause
from pytest_procpar.system.genuine import READ, close, make_poll
from pytest_procpar.system.inherited import Woken, reap_inherited
from pytest_procpar.system.shortage import in_words, is_shortage

__all__ = ["StartOrder", "Server", "await_setup", "descriptors_of"]

#: How long to wait for the system to grant a process, since others may be about to end, and how long between
#: two attempts, in seconds. After a refusal, each further process gets only one attempt until one succeeds.
_PATIENCE = 0.5
_PAUSE = 0.01

#: The orders to start a process.
StartOrder: TypeAlias = Fork | StartRoot


def descriptors_of(order: StartOrder) -> int:
    """How many descriptors come along: a stream or, for a worker, those of two pipes and its black box."""
    return 6 if isinstance(order, Fork) else 1


def await_setup(link: Link) -> tuple[Setup, list[ToServer]] | None:
    """Wait for what the controller's own start has produced; return None if the server is no longer wanted.

    Also return the messages that came with it, for `Server` to carry out.
    """
    while True:
        messages, is_open = link.receive()
        match messages:
            case [Setup() as setup, *others]:
                return setup, cast("list[ToServer]", others)  # the controller says nothing else to a server
            case [Quit(), *_]:
                return None
            case []:
                if not is_open:
                    return None
            case _:
                raise AssertionError(f"the server has not been set up: {messages!r}")


class Server:
    """Carries out orders until it is told to quit, or the controller is gone.

    :param start: starts a process for an order, given its descriptors, and returns its pid; 0 in the process
        that was forked, None if there is nothing to start a worker from (the controller knows). May raise
        OSError.
    :param spare: the processes that were started before any worker; they are left alone at the end.
    :param told: messages that have already been received.
    """

    def __init__(
        self,
        link: Link,
        start: Callable[[StartOrder, list[int]], int | None],
        spare: Iterable[int] = (),
        told: Iterable[ToServer] = (),
    ) -> None:
        self._link = link
        self._told = list(told)
        self._start = start
        self._spare = frozenset(spare)
        self._children = Children()
        self._woken = Woken()
        self._patience = _PATIENCE
        #: In a process that was forked here: its order, with the descriptors.
        self._born: tuple[StartOrder, list[int]] | None = None
        #: Whether it was told to quit. If not, the controller is gone when `serve` returns.
        self.dismissed = False

    def serve(self) -> tuple[StartOrder, list[int]] | None:
        """Start, signal and reap workers; return None in the server at its end, an order in a forked process.

        In a forked process the server's stream is closed and its children are forgotten; the descriptors that
        came with the order are open.
        """
        disregard_interrupts()
        with nobody_else_waits(), self._woken:
            self._loop()
            if self._born is None:
                self._children.kill_all()
                self._children.end_leftovers(self._spare)
        return self._born

    def _loop(self) -> None:
        poll = make_poll()
        poll.register(self._link, READ)
        woken = self._woken
        if woken.fd is not None:
            poll.register(woken.fd, READ)
        go_on = self._obey(self._told, poll)
        while go_on:
            seconds = min(filter(None, (self._children.poll_seconds, woken.look_seconds)), default=None)
            ready = [fd for fd, _ in poll.poll(None if seconds is None else 1000 * seconds)]
            if self._link.fileno() in ready:
                messages, is_open = self._link.receive()
                go_on = self._obey(cast("list[ToServer]", messages), poll) and is_open
            for dead in self._children.reap() if go_on else ():
                if dead.fd is not None:
                    poll.unregister(dead.fd)
                    close(dead.fd)
                self._link.put(Reaped(dead.worker, dead.status, None, dead.peak_memory))
            if go_on and (woken.fd is None or woken.fd in ready):
                woken.drain()
                reap_inherited(self._spare | self._children.pids)
            self._link.flush()

    def _obey(self, messages: list[ToServer], poll: select.poll) -> bool:
        """Carry out messages; return False at once in a process that was forked, and when told to quit."""
        for message in messages:
            match message:
                case Fork() | StartRoot():
                    self._start_process(message, poll)
                    if self._born is not None:
                        return False
                case Signal(worker, signum, group):
                    self._children.signal(worker, signum, group=group)
                case Ping():
                    self._link.put(Pong())
                case Suspend():
                    self._suspend()
                case Quit():
                    self.dismissed = True
                    return False
                case Setup():
                    raise AssertionError("the server has been set up already")
                case _:
                    assert_never(message)
        return True

    def _suspend(self) -> None:
        self._children.signal_all(signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGSTOP)
        self._children.signal_all(signal.SIGCONT)

    def _start_patiently(self, order: StartOrder, fds: list[int]) -> int | None:
        until = monotonic() + self._patience
        self._patience = 0.0
        while True:
            try:
                pid = self._start(order, fds)
                break
            except OSError as error:
                if not is_shortage(error) or monotonic() >= until:
                    raise
            pause(_PAUSE)
        self._patience = _PATIENCE
        return pid

    def _start_process(self, order: StartOrder, poll: select.poll) -> None:
        fds = self._link.take_fds(descriptors_of(order))
        try:
            if len(fds) < descriptors_of(order):
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            pid = self._start_patiently(order, fds)
        except OSError as error:
            pid = None
            self._link.put(Reaped(order.worker, 0, in_words(error)))
            self._link.flush()  # before its stream ends, which counts as a death
        if pid == 0:
            self._children.forget()
            self._link.close()
            self._born = (order, fds)
            return
        for fd in fds:
            close(fd)
        if pid is not None:
            pidfd = self._children.add(order.worker, pid)
            if pidfd is not None:
                poll.register(pidfd, READ)
            self._link.put(Forked(order.worker, pid))
