"""What a deep survey has tried: a line for the user, and plain data for programs."""

from __future__ import annotations

from typing import TypedDict

import pytest

from pytest_procpar.core.survey.pairs import Coverage

__all__ = ["OrdersRecord", "orders_line", "orders_record", "tell_report"]


class OrdersRecord(TypedDict):
    """`tests` tests were run in `orders` orders; the other parts are those of a `Coverage`."""

    tests: int
    orders: int
    tried: float
    adjacent: float
    estimate: bool
    left_out: int
    followed: int
    not_alone: int


def orders_record(coverage: Coverage) -> OrdersRecord:
    """A `Coverage` as plain data. Fractions are rounded down: only what is complete is 1."""
    return {
        "tests": coverage.tests,
        "orders": coverage.orders,
        "tried": _rounded_down(coverage.tried),
        "adjacent": _rounded_down(coverage.adjacent),
        "estimate": coverage.estimate and not coverage.complete,
        "left_out": coverage.left_out,
        "followed": coverage.followed,
        "not_alone": coverage.not_alone,
    }


def orders_line(coverage: Coverage) -> str:
    """How much was tried, in one line."""
    orders = f"{coverage.orders} order{'' if coverage.orders == 1 else 's'}"
    adjacent = int(100 * coverage.adjacent)
    part = f"{int(100 * coverage.tried)} %"
    if coverage.estimate and not coverage.complete:
        part = "more than 99 %" if coverage.tried == 1 else f"about {part}"
    slow = f"; {_slowest(coverage.left_out)} not in all of them" if coverage.left_out else ""
    if coverage.not_alone:
        slow += f"; {_slowest(coverage.not_alone)} not tried alone"
    if coverage.followed:
        tests = "test that changes" if coverage.followed == 1 else "tests that change"
        slow += f"; all others were tried right after each of {coverage.followed} {tests} state"
    return (
        f"{coverage.tests} tests were run in {orders}: {part} of their ordered pairs are tried, {adjacent} % "
        f"with nothing between{slow}"
    )


def _slowest(tests: int) -> str:
    return "the slowest was" if tests == 1 else f"{tests} of the slowest were"


def tell_report(config: pytest.Config, coverage: Coverage) -> None:
    """Add the coverage to the run's report, if there is one."""
    report = config.pluginmanager.getplugin("procpar-json-report")
    if report is not None:
        report.covered(orders_record(coverage))


def _rounded_down(part: float) -> float:
    return int(10_000 * part) / 10_000
