"""Carries what tests write straight into pytest's junit xml from a worker to the process that has the xml.

Written against the private parts of pytest 8.2 to 9.2. A worker has no junit xml, so `record_xml_attribute`
and `record_testsuite_property` do nothing there (pytest#7767, #8654): here they find a stand-in.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from types import FrameType

import pytest
from _pytest import fixtures
from _pytest.junitxml import _check_record_param_type, xml_key

from pytest_procpar.compat.foreign_options import junit_family
from pytest_procpar.compat.pytest_reports.reports import nodeid_of
from pytest_procpar.core.protocol.worker import JunitRecord

__all__ = ["JunitNotes", "JunitStandIn"]

#: The functions of pytest within which a fixture is set up and torn down; both have a local ``request``.
_SETUP, _TEARDOWN = fixtures.pytest_fixture_setup.__code__, fixtures.FixtureDef.finish.__code__


class JunitStandIn:
    """Stands where pytest and plugins look for the junit xml, from the fork until the session finishes.

    It is not there before or after: `pytest_configure`, `pytest_sessionstart` and `pytest_sessionfinish` are
    called in the controller, too, which has the real one.

    :param send: sends a record to the controller.
    """

    def __init__(self, config: pytest.Config, send: Callable[[JunitRecord], None]) -> None:
        family = junit_family(config)
        self.family = "xunit1" if family == "legacy" else family
        self._config = config
        self._send = send
        #: By fixture of wide scope: the request for its latest instance, and how often that has noted what.
        self._noted: dict[str, tuple[object, Counter[tuple[str, str]]]] = {}

    def install(self) -> None:
        """Put this object where pytest and plugins look for the junit xml."""
        self._config.stash[xml_key] = self  # type: ignore[misc]
        self._config.pluginmanager.register(self, "procpar-junit")

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Remove it from there."""
        del self._config.stash[xml_key]
        self._config.pluginmanager.unregister(self)

    def add_global_property(self, name: str, value: object) -> None:
        """Add a property of the suite."""
        __tracebackhide__ = True
        _check_record_param_type("name", name)
        text = str(value)
        fixture, request = _wide_fixture(sys._getframe(1))
        nth = 0
        if fixture is not None:
            if fixture not in self._noted or self._noted[fixture][0] is not request:
                self._noted[fixture] = (request, Counter())
            noted = self._noted[fixture][1]
            noted[name, text] += 1
            nth = noted[name, text]
        self._send(JunitRecord("property", None, str(name), text, fixture, nth))

    def node_reporter(self, report: object) -> _CaseStandIn:
        """The test case of a report or a nodeid."""
        return _CaseStandIn(str(getattr(report, "nodeid", report)), self._send)


class _CaseStandIn:
    def __init__(self, nodeid: str, send: Callable[[JunitRecord], None]) -> None:
        self._nodeid = nodeid
        self._send = send

    def add_attribute(self, name: str, value: object) -> None:
        self._send(JunitRecord("attribute", self._nodeid, str(name), str(value)))

    def add_property(self, name: str, value: object) -> None:
        self._send(JunitRecord("property", self._nodeid, str(name), str(value)))


def _wide_fixture(frame: FrameType | None) -> tuple[str | None, object]:
    """The fixture that `frame` sets up or tears down (None: every test has its own), and its request."""
    while frame is not None:
        if frame.f_code is _SETUP or frame.f_code is _TEARDOWN:
            request = frame.f_locals["request"]
            if request.scope == "function":
                return None, None
            phase = "setup" if frame.f_code is _SETUP else "teardown"
            param = getattr(request, "param_index", 0)
            return f"{request.node.nodeid}::{request.fixturename}[{param}] {phase}", request
        frame = frame.f_back
    return None, None


class JunitNotes:
    """Puts what workers noted into the junit xml of this process, if it has one."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        #: How often one instance of a fixture of wide scope has noted the same, at most, by what it noted.
        self._most: dict[tuple[str, str, str], int] = {}

    def add(self, note: JunitRecord, node: object | None) -> None:
        """Add what a worker noted; `node` is the ``node`` of that worker's reports."""
        xml = self._config.stash.get(xml_key, None)
        if xml is None:
            return
        if note.nodeid is None:
            if note.fixture is None or self._is_new(note):
                xml.add_global_property(note.name, note.value)
            return
        place = pytest.TestReport(nodeid_of(note.nodeid), ("", None, ""), {}, "passed", None, "setup")
        if node is not None:
            place.node = node  # type: ignore[attr-defined]
        reporter = xml.node_reporter(place)
        add = reporter.add_attribute if note.kind == "attribute" else reporter.add_property
        add(note.name, note.value)

    def _is_new(self, note: JunitRecord) -> bool:
        """Whether no other instance has noted this as often. In a serial run there is only one instance."""
        key = (note.fixture or "", note.name, note.value)
        if note.nth <= self._most.get(key, 0):
            return False
        self._most[key] = note.nth
        return True
