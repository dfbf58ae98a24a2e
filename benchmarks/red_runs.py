"""Red runs that people have every day: what the re-check adds to them, and what it says.

python -m benchmarks.red_runs [NAME...]
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent, indent

from benchmarks.environments import clean_environ
from benchmarks.measure import Measured, ProbeError, measure

CHECKOUT = Path(__file__).resolve().parent.parent
#: What the re-check may add: this part of the run, or so many seconds, whichever is more.
PART, LEAST = 0.2, 2.0

_TIMEOUT = 300.0


@dataclass(frozen=True)
class Suite:
    """A suite of one file.

    Attributes:
        text: The source.
        options: The options it is run with.
        patience: Seconds that are added to what the re-check may add: a test that hangs takes its limit.
    """

    text: str
    options: tuple[str, ...] = ("-n2",)
    patience: float = 0.0


SUITES = {
    "a plain bug after 200 tests of 0.02 s": Suite("""
        import time, pytest
        @pytest.mark.parametrize("i", range(200))
        def test_fine(i): time.sleep(0.02)
        def test_bug(): assert 1 + 1 == 3
    """),
    "a plain bug after 200 tests of 0.3 s": Suite(
        """
        import time, pytest
        @pytest.mark.parametrize("i", range(200))
        def test_fine(i): time.sleep(0.3)
        def test_bug(): assert 1 + 1 == 3
        """,
        ("-n4",),
    ),
    "60 genuine failures": Suite("""
        import pytest
        def double(i): return {"a": 1}[f"key {i}"]
        @pytest.mark.parametrize("i", range(20))
        def test_double(i): assert double(i) == 2 * i
        @pytest.mark.parametrize("i", range(20))
        def test_sum(i): assert i + 1 == i
        @pytest.mark.parametrize("i", range(20))
        def test_name(i): assert undefined(i)
        @pytest.mark.parametrize("i", range(100))
        def test_fine(i): pass
    """),
    "30 errors of one fixture": Suite("""
        import pytest
        @pytest.fixture(scope="module")
        def db(): raise ConnectionError("cannot connect")
        @pytest.mark.parametrize("i", range(30))
        def test_query(db, i): pass
    """),
    "a hang beside a victim": Suite(
        """
        import threading, time, pytest
        STATE = []
        def test_hangs(): threading.Event().wait()
        @pytest.mark.parametrize("i", range(40))
        def test_fine(i): STATE.append(i); time.sleep(0.02)
        def test_victim(): assert not STATE
        def test_bug(): assert 1 + 1 == 3
        """,
        ("-n2", "--hang-timeout=3"),
        2 * 4.0,
    ),
    "more hangs than workers": Suite(
        """
        import threading, time, pytest
        @pytest.mark.parametrize("i", range(5))
        def test_hangs(i): threading.Event().wait()
        @pytest.mark.parametrize("i", range(30))
        def test_fine(i): time.sleep(0.01)
        def test_bug(): assert 1 + 1 == 3
        """,
        ("-n2", "--hang-timeout=3"),
        2 * 4.0,
    ),
    "five on one port": Suite("""
        import socket, time, pytest
        @pytest.mark.parametrize("i", range(5))
        def test_serves(i):
            with socket.socket() as server:
                server.bind(("127.0.0.1", 18437))
                time.sleep(0.2)
        @pytest.mark.parametrize("i", range(5))
        def test_serves_too(i):
            with socket.socket() as server:
                server.bind(("127.0.0.1", 18437))
                time.sleep(0.2)
    """),
    "a failing test of 20 s": Suite("""
        import time
        def test_slow():
            time.sleep(20)
            assert False
        def test_fine(): pass
    """),
    "a failure with a session fixture of 5 s": Suite("""
        import time, pytest
        @pytest.fixture(scope="session")
        def server(): time.sleep(5)
        def test_fine(server): pass
        def test_bug(server): assert 1 + 1 == 3
    """),
}


@dataclass(frozen=True)
class Result:
    """What came of a suite: seconds without the re-check and with it, CPU that it added, and the section."""

    without: float
    wall: float
    cpu: float
    words: str

    @property
    def added(self) -> float:
        """Seconds that the re-check has added."""
        return self.wall - self.without


def may_add(without: float, patience: float = 0.0) -> float:
    """How many seconds the re-check may add to a run of so many."""
    return max(LEAST, PART * without) + patience


def source(suite: Suite) -> str:
    """The file of a suite."""
    return dedent(suite.text)


def section_of(output: str) -> str:
    """The lines of the re-check's section; empty if there is none."""
    found = re.search(r"^=+ procpar: re-check =+\n(.*?)(?=^=)", output, re.DOTALL | re.MULTILINE)
    return found[1] if found else ""


def _run(folder: Path, options: tuple[str, ...]) -> tuple[Measured, str]:
    """One run.

    Raises:
        ProbeError: It could not be measured, or did not end as a red run does.
    """
    log = folder / "log.txt"
    own = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(CHECKOUT)}
    command = [sys.executable, "-m", "pytest", "-p", "pytest_procpar.plugin", "-q", *options]
    environ = {**clean_environ(os.environ), **own}
    measured = measure(command, cwd=folder, env=environ, log=log, timeout=_TIMEOUT)
    output = log.read_text(encoding="utf-8", errors="replace")
    if measured.status != 1:
        raise ProbeError(f"exit status {measured.status}, not 1\n{output}")
    return measured, output


def try_suite(suite: Suite) -> Result:
    """Run a suite with the re-check, and without.

    Raises:
        ProbeError: A run could not be measured, or did not end as a red run does.
    """
    with tempfile.TemporaryDirectory(prefix="procpar-red-") as name:
        folder = Path(name)
        (folder / "test_red.py").write_text(source(suite), encoding="utf-8")
        (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        without, _ = _run(folder, (*suite.options, "--recheck=none"))
        measured, output = _run(folder, suite.options)
    cpu = measured.cpu - without.cpu
    return Result(without.wall, measured.wall, cpu, section_of(output))


def parsed(arguments: list[str]) -> argparse.Namespace:
    """The options, or SystemExit with status 2 and a message that says what would be right."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.red_runs", description="Measure what the re-check adds to red runs."
    )
    names = ", ".join(SUITES)
    parser.add_argument("part", nargs="*", help=f"only the suites with this in their names ({names})")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Measure. 0: the re-check adds no more than it may; 1: it does, or a run failed; 2: wrong usage."""
    parts = parsed(arguments).part
    status = 0
    for name, suite in SUITES.items():
        if parts and not any(part in name for part in parts):
            continue
        try:
            result = try_suite(suite)
        except ProbeError as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 1
        may = may_add(result.without, suite.patience)
        added = f"{result.added:.1f} s (it may be {may:.1f} s), {result.cpu:.1f} s of CPU"
        print(f"{name}: {result.without:.1f} s, and {added}")
        print(indent(result.words, "    "), flush=True)
        status |= result.added > may
    return status


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit("interrupted")
