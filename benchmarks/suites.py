"""The cases and their generated suites: the same bytes on every machine.

Knows nothing of who runs them.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

IMPORT_SECONDS = 2.0
IMPORT_OBJECTS = 300_000
# 64 tests, 8.56 s of sleep, the longest 1 s: 1.07 s on eight workers at best.
SLEEPS_MS = (1000,) * 4 + (500,) * 4 + (200,) * 8 + (20,) * 48
# Each module takes 1.8 s: on four workers six of them have to be divided to fit into 3.2 to 3.6 s.
FIXTURE_MODULES, FIXTURE_TESTS, FIXTURE_SECONDS, SHORT_SECONDS = 6, 40, 1.0, 0.02
LATE_TESTS, LATE_SECONDS = 300, 3.0

Files = dict[str, str]


@dataclass(frozen=True)
class Case:
    """One suite and how it is run.

    Attributes:
        name: What the command line calls it.
        title: The table's heading.
        tests: How many tests must pass.
        workers: Number of workers in the timed runs.
        memory_workers: Number of workers in the memory runs.
        files: Makes the suite: file name to content.
        note: What a reader should know, or empty.
    """

    name: str
    title: str
    tests: int
    workers: int
    memory_workers: int
    files: Callable[[], Files]
    note: str = ""


def trivial() -> Files:
    """100 files of 100 tests that do nothing."""
    tests = "\n\n".join(f"def test_{number}():\n    pass\n" for number in range(100))
    return {f"test_trivial_{number:02}.py": tests for number in range(100)}


def one() -> Files:
    """A single test: what is left is the start and the end."""
    return {"test_one.py": "def test_one():\n    pass\n"}


def imports() -> Files:
    """40 tests in 4 files, all of which import a module that takes two seconds of CPU.

    The module leaves a heap behind, as real imports do, so that memory shows who shares it.
    """
    heavy = (
        "import time\n\n"
        "_start = time.process_time()\n"
        f"HEAP = [(number, str(number)) for number in range({IMPORT_OBJECTS})]\n"
        f"while time.process_time() - _start < {IMPORT_SECONDS}:\n    pass\n"
    )
    tests = "import heavy\n\n\n" + "\n\n".join(
        f"def test_{number}():\n    assert heavy.HEAP\n" for number in range(10)
    )
    return {"heavy.py": heavy, **{f"test_imports_{number}.py": tests for number in range(4)}}


def shuffled(values: tuple[int, ...]) -> list[int]:
    """A fixed permutation that spreads the long ones over the suite."""
    # 37 is prime to the suite's length, so every place is met once.
    return [values[(place * 37 + 11) % len(values)] for place in range(len(values))]


def sleeps() -> Files:
    """64 sleeping tests in 8 files, most of them short, a few fifty times as long."""
    lengths = shuffled(SLEEPS_MS)
    files: Files = {}
    for start in range(0, len(lengths), 8):
        tests = "\n\n".join(
            f"def test_{number}():\n    time.sleep({length / 1000})\n"
            for number, length in enumerate(lengths[start : start + 8])
        )
        files[f"test_sleeps_{start // 8}.py"] = f"import time\n\n\n{tests}"
    return files


def fixtures() -> Files:
    """Modules whose tests are short, each with a fixture that takes a second to set up."""
    tests = (
        "import time\n\nimport pytest\n\n\n"
        '@pytest.fixture(scope="module")\ndef server():\n'
        f"    time.sleep({FIXTURE_SECONDS})\n\n\n"
    ) + "\n\n".join(
        f"def test_{number}(server):\n    time.sleep({SHORT_SECONDS})\n" for number in range(FIXTURE_TESTS)
    )
    return {f"test_fixtures_{number}.py": tests for number in range(FIXTURE_MODULES)}


def late() -> Files:
    """Short tests in 10 files, and last of all one that takes as long as a worker's whole share."""
    files: Files = {}
    for start in range(0, LATE_TESTS, 30):
        tests = "\n\n".join(
            f"def test_{number}():\n    time.sleep({SHORT_SECONDS})\n" for number in range(start, start + 30)
        )
        files[f"test_late_{start // 30}.py"] = f"import time\n\n\n{tests}"
    last = f"def test_{LATE_TESTS - 1}():\n    time.sleep({SHORT_SECONDS})\n"
    name = f"test_late_{LATE_TESTS // 30 - 1}.py"
    files[name] = files[name].replace(last, last.replace(str(SHORT_SECONDS), str(LATE_SECONDS)))
    return files


CASES = {
    case.name: case
    for case in (
        Case("trivial", "10,000 trivial tests", 10_000, 2, 4, trivial, "100 files of 100 tests each."),
        Case("one", "One test", 1, 2, 2, one),
        Case(
            "imports",
            "A suite whose imports take two seconds",
            40,
            4,
            4,
            imports,
            f"Two seconds of CPU that leave {IMPORT_OBJECTS:,} pairs on the heap; 40 trivial tests.",
        ),
        Case(
            "sleeps",
            "64 sleeping tests of skewed lengths",
            len(SLEEPS_MS),
            8,
            8,
            sleeps,
            f"{sum(SLEEPS_MS) / 1000:.2f} s of sleep in all; the longest test sleeps "
            f"{max(SLEEPS_MS) / 1000:g} s, so {sum(SLEEPS_MS) / 8000:.2f} s is the best possible.",
        ),
        Case(
            "fixtures",
            "Modules with a fixture that takes a second",
            FIXTURE_MODULES * FIXTURE_TESTS,
            4,
            4,
            fixtures,
            f"{FIXTURE_MODULES} modules of {FIXTURE_TESTS} tests of {SHORT_SECONDS * 1000:g} ms; the "
            f"fixture of each module takes {FIXTURE_SECONDS:g} s wherever it is set up.",
        ),
        Case(
            "late",
            "The longest test comes last",
            LATE_TESTS,
            4,
            4,
            late,
            f"{LATE_TESTS} tests of {SHORT_SECONDS * 1000:g} ms; the last takes {LATE_SECONDS:g} s, "
            "which is the best possible.",
        ),
    )
}


def write_suite(case: Case, folder: Path) -> None:
    """Put the case's files into ``folder``, which is made anew."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    folder.joinpath("pytest.ini").write_text("[pytest]\ntestpaths = .\n", encoding="utf-8")
    for name, content in case.files().items():
        folder.joinpath(name).write_text(content, encoding="utf-8")
