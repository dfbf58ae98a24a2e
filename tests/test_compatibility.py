"""The matrix of plugins: that every case is one, what counts as a difference, and that the command runs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from benchmarks.compatibility import table
from benchmarks.compatibility.cases import FOLDER, Case, CaseError, Output, load, load_all, select
from benchmarks.compatibility.cli import main
from benchmarks.compatibility.judge import Verdict, judge
from benchmarks.compatibility.run import Round
from benchmarks.compatibility.views import difference, view
from benchmarks.downstream.compare import Run

CASES = load_all()
OUTPUT = Output(file="out.txt")
CASE = Case("some", Path(), ("some-plugin==1.2",), "group", ("1 passed",), output=(OUTPUT,))


def round_of(outcome: str = "passed", lines: tuple[str, ...] = ("line",), method: str = "fork") -> Round:
    run = Run(Counter([("t", outcome)]), 0, {outcome: 1})
    return Round(run, method, {OUTPUT: list(lines)}, "")


def judged(plain: Round, parallel: Round, case: Case = CASE) -> Verdict:
    verdict = Verdict(case, "1.2")
    judge(verdict, "-n 2", [plain], [parallel])
    return verdict


# --- cases ---


def test_every_case_is_valid_and_they_have_names_of_their_own() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names) > 0


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case_pins_what_it_installs_and_has_tests(case: Case) -> None:
    assert all("==" in requirement for requirement in case.distributions)
    assert [file for source in case.sources for file in source.rglob("test_*.py")]


def test_one_group_has_one_version_of_a_distribution() -> None:
    pins = {(case.group, *word.split("==")) for case in CASES for word in case.distributions}
    assert len(pins) == len({pin[:2] for pin in pins})


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "distributions, group, summary is missing"),
        ("distributions = 3\ngroup = 'g'\nsummary = ['1 passed']", "distributions = 3 is no tuple"),
        ("distributions = []\ngroup = 'g'\nsummary = []", "summary has no entry"),
        ("distributions = []\ngroup = 'g'\nsummary = ['1 passed']\nnote = ''", "there is no note"),
        ("distributions = []\ngroup = 'g'\nsummary = ['1 passed']\n[[output]]", "one of file, terminal"),
        (
            "distributions = []\ngroup = 'g'\nsummary = ['1']\noutput = [{script = 'a.py'}]",
            "a.py is not there",
        ),
        ("distributions = []\ngroup = 'g'\nsummary = ['1']\nstart_method = 'x'", "start_method is one of"),
        ("distributions = []\ngroup = 'g'\nsummary = ['1']\nrequires_python = '3'", "is not like"),
        ("distributions = []\ngroup = 'g'\nsummary = ['1']\nsuite = 'none'", "there is no suite 'none'"),
        ("distributions = ", "case.toml"),
    ],
)
def test_what_is_no_case_is_refused_with_the_reason(text: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "case.toml").write_text(text, encoding="utf-8")
    with pytest.raises(CaseError, match=complaint):
        load(tmp_path)


def test_a_variant_changes_some_entries_and_is_chosen_with_its_case_or_alone(tmp_path: Path) -> None:
    folder = tmp_path / "some"
    folder.mkdir()
    text = "distributions = []\ngroup = 'g'\nsummary = ['1 passed']\n[variants.other]\nargs = ['-x']\n"
    (folder / "case.toml").write_text(text, encoding="utf-8")
    cases = load(folder)
    assert [(case.name, case.args) for case in cases] == [("some", ()), ("some:other", ("-x",))]
    assert select("some", cases) == cases
    assert select("some:other", cases) == cases[1:]
    with pytest.raises(ValueError, match=r"no case 'none'; there are some, some:other"):
        select("none", cases)


@pytest.mark.parametrize(
    ("bounds", "version", "runs"),
    [
        ("", (3, 10), True),
        (">=3.11", (3, 10), False),
        (">=3.11", (3, 11), True),
        (">=3.10,<3.12", (3, 12), False),
    ],
)
def test_a_case_is_for_some_interpreters(bounds: str, version: tuple[int, int], runs: bool) -> None:
    assert Case("some", Path(), (), "group", ("1 passed",), bounds).runs_on(version) is runs


# --- judgement ---


def test_runs_that_agree_are_good() -> None:
    assert judged(round_of(), round_of()).good


@pytest.mark.parametrize(
    ("parallel", "words"),
    [
        (round_of("failed"), "t: plain passed, parallel failed"),
        (round_of(lines=("other",)), "out.txt differs"),
        (round_of(method="spawn"), "start method spawn, expected fork"),
    ],
)
def test_runs_that_disagree_are_not_and_the_difference_is_told(parallel: Round, words: str) -> None:
    verdict = judged(round_of(), parallel)
    assert not verdict.good
    assert words in verdict.text()


def test_a_difference_that_is_explained_is_none_and_is_told() -> None:
    output = Output(file="out.txt", explained="of the order")
    case = Case("some", Path(), (), "group", ("1 passed",), output=(output,))
    rounds = [Round(Run(Counter(), 0, {"passed": 1}), "fork", {output: [line]}, "") for line in "ab"]
    verdict = judged(rounds[0], rounds[1], case)
    assert verdict.good
    assert "explained: of the order" in verdict.text()


def test_a_plain_run_that_does_not_count_what_it_should_is_no_case() -> None:
    verdict = judged(round_of("failed"), round_of("failed"))
    assert not verdict.good
    assert "plain pytest counts 1 failed, not 1 passed" in verdict.text()


def test_a_plugin_that_writes_nothing_is_not_taken_for_equal() -> None:
    verdict = judged(round_of(lines=()), round_of(lines=()))
    assert not verdict.good
    assert "nothing to compare" in verdict.text()


def test_a_view_can_keep_the_order_of_lines_that_have_something_in_common() -> None:
    output = Output(terminal=True, by="t[0-9]")
    assert view(output, "end\nt2 begins\nt1 begins\nt2 ends\nt1 ends", "/f") == [
        "end", "t1 begins", "t1 ends", "t2 begins", "t2 ends",
    ]  # fmt: skip


def test_a_view_keeps_replaces_and_sorts() -> None:
    output = Output(terminal=True, keep="ran", replace=(("[0-9.]+ s", "TIME"),), sort=True)
    text = "\x1b[1mran b in 1.5 s  \nnoise\nran a in /project/x\n"
    assert view(output, text, "/project/x") == ["ran a in <folder>", "ran b in TIME"]


def test_a_line_that_was_replaced_by_nothing_does_not_count() -> None:
    output = Output(terminal=True, replace=(("^noise.*", ""),))
    assert view(output, "a\nnoise\n\nb\n", "/x") == ["a", "", "b"]


def test_a_difference_shows_both_sides() -> None:
    assert difference(["a"], ["a"]) == ""
    assert difference(["a"], ["b"]).splitlines()[-2:] == ["-a", "+b"]


# --- the table ---


def test_rows_of_what_was_not_run_are_kept_and_those_of_no_case_go() -> None:
    other = Case("other", Path(), (), "group", ("1 passed",))
    old = "".join(f"| {name} | 1 | old |\n" for name in ("other", "gone", "some"))
    text = f"head\n{table.BEGIN}\n{old}{table.END}\ntail\n"
    made = table.updated(text, [judged(round_of(), round_of())], [CASE, other], "pytest==9.2.0")
    rows = [line for line in made.splitlines() if line.startswith("| ")][1:]
    assert rows == ["| some | 1.2 | fork | equal | equal |  |", "| other | 1 | old |"]
    assert made.startswith("head\n")
    assert made.endswith(f"{table.END}\ntail\n")


def test_a_page_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="there must be one line"):
        table.updated("", [], [], "")


def test_the_page_has_a_row_for_no_case_that_is_gone() -> None:
    page = (FOLDER.parents[2] / "docs" / "compatibility.md").read_text(encoding="utf-8")
    part = page.split(table.BEGIN)[1].split(table.END)[0]
    rows = [line.split(" |")[0].removeprefix("| ") for line in part.splitlines() if line.startswith("| ")][1:]
    assert set(rows) <= {case.name for case in CASES}


# --- the command ---


def test_the_command_fails_and_shows_what_differs(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "cases" / "odd"
    folder.mkdir(parents=True)
    (folder / "case.toml").write_text('distributions = []\ngroup = "g"\nsummary = ["1 passed"]\n')
    (folder / "test_odd.py").write_text(
        "def test(request):\n    assert not hasattr(request.config, 'workerinput')\n"
    )
    monkeypatch.setattr("benchmarks.compatibility.cli.load_all", lambda: load(folder))
    assert main(["--here", "--work", str(tmp_path / "work")]) == 1
    said = capfd.readouterr().out
    assert "test_odd.py::test: plain passed, parallel failed" in said
    assert "0 of 1 equal; not: odd" in said


def test_the_command_runs_cases_and_writes_the_table_and_leaves_out_what_lacks_its_program(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "cases" / "odd"
    folder.mkdir(parents=True)
    (folder / "case.toml").write_text(
        'distributions = []\ngroup = "g"\nsummary = ["1 passed"]\n'
        '[variants.terminal]\ntty = true\nargs = ["-s"]\n'
        '[variants.program]\nneeds = ["no-such-program"]\n'
        f'[variants.pattern]\nneeds = ["{folder}/case.*"]\n'
    )
    (folder / "test_odd.py").write_text(
        "import sys\n\ndef test(request):\n"
        "    in_worker = hasattr(request.config, 'workerinput')\n"
        "    assert in_worker or sys.stdout.isatty() == ('-s' in sys.argv)\n"
    )
    monkeypatch.setattr("benchmarks.compatibility.cli.load_all", lambda: load(folder))
    written = page(tmp_path)
    words = ["--cases", "odd", "--here", "--work", str(tmp_path / "work"), "--output", str(written)]
    assert main(words) == 0
    said = capfd.readouterr().out
    assert "odd:program: left out, there is no no-such-program" in said
    assert "3 of 3 equal" in said
    assert "| odd |" in written.read_text(encoding="utf-8")


def page(folder: Path) -> Path:
    made = folder / "page.md"
    made.write_text(f"{table.BEGIN}\n{table.END}\n", encoding="utf-8")
    return made


def test_an_unknown_case_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--cases", "no-such-case"])
    assert "no case 'no-such-case'; there are " in capsys.readouterr().err
