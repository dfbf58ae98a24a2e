"""What the end-to-end tests share: a suite in a folder of its own, run in a process of its own."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from tests.starting import FLAGS, MARKER, ForkedRun, Starter, circumstances

pytest_plugins = ["pytester"]

#: Seconds after which a run is taken to hang. Far more than any takes, even on a busy machine.
TIMEOUT = 300.0
#: Seconds that processes have for going away after the controller.
GONE = 20.0
#: Where the interpreter is one file with all that it links, threads of C code are taken for its own.
unless_in_one_file = pytest.mark.skipif(
    sys.version_info >= (3, 14), reason="an interpreter in one file is taken for the owner of such threads"
)

#: What holds for interpreters that this process starts while nothing is changed.
_ENVIRON = os.environ.copy()
_USUAL = circumstances(_ENVIRON)
#: What forks this process's runs, once it is needed.
_starters: list[Starter] = []


def processes_with(variable: str, value: str) -> list[int]:
    """The processes that are alive and were started with this in their environment."""
    mark = f"{variable}={value}".encode()
    alive = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError):
            if folder.name.isdigit() and mark in (folder / "environ").read_bytes().split(b"\0"):
                alive.append(int(folder.name))
    return alive


class Finished:
    """A run that has ended: its exit status, its output, and what the recorder noted."""

    def __init__(self, ret: int, out: str, err: str, seconds: float, records: list[dict[str, Any]]) -> None:
        self.ret = ret
        self.seconds = seconds
        self.out = out
        self.err = err
        self.records = records
        self.stdout = pytest.LineMatcher(out.splitlines())

    def notes(self, kind: str) -> list[dict[str, Any]]:
        """The notes of a kind, in the order in which they were made."""
        return [record for record in self.records if record["kind"] == kind]

    def facts(self, kind: str, name: str) -> list[Any]:
        """One fact of every note of a kind."""
        return [record[name] for record in self.notes(kind)]

    @property
    def outcomes(self) -> dict[str, list[str]]:
        """What was reported of every test: "when outcome" of each report, in order; "xfail" marked so."""
        found: dict[str, list[str]] = {}
        for report in self.notes("report"):
            word = f"{report['when']} {report['outcome']}{' xfail' if report['wasxfail'] is not None else ''}"
            found.setdefault(report["nodeid"], []).append(word)
        return found

    @property
    def summary(self) -> dict[str, int]:
        """The counts in the last line, by word: ``{"passed": 3}``."""
        with suppress(ValueError):  # there is no such line
            return pytest.RunResult(0, self.stdout.lines, [], 0.0).parseoutcomes()
        return {}

    @property
    def ran(self) -> Counter[Any]:
        """How often the test functions noted that they ran (``note("ran", test=...)``)."""
        return Counter(self.facts("ran", "test"))

    def assert_summary(self, **counts: int) -> None:
        """Exactly these counts stand in the last line."""
        assert self.summary == counts, f"{self.out}\n{self.err}"


def starter_of(environ: Mapping[str, str]) -> Starter | None:
    """What forks a run with this environment; None if it needs an interpreter of its own."""
    if circumstances(environ) != _USUAL:
        return None
    if not _starters or not _starters[0].is_usable:
        _starters[:] = [Starter(_ENVIRON)]
    return _starters[0]


def end_starter() -> None:
    """End what forks runs, if there is such a process, until another run needs it."""
    while _starters:
        _starters.pop().close()


class Suite:
    """A suite, and the processes that running it has started."""

    def __init__(self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pytester = pytester
        self.path = pytester.path
        self.give_basetemp = True
        self._mark = uuid.uuid4().hex
        self._reached: int | None = None
        self._started: list[subprocess.Popen[bytes] | ForkedRun] = []
        #: Not in the suite's folder, where what a re-check changes is put back.
        self._records = self.path.with_name(f"{self.path.name}-records.jsonl")
        shutil.copy(Path(__file__).with_name("recorder.py"), self.path)
        for name in [name for name in os.environ if name.startswith(("PYTEST_", "COVERAGE_", "COV_CORE_"))]:
            monkeypatch.delenv(name)
        monkeypatch.setenv(MARKER, self._mark)
        monkeypatch.setenv("RECORDS", str(self._records))
        monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        monkeypatch.setenv("PYTEST_PLUGINS", "pytest_procpar.plugin,recorder")
        monkeypatch.setenv("COLUMNS", "100")
        # Whatever else runs on this machine; tests of that have a folder of their own.
        monkeypatch.setenv("PROCPAR_HOST_BUDGET", "off")
        # Tests note that they run; what runs them again would be noted too. Tests of that ask for it.
        monkeypatch.setenv("PYTEST_ADDOPTS", "-o procpar_recheck=none -o procpar_fork_safe=recorder.py")

    # --- files ---

    def file(self, name: str, text: str) -> Path:
        """Write a file of the suite."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = text.strip("\n").splitlines()
        indents = [len(line) - len(line.lstrip()) for line in lines if line.strip()]
        margin = min(indents, default=0)
        path.write_text("\n".join(line[margin:] for line in lines) + "\n")
        return path

    def tests(self, text: str) -> Path:
        """Write the suite's only test module."""
        return self.file("test_it.py", text)

    def conftest(self, text: str) -> Path:
        """Write the suite's conftest."""
        return self.file("conftest.py", text)

    def trivial(self, count: int) -> None:
        """Tests in one module that note that they ran."""
        self.tests(f"""
            import pytest
            from recorder import note

            @pytest.mark.parametrize("i", range({count}))
            def test(i):
                note("ran", test=i)
        """)

    # --- runs ---

    def run(self, *args: str, timeout: float = TIMEOUT) -> Finished:
        """Run pytest to its end."""
        return self.start(*args).finish(timeout)

    def start(
        self,
        *args: str,
        process_group: int | None = None,
        by: Sequence[str] = (),
        prepare: Callable[[], object] | None = None,
    ) -> Running:
        """Start pytest; with `process_group` 0, in a process group of its own, as a shell does.

        :param by: a command that starts it.
        :param prepare: called in the process before it becomes that program.
        """
        with suppress(FileNotFoundError):
            self._records.unlink()
        basetemp = [f"--basetemp={self.path / 'basetemp'}"] if self.give_basetemp else []
        environ = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, [os.getcwd(), os.environ.get("PYTHONPATH")])),
        }
        starter = starter_of(environ) if not by and prepare is None else None
        process: subprocess.Popen[bytes] | ForkedRun
        if starter is not None:
            process = starter.start([*basetemp, *args], environ, os.getcwd(), process_group)
        else:
            process = subprocess.Popen(
                [*by, sys.executable, *FLAGS, *basetemp, *args],
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                preexec_fn=prepare if process_group is None else lambda: os.setpgid(0, process_group),
            )
        self._started.append(process)
        return Running(self, process)

    def records(self) -> list[dict[str, Any]]:
        """What has been noted in the latest run."""
        path = self._records
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    # --- barriers and processes ---

    def make_barrier(self) -> None:
        """Make what `recorder.reached` and `recorder.block` need."""
        os.mkfifo(self.path / "reached.fifo")
        os.mkfifo(self.path / "never.fifo")
        self._reached = os.open(self.path / "reached.fifo", os.O_RDWR | os.O_NONBLOCK)

    def await_reached(self, count: int = 1) -> list[str]:
        """Wait until so many have said that they are there: "pid word" of each."""
        assert self._reached is not None
        poll = select.poll()
        poll.register(self._reached, select.POLLIN)
        data = b""
        while data.count(b"\n") < count:
            assert poll.poll(TIMEOUT * 1000), f"only {data!r} came"
            data += os.read(self._reached, 4096)
        return data.decode().splitlines()

    def processes(self) -> list[int]:
        """The processes that have come of this suite's runs and are alive."""
        return processes_with(MARKER, self._mark)

    def await_gone(self, seconds: float = GONE) -> list[int]:
        """Wait until no such process is left; those that are."""
        deadline = time.monotonic() + seconds
        while (left := self.processes()) and time.monotonic() < deadline:
            for pid in left:  # meanwhile one of them may start another one, which sees to its end
                with suppress(ProcessLookupError):
                    fd = os.pidfd_open(pid)
                    select.select([fd], [], [], max(0.0, deadline - time.monotonic()))
                    os.close(fd)
        return left

    def close(self) -> None:
        """See everything gone, or kill it and say so."""
        if self._reached is not None:
            os.close(self._reached)
        left = self.await_gone()
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in self._started:
            process.wait()
            if isinstance(process, ForkedRun):
                process.close()
        assert not left, "processes were left behind"


class Running:
    """A run in progress."""

    def __init__(self, suite: Suite, process: subprocess.Popen[bytes] | ForkedRun) -> None:
        self._suite = suite
        self.process = process
        self._began = monotonic()
        self._read = b""
        self.pid = process.pid

    def signal(self, signum: int) -> None:
        """Send the controller a signal."""
        self.process.send_signal(signum)

    def await_line(self, words: str) -> None:
        """Wait until the controller writes a line with these words."""
        assert self.process.stdout is not None
        poll = select.poll()
        poll.register(self.process.stdout, select.POLLIN)
        while words.encode() not in self._read:
            assert poll.poll(TIMEOUT * 1000), f"only {self._read!r} came"
            data = os.read(self.process.stdout.fileno(), 4096)
            assert data, f"it ended, having said {self._read!r}"
            self._read += data

    def wait(self, seconds: float) -> None:
        """Wait for the end, so long at the most.

        :raises TimeoutError: if it has not come by then.
        """
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise TimeoutError from None

    def finish(self, timeout: float = TIMEOUT) -> Finished:
        """Wait for the end."""
        try:
            out, err = self.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            # By SIGABRT first: pytest's faulthandler says then where each process hangs.
            for signum in (signal.SIGABRT, signal.SIGKILL):
                for pid in self._suite.processes():
                    with suppress(ProcessLookupError):
                        os.kill(pid, signum)
                self._suite.await_gone(5.0)
            out, err = self.process.communicate()
            pytest.fail(f"the run hangs:\n{out.decode()}\n{err.decode()}")
        assert self.process.returncode is not None
        out = self._read + out
        print(out.decode(), err.decode(), sep="\n--- stderr ---\n")
        records = self._suite.records()
        return Finished(
            self.process.returncode, out.decode(), err.decode(), monotonic() - self._began, records
        )


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Iterator[Suite]:
    """A suite to be written and run; afterwards none of its processes may be left."""
    made = Suite(pytester, monkeypatch)
    yield made
    made.close()


#: Folders whose tests start no process, or few: they are cheap.
_CHEAP = ("core", "report", "process", "controller", "compat")
#: The marks of tests that run on other versions than the main one, too.
_ON_OTHERS = ("python_dependent", "pytest_dependent")


def is_dealt(number: int, count: int, version: int, versions: int) -> bool:
    """Whether this of so many versions runs a test with this of its so many parameters.

    :param number: from 0.
    :param version: from 1.
    """
    return number % versions == (version - 1) % min(versions, count)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With ``PROCPAR_PARAMETERS=K/N`` run what the Kth of N versions does, of all parameters: every Nth.

    So a test that runs on all of them runs with all of its parameters; of fewer than N each version runs one.
    What is cheap and runs on the main version only is left as it is.
    """
    version, _, versions = os.environ.get("PROCPAR_PARAMETERS", "1/1").partition("/")
    counts = Counter(map(_function, items))
    seen: Counter[tuple[Path, str]] = Counter()
    kept: list[pytest.Item] = []
    left: list[pytest.Item] = []
    for item in items:
        function = _function(item)
        is_shared = item.path.parent.name not in _CHEAP or any(map(item.get_closest_marker, _ON_OTHERS))
        is_wanted = is_dealt(seen[function], counts[function], int(version), int(versions))
        (kept if is_wanted or not is_shared else left).append(item)
        seen[function] += 1
    if left:
        items[:] = kept
        config.hook.pytest_deselected(items=left)


def _function(item: pytest.Item) -> tuple[Path, str]:
    return item.path, item.nodeid.partition("[")[0]
