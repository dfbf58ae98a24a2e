"""What we need to know about items, and change in their setup, that pytest does not offer in public.

Written against pytest 8.2 to 9.2.
"""

from __future__ import annotations

import copy
import types
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from typing import TYPE_CHECKING

import pytest
from _pytest.capture import CaptureManager

from pytest_procpar.compat.pytest_private.tracebacks import hide_frames_in_reports

if TYPE_CHECKING:
    import os

    import pluggy

__all__ = [
    "Locations", "alive_nodes", "copy_item", "late_teardown", "refresh", "remember_hook_proxies",
    "watch_teardown",
]  # fmt: skip

_NAMES: pytest.StashKey[dict[str, object]] = pytest.StashKey()


class Locations:
    """Gives `Item.location` with one look at the file system per file, instead of one per test.

    For every test, pytest looks whether the function's source file exists, and makes its path relative: an
    eighth of the time that an empty test takes (CPython 3.11). The answer is the same for all functions of a
    file, unless something wraps the function or the item's class changes how it is located.
    """

    def __init__(self) -> None:
        self._paths: dict[str, str] = {}

    def of(self, item: pytest.Item) -> tuple[str, int | None, str]:
        """The file (relative to the rootdir), line (from 0) and name of an item."""
        code = _plain_code(item)
        if code is None or "location" in item.__dict__:
            return item.location
        path = self._paths.get(code.co_filename)
        location: tuple[str, int | None, str]
        if path is not None:
            assert isinstance(item, pytest.Function)
            location = (path, code.co_firstlineno - 1, item.getmodpath())
            item.__dict__["location"] = location  # where `functools.cached_property` keeps it
            return location
        location = item.location
        if location[1] == code.co_firstlineno - 1:
            self._paths[code.co_filename] = location[0]
        return location


def _plain_code(item: pytest.Item) -> types.CodeType | None:
    """The code of an item's test function, if nothing wraps it and the class locates it as pytest's does."""
    if not isinstance(item, pytest.Function):
        return None
    kind = type(item)
    if kind.reportinfo is not pytest.Function.reportinfo or kind.location is not pytest.Function.location:
        return None
    function = getattr(item.obj, "__func__", item.obj)
    if type(function) is not types.FunctionType or function.__dict__.keys() - {"pytestmark"}:
        return None
    return function.__code__


def remember_hook_proxies(session: pytest.Session) -> None:
    """Let `Node.ihook` find out only once per path which conftests apply there. For after the collection.

    pytest asks for it seven times per test. Where conftests of other folders do not apply, each answer is a
    new object, which makes its hook callers anew.
    """
    find = session.gethookproxy
    conftests = session.config.pluginmanager._conftest_plugins
    known: dict[os.PathLike[str], pluggy.HookRelay] = {}
    count = len(conftests)

    def gethookproxy(fspath: os.PathLike[str]) -> pluggy.HookRelay:
        nonlocal count
        if len(conftests) != count:
            known.clear()
            count = len(conftests)
        proxy = known.get(fspath)
        if proxy is None:
            proxy = known[fspath] = find(fspath)
        return proxy

    session.gethookproxy = gethookproxy  # type: ignore[method-assign]


def copy_item(item: pytest.Item) -> pytest.Item:
    """Copy an item, so that its test can run a second time as if it had been collected twice.

    If the same item ran twice in a row, it would stay set up in between, with its fixtures, since pytest
    compares nodes. Call this before the item has run.
    """
    twin = copy.copy(item)
    twin.user_properties = [*item.user_properties]
    twin.own_markers = [*item.own_markers]
    twin._report_sections = [*item._report_sections]
    if isinstance(twin, pytest.Function) and twin.cls is not None:
        for name in ("_instance", "_obj"):  # each test has an instance of its class to itself
            twin.__dict__.pop(name, None)
    if isinstance(twin, pytest.DoctestItem):
        twin.dtest = copy.copy(twin.dtest)
        twin.dtest.globs = dict(twin.dtest.globs)
    init_request = getattr(twin, "_initrequest", None)
    if init_request is not None:
        init_request()
    return twin


def refresh(item: pytest.Item) -> None:
    """Restore what an item's last run used up, if it ran before. Call it before every run.

    A doctest that has run has lost the names of its module.
    """
    if isinstance(item, pytest.DoctestItem):
        names = item.stash.setdefault(_NAMES, dict(item.dtest.globs))
        item.dtest.globs.update(names)


def alive_nodes(session: pytest.Session) -> list[object]:
    """The nodes that are set up, outermost first."""
    return list(session._setupstate.stack)


def holds_resources(session: pytest.Session) -> bool:
    """Whether fixtures are set up that have something to tear down."""
    ends = [end for ends, _ in session._setupstate.stack.values() for end in ends]
    fixtures = [getattr(getattr(end, "func", None), "__self__", None) for end in ends]
    return any(
        isinstance(fixture, pytest.FixtureDef)
        and fixture.cached_result is not None
        and any(map(_is_users, fixture._finalizers))
        for fixture in fixtures
    )


def _is_users(finalizer: object) -> bool:
    """Whether a finalizer is more than pytest's own bookkeeping of fixtures and their dependents."""
    function = getattr(finalizer, "func", finalizer)
    return not str(getattr(function, "__qualname__", "")).startswith("FixtureDef.")


def watch_teardown(
    session: pytest.Session, decide: Callable[[pytest.Item | None], pytest.Item | pytest.Session | None]
) -> None:
    """Let `decide` choose, when a test is torn down, the next node, for which fixtures are kept alive.

    pytest wants the next item when a test starts. By the time of the teardown we know better: that item may
    have been taken back, or another one may have arrived. `decide` gets what pytest was going to use.
    """
    state = session._setupstate
    teardown = type(state).teardown_exact

    def teardown_exact(nextitem: pytest.Item | None) -> None:
        __tracebackhide__ = True
        try:
            teardown(state, decide(nextitem))  # type: ignore[arg-type]
        except BaseException:
            hide_frames_in_reports(session.config)
            raise

    state.teardown_exact = teardown_exact  # type: ignore[method-assign]


def late_teardown(item: pytest.Item, keep: pytest.Item | pytest.Session | None) -> pytest.TestReport | None:
    """After `item` has finished, tear down what was kept alive only for a test that did not come.

    Return a report for `item` if that failed, else None. `pytest_runtest_teardown` is not used: that hook has
    already been called for this item, and plugins undo things in it that they can undo only once.
    """
    capture = item.config.pluginmanager.getplugin("capturemanager")
    state = item.session._setupstate
    captured = ExitStack()
    if isinstance(capture, CaptureManager):
        with suppress(Exception):  # a test has closed the capture's file, which was that test's error
            captured.enter_context(capture.item_capture("teardown", item))
    try:
        call = pytest.CallInfo.from_call(
            partial(type(state).teardown_exact, state, keep),  # type: ignore[arg-type]
            when="teardown",
            reraise=(pytest.exit.Exception, KeyboardInterrupt),
        )
    finally:
        ended = pytest.CallInfo.from_call(captured.close, when="teardown")
    call = call if call.excinfo is not None else ended
    if call.excinfo is None:
        return None
    report: pytest.TestReport = item.ihook.pytest_runtest_makereport(item=item, call=call)
    return report
