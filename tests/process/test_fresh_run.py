"""Runs in fresh processes: what is read of their reports, and that they end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic

import pytest

from pytest_procpar.core.inquiry.probes import Outcome
from pytest_procpar.core.record import changed
from pytest_procpar.fresh.custody import Custody
from pytest_procpar.fresh.fresh_run import Command, FreshRun, NotSeen, run_fresh, start
from pytest_procpar.fresh.rerun import RerunSetup
from pytest_procpar.fresh.waiting import Waiting, WaitingRoom
from pytest_procpar.fresh.warden import Warden
from pytest_procpar.system.kept_files import PutBack
from tests.process.helpers import ready

pytestmark = pytest.mark.python_dependent

#: What a process does that stands for pytest: it has the path of its report, and this one.
WRITE = "import pathlib, sys; pathlib.Path(sys.argv[1]).write_text(sys.argv[2]);"


def report(*lines: tuple[str, ...]) -> str:
    """What such a process tells, and that it has told all."""
    return "".join(f"{json.dumps(line)}\n" for line in (*lines, ("told",)))


def run(
    folder: Path,
    *programs: tuple[str, str],
    concurrency: int = 1,
    seconds: float = 60.0,
    ended: Callable[[], bool] = lambda: False,
    limit: float = 0.0,
) -> list[FreshRun | NotSeen]:
    """Run programs that are given a path and what their report is to be."""
    commands = []
    for number, (program, text) in enumerate(programs):
        path = folder / f"{number}.json"
        commands.append(Command([sys.executable, "-c", program, str(path), text], path, limit))
    with Warden() as warden:
        return run_fresh(warden, commands, folder, concurrency, monotonic() + seconds, ended)


PASSED = report(("began", "a::b"), ("ended", "a::b", "passed"))
#: Begins a test, and does not end it.
BEGIN = 'import pathlib, sys; pathlib.Path(sys.argv[1]).write_text(\'["began", "a::b"]\\n\');'
FOREVER = "import threading; threading.Event().wait()"


def test_tests_are_told_in_the_order_in_which_they_began(tmp_path: Path) -> None:
    lines = [("began", "a::x"), ("ended", "a::x", "failed"), ("began", "a::b"), ("ended", "a::b", "skipped")]
    assert run(tmp_path, (WRITE, report(*lines))) == [
        FreshRun((("a::x", Outcome.FAILED), ("a::b", Outcome.SKIPPED)))
    ]


@pytest.mark.parametrize("end", ["import os; os.abort()", "import os; os._exit(0)", "raise SystemExit(3)"])
def test_a_test_that_does_not_come_to_its_end_has_crashed(tmp_path: Path, end: str) -> None:
    assert run(tmp_path, (f"{BEGIN} {end}", "")) == [FreshRun((("a::b", Outcome.CRASHED),))]


def test_a_test_that_runs_past_its_limit_hangs(tmp_path: Path) -> None:
    assert run(tmp_path, (f"{BEGIN} {FOREVER}", ""), limit=0.1) == [FreshRun((("a::b", Outcome.HUNG),))]


@pytest.mark.parametrize("text", ["", "{", "[]\n", '{"tests": 1}\n', '["began"', "\n"])
def test_of_a_run_that_tells_nothing_its_end_is_told(tmp_path: Path, text: str) -> None:
    complain = "sys.stderr.write('ERROR: no such option\\nmore\\n'); sys.exit(4)"
    (said, silent) = run(tmp_path, (f"{WRITE} {complain}", text), ("pass", ""))
    assert said == NotSeen("it ended with exit status 4: ERROR: no such option")
    assert silent == NotSeen("it ended with exit status 0")


def test_a_test_that_ends_the_session_has_not_crashed(tmp_path: Path) -> None:
    text = report(("began", "a::b"), ("trouble", "Exit: enough")).replace('["told"]\n', "")
    assert run(tmp_path, (WRITE, text)) == [NotSeen("Exit: enough")]


def test_what_kept_tests_from_running_is_told(tmp_path: Path) -> None:
    text = report(("trouble", "a.py cannot be collected"), ("trouble", "1 error"))
    assert run(tmp_path, (WRITE, text)) == [NotSeen("a.py cannot be collected")]


@pytest.mark.parametrize("concurrency", [1, 2, 5])
def test_answers_keep_the_order_of_the_questions(tmp_path: Path, concurrency: int) -> None:
    programs = [
        (WRITE, report(("began", f"a::{number}"), ("ended", f"a::{number}", "passed"))) for number in range(4)
    ]
    answers = run(tmp_path, *programs, concurrency=concurrency)
    assert answers == [FreshRun(((f"a::{number}", Outcome.PASSED),)) for number in range(4)]


def test_a_run_that_has_told_its_results_need_not_exit(tmp_path: Path) -> None:
    thread = "import threading; threading.Thread(target=threading.Event().wait).start()"
    assert run(tmp_path, (f"{WRITE} {thread}", PASSED)) == [FreshRun((("a::b", Outcome.PASSED),))]


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
    assert run(tmp_path, (FOREVER, ""), (WRITE, PASSED), seconds=0.5) == [NotSeen(), NotSeen()]
    assert not (tmp_path / "1.json").exists()


def test_a_clock_that_a_plugin_has_frozen_does_not_keep_a_run_alive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("subprocess._time", lambda: 0.0)  # as freezegun does
    forever = "import signal, threading; signal.signal(15, signal.SIG_IGN); threading.Event().wait()"
    assert run(tmp_path, (forever, ""), seconds=0.5) == [NotSeen()]


def test_somebody_may_end_it(tmp_path: Path) -> None:
    assert run(tmp_path, (FOREVER, ""), (WRITE, PASSED), ended=lambda: True) == [NotSeen(), NotSeen()]


def test_what_cannot_be_started_is_told(tmp_path: Path) -> None:
    with Warden() as warden:
        commands = [
            Command(["/nowhere/program"], tmp_path / "1"),
            Command([sys.executable, "x" * 200_000], tmp_path / "2"),
        ]
        assert run_fresh(warden, commands, tmp_path, 2, monotonic() + 60, lambda: False) == [
            NotSeen("it could not be run: No such file or directory (/nowhere/program)"),
            NotSeen("it could not be run: Argument list too long"),
        ]


def test_a_run_that_kills_its_warden_ends_with_it(tmp_path: Path) -> None:
    deed = (
        "import os, pathlib, sys; pathlib.Path(sys.argv[1] + '.pid').write_text(str(os.getpid()));"
        "os.kill(os.getppid(), 9); os.read(os.pipe()[0], 1)"
    )
    assert run(tmp_path, (deed, ""), (WRITE, PASSED)) == [
        NotSeen("it could not be run: the process that has started it has died"),
        NotSeen("it could not be run: the process that has started it has died"),
    ]
    gone = int((tmp_path / "0.json.pid").read_text())
    with suppress(ProcessLookupError):
        fd = os.pidfd_open(gone)
        has_ended = ready(fd, timeout=60_000)
        os.close(fd)
        assert has_ended


def test_the_folder_is_gone_with_its_warden() -> None:
    with Warden() as warden:
        (warden.folder / "file").touch()
    assert not warden.folder.exists()


def test_who_is_to_begin_together_waits_for_the_others(tmp_path: Path) -> None:
    # Each says that it is ready, waits, and looks who else was ready then.
    program = (
        "import os, pathlib, sys; report = pathlib.Path(sys.argv[1]); (report.parent / report.stem).touch();"
        "report.write_text('[\"ready\"]\\n'); os.close(os.open(report.parent / 'gate', os.O_RDONLY));"
        "there = [name for name in '01' if (report.parent / name).exists()];"
        "report.open('a').write(sys.argv[2] * (len(there) == 2))"
    )
    os.mkfifo(tmp_path / "gate")
    commands = [
        Command(
            [sys.executable, "-c", program, str(tmp_path / f"{number}.json"), PASSED],
            tmp_path / f"{number}.json",
        )
        for number in range(2)
    ]
    with Warden() as warden:
        runs = run_fresh(
            warden, commands, tmp_path, 2, monotonic() + 60, lambda: False, gate=tmp_path / "gate"
        )
    assert runs == [FreshRun((("a::b", Outcome.PASSED),))] * 2


@pytest.mark.parametrize(
    ("module", "unused"),
    [
        ("fresh.rerun", ("start_method", "forking", "ipc", "coverage_data", "recheck", "state")),
        ("controller.failed_run", ("recheck.deep", "recheck.left_files", "core.survey.pairs")),
    ],
)
def test_a_plain_failure_imports_only_what_it_uses(module: str, unused: tuple[str, ...]) -> None:
    script = f"import pytest, sys, pytest_procpar.{module}; print(*sys.modules, sep='\\n')"
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=60
    )
    prefixes = tuple(f"pytest_procpar.{name}" for name in unused)
    assert [name for name in done.stdout.splitlines() if name.startswith(prefixes)] == []


def test_a_warden_can_be_started_before_anybody_waits_for_it() -> None:
    custody = Custody()
    custody.begin()
    folder = custody.kept()
    assert folder.parent == custody.warden().folder
    assert custody.close() == PutBack()
    assert not folder.parent.exists()
    assert custody.close() == PutBack()


def started(warden: Warden, folder: Path, *words: str) -> Waiting:
    """A process that is told by its order what to report."""
    script = (
        "import pathlib, sys; text = open(sys.argv[2]).read(); pathlib.Path(sys.argv[1]).write_text(text)"
    )
    fifo = folder / "order"
    os.mkfifo(fifo)
    command = Command([sys.executable, "-c", script, str(folder / "report"), str(fifo)], folder / "report")
    order = RerunSetup({}, "", "", "", "", "")
    return Waiting(words, changed(command, started=start(warden, command, folder, 0)), order, fifo)


def test_a_process_that_was_started_before_goes_on_with_its_order(tmp_path: Path) -> None:
    with Warden() as warden:
        waiting = started(warden, tmp_path)
        text = report(("began", "test_a"), ("ended", "test_a", "failed"))
        command = changed(waiting.command, order=(waiting.fifo, text.encode()))
        other = Command([sys.executable, "-c", "pass"], tmp_path / "other")
        runs = run_fresh(warden, [other, command], tmp_path, 1, monotonic() + 60, lambda: False)
    assert runs[0] == NotSeen("it ended with exit status 0")
    assert runs[1] == FreshRun((("test_a", Outcome.FAILED),))


@pytest.mark.parametrize(
    ("words", "suits"),
    [
        (["-x", "a.py::test_2", "b.py::test_1"], True),
        (["-x", "b.py::test_1", "a.py::test_1[::]", "a.py::test_3"], True),
        (["-x", "a.py::test_1"], False),  # the rootdir may be another
        (["-x", "a.py::test_1", "b.py::test_1", "c.py::test_1"], False),
        (["a.py::test_1", "b.py::test_1"], False),
        (["-x", "-p", "d", "a.py::test_1", "b.py::test_1"], False),
    ],
)
def test_a_process_serves_only_what_it_could_have_been_started_for(
    tmp_path: Path, words: list[str], *, suits: bool
) -> None:
    with Warden() as warden:
        room, waiting = WaitingRoom(), started(warden, tmp_path, "-x", "a.py::test_1", "b.py::test_1")
        assert room.take([words], warden) is None
        room.put(waiting)
        assert room.take([["c.py::test"], words], warden) == ((1, waiting) if suits else None)
        assert room.take([words], warden) is None
