"""The end of the controller's process is Python's own: nothing that code leaves to it is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from tests.conftest import TIMEOUT, Suite

pytestmark = pytest.mark.python_dependent

#: What is left to the end: handlers, a thread, an unflushed file, a temporary file, a cycle with a finalizer.
LEFT = """
    import atexit
    import os
    import sys
    import tempfile
    import threading

    CONTROLLER = os.environ.setdefault("CONTROLLER", str(os.getpid()))

    def say(what):
        if os.getpid() == int(CONTROLLER):
            os.write(NOTES, f"{what}\\n".encode())

    class Cycle:
        def __init__(self):
            self.itself, self.owner, self.notes = self, int(CONTROLLER), NOTES

        def __del__(self, getpid=os.getpid, write=os.write):  # globals may be gone by then
            if getpid() == self.owner:
                write(self.notes, b"finalizer\\n")

    if "NOTES" in os.environ:
        NOTES = int(os.environ["NOTES"])
        atexit.register(say, "first-handler")
        atexit.register(say, "second-handler")
        CYCLE = Cycle()

    def pytest_unconfigure(config):
        global LOG, SCRATCH, THREAD
        if hasattr(config, "workerinput"):
            return
        LOG = open("log", "w")
        LOG.write("unflushed")
        SCRATCH = tempfile.NamedTemporaryFile(dir=".", prefix="scratch")
        ended = threading.Event()
        THREAD = threading.Thread(target=lambda: (ended.wait(), say("thread")))
        THREAD.start()
        # Python joins threads before it runs exit handlers.
        threading._register_atexit(ended.set)
        say("unconfigure")
        print("said at unconfigure")
"""


PYTEST = [sys.executable, "-m", "pytest", "-p", "no:recorder", "--recheck=none"]


def ended(suite: Suite, command: list[str], **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=suite.path, timeout=TIMEOUT, text=True, check=False,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more},
    )  # fmt: skip


@pytest.mark.parametrize("outcome", [0, 1])
def test_what_is_left_to_the_end_of_the_process_happens_in_pythons_order(suite: Suite, outcome: int) -> None:
    suite.conftest(LEFT)
    suite.tests(f"def test_it(): assert not {outcome}\ndef test_other(): pass")
    reader, writer = os.pipe()
    with open(reader, encoding="utf-8") as notes:
        try:
            environ = {**os.environ, "NOTES": str(writer)}
            command = [*PYTEST, "-n2", "--start-method=fork"]
            done = ended(suite, command, pass_fds=[writer], env=environ)
        finally:
            os.close(writer)
        said = notes.read().split()
    assert done.returncode == outcome, done.stderr
    wanted = ["unconfigure", "thread", "second-handler", "first-handler", "finalizer"]
    assert said == wanted
    assert done.stdout.endswith("said at unconfigure\n")
    assert (suite.path / "log").read_text() == "unflushed"
    assert not list(suite.path.glob("scratch*"))


def test_a_program_that_calls_pytest_goes_on_and_may_call_it_again(suite: Suite) -> None:
    suite.tests("import pytest\n@pytest.mark.parametrize('i', range(20))\ndef test(i): assert i < 19")
    suite.file(
        "program.py",
        """
        import pytest, sys
        codes = [int(pytest.main(["-n2", "-q", "-p", "no:recorder", "--recheck=none"])) for _ in range(3)]
        print("codes", codes)
        sys.exit(7)
        """,
    )
    done = ended(suite, [sys.executable, "program.py"])
    assert done.returncode == 7, done.stderr
    assert done.stdout.endswith("codes [1, 1, 1]\n")
    assert done.stdout.count("1 failed, 19 passed") == 3


def test_coverage_that_has_called_pytest_saves_its_data_at_the_end(suite: Suite) -> None:
    pytest.importorskip("coverage")
    suite.file("reaching.py", "def reached():\n    return 1\n")
    suite.tests("from reaching import reached\ndef test_it(): assert reached()\ndef test_other(): pass")
    covered = [sys.executable, "-m", "coverage", "run", "--source=.", *PYTEST[1:], "-n2"]
    done = ended(suite, covered)
    assert done.returncode == 0, done.stderr
    report = ended(suite, [sys.executable, "-m", "coverage", "report", "--include=reaching.py"])
    assert "100%" in report.stdout, report.stdout + report.stderr


def test_output_that_nobody_reads_ends_the_run_as_it_ends_one_without_workers(suite: Suite) -> None:
    """As ``pytest | head -1`` does, once `head` is gone."""
    suite.trivial(50)
    statuses = []
    for workers in ("0", "2"):
        reader, writer = os.pipe()
        os.close(reader)
        try:
            statuses.append(ended(suite, [*PYTEST, f"-n{workers}", "-v"], stdout=writer).returncode)
        finally:
            os.close(writer)
    assert statuses[0] == statuses[1] != 0
