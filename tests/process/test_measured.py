"""What a program takes is measured with all that came of it."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from pytest_procpar.switching.measured import Measured, measured, measuring

BUSY = """
import time
while time.process_time() < 0.4: pass
"""


def measure(folder: Path, code: str) -> Measured:
    command = measuring([sys.executable, "-c", code], folder / "told", folder / "out")
    assert subprocess.run(command, check=False).returncode == 0
    found = measured(folder / "told")
    assert found is not None
    return found


def test_it_says_how_a_program_ended_and_what_it_printed(tmp_path: Path) -> None:
    assert measure(tmp_path, "print('here'); raise SystemExit(3)").code == 3
    assert (tmp_path / "out").read_text() == "here\n"
    assert measure(tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)").code == -9


def test_processor_time_of_children_counts(tmp_path: Path) -> None:
    waited = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BUSY!r}])"
    assert measure(tmp_path, waited).cpu >= 0.4


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="Linux tells the end of a process that is no child")
def test_processor_time_of_what_nobody_waits_for_counts(tmp_path: Path) -> None:
    left = f"""
import os, select
read, write = os.pipe()
if os.fork() == 0:
    child = os.fork()  # its parent ends before it does, and does not wait for it
    if child:
        os.write(write, child.to_bytes(4, "little"))
    else:{textwrap.indent(BUSY, " " * 8)}
    os._exit(0)
os.wait()
select.select([os.pidfd_open(int.from_bytes(os.read(read, 4), "little"))], [], [])
"""
    assert measure(tmp_path, left).cpu >= 0.4


def test_wall_time_is_that_of_the_program(tmp_path: Path) -> None:
    assert measure(tmp_path, "import time; time.sleep(0.3)").wall >= 0.3


def test_without_an_end_nothing_was_measured(tmp_path: Path) -> None:
    assert measured(tmp_path / "told") is None
    (tmp_path / "told").write_text("{")
    assert measured(tmp_path / "told") is None
