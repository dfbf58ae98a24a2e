"""The file with the patches that the re-check suggests, for ``git apply`` or ``patch -p1``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import pytest_procpar.system.files as files
from pytest_procpar.compat.xdist.options import told_dist
from pytest_procpar.core.printable import printable_line
from pytest_procpar.json_report.plugin import check_path

if TYPE_CHECKING:
    from pytest_procpar.core.inquiry.finding_record import FindingRecord

__all__ = ["OPTION", "install"]

OPTION = "--recheck-suggest"

#: How to recognize a patch that does nothing under other modes than ``--dist=loadgroup``.
_GROUP = "@pytest.mark.xdist_group("


def install(config: pytest.Config, value: str) -> None:
    """Have the suggestions of this run written to the file `value`; not for workers.

    :raises pytest.UsageError: if no file can be written there.
    """
    config.pluginmanager.register(PatchFile(check_path(value, OPTION)), "procpar-patch-file")


class PatchFile:
    """The plugin that listens, and writes at the end: an empty file if nothing is suggested."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._patches: list[str] = []
        self._failure = ""

    def pytest_procpar_findings(self, findings: list[FindingRecord]) -> None:
        """Note what is suggested; findings with the same cause have the same patch."""
        self._patches = list(dict.fromkeys(found["patch"] for found in findings if "patch" in found))

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the file."""
        try:
            files.write(self._path, "".join(self._patches).encode())
        except OSError as error:
            self._failure = f"{OPTION}: {printable_line(str(self._path))} is not written: {error}"
            if session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
                session.exitstatus = pytest.ExitCode.INTERNAL_ERROR

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say where the file is, or that it is not."""
        if self._failure:
            terminalreporter.write_line(self._failure, red=True, bold=True)
            self._failure = ""
        elif self._patches:
            groups = any(_GROUP in patch for patch in self._patches)
            needs = groups and told_dist(terminalreporter.config) != "loadgroup"
            how = ", needs --dist=loadgroup" if needs else ""
            terminalreporter.write_sep("-", printable_line(f"to apply by git apply{how}: {self._path}"))
        else:
            terminalreporter.write_sep("-", f"{OPTION}: no patch was found that helps")

    def pytest_unconfigure(self) -> None:
        """Say that writing failed if there was no summary to say it in."""
        if self._failure:
            sys.stderr.write(f"{self._failure}\n")
