"""What the tests of the re-check share: a run with one, and what it has told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.conftest import Finished, Suite

__all__ = ["POLLUTED", "name", "printed", "rechecked", "section", "shell", "told"]

#: One test of each kind that one worker exposes in this order.
POLLUTED = """
    STATE = []
    def test_before(): pass
    def test_polluter(): STATE.append(1)
    def test_between(): pass
    def test_victim(): assert not STATE
"""


def rechecked(suite: Suite, *args: str) -> tuple[Finished, list[dict[str, Any]]]:
    """Run a suite with a re-check of what fails, unless `args` say otherwise; the findings of the report.

    It has the time that it needs on a busy machine.
    """
    finished = suite.run("--recheck=failed", "--recheck-budget=100", "--procpar-report=report.json", *args)
    report = json.loads((suite.path / "report.json").read_text())
    return finished, report["findings"]


def told(findings: list[dict[str, Any]]) -> dict[str, tuple[str, list[str]]]:
    """By the name of each flagged test, what it is and what it depends on."""
    return {
        name(finding["test"]): (finding["kind"], list(map(name, finding["causes"])))
        for finding in findings
        if finding["flagged"]
    }


def name(test: dict[str, Any]) -> str:
    return str(test["nodeid"]).split("::", 1)[1]


def section(finished: Finished) -> list[str]:
    """The lines of the re-check's section."""
    lines = finished.out.splitlines()
    start = next((at for at, line in enumerate(lines) if "procpar: re-check" in line), len(lines))
    end = next((at for at in range(start + 1, len(lines)) if lines[at].startswith("===")), len(lines))
    return lines[start + 1 : end]


def printed(finished: Finished, word: str) -> str:
    (line, *_) = [line for line in section(finished) if line.startswith(f"    {word}: pytest")]
    return line.split(": ", 1)[1]


def shell(suite: Suite, command: str, folder: str = ".") -> int:
    """Do what a user does with a printed command, in a folder of the suite; the exit status."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    python_path = os.pathsep.join([str(suite.path), os.environ.get("PYTHONPATH", "")])
    environ = {**os.environ, "PATH": path, "PYTHONPATH": python_path}
    done = subprocess.run(
        command, shell=True, cwd=suite.path / folder, env=environ, capture_output=True, check=False
    )
    print(done.stdout.decode(), done.stderr.decode(), sep="\n--- stderr ---\n")
    return done.returncode
