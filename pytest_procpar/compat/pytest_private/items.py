"""What we need to know of items, and change in what is set up for them, that pytest does not offer in public.

Written against pytest 8.2 to 9.2.
"""

from __future__ import annotations

import copy
import types
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any

import pytest
from _pytest.capture import CaptureManager

from pytest_procpar.compat.pytest_private.tracebacks import hide_frames_in_reports

__all__ = [
    "Locations", "alive_nodes", "copy_item", "late_teardown", "refresh", "remember_hook_proxies",
    "watch_teardown",
]  # fmt: skip

_NAMES: pytest.StashKey[dict[str, Any]] = pytest.StashKey()


class Locations:
    """Gives `Item.location`, with one look at the file system a file instead of one a test.

    pytest looks whether a function's source file exists, and makes its path relative, for every test: an
    eighth of the time that an empty test takes (CPython 3.11). The answer is the same for all functions of a
    file, if nothing stands between an item and its function.
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
    """The code of an item that is a test function which nobody has wrapped, and of pytest's own class."""
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
    """Let `Node.ihook` find out once a path which conftests apply there: the suite is collected.

    A test asks for it seven times, and where conftests of other folders do not apply, each answer is a new
    object which makes its hook callers anew.
    """
    find = session.gethookproxy
    conftests = session.config.pluginmanager._conftest_plugins
    known: dict[object, Any] = {}
    count = len(conftests)

    def gethookproxy(fspath: Any) -> Any:
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
    """Another item for the same test, with which it runs a second time as if it had been collected twice.

    The same item a second time in a row would stay set up in between, with its fixtures: pytest compares
    nodes. For before the item has run.
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
    """Give an item back what its last run has used up, if it ran before; to be called before every run.

    A doctest loses the names of its module when it has run.
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


def _is_users(finalizer: Any) -> bool:
    """Whether a finalizer is more than pytest's own bookkeeping of fixtures and their dependents."""
    function = getattr(finalizer, "func", finalizer)
    return not str(getattr(function, "__qualname__", "")).startswith("FixtureDef.")


def watch_teardown(
    session: pytest.Session, decide: Callable[[pytest.Item | None], pytest.Item | pytest.Session | None]
) -> None:
    """Let `decide` say, when a test is torn down, for which next node things are kept alive.

    pytest wants the next item when a test starts; by the time it is torn down we know better, since it
    may have been taken back or have come meanwhile. `decide` gets what pytest was going to use.
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
    """Tear down, after `item` has finished, what only stayed alive for a test that did not come.

    A report for `item` if that failed, else None. Not by `pytest_runtest_teardown`: that hook has been
    called for this item, and plugins undo things in it that they can undo once only.
    """
    capture = item.config.pluginmanager.getplugin("capturemanager")
    state = item.session._setupstate
    captured = ExitStack()
    if isinstance(capture, CaptureManager):
        with suppress(Exception):  # a test has closed what captures, which was its own error
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
