"""The warning before a process with threads is forked, in place of the one by `os.fork` since Python 3.12.

Python's warning only counts threads. Ours is given only if there is a thread that is not known to be
dispensable in a forked process.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterable
from itertools import chain

import pytest

from pytest_procpar.compat.pytest_private.warnings import tell_warning
from pytest_procpar.start_method.threads.native_threads import NativeThreads
from pytest_procpar.start_method.threads.python_threads import PythonThreads

__all__ = ["count_threads", "tell_of_threads", "thread_warning"]


def count_threads() -> int:
    """The number of threads of this process: the system's count, or Python's if the system has none."""
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return threading.active_count()


def thread_warning(
    vouched: Iterable[str], known: int = 1, version: tuple[int, ...] = sys.version_info[:2]
) -> str | None:
    """The warning to give before this process is forked; None if Python gives none, or none is needed.

    :param vouched: what the project says is safe.
    :param known: the number of threads that were checked already, and are no reason not to fork.
    """
    count = count_threads()
    if version < (3, 12) or count <= known:
        return None
    vouched = tuple(vouched)
    found = next(chain(PythonThreads(vouched).findings(), NativeThreads(vouched).findings()), None)
    if found is None:
        return None
    return (
        f"This process (pid={os.getpid()}) is multi-threaded ({count} threads), use of fork() may lead to "
        f"deadlocks in the child: {found} (--start-method=spawn forks nothing, procpar_fork_safe vouches for "
        "what is safe)"
    )


def tell_of_threads(config: pytest.Config, warning: str | None, when: str = "runtest") -> bool:
    """Show a warning of `thread_warning` like one of Python's own; return whether there was one."""
    if warning is not None:
        tell_warning(config, warning, "pytest-procpar", category=DeprecationWarning, when=when)
    return warning is not None
