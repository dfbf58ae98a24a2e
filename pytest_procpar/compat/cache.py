"""pytest's cache plugins (``--lf``, ``--nf``, ``--sw``), which split their work over two processes here.

Their state is read where the suite is collected and written where the reports arrive. Under pytest-xdist
the second process never learns what only the first can know; here the controller is told.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from _pytest.cacheprovider import LFPlugin, NFPlugin

from pytest_procpar.compat.reports import nodeid_of

__all__ = ["failed_before", "learn_collection"]


def failed_before(config: pytest.Config) -> frozenset[str]:
    """The nodeids that failed in the last run, tests and collectors."""
    plugin = config.pluginmanager.getplugin("lfplugin")
    return frozenset(map(str, plugin.lastfailed)) if isinstance(plugin, LFPlugin) else frozenset()


def learn_collection(config: pytest.Config, ids: Iterable[str], deselected: int) -> None:
    """Tell the controller's cache plugins what has been collected."""
    ids = list(ids)
    newest = config.pluginmanager.getplugin("nfplugin")
    if isinstance(newest, NFPlugin):
        newest.cached_nodeids.update(map(nodeid_of, ids))
    stepwise = config.pluginmanager.getplugin("stepwiseplugin")
    cached = getattr(stepwise, "cached_info", None)
    if cached is not None:
        cached.last_test_count = len(ids) + deselected
