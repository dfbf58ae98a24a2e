"""What the core tells a plugin's scheduler, and what the scheduler answers: data only.

The core never calls the scheduler. It returns a `Consult` with one piece of news. The caller, who can call
the scheduler, passes the news on and answers with a `Decided`. Tests are named by their places in the
collected order.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from pytest_procpar.core.model import WorkerId
from pytest_procpar.core.record import record

__all__ = [
    "AllIdle", "CaughtUp", "Completed", "GivenBack", "News", "SchedulerOrder", "Want", "WorkerGone",
    "WorkerUp",
]  # fmt: skip

#: What a scheduler may want from a worker.
Want: TypeAlias = Literal["run", "run all", "steal", "shut down"]


@record
class SchedulerOrder:
    """What a scheduler wants from a worker."""

    worker: WorkerId
    what: Want
    tests: tuple[int, ...] = ()


@record
class WorkerUp:
    """A worker is ready and has collected the suite. The scheduler begins after the last one it awaits."""

    worker: WorkerId


@record
class WorkerGone:
    """A worker that the scheduler knows is dead."""

    worker: WorkerId


@record
class Completed:
    """A test has ended after ``seconds``, or crashed earlier and is not to run again."""

    worker: WorkerId
    test: int
    seconds: float


@record
class GivenBack:
    """The answer to "steal": all the tests that were wanted, or none."""

    worker: WorkerId
    tests: tuple[int, ...]


@record
class AllIdle:
    """All workers wait although tests are left: the scheduler is asked to go on handing out tests."""


@record
class CaughtUp:
    """All orders are carried out. A scheduler with nothing left to hand out now shuts its workers down."""


News: TypeAlias = WorkerUp | WorkerGone | Completed | GivenBack | AllIdle | CaughtUp
