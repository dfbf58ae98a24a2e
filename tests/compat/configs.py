"""A config of pytest with few plugins, and a terminal reporter that writes to a string; nothing is run."""

from __future__ import annotations

from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest
from _pytest import runner, skipping, terminal
from _pytest.config import Config, PytestPluginManager


def made_config() -> Any:
    """It has read no file, and the options that it knows have their defaults."""
    config: Any = Config(PytestPluginManager())
    for module in (runner, skipping, terminal):
        config.pluginmanager.register(module)
    config.option = config._parser.parse_known_args([])
    config.option.traceconfig = False
    vars(config).setdefault("inicfg", {})  # before pytest 9 it is there once a file was looked for
    reporter: Any = terminal.TerminalReporter(config, StringIO())
    reporter._session = SimpleNamespace(testscollected=100)
    config.pluginmanager.register(reporter, "terminalreporter")
    return config


def made_report(
    nodeid: str = "t.py::test_a",
    when: Any = "call",
    outcome: Any = "passed",
    longrepr: Any = None,
    **more: Any,
) -> Any:
    """A report; ``more`` are attributes."""
    report: Any = pytest.TestReport(nodeid, ("t.py", 0, nodeid), {}, outcome, longrepr, when)
    vars(report).update(more)
    return report
