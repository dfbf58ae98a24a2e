"""Threads that Python did not start: pools of native libraries.

Each thread is judged by the library that it belongs to (`native_libraries`), whenever it was started. One of
an unknown library is a hazard, unless it was there before the first conftest: then it belongs to what runs
pytest.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from pytest_procpar.start_method.threads.python_threads import unknown_to_threading
from pytest_procpar.system.calls import pause

if TYPE_CHECKING:
    from pytest_procpar.start_method.project.files import ProjectFiles
    from pytest_procpar.start_method.threads.native_pools import Pool

__all__ = ["NativeThreads"]

#: How often to look whether a thread stays, and how long to wait in between, in seconds.
_LOOKS, _LOOK_SECONDS = 20, 0.005


class NativeThreads:
    """The native threads without which a library does not work in a forked process.

    :param vouched: what the project says is safe: patterns of libraries and their users, or the word
        "native-threads" for all.
    :param project: tells which files are the project's, to say which of them loads a library.
    """

    def __init__(self, vouched: Iterable[str] = (), project: ProjectFiles | None = None) -> None:
        self._vouched = tuple(vouched)
        self._project = project
        self._before: frozenset[int] = frozenset()

    def begin(self) -> None:
        """Note which native threads there are."""
        self._before = _native_threads()

    def findings(self) -> Iterator[str]:
        """Yield a reason for each library: the number of its threads, and what has loaded it."""
        if "native-threads" not in self._vouched and _native_threads():
            for pool in self._lasting():
                yield pool.describe(self._project)

    def _lasting(self) -> list[Pool]:
        """The pools that are a hazard, and stay.

        The kernel still lists a thread for a moment after Python has joined it.
        """
        from pytest_procpar.start_method.threads.native_pools import pools

        found: list[Pool] = []
        for look in range(_LOOKS):
            if look:
                pause(_LOOK_SECONDS)
            found = pools(_native_threads(), self._before, len(unknown_to_threading()))
            found = [pool for pool in found if not pool.is_vouched(self._vouched)]
            if all(pool.is_certain for pool in found):
                break
        return found


def _native_threads() -> frozenset[int]:
    """The kernel's ids of the threads that Python did not start (Linux; elsewhere none are seen)."""
    try:
        tasks = os.listdir("/proc/self/task")
    except OSError:
        return frozenset()
    if len(tasks) == 1:
        return frozenset()
    known = {os.getpid(), threading.get_native_id(), *(thread.native_id for thread in threading.enumerate())}
    return frozenset(map(int, tasks)) - known
