"""What is in a file, or in its name, does nothing to the terminal where we are the ones who write."""

from __future__ import annotations

import json
import shlex

import pytest

from tests.conftest import Suite
from tests.plugin.rechecking import shell

#: Clears the screen, and gives the terminal a title.
EVIL = "\x1b[2J\x1b]0;evil\x07"


@pytest.mark.parametrize("how", [["-n0"], []], ids=["plain", "parallel"])
def test_a_replay_file_does_nothing_to_a_terminal(suite: Suite, how: list[str]) -> None:
    suite.trivial(1)
    sequences = [
        {"worker": EVIL, "tests": [f"{EVIL}::test"]},
        {"worker": "gw1", "tests": ["test_it.py::test[0]"]},
    ]
    content = {"format": "procpar-replay", "version": 1, "sequences": sequences}
    suite.file("missing.json", json.dumps(content))
    suite.file("format.json", json.dumps({**content, "format": EVIL}))
    suite.file("test.json", json.dumps({**content, "sequences": [{"tests": [[EVIL]]}]}))
    for name in ("missing", "format", "test"):
        finished = suite.run(f"--replay={name}.json", *how)
        assert finished.ret == pytest.ExitCode.USAGE_ERROR
        said = finished.out + finished.err
        assert "evil" in said
        assert "\x1b" not in said
        assert "\x07" not in said


def test_names_of_files_and_threads_do_nothing_to_a_terminal(suite: Suite) -> None:
    suite.file(
        "test_\x1bcx.py",
        """
        import os, tempfile
        STATE = []
        def test_leak(): tempfile.mkstemp("\\x1b[2J", dir=".")
        def test_polluter(): STATE.append(1)
        def test_victim(): assert not STATE
        def test_crash(): os._exit(7)
        """,
    )
    finished = suite.run("-n1", "--leaks", "--recheck=failed", "--tb=no", "-q")
    lines = finished.out.splitlines()
    headings = ["procpar: leaks", "procpar: crashed", "procpar: re-check", "short test summary"]
    starts = [next(at for at, line in enumerate(lines) if heading in line) for heading in headings]
    ours = "\n".join(lines[min(starts) : starts[-1]])
    for name in ("leak", "crash", "victim", "polluter"):
        assert rf"test_\x1bcx.py::test_{name}" in ours
    assert "\x1b" not in ours
    # A shell that is given what was printed finds the file.
    (alone,) = [line.split("alone: ")[1] for line in lines if "    alone: " in line]
    assert shell(suite, f"bash -c {shlex.quote(alone)}") == 1
