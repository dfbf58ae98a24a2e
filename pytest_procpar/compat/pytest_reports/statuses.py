"""Lets a worker's plugins hear of outcomes, through pytest's terminal reporter, which writes nothing there.

In every process that runs tests, pytest's terminal reporter calls ``pytest_report_teststatus`` for each
report and counts the report in its ``stats``. Under pytest-xdist it does so in the workers, too, and plugins
rely on it: the one of VS Code learns of a passed test there, in the worker, and nowhere else.
"""

from __future__ import annotations

import pytest
from _pytest.terminal import TerminalReporter
from pluggy import HookImpl

from pytest_procpar.compat.pytest_reports.quiet_hooks import is_observed, is_pytests_own

__all__ = ["Statuses", "tell_no_statuses"]


def _place_of(config: pytest.Config, reporter: object) -> HookImpl | None:
    """The reporter's implementation of `pytest_runtest_logreport`, at its place in the order of calls."""
    impls = config.hook.pytest_runtest_logreport.get_hookimpls()
    return next((impl for impl in impls if impl.plugin is reporter), None)


def tell_no_statuses(config: pytest.Config) -> None:
    """Keep reports from the reporter of this process, so that no plugin here learns how tests end."""
    reporter = config.pluginmanager.getplugin("terminalreporter")
    if _place_of(config, reporter) is not None:
        config.hook.pytest_runtest_logreport._remove_plugin(reporter)


class Statuses:
    """Lets a worker's reporter ask for statuses if a plugin other than pytest's own listens to them.

    Otherwise it leaves the reporter out, since that takes longer than a trivial test. Make it after the
    collection, when all plugins that the collection loads are registered.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        reporter = config.pluginmanager.getplugin("terminalreporter")
        self._reporter: TerminalReporter = reporter
        self._reports = config.hook.pytest_runtest_logreport
        self._listeners = config.hook.pytest_report_teststatus
        self._seen: list[HookImpl] = []
        #: Whether the reporter asks. If so, a report is complete once the reporter has handled it.
        self.told = False
        place = _place_of(config, reporter) if isinstance(reporter, TerminalReporter) else None
        self._place: HookImpl | None = None
        if place is None:
            return
        self._place = HookImpl(place.plugin, place.plugin_name, self._ask, place.opts)
        impls = self._reports._hookimpls
        impls[impls.index(place)] = self._place
        self.told = self._has_listener()
        if not self.told:
            self._reports._remove_plugin(self._reporter)

    def _has_listener(self) -> bool:
        self._seen = [*self._listeners._hookimpls]
        impls = self._listeners.get_hookimpls()
        return is_observed(self._config) or not all(is_pytests_own(impl.plugin) for impl in impls)

    def look(self) -> None:
        """After plugins have come or gone, let the reporter ask from now on if one of them listens."""
        if self.told or self._place is None or self._listeners._hookimpls == self._seen:
            return
        self.told = self._has_listener()
        if self.told:
            self._reports._add_hookimpl(self._place)

    def _ask(self, report: pytest.TestReport) -> None:
        """Do what the reporter does with a report, except printing."""
        self._reporter._tests_ran = True
        status = self._config.hook.pytest_report_teststatus(report=report, config=self._config)
        self._reporter._add_stats(status[0], [report])
