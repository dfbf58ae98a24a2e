"""The downstream job's judgement: what counts as the same, and what is said when it is not."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from benchmarks.downstream import report as reporting
from benchmarks.downstream.compare import (
    Comparison,
    Difference,
    Report,
    Run,
    compare,
    fold,
    parse_records,
    run_of,
    summary_counts,
)
from benchmarks.downstream.prepare import plugin_name
from benchmarks.downstream.report import Result, Times
from benchmarks.downstream.run import Cost, is_parallel
from benchmarks.downstream.suites import SUITES, select


def run_with(*outcomes: tuple[str, str], status: int = 0, **summary: int) -> Run:
    return Run(Counter(outcomes), status, summary)


@pytest.mark.parametrize(
    ("report", "word"),
    [
        (Report("t", "setup", "passed"), None),
        (Report("t", "call", "passed"), "passed"),
        (Report("t", "call", "failed"), "failed"),
        (Report("t", "setup", "failed"), "error"),
        (Report("t", "teardown", "failed"), "error"),
        (Report("t", "setup", "skipped"), "skipped"),
        (Report("t", "call", "skipped"), "skipped"),
        (Report("t", "call", "skipped", xfail=True), "xfailed"),
        (Report("t", "setup", "skipped", xfail=True), "xfailed"),
        (Report("t", "call", "passed", xfail=True), "xpassed"),
        (Report("t", "call", "failed", xfail=True), "failed"),
        (Report("m.py", "collect", "failed"), "error"),
        (Report("m.py", "collect", "skipped"), "skipped"),
        (Report("m.py", "collect", "passed"), None),
    ],
)
def test_a_report_folds_as_the_terminal_counts_it(report: Report, word: str | None) -> None:
    assert fold(report) == word


def test_records_come_back_as_reports() -> None:
    fields = {"nodeid": "t", "when": "call", "outcome": "skipped", "reason": "no tty"}
    assert parse_records([json.dumps(fields), "\n"]) == [Report("t", "call", "skipped", reason="no tty")]


def test_a_torn_record_is_an_error() -> None:
    with pytest.raises(ValueError):
        parse_records(['{"nodeid": "t", "wh'])


@pytest.mark.parametrize(
    ("line", "counts"),
    [
        ("===== 3 passed in 0.10s =====", {"passed": 3}),
        ("3 passed, 1 skipped in 0.10s", {"passed": 3, "skipped": 1}),
        ("=== 1 failed, 2 passed, 1 warning in 70.10s (0:01:10) ===",
         {"failed": 1, "passed": 2, "warning": 1}),
        ("= 1 passed, 2 warnings, 3 errors in 1.00s =", {"passed": 1, "warning": 2, "error": 3}),
        ("== 1 passed, 4 subtests passed in 0.1s ==", {"passed": 1, "subtests passed": 4}),
        ("===== no tests ran in 0.01s =====", {}),
        ("Interrupted: 1 error during collection", {}),
    ],
)  # fmt: skip
def test_closing_line_gives_counts(line: str, counts: dict[str, int]) -> None:
    assert summary_counts(f"x\n{line}\n") == counts


def test_singular_and_plural_of_the_closing_line_are_one_word() -> None:
    assert summary_counts("= 1 error in 1s =").keys() == summary_counts("= 2 errors in 1s =").keys()


def test_last_closing_line_counts_since_suites_print_those_of_inner_runs() -> None:
    assert summary_counts("= 9 failed in 1.00s =\n= 1 passed in 2.00s =\n") == {"passed": 1}


def test_text_of_a_test_that_mentions_seconds_is_no_closing_line() -> None:
    assert summary_counts("done in 2.00s\nran 3 passed in 1s\n") == {}


def test_test_with_failed_call_and_broken_teardown_has_two_outcomes() -> None:
    reports = [Report("t", "call", "failed"), Report("t", "teardown", "failed")]
    assert run_of(reports, 1, "").outcomes == Counter([("t", "failed"), ("t", "error")])


def test_subtests_count_beside_their_test() -> None:
    reports = [Report("t", "call", "passed", subtest=subtest) for subtest in (False, True, True)]
    assert run_of(reports, 0, "").outcomes == Counter({("t", "passed"): 1, ("t", "subtest passed"): 2})


def test_a_lost_subtest_is_a_difference() -> None:
    reports = [Report("t", "call", "passed", subtest=subtest) for subtest in (False, True, True)]
    (found,) = compare(run_of(reports, 0, ""), run_of(reports[:-1], 0, "")).tests
    assert (found.plain, found.parallel) == (
        "passed, subtest passed x2",
        "passed, subtest passed",
    )


def test_equal_runs_have_no_difference() -> None:
    runs = [run_with(("t", "passed"), ("u", "skipped"), passed=1, skipped=1) for _ in range(2)]
    assert compare(*runs).equal


def test_order_of_reports_is_no_difference() -> None:
    reports = [Report("t", "call", "passed"), Report("u", "call", "failed")]
    assert compare(run_of(reports, 1, ""), run_of(reversed(reports), 1, "")).equal


def test_changed_outcome_names_test_both_outcomes_and_reason() -> None:
    plain = run_of([Report("t", "call", "passed")], 0, "")
    parallel = run_of([Report("t", "call", "failed", reason="boom")], 0, "")
    assert compare(plain, parallel).tests == (Difference("t", "passed", "failed", "boom"),)


@pytest.mark.parametrize("swapped", [False, True])
def test_a_test_only_one_run_has_is_a_difference(swapped: bool) -> None:
    runs = [run_with(("t", "passed")), run_with()]
    expected = ("", "passed") if swapped else ("passed", "")
    (found,) = compare(*(reversed(runs) if swapped else runs)).tests
    assert (found.plain, found.parallel) == expected


def test_a_test_that_ran_twice_is_a_difference() -> None:
    (found,) = compare(run_with(("t", "passed")), run_with(*[("t", "passed")] * 2)).tests
    assert found.parallel == "passed x2"


def test_exit_status_is_compared_though_all_tests_agree() -> None:
    found = compare(run_with(("t", "passed")), run_with(("t", "passed"), status=3))
    assert found.totals == (Difference("exit status", "0", "3"),)
    assert not found.equal


def test_word_missing_from_one_closing_line_counts_as_zero() -> None:
    found = compare(run_with(passed=1, deselected=5), run_with(passed=1))
    assert found.totals == (Difference("summary: deselected", "5", "0"),)


def test_warnings_are_told_apart_from_other_totals() -> None:
    found = compare(run_with(passed=1, warning=1), run_with(passed=1, warning=3))
    assert found.warnings == (Difference("summary: warning", "1", "3"),)
    assert not found.totals
    assert not found.equal


WARNED = Comparison((), (), (Difference("summary: warning", "1", "3"),))
FAILED = Comparison((Difference("t", "passed", "failed", "boom"),), (), WARNED.warnings)


@pytest.mark.parametrize(
    ("waived", "comparison", "good"),
    [("", WARNED, False), ("gc", WARNED, True), ("gc", FAILED, False)],
)
def test_waiver_excuses_warnings_alone(waived: str, comparison: Comparison, good: bool) -> None:
    assert Result("s", waived=waived, comparisons={"-n 2": comparison}).good is good


def test_suite_that_could_not_run_is_not_good() -> None:
    assert not Result("s", error="no network").good


def test_difference_is_printed_with_both_outcomes_and_reason() -> None:
    text = reporting.comparison_text("-n 2", FAILED)
    assert "t: plain passed, parallel failed  (boom)" in text


def test_long_list_of_differences_says_how_many_are_left_out() -> None:
    many = tuple(Difference(f"t{n}", "passed", "") for n in range(100))
    text = reporting.comparison_text("-n 2", Comparison(many, (), ()))
    assert "100 tests differ" in text
    assert "and 60 more" in text


def times(plain: list[float], parallel: list[float]) -> Times:
    return Times(*(tuple(Cost(wall, wall, 0) for wall in walls) for walls in (plain, parallel)))


def test_ratio_is_of_neighbouring_rounds_since_the_machine_drifts() -> None:
    assert times([1.0, 2.0, 4.0], [0.5, 1.0, 3.0]).wall_ratio == 0.5


def test_table_of_times_names_slow_suites_but_not_short_ones() -> None:
    results = [
        Result("long", times=times([2.0], [3.0])),
        Result("short", times=times([0.2], [0.4])),
        Result("fast", times=times([2.0], [1.0])),
    ]
    text = reporting.times_table(results, "-n 2")
    assert "slower than plain: long." in text
    assert "missed (1.50)" in text


def test_table_of_times_is_empty_without_times() -> None:
    assert reporting.times_table([Result("s")], "-n 2") == ""


def test_table_of_outcomes_has_a_cell_for_each_run() -> None:
    plain = run_with(("t", "passed"), passed=1)
    equal = Comparison((), (), ())
    result = Result("s 1", plain=plain, comparisons={"-n 2": equal, "-n 4": FAILED})
    row = reporting.outcome_table([result], ["-n 2", "-n 4", "-n 8"]).splitlines()[-1]
    assert row == "| s 1 | 1 passed | equal | 1 tests; warnings 1/3 | - |"


def test_results_are_json() -> None:
    plain = run_with(("t", "passed"), passed=1)
    result = Result("s", plain=plain, comparisons={"-n 2": FAILED}, times=times([1.0], [1.0]))
    (found,) = json.loads(json.dumps(reporting.as_json([result])))
    assert found["runs"]["-n 2"]["tests"][0]["subject"] == "t"
    assert found["good"] is False


@pytest.mark.parametrize(("options", "parallel"), [("", False), ("-n 2", True), ("-n4", True), ("-x", False)])
def test_only_runs_with_workers_are_parallel(options: str, parallel: bool) -> None:
    assert is_parallel(options) is parallel


def test_suites_are_selected_in_the_order_named() -> None:
    assert [suite.name for suite in select("jinja2, click")] == ["jinja2", "click"]


def test_quick_suites_are_some_of_all() -> None:
    assert {*select("quick")} < {*select("all")} == {*SUITES}


@pytest.mark.parametrize("words", ["clik", "", "click,nope"])
def test_unknown_suite_is_an_error_that_lists_the_known_ones(words: str) -> None:
    with pytest.raises(ValueError, match="there are click, jinja2"):
        select(words)


@pytest.mark.parametrize(
    ("plugin", "name"),
    [
        ("/w/pytest_procpar-0.1.0-py3-none-any.whl", "pytest_procpar"),
        ("pytest-xdist", "pytest_xdist"),
        ("pytest-xdist[psutil]==3.8.0", "pytest_xdist"),
        ("pytest.xdist>=3", "pytest_xdist"),
    ],
)
def test_environment_is_named_after_the_plugin_but_not_its_version(plugin: str, name: str) -> None:
    assert plugin_name(plugin) == name


def test_each_suite_is_pinned_and_named_once() -> None:
    assert len({suite.name for suite in SUITES}) == len(SUITES)
    assert all(suite.version for suite in SUITES)


def test_each_deselection_has_a_reason() -> None:
    assert all(reason for suite in SUITES for _, reason in suite.deselect)
