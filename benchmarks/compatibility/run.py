"""Runs a case: its rounds, in a folder of their own, and what there is to compare afterwards."""

from __future__ import annotations

import os
import pwd
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.compatibility.cases import Case, Output
from benchmarks.compatibility.views import view
from benchmarks.downstream.compare import Run, parse_records, run_of
from benchmarks.downstream.prepare import RECORDER
from benchmarks.downstream.recorder import PATH_VARIABLE
from benchmarks.downstream.run import clean_environ, execute

__all__ = ["Environment", "Round", "run_case"]

#: How the plugin says that it does not fork from the collected suite.
_START_METHOD = re.compile(r"procpar: start method[: ]+(fork-early|fork|spawn)")
#: Runs its arguments on a terminal of their own, and writes what they write to it.
_ON_TERMINAL = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])) & 255)"


@dataclass(frozen=True)
class Environment:
    """Where a case runs.

    Attributes:
        python: The interpreter.
        path: What is put first on its module path, besides the recorder; empty if nothing is.
        recorder: Folder of the recorder.
    """

    python: Path
    path: str
    recorder: Path


@dataclass(frozen=True)
class Round:
    """What a round of a case has come to.

    Attributes:
        run: Outcomes, status, and counts.
        start_method: How workers were started.
        views: What counts of each output.
        text: All that pytest printed.
    """

    run: Run
    start_method: str
    views: dict[Output, list[str]]
    text: str


def run_case(case: Case, options: str, environment: Environment, folder: Path) -> list[Round]:
    """Run all rounds of a case in ``folder``, which is made anew. ``options``: of pytest; none is plain."""
    shutil.rmtree(folder, ignore_errors=True)
    suite = folder / "suite"
    ignore = shutil.ignore_patterns("round*", "__pycache__", "case.toml")
    for source in case.sources:
        shutil.copytree(source, suite, ignore=ignore, dirs_exist_ok=True)
    rounds = []
    for number in range(1, len(case.summary) + 1):
        changes = case.folder / f"round{number}"
        if changes.is_dir():
            shutil.copytree(changes, suite, dirs_exist_ok=True)
        rounds.append(_run_round(case, options, environment, suite, folder / str(number)))
    return rounds


def _run_round(case: Case, options: str, environment: Environment, suite: Path, notes: Path) -> Round:
    notes.mkdir()
    records, output = notes / "records.jsonl", notes / "output.txt"
    records.touch()
    words = [str(environment.python), "-m", "pytest", "-p", RECORDER, "--color=no", "-v", "--rootdir=."]
    words += ["-o", "console_output_style=classic", f"--basetemp={notes / 'tmp'}"]
    variables = _variables(case, environment)
    words += [*case.args, *shlex.split(options)]
    if case.unprivileged and os.geteuid() == 0:
        _give_away(suite.parent)
        words = [*_as(pwd.getpwnam("nobody")), *words]
    if case.tty:
        words = [str(environment.python), "-c", _ON_TERMINAL, *words]
    status = execute(words, suite, {**variables, PATH_VARIABLE: str(records)}, output).status
    text = output.read_text(encoding="utf-8", errors="replace")
    views = {o: view(o, _text_of(o, text, suite, environment, variables), str(suite)) for o in case.output}
    found = _START_METHOD.search(text)
    reports = parse_records(records.read_text(encoding="utf-8").splitlines())
    return Round(run_of(reports, status, text), found[1] if found else "fork", views, text)


def _as(user: pwd.struct_passwd) -> list[str]:
    """A command that runs its arguments as a user who may still read the interpreter in root's home."""
    reads = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", *reads]


def _give_away(folder: Path) -> None:
    """Let what is in a folder, and it, be nobody's."""
    owner = pwd.getpwnam("nobody")
    for path in (folder, *folder.rglob("*")):
        os.chown(path, owner.pw_uid, owner.pw_gid, follow_symlinks=False)


def _variables(case: Case, environment: Environment) -> dict[str, str]:
    variables = clean_environ(environment.python.parent, os.environ)
    path = os.pathsep.join(filter(None, (environment.path, str(environment.recorder))))
    return {**variables, "PYTHONPATH": path, "COLUMNS": "120", **case.env}


def _text_of(output: Output, text: str, suite: Path, environment: Environment, env: dict[str, str]) -> str:
    if output.terminal:
        return text
    if output.script:
        command = [str(environment.python), output.script]
        done = subprocess.run(
            command, cwd=suite, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        return done.stdout + (f"{output.script} failed: {done.stderr}" if done.returncode else "")
    files = sorted(suite.glob(output.file))
    if not files:
        return f"there is no {output.file}"
    return "\n".join(f"{file.relative_to(suite)}:\n{file.read_text('utf-8', 'replace')}" for file in files)
