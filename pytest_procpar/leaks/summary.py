"""The summary of what tests left behind (``--leaks``)."""

from __future__ import annotations

import pytest

from pytest_procpar.core.printable import printable_line

__all__ = ["LeakSummary"]

#: The name that `leaks/check.py` gives a leak among a report's user properties.
_PROPERTY = "procpar_leak"


class LeakSummary:
    """Collects the leaks from the reports, in the process that owns the terminal."""

    def __init__(self) -> None:
        #: Lines by nodeid. They are the keys of a dict, since a test that runs again reports the same lines
        #: again.
        self._leaks: dict[str, dict[str, None]] = {}

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note the leaks of a test that has ended."""
        if report.when != "teardown":
            return
        for name, text in report.user_properties:
            if name == _PROPERTY:
                self._leaks.setdefault(report.nodeid, {})[str(text)] = None

    @pytest.hookimpl
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Write the leaks, if there are any."""
        if not self._leaks:
            return
        terminalreporter.write_sep("=", "procpar: leaks")
        for nodeid, lines in self._leaks.items():
            terminalreporter.write_line(printable_line(nodeid))
            for line in lines:
                terminalreporter.write_line(printable_line(f"  - {line}"))
