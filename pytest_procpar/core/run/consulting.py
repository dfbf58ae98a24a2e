"""What the core tells a plugin's scheduler, and what the scheduler answers: data only.

The core never calls the scheduler. It returns a `Consult` with one piece of news, and whoever can call the
scheduler tells it, and answers by a `Decided`. Tests go by their places in the collected order.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from pytest_procpar.core.model import WorkerId
from pytest_procpar.core.record import record

__all__ = [
    "AllIdle", "CaughtUp", "Completed", "GivenBack", "News", "SchedulerOrder", "Want", "WorkerGone",
    "WorkerUp",
]  # fmt: skip

#: What a worker may be wanted for.
Want: TypeAlias = Literal["run", "run all", "steal", "shut down"]


@record
class SchedulerOrder:
    """What a scheduler wants of a worker."""

    worker: WorkerId
    what: Want
    tests: tuple[int, ...] = ()


@record
class WorkerUp:
    """A worker is ready, and has collected the suite. A scheduler that waits for no more of them begins."""

    worker: WorkerId


@record
class WorkerGone:
    """A worker that it was told of is dead."""

    worker: WorkerId


@record
class Completed:
    """A test has ended, after so many seconds; or it has crashed before, and is not to run again."""

    worker: WorkerId
    test: int
    seconds: float


@record
class GivenBack:
    """The answer to "steal": all tests that were wanted, or none."""

    worker: WorkerId
    tests: tuple[int, ...]


@record
class AllIdle:
    """All workers wait, though tests are left: it is asked to go on handing out tests."""


@record
class CaughtUp:
    """What it wanted is carried out. If it has nothing left to hand out, it shuts its workers down."""


News: TypeAlias = WorkerUp | WorkerGone | Completed | GivenBack | AllIdle | CaughtUp
