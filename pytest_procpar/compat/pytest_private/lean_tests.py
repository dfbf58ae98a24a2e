"""Runs the phases of a test without calls that nobody needs: hooks that only pytest listens to, and reports.

Of a trivial test's time in a worker, most goes into pluggy's calls of wrappers, into what these wrappers set
up and take down three times, and into the objects of three reports that nobody reads. Here pytest's own
implementations are called one after the other, and of a phase that passed with nothing to tell only the times
are noted. This is done only if

- no plugin but pytest's own and ours implements a hook that is left out, and those are the ones known here;
- the test is a plain function, and no mark lets it be skipped or fail.

What raises, has captured or logged something, or has changed marks or properties is handed over to pytest,
which makes the report as usual: see `lean_replay`. Written against pytest 8.4 to 9.2; with any other,
or with a pytest that differs, nothing is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Sized
from contextlib import suppress
from types import ModuleType
from typing import Protocol, TypeAlias

import pytest
from _pytest import runner, skipping, threadexception, timing, tmpdir, unraisableexception
from _pytest.capture import CaptureManager
from _pytest.logging import LoggingPlugin
from _pytest.nodes import Node
from pluggy import HookImpl

from pytest_procpar.compat.pytest_private.lean_capture import LeanCapture, LeanLogs
from pytest_procpar.compat.pytest_private.lean_hooks import UsualHooks, count_of, runners_of
from pytest_procpar.compat.pytest_private.lean_replay import Replay, When
from pytest_procpar.compat.pytest_reports.reports import passed_reports

__all__ = ["LeanTests", "Listener", "lean_tests", "plain_reports"]

#: A test with one of these takes the long way.
_MARKS = frozenset({"skip", "skipif", "xfail"})
#: When a phase began and ended, in seconds since the epoch, and how long it took.
Times: TypeAlias = tuple[float, float, float]


class Listener(Protocol):
    """A worker's plugin, whose implementations are called directly."""

    def pytest_runtest_setup(self) -> None:
        """A test is set up."""

    def pytest_runtest_call(self) -> None:
        """A test is called."""

    def pytest_runtest_teardown(self) -> None:
        """A test is torn down."""

    def pytest_runtest_logfinish(self) -> None:
        """A test is over."""

    def flush_past_capture(self) -> None:
        """Flush the real standard output."""


def lean_tests(session: pytest.Session, listener: Listener) -> LeanTests | None:
    """Run the session's tests without calls that nobody needs; None if pytest is not as expected.

    Call it in a worker, after its plugins have been registered.
    """
    config = session.config
    manager = config.pluginmanager.getplugin("capturemanager")
    logging_plugin = config.pluginmanager.getplugin("logging-plugin")
    found = runners_of(config)
    if found is None or type(manager) is not CaptureManager or type(logging_plugin) is not LoggingPlugin:
        return None
    return LeanTests(session, listener, manager, logging_plugin, found)


class LeanTests:
    """Takes the place of pytest's own implementation of `pytest_runtest_protocol`."""

    def __init__(
        self,
        session: pytest.Session,
        listener: Listener,
        manager: CaptureManager,
        logging_plugin: LoggingPlugin,
        runners: dict[str, HookImpl],
    ) -> None:
        self._config = config = session.config
        self._session = session
        self._listener = listener
        self._runners = runners
        self._capture, self._logs = LeanCapture(manager), LeanLogs(logging_plugin)
        #: The exceptions that no test has raised and are to be reported, and whose hooks do that.
        self._queues: list[tuple[Sized, ModuleType]] = [
            (config.stash[unraisableexception.unraisable_exceptions], unraisableexception),
            (config.stash[threadexception.thread_exceptions], threadexception),
        ]
        self._hooks = UsualHooks(config, listener)
        self._replay = Replay(config, runners, self._hooks, self._logs)
        # --- of the running test ---
        self._item: pytest.Function | None = None
        #: The latest test of all that pytest was to run, whether here or not.
        self._latest: pytest.Item | None = None
        #: Whether its phases still run here; what has passed here and is not reported.
        self._lean = False
        self._times: list[Times] = []
        #: Reports of the phases that had passed when something ended the process's session.
        self._left: list[pytest.TestReport] = []
        #: The names in its keywords, after its setup; how many marks and keywords its nodes had then.
        self._names: tuple[str, ...] = ()
        self._count = (0, 0)
        self._location: object = None
        place = runners["pytest_runtest_protocol"]
        self._genuine: Callable[[pytest.Item, pytest.Item | None], object] = place.function
        place.function = self._protocol  # type: ignore[misc]

    # --- for the worker ---

    def taken(self) -> tuple[tuple[str, ...], tuple[Times, ...]] | None:
        """The keywords and phases of a test that has only passed, once; None if reports tell of it."""
        times, self._times = self._times, []
        return (self._names, tuple(times)) if len(times) == 3 else None

    def untold(self) -> list[pytest.TestReport]:
        """Reports of the phases that have passed, once: another report follows, or the test was cut off."""
        if self._item is None:
            left, self._left = self._left, []
            return left
        times, self._times = self._times, []
        return plain_reports(self._item, self._names, times)

    def plugins_changed(self) -> None:
        """From the next phase on, call the hooks again until it is known who listens now."""
        self._lean = False
        self._hooks.look_again()

    # --- a test ---

    def _fits(self, item: pytest.Item, nodes: list[Node]) -> bool:
        """Whether a test's phases can run here."""
        return (
            type(item) is pytest.Function
            and item is not self._latest  # a plugin repeats it, and all reports are sent
            and self._hooks.are_usual()
            and self._capture.is_usual()
            and self._logs.is_usual()
            and not any(mark.name in _MARKS for node in nodes for mark in node.own_markers)
            and not self._hooks.has_failed_before(item)
        )

    def _protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> object:
        """Run a test: pytest calls this inside its wrappers of the whole test."""
        __tracebackhide__ = True
        nodes = item.listchain()
        fits, self._latest = self._fits(item, nodes), item
        if not fits:
            return self._genuine(item, nextitem)
        assert isinstance(item, pytest.Function)
        if not item._request:  # type: ignore[truthy-bool]  # a plugin repeats it
            item._initrequest()  # type: ignore[unreachable]
        self._item, self._lean, self._times = item, True, []
        self._location = item.location
        self._count = count_of(nodes)
        try:
            if self._phase(item, "setup", nodes):
                self._phase(item, "call", nodes)
            if self._session.shouldfail or self._session.shouldstop:
                nextitem = None
            self._phase(item, "teardown", nodes, nextitem=nextitem)
        finally:
            if len(self._times) < 3:
                self._left = self.untold()
            self._item = None
            item._request = False  # type: ignore[assignment]
            item.funcargs = None  # type: ignore[assignment]
        if self._lean:
            self._listener.pytest_runtest_logfinish()
        else:
            item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def _phase(
        self,
        item: pytest.Function,
        when: When,
        nodes: list[Node],
        **more: pytest.Item | None,
    ) -> bool:
        """Run a phase, and return whether it has passed."""
        __tracebackhide__ = True
        if not self._lean:
            self._leave()
            return runner.call_and_report(item, when, True, **more).passed
        name = f"pytest_runtest_{when}"
        start, began = timing.time(), timing.perf_counter()
        error: BaseException | None = None
        has_begun = has_run = has_ended = False
        try:
            self._logs.begin(item, when)
            self._capture.begin()
            has_begun = True
            getattr(self._listener, name)()
            if when == "setup":
                item.stash[skipping.xfailed_key] = None
            self._runners[name].function(item, **more)
            for queue, module in self._queues:
                if queue:
                    getattr(module, name)(item)
            has_run, count = True, count_of(nodes)
            # Marks that the test has added: pytest looks at them where a condition may fail.
            if when != "call" or count == self._count:
                self._end(item, when)
                has_ended = True
        except BaseException as caught:
            error = caught
        if not has_ended:
            # What fails before or after the test's own code fails again where pytest does the same.
            own = has_begun and not has_run
            if not own and isinstance(error, Exception):
                error = None
            errors, error = [] if error is None else [error], None
            logged = self._logs.taken() if has_begun else None
            self._lean = False
            return self._replay.of(item, when, errors, logged, (start, began), more)
        stop, ended = timing.time(), timing.perf_counter()
        return self._passed(item, when, count, (start, stop, ended - began))

    def _end(self, item: pytest.Function, when: When) -> None:
        self._capture.end(item, when)
        self._logs.end(item, when)
        if when == "teardown":
            self._capture.suspend()
            self._logs.finish(item)
            self._listener.flush_past_capture()
        else:
            self._capture.between(self._listener.flush_past_capture)

    def _passed(self, item: pytest.Function, when: When, count: tuple[int, int], times: Times) -> bool:
        """Note that a phase has passed, or let pytest report what else there is to tell.

        :param count: how many marks and keywords the nodes have now.
        """
        if when == "setup":
            self._names = tuple(dict.fromkeys(item.keywords))
        has_changed, self._count = count != self._count, count
        self._lean = self._lean and not self._hooks.are_recorded()
        is_plain = (
            self._lean  # not if the test has registered a plugin, or records hooks
            and not item._report_sections
            and not item.user_properties
            and not has_changed
            and len(self._times) == ("setup", "call", "teardown").index(when)
            and item.location == self._location
        )
        if is_plain:
            item.stash.setdefault(tmpdir.tmppath_result_key, {})[when] = True
            self._times.append(times)
            return True
        if has_changed:
            self._lean = False
        with suppress(Exception):  # what a test has broken is found out when the next phase ends
            self._capture.suspend()
        report = item.ihook.pytest_runtest_makereport(item=item, call=_call_info(when, times))
        item.ihook.pytest_runtest_logreport(report=report)
        return bool(report.passed)

    def _leave(self) -> None:
        """Let pytest begin the next phase as usual."""
        with suppress(Exception):
            self._capture.suspend()
        self._logs.leave()


def plain_reports(item: pytest.Item, names: Sequence[str], times: Sequence[Times]) -> list[pytest.TestReport]:
    """The reports of a test's phases, from the first one on, that have passed and left nothing behind.

    :param names: its keywords.
    """
    return passed_reports(item.nodeid, item.location, tuple(names), times)


def _call_info(when: When, times: Times) -> pytest.CallInfo[None]:
    start, stop, duration = times
    return runner.CallInfo(None, None, start, stop, duration, when, _ispytest=True)
