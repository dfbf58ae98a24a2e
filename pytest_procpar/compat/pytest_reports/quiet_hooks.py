"""Finds out which hook calls for a test can be left out because nobody listens to them.

They are those for its start and end, and for its passed setup and teardown. Of the eight hook calls that a
passed test makes in the controller, six then only count two reports. They are left out if every
implementation is pytest's own and known to do nothing else. Any other plugin that listens gets every call.
"""

from __future__ import annotations

import pytest
from _pytest.cacheprovider import LFPlugin
from _pytest.logging import LoggingPlugin, _LiveLoggingNullHandler
from _pytest.terminal import TerminalReporter

__all__ = ["QuietPhases", "is_observed", "is_pytests_own", "module_of"]


class QuietPhases:
    """Knows which reporting hooks nobody listens to."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        hook = config.hook
        self._callers = (
            hook.pytest_runtest_logreport, hook.pytest_report_teststatus,
            hook.pytest_runtest_logstart, hook.pytest_runtest_logfinish,
        )  # fmt: skip
        self._seen: tuple[object, ...] = ()
        self._reporter: TerminalReporter | None = None
        #: Whether the reports of a passed setup and teardown need only be counted, by `count`.
        self.reports = False
        #: Whether nothing happens when a test starts, or has ended.
        self.starts = self.ends = False

    def look(self) -> None:
        """Find out who listens now: plugins may come and go at any time."""
        execute = getattr(self._config.pluginmanager, "_inner_hookexec", None)
        seen = (execute, *[tuple(caller._hookimpls) for caller in self._callers])
        if seen == self._seen:
            return
        self._seen = seen
        reports, statuses, starts, ends = (
            [impl.plugin for impl in caller.get_hookimpls()] for caller in self._callers
        )
        reporter = self._config.pluginmanager.getplugin("terminalreporter")
        unobserved = not is_observed(self._config)
        self._reporter = reporter if type(reporter) is TerminalReporter else None
        self.reports = (
            unobserved
            and self._reporter is not None
            and self._reporter in reports
            and getattr(self._reporter, "_show_progress_info", None) != "times"
            and all(map(_ignores_passed_phases, reports))
            and all(map(is_pytests_own, statuses))
        )
        self.starts = unobserved and all(map(_ignores_starts, starts))
        self.ends = unobserved and all(map(_logs_nothing, ends))

    @property
    def reporter(self) -> TerminalReporter:
        """The reporter that counts the reports, if `reports` is true."""
        assert self._reporter is not None
        return self._reporter

    def count(self, report: pytest.TestReport) -> None:
        """Count a passed setup or teardown as the terminal reporter does."""
        self.reporter._tests_ran = True
        self.reporter._add_stats("", [report])


def _ignores_passed_phases(plugin: object) -> bool:
    return type(plugin) in (TerminalReporter, pytest.Session, LFPlugin) or _logs_nothing(plugin)


def is_observed(config: pytest.Config) -> bool:
    """Whether a recorder of hook calls (pytester's, ``--debug``) has replaced pluggy's function."""
    execute = getattr(config.pluginmanager, "_inner_hookexec", None)
    return getattr(execute, "__name__", "") != "_multicall"


def module_of(plugin: object) -> str:
    """The name of a plugin that is a module, or else of the module of its class."""
    name = getattr(plugin, "__name__", None)
    return name if isinstance(name, str) else type(plugin).__module__


def is_pytests_own(plugin: object) -> bool:
    """Whether a plugin is a part of pytest."""
    return module_of(plugin).startswith("_pytest.")


def _ignores_starts(plugin: object) -> bool:
    if type(plugin) is TerminalReporter:
        return not plugin.showlongtestinfo and not plugin.showfspath
    return _logs_nothing(plugin)


def _logs_nothing(plugin: object) -> bool:
    """Whether this is pytest's logging plugin without a live log, which would have to know the phase."""
    return type(plugin) is LoggingPlugin and type(plugin.log_cli_handler) is _LiveLoggingNullHandler
