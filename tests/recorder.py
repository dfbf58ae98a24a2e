"""A plugin of the suites that the end-to-end tests run: notes facts, one JSON line each.

It is copied beside such a suite, so it imports nothing of this package. Suites use it too::

    from recorder import note, reached, block

It asserts nothing, so PYTEST_DONT_REWRITE: each suite would rewrite its copy anew.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, NoReturn

import pytest

_HERE = Path(__file__).parent


def note(kind: str, **facts: object) -> None:
    """Write a line: whole, whoever else writes."""
    line = json.dumps({"kind": kind, "pid": os.getpid(), "worker": worker(), **facts}) + "\n"
    fd = os.open(
        os.environ.get("RECORDS") or _HERE / "records.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600
    )
    try:
        os.write(fd, line.encode())
    finally:
        os.close(fd)


def worker() -> str:
    """The id of this process's worker."""
    return os.environ.get("PYTEST_XDIST_WORKER", "main")


def reached(word: str = "") -> None:
    """Tell the test outside that this point is reached."""
    fd = os.open(_HERE / "reached.fifo", os.O_WRONLY)
    os.write(fd, f"{os.getpid()} {word}\n".encode())
    os.close(fd)


def block() -> NoReturn:
    """Wait for what never comes; a signal may end it."""
    fd = os.open(_HERE / "never.fifo", os.O_RDWR)
    try:
        while True:
            os.read(fd, 1)
    finally:
        os.close(fd)


class _Results:
    """Not in workers: some shortcuts are taken there only if no plugin listens."""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        note(
            "report",
            nodeid=report.nodeid,
            when=report.when,
            outcome=report.outcome,
            wasxfail=getattr(report, "wasxfail", None),
            by=getattr(report, "worker_id", None),
            index=getattr(report, "item_index", None),
            longrepr=str(report.longrepr or ""),
            sections=report.sections,
            properties=report.user_properties,
            context=repr(getattr(report, "context", None)),
        )

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if not report.passed:
            note("collectreport", nodeid=report.nodeid, outcome=report.outcome)

    def pytest_warning_recorded(self, warning_message: Any, when: str, nodeid: str) -> None:
        note("warning", text=str(warning_message.message), when=when, nodeid=nodeid)


class _Recorder:
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        note("sessionfinish", exitstatus=int(exitstatus))

    def pytest_unconfigure(self) -> None:
        note("unconfigure")


def pytest_configure(config: pytest.Config) -> None:
    note("configure", argv=config.invocation_params.args)
    config.pluginmanager.register(_Recorder(), "recorder-of-ends")
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Results(), "recorder-of-reports")


def pytest_collection() -> None:
    note("collection")
