"""What some plugins and libraries hold that processes must not share, and how each of them lets go of it.

All in one place, and each by itself: a plugin that has changed costs a warning, not the run. None of them is
imported here, and one that is not loaded costs a look into `sys.modules`. Written against the versions named
with each; for everybody else there is the hook `pytest_procpar_worker_forked`.
"""

from __future__ import annotations

import os
import socket
import sys
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, NamedTuple

import pytest

from pytest_procpar.compat.warnings import tell_warning

__all__ = ["adapt", "adapted_sockets", "introduce"]

# Tests replace it.
_getpid = os.getpid

#: The process whose things are its own: the one that has begun the run, until `adapt` has been called.
_settled = _getpid()
#: What was made before the fork and is used by others: were it freed here, it would end their connection.
_KEPT: list[object] = []
#: The row of a worker in Allure's timeline, for all processes that run its tests.
_ROWS: dict[str, str] = {}


class _Adapter(NamedTuple):
    """What is done for one plugin or library.

    Attributes:
        name: Its distribution's.
        module: A module that is loaded if it is in use.
        renew: Done in a process that was forked; the second argument says whether it is a throw-away one, of
            which nobody may hear.
        sockets: Those that `renew` sees to.
    """

    name: str
    module: str
    renew: Callable[[pytest.Config, bool], None]
    sockets: Callable[[pytest.Config], Iterable[Any]] = lambda config: ()


def adapt(config: pytest.Config) -> None:
    """In a process that was forked: let plugins in use renew what they must not share.

    It does nothing a second time: what such a process has opened since is its own.
    """
    global _settled
    throw_away = config.pluginmanager.hasplugin("procpar-branch")
    if _getpid() == _settled and not throw_away:
        return
    _settled = _getpid()
    for adapter in _ADAPTERS:
        if adapter.module in sys.modules:
            try:
                adapter.renew(config, throw_away)
            except Exception as error:
                _warn(config, adapter, error)


def adapted_sockets(config: pytest.Config) -> frozenset[int]:
    """The descriptors of the open sockets that `adapt` sees to."""
    found: set[int] = set()
    for adapter in _ADAPTERS:
        with suppress(Exception):  # what cannot be found now is told when it cannot be renewed
            if adapter.module in sys.modules:
                found.update(_descriptors(adapter.sockets(config)))
    return frozenset(found)


def _descriptors(sockets: Iterable[Any]) -> Iterable[int]:
    for each in sockets:
        with suppress(Exception):  # it is closed, or no socket at all
            yield each.fileno()


def introduce(config: pytest.Config) -> None:
    """Before all others when a process is configured: tell plugins what they would ask pytest-xdist for."""
    if hasattr(config, "workerinput"):
        adapt(config)  # what conftests, imported in the controller, have opened
    rerunfailures: Any = sys.modules.get("pytest_rerunfailures")
    if rerunfailures is None:
        return
    # It asks the distribution for its version, and its package for a hook: reports of repetitions are dropped
    # without the one, crashes not repeated without the other. We have the hook and lose no reports.
    with suppress(AttributeError):
        if rerunfailures.works_with_current_xdist() is None:
            rerunfailures.works_with_current_xdist = lambda: True
    if hasattr(rerunfailures, "HAS_PYTEST_HANDLECRASHITEM"):
        rerunfailures.HAS_PYTEST_HANDLECRASHITEM = True


def _warn(config: pytest.Config, adapter: _Adapter, error: Exception) -> None:
    text = (
        f"{adapter.name} could not be adapted to a forked worker: {type(error).__name__}: {error}. It may "
        "share a connection or an identity with other workers; pytest_procpar_worker_forked is the hook to "
        "see to that."
    )
    tell_warning(config, text, adapter.name)


# --- pytest-rerunfailures 16 -----------------------------------------------------------------------


def _rerunfailures_sockets(config: pytest.Config) -> Iterable[Any]:
    database: Any = getattr(config, "failures_db", None)
    return [database.sock] if hasattr(database, "sock") else []


def _renew_rerunfailures(config: pytest.Config, throw_away: bool) -> None:
    """Its answers came to whichever worker read first: of 3,000 tests, 800 were reported."""
    database: Any = getattr(config, "failures_db", None)
    if not hasattr(database, "sock"):
        return
    module: Any = sys.modules["pytest_rerunfailures"]
    database.sock.close()  # this process's descriptor only
    if throw_away:
        config.failures_db = module.StatusDB()  # type: ignore[attr-defined]
    else:
        given = config.workerinput  # type: ignore[attr-defined]
        renewed = module.ClientStatusDB(given["sock_port"], given["statusdb_token"])
        # It writes twice, then reads, for every test: the kernel would wait for 40 ms between the writes.
        renewed.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        config.failures_db = renewed  # type: ignore[attr-defined]


# --- pytest-retry 1.7 ------------------------------------------------------------------------------


class _SharedSocket:
    """A socket through which processes talk in turns."""

    def __init__(self, shared: Any) -> None:
        self._shared = shared

    def sendall(self, data: bytes) -> None:
        """Send all of it, with nobody else's in between."""
        if sys.platform != "win32":
            import fcntl

            fcntl.lockf(self._shared, fcntl.LOCK_EX)  # let go of by the kernel if this process dies
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


def _retry_sockets(config: pytest.Config) -> Iterable[Any]:
    reporter = sys.modules["pytest_retry.retry_plugin"].retry_manager.reporter
    return [reporter.sock] if hasattr(reporter, "sock") else []


def _renew_retry(config: pytest.Config, throw_away: bool) -> None:
    """A connection for each worker would block: its server reads one until it is closed, then the next."""
    plugin = sys.modules["pytest_retry.retry_plugin"]
    reporter = plugin.retry_manager.reporter
    if throw_away:
        _KEPT.append(reporter)
        plugin.retry_manager.reporter = plugin.OfflineReporter()
    elif hasattr(reporter, "sock") and not isinstance(reporter.sock, _SharedSocket):
        reporter.sock = _SharedSocket(reporter.sock)


# --- pytest-testmon 2.2 ----------------------------------------------------------------------------


def _renew_testmon(config: pytest.Config, throw_away: bool) -> None:
    """SQLite forbids to carry a connection over a fork: https://www.sqlite.org/howtocorrupt.html, 2.6."""
    data: Any = getattr(config, "testmon_data", None)
    module: Any = sys.modules["testmon.db"]
    if data is None or not isinstance(data.db, module.DB):  # it is not active, or talks to a server
        return
    core: Any = sys.modules["testmon.testmon_core"]
    _KEPT.append(data.db)
    data.db = type(data.db)(os.path.join(data.rootdir, core.get_data_file_path()), readonly=True)


# --- allure-pytest 2.16 ----------------------------------------------------------------------------


def _renew_allure(config: pytest.Config, throw_away: bool) -> None:
    """The timeline has a row for each process and thread, as they were when the plugin was configured."""
    listener: Any = config.pluginmanager.getplugin("allure_listener")
    if listener is None:
        return
    worker = config.workerinput["workerid"]  # type: ignore[attr-defined]
    listener._thread = _ROWS.setdefault(worker, sys.modules["allure_commons.utils"].thread_tag())
    if throw_away:
        writers = sys.modules["allure_commons"].plugin_manager
        logger = sys.modules["allure_commons.logger"].AllureFileLogger
        for plugin in [plugin for plugin in writers.get_plugins() if isinstance(plugin, logger)]:
            writers.unregister(plugin)


# --- testcontainers 4 ------------------------------------------------------------------------------


def _reaper() -> Any:
    return getattr(sys.modules.get("testcontainers.core.container"), "Reaper", None)


def _testcontainers_sockets(config: pytest.Config) -> Iterable[Any]:
    open_socket = getattr(_reaper(), "_socket", None)
    return [] if open_socket is None else [open_socket]


def _renew_testcontainers(config: pytest.Config, throw_away: bool) -> None:
    """The session's id names the container that removes the others: one name, one container."""
    old, new = sys.modules["testcontainers.core.labels"].SESSION_ID, str(uuid.uuid4())
    for name, module in list(sys.modules.items()):
        if name.startswith("testcontainers.") and getattr(module, "SESSION_ID", None) == old:
            module.SESSION_ID = new  # type: ignore[attr-defined]
    reaper = _reaper()
    if reaper is not None and reaper._instance is not None:  # it watches containers with the old id
        _KEPT.extend((reaper._instance, reaper._container))
        reaper._socket.close()  # this process's descriptor only
        reaper._instance = reaper._container = reaper._socket = None


# --- Django 4.2 to 6 -------------------------------------------------------------------------------


def _django_connections() -> list[Any]:
    """Those that are open, but for databases in memory: a fork copies such a one, with what is in it."""
    if not sys.modules["django.conf"].settings.configured:
        return []
    initialized = sys.modules["django.db"].connections.all(initialized_only=True)
    return [each for each in initialized if each.connection is not None and not _is_in_memory(each)]


def _is_in_memory(connection: Any) -> bool:
    return connection.vendor == "sqlite" and bool(connection.is_in_memory_db())


def _django_sockets(config: pytest.Config) -> Iterable[Any]:
    return [getattr(each.connection, "_sock", each.connection) for each in _django_connections()]


def _renew_django(config: pytest.Config, throw_away: bool) -> None:
    """Not closed: that would say good-bye to the server, on the connection that the others have, too."""
    for each in _django_connections():
        _KEPT.append(each.connection)
        each.connection = None
        pools = getattr(type(each), "_connection_pools", None)
        if pools:
            _KEPT.append(dict(pools))
            pools.clear()


# --- pytest-monitor 1.6 ----------------------------------------------------------------------------


def _renew_monitor(config: pytest.Config, throw_away: bool) -> None:
    """It holds an SQLite connection, and the process that it measures; a throw-away one adds no rows."""
    monitor: Any = getattr(config.pluginmanager.getplugin("session"), "pytest_monitor", None)
    if monitor is None:
        return
    prefix = f"_{type(monitor).__name__}__"
    process, database, remote = (f"{prefix}{name}" for name in ("process", "db", "remote"))
    old = getattr(monitor, database)
    setattr(monitor, process, type(getattr(monitor, process))())
    if old is not None:
        _KEPT.append(old)
        path = getattr(old, f"_{type(old).__name__}__db")
        setattr(monitor, database, None if throw_away else type(old)(path))
    if throw_away:
        setattr(monitor, remote, None)


# --- OpenTelemetry 1 -------------------------------------------------------------------------------


def _renew_opentelemetry(config: pytest.Config, throw_away: bool) -> None:
    """Its threads start anew by themselves in a forked process; spans of a throw-away one go nowhere."""
    if throw_away:
        provider = sys.modules["opentelemetry.trace"].get_tracer_provider()
        provider = getattr(provider, "provider", provider)  # logfire puts one before it
        provider._active_span_processor._span_processors = ()


_ADAPTERS = (
    _Adapter("pytest-rerunfailures", "pytest_rerunfailures", _renew_rerunfailures, _rerunfailures_sockets),
    _Adapter("pytest-retry", "pytest_retry.retry_plugin", _renew_retry, _retry_sockets),
    _Adapter("pytest-testmon", "testmon.db", _renew_testmon),
    _Adapter("allure-pytest", "allure_commons.utils", _renew_allure),
    _Adapter("testcontainers", "testcontainers.core.labels", _renew_testcontainers, _testcontainers_sockets),
    _Adapter("Django", "django.db", _renew_django, _django_sockets),
    _Adapter("pytest-monitor", "pytest_monitor.session", _renew_monitor),
    _Adapter("OpenTelemetry", "opentelemetry.sdk.trace", _renew_opentelemetry),
)
