"""What it costs to name polluters among many tests, beside detect-test-pollution.

The time of a re-check is that of a run with it, less that of a run without, in the same round.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import monotonic

from benchmarks.environments import clean_environ
from benchmarks.measure import ProbeError, measure
from benchmarks.orders.made import environ, pytest_command

PREDECESSORS = 500
_RIVAL = ("detect-test-pollution==1.2.0", "pytest==9.2.0")
_TIMEOUT = 300.0
_POLLUTER = re.compile(r"^ +polluter[^:]*: (\S+)$", re.MULTILINE)
#: More than is needed: one pass takes as long as the run, and that is all that there is by default.
_BUDGET = "--recheck-budget=120"

_SUITE = """\
import time

STATE = set()


def spend():
    {spend}


def make(number):
    def test():
        spend()
        if number in {polluters}:
            STATE.add(number)

    return test


for number in range({count}):
    globals()[f"test_{{number:04}}"] = make(number)


def test_victim():
    assert not STATE >= {polluters}
"""

#: Counts what is asked of processes; loaded into the run.
_TALLY = """\
import atexit
import json
import os

from pytest_procpar.recheck.probing.conversations import Conversations
from pytest_procpar.recheck.probing.prober import Prober

COUNT = {"probes": 0, "tests": 0}
run, perform = Prober.run, Conversations.perform


def counted_run(self, probes, deadline):
    COUNT["probes"] += len(probes)
    return run(self, probes, deadline)


def counted_perform(self, handle, tests, *rest):
    COUNT["tests"] += len(tests)
    return perform(self, handle, tests, *rest)


Prober.run, Conversations.perform = counted_run, counted_perform


def pytest_unconfigure(config):
    if COUNT["probes"]:
        with open("tally.json", "w") as file:
            json.dump(COUNT, file)
"""


@dataclass(frozen=True)
class Case:
    """A suite: what each test does, how many polluters act together, and at how many workers it is run."""

    name: str
    spend: str
    polluters: tuple[int, ...]
    workers: int

    @property
    def names(self) -> list[str]:
        """The nodeids of the polluters."""
        return [f"test_all.py::test_{number:04}" for number in self.polluters]


_SLEEP = "time.sleep(0.02)"
_BUSY = "end = time.process_time() + 0.001\n    while time.process_time() < end:\n        pass"
CASES = [
    Case(f"{who}, {what}, `-n {workers}`", spend, polluters, workers)
    for what, spend in (("20 ms of sleep", _SLEEP), ("1 ms of CPU", _BUSY))
    for who, polluters in (("one polluter", (171,)), ("two together", (93, 341)))
    for workers in (1, 2)
]


@dataclass(frozen=True)
class Cost:
    """What one round of a case came to: seconds, what was asked, and what the rival said."""

    run: float
    recheck: float
    probes: int
    tests: int
    rival: float
    rival_found: bool


def rival(work: Path) -> Path:
    """The program detect-test-pollution, in an environment of its own.

    Raises:
        ProbeError: It could not be installed.
    """
    folder = work / "rival"
    program = folder / "bin" / "detect-test-pollution"
    if not program.exists():
        pip = [str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", *_RIVAL]
        for command in ([sys.executable, "-m", "venv", "--clear", str(folder)], pip):
            if subprocess.run(command, check=False).returncode:
                raise ProbeError("detect-test-pollution could not be installed")
    return program


def measured(case: Case, program: Path, work: Path) -> Cost:
    """One round of a case.

    Raises:
        ProbeError: A run could not be measured, or did not name the polluters.
    """
    folder = work / "cost"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    polluters = "{" + ", ".join(map(str, case.polluters)) + "}"
    text = _SUITE.format(spend=case.spend, polluters=polluters, count=PREDECESSORS)
    (folder / "test_all.py").write_text(text, encoding="utf-8")
    (folder / "tally.py").write_text(_TALLY, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    without = _timed(case, folder, "--recheck=none")
    with_it = _timed(case, folder, "--recheck=failed", _BUDGET, "-ptally")
    # Not from a report: for one the state is looked into as well.
    found = _POLLUTER.findall((folder / "run.txt").read_text(encoding="utf-8", errors="replace"))
    if found != case.names:
        raise ProbeError(f"{case.name}: found {found}: see {folder}")
    tally = json.loads((folder / "tally.json").read_text(encoding="utf-8"))
    seconds, named = _rival_run(case, program, folder)
    return Cost(without, with_it - without, tally["probes"], tally["tests"], seconds, named)


def _timed(case: Case, folder: Path, *options: str) -> float:
    words = pytest_command(f"-n{case.workers}", "--dist=loadfile", *options)
    env = {**environ(), "PYTHONPATH": f"{environ()['PYTHONPATH']}:{folder}"}
    return measure(words, cwd=folder, env=env, log=folder / "run.txt", timeout=_TIMEOUT).wall


def _rival_run(case: Case, program: Path, folder: Path) -> tuple[float, bool]:
    command = [str(program), "--failing-test", "test_all.py::test_victim", "--tests", "test_all.py"]
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    began = monotonic()
    done = subprocess.run(
        command, cwd=folder, env={**clean_environ(os.environ), "PATH": path}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    seconds = monotonic() - began
    last = (done.stdout.strip().splitlines() or [""])[-1]
    return seconds, all(name in last for name in case.names) and "polluting" in last


def head() -> str:
    """The head of the table, in markdown."""
    return (
        "| 500 tests before the victim | run | re-check | probes | tests executed | detect-test-pollution "
        "| ratio |\n|---|--:|--:|--:|--:|--:|--:|"
    )


def line(case: Case, costs: Sequence[Cost]) -> str:
    """A line of it: medians over the rounds."""

    def middle(values: Iterable[float]) -> float:
        return median(values)

    cells = [
        f"{middle(c.run for c in costs):.2f} s",
        f"{middle(c.recheck for c in costs):.2f} s",
        f"{middle(c.probes for c in costs):.0f}",
        f"{middle(c.tests for c in costs):.0f}",
        f"{middle(c.rival for c in costs):.2f} s" + ("" if costs[0].rival_found else ", not found"),
        f"{middle(c.rival / c.recheck for c in costs):.1f}",
    ]
    return f"| {case.name} | {' | '.join(cells)} |"
