"""What reporters that replace pytest's learn from collection, which does not happen in a controller.

pytest-sugar 1.1 makes up for it only where pytest-xdist can be imported, pytest-rich 0.3 not at all: with
pytest-xdist the first finished test ends its run in a ZeroDivisionError.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_procpar.compat.warnings import tell_warning

__all__ = ["tell_reporters"]


def tell_reporters(config: pytest.Config, ids: Sequence[str]) -> None:
    """The suite is known: tell the reporters of other plugins. What they then do wrong is a warning."""
    for module, name, tell in _REPORTERS:
        reporter = config.pluginmanager.get_plugin(name)
        if type(reporter).__module__ != module:
            continue
        try:
            tell(config, reporter, ids)
        except Exception as error:
            text = f"{module} could not be told of {len(ids)} tests: {type(error).__name__}: {error}"
            tell_warning(config, text, module)


def _tell_sugar(config: pytest.Config, reporter: Any, ids: Sequence[str]) -> None:
    """What its ``DeferredXdistPlugin`` does."""
    reporter.tests_count = len(ids)


def _tell_rich(config: pytest.Config, reporter: Any, ids: Sequence[str]) -> None:
    """What its ``pytest_collectreport`` does, with stand-ins that have what it asks of an item."""
    for nodeid in ids:
        path = Path(config.rootpath, nodeid.partition("::")[0])
        item = SimpleNamespace(nodeid=nodeid, path=path)
        reporter.items_per_file.setdefault(path, []).append(item)
        reporter.status_per_item[nodeid] = "collected"
        reporter.items[nodeid] = item
    reporter.total_items_collected = len(ids)
    reporter.pytest_collection_finish(session=None)


_REPORTERS: tuple[tuple[str, str, Callable[[pytest.Config, Any, Sequence[str]], None]], ...] = (
    ("pytest_sugar", "terminalreporter", _tell_sugar),
    ("pytest_rich.terminal", "rich-terminal-reporter", _tell_rich),
)
