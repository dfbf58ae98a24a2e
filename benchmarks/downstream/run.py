"""Runs a suite once: its outcomes, or its cost.

The recorder is only there when outcomes are asked for, so that it costs a timed run nothing.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Timer

from benchmarks.downstream.compare import Run, parse_records, run_of
from benchmarks.downstream.prepare import RECORDER, Prepared
from benchmarks.downstream.recorder import PATH_VARIABLE

PLAIN = ""
_TIMEOUT = 600.0  # seconds; the longest suite takes a tenth of it
_SLACK = 60.0, 10.0  # seconds, and times of the plain run: what a parallel run may take
_FOREIGN = ("PYTEST", "PYTHON", "COV", "COVERAGE", "VIRTUAL_ENV", "PROCPAR", "TOX", "FORCE_COLOR")
_WITHOUT_PLUGINS = ("-p", "no:procpar", "-p", "no:xdist", "-p", "no:xdist.looponfail")


@dataclass(frozen=True)
class Cost:
    """What a run cost.

    Attributes:
        wall: Seconds from start to end.
        cpu: Seconds of processor time, of pytest and every process that was waited for.
        status: Exit status; negative for a signal.
    """

    wall: float
    cpu: float
    status: int


def is_parallel(options: str) -> bool:
    """Whether ``options``, as of ``--runs``, ask for workers."""
    return any(word.startswith("-n") for word in shlex.split(options))


def command(prepared: Prepared, options: str) -> list[str]:
    """The command line; the parallel plugin is switched off unless ``options`` ask for it."""
    words = [str(prepared.pytest), *prepared.suite.arguments, "-p", "no:cacheprovider"]
    off = () if is_parallel(options) else _WITHOUT_PLUGINS
    return [*words, "--color=no", *off, *shlex.split(options)]


def environ(prepared: Prepared, inherited: Mapping[str, str]) -> dict[str, str]:
    """``inherited`` without what steers pytest, with what the suite needs."""
    return {**clean_environ(prepared.pytest.parent, inherited), **dict(prepared.suite.environ)}


def clean_environ(scripts: Path, inherited: Mapping[str, str]) -> dict[str, str]:
    """``inherited`` without what steers pytest, and ``scripts`` first on the path.

    "CI" makes Hypothesis deterministic: without it two plain runs already differ.
    """
    kept = {name: value for name, value in inherited.items() if not name.startswith(_FOREIGN)}
    path = f"{scripts}{os.pathsep}{inherited.get('PATH', os.defpath)}"
    return {**kept, "PATH": path, "CI": "true"}


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def limit_of(plain: Cost) -> float:
    """Seconds after which a parallel run hangs, beside this plain one."""
    return min(_TIMEOUT, _SLACK[0] + _SLACK[1] * plain.wall)


def execute(
    words: list[str], cwd: Path, variables: dict[str, str], output: Path, limit: float = _TIMEOUT
) -> Cost:
    """Run to the end, or kill after ``limit`` seconds; both streams go to ``output``.

    Whatever of its session is left then is killed as well: a server that a test forgot, or all of
    it when we are interrupted ourselves.
    """
    with output.open("wb") as stream:
        start = time.perf_counter()
        process = subprocess.Popen(
            words,
            cwd=cwd,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        timer = Timer(limit, _kill, (process.pid,))
        timer.start()
        try:
            # Not reaped yet, so that the id cannot be another session's when it is killed below.
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            wall = time.perf_counter() - start
        finally:
            timer.cancel()
            _kill(process.pid)
            _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Cost(wall, usage.ru_utime + usage.ru_stime, process.returncode)


@dataclass(frozen=True)
class Logs:
    """The files of a run: what it printed, what the recorder wrote, and what `kept` notes of it."""

    output: Path
    records: Path
    kept: Path


def logs_of(suite: str, options: str, work: Path, again: bool = False) -> Logs:
    """Where the run of a suite with these options has its files. ``again``: the second plain run."""
    words = "-".join(filter(None, re.split(r"\W+", options))) or ("again" if again else "plain")
    folder = work / "logs" / suite
    folder.mkdir(parents=True, exist_ok=True)
    return Logs(*(folder / f"{words}.{kind}" for kind in ("txt", "jsonl", "json")))


def record(prepared: Prepared, options: str, logs: Logs, recorder: Path, limit: float = _TIMEOUT) -> Cost:
    """Run with the recorder; what it says of every test is in ``logs`` then, see `read`."""
    logs.kept.unlink(missing_ok=True)
    logs.records.write_text("")
    added = {"PYTHONPATH": str(recorder), PATH_VARIABLE: str(logs.records)}
    words = [*command(prepared, options), "-p", RECORDER]
    return execute(words, prepared.cwd, {**environ(prepared, os.environ), **added}, logs.output, limit)


def read(logs: Logs, cost: Cost) -> Run:
    """The run whose ``logs`` these are. Raises ValueError for a torn record."""
    reports = parse_records(logs.records.read_text(encoding="utf-8").splitlines())
    return run_of(reports, cost.status, logs.output.read_text(encoding="utf-8", errors="replace"))


def measure(prepared: Prepared, options: str, work: Path) -> Cost:
    """Run without the recorder."""
    output = logs_of(prepared.suite.name, options, work).output.with_suffix(".timed.txt")
    variables = environ(prepared, os.environ)
    return execute(command(prepared, options), prepared.cwd, variables, output)
