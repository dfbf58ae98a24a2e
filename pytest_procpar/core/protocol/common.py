"""What both a worker and the process that collects for all of them may tell the controller."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias, TypedDict

from pytest_procpar.core.model import ReportData
from pytest_procpar.core.record import record

__all__ = [
    "Broke", "CollectReported", "Collected", "Halted", "Location", "Logged", "PassedPhases", "Phases",
    "Warned",
]  # fmt: skip

#: What pytest calls an item's location: file (relative to the rootdir), line (0-based), name.
Location: TypeAlias = tuple[str, "int | None", str]


#: (start, stop, duration) of setup, call and teardown, in seconds (start and stop since the epoch).
Phases: TypeAlias = tuple[tuple[float, float, float], ...]


#: The short form of three plain passes: the item's keywords and the phases.
PassedPhases: TypeAlias = tuple[tuple[str, ...], Phases]


@record
class CollectReported:
    """A collection report that the controller needs."""

    data: ReportData


@record
class Collected:
    """The suite is collected.

    ``keys`` are the grouping keys of the ``--dist`` mode, one per test, or None. ``lines`` is what plugins
    want printed after the collection. ``limits`` are the time limits of tests that have their own, by index,
    in seconds; ``apart`` are the tests that a mark gives a process of their own. ``shared`` says which
    fixtures of module and class scope tests need, where the mode looks at that.
    """

    ids: list[str]
    keys: list[str] | None
    deselected: list[str]
    lines: list[str]
    limits: dict[int, float]
    apart: list[int]
    shared: SharedData | None = None


if TYPE_CHECKING:
    from pytest_procpar.core.run.sharing.wide_fixtures import SharedData

    class WarningData(TypedDict):
        """A recorded warning in builtin types: its text and its class, its place and its test."""

        text: str
        module: str
        category: str
        filename: str
        lineno: int
        line: str | None
        when: str
        nodeid: str
        location: tuple[str, int, str] | None


@record
class Warned:
    """A warning was recorded. `pytest_procpar.compat.pytest_private.warnings` makes and reads ``data``."""

    data: WarningData


@record
class Halted:
    """Something in the process ends the run: pytest.exit, Ctrl-C, shouldstop, a wrong argument.

    ``place`` is the file and line (from 1) at which an interrupt came.
    """

    kind: Literal["exit", "keyboard", "shouldfail", "shouldstop", "usage"]
    reason: str
    returncode: int | None = None
    place: tuple[str, int] | None = None


@record
class Logged:
    """A record for the live log. ``when`` is the phase, as pytest's logging plugin names it.

    ``nodeid`` is that of the running test, if there is one. `pytest_procpar.compat.pytest_private.logs` makes
    and reads ``data``.
    """

    nodeid: str | None
    when: str | None
    data: dict[str, object]


@record
class Broke:
    """An internal error: not the suite's fault, or at least not a test's."""

    text: str
