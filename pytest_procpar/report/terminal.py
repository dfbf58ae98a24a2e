"""What a parallel run writes to the terminal in addition to pytest's own lines."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import pytest

from pytest_procpar.compat.foreign_options import shows_no_summary
from pytest_procpar.compat.plugins.idle_summary import leave_out_idle_summary
from pytest_procpar.compat.plugins.reporters import count_as
from pytest_procpar.compat.pytest_private.output import add_to_stats
from pytest_procpar.core.model import Dist, StartMethod
from pytest_procpar.core.printable import printable
from pytest_procpar.report.results import Results

if TYPE_CHECKING:
    from pytest_procpar.compat.pytest_private.output import Writer

__all__ = ["QUIETEST", "Terminal"]

_SCHEDULERS = {
    Dist.LOAD: "LoadScheduling",
    Dist.WORKSTEAL: "WorkStealingScheduling",
    Dist.LOADSCOPE: "LoadScopeScheduling",
    Dist.LOADFILE: "LoadFileScheduling",
    Dist.LOADGROUP: "LoadGroupScheduling",
    Dist.STABLE: "StableScheduling",
    Dist.EACH: "EachScheduling",
}


#: A verbosity below every one that can be asked for: -q is -1, -qq is -2.
QUIETEST = -1000


class _Counted:
    """A test that pytest's terminal reporter counts, as deselected (printed with ``-vv``) or as not run."""

    def __init__(self, nodeid: str) -> None:
        self.nodeid = nodeid


class Terminal:
    """Writes lines through pytest's terminal reporter, where there is one."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._summary: list[str] = []

    @property
    def _reporter(self) -> pytest.TerminalReporter | None:
        reporter: pytest.TerminalReporter | None = self._config.pluginmanager.getplugin("terminalreporter")
        return reporter

    def prepare(self) -> None:
        """Show no file names before dots: the tests of several files arrive mixed."""
        leave_out_idle_summary(self._config)
        if self._reporter is not None:
            self._reporter.showfspath = False

    def count_not_run(self, nodeids: Iterable[str]) -> None:
        """Let the last line count the tests that did not end because a signal ended the run."""
        tests = [_Counted(nodeid) for nodeid in nodeids]
        if tests:
            count_as(self._config, "not run", tests)

    def line(self, text: str, *, least: int = 0) -> None:
        """Write a line of its own if the verbosity is at least `least`."""
        if self._reporter is not None and self._config.get_verbosity() >= least:
            self._reporter.write_line(printable(text))

    def notice(self, text: str) -> None:
        """Write a line of its own, even in a quiet run."""
        self.line(text, least=QUIETEST)

    def start_method(self, method: StartMethod, reason: str) -> None:
        """Say that workers are not started as usual, and why."""
        self.notice(
            f"procpar: start method {method.value}, since {reason} "
            f"(ini: procpar_start_method pins a method, procpar_fork_safe vouches for what is safe)"
        )

    def collected(
        self, workers: int, tests: int, dist: Dist | str | None, lines: Iterable[str], why: str = ""
    ) -> None:
        """Say how many workers run how many tests, and what plugins say of the collection.

        :param why: why there are no more workers.
        :param dist: what decides who runs what: a mode, a plugin's scheduler by its name, or None.
        """
        if self._reporter is None:
            return
        if self._config.get_verbosity() < 0:
            self.line("bringing up nodes...", least=-1)
        else:
            plural = "" if workers == 1 else "s"
            self.line(f"created: {workers}/{workers} worker{plural}")
            told = f" ({why})" if why else ""
            self.line(f"{workers} worker{plural} [{tests} item{'' if tests == 1 else 's'}]{told}")
        for text in lines:  # unchanged: under plain pytest they may have colours, too
            self._reporter.write_line(text)
        self.line("")
        if dist is not None:
            name = _SCHEDULERS[dist] if isinstance(dist, Dist) else dist
            self.line(f"scheduling tests via {name}", least=1)

    def deselected(self, nodeids: Iterable[str]) -> None:
        """Count tests that the collection left out."""
        stand_ins = [_Counted(nodeid) for nodeid in nodeids]
        if stand_ins and self._reporter is not None:
            add_to_stats(self._reporter, "deselected", stand_ins)

    def show_failures(self) -> None:
        """Write now what pytest writes first after a run, unless its reporter has been replaced."""
        from pytest_procpar.compat.pytest_reports.early_failures import early_summary

        early = early_summary(self._config)
        if early is not None:
            early.show()

    def remember(self, text: str, *, least: int = 0) -> None:
        """Write a line now, if the verbosity is at least `least`, and again in the summary at the end."""
        self.line(f"\n{text}", least=least)
        self._summary.append(text)

    def show_summary(self, status: int) -> None:
        """Write everything that pytest writes after a run."""
        if self._reporter is not None and not shows_no_summary(self._config):
            self._config.hook.pytest_terminal_summary(
                terminalreporter=self._reporter, exitstatus=status, config=self._config
            )

    def summarize(self, results: Results, write_findings: Callable[[Writer], None] | None) -> None:
        """Write the remembered lines, what crashed, hung or did not run, and what was found out.

        :param write_findings: writes to pytest's reporter what a re-check found; None if there was none.
        """
        if self._reporter is not None:
            results.summarize(self._reporter)
            if write_findings is not None:
                write_findings(self._reporter)
        for text in self._summary:
            if self._reporter is not None:
                self._reporter.write_sep("=", f"procpar: {printable(text)}")
