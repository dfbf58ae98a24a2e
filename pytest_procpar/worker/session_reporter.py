"""What a fork server or a worker reports about anything but the reports of its tests."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Generator, Sequence
from contextlib import suppress

import pytest

from pytest_procpar.compat.foreign_options import makes_junit_xml, tell_internal_error
from pytest_procpar.compat.pytest_private.cache import failed_before
from pytest_procpar.compat.pytest_private.logs import LogForwarder
from pytest_procpar.compat.pytest_private.warnings import warning_to_data
from pytest_procpar.compat.pytest_private.wide_fixtures import shared_by
from pytest_procpar.compat.pytest_reports.junit import JunitStandIn
from pytest_procpar.compat.pytest_reports.reports import report_to_data
from pytest_procpar.core.model import Dist
from pytest_procpar.core.protocol.common import Broke, Collected, CollectReported, Halted, Logged, Warned
from pytest_procpar.core.protocol.worker import JunitRecord
from pytest_procpar.forking.children import SessionOver
from pytest_procpar.forking.fork import disregard_interrupts
from pytest_procpar.ipc.board import BoardSlot
from pytest_procpar.ipc.link import Sender
from pytest_procpar.replay.file import pinned_keys
from pytest_procpar.worker.grouping import grouping_keys
from pytest_procpar.worker.limits import time_limits

__all__ = ["SessionReporter"]

#: The modes that deal single tests, by what these share.
_SHARING = (Dist.LOAD, Dist.WORKSTEAL)


class SessionReporter:
    """A plugin of the fork server, inherited by its workers."""

    def __init__(self, config: pytest.Config, dist: Dist, link: Sender, slot: BoardSlot) -> None:
        self._config = config
        self._slot = slot
        self._dist = dist
        self._link = link
        self._is_worker = False
        self._deselected: list[str] = []
        self._lines: list[str] = []
        self._failed_before: frozenset[str] = frozenset()
        self._is_told = False
        config.pluginmanager.register(LogForwarder(config, self._tell), "procpar-log-forwarder")

    def speak_for_worker(self, link: Sender) -> None:
        """Become a worker's plugin: whatever belongs to the collection has been reported."""
        self._link = link
        self._is_worker = True
        if makes_junit_xml(self._config):
            JunitStandIn(self._config, self._tell).install()

    def _tell(self, message: JunitRecord | Logged) -> None:
        """Send a message at once: what follows may end the process."""
        self._link.put(message)
        with suppress(OSError):  # a test has closed the connection; the worker will notice
            self._link.flush()

    def collected(self, session: pytest.Session, apart: list[int]) -> None:
        """Send the result of the collection to the controller.

        :param apart: the tests that a mark gives a process of their own.
        """
        items = session.items
        pinned = pinned_keys(session.config)
        self._link.put(
            Collected(
                ids=[item.nodeid for item in items],
                keys=grouping_keys(items, self._dist) if pinned is None else pinned,
                shared=shared_by(items) if pinned is None and self._dist in _SHARING else None,
                deselected=self._deselected,
                lines=self._lines,
                limits=time_limits(items),
                apart=apart,
            )
        )

    def halted(self, message: Halted) -> None:
        """Tell the controller that this process has stopped."""
        self._link.put(message)
        self._link.flush()

    def ended_by(self, session: pytest.Session, error: BaseException) -> int:
        """Tell the controller what has ended this process's session; return pytest's exit status for it.

        Call this while the exception is being handled.
        """
        if isinstance(error, SessionOver):
            disregard_interrupts()
            if error.interrupted:
                self._tell_plugins_of_interrupt()
            return error.status
        if isinstance(error, pytest.UsageError):
            disregard_interrupts()
            self.halted(Halted("usage", "\n".join(map(str, error.args))))
            return pytest.ExitCode.USAGE_ERROR
        if isinstance(error, session.Failed):
            self.halted(Halted("shouldfail", str(error)))
            return pytest.ExitCode.TESTS_FAILED
        if isinstance(error, (KeyboardInterrupt, pytest.exit.Exception)):
            disregard_interrupts()  # the controller, which hears of the first, may send another
            self._config.hook.pytest_keyboard_interrupt(excinfo=pytest.ExceptionInfo.from_current())
            return getattr(error, "returncode", None) or pytest.ExitCode.INTERRUPTED
        disregard_interrupts()
        try:
            tell_internal_error(self._config)
        except Exception:  # for instance, a test has closed what capture needs: the controller has to know
            self._link.put(Broke(traceback.format_exc()))
            self._link.flush()
        return pytest.ExitCode.INTERNAL_ERROR

    def _tell_plugins_of_interrupt(self) -> None:
        """Tell this process's plugins about an interrupt that a child has reported to the controller."""
        self._is_told = True
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            self._config.hook.pytest_keyboard_interrupt(excinfo=pytest.ExceptionInfo.from_current())

    # --- collection ---

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> None:
        """Find out, now that everything is configured, which collectors ``--lf`` has to hear about."""
        self._failed_before = failed_before(self._config)

    @pytest.hookimpl(tryfirst=True)
    def pytest_make_collect_report(self, collector: pytest.Collector) -> None:
        """Note what is being collected, in case it ends the process."""
        self._slot.note(f"while it collected {collector.nodeid or 'the suite'}")

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self) -> None:
        """Note that everything is collected, and plugins take their turn."""
        self._slot.note("at the end of the collection")

    @pytest.hookimpl
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Relay what failed or was skipped, and what failed before but no longer does."""
        if not report.passed or report.nodeid in self._failed_before:
            data = report_to_data(self._config, report)
            data["procpar_children"] = [node.nodeid for node in report.result or ()]
            self._link.put(CollectReported(data))

    @pytest.hookimpl
    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Note what a plugin or ``-k`` has left out."""
        # pytest-testmon deselects stand-ins, which have no nodeid: pytest itself only counts them.
        self._deselected.extend(getattr(item, "nodeid", type(item).__name__) for item in items)

    @pytest.hookimpl(wrapper=True)
    def pytest_report_collectionfinish(self) -> Generator[None, list[str | list[str]], list[str | list[str]]]:
        """Note what plugins say about the collection (``--lf``, ``--sw``)."""
        results = yield
        for lines in reversed(results):
            self._lines.extend([lines] if isinstance(lines, str) else lines)
        return results

    # --- at any time ---

    @pytest.hookimpl
    def pytest_warning_recorded(
        self,
        warning_message: warnings.WarningMessage,
        when: str,
        nodeid: str,
        location: tuple[str, int, str] | None,
    ) -> None:
        """Relay the collection's warnings. A test's come from `ItemRunner`, the controller's from itself."""
        if when == "collect" and not self._is_worker:
            self._link.put(Warned(warning_to_data(warning_message, when, nodeid, location)))

    @pytest.hookimpl
    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Relay a Ctrl-C, a `pytest.exit`, or a plugin's interruption of the session."""
        if self._is_told:
            return
        value = excinfo.value
        if isinstance(value, pytest.exit.Exception):
            self.halted(Halted("exit", str(value.msg), value.returncode))
        elif isinstance(value, pytest.Session.Interrupted):
            self.halted(Halted("shouldstop", str(value)))
        else:
            crash = excinfo.getrepr(funcargs=True).reprcrash
            place = (str(crash.path), crash.lineno) if crash is not None else None
            self.halted(Halted("keyboard", excinfo.exconly(), place=place))

    @pytest.hookimpl
    def pytest_internalerror(self, excrepr: object) -> bool:
        """Relay an internal error; the controller prints it."""
        self._link.put(Broke(str(excrepr)))
        self._link.flush()
        return True
