"""The benchmark harness: its statistics, its table, its options, and one real measurement."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import pytest

from benchmarks import cli, machine, plot, probe, tables
from benchmarks.contenders import BASE, CONTENDERS, INCUMBENT, OURS
from benchmarks.environments import Environment, clean_environ, last_error
from benchmarks.measure import Measured, ProbeError, counts_in, measure, problem_with
from benchmarks.stats import Series, paired_ratio, ratio_of, rotated
from benchmarks.suites import CASES, Case, write_suite

SUMMARY = "collected 9 items\n\n=== 9 passed, 1 warning in 0.31s ===\n"


def measured(status: int = 0, *, timed_out: bool = False, left_behind: int = 0) -> Measured:
    return Measured(status, 1.0, 1.0, 0, 0.0, timed_out, left_behind)


def series(**values: list[float]) -> Series:
    made = Series()
    for metric in ("wall", "cpu", "pss"):
        for number, value in enumerate(values.get(metric, [])):
            made.add(metric, number, value)
    return made


def results(by_name: Mapping[str, Series], failures: Mapping[str, str] | None = None) -> tables.Results:
    contenders = [*by_name, *(failures or {})]
    environments = {name: Environment("python", "9.0", "1.2") for name in by_name}
    return tables.Results(
        [CASES["one"]],
        contenders,
        environments,
        failures or {},
        {"one": by_name},
        {"date": "2026-01-02"},
    )


def row_of(text: str, label: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f"| {label}"))
    return [cell.strip() for cell in line.strip("|").split("|")]


class TestStatistics:
    def test_ratios_are_taken_within_a_round(self) -> None:
        # The machine was twice as slow in round 2: the ratio does not move.
        ratio = paired_ratio({1: 2.0, 2: 4.0, 3: 2.0}, {1: 1.0, 2: 2.0, 3: 1.0})
        assert ratio is not None
        assert (ratio.median, ratio.low, ratio.high, ratio.rounds) == (2.0, 2.0, 2.0, 3)

    def test_the_spread_is_the_least_and_the_greatest_ratio(self) -> None:
        ratio = paired_ratio({1: 1.0, 2: 3.0, 3: 9.0}, {1: 1.0, 2: 1.0, 3: 1.0})
        assert ratio is not None
        assert (ratio.median, ratio.low, ratio.high) == (3.0, 1.0, 9.0)

    def test_a_round_that_only_one_has_is_left_out(self) -> None:
        ratio = paired_ratio({1: 5.0, 2: 2.0}, {2: 1.0, 3: 7.0})
        assert ratio is not None
        assert (ratio.median, ratio.rounds) == (2.0, 1)

    def test_no_common_round_has_no_ratio(self) -> None:
        assert paired_ratio({1: 1.0}, {2: 1.0}) is None

    def test_a_base_of_zero_has_no_ratio(self) -> None:
        assert paired_ratio({1: 1.0}, {1: 0.0}) is None

    def test_a_failed_series_has_no_ratio_even_with_values(self) -> None:
        ours, base = series(wall=[1.0]), series(wall=[1.0])
        assert ratio_of(ours, base, "wall") is not None
        base.failure = "exit status 1 (round 2)"
        assert ratio_of(ours, base, "wall") is None
        assert ratio_of(None, series(wall=[1.0]), "wall") is None

    def test_the_absolute_value_is_the_median(self) -> None:
        assert series(wall=[1.0, 9.0, 2.0]).middle("wall") == 2.0
        assert series(wall=[1.0]).middle("cpu") is None

    def test_everybody_is_first_once_in_as_many_rounds_as_there_are_names(self) -> None:
        names = ["a", "b", "c"]
        assert [rotated(names, by)[0] for by in range(1, 4)] == ["b", "c", "a"]
        assert sorted(rotated(names, 5)) == names
        assert rotated([], 3) == []


class TestVerdict:
    @pytest.mark.parametrize(
        "output",
        [
            SUMMARY,
            "9 passed, 1 warning in 0.31s\n",
            "=== 9 passed, 1 warning in 75.31s (0:01:15) ===\nsomething of a plugin\n",
            "=== 1 passed in 0.1s ===\n===== 9 passed, 1 warning in 0.31s =====",
        ],
    )
    def test_the_closing_line_is_found(self, output: str) -> None:
        assert counts_in(output) == {"passed": 9, "warning": 1}

    def test_output_without_a_closing_line_has_no_counts(self) -> None:
        assert counts_in("Fatal Python error\n9 passed\n") == {}

    def test_a_run_that_passed_all_tests_counts(self) -> None:
        assert problem_with(measured(), SUMMARY, 9, 60) == ""

    @pytest.mark.parametrize(
        ("run", "output", "problem"),
        [
            (measured(3), SUMMARY, "exit status 3"),
            (measured(-9), SUMMARY, "ended by signal 9"),
            (measured(timed_out=True), "", "not done after 60 s"),
            (measured(left_behind=2), SUMMARY, "left 2 processes behind"),
            (measured(), "", "no closing line with counts"),
            (measured(), "=== 8 passed in 1.0s ===", "reported 8 passed, not 9"),
            (measured(), "=== no tests ran in 1.0s ===", "no closing line with counts"),
            (measured(), "=== 9 passed, 1 error in 1.0s ===", "reported 1 error"),
            (measured(), "=== 1 failed, 9 passed in 1.0s ===", "reported 1 failed"),
        ],
    )
    def test_a_run_that_did_not_do_its_work_has_a_reason(
        self, run: Measured, output: str, problem: str
    ) -> None:
        assert problem_with(run, output, 9, 60) == problem


class TestTable:
    def test_a_row_shows_ratio_spread_and_median(self) -> None:
        base = series(wall=[0.2, 0.4], cpu=[1.0, 1.0], pss=[2**20, 2**20])
        ours = series(wall=[0.1, 0.4], cpu=[2.0, 2.0], pss=[3 * 2**20, 3 * 2**20])
        text = tables.report(results({BASE: base, OURS: ours}))
        assert row_of(text, f"{OURS} 1.2")[1:] == [
            *("0.75 (0.50 to 1.00)", "250 ms"),
            *("2.00 (2.00 to 2.00)", "2.00 s"),
            *("3.00 (3.00 to 3.00)", "3.0 MiB"),
        ]
        assert row_of(text, "plain pytest 1.2")[1] == "1"

    def test_a_failed_contender_keeps_its_row_and_says_why(self) -> None:
        bad = series(wall=[1.0])
        bad.failure = "exit status 3 (round 2)"
        text = tables.report(results({BASE: series(wall=[1.0]), "zygote": bad}))
        row = row_of(text, "zygote")
        assert row[1] == "failed: exit status 3 (round 2)"
        assert len(row) == len(row_of(text, "plain pytest"))

    def test_a_contender_that_cannot_be_installed_keeps_its_row(self) -> None:
        text = tables.report(results({BASE: series(wall=[1.0])}, {"parallex": "no such version"}))
        assert row_of(text, "parallex")[1] == "failed: not installed: no such version"

    def test_without_plain_pytest_there_are_absolute_values_only(self) -> None:
        text = tables.report(results({OURS: series(wall=[2.0])}, {BASE: "broken"}))
        assert row_of(text, OURS)[1:3] == ["n/a", "2.00 s"]

    def test_we_are_set_against_xdist_in_the_same_round(self) -> None:
        both = {INCUMBENT: series(pss=[4.0, 8.0]), OURS: series(pss=[1.0, 2.0])}
        text = tables.incumbent_section(results({BASE: series(pss=[1.0, 1.0]), **both}))
        assert row_of(text, "One test")[1:] == ["n/a", "n/a", "0.25 (0.25 to 0.25)"]

    def test_without_xdist_nothing_is_set_against_it(self) -> None:
        assert tables.incumbent_section(results({BASE: series(), OURS: series()})) == ""

    def test_environments_with_another_pytest_are_named(self) -> None:
        both = results({BASE: series(), OURS: series()})
        assert "pytest: 9.0\n" in tables.report(both)
        both.environments = {BASE: Environment("", "9.0", ""), OURS: Environment("", "8.2", "")}
        assert "pytest: differs: plain 9.0, procpar 8.2" in tables.report(both)

    @pytest.mark.parametrize(
        ("reason", "shown"),
        [
            ("ERROR: no file /home/me/work/a.whl", "ERROR: no file a.whl"),
            ("Looking at https://index.example/simple/x now", "Looking at (address) now"),
            ("a | b\n  c", r"a \| b c"),
            ("either/or is fine", "either/or is fine"),
            ("x" * 500, "x" * 119 + "…"),
        ],
    )
    def test_a_reason_fits_a_cell_and_tells_nothing_of_the_machine(self, reason: str, shown: str) -> None:
        assert tables.presentable(reason) == shown

    def test_the_noise_of_a_case_stands_above_its_table(self) -> None:
        base, ours = series(wall=[1.0, 1.0]), series(wall=[1.0])
        base.others, ours.others = {0: 0.1, 1: 9.0}, {0: 0.5}
        text = tables.report(results({BASE: base, OURS: ours}))
        assert "Other processes kept 0.5 cores busy" in text
        assert "Other processes" not in tables.report(results({BASE: series()}))

    def test_a_failure_anywhere_makes_the_results_incomplete(self) -> None:
        assert not results({BASE: series()}).incomplete()
        assert results({BASE: series()}, {OURS: "no wheel"}).incomplete()
        assert results({BASE: series(), OURS: Series(failure="exit status 1")}).incomplete()

    def test_the_data_holds_every_value(self) -> None:
        data = tables.as_data(results({BASE: series(wall=[1.0, 2.0])}, {OURS: "a | b"}))
        assert data["cases"] == {
            "one": {
                BASE: {
                    "values": {"wall": {0: 1.0, 1: 2.0}, "cpu": {}, "pss": {}},
                    "failure": "",
                    "others": {},
                }
            }
        }


class TestDocument:
    def test_prose_around_the_markers_stays(self) -> None:
        document = f"before\n{tables.BEGIN}\nold\n{tables.END}\nafter\n"
        once = tables.spliced(document, "new\n")
        assert once == f"before\n{tables.BEGIN}\n\nnew\n\n{tables.END}\nafter\n"
        assert tables.spliced(once, "new\n") == once

    @pytest.mark.parametrize(
        "document",
        [
            "prose only",
            tables.BEGIN,
            f"{tables.END}{tables.BEGIN}",
            f"{tables.BEGIN}{tables.END}{tables.BEGIN}{tables.END}",
        ],
    )
    def test_a_document_without_one_place_is_refused(self, document: str) -> None:
        with pytest.raises(tables.MarkerError, match="exactly one"):
            tables.spliced(document, "new")

    def test_a_fresh_document_has_the_place(self) -> None:
        assert "figures" in tables.spliced(tables.fresh_document(), "figures")


class TestOptions:
    def test_a_full_run_writes_the_docs(self) -> None:
        options = cli.parsed([])
        assert options.output == cli.DEFAULT_OUTPUT
        assert options.cases == list(CASES)
        assert options.contenders == list(CONTENDERS)

    @pytest.mark.parametrize("option", ["--cases=one", "--contenders=xdist", "--rounds=4"])
    def test_a_partial_run_writes_no_docs_unless_told(self, option: str, tmp_path: Path) -> None:
        assert cli.parsed([option]).output is None
        wanted = tmp_path / "table.md"
        assert cli.parsed([option, f"--output={wanted}"]).output == wanted

    def test_plain_pytest_always_runs(self) -> None:
        assert cli.parsed(["--contenders=zygote"]).contenders == [BASE, "zygote"]

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--cases=two"], "two given; choose from trivial, one, imports, sleeps"),
            (["--cases="], "nothing given; choose from"),
            (["--contenders=xdist,pants"], "pants given; choose from plain, xdist"),
            (["--rounds=0"], "'0' is not a number of rounds: 1 or more"),
            (["--rounds=many"], "'many' is not a number of rounds"),
            (["--timeout=-1"], "'-1' is not a number of seconds above 0"),
            (["--timeout=nan"], "'nan' is not a number of seconds above 0"),
            (["--json=/no/such/folder/x.json"], "its folder does not exist"),
        ],
    )
    def test_a_wrong_option_names_what_would_be_right(
        self, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit) as stop:
            cli.parsed(arguments)
        assert stop.value.code == 2
        assert message in capsys.readouterr().err

    def test_a_document_without_markers_is_refused_before_measuring(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        prose = tmp_path / "prose.md"
        prose.write_text("mine\n", encoding="utf-8")
        with pytest.raises(SystemExit):
            cli.parsed([f"--output={prose}"])
        assert "needs exactly one line" in capsys.readouterr().err
        assert prose.read_text(encoding="utf-8") == "mine\n"

    def test_names_keep_the_order_of_the_known(self) -> None:
        assert cli._cases("sleeps, one,one") == ["one", "sleeps"]
        with pytest.raises(argparse.ArgumentTypeError):
            cli._contenders(",")


class TestWorkFolder:
    def test_a_second_run_in_the_same_folder_is_refused(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with cli._alone_in(tmp_path), pytest.raises(SystemExit) as stop, cli._alone_in(tmp_path):
            pytest.fail("both hold the folder")
        assert stop.value.code == 2
        assert "another run uses this folder" in capsys.readouterr().err
        with cli._alone_in(tmp_path):
            pass


class TestSuites:
    @pytest.mark.parametrize("case", CASES.values(), ids=CASES)
    def test_a_suite_has_as_many_tests_as_must_pass(self, case: Case) -> None:
        assert sum(text.count("def test_") for text in case.files().values()) == case.tests

    @pytest.mark.parametrize("name", CASES)
    def test_a_suite_is_valid_and_the_same_each_time(self, name: str) -> None:
        files = CASES[name].files()
        assert files == CASES[name].files()
        for file, text in files.items():
            compile(text, file, "exec")

    def test_a_suite_replaces_what_was_in_its_folder(self, tmp_path: Path) -> None:
        folder = tmp_path / "suite"
        folder.mkdir()
        (folder / "test_stale.py").touch()
        write_suite(CASES["one"], folder)
        assert sorted(path.name for path in folder.iterdir()) == ["pytest.ini", "test_one.py"]


class TestEnvironment:
    def test_variables_that_steer_pytest_do_not_reach_a_contender(self) -> None:
        given = {"PATH": "p", "PYTEST_ADDOPTS": "-x", "PYTHONPATH": ".", "COV_CORE_SOURCE": "s"}
        assert clean_environ(given) == {"PATH": "p", "PYTHONHASHSEED": "0"}

    @pytest.mark.parametrize(
        ("output", "line"),
        [
            ("note\nERROR: No matching distribution\nhint\n", "ERROR: No matching distribution"),
            ("  OSError: no README\n  note\nerror: metadata-generation-failed\n", "OSError: no README"),
            ("only this\n\n", "only this"),
            ("", ""),
        ],
    )
    def test_the_line_that_says_most_is_the_reason(self, output: str, line: str) -> None:
        assert last_error(output) == line

    @pytest.mark.parametrize("name", [name for name in CONTENDERS if name != BASE])
    def test_every_contender_is_told_the_number_of_workers(self, name: str) -> None:
        assert "7" in " ".join(CONTENDERS[name].arguments(7, Path("kept")))

    def test_a_contender_finds_what_its_run_before_has_left(self) -> None:
        assert "--timing-schedule=kept/timing.json" in CONTENDERS["timing"].arguments(2, Path("kept"))

    def test_a_runner_of_its_own_is_told_the_interpreter_of_its_environment(self) -> None:
        assert CONTENDERS[OURS].launcher("/env/bin/python") == ["/env/bin/python", "-m", "pytest"]
        assert CONTENDERS["rstest"].launcher("/env/bin/python") == [
            "/env/bin/rstest",
            "--python",
            "/env/bin/python",
        ]

    def test_the_machine_is_described_without_its_vendor_suffix(self) -> None:
        assert machine.kernel("6.1.44-secret-host") == "6.1"
        assert machine.processor("x: y\nmodel name\t: Some  CPU\n") == "Some CPU"


class TestProbe:
    def test_descendants_are_found_at_any_depth(self) -> None:
        assert sorted(probe.descendants([(2, 1), (3, 2), (4, 3), (9, 8)], 1)) == [2, 3, 4]

    def test_a_process_name_with_brackets_hides_no_parent(self) -> None:
        assert probe.parent_of("17 (a) b (c)) S 4 17 17 0") == 4

    def test_stolen_time_counts_as_busy_and_idle_time_does_not(self) -> None:
        assert probe.busy_seconds("cpu  100 20 30 9999 9999 1 2 47 5 5\ncpu0 1 2", 100) == 2.0

    def test_a_zombie_has_no_memory(self) -> None:
        assert probe.pss_of("Rss:  9 kB\nPss:                326 kB\nPss_Dirty: 1 kB\n") == 326 * 1024
        assert probe.pss_of("") == 0

    @pytest.mark.skipif(sys.platform != "linux", reason="the probe needs prctl and /proc")
    def test_the_cpu_of_an_orphan_counts(self, tmp_path: Path) -> None:
        burn = "import time\nwhile time.process_time() < 0.3: pass"
        # The child ends at once; its child, which nobody waits for, does the work.
        code = f"import os\nif os.fork(): os._exit(0)\n{burn}"
        found = measure(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env=clean_environ(os.environ),
            log=tmp_path / "log",
            timeout=60,
        )
        assert (found.status, found.left_behind, found.timed_out) == (0, 0, False)
        assert found.cpu >= 0.3
        assert found.pss == 0

    @pytest.mark.skipif(sys.platform != "linux", reason="the probe needs prctl and /proc")
    def test_a_command_that_cannot_start_is_an_error_of_the_probe(self, tmp_path: Path) -> None:
        with pytest.raises(ProbeError, match="no-such-program"):
            measure(["./no-such-program"], cwd=tmp_path, env={}, log=tmp_path / "log", timeout=60)


class TestPlot:
    def test_the_quickest_is_first_and_who_failed_has_no_bar(self) -> None:
        by_name = {
            BASE: asdict(series(wall=[2.0, 4.0], cpu=[1.0, 1.0])),
            OURS: asdict(series(wall=[1.0, 2.0], cpu=[1.5, 1.5])),
            "zygote": {**asdict(series(wall=[0.1], cpu=[0.1])), "failure": "exit status 1"},
        }
        shown = plot.bars(json.loads(json.dumps(by_name)))
        assert shown == [plot.Bar(OURS, 0.5, 1.5), plot.Bar("plain pytest", 1.0, 1.0)]

    def test_another_file_is_refused(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert plot.main(["only one"]) == 2
        (tmp_path / "x.json").write_text("{}", encoding="utf-8")
        assert plot.main([str(tmp_path / "x.json"), str(tmp_path / "x.svg")]) == 2
        assert "x.json: not a file of" in capsys.readouterr().err
