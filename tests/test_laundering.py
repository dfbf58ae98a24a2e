"""Made suites with ordinary failures: none is blamed on the fork, and who says so would notice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.laundering import CLASSES, MODES, judge, run_made, write

CLASSES_A_SUITE = 10


def report(*outcomes: list[str], blamed: int | None = None) -> dict[str, Any]:
    """A report of tests with these outcomes of their attempts, one of which was blamed on the fork."""
    tests = [
        {"nodeid": str(at), "outcome": words[-1], "attempts": [{"outcome": word} for word in words]}
        for at, words in enumerate(outcomes)
    ]
    finding = {"kind": "fork-dependent", "note": "", "test": {"nodeid": str(blamed)}}
    return {"tests": tests, "findings": [] if blamed is None else [finding]}


def test_what_stays_bad_is_not_laundered() -> None:
    judged = judge(0, report(["passed"], ["failed"], ["error"], ["crashed"], ["hung"]))
    assert (judged.bad, judged.laundered) == (4, [])


def test_what_becomes_good_or_is_blamed_is_laundered() -> None:
    assert judge(0, report(["passed"], ["crashed", "passed"])).laundered == ["1"]
    assert judge(0, report(["passed"], ["failed"], blamed=1)).laundered == ["1"]


def test_twenty_suites_have_every_class_more_than_once(tmp_path: Path) -> None:
    drawn = [name for seed in range(20) for name in write(tmp_path, seed, CLASSES_A_SUITE)]
    assert min(map(drawn.count, CLASSES)) > 1


def test_a_seed_gives_the_same_suite(tmp_path: Path) -> None:
    def text(seed: int) -> str:
        write(tmp_path, seed, CLASSES_A_SUITE)
        return "".join(path.read_text() for path in sorted(tmp_path.glob("test_*.py")))

    assert text(3) == text(3) != text(4)


@pytest.mark.parametrize(("mode", "seed"), list(zip(MODES, range(1000, 1005), strict=True)))
def test_no_ordinary_failure_is_laundered(tmp_path: Path, mode: str, seed: int) -> None:
    made = run_made(seed, tmp_path, CLASSES_A_SUITE, ["--recheck-budget=60"], mode)
    assert made.bad
    assert made.laundered == []
