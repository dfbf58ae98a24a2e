"""What a worker says about the reports of its tests: values that were lost, and files that were in use."""

from __future__ import annotations

from contextlib import suppress

import pytest

from pytest_procpar.compat.pytest_private.warnings import tell_warning
from pytest_procpar.core.model import ReportData

__all__ = ["contended_file_of", "tell_lost"]


def contended_file_of(data: ReportData) -> str:
    """The file that a failed test could not get; call this in the hook, while the exception keeps it open."""
    with suppress(Exception):  # whatever the test has done to this process, its report counts
        from pytest_procpar.core.inquiry.roots import message_of  # only red runs need it
        from pytest_procpar.system.contended import contended_file

        return contended_file(message_of(data))
    return ""


def tell_lost(config: pytest.Config, lost_values: list[str], item: pytest.Item | None) -> None:
    """Warn about values that could not be carried, from a test's report or `config.workeroutput`."""
    path = "" if item is None else str(item.path)
    whose = "config.workeroutput" if item is None else f"what {item.nodeid} reports"
    for lost in dict.fromkeys(lost_values):
        tell_warning(
            config,
            f"{lost} in {whose} cannot be carried from a worker to the controller and went as its repr: "
            "give text, numbers, or lists and dicts of them",
            path,
            item,
        )
