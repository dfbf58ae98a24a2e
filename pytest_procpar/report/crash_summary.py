"""The section of the terminal summary that lists what crashed, hung or was not run."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_procpar.core.printable import printable_line

__all__ = ["CrashSummary"]


class CrashSummary:
    """Remembers what came to no ordinary end, and how to see it again."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        #: By nodeid, which of the lines are about a test.
        self._places: dict[str, list[int]] = {}

    def test(self, report: pytest.TestReport) -> None:
        """A test that crashed, hung or was not run: one of `report.verdicts`."""
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
        """A test has come to an ordinary end after all."""
        for place in self._places.pop(nodeid, ()):
            self._lines[place : place + 2] = ["", ""]

    def worker(self, report: pytest.CollectReport) -> None:
        """A worker that died without a test to blame."""
        self._lines.append(f"DIED {report.nodeid} - {report.longrepr:s}")

    def write(self, reporter: Any) -> None:
        """Write the section, if there is anything to say."""
        lines = [line for line in self._lines if line]
        if lines:
            reporter.write_sep("=", "procpar: crashed, hung and not run")
            for line in lines:
                reporter.write_line(printable_line(line))
