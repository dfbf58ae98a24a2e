"""A worker: runs the tests that it finds in its inbox, and reports what happened.

It decides only what pytest makes a runner decide: what stays set up between two tests.
"""

from __future__ import annotations

import struct
import warnings
from typing import NoReturn, cast

import pytest

from pytest_procpar.compat.pytest_private.items import Locations, alive_nodes, late_teardown, watch_teardown
from pytest_procpar.compat.pytest_private.lean_tests import LeanTests, lean_tests, plain_reports
from pytest_procpar.compat.pytest_private.warnings import warning_to_data
from pytest_procpar.compat.pytest_reports.reports import core_handles_reports, report_to_data, settle_subtests
from pytest_procpar.compat.pytest_reports.statuses import Statuses
from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.protocol.common import Location, PassedPhases, Warned
from pytest_procpar.core.protocol.records import Record
from pytest_procpar.core.protocol.wire import Encoder
from pytest_procpar.core.protocol.worker import Began, Done, Finished, Ready, Reported
from pytest_procpar.core.protocol.worker_status import Stage
from pytest_procpar.coverage_data.measuring import note_coverage, own_coverage
from pytest_procpar.ipc.board import Board, BoardSlot
from pytest_procpar.ipc.inbox import WorkerLink
from pytest_procpar.system.calls import end_process, getpid, monotonic, pause
from pytest_procpar.worker.output import RealStdout
from pytest_procpar.worker.remarks import contended_file_of, tell_lost

__all__ = ["ItemRunner"]

_PHASES = ("setup", "call", "teardown")
#: How many attributes a report has that says only "passed": nodeid, location, keywords, outcome, longrepr,
#: when, user_properties, sections, duration, start, stop. A plugin's attribute would be one more.
_PLAIN_ATTRIBUTES = 11


class ItemRunner:
    """The plugin of one worker process, and its loop."""

    def __init__(self, session: pytest.Session, link: WorkerLink, board: Board, slot: BoardSlot) -> None:
        self._session = session
        self._board = board
        self._slot = slot
        self._config = session.config
        self._link = link
        self._short_form = core_handles_reports(session.config)
        self._statuses = Statuses(session.config)
        #: Writes what tests have written past capture.
        self.flush_past_capture = RealStdout().flush
        self._lean: LeanTests | None = None
        #: The plain passes of the running test, while it has nothing else to report.
        self._passes: list[pytest.TestReport] | None = []
        self._current = TestIndex(-1)
        self._location: Location | None = None
        self._locations = Locations()
        self._latest: pytest.Item | None = None
        #: Whether the controller has yet to say when the session may be finished: true from Ready until it
        #: has.
        self._awaits_finish = False
        self._in_test = False
        #: Whether the reports of the running test are complete, and whether it has been torn down.
        self._over = False
        self._torn_down = False
        #: The warnings of the running test. pytest reports them after the test, and so does the controller.
        self._warned: list[Warned] = []
        self._phases: PassedPhases | None = None
        self._failures = session.testsfailed
        #: What pytest was told comes next, and what was really kept alive.
        self._hint: pytest.Item | None = None
        self._hint_index: int | None = None
        self._kept: pytest.Item | pytest.Session | None = None

    # --- the loop ---

    def loop(self) -> None:
        """Run tests until the controller says that there will be no more.

        Raises what pytest's own loop raises: `Session.Failed`, `Session.Interrupted`,
        `pytest.exit.Exception`, or anything else that a hook lets out.
        """
        watch_teardown(self._session, self._decide_kept)
        own_coverage()  # coverage may have begun after the fork
        self._awaits_finish = True
        self._link.put(Ready(getpid()))
        while (record := self._next_record()) != "finish":
            if isinstance(record, int):
                self._run_one(TestIndex(record))
            elif record == "last":
                self._tear_down_late(None)
        self._tear_down_late(None)
        self._awaits_finish = False

    def wait_for_finish(self) -> None:
        """If an exception ended the loop, make sure that no worker begins another test, and wait."""
        if self._awaits_finish:
            self._board.stop()
            self._await_finish()
        self._slot.enter(Stage.ENDING, self._current)

    def _await_finish(self) -> None:
        self._flush()
        try:
            while (record := self._link.peek(wait=True)) != "finish":
                if isinstance(record, int):
                    pause(0.001)  # the controller is about to take it back
                else:
                    self._link.claim(wait=True)
        except EOFError:
            return

    def done(self, output: dict[str, object]) -> None:
        """Report that the session is finished. Nothing may follow."""
        encoder = Encoder()
        encoder.frame(output)
        if encoder.lost:
            tell_lost(self._config, encoder.lost, None)
            self._flush()
        self._link.put(Done(output))
        self._flush()

    def _next_record(self) -> Record:
        try:
            record = self._link.claim(wait=False) if not self._board.stopped else None
            if self._board.stopped and record is None:
                self._await_finish()
                return "finish"
            if record is None:
                self._flush()
                record = self._link.claim(wait=True)
        except EOFError:  # the controller is gone; the fork server does the rest
            self._slot.note("its connection to the controller is closed")
            return "finish"
        except OSError as error:
            self._cut_off(error)
        return cast("Record", record)

    def _run_one(self, index: TestIndex) -> None:
        item = self._item(index)
        if self._latest is not None and self._kept is not item:
            self._tear_down_late(item)
        note_coverage()  # what has happened after the latest test's end
        self._current, self._latest, self._passes = index, item, []
        head = self._look_ahead()
        self._location = self._locations.of(item)
        self._over = self._torn_down = False
        self._link.put(Began(index, self._location))
        self._flush()
        if head is None:  # plugins tear down by `nextitem`: it is not None while more of a class may come
            head = self._await_hint()
        self._hint_index = head if isinstance(head, int) else None
        self._hint = self._item(head) if isinstance(head, int) else None
        # Only now: until here the slot alone knows how the latest test ended.
        self._slot.enter(Stage.SETUP, index)
        began = monotonic()
        self._in_test = True
        try:
            self._config.hook.pytest_runtest_protocol(item=item, nextitem=self._hint)
        except BaseException:
            self._board.stop()
            raise
        finally:
            if self._link.forked:  # a child that the test has forked: it has nothing to do here
                end_process(int(self._session.testsfailed > self._failures))
            self._in_test = False
            if not self._over:
                self.pytest_runtest_logfinish()
            self._link.put(Finished(index, self._phases, began, monotonic()))
            self._tell_warnings()
        self._honour_stop()

    def _look_ahead(self) -> Record | None:
        try:
            return self._link.peek()
        except EOFError:  # the controller is gone, or a test has shut the connection down
            return None

    def _item(self, test: int) -> pytest.Item:
        """The item behind an index; under ``--dist each`` an item has several indexes."""
        items = self._session.items
        return items[test % len(items)]

    def _honour_stop(self) -> None:
        session = self._session
        if session.testsfailed > self._failures:
            self._failures = session.testsfailed
            self._board.failed(self._slot.number, self._failures)
        if session.shouldfail or session.shouldstop:
            self._board.stop()
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        if session.shouldstop:
            raise session.Interrupted(session.shouldstop)

    # --- what stays set up ---

    def _decide_kept(self, nextitem: pytest.Item | None) -> pytest.Item | pytest.Session | None:
        session = self._session
        if not self._in_test or nextitem is not self._hint or session.shouldfail or session.shouldstop:
            return nextitem  # some plugin has a reason of its own
        # A hint that was an item is as good as certain; if it is taken back, a late teardown follows.
        head = self._hint_index if self._hint_index is not None else self._await_hint()
        if isinstance(head, int):
            self._kept = self._item(head)
        else:
            self._kept = session if head == "hold" else None
        return self._kept

    def _await_hint(self) -> Record:
        """What comes next: wait until that is known."""
        try:
            if self._link.forked:
                return "finish"
            head = self._link.peek()
            if head is None:
                self._flush()
                head = self._link.peek(wait=True)
        except EOFError:
            return "finish"
        return cast("Record", head)

    def _tear_down_late(self, keep: pytest.Item | None) -> None:
        """Tear down what the next test does not need; this counts for the latest test."""
        alive = alive_nodes(self._session)
        is_kept = keep is not None and alive == keep.listchain()[: len(alive)]
        if self._latest is None or not alive or is_kept:
            return
        self._kept = None
        self._flush()
        self._slot.enter(Stage.LATE_TEARDOWN, self._current)
        report = late_teardown(self._latest, keep)
        self.flush_past_capture()
        self._slot.enter(Stage.BETWEEN, self._current)
        if report is not None:
            self._report(report)

    def be_lean(self, *, wanted: bool) -> None:
        """Leave out what nobody needs, from now on. Call this once the worker's plugins are registered."""
        if wanted and self._short_form and type(self) is ItemRunner:
            self._lean = lean_tests(self._session, self)

    @pytest.hookimpl
    def pytest_plugin_registered(self) -> None:
        """Let a plugin that a test has registered hear what the other plugins hear."""
        self._statuses.look()
        if self._lean is not None:
            self._lean.plugins_changed()

    # --- how far the worker has come, for a post-mortem if it dies ---

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self) -> None:
        """Note that a test is set up again, if a plugin repeats it."""
        if self._torn_down:
            self._torn_down = False
            if self._over and self._phases is not None and self._latest is not None:
                for report in plain_reports(self._latest, *self._phases):
                    self._report(report)
                self._phases = None
            self._slot.enter(Stage.SETUP, self._current)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_call(self) -> None:
        """Note that a test is called."""
        self._slot.enter(Stage.CALL, self._current)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_teardown(self) -> None:
        """Note that a test is torn down."""
        self._torn_down = True
        self._slot.enter(Stage.TEARDOWN, self._current)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logfinish(self) -> None:
        """Note that a test is over: whatever happens from here on is not its doing."""
        if self._link.forked:
            return
        note_coverage()
        self._over = True
        reports = self._passes
        self._phases = self._take_passes()
        if self._phases is None:
            self._flush()
        try:
            self._slot.passed(self._current, self._phases[1] if self._phases else None)
        except struct.error:  # a plugin has put something else where the times belong
            self._phases = None
            for report in reports or ():
                self._put_report(report)
            self._flush()
            self._slot.passed(self._current, None)

    # --- messages ---

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Relay a report: at once, unless it is a plain pass."""
        self.flush_past_capture()
        if not self._statuses.told:
            settle_subtests(self._config, report)
        passes = self._passes
        if passes is not None and self._lean is not None:
            passes += self._lean.untold()
        if passes is not None:
            if self._is_plain(report, len(passes)):
                passes.append(report)
                return
            self._passes = None
            for earlier in passes:
                self._put_report(earlier)
        self._report(report)

    @pytest.hookimpl
    def pytest_warning_recorded(
        self,
        warning_message: warnings.WarningMessage,
        when: str,
        nodeid: str,
        location: tuple[str, int, str] | None,
    ) -> None:
        """Relay a warning of a test."""
        if when == "runtest":
            self._warned.append(Warned(warning_to_data(warning_message, when, nodeid, location)))
            if not self._in_test:
                self._tell_warnings()

    def _tell_warnings(self) -> None:
        for warned in self._warned:
            self._link.put(warned)
        self._warned.clear()

    def _is_plain(self, report: pytest.TestReport, position: int) -> bool:
        return (
            self._short_form
            and report.outcome == "passed"
            and type(report) is pytest.TestReport
            and report.longrepr is None
            and not report.sections
            and not report.user_properties
            and position < 3
            and report.when == _PHASES[position]
            and len(report.__dict__) == _PLAIN_ATTRIBUTES
            and report.location == self._location
        )

    def _take_passes(self) -> PassedPhases | None:
        """The short form of the running test's reports; None if they have none and are sent in full."""
        reports, self._passes = self._passes, None
        if self._lean is not None and reports is not None:
            if (phases := self._lean.taken()) is not None:
                return phases
            reports += self._lean.untold()
        if not reports:
            return None
        if len(reports) == 3 and all(r.keywords == reports[0].keywords for r in reports):
            return tuple(reports[0].keywords), tuple((r.start, r.stop, r.duration) for r in reports)
        for report in reports:
            self._put_report(report)
        return None

    def _report(self, report: pytest.TestReport) -> None:
        """Send what is more than a plain pass at once: a crash in a later phase must not swallow it."""
        self._put_report(report)
        self._flush()

    def _put_report(self, report: pytest.TestReport) -> None:
        data = report_to_data(self._config, report)
        if report.failed and (held := contended_file_of(data)):
            data["procpar_held"] = held
        self._link.put(Reported(self._current, data))

    def _cut_off(self, error: OSError) -> NoReturn:
        """End this process: a test has closed its connection to the controller."""
        self._slot.note(f"a test has closed the connection to the controller: {error}")
        end_process(1)

    def _flush(self) -> None:
        try:
            lost_values = self._link.flush()
        except OSError as error:
            self._cut_off(error)
        if lost_values and self._awaits_finish:
            tell_lost(self._config, lost_values, self._latest)
            self._flush()
