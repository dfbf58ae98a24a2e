"""Keeps what the terminal reporter counts of passed tests without an object for each report.

The reporter keeps every report until the process ends, three for a passed test, each of six objects. Nobody
reads them unless an option such as ``--durations`` or ``-rP`` asks for them. But the garbage collector walks
them again and again, and to free them takes most of the time from the last line to the end of the process. So
the facts are kept, and a report is made when code looks for it. It is equal to the one that was shown.

This is done only while every listener is a part of pytest that keeps no report of a passed test
(`QuietPhases.reports`).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Generic, SupportsIndex, TypeVar

import pytest
from _pytest.terminal import TerminalReporter

from pytest_procpar.compat.pytest_reports.reports import nodeid_of, passed_report

if TYPE_CHECKING:
    from pytest_procpar.core.model import TestIndex
    from pytest_procpar.core.protocol.common import Location, PassedPhases

__all__ = ["CompactPasses", "ReportList", "made_reports"]

#: How many attributes the report of a pass has once it says where the test ran: as it was shown, no more.
_ATTRIBUTES = 15
_SETUP, _CALL, _TEARDOWN = range(3)
_Node = TypeVar("_Node")
#: The methods of a list that neither change nor read its elements.
_BLIND = frozenset({"__class_getitem__", "__getattribute__", "__init__", "__len__", "__new__", "__sizeof__"})


class ReportList(list[pytest.TestReport]):
    """A list of reports, some of which are made when anything but its length is asked for.

    From then on, it is a list as any other.

    Attributes:
        keys: The elements in their order, while some are not made: reports, and keys of those to be made.
    """

    def __init__(self, reports: list[pytest.TestReport], make: Callable[[int], pytest.TestReport]) -> None:
        super().__init__()
        self.keys: list[pytest.TestReport | int] | None = list(reports)
        self._make = make

    def __len__(self) -> int:
        return super().__len__() if self.keys is None else len(self.keys)

    def append(self, report: pytest.TestReport, /) -> None:
        """Append a report."""
        self.extend((report,))

    def extend(self, reports: Iterable[pytest.TestReport], /) -> None:
        """Append reports."""
        if self.keys is None:
            super().extend(reports)
        else:
            self.keys.extend(reports)

    def __radd__(self, other: list[object]) -> list[object]:
        """What a list and this one give together: a list would take the elements without asking for them."""
        return [*other, *self]

    def __reduce_ex__(self, protocol: SupportsIndex, /) -> tuple[object, ...]:
        """Copy or pickle this as the list that it stands for."""
        return list, (list(self),)

    def complete(self) -> None:
        """Make the reports that are missing."""
        keys, self.keys = self.keys, None
        if keys is not None:
            super().extend([self._make(key) if isinstance(key, int) else key for key in keys])


def made_reports(reports: Sequence[object]) -> Iterable[object]:
    """Those of a category that exist as objects: the others have only what pytest puts on a report."""
    if type(reports) is ReportList and reports.keys is not None:
        return [report for report in reports.keys if not isinstance(report, int)]
    return reports


def _completing(method: Callable[..., object]) -> Callable[..., object]:
    def complete_first(self: ReportList, /, *args: object, **kwargs: object) -> object:
        self.complete()
        return method(self, *args, **kwargs)

    return complete_first


for _name, _method in list(vars(list).items()):
    if callable(_method) and _name not in _BLIND and _name not in vars(ReportList):
        setattr(ReportList, _name, _completing(_method))


class CompactPasses(Generic[_Node]):
    """What is known of the tests that only passed, for the reports that nobody has asked for.

    :param log: calls pytest's hook with a report.
    :param tell: adds to a report where a test ran: on which node, and which test it is.
    """

    def __init__(
        self,
        log: Callable[[pytest.TestReport], None],
        tell: Callable[[pytest.TestReport, _Node, TestIndex], pytest.TestReport],
    ) -> None:
        self._log, self._tell = log, tell
        self._nodes: list[_Node] = []
        self._tests: list[TestIndex] = []
        self._nodeids: list[str] = []
        self._locations: list[Location] = []
        self._names: list[tuple[str, ...]] = []
        #: Nine numbers for each test, in seconds: start, stop and duration of setup, call and teardown.
        self._times = array("d")

    def show(
        self,
        reporter: TerminalReporter,
        node: _Node,
        test: TestIndex,
        nodeid: str,
        location: Location,
        passes: PassedPhases,
    ) -> None:
        """Log the call of a test that only passed, and count its setup and its teardown."""
        names, (setup, call, teardown) = passes
        first = 3 * len(self._tests)
        self._nodes.append(node)
        self._tests.append(test)
        self._nodeids.append(nodeid)
        self._locations.append(location)
        self._names.append(names)
        self._times.extend((*setup, *call, *teardown))
        report = self._make(first + _CALL)
        reporter._tests_ran = True
        self._count(reporter, first + _SETUP)
        self._log(report)
        self._replace_last(reporter, report, first + _CALL)
        self._count(reporter, first + _TEARDOWN)

    def _make(self, key: int) -> pytest.TestReport:
        """The report of a phase: three keys for each test, in the order in which they came."""
        at, phase = divmod(key, 3)
        start, stop, duration = self._times[3 * key : 3 * key + 3]
        made = passed_report(
            nodeid_of(self._nodeids[at]), self._locations[at], self._names[at], phase, start, stop, duration
        )
        return self._tell(made, self._nodes[at], self._tests[at])

    def _count(self, reporter: TerminalReporter, key: int) -> None:
        """Count a setup or teardown as the reporter does."""
        counted = reporter.stats.get("")
        if type(counted) is ReportList and counted.keys is not None:
            counted.keys.append(key)
            return
        report = self._make(key)
        reporter._add_stats("", [report])
        self._replace_last(reporter, report, key, "")

    def _replace_last(
        self, reporter: TerminalReporter, report: pytest.TestReport, key: int, category: str = "passed"
    ) -> None:
        """Let the reporter forget a report that it has just counted, until code looks for it."""
        counted = reporter.stats.get(category)
        if type(counted) is list and counted[-1] is report:
            counted = reporter.stats[category] = ReportList(counted, self._make)
            _count_without_looking(reporter)
        if (
            type(counted) is ReportList
            and counted.keys
            and counted.keys[-1] is report
            and len(vars(report)) == _ATTRIBUTES
            and not report.sections
            and not report.user_properties
        ):
            counted.keys[-1] = key


def _count_without_looking(reporter: TerminalReporter) -> None:
    """Keep the reporter's last line from looking at each report that is to be made.

    It counts those whose `count_towards_summary` is not false, which only a plugin's own reports say.
    """
    if "_get_reports_to_display" in vars(reporter):
        return
    find = reporter._get_reports_to_display

    def get_reports_to_display(key: str) -> list[pytest.TestReport]:
        counted = reporter.stats.get(key)
        if (
            type(counted) is ReportList
            and counted.keys is not None
            and all(getattr(report, "count_towards_summary", True) for report in made_reports(counted))
        ):
            return counted
        return find(key)

    reporter._get_reports_to_display = get_reports_to_display  # type: ignore[method-assign]
