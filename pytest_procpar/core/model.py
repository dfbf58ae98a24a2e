"""The words of a run: tests, workers, and how tests are to be dealt out."""

from __future__ import annotations

from enum import Enum
from typing import NewType, NoReturn

from pytest_procpar.core.record import record

__all__ = [
    "Dist", "RunOptions", "StartMethod", "TestIndex", "WorkerId", "WorkerOptions", "assert_never",
    "worker_name",
]  # fmt: skip

#: A test's place in the collected order. It is a test's identity for the whole run: two tests may
#: share a nodeid, they never share an index. Under ``--dist each`` every copy has its own.
TestIndex = NewType("TestIndex", int)

#: The number in ``gw3``. A replacement for a dead worker gets a number of its own.
WorkerId = NewType("WorkerId", int)


def worker_name(worker: WorkerId) -> str:
    """The name people and plugins know a worker by, as under pytest-xdist: ``gw0``, ``gw1``."""
    return f"gw{worker}"


class Dist(str, Enum):
    """How tests are dealt out, with pytest-xdist's names and meaning."""

    NO = "no"
    EACH = "each"
    LOAD = "load"
    WORKSTEAL = "worksteal"
    LOADSCOPE = "loadscope"
    LOADFILE = "loadfile"
    LOADGROUP = "loadgroup"

    @property
    def grouped(self) -> bool:
        """Whether tests with the same key must run in one worker."""
        return self in (Dist.LOADSCOPE, Dist.LOADFILE, Dist.LOADGROUP)


class StartMethod(str, Enum):
    """How workers come to be."""

    #: Forked from one process that has collected the suite.
    FORK = "fork"
    #: Forked from one process that has not configured anything; each collects for itself.
    FORK_EARLY = "fork-early"
    #: Fresh interpreters; each collects for itself.
    SPAWN = "spawn"

    @property
    def collects_once(self) -> bool:
        """Whether workers come with the suite collected."""
        return self is StartMethod.FORK


@record
class RunOptions:
    """What the user asked for, as far as the core has to know.

    ``max_chunk`` bounds how many tests one hand-out from the shared pool takes (None: no bound).
    ``max_restarts`` bounds how many dead workers are replaced (None: no bound but the guard
    against workers that die before they run anything). ``hang_timeout`` bounds how long a test may run, in
    seconds (0: no bound). ``pinned`` gives every worker tests of its own, which it runs in collected order
    and nobody else does: a test's key is then its worker's number, and a worker's tests are neighbours.
    """

    workers: int
    dist: Dist = Dist.LOAD
    reorder: bool = True
    max_chunk: int | None = None
    max_restarts: int | None = None
    hang_timeout: float = 0.0
    pinned: bool = False

    def workers_for(self, tests: int) -> int:
        """How many workers are started for a suite: no more than there are tests, but one at least.

        Unless each worker has tests of its own: it may then have none.
        """
        if self.dist is Dist.EACH or self.pinned:
            return self.workers
        return min(self.workers, max(1, tests))


def assert_never(value: NoReturn) -> NoReturn:
    """Make the type checker prove that a match is complete (`typing.assert_never` of Python 3.11)."""
    raise AssertionError(f"unhandled: {value!r}")


@record
class WorkerOptions:
    """What the processes that collect and run tests have to know.

    ``isolate`` gives every test a process of its own, ``isolating_marks`` are the marks by which single ones
    get one, and ``max_tests_per_worker`` is after how many tests a process is renewed (None: never).
    ``fork_safe`` is what the project says is safe.
    """

    dist: Dist
    freeze_heap: bool
    isolate: bool
    isolating_marks: tuple[str, ...]
    max_tests_per_worker: int | None
    fork_safe: tuple[str, ...]
