"""Mends standard streams that this process still needs after tests closed, detached or deleted them.

Written against the private parts of pytest 8.2 to 9.2.
"""

from __future__ import annotations

import os
import select
import sys
from tempfile import TemporaryFile

import pytest
from _pytest.capture import (
    CaptureIO,
    CaptureManager,
    EncodedFile,
    FDCaptureBase,
    MultiCapture,
    SysCaptureBase,
)

from pytest_procpar.compat.pytest_private.output import redirect_stdio

__all__ = ["forget_hung_up_terminal", "mend_capture"]

#: How long to wait after SIGHUP for the terminal to be seen as gone, in milliseconds.
_HANG_UP_MS = 100


def mend_capture(config: pytest.Config) -> None:
    """Give pytest's capture new files for those that a test has closed, so that capturing can end.

    A test that closes `sys.stdout` closes the file that pytest captures into. Each later phase then fails, as
    under plain pytest. Without this, so would the end of the process, which belongs to no test, and whatever
    plugins print.
    """
    manager = config.pluginmanager.getplugin("capturemanager")
    if isinstance(manager, CaptureManager) and manager._global_capturing is not None:
        _mend_files(manager._global_capturing)
    for name in ("stdout", "stderr"):
        if not _is_open(getattr(sys, name, None)):
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 (as long as the process)


def _mend_files(capturing: MultiCapture[str]) -> None:
    for capture in (capturing.out, capturing.err):
        if isinstance(capture, FDCaptureBase) and not _is_usable(capture.tmpfile):
            file = TemporaryFile(buffering=0)  # noqa: SIM115 (the capture closes it)
            capture.tmpfile = EncodedFile(
                file, encoding="utf-8", errors="replace", newline="", write_through=True
            )
            if isinstance(capture.syscapture, SysCaptureBase):
                capture.syscapture.tmpfile = capture.tmpfile
        elif isinstance(capture, SysCaptureBase) and not _is_usable(capture.tmpfile):
            capture.tmpfile = CaptureIO()


def _is_open(stream: object) -> bool:
    """Whether a standard stream can be written to. One that a test has put there need not be a file."""
    try:
        return stream is not None and not getattr(stream, "closed", False)
    except ValueError:  # it is detached
        return False


def forget_hung_up_terminal(config: pytest.Config) -> None:
    """Discard what is written to a terminal that has hung up, or to a pipe without a reader."""
    gone = [fd for fd in (1, 2) if _has_hung_up(fd)]
    if gone:
        null = os.open(os.devnull, os.O_WRONLY)
        redirect_stdio(config, null, gone, lambda fd: fd)
        os.close(null)


def _has_hung_up(fd: int) -> bool:
    if sys.platform == "win32":
        return False
    else:
        poll = select.poll()
        poll.register(fd, 0)
        return any(event & (select.POLLHUP | select.POLLERR) for _, event in poll.poll(_HANG_UP_MS))


def _is_usable(file: object) -> bool:
    """Whether what is written to a text stream can still reach its file."""
    try:
        return not file.buffer.closed  # type: ignore[attr-defined]
    except (AttributeError, ValueError):  # it is detached
        return False
