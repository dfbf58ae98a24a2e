"""The time limits that tests have of their own, read from the collected items."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pytest

from pytest_procpar.core.printable import printable_line

__all__ = ["time_limits"]


def time_limits(items: Iterable[pytest.Item]) -> dict[int, float]:
    """The seconds in the ``hang_timeout`` marks, by the items' index; the closest mark counts.

    :raises pytest.UsageError: for a mark with another value; names the test and the value.
    """
    limits: dict[int, float] = {}
    for index, item in enumerate(items):
        mark = item.get_closest_marker("hang_timeout")
        if mark is not None:
            limits[index] = _seconds(mark, item.nodeid)
    return limits


def _seconds(mark: pytest.Mark, nodeid: str) -> float:
    value = mark.args[0] if len(mark.args) == 1 and not mark.kwargs else mark.kwargs.get("seconds")
    known = len(mark.args) + len(mark.kwargs) == 1
    if not known or isinstance(value, bool) or not isinstance(value, (int, float)):
        value = -1.0
    if not 0 <= value < math.inf:
        shown = ", ".join([*map(repr, mark.args), *(f"{k}={v!r}" for k, v in mark.kwargs.items())])
        raise pytest.UsageError(
            f"{printable_line(nodeid)}: hang_timeout({shown}): give the seconds that the test may take, "
            "or 0 for no limit"
        )
    return float(value)
