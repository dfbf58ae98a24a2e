"""The leak check (``--leaks``): a plugin of every process that runs tests.

The state before a test's setup is compared with the state after its teardown. What a fixture of a higher
scope sets up meanwhile does not count for the test. What is undone by the end of the teardown is no leak, no
matter what undid it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterable
from functools import partial
from types import ModuleType
from typing import TypeVar

import pytest

from pytest_procpar.compat.pytest_private.items import alive_nodes
from pytest_procpar.compat.pytest_private.session import shared_basetemp
from pytest_procpar.compat.pytest_private.tracebacks import hide_frames
from pytest_procpar.compat.pytest_private.warnings import tell_warning
from pytest_procpar.config.given import given
from pytest_procpar.core.printable import printable_line
from pytest_procpar.leaks.audit_events import left_paths, take_notes
from pytest_procpar.leaks.resources import Leak, ResourceSnapshot, adopt, compare, describe
from pytest_procpar.leaks.snapshots import await_end, children_by_objects, collect_garbage, take
from pytest_procpar.role import role_of
from pytest_procpar.system.calls import getpid, monotonic
from pytest_procpar.system.descendants import set_subreaper

__all__ = ["PROPERTY", "LeakCheck", "install"]

#: The name of a leak among a report's user properties.
PROPERTY = "procpar_leak"
#: How long to wait for processes and threads that are about to end, in seconds, in total.
_GRACE = 0.2
#: The kinds of leaks that may be about to end.
_PASSING = frozenset({"process", "thread", "foreign thread"})
#: The kinds that garbage, or the exception with which a test failed, may keep alive.
_HELD = _PASSING | {"descriptor", "path"}

T = TypeVar("T")
_LINES = pytest.StashKey[list[str]]()


def install(config: pytest.Config) -> None:
    """Check this process's tests for leaks if the user has asked for it."""
    wanted = given(config).leaks
    known = config.pluginmanager.getplugin("procpar-leaks")
    if isinstance(known, LeakCheck):
        known.belong_to_this_process()
    elif wanted is not None:
        config.pluginmanager.register(LeakCheck(config, fail=wanted == "fail"), "procpar-leaks")


class _Test:
    """What is known about the running test."""

    def __init__(self, item: pytest.Item) -> None:
        self.item = item
        #: Whether collectors are still to be set up whose setup does something, by means other than fixtures.
        self.has_collectors = _sets_up_collectors(item)
        self.exception = getattr(sys, "last_value", None)
        #: The state that the test is supposed to leave.
        self.baseline = take()
        #: The states to which fixtures that are torn down meanwhile may return.
        self.restored: list[ResourceSnapshot] = []
        self.is_watched = False
        #: The state after its own fixtures' teardown, before that of others; and the number of paths.
        self.end: ResourceSnapshot | None = None
        self.paths: int | None = None
        #: The children that the test can have had, once they are looked for. It had to wait for no others.
        self.children: set[int] = set()


def _sets_up_collectors(item: pytest.Item) -> bool:
    alive = alive_nodes(item.session)
    plain = pytest.Collector.setup
    return any(type(node).setup is not plain for node in item.listchain()[:-1] if node not in alive)


class LeakCheck:
    """Finds what tests leave behind, and reports it with their teardown."""

    def __init__(self, config: pytest.Config, fail: bool) -> None:
        self._config = config
        #: The role when this was made: a plain run's check goes on in test processes, which share the run's
        #: folder.
        self._role = role_of(config)
        self._fail = fail
        self._pid = getpid()
        self._was_subreaper = set_subreaper(True)
        self._notes, self._stop_notes = take_notes()
        self._test: _Test | None = None
        #: The states before the setup of fixtures of higher scopes that are set up now.
        self._before: dict[pytest.FixtureDef[object], ResourceSnapshot] = {}
        self._has_complained = False

    def belong_to_this_process(self) -> None:
        """Go on in this process, which was forked to run tests."""
        self._pid = getpid()
        set_subreaper(True)

    # --- hooks ---

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self) -> None:
        """Register again, to wrap the wrappers of plugins that were registered meanwhile."""
        name = self._config.pluginmanager.get_name(self)
        self._config.pluginmanager.unregister(self)
        self._config.pluginmanager.register(self, name)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, object, object]:
        """Take the state before the test."""
        __tracebackhide__ = True
        self._try(self._begin, item)
        try:
            return (yield)
        finally:
            self._try(self._watch_teardown)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[object]) -> Generator[None, object, object]:
        """Note what the fixture changes, unless it is one of the test's own."""
        __tracebackhide__ = True
        self._try(self._watch_teardown)
        if fixturedef.scope == "function":
            return (yield)
        before, paths = self._try(take), len(self._notes.paths)
        result = yield
        if before is not None:
            self._try(self._keep, fixturedef, before, paths)
        return result

    @pytest.hookimpl
    def pytest_fixture_post_finalizer(self, fixturedef: pytest.FixtureDef[object]) -> None:
        """Allow for what the fixture has put back."""
        before = self._before.pop(fixturedef, None)
        if before is not None and self._test is not None:
            self._test.restored.append(before)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, object, object]:
        """Compare, and report."""
        __tracebackhide__ = True
        try:
            result = yield
        except (KeyboardInterrupt, SystemExit, pytest.exit.Exception):
            raise
        except BaseException:
            self._try(self._finish, item)
            raise
        lines = self._try(self._finish, item)
        if lines and self._fail:
            del item.stash[_LINES]
            pytest.fail("\n  - ".join(["the test leaves behind:", *lines]), pytrace=False)
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Show the leaks of a test that does not fail because of them."""
        hide_frames(self._config, call)
        report = yield
        lines = item.stash.get(_LINES, None)
        if call.when == "teardown" and lines:
            del item.stash[_LINES]
            report.sections.append(("Leaks teardown", "\n".join(lines)))
        return report

    @pytest.hookimpl
    def pytest_unconfigure(self) -> None:
        """Leave the process as it was."""
        self._stop_notes()
        if getpid() == self._pid and not self._was_subreaper:
            set_subreaper(False)

    # --- steps ---

    def _try(self, step: Callable[..., T], *arguments: object) -> T | None:
        """Run a step, unless this is a process that a test has forked. An error of ours fails no test."""
        if getpid() != self._pid:
            return None
        try:
            return step(*arguments)
        except Exception as error:
            test, self._test = self._test, None
            if not self._has_complained:
                self._has_complained = True
                text = f"--leaks: leaks cannot be looked for: {error!r}"
                tell_warning(self._config, text, __file__, None if test is None else test.item)
            return None

    def _begin(self, item: pytest.Item) -> None:
        self._notes.clear()
        self._test = _Test(item)

    def _watch_teardown(self) -> None:
        """Look at the state when the fixtures of the test itself have been torn down."""
        test = self._test
        if test is None:
            return
        if test.has_collectors:
            test.has_collectors = False
            test.baseline = adopt(test.baseline, test.baseline, take())
        if not test.is_watched and test.item in alive_nodes(test.item.session):
            test.is_watched = True
            test.item.addfinalizer(partial(self._try, self._look, test))

    def _look(self, test: _Test) -> None:
        test.end, test.paths = take(), len(self._notes.paths)

    def _keep(self, fixturedef: pytest.FixtureDef[object], before: ResourceSnapshot, paths: int) -> None:
        """Allow for what a fixture of a higher scope has set up."""
        self._before[fixturedef] = before.settings()
        if self._test is not None:
            self._test.baseline = adopt(self._test.baseline, before, take())
            del self._notes.paths[paths:]

    def _finish(self, item: pytest.Item) -> list[str]:
        test, self._test = self._test, None
        if test is None:
            return []
        lines = list(map(printable_line, describe(self._settled(test))))
        item.user_properties += [(PROPERTY, line) for line in lines]
        if lines:
            item.stash[_LINES] = lines
        return lines

    # --- finding ---

    def _settled(self, test: _Test) -> list[Leak]:
        """The leaks that remain when garbage is gone and what is about to end has had time to."""
        changes = self._find(test)
        if not any(change.kind in _HELD for change in changes):
            return changes
        if getattr(sys, "last_value", None) is not test.exception:
            for name in ("last_type", "last_value", "last_traceback", "last_exc"):
                vars(sys).pop(name, None)
        collect_garbage()
        deadline = monotonic() + _GRACE
        while True:
            changes = self._find(test)
            passing = [change for change in changes if change.kind in _PASSING]
            left = deadline - monotonic()
            if not passing or left <= 0:
                return changes
            await_end(passing[0], left)

    def _find(self, test: _Test) -> list[Leak]:
        now = take()
        changes = compare(test.baseline, now)
        if test.end is not None:
            own = set(compare(test.baseline, test.end))
            changes = [change for change in changes if change in own]
        for before in test.restored:
            places = {change.place for change in compare(before, now)}
            changes = [change for change in changes if change.place in places]
        modules = self._plugin_modules()
        changes = [change for change in changes if not _is_by_plugin(change, test.baseline, modules)]
        if not self._notes.forks and any(change.has_ended for change in changes):
            children = test.children = test.children or children_by_objects()
            changes = [change for change in changes if not change.has_ended or change.pid in children]
        return changes + left_paths(self._notes.paths[: test.paths], self._kept_folders)

    def _kept_folders(self) -> Iterable[str]:
        basetemp = shared_basetemp(self._config)
        if basetemp is not None:
            yield basetemp
            if not self._role.is_main:  # the run's folder, of which the worker has a part
                yield basetemp.rpartition("/")[0]

    def _plugin_modules(self) -> set[str]:
        plugins = self._config.pluginmanager.get_plugins()
        names = {plugin.__name__ for plugin in plugins if isinstance(plugin, ModuleType)}
        return {name for name in names if name.rpartition(".")[2] != "conftest"}


def _is_by_plugin(change: Leak, before: ResourceSnapshot, modules: set[str]) -> bool:
    """Whether a plugin had set a signal's handler for this test: the plugin removes it when it wants to."""
    if change.kind != "handler" or not isinstance(change.key, int):
        return False
    return getattr(before.handlers.get(change.key), "__module__", None) in modules
