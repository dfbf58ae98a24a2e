"""What tests note for the junit xml: by whom, of which test, and how often each is told."""

from __future__ import annotations

from typing import Any
from unittest.mock import MagicMock

import pytest
from _pytest import fixtures
from _pytest.junitxml import LogXML, xml_key
from _pytest.scope import Scope

from pytest_procpar.compat.pytest_reports.junit import JunitNotes, JunitStandIn
from pytest_procpar.core.protocol.worker import JunitRecord


class Desk:
    """A worker's config, and what it has told the controller."""

    def __init__(self, family: str = "xunit2") -> None:
        self.config: Any = MagicMock()
        self.config.stash = pytest.Stash()
        self.config.getini.return_value = family
        self.told: list[JunitRecord] = []
        self.stand_in = JunitStandIn(self.config, self.told.append)
        self.stand_in.install()

    @property
    def xml(self) -> Any:
        """What `record_testsuite_property` finds."""
        return self.config.stash.get(xml_key, None)


class Fixture:
    """The request of an instance of a fixture, as pytest's own functions have it while they run."""

    def __init__(self, name: str = "db", scope: str = "session", param: int = 0) -> None:
        self.request: Any = MagicMock(scope=scope, fixturename=name, param_index=param)
        self.request.node.nodeid = "t.py"
        self.request.instance = None

    def during_setup(self, act: Any) -> None:
        definition: Any = MagicMock(argnames=(), cached_result=None, unittest=None)
        definition._scope = Scope.Session
        definition._get_cache_key.return_value = definition.cache_key.return_value = 0
        definition.func = lambda: act()
        fixtures.pytest_fixture_setup(definition, self.request)

    def during_teardown(self, act: Any) -> None:
        definition: Any = MagicMock(_finalizers=[act])
        fixtures.FixtureDef.finish(definition, self.request)


def test_until_the_session_finishes_the_stand_in_is_found_in_the_place_of_the_xml() -> None:
    desk = Desk()
    found = desk.xml
    assert found is desk.stand_in
    desk.stand_in.pytest_sessionfinish()
    assert desk.xml is None
    desk.config.pluginmanager.unregister.assert_called_once_with(desk.stand_in)


@pytest.mark.parametrize(("family", "known_as"), [("legacy", "xunit1"), ("xunit2", "xunit2")])
def test_the_stand_in_has_the_family_that_plugins_ask_the_xml_for(family: str, known_as: str) -> None:
    assert Desk(family).stand_in.family == known_as


def test_what_belongs_to_a_test_is_told_with_its_nodeid() -> None:
    desk = Desk()
    desk.xml.node_reporter("t.py::a").add_attribute("x", 1)
    desk.xml.node_reporter(MagicMock(nodeid="t.py::b")).add_property("y", None)
    assert desk.told == [
        JunitRecord("attribute", "t.py::a", "x", "1"),
        JunitRecord("property", "t.py::b", "y", "None"),
    ]


def test_a_name_that_is_no_text_is_refused_as_pytest_refuses_it() -> None:
    with pytest.raises(TypeError, match="name"):
        Desk().xml.add_global_property(1, "x")


def test_a_property_of_the_suite_that_a_test_notes_belongs_to_no_fixture() -> None:
    desk = Desk()
    desk.xml.add_global_property("a", 1)
    Fixture(scope="function").during_setup(lambda: desk.xml.add_global_property("a", 1))
    assert desk.told == [JunitRecord("property", None, "a", "1")] * 2


def test_a_property_of_the_suite_that_a_wide_fixture_notes_is_numbered_within_its_instance() -> None:
    desk, fixture = Desk(), Fixture(param=2)

    def note() -> None:
        for value in ("1", "1", "2"):
            desk.xml.add_global_property("a", value)

    fixture.during_setup(note)
    fixture.during_teardown(lambda: desk.xml.add_global_property("a", "1"))
    Fixture(param=2).during_setup(note)
    whose = "t.py::db[2]"
    assert [(told.fixture, told.value, told.nth) for told in desk.told] == [
        (f"{whose} setup", "1", 1), (f"{whose} setup", "1", 2), (f"{whose} setup", "2", 1),
        (f"{whose} teardown", "1", 1),
        (f"{whose} setup", "1", 1), (f"{whose} setup", "1", 2), (f"{whose} setup", "2", 1),
    ]  # fmt: skip


# --- in the controller ---


class Controller:
    def __init__(self, *, junit: bool = True) -> None:
        config: Any = MagicMock()
        config.stash = pytest.Stash()
        self.xml = LogXML("", None)
        if junit:
            config.stash[xml_key] = self.xml
        self.notes = JunitNotes(config)

    def add(self, kind: Any, nodeid: str | None, name: str, *more: Any, node: object = None) -> None:
        self.notes.add(JunitRecord(kind, nodeid, name, "1", *more), node)

    def case(self, node: object = None) -> Any:
        report = pytest.TestReport("t.py::a", ("t.py", 0, "a"), {}, "passed", None, "call")
        if node is not None:
            report.node = node  # type: ignore[attr-defined]
        return self.xml.node_reporter(report)


def test_what_a_worker_has_noted_of_a_test_is_in_its_case() -> None:
    controller = Controller()
    controller.add("property", "t.py::a", "p")
    controller.add("attribute", "t.py::a", "x")
    assert controller.case().properties == [("p", "1")]
    assert controller.case().attrs["x"] == "1"


def test_under_dist_each_each_worker_has_a_case_of_its_own() -> None:
    controller, node = Controller(), object()
    controller.add("property", "t.py::a", "p", node=node)
    assert (controller.case().properties, controller.case(node).properties) == ([], [("p", "1")])


def test_a_property_of_the_suite_is_there_as_often_as_one_process_would_have_noted_it() -> None:
    controller = Controller()
    for nth in (1, 2, 1, 2, 3, 1):  # three instances
        controller.add("property", None, "a", "db setup", nth)
    controller.add("property", None, "a", "other setup", 1)
    controller.add("property", None, "b", "db setup", 1)
    for _ in range(2):
        controller.add("property", None, "c")
    assert [name for name, _ in controller.xml.global_properties] == ["a", "a", "a", "a", "b", "c", "c"]


def test_without_a_junit_xml_nothing_is_noted() -> None:
    controller = Controller(junit=False)
    controller.add("property", None, "a")
    controller.add("property", "t.py::a", "p")
    assert (controller.xml.global_properties, controller.case().properties) == ([], [])
