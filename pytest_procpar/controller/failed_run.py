"""What the controller does after a run with failures: it re-checks them, and passes on what was found.

Imported only then: a green run does without all that this imports.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import pytest_procpar.compat.pytest_reports.early_failures  # noqa: F401 (later, no descriptor may be left)
from pytest_procpar.compat.pytest_private.output import end_progress_line
from pytest_procpar.compat.pytest_private.session import shared_basetemp
from pytest_procpar.compat.pytest_reports.reports import add_finding_properties
from pytest_procpar.config.given import given
from pytest_procpar.controller.collaborators import Collaborators
from pytest_procpar.controller.recount import make_trial, recount
from pytest_procpar.core.inquiry.findings import Kind
from pytest_procpar.core.recheck.result import RecheckResult
from pytest_procpar.core.record import changed
from pytest_procpar.fresh.custody import Custody
from pytest_procpar.json_report.finding_records import finding_records
from pytest_procpar.recheck.confirm import Confirmer
from pytest_procpar.recheck.recheck import Recheck
from pytest_procpar.report.findings_cache import known_findings, memory_of
from pytest_procpar.report.recheck_progress import Progress
from pytest_procpar.report.recheck_summary import write_findings
from pytest_procpar.system.calls import monotonic

if TYPE_CHECKING:
    from pytest_procpar.compat.pytest_private.output import Writer
    from pytest_procpar.controller.loop import Loop
    from pytest_procpar.controller.signals import Signals

__all__ = ["FailedRun", "Readiness"]

#: How many tests are re-checked at the same time at least, even with one worker.
_LEAST_CONCURRENCY = 2


class Readiness:
    """What is ready for a re-check before the last test has ended: this module, and a warden that starts."""

    def __init__(self) -> None:
        #: What keeps the user's files as they are.
        self.custody = Custody()
        self.custody.begin()

    def close(self) -> None:
        """End what no re-check has used."""
        self.custody.close()


class FailedRun:
    """The end of a run in which tests failed.

    :param ready: what was made ready for it while tests were still running.
    :param seconds: how long the run took.
    :param fresh: about how long it takes until a fresh process runs a test, in seconds.
    """

    def __init__(
        self,
        shared: Collaborators,
        loop: Loop,
        session: pytest.Session,
        ready: Readiness,
        seconds: float,
        fresh: float,
    ) -> None:
        self._ready = ready
        self._config = shared.config
        self._settings = shared.settings
        self._cluster = shared.cluster
        self._run = shared.run
        self._run_record = shared.run_record
        self._nodes = shared.nodes
        self._results = shared.results
        self._terminal = shared.terminal
        self._ending = shared.ending
        self._loop = loop
        self._session = session
        self._seconds = seconds
        self._fresh = fresh
        self._rechecked = RecheckResult()
        #: Whether the fork server died during the re-check, whose result says so.
        self.lost_server = False

    @property
    def flagged(self) -> bool:
        """Whether a finding makes the run fail that asked for it (``--recheck-strict``).

        A failure caused by the fork is no fault of the suite; where it counts as a failure, the run has
        failed.
        """
        return any(found.finding.kind is not Kind.FORK_DEPENDENT for found in self._rechecked.flagged)

    def look_into(self, signals: Signals) -> None:
        """Re-check the failed tests."""
        config, settings, run_record = self._config, self._settings, self._run_record
        cluster, terminal, loop = self._cluster, self._terminal, self._loop

        def say(line: str) -> None:
            terminal.line(line)
            loop.show()

        progress = Progress(config, self._results.nodeid, monotonic, say)

        def ended() -> bool:
            loop.heed(signals)
            progress.show()
            return self._ending.at_once

        trial = make_trial(config, settings, cluster.method, run_record)
        known = known_findings(config)
        recheck = Recheck(
            settings.recheck, run_record, self._seconds, progress, trial, known, fresh=self._fresh
        )
        end_progress_line(config)
        if recheck.subject or run_record.failures:
            terminal.show_failures()
        if recheck.subject:
            progress.begins(f"re-checking {recheck.subject}", recheck.seconds)
        inputs = self._nodes.inputs(least=_LEAST_CONCURRENCY)
        if cluster.room is not None:  # a checkpoint tree has a root, and a process that runs tests
            inputs = inputs[: max(1, cluster.room // 2)]
        confirmer = Confirmer(config, run_record)
        recheck.run(
            cluster, inputs, shared_basetemp(config), ended, signals.fd, confirmer, self._ready.custody,
            loop.worker_memory,
        )  # fmt: skip
        progress.clear()
        result = recheck.result
        if not cluster.has_server():
            self.lost_server = True
            result = changed(result, note=result.note or "the fork server died during the re-check")
        if recheck.blamed and settings.start_method is None:
            left = list(self._run.unsettled())
            say("\nas in a fresh interpreter:")
            terminal.remember(recount(self._session, self._results, run_record, recheck.blamed, left))
            if not left and not self._session.testsfailed:
                self._ending.forgive(self._session)
        memory_of(config).retried(recheck.retried, on_request=given(config).recheck == "known")
        self._tell_findings(result)

    def _tell_findings(self, rechecked: RecheckResult) -> None:
        """Pass the findings of the re-check to plugins and reports; the summary follows."""
        self._rechecked = rechecked
        findings = finding_records(rechecked, self._results.nodeid)
        if findings:
            memory_of(self._config).take(findings)
        self._config.hook.pytest_procpar_findings(config=self._config, findings=findings)
        add_finding_properties(self._config, findings)
        if rechecked.coverage is not None:
            from pytest_procpar.json_report.orders import tell_report

            tell_report(self._config, rechecked.coverage)

    def write_findings(self, reporter: Writer) -> None:
        """Write the section of the summary with what was found."""
        write_findings(self._rechecked, self._results.nodeid, reporter)
