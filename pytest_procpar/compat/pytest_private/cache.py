"""pytest's cache plugins (``--lf``, ``--nf``, ``--sw``), whose work is split over two processes here.

Their state is read where the suite is collected, and written where the reports arrive. Under pytest-xdist
the second process never learns what only the first one can know; here the controller is told.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import pytest
from _pytest.cacheprovider import Cache, LFPlugin, NFPlugin

from pytest_procpar.compat.foreign_options import clears_cache

__all__ = ["cache_entry", "failed_before", "has_entry", "learn_collection", "place_in_cache", "set_aside"]


def cache_entry(config: pytest.Config, key: str, *, cleared: bool = False) -> Path | None:
    """Return the file for a value in `config.cache`, made at configure; None if it will have none.

    :param cleared: return it even if this run clears the cache.
    """
    return None if clears_cache(config) and not cleared else _place(config, key)


def has_entry(config: pytest.Config, key: str) -> bool:
    """Whether an earlier run left a value in the cache, and this run does not clear it."""
    path = cache_entry(config, key)
    return path is not None and path.exists()


def _place(config: pytest.Config, key: str) -> Path | None:
    if not config.pluginmanager.hasplugin("cacheprovider"):
        return None
    return Cache.cache_dir_from_config(config, _ispytest=True) / Cache._CACHE_PREFIX_VALUES / key


def place_in_cache(config: pytest.Config, key: str) -> Path | None:
    """Make the folder for a value in pytest's cache, and return the file; None if there is no cache.

    Before configure, too, when pytest has made no cache yet.


    :raises OSError: if the folder cannot be made.
    """
    cache, path = getattr(config, "cache", None), _place(config, key)
    if path is None:
        return None
    cache = cache or Cache.for_config(config, _ispytest=True)
    cache.mkdir("procpar")  # which also writes the files that keep the cache out of version control
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def set_aside(config: pytest.Config, path: Path, what: str) -> None:
    """Rename a damaged file of the cache, and warn about it.

    :param what: what it held, and the verb: "the start method that was remembered for this project cannot".
    :raises pytest.UsageError: if the warning is an error (``-W error``).
    """
    aside = path.with_suffix(".damaged")
    with suppress(OSError):
        path.replace(aside)
    text = f"{what} be read: see {aside}"
    try:
        config.issue_config_time_warning(pytest.PytestWarning(text), stacklevel=2)
    except pytest.PytestWarning:  # by -W error
        raise pytest.UsageError(text) from None


def failed_before(config: pytest.Config) -> frozenset[str]:
    """The nodeids that failed in the last run, tests and collectors."""
    plugin = config.pluginmanager.getplugin("lfplugin")
    return frozenset(map(str, plugin.lastfailed)) if isinstance(plugin, LFPlugin) else frozenset()


def learn_collection(config: pytest.Config, ids: Iterable[str], deselected: int) -> None:
    """Tell the controller's cache plugins what was collected."""
    from pytest_procpar.compat.pytest_reports.reports import nodeid_of  # a plain run does not need it

    ids = list(ids)
    newest = config.pluginmanager.getplugin("nfplugin")
    if isinstance(newest, NFPlugin):
        newest.cached_nodeids.update(map(nodeid_of, ids))
    stepwise = config.pluginmanager.getplugin("stepwiseplugin")
    cached = getattr(stepwise, "cached_info", None)
    if cached is not None:
        cached.last_test_count = len(ids) + deselected
