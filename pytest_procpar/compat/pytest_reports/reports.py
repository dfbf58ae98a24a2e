"""Carries reports from a worker to the controller, so that they look there as they did in the worker."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, cast

import pytest
from _pytest._code.code import ReprFileLocation, TerminalRepr
from _pytest._io import TerminalWriter
from _pytest.junitxml import mangle_test_address, xml_key

from pytest_procpar.compat.pytest_reports.raised import raised_of
from pytest_procpar.compat.pytest_reports.shown import from_shown, to_shown
from pytest_procpar.core.model import ReportData

try:
    from _pytest.nodeid import NodeId
except ImportError:  # before pytest 9.2 a nodeid is a string everywhere
    NodeId = None  # type: ignore[assignment, misc]

try:
    from _pytest.subtests import failed_subtests_key
except ImportError:  # before pytest 9
    failed_subtests_key = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from pytest_procpar.core.inquiry.finding_record import FindingRecord

__all__ = [
    "add_finding_properties", "add_junit_properties", "collect_report_from_data", "core_handles_reports",
    "crash_location", "nodeid_from_here", "nodeid_of", "passed_report", "passed_reports", "report_from_data",
    "report_to_data", "settle_subtests",
]  # fmt: skip


_PHASES: tuple[Literal["setup", "call", "teardown"], ...] = ("setup", "call", "teardown")


def core_handles_reports(config: pytest.Config) -> bool:
    """Whether only pytest itself turns reports into data, so that a short form says the same."""
    return all(
        getattr(impl.plugin, "__name__", "").startswith("_pytest.")
        for impl in config.hook.pytest_report_to_serializable.get_hookimpls()
    )


def nodeid_of(text: str) -> NodeId:
    """The form of a nodeid that a report's constructor takes fastest, for all reports of one test."""
    return cast("NodeId", text) if NodeId is None else NodeId.parse(text)


def crash_location(path: str, message: str) -> ReprFileLocation:
    """The location of a failure of a whole file, with a message of one line."""
    return ReprFileLocation(path, 1, message)


def nodeid_from_here(config: pytest.Config, nodeid: str) -> str:
    """A nodeid as it has to be given on the command line in the user's current directory."""
    return str(config.cwd_relative_nodeid(nodeid_of(nodeid)))


def passed_reports(
    nodeid: str,
    location: tuple[str, int | None, str],
    names: tuple[str, ...],
    phases: Iterable[tuple[float, float, float]],
) -> list[pytest.TestReport]:
    """The reports of a test that passed in every phase and left nothing behind."""
    identity = nodeid_of(nodeid)
    return [
        passed_report(identity, location, names, phase, start, stop, duration)
        for phase, (start, stop, duration) in enumerate(phases)
    ]


def passed_report(
    nodeid: NodeId,
    location: tuple[str, int | None, str],
    names: tuple[str, ...],
    phase: int,
    start: float,
    stop: float,
    duration: float,
) -> pytest.TestReport:
    """The report of a phase that passed and left nothing behind.

    :param phase: 0, 1 and 2 are setup, call and teardown.
    """
    when = _PHASES[phase]
    return pytest.TestReport(
        nodeid, location, dict.fromkeys(names, 1), "passed", None, when, (), duration, start, stop
    )


class _CollectedNode:
    """The part of a collected node that ``--lf`` reads from a collection report."""

    def __init__(self, nodeid: str) -> None:
        self.nodeid = nodeid
        self.id = nodeid_of(nodeid)


def _collected_nodes(nodeids: Iterable[str]) -> list[_CollectedNode]:
    """Stand-ins for the nodes in a collection report's ``result``, which does not travel."""
    return [_CollectedNode(nodeid) for nodeid in nodeids]


class _Text(TerminalRepr):
    """A failure's text in place of an object of pytest's or of a plugin's.

    A plain string arrives as a plain string, since pytest repeats it in the short summary.
    """

    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return self._text

    def toterminal(self, tw: TerminalWriter) -> None:
        tw.line(self._text)


def report_to_data(config: pytest.Config, report: pytest.TestReport | pytest.CollectReport) -> ReportData:
    """A report in builtin types, made by the plugin that knows its kind."""
    data: ReportData = config.hook.pytest_report_to_serializable(config=config, report=report)
    if data.get("user_properties"):
        data["user_properties"] = to_shown(data["user_properties"])
    if hasattr(report.longrepr, "toterminal") and isinstance(data.get("longrepr"), str):
        data["procpar_text"] = True
    if report.failed and (raised := raised_of(config, report)) is not None:
        data["procpar_raised"] = list(raised)
    return data


def report_from_data(config: pytest.Config, data: ReportData) -> pytest.TestReport:
    """Make the report of a test that `report_to_data` was given."""
    report: pytest.TestReport = _from_data(config, data)
    return report


def collect_report_from_data(config: pytest.Config, data: ReportData) -> pytest.CollectReport:
    """Make the report of a collector that `report_to_data` was given; ``procpar_children`` are nodeids."""
    children = data.pop("procpar_children")
    report: pytest.CollectReport = _from_data(config, data)
    vars(report)["result"] = _collected_nodes(cast("list[str]", children))
    return report


def _from_data(config: pytest.Config, data: ReportData) -> Any:
    """Make a report, of a class that the plugin which made the data knows."""
    is_text = data.pop("procpar_text", False)
    data.pop("procpar_raised", None)
    data.pop("procpar_held", None)
    subtest = data.get("_subtest.context")
    if data.get("user_properties"):
        data["user_properties"] = from_shown(data["user_properties"])
    report = config.hook.pytest_report_from_serializable(config=config, data=data)
    if is_text:
        report.longrepr = _Text(report.longrepr)
    if isinstance(subtest, dict) and hasattr(report, "context"):
        # pytest takes the repr of the arguments when a context is made, and this one was made twice.
        object.__setattr__(report.context, "kwargs", subtest["kwargs"])
    return report


def add_junit_properties(config: pytest.Config, report: pytest.TestReport) -> None:
    """Write a report's ``user_properties`` into the junit xml, although no teardown report will follow."""
    xml = config.stash.get(xml_key, None)
    if xml is not None:
        reporter = xml.node_reporter(report)
        for name, value in report.user_properties:
            reporter.add_property(str(name), str(value))


def add_finding_properties(config: pytest.Config, findings: Iterable[FindingRecord]) -> None:
    """Add what was found out about tests to the junit xml, although their reports have been handled."""
    xml = config.stash.get(xml_key, None)
    if xml is None:
        return
    cases = {}
    for reporter in xml.node_reporters_ordered:
        element = reporter.to_xml()
        reporter.__dict__["to_xml"] = lambda made=element: made  # `to_xml` makes a new one each time
        cases[element.get("classname"), element.get("name")] = element
    for finding in findings:
        names = mangle_test_address(finding["test"]["nodeid"])
        prefix = [xml.prefix] if xml.prefix else []
        case = cases.get((".".join([*prefix, *names[:-1]]), names[-1]))
        if case is not None and finding["flagged"]:
            _add_properties(case, finding)


def _add_properties(case: ElementTree.Element, finding: FindingRecord) -> None:
    properties = case.find("properties")
    if properties is None:
        properties = ElementTree.Element("properties")
        case.insert(0, properties)
    facts = [("procpar_finding", finding["kind"])]
    facts += [("procpar_depends_on", cause["nodeid"]) for cause in finding["causes"]]
    facts += [("procpar_command", tried["command"]) for tried in finding["commands"][:1]]
    for name, value in facts:
        properties.append(ElementTree.Element("property", name=name, value=value))


def settle_subtests(config: pytest.Config, report: pytest.TestReport) -> None:
    """Make a test that contains failed subtests fail, as pytest does when it shows the report.

    Only the worker knows what pytest counts them by.
    """
    if failed_subtests_key is None or report.when != "call" or not report.passed:  # type: ignore[redundant-expr]
        return
    if config.stash.get(failed_subtests_key, None):
        config.hook.pytest_report_teststatus(report=report, config=config)
