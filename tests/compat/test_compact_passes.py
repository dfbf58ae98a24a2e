"""Reports of passed tests that nobody has asked for: what a list of them answers, and who makes it whole."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from pytest_procpar.compat.pytest_reports.compact_passes import CompactPasses, ReportList
from pytest_procpar.compat.pytest_reports.reports import passed_reports
from pytest_procpar.core.model import TestIndex
from tests.compat.configs import made_config

PHASES = ((1.0, 2.0, 1.0), (2.0, 4.0, 2.0), (4.0, 4.5, 0.5))
NAMES = ("test_0", "t.py", "")


def told(report: Any, node: str, test: TestIndex) -> Any:
    vars(report).update(node=node, worker_id=node, item_index=int(test), testrun_uid="run")
    return report


class Uncounted(pytest.TestReport):
    """As a plugin makes it to report something of a test that is no test."""

    count_towards_summary = False


class Desk:
    """Three passed tests, as the controller shows them."""

    def __init__(self, tests: int = 3, hear: Callable[[Any], object] = lambda _: None) -> None:
        self.config = made_config()
        self.config.option.collectonly = False
        self.reporter: Any = self.config.pluginmanager.getplugin("terminalreporter")

        def log(report: Any) -> None:
            self.config.hook.pytest_runtest_logreport(report=report)
            hear(report)

        self.passes = CompactPasses[str](log, told)
        for test in range(tests):
            self.show(test)

    def show(self, test: int) -> None:
        index, place = TestIndex(test), ("t.py", test, f"test_{test}")
        node = f"gw{test % 2}"
        self.passes.show(self.reporter, node, index, f"t.py::test_{test}", place, (NAMES, PHASES))

    def counted(self) -> dict[str, bool]:
        """The categories, and whether all of their reports are made."""
        return {word: getattr(held, "keys", None) is None for word, held in self.reporter.stats.items()}


def wanted(tests: int = 3) -> dict[str, list[dict[str, Any]]]:
    """What the reporter's lists hold if every report is made at once."""
    found: dict[str, list[dict[str, Any]]] = {"": [], "passed": []}
    for test in range(tests):
        made = passed_reports(f"t.py::test_{test}", ("t.py", test, f"test_{test}"), NAMES, PHASES)
        for report, word in zip(made, ("", "passed", ""), strict=True):
            found[word].append(vars(told(report, f"gw{test % 2}", TestIndex(test))))
    return found


def test_the_reports_are_those_that_were_shown_and_in_their_order() -> None:
    shown: list[dict[str, Any]] = []
    desk = Desk(hear=lambda report: shown.append(dict(vars(report))))
    assert desk.counted() == {"": False, "passed": False}
    found = {word: [vars(report) for report in held] for word, held in desk.reporter.stats.items()}
    assert found == wanted()
    assert found["passed"] == shown
    assert desk.counted() == {"": True, "passed": True}


def test_counting_makes_no_report_and_the_last_line_counts() -> None:
    desk = Desk()
    assert {word: len(held) for word, held in desk.reporter.stats.items()} == {"": 6, "passed": 3}
    assert all(desk.reporter.stats.values())
    parts, color = desk.reporter.build_summary_stats_line()
    assert [text for text, _ in parts] == ["3 passed"]
    assert color == "green"
    assert desk.counted() == {"": False, "passed": False}


def extended(found: list[Any], held: Any) -> int:
    found.extend(held)
    return len(found)


#: Whatever may be asked of a list, and what it says of three reports.
LOOKS: dict[str, Callable[[Any], object]] = {
    "iterate": lambda held: [report.nodeid for report in held],
    "reversed": lambda held: [report.nodeid for report in reversed(held)],
    "index": lambda held: held[-1].nodeid,
    "slice": lambda held: [report.nodeid for report in held[:2]],
    "add": lambda held: len(held + [1]),  # noqa: RUF005 (it is about this)
    "add to": lambda held: len([1] + held),  # noqa: RUF005
    "unpack": lambda held: len([*held]),
    "call": lambda held: (lambda *reports: len(reports))(*held),
    "extend": lambda held: extended([1], held),
    "times": lambda held: len(2 * held),
    "tuple": lambda held: len(tuple(held)),
    "sorted": lambda held: [report.nodeid for report in sorted(held, key=lambda each: each.nodeid)],
    "contains": lambda held: held[0] in held,
    "equal": lambda held: held == list(held),
    "copy": lambda held: len(copy.copy(held)),
    "own copy": lambda held: len(held.copy()),
    "pickle": lambda held: len(pickle.loads(pickle.dumps(held))),
    "json": lambda held: len(json.loads(json.dumps(held, default=lambda report: report.nodeid))),
    "repr": lambda held: repr(held).count("test_"),
    "pop": lambda held: (held.pop().nodeid, len(held)),
    "pop first": lambda held: (held.pop(0).nodeid, len(held)),
    "insert": lambda held: held.insert(1, held[0]) or [report.nodeid for report in held],
    "delete": lambda held: held.__delitem__(0) or [report.nodeid for report in held],
    "sort": lambda held: held.sort(key=lambda each: each.nodeid, reverse=True) or held[0].nodeid,
    "clear": lambda held: held.clear() or len(held),
}  # fmt: skip


@pytest.mark.parametrize("look", LOOKS)
def test_everything_a_list_answers_is_what_a_list_of_the_reports_answers(look: str) -> None:
    held = Desk().reporter.stats["passed"]
    assert held.keys is not None
    assert LOOKS[look](held) == LOOKS[look](list(Desk().reporter.stats["passed"]))
    assert held.keys is None


@pytest.mark.python_dependent
def test_every_method_of_a_list_is_answered_for() -> None:
    """A method that a later Python adds has to make the reports, too."""
    blind = {"__class_getitem__", "__getattribute__", "__init__", "__new__", "__sizeof__"}
    inherited = {name for name in vars(list) if callable(vars(list)[name]) and name not in vars(ReportList)}
    assert inherited <= blind | {"__hash__"}


def test_a_list_that_was_looked_at_goes_on_as_any_other() -> None:
    desk = Desk(2)
    first = desk.reporter.stats["passed"][0]
    desk.show(2)
    assert desk.reporter.stats["passed"][0] is first
    found = {word: [vars(report) for report in held] for word, held in desk.reporter.stats.items()}
    assert found == wanted()


def test_a_report_that_was_given_something_is_kept() -> None:
    def give(report: Any) -> None:
        if report.nodeid.endswith("1"):
            report.noted = "here"
        if report.nodeid.endswith("2"):
            report.sections.append(("title", "text"))

    desk = Desk(hear=give)
    passed = desk.reporter.stats["passed"]
    assert [type(key) is int for key in passed.keys] == [True, False, False]
    assert [getattr(report, "noted", None) for report in passed] == [None, "here", None]
    assert [report.sections for report in passed] == [[], [], [("title", "text")]]


def test_reports_from_before_come_first() -> None:
    desk = Desk(0)
    early = passed_reports("t.py::test_early", ("t.py", 9, "test_early"), NAMES, PHASES)
    desk.reporter.stats["passed"] = [early[1]]
    desk.show(0)
    assert [report.nodeid for report in desk.reporter.stats["passed"]] == ["t.py::test_early", "t.py::test_0"]


def test_a_report_that_does_not_count_keeps_the_last_line_right() -> None:
    desk = Desk(0)
    desk.reporter.stats["passed"] = [Uncounted("t.py::test", ("t.py", 9, "test"), {}, "passed", None, "call")]
    desk.show(0)
    parts, _ = desk.reporter.build_summary_stats_line()
    assert [text for text, _ in parts] == ["1 passed"]


def test_what_another_plugin_has_put_in_place_of_a_list_stays() -> None:
    desk = Desk(0)
    mine: Any = type("Mine", (list,), {})()
    desk.reporter.stats["passed"] = mine
    desk.show(0)
    assert desk.reporter.stats["passed"] is mine
    assert [report.nodeid for report in mine] == ["t.py::test_0"]
