"""Threads that Python has not started: pools of native libraries.

Each is judged by the library that it belongs to (`native_libraries`), whenever it was started. What nobody
knows is a hazard, unless it was there before the first conftest: then it belongs to what runs pytest.
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

#: How often it is looked whether a thread stays, and at what distance, in seconds.
_LOOKS, _LOOK_SECONDS = 20, 0.005


class NativeThreads:
    """The native threads without which a library does not work in a forked process.

    :param vouched: what the project says is safe: patterns of libraries and their users, or the word
        "native-threads" for all.
    :param project: which files are the project's, to tell which of them has brought a library in.
    """

    def __init__(self, vouched: Iterable[str] = (), project: ProjectFiles | None = None) -> None:
        self._vouched = tuple(vouched)
        self._project = project
        self._before: frozenset[int] = frozenset()

    def begin(self) -> None:
        """Note which there are."""
        self._before = _native_threads()

    def findings(self) -> Iterator[str]:
        """A reason for each library, with the number of its threads and who has brought it in."""
        if "native-threads" not in self._vouched and _native_threads():
            for pool in self._lasting():
                yield pool.describe(self._project)

    def _lasting(self) -> list[Pool]:
        """The pools that are a hazard, and stay.

        A thread that Python has joined is known to the kernel for a moment more.
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
    """The kernel's numbers of the threads that Python has not started (Linux; elsewhere none are seen)."""
    try:
        tasks = os.listdir("/proc/self/task")
    except OSError:
        return frozenset()
    if len(tasks) == 1:
        return frozenset()
    known = {os.getpid(), threading.get_native_id(), *(thread.native_id for thread in threading.enumerate())}
    return frozenset(map(int, tasks)) - known
