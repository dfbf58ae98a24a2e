"""Leaves out of reports what nobody is going to read: a traceback takes most of a failed test's time."""

from __future__ import annotations

import pytest

from pytest_procpar.compat.foreign_options import write_no_tracebacks
from pytest_procpar.compat.pytest_reports.quiet_hooks import module_of

__all__ = ["leave_out_tracebacks"]

_KNOWN = ("_pytest.", "pytest_procpar.")


def leave_out_tracebacks(config: pytest.Config) -> None:
    """Make reports without tracebacks from now on, in a process whose reports are shown to nobody.

    The message and the place of a failure stay in them. A plugin that makes reports, or changes them, may
    decide by the traceback how a test ends: then it stays, too.
    """
    makers = config.hook.pytest_runtest_makereport.get_hookimpls()
    if all(module_of(impl.plugin).startswith(_KNOWN) for impl in makers):
        write_no_tracebacks(config)
