"""A result that does not count is taken out of what session, reporter and junit xml have counted."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from _pytest.junitxml import LogXML, xml_key

from pytest_procpar.compat.pytest_reports.taking_back import take_back, take_back_stop
from tests.compat.configs import made_config, made_report


class Desk:
    """A run in which reports have come in."""

    def __init__(self, *, junit: bool = True) -> None:
        self.config = made_config()
        self.reporter = self.config.pluginmanager.getplugin("terminalreporter")
        self.session: Any = SimpleNamespace(config=self.config, testsfailed=0, _shouldfail="x")
        self.xml = LogXML("", None)
        if junit:
            self.config.stash[xml_key] = self.xml

    def report(self, test: int, when: str, outcome: str, name: str = "", worker: str = "gw0") -> Any:
        longrepr = None if outcome == "passed" else "failed here"
        made = made_report(f"t.py::{name or f'test_{test}'}", when, outcome, longrepr, sections=[])
        made.item_index, made.worker_id = test, worker
        word = "" if outcome == "passed" and when != "call" else outcome
        self.reporter._add_stats("error" if word == "failed" and when != "call" else word, [made])
        self.session.testsfailed += outcome == "failed"
        self.xml.pytest_runtest_logreport(made)
        return made

    def run(self, test: int, *outcomes: str, **more: str) -> list[Any]:
        phases = ("setup", "call", "teardown") if len(outcomes) == 3 else ("setup", "teardown")
        made = [self.report(test, when, word, **more) for when, word in zip(phases, outcomes, strict=True)]
        return [report for report in made if report.failed]

    def stats(self) -> dict[str, list[str]]:
        return {word: [r.nodeid for r in reports] for word, reports in self.reporter.stats.items()}

    def cases(self) -> list[str | None]:
        return [case.to_xml().get("name") for case in self.xml.node_reporters_ordered]

    def counts(self) -> dict[str, int]:
        return {word: count for word, count in self.xml.stats.items() if count}


def test_a_failure_is_counted_apart_and_nowhere_else() -> None:
    desk = Desk()
    desk.run(0, "passed", "passed", "passed")
    failed = desk.run(1, "passed", "failed", "passed")
    take_back(desk.session, failed, "rerun")
    assert desk.session.testsfailed == 0
    assert desk.stats() == {
        "": ["t.py::test_0", "t.py::test_0"],
        "passed": ["t.py::test_0"],
        "rerun": ["t.py::test_1"],
    }
    assert desk.cases() == ["test_0"]
    assert desk.counts() == {"passed": 1}


def test_an_error_in_the_teardown_of_a_failed_test_is_taken_back_with_it() -> None:
    desk = Desk()
    failed = desk.run(0, "passed", "failed", "failed")
    assert len(failed) == 2
    take_back(desk.session, failed, "rerun")
    assert (desk.session.testsfailed, desk.cases(), desk.counts()) == (0, [], {})
    assert desk.xml.cnt_double_fail_tests == 0
    assert desk.stats() == {"rerun": ["t.py::test_0"]}


def test_an_error_of_the_setup_is_taken_back() -> None:
    desk = Desk()
    take_back(desk.session, desk.run(0, "failed", "passed"), "rerun")
    assert (desk.session.testsfailed, desk.cases(), desk.counts()) == (0, [], {})


def test_another_test_of_the_same_name_keeps_its_failure() -> None:
    desk = Desk()
    first = desk.run(0, "passed", "failed", "passed", name="twin")
    desk.run(1, "passed", "failed", "passed", name="twin")
    desk.run(0, "passed", "failed", "passed", name="twin", worker="gw1")  # --dist each
    take_back(desk.session, first, "rerun")
    assert desk.session.testsfailed == 2
    assert desk.stats()["failed"] == ["t.py::twin"] * 2
    assert [report.worker_id for report in desk.reporter.stats["failed"]] == ["gw0", "gw1"]
    assert desk.cases() == ["twin"] * 2


def test_warnings_and_earlier_repetitions_of_the_test_stay_counted() -> None:
    desk = Desk()
    failed = desk.run(0, "passed", "failed", "passed")
    for word in ("warnings", "deselected", "rerun"):
        desk.reporter._add_stats(word, [failed[0]])
    take_back(desk.session, failed, "rerun")
    assert {word: len(reports) for word, reports in desk.stats().items()} == {
        "warnings": 1, "deselected": 1, "rerun": 2,
    }  # fmt: skip


def test_without_a_reporter_the_junit_xml_is_put_right_by_the_failures_alone() -> None:
    desk = Desk()
    failed = desk.run(0, "passed", "failed", "passed")
    desk.config.pluginmanager.unregister(name="terminalreporter")
    take_back(desk.session, failed, "rerun")
    assert (desk.session.testsfailed, desk.cases()) == (0, [])


def test_without_a_junit_xml_there_is_none_to_put_right() -> None:
    desk = Desk(junit=False)
    take_back(desk.session, desk.run(0, "passed", "failed", "passed"), "rerun")
    assert desk.cases() == ["test_0"]
    assert desk.stats() == {"rerun": ["t.py::test_0"]}


def test_a_failure_whose_teardown_is_not_reported_yet_is_not_looked_for_by_that() -> None:
    desk = Desk()
    failed = [desk.report(test, "call", "failed") for test in (0, 1)]
    take_back(desk.session, failed[:1], "rerun")
    assert desk.xml.open_reports == failed[1:]


def test_a_failure_stops_the_session_no_more() -> None:
    desk = Desk()
    take_back_stop(desk.session)
    assert desk.session._shouldfail is False
    real = object.__new__(pytest.Session)
    real._shouldfail = "stopping after 1 failures"
    take_back_stop(real)
    assert not real.shouldfail
