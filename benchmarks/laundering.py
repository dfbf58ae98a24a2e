"""Made suites with ordinary failures of every class: none of them may be blamed on the fork.

    python -m benchmarks.laundering --suites 20 --work FOLDER

A suite is drawn from a seed: some trivial tests, and among them a few of `CLASSES`, each of which fails for a
reason that is not the fork, always or at times. It is run with ``auto``, once, as users do, in one of
`MODES`: some fork a process for each test, or run each test on every worker. What was bad in the run has to
stay bad, and no finding may say "fork-dependent".
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import re
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent

from benchmarks.environments import clean_environ
from benchmarks.measure import ProbeError, measure

CHECKOUT = Path(__file__).resolve().parents[1]
BAD = ("failed", "error", "crashed", "hung")
_TIMEOUT = 1800.0
_FILES = 3
_TRIVIAL = 30

_SHARED = '''\
import fcntl
import os
import random
import resource
import socket
import tempfile
import time
from pathlib import Path

resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
HERE = Path(__file__).parent
OUTSIDE = Path(os.environ["OUTSIDE"])
STATE = set()


def count(path):
    """How often this has been called before, in whatever process."""
    with open(path, "a+b") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        file.write(b".")
        file.flush()
        return file.tell() - 1


def by_turns(path, pattern):
    assert pattern[count(path) % len(pattern)] == "P"


def alone_with(name):
    """Fail if another process holds this meanwhile."""
    with open(HERE / name, "a+b") as file:
        for _ in range(50):
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            time.sleep(0.001)
            fcntl.lockf(file, fcntl.LOCK_UN)
'''

#: How a test fails, by what that is called: its source, with N for what is its own and R for a drawn number.
CLASSES: dict[str, str] = {
    "plain": "def test_N(): assert False",
    "raises": "def test_N(): {}['missing']",
    "wrong output": "def test_N(capsys):\n    print('one')\n    assert capsys.readouterr().out == 'two'",
    "fixture": """
        @pytest.fixture
        def broken_N(): raise ValueError
        def test_N(broken_N): pass
    """,
    "teardown": """
        @pytest.fixture
        def breaks_N():
            yield
            raise ValueError
        def test_N(breaks_N): pass
    """,
    "both": """
        @pytest.fixture
        def worse_N():
            yield
            raise ValueError
        def test_N(worse_N): assert False
    """,
    "strict xfail": "@pytest.mark.xfail(strict=True)\ndef test_N(): pass",
    "class setup": """
        class TestN:
            @classmethod
            def setup_class(cls): raise RuntimeError
            def test_N(self): pass
    """,
    "unittest": "class TestN(unittest.TestCase):\n    def test_N(self): self.assertEqual(1, 2)",
    "victim": """
        def test_N_before(): shared.STATE.add('N')
        def test_N(): assert 'N' not in shared.STATE
    """,
    "victim by environment": """
        def test_N_before(): os.environ['N'] = '1'
        def test_N(): assert 'N' not in os.environ
    """,
    "two polluters": """
        def test_N_one(): shared.STATE.add('N1')
        def test_N_two(): shared.STATE.add('N2')
        def test_N(): assert not {'N1', 'N2'} <= shared.STATE
    """,
    "brittle": """
        def test_N(): assert 'N' in shared.STATE
        def test_N_after(): shared.STATE.add('N')
    """,
    "non-idempotent": """
        def test_N():
            shared.STATE.add('N')
            assert len([s for s in shared.STATE if s == 'N']) == 2
    """,
    "flaky": "def test_N(): assert random.SystemRandom().random() >= R",
    "flaky by an unseeded generator": "DRAW_N = random.Random()\ndef test_N(): assert DRAW_N.random() >= R",
    "flaky by the module's generator": "def test_N(): assert random.random() >= R",
    "flaky by a draw at import": "DRAWN_N = random.random()\ndef test_N(): assert DRAWN_N >= R",
    "flaky by the order of a set": "def test_N(): assert list({'N', 'a', 'b', 'c'}).index('N') >= 4 * R - 1",
    "flaky by an address": "def test_N(): assert id(object()) // 4096 % 10 >= 10 * R",
    "flaky by the clock": "def test_N(): assert time.time() * 1000 % 10 >= 10 * R",
    "by turns": "def test_N(): shared.by_turns(shared.HERE / 'count-N', 'PATTERN')",
    "by turns, outside": "def test_N(): shared.by_turns(shared.OUTSIDE / 'count-N', 'PATTERN')",
    "first time only": "def test_N(): assert shared.count(shared.OUTSIDE / 'first-N')",
    "parallel-only by a file": "def test_N(): shared.alone_with('busy')",
    "parallel-only by a port": """
        def test_N():
            with socket.socket() as own:
                own.bind(('127.0.0.1', PORT))
                time.sleep(0.02)
    """,
    "crash": "def test_N(): os.abort()",
    "segmentation fault": "def test_N(): os.kill(os.getpid(), signal.SIGSEGV)",
    "exit": "def test_N(): os._exit(3)",
    "contaminated crash": """
        def test_N_before(): shared.STATE.add('N')
        def test_N():
            if 'N' in shared.STATE: os.abort()
    """,
    "flaky crash": "def test_N():\n    if random.SystemRandom().random() < R: os.abort()",
    "hang": "@pytest.mark.hang_timeout(1)\ndef test_N(): signal.pause()",
    "if others are collected": "def test_N(): assert not {'test_0', 'test_1'} <= set(sys.modules)",
    "a child process": """
        def test_N():
            subprocess.run([sys.executable, '-c', 'raise SystemExit(1)'], check=True)
    """,
    "temporary folder": "def test_N(tmp_path): assert (tmp_path / 'missing').exists()",
    "no terminal": "def test_N(): assert sys.stdin.isatty()",
    "slow": """
        def test_N():
            began = time.perf_counter()
            sum(range(200_000))
            assert time.perf_counter() - began < 0.001 + R / 100
    """,
}
_HEAD = """\
import os
import random
import signal
import socket
import subprocess
import sys
import time
import unittest

import pytest

import shared


"""
#: What a run may be told that changes which processes are forked, by what that is called.
MODES: dict[str, tuple[str, ...]] = {
    "load": (),
    "isolate": ("--isolate",),
    "max-tests": ("--max-tests-per-worker=3",),
    "marked": (),
    "each": ("--dist=each",),
}
#: The mode in which most tests have the mark ``isolated``.
_MARKED = "marked"
_MARKING = """\
import random

import pytest


def pytest_itemcollected(item):
    if random.Random(item.name).random() < 0.7:
        item.add_marker(pytest.mark.isolated)
"""
_PATTERNS = ("PF", "FP", "PPF", "PFF", "PFPPF", "FPP", "PPFF", "PFFPF")
_RATES = ("0.1", "0.3", "0.5", "0.7", "0.9")


@dataclass
class Washed:
    """What a run of a suite has come to.

    Attributes:
        bad: How many tests were bad in the run.
        laundered: What was blamed on the fork, or has become good.
        kinds: How many findings there are of each kind.
    """

    seed: int
    mode: str = "load"
    bad: int = 0
    laundered: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    wall: float = 0.0
    notes: int = 0


def write(folder: Path, seed: int, classes: int, mode: str = "load") -> list[str]:
    """Write a suite with so many classes of failures, drawn by the seed, for a mode; their names.

    Twenty suites in a row have all classes more than once.
    """
    draw = random.Random(f"laundering-{seed}")
    names = sorted(CLASSES)
    chosen = [names[(seed * classes + at) % len(names)] for at in range(classes)]
    tests = [f"def test_trivial_{at}(): time.sleep(0.002)" for at in range(_TRIVIAL)]
    for at, name in enumerate(chosen):
        source = dedent(CLASSES[name]).strip()
        for word, value in (
            ("PATTERN", draw.choice(_PATTERNS)),
            ("PORT", str(20_000 + draw.randrange(10_000))),
            ("R", draw.choice(_RATES)),
        ):
            source = re.sub(rf"\b{word}\b", value, source)
        tests.append(re.sub(r"(?<![A-Z])N(?![A-Z])", f"n{at}", source))
    draw.shuffle(tests)
    (folder / "shared.py").write_text(_SHARED, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    if mode == _MARKED:
        (folder / "conftest.py").write_text(_MARKING, encoding="utf-8")
    for number in range(_FILES):
        own = tests[number::_FILES]
        (folder / f"test_{number}.py").write_text(_HEAD + "\n\n".join(own) + "\n", encoding="utf-8")
    return chosen


def run_made(seed: int, work: Path, classes: int, options: Iterable[str] = (), mode: str = "load") -> Washed:
    """Make a suite, run it once in a mode, and judge.

    Raises:
        ProbeError: It could not be measured, or wrote no report.
    """
    name = f"{mode}-{seed}"
    folder, outside = work / f"made-{name}", work / f"outside-{name}"
    for place in (folder, outside):
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
    write(folder, seed, classes, mode)
    log, path = work / f"made-{name}.txt", work / f"made-{name}.json"
    path.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-p", "pytest_procpar.plugin", "-n2"]
    own = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(CHECKOUT), "OUTSIDE": str(outside)}
    measured = measure(
        [*command, f"--procpar-report={path}", *MODES[mode], *options],
        cwd=folder,
        env={**clean_environ(os.environ), **own},
        log=log,
        timeout=_TIMEOUT,
    )
    if not path.exists():
        raise ProbeError(f"{name}: no report was written: see {log}")
    if "procpar: start method" in log.read_text(encoding="utf-8", errors="replace"):
        raise ProbeError(f"{name}: the workers were not forked: see {log}")
    return judge(seed, json.loads(path.read_text(encoding="utf-8")), measured.wall, mode)


def judge(seed: int, report: dict[str, object], wall: float = 0.0, mode: str = "load") -> Washed:
    """What the report of a run says."""
    washed = Washed(seed, mode, wall=wall)
    tests, findings = report["tests"], report["findings"]
    assert isinstance(tests, list)
    assert isinstance(findings, list)
    for test in tests:
        was_bad = any(attempt["outcome"] in BAD for attempt in test["attempts"])
        washed.bad += was_bad
        if was_bad and test["outcome"] not in BAD:
            washed.laundered.append(test["nodeid"])
    for finding in findings:
        washed.kinds[finding["kind"]] += 1
        washed.notes += "to see whether the fork is to blame" in finding["note"]
        if finding["kind"] == "fork-dependent" and finding["test"]["nodeid"] not in washed.laundered:
            washed.laundered.append(finding["test"]["nodeid"])
    return washed


def main(words: Sequence[str] | None = None) -> int:
    """Run the suites in each mode; how many tests were laundered is the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--suites", type=int, default=20)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("options", nargs="*")
    args = parser.parse_args(words)
    laundered = 0
    print("| mode | seed | bad | findings | open | laundered | wall |\n|---|--:|--:|---|--:|---|--:|")
    seeds = range(args.first, args.first + args.suites)
    for mode, seed in itertools.product(args.modes, seeds):
        one = run_made(seed, args.work, args.classes, args.options, mode)
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(one.kinds.items()))
        laundered += len(one.laundered)
        names = ", ".join(one.laundered) or "none"
        print(
            f"| {mode} | {seed} | {one.bad} | {kinds} | {one.notes} | {names} | {one.wall:.1f} s |",
            flush=True,
        )
    return min(laundered, 100)


if __name__ == "__main__":
    sys.exit(main())
