"""What a worker is doing, and how it died."""

from __future__ import annotations

from enum import IntEnum

from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.protocol.common import Phases
from pytest_procpar.core.record import record

__all__ = ["Death", "Stage", "WorkerStatus"]


class Stage(IntEnum):
    """What a worker is doing."""

    STARTING = 0
    SETUP = 1
    CALL = 2
    TEARDOWN = 3
    #: Between two tests: the reports of the latest one are made.
    BETWEEN = 4
    #: Between two tests, tearing down what was kept alive for a test that did not come.
    LATE_TEARDOWN = 5
    #: The end of the session.
    ENDING = 6
    #: Between two tests, in a process that was forked for the next one.
    PREPARING = 7

    @property
    def in_test(self) -> bool:
        """Whether a test runs."""
        return self in (Stage.SETUP, Stage.CALL, Stage.TEARDOWN)

    def __str__(self) -> str:
        return _WORDS[self]


_WORDS = {
    Stage.STARTING: "before its first test",
    Stage.SETUP: "setup",
    Stage.CALL: "call",
    Stage.TEARDOWN: "teardown",
    Stage.BETWEEN: "between two tests",
    Stage.LATE_TEARDOWN: "teardown of fixtures that several tests share",
    Stage.ENDING: "end of its session",
    Stage.PREPARING: "before its next test",
}


@record
class WorkerStatus:
    """What a worker last noted about itself.

    ``since`` is when the stage began, in seconds of the monotonic clock. ``phases`` are those of a test that
    has ended as a plain pass, even if its reports are still on their way.
    """

    stage: Stage
    test: TestIndex | None
    since: float
    phases: Phases | None = None
    note: str = ""


@record
class Death:
    """What is known of a worker's end.

    ``peak_memory`` is in bytes. ``out`` and ``err`` are what was captured of the running phase, ``stderr`` is
    the last that came on the real standard error. ``is_starved`` says that the kernel killed a process at
    that time because memory ran out; its counters do not say which process.
    """

    cause: str
    worker_status: WorkerStatus
    stacks: str = ""
    out: str = ""
    err: str = ""
    stderr: str = ""
    peak_memory: int | None = None
    out_of_memory: str = ""
    is_starved: bool = False
