"""Real suites whose tests depend on each other, known and verified by hand, and suites that show nothing.

Each is run in an environment of its own, as `benchmarks.downstream` makes them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from benchmarks.downstream.prepare import Prepared, PrepareError, plugin_requirement, prepare
from benchmarks.downstream.suites import SUITES, Suite
from benchmarks.environments import clean_environ
from benchmarks.measure import ProbeError, measure

CHECKOUT = Path(__file__).resolve().parents[2]
_PYTEST = "pytest==9.2.0"
_TIMEOUT = 600.0

_CONTROLS = ("toolz", "pluggy", "jinja2", "tenacity", "sqlparse", "structlog", "boltons")


@dataclass(frozen=True)
class Known:
    """A test that has to be flagged.

    Attributes:
        test: Its nodeid.
        kind: What it has to be called.
        causes: One of these has to be named, alone; none: whatever is named.
    """

    test: str
    kind: str
    causes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Case:
    """A suite, and what is known of it: nothing of a control.

    NIO is not part of what is known, and right wherever it was confirmed: it is reported, not judged.
    """

    suite: Suite
    known: tuple[Known, ...] = ()


def _victims(tests: Iterable[str], *causes: str) -> tuple[Known, ...]:
    return tuple(Known(test, "victim", causes) for test in tests)


_DISK, _MEM = "test/test_ljson_disk.py::test_", "test/test_ljson_mem.py::test_"
_LOGZERO = "tests/test_logzero.py::test_"

CASES = (
    Case(
        Suite("six", "1.15.0", args=("test_six.py",)),
        _victims(["test_six.py::test_lazy"], "test_six.py::test_move_items[html_parser]"),
    ),
    Case(
        Suite("mccabe", "0.6.1", args=("test_mccabe.py",)),
        (Known("test_mccabe.py::RegressionTests::test_max_complexity_is_always_an_int", "brittle"),),
    ),
    Case(Suite("logzero", "1.7.0"), _victims(["tests/test_json.py::test_json"])),
    Case(
        Suite("ljson", "0.5.4", args=("test",)),
        (
            *_victims([f"{_DISK}edit", f"{_DISK}unique_check", f"{_DISK}delete"], f"{_MEM}unique_check"),
            *_victims([f"{_MEM}edit"], f"{_MEM}unique_check"),
            *_victims([f"{_DISK}read", f"{_DISK}contains", f"{_MEM}contains"], f"{_MEM}edit"),
        ),
    ),
    *(Case(suite) for suite in SUITES if suite.name in _CONTROLS),
)  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """What one run of a suite came to: what is flagged in words, what is wrong with it, and seconds."""

    flagged: tuple[str, ...]
    problems: tuple[str, ...]
    wall: float


def judge(case: Case, findings: Iterable[Mapping[str, Any]]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What is flagged, and what is wrong with that."""
    found = {(f["test"]["nodeid"], f["kind"]): f for f in findings if f["flagged"]}
    flagged = [f"{kind} {test}" for test, kind in found]
    problems = []
    for known in case.known:
        finding = found.pop((known.test, known.kind), None)
        if finding is None:
            problems.append(f"{known.test} is no {known.kind}")
            continue
        causes = [cause["nodeid"] for cause in finding["causes"]]
        if len(causes) != 1 or (known.causes and causes[0] not in known.causes):
            problems.append(f"{known.test} is {known.kind} because of {causes}")
    problems += [f"{test} is {kind}" for test, kind in found if kind != "nio" or not case.known]
    return tuple(flagged), tuple(problems)


def prepared(cases: Iterable[Case], work: Path) -> list[tuple[Case, Prepared]]:
    """Suites in environments with the plugin of this checkout.

    Raises:
        PrepareError: One could not be had.
    """
    plugin = plugin_requirement(str(CHECKOUT), work)
    return [(case, prepare(case.suite, _PYTEST, plugin, work)) for case in cases]


def run_real(case: Case, ready: Prepared, work: Path) -> Outcome:
    """Run a suite once, in two orders, and every test alone.

    Raises:
        ProbeError: It could not be measured, or wrote no report.
    """
    path, log = work / f"{case.suite.name}.json", work / f"{case.suite.name}.txt"
    path.unlink(missing_ok=True)
    options = ["-q", "-n2", "--recheck=all", "--recheck-order=reverse", f"--procpar-report={path}"]
    began = monotonic()
    measured = measure(
        [str(ready.pytest), *options, *case.suite.arguments],
        cwd=ready.cwd,
        env={**clean_environ(os.environ), **dict(case.suite.environ)},
        log=log,
        timeout=_TIMEOUT,
    )
    wall = monotonic() - began
    if not path.exists():
        raise ProbeError(f"{case.suite.name}: no report was written: see {log}")
    report = json.loads(path.read_text(encoding="utf-8"))
    flagged, problems = judge(case, report["findings"])
    if measured.left_behind:
        problems = (*problems, f"{measured.left_behind} processes were left behind")
    if "ended early" in log.read_text(encoding="utf-8", errors="replace"):
        problems = (*problems, "the re-check has ended early")
    return Outcome(flagged, problems, wall)


__all__ = ["CASES", "Case", "Known", "Outcome", "PrepareError", "judge", "prepared", "run_real"]
