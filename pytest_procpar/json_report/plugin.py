"""Writes what became of every test into a JSON file, for programs (``--procpar-report``).

Listens to pytest's public hooks, in the controller of a parallel run or in a plain run. ``docs/report.md``
explains the file, and ``docs/report.schema.json`` is its schema.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import pytest

import pytest_procpar.json_report.file as file
import pytest_procpar.system.files as files
from pytest_procpar import __version__
from pytest_procpar.compat.xdist.options import told_dist
from pytest_procpar.core.printable import printable_line
from pytest_procpar.json_report.attempts import text_of
from pytest_procpar.json_report.run_log import RunLog, SequenceRecord, TestRecord

if TYPE_CHECKING:
    from pytest_procpar.compat.xdist.objects import Node
    from pytest_procpar.core.inquiry.finding_record import FindingRecord
    from pytest_procpar.json_report.orders import OrdersRecord

__all__ = ["FORMAT", "OUTCOMES", "VERSION", "Head", "JsonReport", "Report", "check_path", "install"]

#: The file's format and the version of its schema; a version says what the file has at least.
FORMAT, VERSION = "procpar-report", 1
#: How a test can end.
OUTCOMES = (
    "passed", "failed", "error", "skipped", "xfailed", "xpassed", "crashed", "hung", "not-run", "unfinished",
)  # fmt: skip


class CollectErrorRecord(TypedDict):
    """Something that could not be collected: a file, a class."""

    nodeid: str
    longrepr: str


class _More(TypedDict, total=False):
    orders: OrdersRecord


class Head(_More):
    """The file without its tests; ``orders`` is there only if it was asked for."""

    format: str
    version: int
    created: float
    duration: float
    exit_status: int
    interrupted: str | None
    root: str
    command: list[str]
    environment: dict[str, str]
    workers: int
    dist: str
    run_id: str | None
    collected: int
    deselected: int
    warnings: int
    summary: dict[str, int]
    errors: list[str]
    collect_errors: list[CollectErrorRecord]
    findings: list[FindingRecord]
    sequences: list[SequenceRecord]


class Report(Head):
    """The whole file."""

    tests: list[TestRecord]


def _bind(clock: Callable[[], float]) -> Callable[[], float]:
    """A clock that tests cannot patch: they patch every module that has `time.time` among its names."""
    return lambda: clock()


_now, _monotonic = _bind(time.time), _bind(time.monotonic)


def check_path(value: str, option: str = "--procpar-report") -> Path:
    """The path of the file that an option names; the folder for it is made.

    :raises pytest.UsageError: if no file can be written there.
    """
    path = Path(os.path.abspath(os.path.expanduser(os.path.expandvars(value))))
    try:
        if value.endswith(os.sep) or not value.strip():
            raise OSError("it names no file")
        files.probe(path)
    except (OSError, ValueError) as error:  # ValueError: a null character
        raise pytest.UsageError(
            f"{option}: cannot write to {value!r} ({error}): give the path of a file"
        ) from None
    return path


def install(config: pytest.Config, value: str) -> None:
    """Have the results of this process's run written to the file `value`; not for workers.

    :raises pytest.UsageError: if no file can be written there.
    """
    config.pluginmanager.register(JsonReport(config, check_path(value)), "procpar-json-report")


class JsonReport:
    """The plugin that listens, and writes at the end."""

    def __init__(self, config: pytest.Config, path: Path) -> None:
        self._config = config
        self._path = path
        self._log = RunLog()
        self._created, self._began = _now(), _monotonic()
        #: Read now: that starts a program, which may not survive what tests leave behind.
        self._platform = platform.platform()
        #: The index of each collected item of a plain run, by the item's `id`.
        self._numbers: dict[int, int] = {}
        self._workers = 0
        self._workers_with_tests = 0
        self._run_id: str | None = None
        self._interrupted: str | None = None
        self._errors: list[str] = []
        self._collect_errors: list[CollectErrorRecord] = []
        self._warnings = 0
        self._findings: list[FindingRecord] = []
        self._orders: OrdersRecord | None = None
        self._written = False
        self._failure: str | None = None

    # --- what is collected ---

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Node) -> None:
        """A worker is about to be made."""
        self._workers += 1
        self._run_id = str(node.workerinput["testrunuid"])

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        """A worker is to run some of these tests, or all of them."""
        self._workers_with_tests += 1
        each = told_dist(self._config) == "each"
        self._log.collected(ids, self._workers_with_tests if each else None)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """This process has collected tests."""
        self._numbers = {id(item): index for index, item in enumerate(session.items)}
        self._log.collected([item.nodeid for item in session.items], None)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A collector has failed, or something that is reported in the same way."""
        if report.failed:
            text = text_of(report.longrepr)
            if type(report).__name__ == "WorkerDied" or report.nodeid.startswith("worker gw"):
                self._errors.append(f"{report.nodeid}: {text}")
            else:
                self._collect_errors.append({"nodeid": report.nodeid, "longrepr": text})

    # --- what happens ---

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> None:
        """This process runs a test."""
        self._log.running(self._numbers.get(id(item)))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """A test begins, in whatever process."""
        self._log.began(nodeid)

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """File the report; last, since pytest changes that of a test with failed subtests as it shows it."""
        self._log.add(report)

    def pytest_warning_recorded(self) -> None:
        """Count a warning."""
        self._warnings += 1

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """The user, pytest.exit or pytest itself ends the run early."""
        self._interrupted = str(getattr(excinfo.value, "msg", excinfo.value)) or excinfo.typename

    def pytest_internalerror(self, excrepr: object) -> None:
        """Something broke."""
        self._errors.append(str(excrepr))

    @pytest.hookimpl(optionalhook=True)  # a report can be asked for in runs without this plugin
    def pytest_procpar_findings(self, findings: list[FindingRecord]) -> None:
        """The re-check is over."""
        self._findings = findings
        for finding in findings:
            if finding["flagged"]:
                self._log.flag(finding["test"]["index"], finding["kind"])

    def covered(self, orders: OrdersRecord) -> None:
        """The re-check has run the tests in other orders."""
        self._orders = orders

    # --- the end ---

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None]:
        """Write the file after fixtures are torn down and before the terminal's summary.

        The summary may have to say that writing failed.
        """
        try:
            return (yield)
        finally:
            self._write(session)

    def _write(self, session: pytest.Session) -> None:
        try:
            files.write(self._path, self._to_bytes(session))
            self._written = True
        except OSError as error:
            self._failure = (
                f"--procpar-report: {printable_line(str(self._path))} is not written: {error}; "
                "the results above are complete"
            )
            if session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
                session.exitstatus = pytest.ExitCode.INTERNAL_ERROR

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say where the file is, or that it is not."""
        if self._failure is not None:
            terminalreporter.write_line(self._failure, red=True, bold=True)
            self._failure = None
        elif self._written and self._config.get_verbosity() >= 0:
            terminalreporter.write_sep("-", printable_line(f"generated report: {self._path}"))

    def pytest_unconfigure(self) -> None:
        """Say that writing failed if there was no summary to say it in."""
        if self._failure is not None:
            sys.stderr.write(f"{self._failure}\n")

    def _to_bytes(self, session: pytest.Session) -> bytes:
        """The file: one line for each of its parts, and one for each test."""
        counts = dict.fromkeys(OUTCOMES, 0)
        tests = []
        for outcome, text in self._log.written():
            counts[outcome] = counts.get(outcome, 0) + 1
            tests.append(text)
        head = self._head(session, counts)
        lines = [f"{file.to_json(name)}: {file.to_json(value)}" for name, value in head.items()]
        listed = ",\n".join(tests)
        return file.to_bytes("{\n" + ",\n".join(lines) + f',\n"tests": [\n{listed}\n]\n}}\n')

    def _head(self, session: pytest.Session, counts: dict[str, int]) -> Head:
        config = self._config
        reporter = config.pluginmanager.getplugin("terminalreporter")
        head: Head = {
            "format": FORMAT,
            "version": VERSION,
            "created": round(self._created, 6),
            "duration": round(_monotonic() - self._began, 6),
            "exit_status": int(session.exitstatus),
            "interrupted": self._why_interrupted(session),
            "root": str(config.rootpath),
            "command": [str(arg) for arg in config.invocation_params.args],
            "environment": {
                "python": platform.python_version(),
                "platform": self._platform,
                "pytest": pytest.__version__,
                "procpar": __version__,
            },
            "workers": self._workers_with_tests or self._workers,
            "dist": told_dist(config) if self._workers else "no",
            "run_id": self._run_id,
            "collected": session.testscollected,
            "deselected": 0 if reporter is None else len(reporter.stats.get("deselected", ())),
            "warnings": self._warnings,
            "summary": {**counts, "collected": session.testscollected},
            "errors": self._errors,
            "collect_errors": self._collect_errors,
            "findings": self._findings,
            "sequences": self._log.sequences(),
        }
        if self._orders is not None:
            head["orders"] = self._orders
        return head

    def _why_interrupted(self, session: pytest.Session) -> str | None:
        for reason in (self._interrupted, session.shouldfail, session.shouldstop):
            if reason:
                return str(reason)
        return None
