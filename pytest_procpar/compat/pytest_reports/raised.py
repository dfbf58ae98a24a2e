"""Where failures were raised: ``--tb=no``, ``line`` and ``native`` leave that out of reports.

The re-check needs this to see which failures have the same root. It is kept beside the report until the
report is sent to the controller.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress
from typing import TypeAlias

import pytest

from pytest_procpar.compat.foreign_options import traceback_style

__all__ = ["install", "raised_of"]

#: The traceback styles whose entries name neither functions nor places.
_STYLES = ("no", "line", "native")
_NAME = "procpar-raised"

#: The function in the first entry of the traceback; file, line and statement of the last entry.
Raised: TypeAlias = tuple[str, str, int, str]


def install(config: pytest.Config) -> None:
    """In a worker, note from now on where failures are raised, if reports do not say that."""
    if traceback_style(config) in _STYLES:
        config.pluginmanager.register(_Noting(), _NAME)


def raised_of(config: pytest.Config, report: pytest.TestReport | pytest.CollectReport) -> Raised | None:
    """Where the failure in a report that was just made was raised; None if that is not known."""
    noting: _Noting | None = config.pluginmanager.get_plugin(_NAME)
    return None if noting is None or noting.report is not report else noting.raised


class _Noting:
    """Remembers the latest failure."""

    def __init__(self) -> None:
        self.report: object = None
        self.raised: Raised | None = None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Note where this was raised, if it is a failure."""
        report = yield
        if call.excinfo is not None and report.failed:
            self.report, self.raised = report, None
            with suppress(Exception):  # a user's exception may do anything here
                self.raised = _raised(item, call.excinfo)
        return report


def _raised(item: pytest.Item, excinfo: pytest.ExceptionInfo[BaseException]) -> Raised | None:
    entries = item._traceback_filter(excinfo)
    if not entries:
        return None
    last, source = entries[-1], ""
    with suppress(Exception):  # there may be none
        source = str(last.statement)
    return entries[0].name, str(last.path), last.lineno + 1, source
