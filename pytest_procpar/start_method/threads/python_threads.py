"""Threads that Python started: a forked process has none of them."""

from __future__ import annotations

import fnmatch
import sys
import threading
from collections.abc import Iterable, Iterator
from types import FrameType

__all__ = ["PythonThreads", "unknown_to_threading"]

#: Threads of debuggers and of what runs pytest, which take no part in a test.
_OUTSIDE_THREADS = ("pydevd.*", "IPython*", "MainThread")

#: Threads that a forked process can do without: tqdm's only refreshes bars that stand still, and Sentry's are
#: started anew when they are needed (tried: tqdm 4.70, sentry-sdk 2.75).
_SPARED_THREADS = ("tqdm_monitor", "sentry-sdk.BackgroundWorker", "sentry.monitor")


class PythonThreads:
    """The threads that would be missing in a forked process, whenever they were started.

    :param vouched: patterns of thread names that are safe.
    """

    def __init__(self, vouched: Iterable[str] = ()) -> None:
        self._known = (*_OUTSIDE_THREADS, *_SPARED_THREADS, *vouched)
        self._before: frozenset[int] = frozenset()

    def begin(self) -> None:
        """Note the threads without a name: they may belong to what runs pytest."""
        self._before = frozenset(unknown_to_threading())

    def findings(self) -> Iterator[str]:
        """Yield a reason for each thread: its name, if it has one, and what it runs."""
        for thread in threading.enumerate():
            if thread is threading.current_thread() or thread is threading.main_thread():
                continue
            if any(fnmatch.fnmatch(thread.name, pattern) for pattern in self._known):
                continue
            target = getattr(thread, "_target", None) or type(thread).run
            code = getattr(getattr(target, "__func__", target), "__code__", None)
            where = f", which runs {code.co_filename}:{code.co_firstlineno}" if code is not None else ""
            yield f"thread {thread.name!r} is running{where}"
        for ident, frame in unknown_to_threading().items():
            if ident not in self._before:
                while frame.f_back is not None:
                    frame = frame.f_back
                where = f"{frame.f_code.co_filename}:{frame.f_code.co_firstlineno}"
                yield f"a thread without a name is running, which runs {where}"


def unknown_to_threading() -> dict[int, FrameType]:
    """The threads that run Python and were not started by `threading`: the current frame of each."""
    known = {thread.ident for thread in threading.enumerate()}
    return {ident: frame for ident, frame in sys._current_frames().items() if ident not in known}
