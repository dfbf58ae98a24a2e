"""The signals that end, suspend or query a run: noted when they come, handled in the controller's loop."""

from __future__ import annotations

import _thread
import os
import select
import signal
import weakref
from collections.abc import Callable
from types import FrameType, TracebackType

import pytest

from pytest_procpar.controller.signal_watch import SignalWatch
from pytest_procpar.system.genuine import Handler, close, read, write

__all__ = ["Signals"]

#: How long SIGHUP may take to be noted after a terminal can no longer be written to, in seconds.
_UNTIL_NOTED = 0.5

#: The instances whose ``with`` block is active.
_entered: weakref.WeakSet[Signals] = weakref.WeakSet()


def _forget_in_child() -> None:
    for signals in list(_entered):
        signals.forget()


# A process that a plugin forks is not the controller: signals have their usual effect there.
os.register_at_fork(after_in_child=_forget_in_child)


class Signals:
    """While entered, signals wake the loop, and the run ends within seconds of one that asks for it.

    `SignalWatch` makes sure of that. A second SIGINT raises a KeyboardInterrupt; any other second signal that
    asks for the end kills all processes at once. Except for SIGINT, a handler that someone else has installed
    stays. Outside the main thread no handler can be installed, and none is.

    The interpreter itself also makes `fd` readable (`signal.set_wakeup_fd`): a handler alone would run too
    late if a signal came right before the loop begins to wait.

    :param kill: kills all processes that this one has started; may be called in another thread.
    """

    INT = int(signal.SIGINT)
    TERM = int(signal.SIGTERM)
    #: A terminal hangs up.
    HUP = int(signal.SIGHUP)
    KILL = int(signal.SIGKILL)
    #: Ctrl-Z.
    STOP = int(signal.SIGTSTP)
    #: Ask for the status: SIGUSR1, and Ctrl-T where it exists.
    ASK = tuple(int(getattr(signal, name)) for name in ("SIGUSR1", "SIGINFO") if hasattr(signal, name))
    #: Ask for the end.
    END = (INT, TERM, HUP)

    def __init__(self, kill: Callable[[], object] = lambda: None) -> None:
        self._kill = kill
        self._caught: list[int] = []
        #: How often a signal asked for the end, and the latest such signal other than SIGINT.
        self.asked = 0
        self.terminated_by: int | None = None
        self._overdue = False
        self._previous: dict[int, Handler] = {}
        self._previous_fd: int | None = None
        self._watch: SignalWatch | None = None
        self.fd, self._wake = os.pipe()
        os.set_blocking(self.fd, False)
        os.set_blocking(self._wake, False)

    def __enter__(self) -> Signals:
        try:
            self._previous[self.INT] = signal.signal(self.INT, self._note)
        except ValueError:  # not in the main thread
            return self
        for signum in (self.TERM, self.HUP, self.STOP, *self.ASK):
            if signal.getsignal(signum) is signal.SIG_DFL:
                self._previous[signum] = signal.signal(signum, self._note)
        main = _thread.get_ident()
        watch = SignalWatch(self._wake, self._asks, lambda signum: self._nudge(main, signum), self._kill)
        fd = self._wake
        if watch.start():
            self._watch, fd = watch, watch.fd
        else:
            watch.close()
        self._previous_fd = signal.set_wakeup_fd(fd, warn_on_full_buffer=False)
        _entered.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        _entered.discard(self)
        self._restore()
        if self._watch is not None:
            self._watch.left()
        close(self.fd)
        close(self._wake)

    def _restore(self) -> None:
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)
        if self._previous_fd is not None:
            signal.set_wakeup_fd(self._previous_fd)

    def forget(self) -> None:
        """In a forked process: restore the handlers, and note no more signals."""
        try:
            self._previous_fd = -1
            self._restore()
        except ValueError:  # not forked in the main thread, so no handler will run
            pass

    def _asks(self, signum: int) -> bool:
        """Whether a signal asks for the end: not if its handler is not ours, or no longer."""
        return signum in self.END and signal.getsignal(signum) == self._note

    def _note(self, signum: int, frame: FrameType | None) -> None:
        if self._overdue:
            self._overdue = False
            self._raise_end(signum)
        if signum in self.END:
            self._note_end(signum)
        self._caught.append(signum)
        try:
            write(self._wake, b"!")
        except BlockingIOError:
            pass

    def _note_end(self, signum: int) -> None:
        self.asked += 1
        if signum != self.INT:
            self.terminated_by = signum
        if self.asked == 1:
            return
        if signum == self.INT:
            raise KeyboardInterrupt
        self._kill()
        signal.signal(signum, signal.SIG_DFL)
        os.kill(os.getpid(), signum)

    def _raise_end(self, signum: int) -> None:
        if signum == self.INT:
            raise KeyboardInterrupt
        raise pytest.exit.Exception(
            f"terminated by {self.name(signum)}", returncode=pytest.ExitCode.INTERRUPTED
        )

    def hung_up(self) -> bool:
        """Whether the terminal has hung up: its signal may be noted a moment after a write fails."""
        if self.terminated_by is None and self._asks(self.HUP):
            select.select([self.fd], [], [], _UNTIL_NOTED)
        return self.terminated_by == self.HUP

    @staticmethod
    def name(signum: int) -> str:
        """The name of a signal."""
        return signal.Signals(signum).name

    def _nudge(self, main: int, signum: int) -> None:
        """Interrupt what the main thread is doing; called in another thread."""
        self._overdue = True
        signal.pthread_kill(main, signum)

    def stop_this_process(self) -> None:
        """Do what SIGTSTP is for: returns when the process is continued."""
        handler = signal.signal(self.STOP, signal.SIG_DFL)
        os.kill(os.getpid(), self.STOP)
        signal.signal(self.STOP, handler)

    def caught(self) -> list[int]:
        """The signals since the last call."""
        try:
            read(self.fd, 64)
        except BlockingIOError:
            pass
        caught, self._caught = self._caught, []
        if self._watch is not None and any(signum in self.END for signum in caught):
            self._watch.heard()
        return caught
