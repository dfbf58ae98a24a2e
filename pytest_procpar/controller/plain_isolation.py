"""The mark ``isolated`` in a run without workers: marked tests run in processes of their own all the same.

Before the first test, a process is forked that runs no test itself; from it, one is forked for each marked
test. What these report goes to the session's hooks as if the test had run here.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from pytest_procpar.compat.pytest_private.items import late_teardown
from pytest_procpar.compat.pytest_private.logs import LiveLog
from pytest_procpar.compat.pytest_private.session import shared_basetemp
from pytest_procpar.compat.pytest_private.warnings import warning_from_data
from pytest_procpar.compat.pytest_reports.junit import JunitNotes
from pytest_procpar.compat.pytest_reports.reports import (
    add_junit_properties,
    passed_reports,
    report_from_data,
)
from pytest_procpar.config.settings import fork_safe
from pytest_procpar.controller.run_end import Ending
from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.protocol.codec import Message
from pytest_procpar.core.protocol.common import Broke, Halted, Logged, Warned
from pytest_procpar.core.protocol.server import Reaped
from pytest_procpar.core.protocol.worker import Began, Done, Finished, JunitRecord, Reported, Starved
from pytest_procpar.core.protocol.worker_status import Stage
from pytest_procpar.coverage_data.combining import collect_coverage
from pytest_procpar.forking.children import signal_group
from pytest_procpar.forking.fork import fork
from pytest_procpar.ipc.blackbox import BlackBox
from pytest_procpar.ipc.board import Board
from pytest_procpar.ipc.inbox import WorkerLink, WorkerPort
from pytest_procpar.report.crash_reports import reproduce, verdict, worker_died
from pytest_procpar.report.crash_summary import CrashSummary
from pytest_procpar.start_method.thread_warning import tell_of_threads, thread_warning
from pytest_procpar.system.calls import describe_status, getpid
from pytest_procpar.system.genuine import READ, make_poll, waitpid
from pytest_procpar.system.shortage import in_words

if TYPE_CHECKING:
    from pytest_procpar.compat.pytest_private.output import Writer

__all__ = ["install"]

_NAME = "isolated"


def install(session: pytest.Session, marked: frozenset[int]) -> None:
    """Run these tests, given by their indexes among the session's items, in processes of their own."""
    processes = _Processes(session, marked)
    session.config.add_cleanup(processes.close)
    session.config.pluginmanager.register(processes, "procpar-isolated")


class _Processes:
    """The plugin that runs marked tests elsewhere, and the process that they are forked from."""

    def __init__(self, session: pytest.Session, marked: frozenset[int]) -> None:
        self._session = session
        self._config = session.config
        self._tests = {session.items[index]: TestIndex(index) for index in marked}
        self._owner = getpid()
        self._board = Board(0, slots=1)
        self._slot = self._board.slot(0)
        self._box = BlackBox()
        self._crash_summary = CrashSummary()
        self._junit = JunitNotes(session.config)
        self._live_log = LiveLog(session.config)
        self._ending = Ending()
        #: The running test, its location, and the sections of its latest report.
        self._item: pytest.Item = session.items[0]
        self._location: tuple[str, int | None, str] = ("", None, "")
        self._sections: list[tuple[str, str]] = []
        #: Whether the running test has nothing more to report, and whether its process is gone.
        self._is_over = self._is_gone = True
        tell_of_threads(session.config, thread_warning(fork_safe(session.config)))
        self._start()

    def _start(self) -> None:
        shared_basetemp(self._config)  # before another process empties it
        self._port = WorkerPort(self._board.preview(0))
        try:
            self._pid = fork()
        except OSError as error:
            self._port.close()
            raise pytest.UsageError(f"no process for tests that are isolated: {in_words(error)}") from None
        if self._pid == 0:
            from pytest_procpar.isolation.plain_run import serve

            link = WorkerLink(self._port.theirs, self._board.preview(0))
            self._port.theirs.clear()
            self._port.close()
            serve(self._session, link, self._board, self._box.theirs, self._owner)
        self._port.sent()
        self._box.sent()
        self._poll = make_poll()
        self._poll.register(self._port, READ)
        self._poll.register(self._box, READ)

    def close(self) -> None:
        """Kill the processes, and wait until they are gone."""
        if getpid() == self._owner:
            with suppress(ProcessLookupError):
                signal_group(self._pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                waitpid(self._pid, 0)
            self._port.close()
            self._box.close()
            collect_coverage(self._config)

    # --- hooks ---

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        """Run a marked test elsewhere, and tear down the fixtures here that no later test needs."""
        test = self._tests.get(item)
        if test is None or getpid() != self._owner:
            return None
        self._item, self._sections = item, []
        self._is_over = self._is_gone = False
        self._port.inbox.send([test])
        try:
            self._attend()
        except KeyboardInterrupt:
            self._interrupt()
            self._attend()  # a second interrupt ends it
            self._ending.halt(Halted("keyboard", ""))
        if self._ending.halted:
            self._ending.tell(self._session)
        report = late_teardown(item, nextitem)
        if report is not None:
            item.ihook.pytest_runtest_logreport(report=report)
        return True

    @pytest.hookimpl
    def pytest_terminal_summary(self, terminalreporter: Writer) -> None:
        """List the tests that crashed."""
        self._crash_summary.write(terminalreporter)

    # --- the test's process ---

    def _interrupt(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGINT)

    def _attend(self) -> None:
        """Pass on what the test's process says, until it is gone."""
        while not self._is_gone:
            for fd, _ in self._poll.poll():
                if fd != self._port.fileno():
                    if not self._box.relay():
                        self._poll.unregister(fd)
                    continue
                messages, is_open = self._port.receive()
                for message in messages:
                    self._hear(message)
                if not is_open and not self._is_gone:
                    self._is_gone = True
                    self._ending.broken_by("the process that isolated tests are forked from has died")
        if not self._is_over:
            self._is_over = True
            self._item.ihook.pytest_runtest_logfinish(nodeid=self._item.nodeid, location=self._location)

    def _hear(self, message: Message) -> None:
        hook = self._item.ihook
        match message:
            case Began(_, location):
                self._location = location
                hook.pytest_runtest_logstart(nodeid=self._item.nodeid, location=location)
            case Reported(_, data):
                report = report_from_data(self._config, data)
                self._sections = report.sections or self._sections
                hook.pytest_runtest_logreport(report=report)
            case Finished(_, passes):
                for report in passed_reports(self._item.nodeid, self._location, *passes) if passes else ():
                    hook.pytest_runtest_logreport(report=report)
                self._is_over = True
                hook.pytest_runtest_logfinish(nodeid=self._item.nodeid, location=self._location)
            case Warned(data):
                self._config.hook.pytest_warning_recorded.call_historic(kwargs=warning_from_data(data))
            case JunitRecord():
                self._junit.add(message, None)
            case Logged():
                self._live_log.show(message, None)
            case Halted():
                self._ending.halt(message)
            case Broke(text):
                self._ending.broken_by(f"internal error in the process of {self._item.nodeid}:\n{text}")
            case Done():
                self._is_gone = True
            case Starved(reason):
                self._is_gone = True
                self._ending.halt(Halted("exit", reason, pytest.ExitCode.TESTS_FAILED))
            case Reaped(_, status, _, peak_memory):
                self._is_gone = True
                self._died(status, peak_memory)
            case _:
                raise AssertionError(f"unexpected: {message}")

    def _died(self, status: int, peak_memory: int | None) -> None:
        """Report the death of a test's process: as the test's crash, or as one that is no test's fault."""
        nodeid, slot = self._item.nodeid, self._slot.read()
        death = self._box.death(describe_status(status), slot, peak_memory, "")
        self._box.clear()
        if not self._is_over and slot.stage is Stage.BETWEEN and slot.test is not None:
            passes = None if slot.phases is None else (tuple(nodeid.split("::")), slot.phases)
            self._hear(Finished(slot.test, passes))
        if self._is_over:
            died = worker_died(_NAME, death, nodeid, limit=None)
            self._crash_summary.worker(died)
            self._config.hook.pytest_collectreport(report=died)
        else:
            command = reproduce(self._config, nodeid)
            report = verdict(nodeid, _NAME, death, command, limit=None, earlier=self._sections)
            self._crash_summary.test(report)
            self._item.ihook.pytest_runtest_logreport(report=report)
            add_junit_properties(self._config, report)
