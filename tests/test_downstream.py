"""The downstream job's judgement: what counts as the same, and what is said when it is not."""

from __future__ import annotations

import io
import json
import tarfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.downstream import report as reporting
from benchmarks.downstream.cli import main, ready
from benchmarks.downstream.compare import (
    Comparison,
    Difference,
    Report,
    Run,
    compare,
    fold,
    parse_records,
    run_of,
    start_method,
    summary_counts,
    without_warnings,
)
from benchmarks.downstream.kept import key_of, load, save
from benchmarks.downstream.prepare import PrepareError, plugin_name, tree_of
from benchmarks.downstream.report import Result, Times
from benchmarks.downstream.run import Cost, is_parallel, limit_of, logs_of
from benchmarks.downstream.suites import SUITES, Suite, select
from benchmarks.downstream.table import BEGIN, END, Head, updated


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


def test_warnings_of_a_compiler_can_be_left_out_and_nothing_else() -> None:
    both = run_with(("t", "passed"), passed=1, warning=1), run_with(("t", "failed"), failed=1)
    found = without_warnings(compare(*both))
    assert not found.warnings
    assert (found.tests, found.totals) == (compare(*both).tests, compare(*both).totals)


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


def test_each_requirement_of_a_suite_is_pinned() -> None:
    assert not [word for suite in SUITES for word in suite.requirements if "==" not in word]


def test_extras_are_installed_but_not_downloaded() -> None:
    suite = Suite("some", "1.2", extras=("a", "b"))
    assert (suite.requirement, suite.full_requirement) == ("some==1.2", "some[a,b]==1.2")


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("2 workers [3 items]\n", ("fork", "")),
        (
            "x\nprocpar: start method spawn, since a.py:1 reads (it) "
            "(ini: procpar_start_method pins a method, procpar_fork_safe vouches for what is safe)\ny",
            ("spawn", "a.py:1 reads (it)"),
        ),
        (
            "procpar: start method fork-early, since /w/lib/python3/site-packages/a/b.py:1 reads it\n",
            ("fork-early", "a/b.py:1 reads it"),
        ),
    ],
)
def test_start_method_is_told_by_the_line_that_gives_the_reason(
    output: str, expected: tuple[str, str]
) -> None:
    assert start_method(output) == expected
    run = run_of([], 0, output)
    assert (run.start_method, run.start_reason) == expected


def test_a_parallel_run_may_take_longer_than_plain_but_not_for_ever() -> None:
    assert Cost(1.0, 1.0, 0).wall < limit_of(Cost(1.0, 1.0, 0)) < limit_of(Cost(20.0, 20.0, 0))
    assert limit_of(Cost(1e6, 1.0, 0)) < 1e6


def test_what_would_shadow_the_installed_project_is_removed_from_its_sdist(tmp_path: Path) -> None:
    sdists = tmp_path / "sdists"
    sdists.mkdir()
    with tarfile.open(sdists / "some-1.tar.gz", "w:gz") as archive:
        for name in ("some/native.py", "tests/test_it.py", "pyproject.toml"):
            file = tarfile.TarInfo(f"some-1/{name}")
            archive.addfile(file, io.BytesIO())
    for _ in range(2):
        tree = tree_of(Suite("some", "1", drop=("some", "pyproject.toml")), tmp_path)
        assert [path.name for path in tree.iterdir()] == ["tests"]


def test_suite_that_is_installed_needs_no_sdist(tmp_path: Path) -> None:
    assert list(tree_of(Suite("some", "1", installed=True), tmp_path).iterdir()) == []


# --- preparing only ---


def test_a_suite_that_cannot_be_prepared_is_told_and_stops_no_other(
    capsys: pytest.CaptureFixture[str],
) -> None:
    done = []

    def prepared(suite: Suite) -> None:
        if suite.name == "two":
            raise PrepareError("no such version")
        done.append(suite.name)

    assert ready([Suite(name, "1") for name in ("one", "two", "three")], prepared) == 2
    assert done == ["one", "three"]
    assert capsys.readouterr().out.splitlines() == [
        "one 1: ready",
        "two 1: no such version",
        "three 1: ready",
        "not ready: two",
    ]


def test_suites_that_are_all_prepared_are_no_failure() -> None:
    assert ready([Suite("one", "1")], lambda suite: None) == 0


def test_the_command_that_prepares_runs_no_suite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    words = ["--prepare", "--suites", "click", "--plugin", "pytest-procpar", "--work", str(tmp_path)]
    assert main(words) == 2
    assert capsys.readouterr().out.splitlines()[-1] == "not ready: click"
    assert not (tmp_path / "logs").exists()


# --- what is kept ---


def test_a_kept_run_is_found_again_by_its_key_alone(tmp_path: Path) -> None:
    suite, cost = Suite("some", "1"), Cost(1.5, 0.5, 1)
    logs = logs_of("some", "-n 2", tmp_path)
    key = key_of(suite, "-n 2", "pytest==9", "procpar")
    assert load(logs, key) is None
    save(logs, key, cost)
    assert load(logs, key) == cost
    assert load(logs, key_of(suite, "-n 2", "pytest==9", "procpar==2")) is None


def test_a_torn_note_of_a_run_is_none(tmp_path: Path) -> None:
    logs = logs_of("some", "-n 2", tmp_path)
    key = key_of(Suite("some", "1"), "-n 2", "pytest==9", "procpar")
    save(logs, key, Cost(1.5, 0.5, 1))
    logs.kept.write_text(logs.kept.read_text()[:-3])
    assert load(logs, key) is None


@pytest.mark.parametrize("changed", [{"version": "2"}, {"args": ("t",)}, {"requirements": ("x==1",)}])
def test_a_run_of_a_changed_suite_is_another(changed: dict[str, Any]) -> None:
    one, two = Suite("some", "1"), replace(Suite("some", "1"), **changed)
    assert key_of(one, "-n 2", "p", "q") != key_of(two, "-n 2", "p", "q")


def test_a_remark_about_a_suite_changes_no_run() -> None:
    one, two = Suite("some", "1"), Suite("some", "1", notes="n", differs="d", quick=True)
    assert key_of(one, "-n 2", "p", "q") == key_of(two, "-n 2", "p", "q")


def test_a_wheel_is_known_by_its_content_and_plain_runs_do_not_ask_for_it(tmp_path: Path) -> None:
    suite, wheel = Suite("some", "1"), tmp_path / "some.whl"
    keys = []
    for content in (b"one", b"two"):
        wheel.write_bytes(content)
        keys.append([key_of(suite, options, "p", str(wheel)) for options in ("", "-n 2")])
    assert keys[0][0] == keys[1][0]
    assert keys[0][1] != keys[1][1]


def test_files_of_different_runs_are_different(tmp_path: Path) -> None:
    runs = [("", False), ("", True), ("-n 2", False), ("-n 4 --dist loadfile", False), ("-n 4", False)]
    assert len({logs_of("some", options, tmp_path, again).output for options, again in runs}) == len(runs)


# --- the table in the documentation ---

PAGE = f"before\n{BEGIN}\n{END}\nafter\n"
HEAD = Head("CPython 3.11, pytest 9", "median of 3 rounds")
TABLE_RUNS = ("", "-n 2", "-n 4")


def result_of(suite: Suite, **comparisons: Comparison) -> Result:
    plain = run_with(("t", "passed"), passed=1, deselected=7)
    found = {
        options: comparisons.get(name, Comparison((), (), ()))
        for name, options in zip("ab", ("-n 2", "-n 4"), strict=True)
    }
    return Result(suite.name, plain=plain, comparisons=found, start_method="fork", explained=suite.differs)


def line_of(text: str, name: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(f"| {name} |"))


def test_row_tells_version_tests_start_method_and_what_differs() -> None:
    suite = Suite("some", "1.2", notes="A | B.")
    text = updated(PAGE, [(suite, result_of(suite, b=FAILED))], [suite], TABLE_RUNS, HEAD)
    expected = "| some | 1.2 | 1 passed | fork | equal | 1 tests; warnings 1/3 | - | A \\| B. |"
    assert line_of(text, "some") == expected
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")


def test_row_tells_why_the_start_method_is_not_fork() -> None:
    suite = Suite("some", "1.2")
    result = result_of(suite)
    result.start_method, result.start_reason = "spawn", "a.py:1 reads it"
    assert "| spawn: a.py:1 reads it |" in updated(PAGE, [(suite, result)], [suite], TABLE_RUNS, HEAD)


def test_known_difference_is_told_in_the_notes_if_it_was_seen() -> None:
    suite = Suite("some", "1.2", differs="It counts processes.")
    rows = [
        line_of(updated(PAGE, [(suite, result)], [suite], TABLE_RUNS, HEAD), "some")
        for result in (result_of(suite, a=FAILED), result_of(suite))
    ]
    assert "| see notes | equal | - | It counts processes. |" in rows[0]
    assert "It counts" not in rows[1]


def test_what_was_not_run_keeps_its_row_and_what_is_no_suite_any_more_goes() -> None:
    one, two, gone = (Suite(name, "1") for name in ("one", "two", "gone"))
    text = updated(PAGE, [(s, result_of(s)) for s in (one, gone)], [one, gone], TABLE_RUNS, HEAD)
    text = updated(text, [(two, result_of(two))], [two, one], TABLE_RUNS, HEAD)
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    assert [line.split(" | ")[0] for line in lines] == ["| suite", "| two", "| one"]


def test_wall_ratio_stays_until_it_is_measured_again() -> None:
    suite = Suite("some", "1.2", notes="x | y")
    result = result_of(suite)
    result.times = times([2.0], [1.0])
    text = updated(PAGE, [(suite, result)], [suite], TABLE_RUNS, HEAD)
    assert "by that of a plain run: median of 3 rounds." in text
    text = updated(text, [(suite, result_of(suite))], [suite], TABLE_RUNS, Head("CPython 3.12", "never"))
    assert "| 0.50 | x" in line_of(text, "some")
    assert "Latest run: CPython 3.12." in text
    assert "median of 3 rounds" in text


def test_a_measurement_without_a_comparison_changes_the_wall_ratio_alone() -> None:
    suite, new = Suite("some", "1.2", notes="x | y"), Suite("new", "1")
    text = updated(PAGE, [(suite, result_of(suite, b=FAILED))], [suite], TABLE_RUNS, HEAD)
    measured = Result("some", times=times([2.0], [1.0]))
    found = updated(text, [(suite, measured), (new, measured)], [suite, new], TABLE_RUNS, HEAD)
    expected = line_of(text, "some").replace("| - | x", "| 0.50 | x")
    assert line_of(found, "some") == expected
    assert "by that of a plain run: median of 3 rounds." in found
    assert "| new |" not in found


def test_the_page_has_a_place_for_the_table() -> None:
    page = Path(__file__).parents[1].joinpath("docs", "compatibility.md").read_text(encoding="utf-8")
    assert updated(page, [], SUITES, TABLE_RUNS, HEAD)
