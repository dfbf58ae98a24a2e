"""A thread that ends the controller when a signal asks for it, whatever the main thread is doing.

Python runs a signal's handler in the main thread, between two bytecodes, and resumes an interrupted system
call after it (PEP 475). That call may be in a plugin's hook that waits forever, or a write to a pipe that
nobody reads. But the interpreter writes the signal's number to its wake-up descriptor at once, and this
thread reads it.
"""

from __future__ import annotations

import _thread
import os
import signal
from collections.abc import Callable
from math import ceil
from types import BuiltinFunctionType

from pytest_procpar.core.run.patience import Patience, PatienceStep
from pytest_procpar.system.calls import end_process, monotonic, pause
from pytest_procpar.system.genuine import READ, close, make_poll, read, write

__all__ = ["SignalWatch"]

#: Messages from the main thread on the same descriptor; no signals have these numbers.
_LEFT, _HEARD = 253, 254

#: How long the thread may take to end, in seconds.
_ANSWER_SECONDS = 1.0
#: How long the kernel may take to end this process by a signal, in seconds.
_DIE_SECONDS = 1.0


class SignalWatch:
    """Reads signals, passes them on, and loses patience (see `Patience`).

    :param wake: the descriptor that gets a byte for each signal.
    :param asks: whether a signal asks for the end.
    :param nudge: makes the main thread's signal handler raise what ends the run.
    :param kill: kills all processes that this one has started; called in the thread.
    """

    def __init__(
        self,
        wake: int,
        asks: Callable[[int], bool],
        nudge: Callable[[int], None],
        kill: Callable[[], object],
    ) -> None:
        self._wake = wake
        self._asks = asks
        self._nudge = nudge
        self._kill = kill
        self._patience = Patience()
        self._signum = 0
        #: How many of the signals to come were sent by this thread.
        self._own = 0
        self._reader, self.fd = os.pipe()
        os.set_blocking(self.fd, False)
        self._answered = _thread.allocate_lock()
        self._answered.acquire()

    def start(self) -> bool:
        """Start to watch; return False if there can be no thread, or only a greenlet (gevent)."""
        if type(_thread.start_new_thread) is not BuiltinFunctionType:
            return False
        try:
            _thread.start_new_thread(self._watch, ())
        except RuntimeError:  # the system grants no more threads
            return False
        return True

    def heard(self) -> None:
        """Note that the main thread has noticed a signal."""
        self._tell(_HEARD)

    def left(self) -> None:
        """All tests and processes have ended. The thread ends too, unless a signal has asked for the end."""
        self._tell(_LEFT)
        self._answered.acquire(timeout=_ANSWER_SECONDS)

    def close(self) -> None:
        """Close the descriptors: the thread does so when it ends, or the caller if `start` returned False."""
        close(self._reader)
        close(self.fd)

    def _tell(self, word: int) -> None:
        try:
            write(self.fd, bytes([word]))
        except BlockingIOError:  # full of signals, so it is readable anyway
            pass

    # --- the thread ---

    def _watch(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        poll = make_poll()
        poll.register(self._reader, READ)
        while True:
            due = self._patience.deadline()
            wait = None if due is None else max(0, ceil(1000 * (due - monotonic())))
            if poll.poll(wait) and not all(map(self._hear, read(self._reader, 512))):
                self.close()
                self._answered.release()
                return
            match self._patience.due(monotonic()):
                case PatienceStep.NUDGE:
                    self._own += 1
                    self._nudge(self._signum)
                case PatienceStep.END:
                    self._end()
                case None:
                    pass

    def _hear(self, word: int) -> bool:
        """Handle a signal, or a message from the main thread; return whether to go on watching."""
        now = monotonic()
        if word == _HEARD:
            self._patience.heard(now)
        elif word == _LEFT:
            self._patience.left(now)
            if self._patience.deadline() is None:
                return False
            self._answered.release()
        else:
            try:
                write(self._wake, b"!")
            except OSError:  # full, which wakes as well, or closed
                pass
            if word == self._signum and self._own:
                self._own -= 1
            elif self._asks(word):
                self._signum = word
                self._patience.asked(now, interrupt=word == signal.SIGINT)
        return True

    def _end(self) -> None:
        """Kill all processes, this one last, by the same signal if its handler is the default again."""
        try:
            self._kill()
        finally:
            os.kill(os.getpid(), self._signum)
            pause(_DIE_SECONDS)
            end_process(128 + self._signum)
