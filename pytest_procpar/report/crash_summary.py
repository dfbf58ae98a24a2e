"""The section of the terminal summary that lists what crashed, hung or was not run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_procpar.core.printable import printable_line

if TYPE_CHECKING:
    from pytest_procpar.compat.pytest_private.output import Writer

__all__ = ["CrashSummary"]


class CrashSummary:
    """Remembers what crashed, hung or did not run, and how to see it again."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        #: Which of the lines are about a test, by nodeid.
        self._places: dict[str, list[int]] = {}

    def test(self, report: pytest.TestReport) -> None:
        """Add a test that crashed, hung or was not run: a report from `report.crash_reports`."""
        facts = dict(report.user_properties)
        what = str(facts["procpar_outcome"]).replace("-", " ").upper()
        if what == "NOT RUN":
            how = str(facts["procpar_reason"])
        else:
            how = str(facts["procpar_cause"])
            if "procpar_limit" in facts:
                how = f"longer than {facts['procpar_limit']:g} s, {how}"
            how += f", {facts['procpar_phase']} ({facts['procpar_worker']})"
        self._places.setdefault(report.nodeid, []).append(len(self._lines))
        self._lines += [f"{what} {report.nodeid} - {how}", f"    alone: {facts['procpar_reproduce']}"]

    def forget(self, nodeid: str) -> None:
        """A test has ended in the ordinary way after all."""
        for place in self._places.pop(nodeid, ()):
            self._lines[place : place + 2] = ["", ""]

    def worker(self, report: pytest.CollectReport) -> None:
        """Add a worker that died without a test to blame."""
        self._lines.append(f"DIED {report.nodeid} - {report.longrepr:s}")

    def write(self, reporter: Writer) -> None:
        """Write the section, if there is anything to say."""
        lines = [line for line in self._lines if line]
        if lines:
            reporter.write_sep("=", "procpar: crashed, hung and not run")
            for line in lines:
                reporter.write_line(printable_line(line))
