"""A project in which every way to run code is used, and runs of it under coverage, plain and with workers.

Each module of `lib` but one is used in one way: by a test, a fixture, a hook, a thread, a forked process, a
process of multiprocessing, a program. Which of them a configuration measures is Coverage's matter: workers
have to give what a plain run gives.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from tests.conftest import TIMEOUT, Suite

__all__ = ["CELLS", "Cell", "Measured", "crossed", "measure", "write_project"]

_WORK = """
def work(number):
    if number == 0:
        return "zero"
    elif number == 1:
        return "one"
    total = 0
    for i in range(number):
        total += i
    return total

def unused():
    return 1
"""

_MODULES = (
    "called", "collected", "configured", "fixtures", "forked", "forked_exit", "hooks", "late", "pooled",
    "program", "terminated", "threads",
)  # fmt: skip

_CONFTEST = """
import lib.configured
import lib.hooks
import pytest

def pytest_configure(config): lib.configured.work(0)
def pytest_sessionfinish(session): lib.hooks.work(2)
def pytest_runtest_logfinish(nodeid): lib.hooks.work(0)
def pytest_unconfigure(config): lib.configured.work(1)
"""

_TESTS = {
    "test_plain": """
        import threading
        import pytest
        import lib.called, lib.collected, lib.fixtures, lib.late, lib.threads

        @pytest.fixture(scope="module")
        def shared():
            lib.fixtures.work(0)
            yield
            lib.fixtures.work(3)

        @pytest.fixture
        def own():
            yield lib.fixtures.work(1)

        @pytest.mark.parametrize("number", [lib.collected.work(0), 3])
        def test_called(number, shared): lib.called.work(0 if number == "zero" else number)
        def test_again(own): assert lib.called.work(1) == "one"
        def test_thread(shared, own):
            thread = threading.Thread(target=lib.threads.work, args=(2,))
            thread.start()
            thread.join()
        class TestCase:
            def setup_method(self): lib.late.work(0)
            def teardown_method(self): lib.late.work(2)
            def test_method(self): lib.called.work(1)
        @pytest.mark.skip(reason="it is")
        def test_skipped(): lib.called.unused()
        @pytest.mark.xfail
        def test_failing(): assert lib.called.work(2) == 7
    """,
    "test_processes": """
        import multiprocessing, os, signal, subprocess, sys
        import lib.forked, lib.forked_exit, lib.pooled, lib.terminated

        CONTEXT = multiprocessing.get_context("fork")

        def wait(pid):
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

        def test_fork():
            pid = os.fork()
            if pid == 0:
                lib.forked_exit.work(2)
                os._exit(0)
            wait(pid)
        def test_multiprocessing():
            process = CONTEXT.Process(target=lib.pooled.work, args=(1,))
            process.start()
            process.join()
            assert process.exitcode == 0
        def wait_for_end(pipe):
            lib.terminated.work(3)
            pipe.send(1), signal.pause()
        def test_terminated():
            ours, theirs = CONTEXT.Pipe()
            process = CONTEXT.Process(target=wait_for_end, args=(theirs,))
            process.start()
            ours.recv()
            process.terminate()
            process.join()
        def test_program():
            subprocess.run([sys.executable, "-c", "import lib.program; lib.program.work(0)"], check=True)
    """,
}


@dataclass(frozen=True)
class Cell:
    """One way to measure."""

    #: "cov": pytest-cov; "run": ``coverage run``.
    by: str = "cov"
    #: Lines of the section ``[run]``.
    settings: tuple[str, ...] = ()
    #: Options for pytest, or in a "run" for ``coverage run``.
    options: tuple[str, ...] = ()
    core: str = "ctrace"
    #: Options for the run with workers.
    workers: tuple[str, ...] = ("-n2", "--dist=loadfile")

    @property
    def parallel(self) -> bool:
        """Whether the user combines files."""
        return self.by == "run" and any("parallel" in s or "subprocess" in s for s in self.settings)

    @property
    def sees_first_context_only(self) -> bool:
        """Whether a line counts for the first context that comes to it, in each process.

        So sys.monitoring has it, which is told to look no more: two workers see two first ones.
        """
        return self.core == "sysmon" and "--cov-context=test" in self.options

    def __str__(self) -> str:
        words = [self.by, self.core, *self.settings, *self.options, *self.workers]
        return ",".join(word.replace(" ", "").replace("=", ":") for word in words)


@dataclass
class Measured:
    """What is in a data file: facts such as ``lib/called.py line 3 test_plain.py::test_again|run``."""

    facts: set[str]
    out: str
    err: str


def write_project(suite: Suite, tests: Mapping[str, str] | None = None) -> None:
    """Write the project."""
    suite.file("lib/__init__.py", "")
    for name in _MODULES:
        suite.file(f"lib/{name}.py", _WORK)
    suite.conftest(_CONFTEST)
    for name, text in (tests or _TESTS).items():
        suite.file(f"{name}.py", text)


def measure(
    suite: Suite, cell: Cell, options: Sequence[str] | None = None, ret: int = 0, plain: bool | None = None
) -> Measured:
    """Run the project; without `options`, or if `plain`, as plain pytest runs it.

    Nothing but the data file may be left.

    :param ret: the exit status that there has to be.
    """
    suite.file(".coveragerc", "\n".join(["[run]", *cell.settings]))
    plain = options is None if plain is None else plain
    given = list(options or ())
    if cell.by == "cov":
        command = ["-m", "pytest", "-ppytest_cov", "--cov=.", "--cov-report=", *cell.options, *given]
    else:
        command = ["-m", "coverage", "run", "--source=.", *cell.options, "-m", "pytest", *given]
    finished = _python(suite, cell, command, plain)
    assert finished.returncode == ret, finished.stdout + finished.stderr
    if cell.parallel:
        import coverage

        combined = coverage.Coverage(data_file=str(suite.path / ".coverage"), config_file=False)
        combined.combine()
        combined.save()
    left = {path.name for path in suite.path.glob(".coverage*")}
    assert left == {".coveragerc", ".coverage"}
    return Measured(set(_facts(suite.path)), finished.stdout, finished.stderr)


def _facts(folder: Path) -> Iterator[str]:
    import coverage

    data = coverage.CoverageData(str(folder / ".coverage"))
    data.read()
    for path in data.measured_files():
        name = os.path.relpath(path, folder)
        yield name
        yield from (f"{name} line {line}" for line in data.lines(path) or [])
        yield from (f"{name} arc {arc}" for arc in data.arcs(path) or [])
        for line, contexts in data.contexts_by_lineno(path).items():
            yield from (f"{name} line {line} in {context}" for context in contexts if context)


def _python(suite: Suite, cell: Cell, command: list[str], plain: bool) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "COVERAGE_CORE": cell.core, "PYTEST_PLUGINS": "", "PYTEST_ADDOPTS": ""}
    if not plain:
        environ.update(PYTEST_PLUGINS="pytest_procpar.plugin", PYTEST_ADDOPTS="-o procpar_recheck=none")
    return subprocess.run(
        [sys.executable, *command],
        cwd=suite.path, env=environ, timeout=TIMEOUT, capture_output=True, text=True,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


_PATCHES = ("", "subprocess", "fork", "_exit", "fork, _exit", "subprocess, _exit", "subprocess, fork, _exit")


def crossed() -> Iterator[Cell]:
    """All that can be combined."""
    cores = ("ctrace", "sysmon") if sys.version_info >= (3, 12) else ("ctrace",)
    switches = [
        (),
        ("branch = true",),
        ("concurrency = multiprocessing", "parallel = true", "sigterm = true"),
        ("branch = true", "concurrency = multiprocessing, thread", "parallel = true"),
        ("parallel = true",),
    ]
    for by, core, patch, more, contexts in product(("cov", "run"), cores, _PATCHES, switches, (0, 1)):
        settings = (*((f"patch = {patch}",) if patch else ()), *more)
        options: tuple[str, ...] = ()
        if contexts and by == "cov":
            options = ("--cov-context=test",)
        elif contexts:
            settings = (*settings, "dynamic_context = test_function")
        branches = "branch = true" in more
        if core == "sysmon" and ((contexts and by == "run") or (branches and sys.version_info < (3, 14))):
            continue  # it cannot
        loses = by == "run" and contexts and "_exit" in patch
        if loses and not Cell(by, settings).parallel:
            continue  # a plain run does not work: what tests fork overwrites the only file
        yield Cell(by, settings, options, core)


#: Those that are always run.
CELLS = [
    Cell(),
    Cell(settings=("branch = true", "patch = subprocess"), options=("--cov-context=test",)),
    Cell(settings=("patch = fork",)),
    Cell(settings=("patch = subprocess, fork, _exit", "concurrency = multiprocessing", "sigterm = true")),
    Cell("run"),
    Cell("run", ("branch = true", "dynamic_context = test_function")),
    Cell("run", ("patch = subprocess, _exit", "concurrency = multiprocessing", "sigterm = true")),
    Cell("run", ("parallel = true", "patch = fork, _exit"), workers=("-n2",)),
]
