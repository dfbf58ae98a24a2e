"""What tests did in a run without workers of ours, as far as that matters for known findings."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from pytest_procpar.core.inquiry.probes import Outcome
from pytest_procpar.core.recheck.known_findings import KnownFinding, Ran

__all__ = ["PlainRecord"]

#: Marks that may give a test a process of its own.
_APART = ("isolated", "forked")


class PlainRecord:
    """A plugin that notes how tests end, and in which order, in each process that reports."""

    def __init__(self) -> None:
        #: By test: its process (the name of its worker if it had one) and its place in that process's order.
        self._places: dict[str, tuple[object, int]] = {}
        self._words: dict[str, Outcome] = {}
        self._orders: dict[object, list[str]] = {}
        self._apart: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A phase of a test has ended."""
        nodeid, process = report.nodeid, getattr(report, "worker_id", None)
        if report.when == "setup":
            order = self._orders.setdefault(process, [])
            self._places[nodeid] = process, len(order)
            self._words[nodeid] = Outcome.PASSED
            order.append(nodeid)
            if any(mark in report.keywords for mark in _APART):
                self._apart.add(nodeid)
        if report.failed:
            self._words[nodeid] = Outcome.FAILED
        elif report.skipped and not hasattr(report, "wasxfail") and self._words.get(nodeid) is Outcome.PASSED:
            self._words[nodeid] = Outcome.SKIPPED

    def ran(self, known: Iterable[KnownFinding]) -> dict[str, Ran]:
        """How the tests that something is known of ended, and what preceded them."""
        found = {}
        for finding in known:
            nodeid = finding.test
            if nodeid in self._places:
                found[nodeid] = Ran(self._words[nodeid], self._before(nodeid))
        return found

    def _before(self, nodeid: str) -> tuple[str, ...] | None:
        if nodeid in self._apart:
            return None
        process, place = self._places[nodeid]
        order = self._orders[process][:place]
        return tuple(
            other for other in order if other not in self._apart and self._words[other] is not Outcome.SKIPPED
        )
