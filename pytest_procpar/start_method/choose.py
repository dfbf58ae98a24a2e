"""The choice of a start method, so far as it can be made before anything is configured."""

from __future__ import annotations

import os

import pytest

from pytest_procpar.config.settings import Settings
from pytest_procpar.core.model import StartMethod
from pytest_procpar.start_method.hazards import HAZARDS, watch
from pytest_procpar.start_method.known_plugins import EARLY_PLUGINS, SPAWN_PLUGINS, known_plugin
from pytest_procpar.start_method.remembered import remembered

__all__ = ["choose_method"]


def choose_method(config: pytest.Config, settings: Settings) -> tuple[StartMethod, str | None]:
    """How to start workers and, if that is not the usual way and the user did not ask for it, why."""
    if settings.start_method is not None:
        return settings.start_method, None
    if not hasattr(os, "fork"):
        return StartMethod.SPAWN, "this platform cannot fork"
    vouched = settings.worker.fork_safe
    hazards = config.stash.get(HAZARDS, None)
    if hazards is None:  # workers were asked for after the conftests were loaded
        with watch(config):
            hazards = config.stash[HAZARDS]
    reason = hazards.while_imported() or known_plugin(config, SPAWN_PLUGINS, vouched)
    if reason is not None:
        return StartMethod.SPAWN, reason
    known = remembered(config)
    if known is not None and known.method is not StartMethod.FORK:
        return known.method, str(known)
    plugin = known_plugin(config, EARLY_PLUGINS, vouched)
    return (StartMethod.FORK, None) if plugin is None else (StartMethod.FORK_EARLY, plugin)
