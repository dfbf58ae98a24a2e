"""Turns what workers report into calls of pytest's reporting hooks in the controller.

Knows nothing of processes or scheduling: it gets nodes, tests and data, and calls hooks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_procpar.compat.foreign_options import maxfail
from pytest_procpar.compat.pytest_private.logs import LiveLog
from pytest_procpar.compat.pytest_private.warnings import warning_from_data
from pytest_procpar.compat.pytest_reports.compact_passes import CompactPasses
from pytest_procpar.compat.pytest_reports.junit import JunitNotes
from pytest_procpar.compat.pytest_reports.quiet_hooks import QuietPhases
from pytest_procpar.compat.pytest_reports.reports import (
    add_junit_properties,
    collect_report_from_data,
    passed_reports,
    report_from_data,
)
from pytest_procpar.compat.xdist.objects import Node
from pytest_procpar.compat.xdist.scheduling import OwnScheduling
from pytest_procpar.core.model import ReportData, TestIndex
from pytest_procpar.core.protocol.common import Location, Logged, PassedPhases
from pytest_procpar.core.protocol.worker import JunitRecord
from pytest_procpar.core.protocol.worker_status import Death
from pytest_procpar.report.crash_reports import not_run, reproduce, verdict, worker_died
from pytest_procpar.report.crash_summary import CrashSummary

if TYPE_CHECKING:
    from pytest_procpar.compat.pytest_private.output import Writer
    from pytest_procpar.compat.xdist.plugin_scheduler import ForeignScheduling
    from pytest_procpar.core.protocol.common import WarningData

__all__ = ["Results"]

#: The category in which the last line counts a failure that does not count because the test ran again, as
#: pytest-rerunfailures names it.
_RERUN = "rerun"


class _InternalErrorText:
    """Another process's formatted internal error, in place of pytest's representation object."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return self._text


class Results:
    """Calls the controller's reporting hooks.

    :param compact: whether reports that nobody looks at are kept as the facts that they consist of.
    """

    def __init__(self, config: pytest.Config, scheduling: OwnScheduling, *, compact: bool = True) -> None:
        self._config = config
        #: The object that lets plugins ask for a crashed test to run again.
        self.scheduling: OwnScheduling | ForeignScheduling = scheduling
        self._ids: list[str] = []
        self._locations: dict[TestIndex, Location] = {}
        #: The sections of the latest report of each running test.
        self._sections: dict[TestIndex, list[tuple[str, str]]] = {}
        #: The failure reports of each test.
        self._failed: dict[TestIndex, list[pytest.TestReport]] = {}
        #: The running tests of which a report that counts has been shown.
        self._told: set[TestIndex] = set()
        self._crash_summary = CrashSummary()
        self._quiet = QuietPhases(config)
        self._compact = CompactPasses[Node](self._log, self._told_where) if compact else None
        self._junit = JunitNotes(config)
        self._live_log = LiveLog(config)
        #: Whether to look at each report as soon as it comes (``-x``, ``--maxfail``).
        self.eager = bool(maxfail(config))

    def collected(self, ids: list[str]) -> None:
        """Note the suite's nodeids, in the order of the tests' indices."""
        self._ids = ids

    def nodeid(self, test: TestIndex) -> str:
        """A test's nodeid."""
        return self._ids[test % len(self._ids)]

    def keywords(self, test: TestIndex) -> tuple[str, ...]:
        """The keywords of a test's reports, as far as its nodeid tells."""
        return tuple(self.nodeid(test).split("::"))

    # --- tests ---

    def began(self, test: TestIndex, location: Location) -> None:
        """A test begins."""
        self._locations[test] = location
        self._quiet.look()
        if not self._quiet.starts:
            self._live_log.interrupted = True
            self._config.hook.pytest_runtest_logstart(nodeid=self.nodeid(test), location=location)

    def finished(self, node: Node, test: TestIndex, passes: PassedPhases | None) -> None:
        """A test has ended; if it only passed, its reports are made here."""
        location = self._locations.pop(test)
        self._sections.pop(test, None)
        self._told.discard(test)
        nodeid = self.nodeid(test)
        if passes is not None and self._compact is not None and self._quiet.reports:
            self._compact.show(self._quiet.reporter, node, test, nodeid, location, passes)
        elif passes is not None:
            names, phases = passes
            setup, call, teardown = passed_reports(nodeid, location, names, phases)
            show_rest = self._quiet.count if self._quiet.reports else self._log
            show_rest(self._told_where(setup, node, test))
            self._log(self._told_where(call, node, test))
            show_rest(self._told_where(teardown, node, test))
        if not self._quiet.ends:
            self._config.hook.pytest_runtest_logfinish(nodeid=nodeid, location=location)

    def reported(self, node: Node, test: TestIndex, data: ReportData) -> None:
        """A report has come, in full."""
        report = report_from_data(self._config, data)
        if report.sections:
            self._sections[test] = report.sections
        if report.when != "setup" or report.outcome != "passed":
            self._told.add(test)
        self._show(report, node, test)

    def is_told(self, test: TestIndex) -> bool:
        """Whether something has been reported of a running test that cannot be taken back."""
        return test in self._told

    def abandoned(self, test: TestIndex) -> None:
        """A running test will begin again."""
        location = self._locations.pop(test)
        self._sections.pop(test, None)
        if not self._quiet.ends:
            self._config.hook.pytest_runtest_logfinish(nodeid=self.nodeid(test), location=location)

    def crashed(self, node: Node, test: TestIndex, death: Death) -> bool:
        """A test's process died; return True if a plugin wants the test to run again."""
        report = self._verdict(node, test, death)
        item, hook = self.nodeid(test), self._config.hook
        wanted = self.scheduling.consult(
            item, lambda sched: hook.pytest_handlecrashitem(crashitem=item, report=report, sched=sched)
        )
        self._show_casualty(report, node, test)
        return wanted

    def hung(self, node: Node, test: TestIndex, death: Death, limit: float) -> None:
        """A test ran longer than `limit`, in seconds, and its process was ended."""
        self._show_casualty(self._verdict(node, test, death, limit), node, test)

    def not_run(self, test: TestIndex, reason: str) -> None:
        """A test could not be run."""
        nodeid = self.nodeid(test)
        report = not_run(nodeid, reason, reproduce(self._config, nodeid))
        self._crash_summary.test(report)
        report.item_index = test % len(self._ids)  # type: ignore[attr-defined]
        self._log(report)
        add_junit_properties(self._config, report)

    def worker_died(self, node: Node, death: Death, limit: float | None) -> None:
        """A worker died, and no test is to blame."""
        latest = death.worker_status.test
        known = self.nodeid(latest) if latest is not None and self._ids else None
        report = worker_died(node.gateway.id, death, known, limit=limit)
        self._crash_summary.worker(report)
        self._config.hook.pytest_collectreport(report=report)

    def summarize(self, reporter: Writer) -> None:
        """List what crashed, hung or did not run."""
        self._crash_summary.write(reporter)

    def _verdict(
        self, node: Node, test: TestIndex, death: Death, limit: float | None = None
    ) -> pytest.TestReport:
        nodeid = self.nodeid(test)
        self._locations.pop(test, None)
        earlier = self._sections.pop(test, [])
        self._told.discard(test)
        command = reproduce(self._config, nodeid, limit)
        report = verdict(nodeid, node.gateway.id, death, command, limit=limit, earlier=earlier)
        report.node = node  # type: ignore[attr-defined]
        return report

    def _show_casualty(self, report: pytest.TestReport, node: Node, test: TestIndex) -> None:
        if report.failed:  # otherwise a plugin has turned it into something else
            self._crash_summary.test(report)
        self._show(report, node, test)
        add_junit_properties(self._config, report)

    def _show(self, report: pytest.TestReport, node: Node, test: TestIndex) -> None:
        self._log(self._told_where(report, node, test))

    def _told_where(self, report: pytest.TestReport, node: Node, test: TestIndex) -> pytest.TestReport:
        vars(report).update(
            node=node, worker_id=node.gateway.id, item_index=test % len(self._ids),
            testrun_uid=node.nodemanager.testrunuid,
        )  # fmt: skip
        if report.failed:
            self._failed.setdefault(test, []).append(report)
        return report

    def _log(self, report: pytest.TestReport) -> None:
        self._live_log.interrupted = True
        self._config.hook.pytest_runtest_logreport(report=report)

    def counts_instead(self, session: pytest.Session, test: TestIndex, data: list[ReportData]) -> None:
        """Count another result of a test that failed: these reports, as `report_to_data` made them.

        The failure is counted separately, as a rerun.
        """
        from pytest_procpar.compat.pytest_reports.taking_back import take_back

        failed = [report for report in self._failed.pop(test) if report.failed]
        self._crash_summary.forget(self.nodeid(test))
        take_back(session, failed, _RERUN)
        reports = [report_from_data(self._config, one) for one in data]
        for report in reports:
            vars(report)["procpar_fresh"] = True
            self._show(report, failed[0].node, test)

    # --- the rest ---

    def collect_reported(self, data: ReportData) -> None:
        """A collector failed, was skipped, or has recovered."""
        self._config.hook.pytest_collectreport(report=collect_report_from_data(self._config, data))

    def collection_failed(self, what: str, text: str) -> None:
        """The suite cannot be run as it was collected."""
        report = pytest.CollectReport(nodeid=what, outcome="failed", longrepr=text, result=[])
        self._config.hook.pytest_collectreport(report=report)

    def warned(self, data: WarningData) -> None:
        """A warning was recorded in another process."""
        self._config.hook.pytest_warning_recorded.call_historic(kwargs=warning_from_data(data))

    def junit_noted(self, node: Node, message: JunitRecord) -> None:
        """A worker has something for the JUnit XML file."""
        self._junit.add(message, node)

    def logged(self, node: Node | None, message: Logged) -> None:
        """A worker, or the fork server, has something for the live log."""
        self._live_log.show(message, None if node is None else node.gateway.id)

    def internal_error(self, who: str, text: str) -> None:
        """Another process broke."""
        try:
            raise RuntimeError(f"internal error in {who}:\n{text}")
        except RuntimeError:
            excinfo = pytest.ExceptionInfo.from_current()
        self._config.hook.pytest_internalerror(
            excrepr=_InternalErrorText(f"[{who}]\n{text}"), excinfo=excinfo
        )
