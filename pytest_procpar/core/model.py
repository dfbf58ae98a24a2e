"""The vocabulary of a run: tests, workers, and how tests are dealt out."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import NewType, NoReturn, TypeAlias

from pytest_procpar.core.record import record

__all__ = [
    "Dist", "ReportData", "RunOptions", "StartMethod", "TestIndex", "Took", "WorkerId", "WorkerInput",
    "WorkerOptions", "assert_never", "worker_name",
]  # fmt: skip

#: A test's place in the collected order. This is the test's identity for the whole run: two tests may share
#: a nodeid, but never an index. Under ``--dist each`` every copy of a test has its own index.
TestIndex = NewType("TestIndex", int)

#: The number in ``gw3``. A replacement for a dead worker gets a number of its own.
WorkerId = NewType("WorkerId", int)

#: How many seconds a test took in its worker, and its set-up alone (None: that did not end as it should).
Took: TypeAlias = "tuple[float, float | None]"

#: A report as pytest and plugins serialize it: builtin values by name. Whoever reads one looks at its type.
ReportData: TypeAlias = dict[str, object]

#: ``config.workerinput``: what we tell a worker about itself, and what plugins add to it.
WorkerInput: TypeAlias = dict[str, object]


def worker_name(worker: WorkerId) -> str:
    """The name by which people and plugins know a worker, as under pytest-xdist: ``gw0``, ``gw1``."""
    return f"gw{worker}"


class Dist(str, Enum):
    """How tests are dealt out; where pytest-xdist has a mode, with its name and meaning."""

    NO = "no"
    EACH = "each"
    LOAD = "load"
    WORKSTEAL = "worksteal"
    LOADSCOPE = "loadscope"
    LOADFILE = "loadfile"
    LOADGROUP = "loadgroup"
    #: Ours alone: by the names of groups, so that adding tests changes as little as possible.
    STABLE = "stable"

    @property
    def grouped(self) -> bool:
        """Whether tests with the same key must run in one worker."""
        return self in (Dist.LOADSCOPE, Dist.LOADFILE, Dist.LOADGROUP, Dist.STABLE)


class StartMethod(str, Enum):
    """How workers are started."""

    #: Forked from one process that has collected the suite.
    FORK = "fork"
    #: Forked from one process that has configured nothing; each collects for itself.
    FORK_EARLY = "fork-early"
    #: Fresh interpreters; each collects for itself.
    SPAWN = "spawn"

    @property
    def collects_once(self) -> bool:
        """Whether workers start with the suite already collected."""
        return self is StartMethod.FORK


@record
class RunOptions:
    """What the user asked for, to the extent that the core needs it.

    ``max_chunk`` limits how many tests one batch from the backlog has (None: no limit).
    ``max_restarts`` limits how many dead workers are replaced (None: no limit, apart from the guard against
    workers that die before they run anything). ``hang_timeout`` limits how long a test may run, in seconds
    (0: no limit). ``pinned`` gives each worker its own tests, which it runs in collected order and no other
    worker runs. A test's key is then the number of its worker, and a worker's tests are neighbours.
    """

    workers: int
    dist: Dist = Dist.LOAD
    reorder: bool = True
    max_chunk: int | None = None
    max_restarts: int | None = None
    hang_timeout: float = 0.0
    pinned: bool = False

    @property
    def divided(self) -> bool:
        """Whether it is settled beforehand who runs what, and no worker takes over what another one has."""
        return self.pinned or self.dist in (Dist.EACH, Dist.STABLE)

    def workers_for(self, tests: int, keys: Sequence[str] | None = None, at_first: int | None = None) -> int:
        """How many workers to start for a suite: at most one per test, and at least one.

        Where each worker has its own tests, all are started, even those that have none; under ``stable`` at
        most one per group.

        :param keys: the group of each test, if there are groups.
        :param at_first: how many to start at most for now, if any worker may run any test; None: no limit.
        """
        if self.dist is Dist.STABLE and keys is not None:
            tests = len(set(keys))
        if self.dist is Dist.EACH or self.pinned:
            return self.workers
        most = self.workers if at_first is None or self.divided else at_first
        return max(1, min(self.workers, tests, most))


def assert_never(value: NoReturn) -> NoReturn:
    """Make the type checker prove that a match is complete (like `typing.assert_never` of Python 3.11)."""
    raise AssertionError(f"unhandled: {value!r}")


@record
class WorkerOptions:
    """What the processes that collect and run tests need to know.

    ``isolate`` gives every test a process of its own. ``isolating_marks`` are the marks that give one to
    single tests. ``max_tests_per_worker`` is the number of tests after which a process is renewed (None:
    never). ``lean_tests`` leaves out hook calls that nobody needs. ``fork_safe`` lists what the project
    vouches for. ``cpus`` is how many processors the workers
    share for the thread pools of native libraries (None: these pools are left as they are).
    """

    dist: Dist
    freeze_heap: bool
    isolate: bool
    isolating_marks: tuple[str, ...]
    max_tests_per_worker: int | None
    lean_tests: bool
    fork_safe: tuple[str, ...]
    cpus: int | None
