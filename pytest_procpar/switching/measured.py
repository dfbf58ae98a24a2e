"""Runs a program, and measures how much wall and processor time it and its descendants took.

This is a process of its own with little in it: it waits for nothing else, so all processor time is the
program's. Descendants that outlive the program count if they end; those that keep running do not.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pytest_procpar.core.record import record
from pytest_procpar.forking.bare_interpreter import bare_interpreter
from pytest_procpar.system.calls import monotonic
from pytest_procpar.system.descendants import set_subreaper

__all__ = ["Measured", "main", "measured", "measuring"]


@record
class Measured:
    """Exit code (negative: a signal), wall and processor time in seconds."""

    code: int
    wall: float
    cpu: float


def measuring(command: Sequence[str], told: Path, out: Path) -> list[str]:
    """The command that runs and measures this one.

    :param told: the file for what is measured.
    :param out: the file for the command's standard output; its standard error stays.
    """
    return bare_interpreter("pytest_procpar.switching.measured", str(told), str(out), *command)


def measured(told: Path) -> Measured | None:
    """What was measured; None if the measuring process did not finish."""
    try:
        return Measured(**json.loads(told.read_bytes()))
    except (OSError, ValueError):
        return None


def main() -> None:
    """Be the measuring process."""
    told, out, *command = sys.argv[2:]
    set_subreaper(True)
    began = monotonic()
    with open(out, "wb") as stdout:
        code = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stdout).wait()
    wall = monotonic() - began
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    part = Path(f"{told}.part")
    part.write_text(json.dumps({"code": code, "wall": wall, "cpu": usage.ru_utime + usage.ru_stime}))
    part.replace(told)
