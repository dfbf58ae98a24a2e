"""Plugins that are known to need a start method other than fork, whatever the suite does."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from pytest_procpar.compat.foreign_options import is_given, is_on
from pytest_procpar.start_method.vouching import is_vouched

__all__ = ["EARLY_PLUGINS", "SPAWN_PLUGINS", "known_plugin"]

#: Plugins that fix a worker's identity, or start something that does not survive a fork, when they are
#: configured, by the names under which they register (their code was read; see docs/start-methods.md).
EARLY_PLUGINS = {
    "xvfb": "pytest-xvfb starts one display server for all",
    "pytest_opentelemetry": "pytest-opentelemetry begins a span that every worker would end",
    "pytest_reportportal": "pytest-reportportal starts threads for what it sends",
    "monitor": "pytest-monitor holds an SQLite connection, which must not cross a fork",
    "logfire": "logfire begins a span that every worker would end",
}

#: Plugins that take on a role before anything can be forked.
SPAWN_PLUGINS = {
    "ddtrace": "ddtrace fixes its role in the session when it is loaded",
}


def known_plugin(config: pytest.Config, known: dict[str, str], vouched: Iterable[str]) -> str | None:
    """The reason against forking if a plugin in `known` is active and not vouched for, else None."""
    for name, reason in known.items():
        plugin = config.pluginmanager.getplugin(name)
        if plugin is not None and not is_vouched(name, vouched, config.rootpath) and _is_active(config, name):
            return reason
    return None


def _is_active(config: pytest.Config, name: str) -> bool:
    """Whether a plugin that is loaded does anything."""
    match name:
        case "ddtrace":
            return is_on(config, "ddtrace")
        case "pytest_reportportal":
            return is_given(config, "rp_enabled")
        case "logfire":
            return is_on(config, "logfire")
        case "monitor":
            return not is_given(config, "mtr_none")
        case _:
            return True
