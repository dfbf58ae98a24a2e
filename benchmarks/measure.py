"""Measure a command through the probe, and judge whether it did its work.

Knows how pytest sums a run up; knows nothing of cases, contenders or rounds.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_PROBE = Path(__file__).with_name("probe.py")
_SUMMARY = re.compile(r"^=*\s*(?P<counts>.*\b\d+ \w+.*) in \d[\d.]*s\b")


@dataclass(frozen=True)
class Measured:
    """What one command used, as a whole process tree.

    Attributes:
        status: Exit status; negative for the signal that ended the command.
        wall: Seconds from before its start until it was reaped.
        cpu: User and system seconds of the whole tree.
        pss: Largest sum of proportional set sizes seen, in bytes; 0 if no samples were taken.
        others: Cores that processes outside the tree kept busy meanwhile, on average.
        timed_out: It was killed for running too long.
        left_behind: Processes of the tree that had to be killed after it ended.
    """

    status: int
    wall: float
    cpu: float
    pss: int
    others: float
    timed_out: bool
    left_behind: int


class ProbeError(RuntimeError):
    """The probe itself could not measure: no figure of the command's can be trusted."""


def measure(
    command: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    log: Path,
    timeout: float,
    pause: float = 0.0,
) -> Measured:
    """Run ``command`` to its end, with its output in ``log``.

    Args:
        command: Program and arguments.
        cwd: Its working directory.
        env: Its whole environment.
        log: Receives standard output and error.
        timeout: Seconds after which the whole tree is killed.
        pause: Seconds between memory samples; 0 takes none.

    Raises:
        ProbeError: The command could not be started, or could not be killed.
    """
    limits = ["--log", str(log), "--timeout", str(timeout), "--pause", str(pause)]
    done = subprocess.run(
        [sys.executable, "-I", str(_PROBE), *limits, "--", *command],
        cwd=cwd,
        env=dict(env),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ProbeError(f"the probe failed: {last}")
    return Measured(**json.loads(done.stdout))


def counts_in(output: str) -> dict[str, int]:
    """The counts of pytest's closing line, such as ``{"passed": 9, "failed": 1}``; {} if none."""
    for line in reversed(output.splitlines()):
        if found := _SUMMARY.match(line):
            pairs = re.findall(r"(\d+) ([a-z]+)", found["counts"])
            return {word: int(number) for number, word in pairs}
    return {}


def problem_with(measured: Measured, output: str, expected: int, timeout: float) -> str:
    """Why a run does not count, or an empty string: it passed exactly ``expected`` tests."""
    if measured.timed_out:
        return f"not done after {timeout:g} s"
    if measured.status < 0:
        return f"ended by signal {-measured.status}"
    if measured.status:
        return f"exit status {measured.status}"
    counts = counts_in(output)
    if not counts:
        return "no closing line with counts"
    if counts.get("passed", 0) != expected:
        return f"reported {counts.get('passed', 0)} passed, not {expected}"
    if bad := [word for word in ("failed", "error", "errors") if counts.get(word)]:
        return f"reported {counts[bad[0]]} {bad[0]}"
    if measured.left_behind:
        return f"left {measured.left_behind} processes behind"
    return ""
