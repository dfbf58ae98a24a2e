"""What is kept of one go at a test, from its reports."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pytest_procpar.json_report.attempts import Attempt, text_of


def report(when: Any, outcome: Any = "passed", longrepr: Any = None, **more: Any) -> Any:
    made: Any = pytest.TestReport("t::a", ("t", 0, "a"), {}, outcome, longrepr, when, duration=0.25)
    made.start = 10.0
    vars(made).update(more)
    return made


def attempt(*reports: Any, worker: str | None = "gw0") -> Attempt:
    made = Attempt(worker)
    for each in reports:
        made.add(each)
    return made


def phases(call: Any, setup: Any = None, teardown: Any = None) -> tuple[Any, ...]:
    return setup or report("setup"), call, teardown or report("teardown")


FAILED = report("call", "failed", "E  assert 0\nmore")
SKIP = ("t.py", 3, "Skipped: not here")


@pytest.mark.parametrize(
    ("reports", "outcome"),
    [
        (phases(report("call")), "passed"),
        (phases(FAILED), "failed"),
        ((report("setup", "failed", "x"), report("teardown")), "error"),
        (phases(report("call"), teardown=report("teardown", "failed", "x")), "error"),
        (phases(FAILED, teardown=report("teardown", "failed", "x")), "failed"),
        ((report("setup", "skipped", SKIP), report("teardown")), "skipped"),
        (phases(report("call", "skipped", SKIP)), "skipped"),
        (phases(report("call", "skipped", "x", wasxfail="known")), "xfailed"),
        (phases(report("call", wasxfail="known")), "xpassed"),
        (phases(report("call", "rerun", "x")), "rerun"),
        ((report("setup"),), "unfinished"),
        ((report("setup"), report("teardown")), "not-run"),
        ((), "unfinished"),
    ],
)
def test_all_phases_together_have_one_outcome(reports: tuple[Any, ...], outcome: str) -> None:
    assert attempt(*reports).outcome == outcome


def test_a_failed_subtest_fails_a_test_that_has_passed_and_is_kept_in_its_place() -> None:
    made = attempt(report("setup"))
    made.add_subtest(report("call", context=SimpleNamespace(msg="a", kwargs={"i": 1, "j": 2})))
    assert attempt(*phases(report("call"))).record().get("subtests") is None
    context = SimpleNamespace(msg=None, kwargs={})
    made.add_subtest(report("call", "failed", "E  no", context=context, sections=[("out", "x")]))
    for each in (report("call"), report("teardown")):
        made.add(each)
    assert made.outcome == "failed"
    assert made.record()["subtests"] == [
        {"description": "[a] (i=1, j=2)", "outcome": "passed"},
        {
            "description": "(<subtest>)", "outcome": "failed", "message": "E  no", "longrepr": "E  no",
            "sections": [["out", "x"]],
        },
    ]  # fmt: skip


def test_a_plain_pass_leaves_its_phases_only() -> None:
    made = Attempt("gw1")
    for when in ("setup", "call", "teardown"):
        made.add_pass(when, 1.0, 0.5)
    phase = {"outcome": "passed", "start": 1.0, "duration": 0.5}
    assert made.record() == {
        "worker": "gw1", "outcome": "passed", "phases": {"setup": phase, "call": phase, "teardown": phase},
    }  # fmt: skip


def test_times_that_are_no_numbers_are_none() -> None:
    odd = [
        report("setup", start="x"),
        report("call", start=float("nan")),
        report("teardown", duration=10**400),
    ]
    records = attempt(*odd).record()["phases"]
    assert [records[when]["start"] for when in ("setup", "call")] == [0.0, 0.0]
    assert records["teardown"]["duration"] == 0.0


def test_a_late_teardown_adds_to_the_phase_and_its_failure_counts() -> None:
    late = report("teardown", "failed", "E  late")
    made = attempt(*phases(report("call")), late)
    assert made.record()["phases"]["teardown"] == {"outcome": "failed", "start": 10.0, "duration": 0.5}
    assert attempt(*phases(report("call"), teardown=late), report("teardown")).outcome == "error"
    assert made.outcome == "error"


# --- which report belongs to which attempt ---


@pytest.mark.parametrize(
    ("reports", "when", "subtest", "taken"),
    [
        ((), "setup", False, True),
        ((report("setup"),), "call", False, True),
        ((report("setup"),), "setup", False, False),
        (phases(report("call")), "setup", False, False),
        (phases(report("call")), "call", False, False),
        (phases(report("call")), "teardown", False, True),  # a late one
        (phases(report("call")), "teardown", True, False),
        ((report("setup"), report("call", "rerun", "x")), "teardown", False, True),
        ((report("setup"), report("call", "rerun", "x")), "setup", False, False),
        (phases(report("call", "rerun", "x")), "teardown", False, False),
        ((report("setup"), report("???", "failed", "died")), "teardown", False, False),
    ],
)
def test_a_report_is_of_the_attempt_that_can_still_have_it(
    reports: tuple[Any, ...], when: str, subtest: bool, taken: bool
) -> None:
    assert attempt(*reports).takes(when, subtest) is taken


def test_an_attempt_that_ended_for_another_has_not_died() -> None:
    rerun = attempt(report("setup"), report("call", "rerun", "x"))
    assert (rerun.rerun, rerun.died, rerun.began) == (True, False, True)
    crash = attempt(report("setup"), report("???", "failed", "died"))
    assert (crash.rerun, crash.died, crash.began) == (False, True, True)


# --- what was said ---


def said(*reports: Any) -> tuple[Any, Any]:
    record = attempt(*reports).record()
    return record.get("message"), record.get("longrepr")


@pytest.mark.parametrize(
    ("made", "message", "text"),
    [
        (FAILED, "E  assert 0", "E  assert 0\nmore"),
        (report("call", "skipped", SKIP), "not here", "t.py:3: Skipped: not here"),
        (report("call", "skipped", ("t.py", 3, "Skipped")), None, "t.py:3: Skipped"),
        (report("call", "skipped", "x", wasxfail="reason: known"), "known", "x"),
        (report("call", wasxfail=""), None, None),
        (report("call", "failed", "[XPASS(strict)] known", wasxfail="known"), "[XPASS(strict)] known", ...),
        (report("call", "failed", "\n  \n"), None, None),
    ],
)
def test_a_message_is_the_reason_or_the_first_line_of_what_was_raised(
    made: Any, message: str | None, text: Any
) -> None:
    assert said(*phases(made)) == (message, made.longrepr if text is ... else text)


def test_a_failure_that_cannot_be_shown_says_so() -> None:
    class Odd:
        def __str__(self) -> str:
            raise ValueError

    assert text_of(Odd()) == "<a failure that cannot be shown: ValueError>"


def test_the_first_failure_gives_the_message_and_all_their_texts() -> None:
    skipped_then = phases(report("call", "skipped", SKIP), teardown=report("teardown", "failed", "E  late"))
    assert said(*skipped_then) == ("E  late", "t.py:3: Skipped: not here\n\nE  late")
    both = phases(FAILED, teardown=report("teardown", "failed", "E  late"))
    assert said(*both) == ("E  assert 0", "E  assert 0\nmore\n\nE  late")


def test_the_latest_sections_are_kept() -> None:
    made = attempt(
        report("setup", sections=[("out setup", "a")]),
        report("call", sections=[("out setup", "a"), ("out", "b")]),
    )
    assert made.record()["sections"] == [["out setup", "a"], ["out", "b"]]


def test_properties_of_a_later_phase_include_the_earlier_ones_and_leaks_are_told_apart() -> None:
    first = [("a", 1)]
    made = attempt(
        report("setup", user_properties=first),
        report("call", user_properties=[*first, ("b", {1})]),
        report(
            "teardown", user_properties=[*first, ("b", {1}), ("procpar_leak", "x"), ("procpar_leak", "x")]
        ),
    )
    record = made.record()
    assert [name for name, _ in record["properties"]] == ["a", "b"]
    assert record["leaks"] == ["x"]


def death(**facts: Any) -> Any:
    properties = [(f"procpar_{name}", value) for name, value in facts.items()]
    return report("???", "failed", "died", user_properties=[*properties, ("mine", 1), ("procpar_leak", "x")])


def test_what_is_known_of_a_crash_is_kept_beside_the_properties() -> None:
    made = attempt(
        report("setup", user_properties=[("a", 1)]),
        death(outcome="hung", worker="gw3", limit=2.5),
        worker=None,
    )
    record = made.record()
    assert (record["worker"], record["outcome"], record["death"]) == (
        "gw3",
        "hung",
        {"worker": "gw3", "limit": 2.5},
    )
    assert record["properties"] == [["a", 1], ["mine", 1]]
    assert (record["leaks"], record["message"]) == (["x"], "died")
    assert attempt(death(outcome="crashed", worker="gw3"), worker="gw0").record()["worker"] == "gw0"


def test_a_crash_that_another_plugin_reports_has_its_properties_and_no_facts() -> None:
    record = attempt(report("setup"), death(note="x")).record()
    assert record["properties"] == [["procpar_note", "x"], ["mine", 1]]
    assert "death" not in record
    assert record["outcome"] == "failed"


def test_a_test_that_was_given_up_has_not_begun() -> None:
    made = attempt(death(outcome="not-run", reason="no worker"))
    assert (made.began, made.died, made.outcome) == (False, False, "not-run")
