"""Shows failures earlier than pytest's summary does, which then leaves out what is on the terminal already.

Written against the terminal reporter of pytest 8.2 to 9.2. One with a summary of its own is left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeAlias

import pytest
from _pytest.terminal import TerminalReporter

from pytest_procpar.compat.foreign_options import traceback_style

__all__ = ["EarlySummary", "early_summary"]

#: The sections that pytest's reporter writes before plugins write theirs, in this order.
_SECTIONS = ("errors", "failures", "xfailures", "warnings", "passes", "xpasses")
#: The categories of reports that are shown there.
_CATEGORIES = ("error", "failed", "xfailed", "passed", "xpassed")
_FAILED = ("error", "failed")

_Summary: TypeAlias = Generator[None, object, object]


class EarlySummary:
    """The part of the summary that is on the terminal already.

    :param reporter: pytest's terminal reporter.
    :param implementation: pluggy's record of the reporter's `pytest_terminal_summary`.
    """

    def __init__(self, reporter: TerminalReporter, implementation: Any) -> None:
        self._reporter: Any = reporter  # most of its methods have no types
        #: The reports that were shown, by their id.
        self._shown: dict[int, object] = {}
        #: The nodeids of the failures among them that were shown at once.
        self._failed: set[str] = set()
        self._summarize: Callable[..., _Summary] = implementation.function
        implementation.function = self._leave_out

    def show(self) -> None:
        """Write now what pytest writes first: failures, warnings, and what ``-r`` asks for."""
        reporter = self._reporter
        reporter._tw.line("")
        if not reporter.no_summary:
            with self._without_shown():
                for section in _SECTIONS:
                    getattr(reporter, f"summary_{section}")()
        for category in _CATEGORIES:
            for report in reporter.stats.get(category, ()):
                self._shown[id(report)] = report

    def _leave_out(self, *args: object) -> _Summary:
        """Replace the reporter's part of the summary, which wraps those of plugins."""
        summary = self._summarize(*args)
        with self._without_shown():
            next(summary)
        try:
            result = yield
        except BaseException as error:
            end = partial(summary.throw, error)
        else:
            end = partial(summary.send, result)
        try:
            end()
        except StopIteration as stop:
            return stop.value
        return None

    def show_failure(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        """Write a report that has just come, as the summary would, if the reporter counts it as a failure."""
        reporter = self._reporter
        does_so_itself = type(reporter).summary_failures is not TerminalReporter.summary_failures
        if does_so_itself or traceback_style(reporter.config) == "no" or hasattr(report, "_pdbshown"):
            return
        category = next((one for one in _FAILED if reporter.stats.get(one, [])[-1:] == [report]), None)
        if category is not None:
            self._shown[id(report)] = report
            self._failed.add(str(report.nodeid))
            self._write(report, _headline(category, report, reporter._getfailureheadline(report)))
        elif report.when == "teardown" and str(report.nodeid) in self._failed:
            self._write_teardown(report)

    def _write(self, report: pytest.TestReport | pytest.CollectReport, headline: str) -> None:
        reporter = self._reporter
        self._end_line()
        if traceback_style(reporter.config) == "line":
            reporter.write_line(reporter._getcrashline(report))
        else:
            reporter.write_sep("_", headline, red=True, bold=True)
            reporter._outrep_summary(report)
            reporter.flush()

    def _write_teardown(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        """Write what was captured during the teardown of a test whose failure was shown."""
        reporter = self._reporter
        if traceback_style(reporter.config) != "line" and any(
            "teardown" in name for name, _ in report.sections
        ):
            self._end_line()
            reporter.write_sep("_", reporter._getfailureheadline(report), red=True, bold=True)
            reporter.print_teardown_sections(report)
            reporter.flush()

    def _end_line(self) -> None:
        """End a line of letters."""
        self._reporter.ensure_newline()
        if self._reporter._tw.width_of_current_line:
            self._reporter._tw.line()

    @contextmanager
    def _without_shown(self) -> Iterator[None]:
        """Hide the reports that were shown from the reporter."""
        stats, known = self._reporter.stats, {}
        for category in _CATEGORIES:
            reports = stats.get(category, [])
            new = [report for report in reports if id(report) not in self._shown]
            if len(new) < len(reports):
                known[category] = reports, len(new)
                stats[category] = new
        try:
            yield
        finally:
            for category, (reports, count) in known.items():
                reports += stats[category][count:]  # a plugin may have added some
                stats[category] = reports
            # The reporter notes how many warnings it showed last, and would show the earlier ones again.
            if self._reporter._already_displayed_warnings is not None:
                self._reporter._already_displayed_warnings = len(stats.get("warnings", ()))


def _headline(category: str, report: pytest.TestReport | pytest.CollectReport, name: str) -> str:
    if category == "failed":
        return name
    return f"ERROR collecting {name}" if report.when == "collect" else f"ERROR at {report.when} of {name}"


#: This run's `EarlySummary`, or None if it can have none.
_KEY = pytest.StashKey["EarlySummary | None"]()


def early_summary(config: pytest.Config) -> EarlySummary | None:
    """Return this run's `EarlySummary`; None if pytest's own reporter does not write the summary."""
    if _KEY not in config.stash:
        config.stash[_KEY] = _make(config)
    return config.stash[_KEY]


def _make(config: pytest.Config) -> EarlySummary | None:
    reporter = config.pluginmanager.getplugin("terminalreporter")
    if not isinstance(reporter, TerminalReporter):
        return None
    if type(reporter).pytest_terminal_summary is not TerminalReporter.pytest_terminal_summary:
        return None
    for implementation in config.hook.pytest_terminal_summary.get_hookimpls():
        if implementation.plugin is reporter:
            return EarlySummary(reporter, implementation)
    return None


class ShowAtOnce:
    """The plugin of ``--failure-output=immediate``."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        """Show a failure when the reporter has counted it."""
        self._show(report)

    @pytest.hookimpl(trylast=True)
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Show a collection error when the reporter has counted it."""
        self._show(report)

    def _show(self, report: pytest.TestReport | pytest.CollectReport | pytest.CollectReport) -> None:
        if report.failed or report.when == "teardown":
            early = early_summary(self._config)
            if early is not None:
                early.show_failure(report)
