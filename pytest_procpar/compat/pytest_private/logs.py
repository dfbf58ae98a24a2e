"""pytest's log file and its live log (``log_cli``) when several processes log.

Written against the private parts of pytest 8.2 to 9.2.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections import deque
from collections.abc import Callable

import pytest
from _pytest.logging import LoggingPlugin, _LiveLoggingStreamHandler

from pytest_procpar.compat.foreign_options import append_to_log_file, log_file_mode, set_log_file_mode
from pytest_procpar.core.protocol.common import Logged

__all__ = ["LiveLog", "LogForwarder"]

_get_ident, _main_thread = threading.get_ident, threading.main_thread
_EXACT = (str, int, float, bool, type(None))


# --- in the process that owns the terminal ----------------------------------------------------------


class LiveLog:
    """Shows in the terminal what other processes log, and lets them write to this one's log file."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._source: object = None
        #: Whether something else was shown since the latest record. Set by the code that shows it.
        self.interrupted = True
        config.pluginmanager.register(self, "procpar-live-log")

    @pytest.hookimpl
    def pytest_plugin_registered(self, plugin: object) -> None:
        """Write at the current end of the log file (``O_APPEND``), since other processes write to it, too."""
        if isinstance(plugin, LoggingPlugin) and sys.platform != "win32":
            import fcntl

            fd = plugin.log_file_handler.stream.fileno()  # type: ignore[union-attr]
            fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_APPEND)

    def show(self, message: Logged, worker: str | None) -> None:
        """Write a record on lines of its own, below a heading that says which worker and test it is from."""
        plugin = self._config.pluginmanager.getplugin("logging-plugin")
        handler = getattr(plugin, "log_cli_handler", None)
        if not isinstance(handler, _LiveLoggingStreamHandler):
            return
        try:
            text = handler.format(logging.makeLogRecord(message.data))
        except Exception:  # the format asks for a field that this record lacks: pytest ignores that, too
            return
        reporter = handler.stream
        reporter.ensure_newline()
        source = (worker, message.nodeid, message.when)
        if self.interrupted or source != self._source:
            self._source, self.interrupted = source, False
            title = f"live log {message.when}" if message.when else "live log"
            whose = f"[{worker}] " if worker else ""
            reporter.section(
                f"{title}: {whose}{message.nodeid}" if message.nodeid else f"{title} {whose}".strip(),
                sep="-",
                bold=True,
            )
        reporter.write(text + handler.terminator)
        reporter.flush()


# --- in the other processes -------------------------------------------------------------------------


class LogForwarder:
    """A plugin that redirects the live log once pytest's logging plugin is registered, or now if it is.

    :param send: sends a record to the process that owns the terminal.
    """

    def __init__(self, config: pytest.Config, send: Callable[[Logged], None]) -> None:
        self._config = config
        self._send = send
        self._mode = append_to_log_file(config)  # the controller has already emptied the file if it should be

    @pytest.hookimpl
    def pytest_plugin_registered(self, plugin: object) -> None:
        """Take over the live log, if there is one."""
        if not isinstance(plugin, LoggingPlugin):
            return
        set_log_file_mode(self._config, self._mode)
        plugin.log_file_mode = log_file_mode(self._config)
        old = plugin.log_cli_handler
        if isinstance(old, _LiveLoggingStreamHandler):
            handler = _Handler(self._send)
            handler.setFormatter(old.formatter)
            handler.setLevel(old.level)
            handler.set_when(old._when)
            plugin.log_cli_handler = handler  # type: ignore[assignment]
            _replace(old, handler)
            self._config.pluginmanager.register(_Attribution(handler), "procpar-live-log-attribution")


def _replace(old: logging.Handler, new: logging.Handler) -> None:
    root = logging.getLogger()
    for logger in (root, *root.manager.loggerDict.values()):
        if isinstance(logger, logging.Logger) and old in logger.handlers:
            logger.handlers[logger.handlers.index(old)] = new


class _Handler(logging.Handler):
    """Replaces pytest's handler of the live log.

    Only the main thread speaks to the controller: a record of another thread is sent with the main thread's
    next record, or at the end of the phase.
    """

    def __init__(self, send: Callable[[Logged], None]) -> None:
        super().__init__()
        self._send = send
        self._when: str | None = None
        self._waiting: deque[Logged] = deque()
        self.nodeid: str | None = None

    def reset(self) -> None:
        """Do nothing: headings are written by the process that shows the records."""

    def set_when(self, when: str | None) -> None:
        self._when = when

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._waiting.append(Logged(self.nodeid, self._when, _portable(record, self.formatter)))
        except Exception:  # as under pytest, another handler reports what is wrong with the record
            return
        if _get_ident() == _main_thread().ident:
            self.release_waiting()

    def release_waiting(self) -> None:
        while self._waiting:
            self._send(self._waiting.popleft())


def _portable(record: logging.LogRecord, formatter: logging.Formatter | None) -> dict[str, object]:
    """The parts of a record that a formatter in another process needs, in builtin types."""
    if record.exc_info and not record.exc_text:
        record.exc_text = (formatter or logging.Formatter()).formatException(record.exc_info)
    whole = {**record.__dict__, "msg": record.getMessage(), "args": None, "exc_info": None}
    return {str(name): value if type(value) in _EXACT else str(value) for name, value in whole.items()}


class _Attribution:
    """Tells the handler which test runs, and sends the records that wait, at the latest after each phase."""

    def __init__(self, handler: _Handler) -> None:
        self._handler = handler

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._handler.nodeid = nodeid

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self) -> None:
        self._handler.release_waiting()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logfinish(self) -> None:
        self._handler.release_waiting()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        self._handler.nodeid = None
        self._handler.release_waiting()

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self) -> None:
        self._handler.release_waiting()
