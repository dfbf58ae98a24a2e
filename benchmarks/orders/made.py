"""Runs made suites, and has what the re-check says of them judged."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.environments import clean_environ
from benchmarks.measure import ProbeError, measure
from benchmarks.orders.judging import Verdict, judge
from benchmarks.orders.planting import suite_of
from benchmarks.orders.writing import write

CHECKOUT = Path(__file__).resolve().parents[2]
KINDS = (
    "victim", "contaminated-crash", "brittle", "nio", "parallel-only", "flaky", "plain",
)  # fmt: skip
_TIMEOUT = 1800.0
#: What is to find everything, however long it takes.
_OPTIONS = (
    "-n2",
    "--recheck=all",
    "--recheck-order=reverse",
    "--recheck-budget=1200",
    "--recheck-tests=1000",
)


@dataclass(frozen=True)
class Round:
    """A suite that was run: its seed, what is to be said of its findings, and seconds."""

    seed: int
    verdict: Verdict
    wall: float
    run: float


def pytest_command(*words: str) -> list[str]:
    """pytest of this interpreter with the plugin of this checkout."""
    return [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "pytest_procpar.plugin",
        "-p",
        "no:cacheprovider",
        "-q",
        *words,
    ]


def environ() -> dict[str, str]:
    """What it is run in."""
    own = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(CHECKOUT)}
    return {**clean_environ(os.environ), **own}


def run_made(tests: int, seed: int, work: Path, options: Iterable[str], *, deep: bool = False) -> Round:
    """Make a suite, run it once, and judge; a `deep` search has more to find.

    Raises:
        ProbeError: It could not be measured, or wrote no report.
    """
    folder = work / f"made-{tests}-{seed}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    suite = suite_of(tests, seed, hidden=deep)
    write(suite, folder)
    log, path = folder.with_suffix(".txt"), folder.with_suffix(".json")
    path.unlink(missing_ok=True)
    words = [*_OPTIONS, *(["--recheck=deep"] if deep else []), f"--procpar-report={path}", *options]
    measured = measure(pytest_command(*words), cwd=folder, env=environ(), log=log, timeout=_TIMEOUT)
    if not path.exists():
        raise ProbeError(f"seed {seed}: no report was written: see {log}")
    report = json.loads(path.read_text(encoding="utf-8"))
    verdict = judge(suite, report, deep=deep)
    if "ended early" in log.read_text(encoding="utf-8", errors="replace"):
        verdict.deviations.append("the re-check has ended early")
    if measured.left_behind:
        verdict.deviations.append(f"{measured.left_behind} processes were left behind")
    return Round(seed, verdict, measured.wall, _duration(report))


def _duration(report: dict[str, object]) -> float:
    """How long the tests themselves took, from the first to the last one."""
    tests = report["tests"]
    assert isinstance(tests, list)
    phases = [p for test in tests for attempt in test["attempts"] for p in attempt["phases"].values()]
    starts = [phase["start"] for phase in phases]
    return float(max(starts) - min(starts))


def head() -> str:
    """The head of the table, in markdown."""
    cells = ["seed", *KINDS, "not shown", "deviations", "run", "in all"]
    return f"| {' | '.join(cells)} |\n|{'--:|' * len(cells)}"


def line(one: Round) -> str:
    """A line of the table: what was found and rightly named."""
    verdict = one.verdict
    found = " | ".join(str(verdict.found[kind]) for kind in KINDS)
    counts = f"{verdict.missed.total()} | {len(verdict.deviations)}"
    return f"| {one.seed} | {found} | {counts} | {one.run:.1f} s | {one.wall:.1f} s |"


def total(rounds: Iterable[Round]) -> str:
    """The last line of the table."""
    rounds = list(rounds)
    found: Counter[str] = sum((one.verdict.found for one in rounds), Counter())
    cells = [str(found[kind]) for kind in KINDS]
    missed = sum(one.verdict.missed.total() for one in rounds)
    wrong = sum(len(one.verdict.deviations) for one in rounds)
    return f"| all | {' | '.join(cells)} | {missed} | {wrong} | | |"
