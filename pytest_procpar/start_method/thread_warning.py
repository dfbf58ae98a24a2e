"""What is said where a process is forked that has threads: since Python 3.12 `os.fork` warns of that.

Its warning only counts. Ours is given in its place, and only if there is a thread of which nobody knows that
a forked process does as well without it.
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
    """How many threads this process has: the system's, or Python's where the system does not say."""
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return threading.active_count()


def thread_warning(
    vouched: Iterable[str], known: int = 1, version: tuple[int, ...] = sys.version_info[:2]
) -> str | None:
    """What to warn of before this process is forked; None if Python does not, or there is no need to.

    :param vouched: what the project says is safe.
    :param known: how many threads have been looked at already, and are no reason not to fork.
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
    """Let a warning of `thread_warning` be one of the run's, as Python's own is; whether there is one."""
    if warning is not None:
        tell_warning(config, warning, "pytest-procpar", category=DeprecationWarning, when=when)
    return warning is not None
