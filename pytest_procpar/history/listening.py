"""What tests take in a run without workers of ours: a plain one, or one that is left to pytest-xdist."""

from __future__ import annotations

import pytest

from pytest_procpar.core.history.run_log import DurationLog

__all__ = ["Listener"]


class Listener:
    """A plugin that notes the phases of tests as they are reported."""

    def __init__(self) -> None:
        self.log = DurationLog()
        #: By test that runs: the process that it runs in; None: this one.
        self._processes: dict[str, str | None] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A phase of a test has ended."""
        nodeid = str(report.nodeid)
        self._processes[nodeid] = getattr(report, "worker_id", None)
        kind = "TestReport" if not hasattr(report, "context") else "of a subtest"
        data = {
            "$report_type": kind, "when": report.when, "outcome": report.outcome, "duration": report.duration,
        }  # fmt: skip
        if hasattr(report, "wasxfail"):
            data["wasxfail"] = report.wasxfail
        self.log.reported(nodeid, data)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """A test has ended."""
        nodeid = str(nodeid)
        if nodeid in self._processes:
            self.log.ended(self._processes.pop(nodeid), nodeid, None)
