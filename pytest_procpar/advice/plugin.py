"""Listens to what every test took, and prints the advice after the summary (``--procpar-advise``).

It runs in the controller of a parallel run, or in a plain run, and hears reports as any reporter does.
"""

from __future__ import annotations

import time

import pytest

from pytest_procpar.advice.page import lines_of
from pytest_procpar.core.advice.advice import RanTest, RunFacts, advise
from pytest_procpar.core.history.run_log import Ending
from pytest_procpar.system.cpus import available_cpus

__all__ = ["AdviceReporter", "install", "note_beginning"]

_BEGAN = pytest.StashKey[float]()


def note_beginning(config: pytest.Config) -> None:
    """Note when the run began; call this before initial conftests are imported."""
    config.stash[_BEGAN] = time.time()


def install(config: pytest.Config) -> None:
    """Have advice printed at the end of this run; not for workers."""
    config.pluginmanager.register(AdviceReporter(config), "procpar-advice")


class AdviceReporter:
    """The plugin that listens, and prints at the end."""

    def __init__(self, config: pytest.Config) -> None:
        self._began = config.stash.get(_BEGAN, None) or time.time()
        self._workers: dict[str, list[RanTest]] = {}
        #: The reports of the tests that run, by worker.
        self._open: dict[str, dict[str, pytest.TestReport]] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a phase; with its teardown a test has ended."""
        if hasattr(report, "context") or report.when not in ("setup", "call", "teardown"):
            return  # of a subtest, or of a test whose process died
        worker = str(getattr(report, "worker_id", ""))
        if report.when == "setup":
            self._open[worker] = {}
        phases = self._open.setdefault(worker, {})
        phases[report.when] = report
        if report.when == "teardown" and "setup" in phases:
            self._workers.setdefault(worker, []).append(_ran(phases))
            del self._open[worker]

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print it."""
        has_workers = "" not in self._workers
        advice = advise(RunFacts(self._began, self._workers, available_cpus()))
        terminalreporter.section("procpar: advice")
        if advice is None:
            terminalreporter.write_line("no test has run, so there is nothing to advise")
            return
        for line in lines_of(advice, has_workers=has_workers):
            terminalreporter.write_line(line)


def _ran(phases: dict[str, pytest.TestReport]) -> RanTest:
    seconds = {when: report.duration for when, report in phases.items()}
    return RanTest(
        phases["setup"].nodeid,
        _ending(phases),
        seconds["setup"],
        seconds.get("call", 0.0),
        seconds["teardown"],
        phases["setup"].start,
        phases["teardown"].stop,
    )


def _ending(phases: dict[str, pytest.TestReport]) -> Ending:
    setup, call = phases["setup"], phases.get("call")
    if call is None:
        return Ending.SKIPPED if setup.skipped else Ending.FAILED_ODDLY
    if call.skipped and not hasattr(call, "wasxfail"):
        return Ending.SKIPPED_LATE
    return Ending.FAILED if call.failed else Ending.RAN
