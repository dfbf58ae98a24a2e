"""A handful of tests on machines that are not like the one they were written on."""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import processes_with
from tests.machines.table import MACHINES, Ending, Machine, Reader, Terminal, unavailable

ROOT = Path(__file__).resolve().parents[2]
#: Seconds after which a run is taken to hang, even on a busy machine.
TIMEOUT = 120.0
#: Seconds that processes have for going away after the controller.
GONE = 20.0
#: What folders that runs share are called, before a user's name or number.
SHARED = ("pytest-of-", "pytest-procpar-")
#: The options of plain pytest.
WITHOUT_US = ("-p", "no:procpar", "-p", "no:pytest_procpar.plugin")
_MARKER = "PROCPAR_MACHINE"

PASSING = """
    import subprocess
    import sys
    import threading
    import pytest

    @pytest.fixture(scope="module")
    def shared(tmp_path_factory):
        return tmp_path_factory.mktemp("shared")

    @pytest.mark.parametrize("i", range(6))
    def test_passes(i, shared, tmp_path):
        assert shared.is_dir() and tmp_path.is_dir()

    def test_has_a_thread_and_a_process():
        thread = threading.Thread(target=subprocess.check_call, args=([sys.executable, "-c", ""],))
        thread.start()
        thread.join()
"""
POLLUTED = """
    import pytest

    STATE = []

    def test_pollutes():
        STATE.append(1)

    def test_between():
        pass

    def test_victim():
        if STATE:
            pytest.fail("polluted")
"""
CRASHING = """
    import os

    def test_before():
        pass

    def test_crashes():
        os.kill(os.getpid(), 9)

    def test_after():
        pass
"""
GREEDY = """
    def test_before():
        pass

    def test_crashes():
        taken = []
        while True:
            taken.append(bytearray(b"x") * 1_000_000)

    def test_after():
        pass
"""
TALKING = """
    import os
    import pytest

    def test_says_much():
        print("x" * 100_000)
        os.write(2, b"y" * 1000)

    def test_says_why():
        print("na\\xefve \\u2713")
        pytest.fail("with \\u2713")
"""
WRITING = """
    def test_writes(tmp_path):
        (tmp_path / "file").write_text("\\u2713", encoding="utf-8")
        assert (tmp_path / "file").read_text(encoding="utf-8") == "\\u2713"
"""
SUITE = {
    "test_crashing.py": CRASHING,
    "test_passing.py": PASSING,
    "test_polluted.py": POLLUTED,
    "test_talking.py": TALKING,
    "test_writing.py": WRITING,
}
VERDICTS = {
    "test_crashing.py": {"test_before": "passed", "test_crashes": "crashed", "test_after": "passed"},
    "test_passing.py": {
        **{f"test_passes[{i}]": "passed" for i in range(6)},
        "test_has_a_thread_and_a_process": "passed",
    },
    "test_polluted.py": {"test_pollutes": "passed", "test_between": "passed", "test_victim": "failed"},
    "test_talking.py": {"test_says_much": "passed", "test_says_why": "failed"},
    "test_writing.py": {"test_writes": "passed"},
}
BLOCKING = """
    import os

    def test_blocks():
        with open(os.environ["PLACE"] + "/go-on", "rb") as go_on:
            with open(os.environ["PLACE"] + "/reached", "wb") as reached:
                reached.write(b"!")
            go_on.read()

    def test_after():
        pass
"""
#: The controller writes to the terminal after it has gone and before the loop looks for signals.
WRITES_TOO_LATE = """
    import os, select, sys

    def pytest_runtest_logreport(report):
        if report.when == "call" and "PYTEST_XDIST_WORKER" not in os.environ:
            with open(os.environ["PLACE"] + "/reached", "wb") as reached:
                reached.write(b"!")
            terminal = select.poll()
            terminal.register(1, 0)
            terminal.poll()
"""


class Place:
    """The folder that a machine has, and the processes that come of what runs on it."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.path = Path(tempfile.mkdtemp(prefix="machine-"))
        self.path.chmod(0o755)
        for name in ("suite", "tmp", "out"):
            (self.path / name).mkdir()
        for name in ("tmp", "out"):
            (self.path / name).chmod(0o777)
        (self.path / "suite" / "pytest.ini").write_text("[pytest]\n")
        self._mark = uuid.uuid4().hex

    def write(self, suite: dict[str, str]) -> None:
        """Put a suite there."""
        for name, text in suite.items():
            (self.path / "suite" / name).write_text(textwrap.dedent(text))

    def start(self, *args: str, **streams: Any) -> subprocess.Popen[bytes]:
        """Start pytest there."""
        machine = self.machine
        ours = {_MARKER: self._mark, "PLACE": str(self.path)}
        environ = {
            name: value
            for name, value in {**os.environ, "TMPDIR": str(self.path / "tmp"), **machine.environ}.items()
            if value is not None and not name.startswith(("PYTEST_", "COVERAGE_", "COV_CORE_"))
        }
        environ |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "pytest_procpar.plugin", **ours}
        if machine.prefix[:2] == ("env", "-i"):
            prefix = (*machine.prefix, *(f"{name}={value}" for name, value in ours.items()))
            machine = replace(machine, prefix=prefix)
        python = [sys.executable, *machine.python, "-m", "pytest"]
        return subprocess.Popen(
            machine.command(*python, *args), cwd=self.path / "suite", env=environ, **streams
        )

    def processes(self) -> list[int]:
        """The processes that have come of it and are alive."""
        return processes_with(_MARKER, self._mark)

    def left(self) -> list[str]:
        """What is left when it has had its time to go: processes, and files.

        The folders stay that runs share: pytest's, and the one in which they count each other's workers.
        """
        for pid in self.processes():
            with suppress(ProcessLookupError):
                fd = os.pidfd_open(pid)
                select.select([fd], [], [], GONE)
                os.close(fd)
        left = [f"process {pid}" for pid in self.processes()]
        for folder, folders, files in os.walk(self.path / "tmp"):
            folders[:] = [name for name in folders if not name.startswith(SHARED)]
            left += [os.path.join(folder, name) for name in files]
            left += [os.path.join(folder, name) for name in folders if name != "long" * 20]
        return left

    def report(self) -> Any:
        """What the run has written into its report; None if there is none."""
        path = self.path / "out" / "report.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    def close(self) -> None:
        """Remove everything."""
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.path)


class Ended:
    """A run that has come to its end."""

    def __init__(self, status: int, out: str, err: str) -> None:
        print(out, err, sep="\n--- stderr ---\n")
        self.status, self.out, self.err = status, out, err


def finish(place: Place, process: subprocess.Popen[bytes], reader: Reader = Reader.READS) -> Ended:
    """Wait for the end of a run, while its output is read in that way."""
    if reader is not Reader.READS:
        assert process.stdout is not None
        first = os.read(process.stdout.fileno(), 10)
        assert first
        if reader is Reader.LEAVES:
            process.stdout.close()
            process.stdout = None
    try:
        out, err = process.communicate(timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        for signum in (signal.SIGABRT, signal.SIGKILL):  # faulthandler says where it hangs
            for pid in place.processes():
                with suppress(ProcessLookupError):
                    os.kill(pid, signum)
            place.left()
        out, err = process.communicate()
        pytest.fail(
            f"the run hangs:\n{(out or b'').decode(errors='replace')}\n{err.decode(errors='replace')}"
        )
    return Ended(process.returncode, (out or b"").decode(errors="replace"), err.decode(errors="replace"))


def run(place: Place, *args: str) -> Ended:
    """Run pytest there to its end, as the machine reads."""
    process = place.start(*args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return finish(place, process, place.machine.reader)


def parallel(method: str) -> list[str]:
    """The options of a parallel run, whose re-check has the time that it needs on a busy machine."""
    where = ["--procpar-report=../out/report.json", "--recheck-budget=100"]
    return [*where, "-n2", "--dist=loadfile", f"--start-method={method}"]


def matrix(*readers: Reader) -> Iterator[Any]:
    """Machines and their start methods; the machines that cannot be made are skipped, with the reason."""
    for machine in (machine for machine in MACHINES if machine.reader in readers):
        reason = unavailable(machine)
        marks = [pytest.mark.skip(reason=f"this machine cannot be made here: {reason}")] if reason else []
        for method in machine.methods:
            yield pytest.param(machine, method, id=f"{machine.name}-{method}", marks=marks)


@pytest.fixture
def place(machine: Machine) -> Iterator[Place]:
    """The machine's folder; whatever runs there is ended and all files removed."""
    made = Place(machine)
    yield made
    made.close()


@pytest.mark.parametrize(("machine", "method"), list(matrix(Reader.READS, Reader.LEAVES, Reader.SLEEPS)))
def test_a_suite_comes_to_its_end_as_everywhere(place: Place, machine: Machine, method: str) -> None:
    suite = {name: text for name, text in SUITE.items() if name not in machine.without}
    if machine.ending is Ending.AS_PLAIN_PYTEST:
        del suite["test_crashing.py"]
    if machine.greedy:
        suite["test_crashing.py"] = GREEDY
    place.write(suite)
    ended = run(place, *parallel(method))
    assert not place.left()
    if machine.ending is Ending.AS_PLAIN_PYTEST:
        assert ended.status == run(place, *WITHOUT_US).status
        return
    report = place.report()
    found: dict[str, dict[str, str]] = {}
    for test in report["tests"]:
        file, _, name = test["nodeid"].partition("::")
        found.setdefault(file, {})[name] = test["outcome"]
    assert found == {name: VERDICTS[name] for name in suite}
    assert report["errors"] == []
    assert ended.status == pytest.ExitCode.TESTS_FAILED
    assert not re.search(r"Traceback|Exception ignored|Warning", ended.err)
    (finding,) = [finding for finding in report["findings"] if finding["kind"] == "victim"]
    assert finding["test"]["nodeid"] == "test_polluted.py::test_victim"
    assert [cause["nodeid"] for cause in finding["causes"]] == ["test_polluted.py::test_pollutes"]
    if machine.ending is Ending.AS_EVERYWHERE:
        assert [command["outcome"] for command in finding["commands"]] == ["failed", "passed"]


@pytest.mark.parametrize(("machine", "method"), list(matrix(Reader.HANGS_UP)))
def test_a_run_whose_terminal_hangs_up_ends_and_leaves_nothing(place: Place, method: str) -> None:
    ours, plain = [lose_terminal(place, *options) for options in (parallel(method), WITHOUT_US)]
    # Plain pytest dies of the signal. With workers the run is ended in order, as by SIGTERM.
    assert ours == (pytest.ExitCode.INTERRUPTED if plain == -signal.SIGHUP else plain)
    assert not place.left()


@pytest.mark.parametrize(
    ("machine", "method"), [param for param in matrix(Reader.HANGS_UP) if "ignored" not in param.id]
)
def test_a_terminal_may_be_gone_before_its_signal_is_heard(place: Place, method: str) -> None:
    suite = {"test_blocking.py": "def test_passes():\n    pass\n", "conftest.py": WRITES_TOO_LATE}
    assert lose_terminal(place, *parallel(method), suite=suite) == pytest.ExitCode.INTERRUPTED
    assert not place.left()


def lose_terminal(place: Place, *args: str, suite: dict[str, str] | None = None) -> int:
    """Run pytest on a terminal that hangs up while a test runs: the exit status."""
    place.write(suite or {"test_blocking.py": BLOCKING})
    fifos = []
    for name in ("reached", "go-on"):
        os.mkfifo(place.path / name)
        fifos.append(os.open(place.path / name, os.O_RDWR | os.O_NONBLOCK))
    with Terminal() as terminal:
        streams = dict.fromkeys(("stdin", "stdout", "stderr"), terminal.theirs)
        before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # `nohup` ignores it, which is inherited
        try:
            process = place.start(*args, **streams)
        finally:
            signal.signal(signal.SIGHUP, before)
        assert select.select(fifos[:1], [], [], TIMEOUT)[0]
    if "ignored" not in place.machine.name:  # the signal ends the test, not the end of the pipes
        process.wait(TIMEOUT)
    for name, fifo in zip(("reached", "go-on"), fifos, strict=True):
        os.close(fifo)
        (place.path / name).unlink()
    return process.wait(TIMEOUT)


def test_the_documentation_lists_every_machine() -> None:
    text = (ROOT / "docs" / "robustness.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z0-9-]+)` \| (.+) \|$", text, re.MULTILINE)
    assert rows == [(machine.name, machine.what) for machine in MACHINES]
