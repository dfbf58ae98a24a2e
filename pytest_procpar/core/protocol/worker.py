"""What a worker tells the controller. What it is told are `pytest_procpar.core.protocol.records`."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pytest_procpar.core.model import ReportData, TestIndex
from pytest_procpar.core.protocol.common import (
    Broke,
    Collected,
    CollectReported,
    Halted,
    Location,
    Logged,
    PassedPhases,
    Warned,
)
from pytest_procpar.core.record import record

__all__ = ["Began", "Done", "Finished", "FromWorker", "JunitRecord", "Ready", "Reported", "Starved"]


@record
class Ready:
    """The worker has taken its identity."""

    pid: int


@record
class Began:
    """The worker is about to run a test."""

    test: TestIndex
    location: Location


@record
class Reported:
    """A report, as `pytest_report_to_serializable` gives it."""

    test: TestIndex
    data: ReportData


@record
class Finished:
    """A test has run to its end. ``passes`` stands for the three reports of a plain pass.

    ``began`` and ``ended`` are in seconds of the machine's monotonic clock; the times that pytest notes come
    from a clock that tests can set.
    """

    test: TestIndex
    passes: PassedPhases | None
    began: float = 0.0
    ended: float = 0.0


@record
class Done:
    """The worker has finished its session."""

    output: dict[str, object]


@record
class Starved:
    """The worker gets no process for its next test, for this reason, and ends."""

    reason: str


@record
class JunitRecord:
    """Something for the JUnit XML file that no report carries.

    ``nodeid`` names the test whose test case it belongs to; None: it is a property of the whole suite.
    ``fixture`` is the fixture of wider scope that recorded it: each process sets up its own, some of them
    several times. ``nth`` is how often this instance has recorded the same thing.
    """

    kind: Literal["attribute", "property"]
    nodeid: str | None
    name: str
    value: str
    fixture: str | None = None
    nth: int = 0


#: A worker that has collected the suite itself also says what the fork server would say otherwise.
FromWorker: TypeAlias = (
    Ready
    | Began
    | Reported
    | Finished
    | Done
    | Starved
    | JunitRecord
    | Logged
    | Warned
    | Halted
    | Broke
    | Collected
    | CollectReported
)
