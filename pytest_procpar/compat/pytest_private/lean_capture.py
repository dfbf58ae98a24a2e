"""Capture and logging around the phases of a lean test (see `lean_tests`), without their context managers.

What tests can see is the same: streams, descriptors, handlers and sections. Written against pytest 8.4 to
9.2.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from io import StringIO
from typing import TypeAlias

import pytest
from _pytest.capture import CaptureManager, FDCapture, MultiCapture, SysCapture
from _pytest.logging import (
    LoggingPlugin,
    _LiveLoggingNullHandler,
    caplog_handler_key,
    caplog_records_key,
    catching_logs,
)

__all__ = ["LeanCapture", "LeanLogs", "Logged"]

#: What both handlers hold of a phase: records and text of the fixture's, records and text of the report's.
Logged: TypeAlias = tuple[list[logging.LogRecord], StringIO, list[logging.LogRecord], StringIO]
#: Whether handlers are attached to loggers that do not propagate, too (pytest 9.1).
_KNOWS_NON_PROPAGATING = "attached_loggers" in getattr(catching_logs, "__slots__", ())


class LeanCapture:
    """Captures the phases of one test after the other, as `CaptureManager.item_capture` does.

    pytest suspends its capture after each phase, since its terminal reporter writes then. In a worker only
    the real standard output is flushed there. So capture with descriptors (``--capture=fd``) is suspended
    after the last phase, and in between the descriptor alone leads to the real output for a moment.
    """

    def __init__(self, manager: CaptureManager) -> None:
        self._manager = manager
        self._capturing = manager._global_capturing
        self._files = _files_of(self._capturing)

    def is_usual(self) -> bool:
        """Whether capture is what it was when the worker started."""
        return self._capturing is not None and self._manager._global_capturing is self._capturing

    def begin(self) -> None:
        """Capture from now on. May raise whatever pytest raises if a test has broken capture."""
        manager, files = self._manager, self._files
        if files is None or not self._is_started():
            manager.resume_global_capture()
        else:  # a test may have left something else in its place; for the other one see `between`
            os.dup2(files[1].tmpfile.fileno(), 2)
        if manager._capture_fixture:
            manager.activate_fixture()

    def end(self, item: pytest.Item, when: str) -> None:
        """Take what has been captured into the sections of the item's reports."""
        manager, files = self._manager, self._files
        if manager._capture_fixture:
            manager.deactivate_fixture()
        if files is None or not _are_in_place(*files):
            manager.suspend_global_capture(in_=False)
        elif not (os.fstat(files[0].tmpfile.fileno()).st_size or os.fstat(files[1].tmpfile.fileno()).st_size):
            return
        out, err = manager.read_global_capture()
        item.add_report_section(when, "stdout", out)
        item.add_report_section(when, "stderr", err)

    def between(self, flush: Callable[[], None]) -> None:
        """Flush the real standard output between two phases: it is not captured there."""
        if self._files is None or not self._is_started():
            flush()
            return
        out, _ = self._files
        os.dup2(out.targetfd_save, 1)
        flush()
        os.dup2(out.tmpfile.fileno(), 1)

    def suspend(self) -> None:
        """Capture nothing until the next phase begins."""
        if self._files is not None:
            self._manager.suspend_global_capture(in_=False)

    def _is_started(self) -> bool:
        capturing, files = self._capturing, self._files
        assert capturing is not None
        assert files is not None
        return (
            capturing._state == "started"
            and not capturing._in_suspended
            and files[0]._state == "started"
            and files[1]._state == "started"
        )


def _are_in_place(out: FDCapture, err: FDCapture) -> bool:
    """Whether Python writes to the files of capture, and not to what a test has put there."""
    return sys.stdout is out.syscapture.tmpfile and sys.stderr is err.syscapture.tmpfile  # type: ignore[attr-defined]


def _files_of(capturing: MultiCapture[str] | None) -> tuple[FDCapture, FDCapture] | None:
    """What captures the two descriptors of output; None if they are captured in another way, or not."""
    if capturing is None:
        return None
    out, err = capturing.out, capturing.err
    if type(out) is not FDCapture or type(err) is not FDCapture:
        return None
    usual = type(out.syscapture) is SysCapture and type(err.syscapture) is SysCapture
    return (out, err) if usual and (out.targetfd, err.targetfd) == (1, 2) else None


class LeanLogs:
    """Logs the phases of one test after the other, as `LoggingPlugin._runtest_for` does.

    The handlers stay with the root logger from one phase to the next. They are put at the end of its list
    again if a test has changed that.
    """

    def __init__(self, plugin: LoggingPlugin) -> None:
        self._plugin = plugin
        self._handlers = [plugin.caplog_handler, plugin.report_handler]
        #: The loggers that do not propagate, while a phase runs.
        self._others: list[logging.Logger] = []

    def is_usual(self) -> bool:
        """Whether no level is set, and nothing logs live."""
        plugin = self._plugin
        return plugin.log_level is None and type(plugin.log_cli_handler) is _LiveLoggingNullHandler

    def begin(self, item: pytest.Item, when: str) -> None:
        """Log a phase from now on."""
        root = logging.getLogger()
        if root.handlers[-2:] != self._handlers:
            for handler in self._handlers:
                if handler in root.handlers:
                    root.removeHandler(handler)
                root.addHandler(handler)
        if _KNOWS_NON_PROPAGATING:
            for logger in root.manager.loggerDict.values():
                if isinstance(logger, logging.Logger) and not logger.propagate and logger is not root:
                    self._others.append(logger)
                    for handler in self._handlers:
                        logger.addHandler(handler)
        caplog, report = self._plugin.caplog_handler, self._plugin.report_handler
        caplog.reset()
        report.reset()
        stash = item.stash
        if when == "setup":
            stash[caplog_records_key] = {when: caplog.records}
        else:
            stash[caplog_records_key][when] = caplog.records
        stash[caplog_handler_key] = caplog

    def end(self, item: pytest.Item, when: str) -> None:
        """Take what has been logged into the sections of the item's reports."""
        text = self._plugin.report_handler.stream.getvalue()
        if text:
            item.add_report_section(when, "log", text.strip())
        if self._others:
            self._leave_others()

    def finish(self, item: pytest.Item) -> None:
        """End a test."""
        self._detach()
        del item.stash[caplog_records_key]
        del item.stash[caplog_handler_key]

    def taken(self) -> Logged:
        """What has been logged in this phase, for `put_back`."""
        caplog, report = self._plugin.caplog_handler, self._plugin.report_handler
        return caplog.records, caplog.stream, report.records, report.stream

    def put_back(self, item: pytest.Item, when: str, logged: Logged) -> None:
        """Go on with what has been logged before pytest's plugin began this phase anew."""
        caplog, report = self._plugin.caplog_handler, self._plugin.report_handler
        caplog.records, caplog.stream, report.records, report.stream = logged
        item.stash[caplog_records_key][when] = caplog.records

    def leave(self) -> None:
        """Let pytest's plugin attach the handlers."""
        self._leave_others()
        self._detach()

    def _leave_others(self) -> None:
        for logger in self._others:
            for handler in self._handlers:
                logger.removeHandler(handler)
        self._others.clear()

    def _detach(self) -> None:
        root = logging.getLogger()
        for handler in self._handlers:
            root.removeHandler(handler)
