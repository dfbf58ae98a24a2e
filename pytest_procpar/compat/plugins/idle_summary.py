"""Leaves out Hypothesis's part of the summary where it has nothing to say.

Its plugin (6.170) imports the library there, which takes longer than pytest's own start: in the controller,
which runs no tests, and in each worker whose tests do not use it. It also reads every report, so that those
that are kept as facts (`compact_passes`) would have to be made.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from _pytest.terminal import TerminalReporter

from pytest_procpar.compat.foreign_options import shows_hypothesis_statistics
from pytest_procpar.compat.pytest_reports.compact_passes import made_reports
from pytest_procpar.compat.pytest_reports.quiet_hooks import module_of

__all__ = ["leave_out_idle_summary"]

_PLUGIN = "_hypothesis_pytestplugin"
#: Where it looks for files that were written, and where a report carries what a patch is made of.
_OBSERVED, _EXAMPLES = "hypothesis.internal.observability", "_hypothesis_failing_examples"


def leave_out_idle_summary(config: pytest.Config) -> None:
    """At the end of the session, leave out what would write nothing."""
    if any(_summaries(config)):
        config.pluginmanager.register(_AtTheEnd(), "procpar-idle-summary")


class _AtTheEnd:
    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        config = session.config
        reporter = config.pluginmanager.get_plugin("terminalreporter")
        if isinstance(reporter, TerminalReporter) and not _has_something_to_say(config, reporter):
            for plugin in _summaries(config):
                config.hook.pytest_terminal_summary._remove_plugin(plugin)


def _summaries(config: pytest.Config) -> Iterator[object]:
    for impl in config.hook.pytest_terminal_summary.get_hookimpls():
        if module_of(impl.plugin) == _PLUGIN:
            yield impl.plugin


def _has_something_to_say(config: pytest.Config, reporter: TerminalReporter) -> bool:
    if shows_hypothesis_statistics(config) or getattr(sys.modules.get(_OBSERVED), "_WROTE_TO", None):
        return True
    return any(
        _EXAMPLES in vars(report) for reports in reporter.stats.values() for report in made_reports(reports)
    )
