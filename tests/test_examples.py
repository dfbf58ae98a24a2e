"""The suite in `examples/` ends as its README says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PYTEST = Path(sys.executable).with_name("pytest")
CRASHER = "examples/test_crash.py::test_that_crashes"
VICTIM = "examples/test_currency.py::test_prices_are_in_euros"
BRITTLE = "examples/test_checkout.py::test_a_loaf_is_in_the_catalogue"


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run pytest as a user would, from the root of the checkout."""
    command = [PYTEST, "-rf", "-p", "no:cacheprovider", *arguments]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(
        command, cwd=ROOT, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )


def failed(done: subprocess.CompletedProcess[str]) -> set[str]:
    """The nodeids in the short summary."""
    lines = done.stdout.splitlines()
    return {line.split(" ")[1] for line in lines if line.startswith("FAILED ")}


def check(status: int, results: Path) -> subprocess.CompletedProcess[str]:
    """Run the examples' own check of a junit xml file."""
    command: list[str | Path] = [sys.executable, ROOT / "examples" / "check.py", str(status), results]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("workers", ["2", "4"])
def test_crasher_victim_and_brittle_test_fail_and_nothing_else(workers: str, tmp_path: Path) -> None:
    results = tmp_path / "results.xml"
    # On a busy machine the default budget may leave no time for the brittle one.
    done = run("-n", workers, f"--junitxml={results}", "--recheck-budget=100", "examples/")
    assert failed(done) == {CRASHER, VICTIM, BRITTLE}
    assert "3 failed, 15 passed, 1 skipped, 1 xfailed" in done.stdout
    assert done.returncode == 1
    verdict = check(done.returncode, results)
    assert verdict.returncode == 0, verdict.stdout
    assert "state-setter, which ran in another worker" in verdict.stdout


def test_one_worker_runs_the_state_setter_first_and_a_crash_names_it_and_the_signal(tmp_path: Path) -> None:
    results = tmp_path / "results.xml"
    done = run("-n", "1", f"--junitxml={results}", "examples/")
    assert failed(done) == {CRASHER, VICTIM}
    crash = "worker 'gw0' crashed while running 'test_crash.py::test_that_crashes': killed by SIGSEGV"
    assert crash in done.stdout
    assert check(done.returncode, results).returncode == 0


def test_victim_passes_alone_and_brittle_test_fails_alone() -> None:
    assert run(VICTIM).returncode == 0
    assert failed(run(BRITTLE)) == {BRITTLE}


def test_brittle_test_passes_in_the_order_of_plain_pytest() -> None:
    assert run("examples/test_basket.py", "examples/test_checkout.py").returncode == 0


def test_check_notices_a_crash_that_is_not_reported(tmp_path: Path) -> None:
    results = tmp_path / "results.xml"
    done = run(f"--junitxml={results}", "examples/test_currency.py")
    verdict = check(done.returncode, results)
    assert verdict.returncode == 1
    assert "test_crash::test_that_crashes should fail" in verdict.stdout
    assert "2 tests have an outcome, not 20" in verdict.stdout


def test_check_notices_a_run_without_results(tmp_path: Path) -> None:
    assert check(3, tmp_path / "missing.xml").returncode == 1
