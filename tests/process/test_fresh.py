"""Runs in fresh processes: what is read of their reports, and that they end."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import pytest

from pytest_procpar.core.probes import Word
from pytest_procpar.process.fresh import FreshRun, run_fresh

#: What a process does that stands for pytest: it has the path of its report, and this one.
WRITE = "import pathlib, sys; pathlib.Path(sys.argv[1]).write_text(sys.argv[2]);"


def report(*attempts: tuple[str, str, float | None]) -> str:
    """A report: nodeid, outcome and start of each attempt, one a test."""
    return json.dumps({
        "tests": [
            {
                "nodeid": nodeid,
                "attempts": [
                    {
                        "outcome": outcome,
                        "phases": {} if start is None else {"setup": {"start": start}},
                    }
                ],
            }
            for nodeid, outcome, start in attempts
        ]
    })  # fmt: skip


def run(
    folder: Path,
    *programs: tuple[str, str],
    lanes: int = 1,
    seconds: float = 60.0,
    ended: Callable[[], bool] = lambda: False,
) -> list[FreshRun | None]:
    """Run programs that are given a path and what their report is to be."""
    commands = []
    for number, (program, text) in enumerate(programs):
        path = folder / f"{number}.json"
        commands.append(([sys.executable, "-c", program, str(path), text], path))
    return run_fresh(commands, folder, lanes, monotonic() + seconds, ended)


PASSED = report(("a::b", "passed", 1.0))


def test_tests_are_told_in_the_order_in_which_they_began(tmp_path: Path) -> None:
    text = report(("a::late", "failed", 2.0), ("a::died", "crashed", None), ("a::early", "xfailed", 1.0))
    assert run(tmp_path, (WRITE, text)) == [
        FreshRun((("a::early", Word.PASSED), ("a::late", Word.FAILED), ("a::died", Word.CRASHED)))
    ]


def test_of_a_test_that_was_repeated_the_last_attempt_counts(tmp_path: Path) -> None:
    text = report(("a::b", "rerun", 1.0), ("a::b", "rerun", 2.0), ("a::b", "error", 3.0))
    assert run(tmp_path, (WRITE, text)) == [FreshRun((("a::b", Word.FAILED),))]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"tests": 1}', '{"tests": [{"nodeid": "a"}]}'])
def test_a_run_without_a_readable_report_is_none(tmp_path: Path, text: str) -> None:
    assert run(tmp_path, (WRITE, text), ("pass", "")) == [None, None]


@pytest.mark.parametrize("lanes", [1, 2, 5])
def test_answers_keep_the_order_of_the_questions(tmp_path: Path, lanes: int) -> None:
    programs = [(WRITE, report((f"a::{number}", "passed", 1.0))) for number in range(4)]
    answers = run(tmp_path, *programs, lanes=lanes)
    assert answers == [FreshRun(((f"a::{number}", Word.PASSED),)) for number in range(4)]


def test_a_run_that_has_told_its_results_need_not_exit(tmp_path: Path) -> None:
    thread = "import threading; threading.Thread(target=threading.Event().wait).start()"
    assert run(tmp_path, (f"{WRITE} {thread}", PASSED)) == [FreshRun((("a::b", Word.PASSED),))]


@pytest.mark.parametrize("how", ["", "start_new_session=True"])
def test_programs_that_a_run_has_left_are_ended(tmp_path: Path, how: str) -> None:
    leave = (
        f"import subprocess; p = subprocess.Popen(['sleep', '1000'], {how});"
        f"pathlib.Path(sys.argv[1] + '.pid').write_text(str(p.pid))"
    )
    run(tmp_path, (f"{WRITE} {leave}", PASSED))
    pid = int((tmp_path / "0.json.pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_programs_that_were_there_before_are_left_alone(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    older = os.fork()
    if older == 0:
        os.close(writer)
        os.read(reader, 1)
        os._exit(7)
    os.close(reader)
    run(tmp_path, (WRITE, PASSED))
    os.close(writer)
    assert os.waitstatus_to_exitcode(os.waitpid(older, 0)[1]) == 7


def test_at_the_deadline_what_runs_is_ended_and_the_rest_not_begun(tmp_path: Path) -> None:
    forever = "import threading; threading.Event().wait()"
    assert run(tmp_path, (forever, ""), (WRITE, PASSED), seconds=0.5) == [None, None]
    assert not (tmp_path / "1.json").exists()


def test_somebody_may_end_it(tmp_path: Path) -> None:
    forever = "import threading; threading.Event().wait()"
    assert run(tmp_path, (forever, ""), (WRITE, PASSED), ended=lambda: True) == [None, None]
