"""The signals that end, suspend or question a run: noted where they come, served in the controller's loop."""

from __future__ import annotations

import os
import signal
from types import FrameType, TracebackType
from typing import Any

__all__ = ["Signals"]


class Signals:
    """While entered, signals wake the loop up; a second SIGINT ends it at once.

    A handler that somebody else has installed for any of them but SIGINT stays. Outside the main thread
    nothing can be installed, and nothing is.

    `fd` becomes readable by the interpreter's own doing (`signal.set_wakeup_fd`), too: a handler alone
    would run too late if a signal came right before the loop begins to wait.
    """

    INT = int(signal.SIGINT)
    TERM = int(signal.SIGTERM)
    KILL = int(signal.SIGKILL)
    #: Ctrl-Z.
    STOP = int(signal.SIGTSTP)
    #: What asks for the status: SIGUSR1, and Ctrl-T where there is such.
    ASK = tuple(int(getattr(signal, name)) for name in ("SIGUSR1", "SIGINFO") if hasattr(signal, name))

    def __init__(self) -> None:
        self._caught: list[int] = []
        self._interrupts = 0
        self._previous: dict[int, Any] = {}
        self._previous_fd: int | None = None
        self.fd, self._wake = os.pipe()
        os.set_blocking(self.fd, False)
        os.set_blocking(self._wake, False)

    def __enter__(self) -> Signals:
        try:
            self._previous[self.INT] = signal.signal(self.INT, self._note)
            for signum in (self.TERM, self.STOP, *self.ASK):
                if signal.getsignal(signum) is signal.SIG_DFL:
                    self._previous[signum] = signal.signal(signum, self._note)
            self._previous_fd = signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        except ValueError:  # not in the main thread
            pass
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)
        if self._previous_fd is not None:
            signal.set_wakeup_fd(self._previous_fd)
        os.close(self.fd)
        os.close(self._wake)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        if signum == self.INT:
            self._interrupts += 1
            if self._interrupts > 1:
                raise KeyboardInterrupt
        self._caught.append(signum)
        try:
            os.write(self._wake, b"!")
        except BlockingIOError:
            pass

    def stop_this_process(self) -> None:
        """Do what SIGTSTP is for: returns when the process is continued."""
        handler = signal.signal(self.STOP, signal.SIG_DFL)
        os.kill(os.getpid(), self.STOP)
        signal.signal(self.STOP, handler)

    def caught(self) -> list[int]:
        """The signals since the last call."""
        try:
            os.read(self.fd, 64)
        except BlockingIOError:
            pass
        caught, self._caught = self._caught, []
        return caught
