"""Runs a program, and takes down how long it took and how much processor time, with all that came of it.

It is a process of its own, with little in it: nothing else is waited for there, so all is the program's. What
outlives the program, and ends, counts too; what goes on running does not.
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
    """The command that runs this one.

    :param told: the file for what was measured.
    :param out: the file for what it prints; standard error stays.
    """
    return bare_interpreter("pytest_procpar.switching.measured", str(told), str(out), *command)


def measured(told: Path) -> Measured | None:
    """What was measured; None if that came to no end."""
    try:
        return Measured(**json.loads(told.read_bytes()))
    except (OSError, ValueError):
        return None


def main() -> None:
    """Be that process."""
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
