"""What plugins of pytest hold that processes must not share, and how each of them lets go of it.

None of them is imported here. Written against the versions named with each.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

import pytest

from pytest_procpar.compat.plugins.renewal import KEPT, Adapter

if TYPE_CHECKING:
    from _typeshed import HasFileno

__all__ = ["PLUGINS"]

#: Each worker's row in Allure's timeline, for all processes that run its tests.
_ROWS: dict[str, str] = {}

# --- pytest-rerunfailures 16 -------------------------------------------------------------------------


def _rerunfailures_sockets(config: pytest.Config) -> Iterable[HasFileno]:
    database = getattr(config, "failures_db", None)
    return [database.sock] if database is not None and hasattr(database, "sock") else []


def _renew_rerunfailures(config: pytest.Config, throw_away: bool) -> None:
    """Connect anew: an answer came to whichever worker read first. Of 3,000 tests, 800 were reported."""
    database = getattr(config, "failures_db", None)
    if database is None or not hasattr(database, "sock"):
        return
    module = sys.modules["pytest_rerunfailures"]
    database.sock.close()  # this process's descriptor only
    if throw_away:
        config.failures_db = module.StatusDB()  # type: ignore[attr-defined]
    else:
        given = config.workerinput  # type: ignore[attr-defined]
        renewed = module.ClientStatusDB(given["sock_port"], given["statusdb_token"])
        # For every test it writes twice, then reads: the kernel would wait for 40 ms between the writes.
        renewed.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        config.failures_db = renewed  # type: ignore[attr-defined]


# --- pytest-retry 1.7 --------------------------------------------------------------------------------


class _SharedSocket:
    """A socket that several processes write to, one at a time."""

    def __init__(self, shared: socket.socket) -> None:
        self._shared = shared

    def sendall(self, data: bytes) -> None:
        """Send all of it, without data of other processes in between."""
        if sys.platform != "win32":
            import fcntl

            fcntl.lockf(self._shared, fcntl.LOCK_EX)  # the kernel releases it if this process dies
            try:
                self._shared.sendall(data)
            finally:
                fcntl.lockf(self._shared, fcntl.LOCK_UN)

    def fileno(self) -> int:
        """The socket's descriptor."""
        return int(self._shared.fileno())

    def close(self) -> None:
        """Close this process's descriptor."""
        self._shared.close()


def _retry_sockets(config: pytest.Config) -> Iterable[HasFileno]:
    reporter = sys.modules["pytest_retry.retry_plugin"].retry_manager.reporter
    return [reporter.sock] if hasattr(reporter, "sock") else []


def _renew_retry(config: pytest.Config, throw_away: bool) -> None:
    """Let workers share a connection: the plugin's server reads one until it is closed, then the next."""
    plugin = sys.modules["pytest_retry.retry_plugin"]
    reporter = plugin.retry_manager.reporter
    if throw_away:
        KEPT.append(reporter)
        plugin.retry_manager.reporter = plugin.OfflineReporter()
    elif hasattr(reporter, "sock") and not isinstance(reporter.sock, _SharedSocket):
        reporter.sock = _SharedSocket(reporter.sock)


# --- pytest-testmon 2.2 ------------------------------------------------------------------------------


def _renew_testmon(config: pytest.Config, throw_away: bool) -> None:
    """Open the database anew.

    SQLite forbids carrying a connection over a fork: https://www.sqlite.org/howtocorrupt.html, section 2.6.
    """
    data = getattr(config, "testmon_data", None)
    module = sys.modules["testmon.db"]
    if data is None or not isinstance(data.db, module.DB):  # it is not active, or talks to a server
        return
    core = sys.modules["testmon.testmon_core"]
    KEPT.append(data.db)
    data.db = type(data.db)(os.path.join(data.rootdir, core.get_data_file_path()), readonly=True)


# --- allure-pytest 2.16 ------------------------------------------------------------------------------


def _renew_allure(config: pytest.Config, throw_away: bool) -> None:
    """Give the worker a row of its own in the timeline, and let a throw-away process write nothing.

    The plugin has named the row after the process and thread in which it was configured.
    """
    listener = config.pluginmanager.getplugin("allure_listener")
    if listener is None:
        return
    worker = config.workerinput["workerid"]  # type: ignore[attr-defined]
    listener._thread = _ROWS.setdefault(worker, sys.modules["allure_commons.utils"].thread_tag())
    if throw_away:
        writers = sys.modules["allure_commons"].plugin_manager
        logger = sys.modules["allure_commons.logger"].AllureFileLogger
        for plugin in [plugin for plugin in writers.get_plugins() if isinstance(plugin, logger)]:
            writers.unregister(plugin)


# --- pytest-monitor 1.6 ------------------------------------------------------------------------------


def _renew_monitor(config: pytest.Config, throw_away: bool) -> None:
    """Renew its SQLite connection, and the process that it measures. A throw-away process adds no rows."""
    monitor = getattr(config.pluginmanager.getplugin("session"), "pytest_monitor", None)
    if monitor is None:
        return
    prefix = f"_{type(monitor).__name__}__"
    process, database, remote = (f"{prefix}{name}" for name in ("process", "db", "remote"))
    old = getattr(monitor, database)
    setattr(monitor, process, type(getattr(monitor, process))())
    if old is not None:
        KEPT.append(old)
        path = getattr(old, f"_{type(old).__name__}__db")
        setattr(monitor, database, None if throw_away else type(old)(path))
    if throw_away:
        setattr(monitor, remote, None)


# --- pytest-benchmark 5.3 ----------------------------------------------------------------------------


def _renew_benchmark(config: pytest.Config, throw_away: bool) -> None:
    """Drop the note that it does not measure, which it decides to print while ``gw0`` collects."""
    session = getattr(config, "_benchmarksession", None)
    if session is not None:
        session.xdist_benchmark_found = False  # the fork server, which has collected, prints it


PLUGINS = (
    Adapter(
        "pytest-rerunfailures", "pytest_rerunfailures", _renew_rerunfailures, _rerunfailures_sockets, True
    ),
    Adapter("pytest-retry", "pytest_retry.retry_plugin", _renew_retry, _retry_sockets, True),
    Adapter("pytest-testmon", "testmon.db", _renew_testmon, tells=True),
    Adapter("allure-pytest", "allure_commons.utils", _renew_allure, tells=True),
    Adapter("pytest-monitor", "pytest_monitor.session", _renew_monitor, tells=True),
    Adapter("pytest-benchmark", "pytest_benchmark.session", _renew_benchmark),
)
