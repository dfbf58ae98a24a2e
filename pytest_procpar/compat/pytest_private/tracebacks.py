"""Hides our frames in users' tracebacks, where they stand between pytest's.

pytest leaves out the frames of functions that have a local variable ``__tracebackhide__``, but not where
Python formats the traceback: ``--tb=native``, and exception groups in every style.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from types import TracebackType

import pytest

import pytest_procpar
from pytest_procpar.compat.foreign_options import shows_full_trace

__all__ = ["hide_frames", "hide_frames_in_reports"]

_PACKAGE = str(Path(pytest_procpar.__file__).parent) + "/"


def hide_frames(config: pytest.Config, call: pytest.CallInfo[None]) -> None:
    """Remove our frames from a call's exception and its causes, unless ``--full-trace`` is given.

    Call it before the report is made.
    """
    if call.excinfo is None or shows_full_trace(config):
        return
    seen: set[int] = set()
    todo: list[object] = [call.excinfo.value]
    while todo:
        error = todo.pop()
        if isinstance(error, BaseException) and id(error) not in seen:
            seen.add(id(error))
            with suppress(Exception):  # a user's exception may do anything here
                todo += _hide_in(error)


def _hide_in(error: BaseException) -> list[object]:
    """Remove our frames from one exception; return its cause, its context and, of a group, its members."""
    # Not by an assignment, which an exception may refuse: a frozen dataclass does.
    BaseException.with_traceback(error, _without_ours(error.__traceback__))
    return [error.__cause__, error.__context__, *(getattr(error, "exceptions", None) or ())]


def hide_frames_in_reports(config: pytest.Config) -> None:
    """Hide our frames in each report from now on. Call it at the first error, since it costs time."""
    if not config.pluginmanager.hasplugin("procpar-frames"):
        config.pluginmanager.register(_Hider(config), "procpar-frames")


class _Hider:
    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, call: pytest.CallInfo[None]) -> None:
        hide_frames(self._config, call)


def _without_ours(traceback: TracebackType | None) -> TracebackType | None:
    while traceback is not None and _is_ours(traceback):
        traceback = traceback.tb_next
    at = traceback
    while at is not None:
        if at.tb_next is not None and _is_ours(at.tb_next):
            at.tb_next = at.tb_next.tb_next
        else:
            at = at.tb_next
    return traceback


def _is_ours(traceback: TracebackType) -> bool:
    code = traceback.tb_frame.f_code
    return "__tracebackhide__" in code.co_varnames and code.co_filename.startswith(_PACKAGE)
