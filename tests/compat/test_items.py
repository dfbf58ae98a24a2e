"""What is known of items and of what is set up for them, beside pytest's own answers."""

from __future__ import annotations

import functools
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import MagicMock

import pytest
from _pytest import runner

from pytest_procpar.compat.pytest_private.items import (
    Locations,
    alive_nodes,
    copy_item,
    holds_resources,
    late_teardown,
    remember_hook_proxies,
    watch_teardown,
)

# --- locations ---


class Function(pytest.Function):
    """Another kind of item."""


def function(item: pytest.Item, obj: Any, kind: type[pytest.Function] = pytest.Function) -> pytest.Function:
    """An item for a function, beside the running test."""
    parent: Any = item.parent
    return kind.from_parent(parent, name=getattr(obj, "__name__", "test_odd"), callobj=obj)


def plain() -> None: ...


def other() -> None: ...


@functools.wraps(plain)
def wrapped() -> None: ...


class Suite:
    def method(self) -> None: ...


def of_file(locations: Locations, item: pytest.Item) -> list[tuple[str, int | None, str]]:
    """What is said of two items of this file, of which pytest itself is asked for the first only."""
    return [locations.of(function(item, each)) for each in (plain, other)]


def test_the_location_of_each_item_is_the_one_that_pytest_gives(request: pytest.FixtureRequest) -> None:
    locations = Locations()
    for obj in (plain, other, wrapped, Suite().method, functools.partial(plain)):
        item = function(request.node, obj)
        assert locations.of(item) == function(request.node, obj).location
        assert item.location == locations.of(item)


def test_pytest_is_asked_once_for_all_plain_functions_of_a_file(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    locations = Locations()
    first = locations.of(function(request.node, plain))
    monkeypatch.setattr(pytest.Function, "location", None)  # pytest would be asked by it
    monkeypatch.setattr(
        pytest.Function, "location", functools.cached_property(lambda item: pytest.fail("asked again"))
    )
    second = locations.of(function(request.node, other))
    assert (second[0], second[2]) == (first[0], "other")


def test_an_item_of_another_kind_or_one_that_a_plugin_has_placed_is_asked_itself(
    request: pytest.FixtureRequest,
) -> None:
    class Placed(Function):
        @property
        def location(self) -> Any:
            return ("mine.py", 1, "x")

    class Reported(Function):
        def reportinfo(self) -> Any:
            return "mine.py", 6, "y"

    locations = Locations()
    locations.of(function(request.node, plain))
    assert locations.of(function(request.node, other, Placed)) == ("mine.py", 1, "x")
    assert locations.of(function(request.node, other, Reported))[1:] == (6, "y")
    placed = function(request.node, other)
    placed.__dict__["location"] = ("theirs.py", 2, "z")
    assert locations.of(placed) == ("theirs.py", 2, "z")


def test_a_file_whose_lines_pytest_counts_otherwise_is_asked_of_pytest_each_time(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def elsewhere(item: pytest.Item) -> tuple[str, int | None, str]:
        asked.append(item.name)
        return "generated.py", None, item.name

    monkeypatch.setattr(pytest.Function, "location", property(elsewhere))
    locations = Locations()
    assert of_file(locations, request.node)[1] == ("generated.py", None, "other")
    assert asked == ["plain", "other"]


# --- hook proxies ---


def test_which_conftests_apply_is_found_out_once_a_path_until_there_is_another_conftest() -> None:
    asked: list[str] = []

    def gethookproxy(path: str) -> object:
        asked.append(path)
        return object()

    manager = SimpleNamespace(_conftest_plugins={1})
    session: Any = SimpleNamespace(gethookproxy=gethookproxy, config=SimpleNamespace(pluginmanager=manager))
    remember_hook_proxies(session)
    first = session.gethookproxy("a")
    assert session.gethookproxy("a") is first
    assert session.gethookproxy("b") is not first
    manager._conftest_plugins.add(2)
    assert session.gethookproxy("a") is not first
    session.gethookproxy("a")
    assert asked == ["a", "b", "a"]


# --- copies ---


def test_a_copy_of_an_item_shares_nothing_that_a_run_changes(request: pytest.FixtureRequest) -> None:
    item = function(request.node, plain)
    item.user_properties.append(("a", 1))
    twin = copy_item(item)
    assert (twin.nodeid, twin.parent, twin is item) == (item.nodeid, item.parent, False)
    assert twin.user_properties == [("a", 1)]
    twin.user_properties.append(("b", 2))
    twin.own_markers.append(pytest.mark.skip.mark)
    twin._report_sections.append(("call", "x", "y"))
    assert (item.user_properties, item.own_markers, item._report_sections) == ([("a", 1)], [], [])
    assert cast("Any", twin)._request is not cast("Any", item)._request
    assert twin.funcargs is not item.funcargs  # type: ignore[attr-defined]


class TestCopies:
    def test_a_copy_of_a_method_gets_an_instance_of_its_own(self, request: pytest.FixtureRequest) -> None:
        twin: Any = copy_item(request.node)
        assert type(twin.instance) is type(self)
        assert twin.instance is not self
        assert twin.obj.__self__ is twin.instance


# --- what is set up ---


class Setup:
    """pytest's own record of what is set up, without tests."""

    def __init__(self) -> None:
        self.state = runner.SetupState()
        self.session: Any = MagicMock()
        self.session._setupstate = self.state
        self.item: Any = MagicMock()
        self.item.session = self.session
        self.item.config.pluginmanager.getplugin.return_value = None
        self.torn_down: list[str] = []
        self.item.listchain.return_value = [self.session, self.item]
        self.session.listchain.return_value = [self.session]
        self.state.setup(self.item)
        for node, name in ((self.session, "session"), (self.item, "test")):
            self.state.addfinalizer(functools.partial(self.torn_down.append, name), node)


def test_what_is_alive_is_told_from_the_outermost() -> None:
    made = Setup()
    assert alive_nodes(made.session) == [made.session, made.item]
    made.state.teardown_exact(made.session)
    assert alive_nodes(made.session) == [made.session]


def test_who_watches_the_teardown_decides_what_is_kept() -> None:
    made = Setup()
    asked: list[object] = []

    def decide(nextitem: Any) -> Any:
        asked.append(nextitem)
        return made.session

    watch_teardown(made.session, decide)
    made.state.teardown_exact(None)
    assert (asked, made.torn_down) == ([None], ["test"])


def test_a_late_teardown_is_not_watched_and_reports_nothing_if_it_goes_well() -> None:
    made = Setup()
    watch_teardown(made.session, lambda nextitem: pytest.fail("it was asked"))
    assert late_teardown(made.item, None) is None
    assert made.torn_down == ["test", "session"]
    made.item.ihook.pytest_runtest_makereport.assert_not_called()


def test_a_late_teardown_that_fails_is_reported_of_the_item() -> None:
    made = Setup()

    def fail() -> None:
        raise ValueError("x")

    made.state.addfinalizer(fail, made.session)
    report = late_teardown(made.item, None)
    (call,) = made.item.ihook.pytest_runtest_makereport.call_args_list
    assert report is made.item.ihook.pytest_runtest_makereport.return_value
    assert (call.kwargs["item"], call.kwargs["call"].when) == (made.item, "teardown")
    assert call.kwargs["call"].excinfo.type is ValueError
    assert made.torn_down == ["test", "session"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, pytest.exit.Exception])
def test_an_interrupt_of_a_late_teardown_is_raised(error: type[BaseException]) -> None:
    made = Setup()

    def interrupt() -> None:
        raise error("x")

    made.state.addfinalizer(interrupt, made.session)
    with pytest.raises(error):
        late_teardown(made.item, None)


def resources(*finalizers: Any, cached: object = (1, 0, None)) -> bool:
    """Whether a fixture with these finalizers counts as one that holds something."""
    definition: Any = object.__new__(pytest.FixtureDef)
    definition.cached_result, definition._finalizers = cached, list(finalizers)
    end = functools.partial(pytest.FixtureDef.finish.__get__(definition), request=None)
    stack = {"node": ([lambda: None, end], None)}
    return holds_resources(cast("Any", SimpleNamespace(_setupstate=SimpleNamespace(stack=stack))))


def test_a_fixture_holds_something_if_it_is_set_up_and_has_a_teardown_of_its_own() -> None:
    def close() -> None: ...

    other: Any = object.__new__(pytest.FixtureDef)
    dependent = functools.partial(pytest.FixtureDef.finish.__get__(other), request=None)
    assert resources(close)
    assert resources(functools.partial(close))
    assert not resources(close, cached=None)
    assert not resources(dependent)
    assert not resources()
