"""Pytest plugin: writes every report the controller (or the only process) gets as a line of JSON.

Stands alone, for it is loaded with ``-p`` into suites which know nothing of this package. It judges
nothing: folding reports into outcomes is `benchmarks.downstream.compare`'s duty.
"""

from __future__ import annotations

import json
import os
from typing import TextIO

import pytest

PATH_VARIABLE = "DOWNSTREAM_RECORD"


def short_reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """One line that says why ``report`` is a skip, an expected failure or a failure."""
    if report.passed:
        return ""
    longrepr = report.longrepr
    if isinstance(longrepr, (tuple, list)):
        text = str(longrepr[-1])
    else:
        crash = getattr(longrepr, "reprcrash", None)
        text = str(getattr(crash, "message", "") or longrepr or "")
    return next(iter(text.strip().splitlines()), "")[:200]


def line_of(report: pytest.TestReport | pytest.CollectReport) -> str:
    """``report`` as a line of JSON; the keys are those of `compare.Report`."""
    fields = {
        "nodeid": report.nodeid,
        "when": report.when,
        "outcome": report.outcome,
        "xfail": hasattr(report, "wasxfail"),
        "subtest": hasattr(report, "context"),  # as of pytest's SubtestReport
        "reason": short_reason(report),
    }
    return json.dumps(fields) + "\n"


class Recorder:
    """Writes to ``file``, line by line: a crash must not take the reports before it along."""

    def __init__(self, config: pytest.Config, file: TextIO) -> None:
        self._config = config
        self._file = file

    def _write(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        # Asked each time: a forked worker inherits a plugin that was registered before the fork.
        if not hasattr(self._config, "workerinput"):
            self._file.write(line_of(report))

    # Last: pytest turns a passed test with failed subtests into a failure in this very hook.
    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Record a phase of a test."""
        self._write(report)

    @pytest.hookimpl(trylast=True)
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Record a module that could not be collected, or was skipped as a whole."""
        if not report.passed:
            self._write(report)

    def pytest_unconfigure(self) -> None:
        """Close the file."""
        self._file.close()


def pytest_configure(config: pytest.Config) -> None:
    """Start to record, unless this is a worker."""
    if not hasattr(config, "workerinput") and (path := os.environ.pop(PATH_VARIABLE, "")):
        # Popped: runs that this one starts, as a re-check does, are not this run.
        file = open(path, "a", buffering=1, encoding="utf-8")  # noqa: SIM115
        config.pluginmanager.register(Recorder(config, file), "downstream-recorder")
