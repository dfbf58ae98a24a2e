"""Undoes pytest's counting of a test's result that does not count, before another result is reported.

Written against the private parts of pytest 8.2 to 9.2. What pytest learns by itself from the later result
(``--lf``, ``--sw``) is left alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from _pytest.junitxml import LogXML, _NodeReporter, xml_key
from _pytest.terminal import TerminalReporter

__all__ = ["take_back", "take_back_stop"]

#: What the terminal reporter counts besides the last results of tests.
_NO_RESULTS = ("warnings", "deselected", "rerun")
_PHASES = ("setup", "call", "teardown")


def take_back(session: pytest.Session, failed: Sequence[pytest.TestReport], category: str) -> None:
    """Undo what pytest counted for a test.

    :param failed: the test's reports that are failures, in the order in which they came.
    :param category: the word under which the terminal reporter is to count the first of them.
    """
    session.testsfailed -= len(failed)
    reports = _take_from_terminal(session.config, failed, category) or list(failed)
    xml = session.config.stash.get(xml_key, None)
    if xml is not None:
        reports.sort(key=lambda report: _PHASES.index(report.when) if report.when in _PHASES else 1)
        _take_from_junit(xml, reports)


def take_back_stop(session: pytest.Session) -> None:
    """Keep earlier failures from stopping the session. `Session.shouldfail` cannot be unset."""
    session._shouldfail = False


def _take_from_terminal(
    config: pytest.Config, failed: Sequence[pytest.TestReport], category: str
) -> list[pytest.TestReport]:
    """Remove all reports of the test from the terminal reporter's counts; return them."""
    reporter = config.pluginmanager.getplugin("terminalreporter")
    if not isinstance(reporter, TerminalReporter):
        return []
    first, taken = failed[0], []
    for word in [word for word in reporter.stats if word not in _NO_RESULTS]:
        of_test = [report for report in reporter.stats[word] if _is_of_the_same(report, first)]
        if of_test:
            taken += of_test
            kept = [report for report in reporter.stats[word] if not _is_of_the_same(report, first)]
            reporter.stats[word] = kept
            if not kept:
                del reporter.stats[word]
    reporter._add_stats(category, [first])
    return taken


def _is_of_the_same(report: pytest.TestReport, other: pytest.TestReport) -> bool:
    return (
        getattr(report, "item_index", None) == other.item_index
        and report.nodeid == other.nodeid
        and getattr(report, "worker_id", None) == getattr(other, "worker_id", None)
    )


def _take_from_junit(xml: LogXML, reports: Sequence[pytest.TestReport]) -> None:
    """Remove the test's cases, and what they added to the counts: as much as the reports add to a new xml."""
    scratch = LogXML("", xml.prefix, xml.suite_name, xml.logging, xml.report_duration, xml.family, True)
    for report in reports:
        scratch.pytest_runtest_logreport(report)
    for word, count in scratch.stats.items():
        xml.stats[word] -= count
    xml.cnt_double_fail_tests -= scratch.cnt_double_fail_tests
    for key in scratch.node_reporters:
        xml.node_reporters.pop(key, None)
    open_reports = {id(report) for report in reports}
    xml.open_reports[:] = [report for report in xml.open_reports if id(report) not in open_reports]
    for case in scratch.node_reporters_ordered:
        names = _names(case)
        same = [at for at, other in enumerate(xml.node_reporters_ordered) if _names(other) == names]
        if same:
            del xml.node_reporters_ordered[same[-1]]


def _names(case: _NodeReporter) -> tuple[str | None, str | None]:
    element = case.to_xml()
    return element.get("classname"), element.get("name")
