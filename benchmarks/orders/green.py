"""What the re-check costs where nothing has failed, and whether it keeps to its budget where much has."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from time import monotonic

from benchmarks.measure import Measured, ProbeError, counts_in, measure
from benchmarks.orders.made import environ, pytest_command
from benchmarks.stats import paired_ratio, rotated
from benchmarks.suites import CASES, write_suite

#: A plugin that cuts out what is noted of each test: all that a re-check costs a green run, and that whatever
#: `--recheck` says.
_NOTELESS = """\
from pytest_procpar.core.inquiry.run_record import RunRecord

RunRecord.finished = RunRecord.reported = lambda *args: None
"""

#: By what it is called, the options; the first is what the others are compared with.
_VARIANTS: Mapping[str, Sequence[str]] = {
    "no notes taken": ("--recheck=none", "-p", "noteless"),
    "`--recheck=none`": ("--recheck=none",),
    "`--recheck=failed`": ("--recheck=failed",),
}
_TIMEOUT = 300.0

#: Victims of polluters that act together, each its own, among tests that take a while: more than there is
#: time for.
_DEEP = """\
import time

STATE = set()


def make(number):
    def test():
        time.sleep(0.01)
        STATE.add(number)
        assert number < 400 or not STATE >= {number - 400, number - 300, number - 200, number - 100}

    return test


for number in range(420):
    globals()[f"test_{number:04}"] = make(number)
"""

Rounds = Mapping[str, Sequence[Measured]]


def green(rounds: int, work: Path) -> Rounds:
    """Runs of 10,000 tests that pass, with the default re-check, without, and without its notes, by turns.

    Raises:
        ProbeError: A run could not be measured, or did not pass.
    """
    folder = work / "green"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_suite(CASES["trivial"], folder)
    (folder / "noteless.py").write_text(_NOTELESS, encoding="utf-8")
    env = environ()
    env["PYTHONPATH"] += f"{os.pathsep}{folder}"
    found: dict[str, list[Measured]] = {name: [] for name in _VARIANTS}
    for number in range(rounds + 1):
        for name in rotated(list(_VARIANTS), number):
            log = work / "green.txt"
            command = pytest_command("-n2", *_VARIANTS[name])
            run = measure(command, cwd=folder, env=env, log=log, timeout=_TIMEOUT)
            if run.status or counts_in(log.read_text(encoding="utf-8")) != {"passed": CASES["trivial"].tests}:
                raise ProbeError(f"{name}: it did not pass: see {log}")
            if number:
                found[name].append(run)
    return found


def green_table(rounds: Rounds) -> str:
    """The figures, in markdown."""
    lines = ["| 10,000 tests that pass, `-n 2` | wall | ratio | CPU | ratio |", "|---|--:|--:|--:|--:|"]
    base, *_ = rounds.values()
    for name, runs in rounds.items():
        cells = [name]
        for metric in ("wall", "cpu"):
            values, bases = ({i: getattr(run, metric) for i, run in enumerate(some)} for some in (runs, base))
            ratio = paired_ratio(values, bases)
            assert ratio is not None
            spread = "" if runs is base else f"{ratio.median:.3f} ({ratio.low:.3f} to {ratio.high:.3f})"
            cells += [f"{median(values.values()):.2f} s", spread]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def red(work: Path, budget: str) -> tuple[float, float]:
    """Seconds of a run with more to look into than there is time for, without a re-check and with one.

    Args:
        work: Where to make the suite.
        budget: What is given as ``--recheck-budget``; an empty string: the default.
    """
    folder = work / "red"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "test_deep.py").write_text(_DEEP, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    more = [f"--recheck-budget={budget}"] if budget else []
    seconds = []
    for options in (["--recheck=none"], ["--recheck=failed", *more]):
        command = pytest_command("-n2", "--dist=loadfile", *options)
        log = work / "red.txt"
        began = monotonic()
        measure(command, cwd=folder, env=environ(), log=log, timeout=_TIMEOUT)
        seconds.append(monotonic() - began)
    return seconds[0], seconds[1]
