"""Tells reporters that replace pytest's what they learn from a collection, which a controller does not do.

pytest-sugar 1.1 makes up for that only if pytest-xdist can be imported, pytest-rich 0.3 not at all: under
pytest-xdist the first finished test ends its run in a ZeroDivisionError. teamcity-messages 1.33, with which
PyCharm runs pytest, does not say in a controller how many tests there will be.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Protocol

import pytest
from _pytest.terminal import TerminalReporter

from pytest_procpar.compat.pytest_private.warnings import tell_warning

if TYPE_CHECKING:

    class _Sugar(Protocol):
        tests_count: int

    class _Rich(Protocol):
        items_per_file: dict[Path, list[SimpleNamespace]]
        status_per_item: dict[str, str]
        items: dict[str, SimpleNamespace]
        total_items_collected: int

        def pytest_collection_finish(self, session: None) -> None: ...

    class _Messages(Protocol):
        def testCount(self, count: int) -> None: ...

    class _Teamcity(Protocol):
        @property
        def teamcity(self) -> _Messages: ...


__all__ = ["count_as", "mute_reporters", "tell_reporters"]


def count_as(config: pytest.Config, word: str, tests: Sequence[object]) -> None:
    """Let the last line of pytest's terminal reporter count these tests under `word`."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if isinstance(reporter, TerminalReporter):
        reporter._add_stats(word, list(tests))


def mute_reporters(config: pytest.Config) -> None:
    """Keep reporters that print by themselves from printing here: they print in the controller.

    With ``-s``, which PyCharm gives, a worker's output is shown, and each test would be reported twice.
    """
    reporting = getattr(config, "_teamcityReporting", None)
    if reporting is not None and type(reporting).__module__ == "teamcity.pytest_plugin":
        reporting.teamcity.output = open(os.devnull, "wb")  # noqa: SIM115 (lives as long as the process)


def tell_reporters(config: pytest.Config, ids: Sequence[str]) -> None:
    """Tell the reporters of other plugins about the collected suite. An error of theirs becomes a warning."""
    for module, name, tell in _REPORTERS:
        reporter = config.pluginmanager.get_plugin(name) or getattr(config, name, None)
        if type(reporter).__module__ != module:
            continue
        try:
            tell(config, reporter, ids)
        except Exception as error:
            text = f"{module} could not be told of {len(ids)} tests: {type(error).__name__}: {error}"
            tell_warning(config, text, module)


def _tell_sugar(config: pytest.Config, reporter: _Sugar, ids: Sequence[str]) -> None:
    """Do what its ``DeferredXdistPlugin`` does."""
    reporter.tests_count = len(ids)


def _tell_rich(config: pytest.Config, reporter: _Rich, ids: Sequence[str]) -> None:
    """Do what its ``pytest_collectreport`` does, with stand-ins that have what it asks of an item."""
    for nodeid in ids:
        path = Path(config.rootpath, nodeid.partition("::")[0])
        item = SimpleNamespace(nodeid=nodeid, path=path)
        reporter.items_per_file.setdefault(path, []).append(item)
        reporter.status_per_item[nodeid] = "collected"
        reporter.items[nodeid] = item
    reporter.total_items_collected = len(ids)
    reporter.pytest_collection_finish(session=None)


def _tell_teamcity(config: pytest.Config, reporter: _Teamcity, ids: Sequence[str]) -> None:
    """Do what its ``pytest_collection_finish`` does."""
    reporter.teamcity.testCount(len(ids))


#: The module of a reporter; the name of its plugin, or of the config's attribute that holds it; what to call.
_REPORTERS: tuple[tuple[str, str, Callable[..., None]], ...] = (
    ("pytest_sugar", "terminalreporter", _tell_sugar),
    ("pytest_rich.terminal", "rich-terminal-reporter", _tell_rich),
    ("teamcity.pytest_plugin", "_teamcityReporting", _tell_teamcity),
)
