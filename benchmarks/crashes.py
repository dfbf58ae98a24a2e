"""What a crash costs: a suite of which tests die, against the same suite in which none does.

    python -m benchmarks.crashes

Once with a module that takes two seconds to import, once without: a worker that takes a dead one's place
imports nothing, so a crash has to cost the same.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.environments import clean_environ
from benchmarks.measure import Measured, ProbeError, counts_in, measure
from benchmarks.stats import rotated
from benchmarks.suites import Files, imports

CHECKOUT = Path(__file__).resolve().parent.parent
TESTS = 400
#: One test of so many dies.
EVERY = 20
CRASHES = TESTS // EVERY
WORKERS = 2
#: What tests may die of: of the second faulthandler writes down stacks.
SIGNALS = {"SIGKILL": int(signal.SIGKILL), "SIGSEGV": int(signal.SIGSEGV)}
#: What a crash may cost, in seconds of wall time.
LIMIT = 0.02

_FILES = 8
_SWITCH = "CRASH_SUITE_DIES"
_TIMEOUT = 120.0

_MODULE = """\
import os
import resource
import signal

import pytest
{imports}
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
SIGNAL = int(os.environ.get("{switch}", "0"))
TESTS = [pytest.param(i, marks=pytest.mark.xdist_group(f"group-{{i % 7}}")) for i in range({first}, {end})]


@pytest.mark.parametrize("i", TESTS)
def test(i):
    if SIGNAL and i % {every} == 7:
        os.kill(os.getpid(), SIGNAL)
"""


def suite_files(tests: int = TESTS, *, heavy: bool = False) -> Files:
    """The suite; every twentieth test of it dies if `dying` is in the environment.

    Args:
        tests: How many tests it has: a multiple of 8, the number of its files.
        heavy: Whether all files import a module that takes two seconds of CPU.
    """
    share = tests // _FILES
    files = {
        f"test_crashes_{number}.py": _MODULE.format(
            imports="import heavy  # noqa: F401" if heavy else "",
            switch=_SWITCH,
            first=number * share,
            end=(number + 1) * share,
            every=EVERY,
        )
        for number in range(_FILES)
    }
    return {**files, "pytest.ini": "[pytest]\n", **({"heavy.py": imports()["heavy.py"]} if heavy else {})}


def dying(signum: int) -> dict[str, str]:
    """What makes tests of the suite die, by that signal, as environment."""
    return {_SWITCH: str(int(signum))}


# --- figures --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Variant:
    """A way to run the suite."""

    heavy: bool
    crashes: bool

    def __str__(self) -> str:
        imports = "imports of two seconds" if self.heavy else "no imports"
        return f"{imports}, {CRASHES if self.crashes else 'no'} crashes"


VARIANTS = [Variant(heavy, crashes) for heavy in (False, True) for crashes in (False, True)]

#: The runs of each variant, one a round.
Rounds = Mapping[Variant, Sequence[Measured]]


@dataclass(frozen=True)
class Cost:
    """Seconds that one crash costs: the median over the rounds, the least and the greatest."""

    median: float
    low: float
    high: float


def cost(plain: Sequence[float], crashing: Sequence[float]) -> Cost:
    """What one crash costs, by the differences within each round."""
    each = [(more - less) / CRASHES for less, more in zip(plain, crashing, strict=True)]
    return Cost(median(each), min(each), max(each))


def costs(rounds: Rounds, *, heavy: bool) -> tuple[Cost, Cost]:
    """What one crash costs in wall time and in CPU."""
    plain, crashing = rounds[Variant(heavy, False)], rounds[Variant(heavy, True)]
    wall = cost([run.wall for run in plain], [run.wall for run in crashing])
    return wall, cost([run.cpu for run in plain], [run.cpu for run in crashing])


def table(rounds: Rounds) -> str:
    """The figures, in markdown."""
    lines = [
        f"| {TESTS} tests, `-n {WORKERS}` | wall without crashes | wall with {CRASHES} | wall of a crash "
        "| CPU of a crash |",
        "|---|--:|--:|--:|--:|",
    ]
    for heavy in (False, True):
        plain, crashing = (
            median(run.wall for run in rounds[Variant(heavy, crashes)]) for crashes in (False, True)
        )
        wall, cpu = (_cell(one) for one in costs(rounds, heavy=heavy))
        name = "imports of two seconds" if heavy else "no imports"
        lines.append(f"| {name} | {plain:.2f} s | {crashing:.2f} s | {wall} | {cpu} |")
    return "\n".join(lines)


def _cell(one: Cost) -> str:
    return f"{one.median * 1000:.1f} ms ({one.low * 1000:.1f} to {one.high * 1000:.1f})"


def problem_with(run: Measured, output: str, *, crashes: bool) -> str:
    """Why a run does not count, or an empty string: all tests were accounted for."""
    expected = {"failed": CRASHES, "passed": TESTS - CRASHES} if crashes else {"passed": TESTS}
    if run.timed_out:
        return f"not done after {_TIMEOUT:g} s"
    if run.status != int(crashes):
        return f"exit status {run.status}, not {int(crashes)}"
    if (counts := counts_in(output)) != expected:
        return f"reported {counts}, not {expected}"
    if run.left_behind:
        return f"left {run.left_behind} processes behind"
    return ""


# --- the command ----------------------------------------------------------------------------------


def _run(variant: Variant, folder: Path, signum: int) -> Measured:
    """One run.

    Raises:
        ProbeError: It could not be measured, or it did not do its work.
    """
    log = folder.with_suffix(".txt")
    own = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(CHECKOUT)}
    measured = measure(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "pytest_procpar.plugin",
            f"-n{WORKERS}",
            "-o",
            "procpar_recheck=none",
        ],
        cwd=folder,
        env={**clean_environ(os.environ), **own, **(dying(signum) if variant.crashes else {})},
        log=log,
        timeout=_TIMEOUT,
    )
    output = log.read_text(encoding="utf-8", errors="replace")
    if problem := problem_with(measured, output, crashes=variant.crashes):
        raise ProbeError(f"{variant}: {problem}\n{output}")
    return measured


def measured_rounds(count: int, work: Path, signum: int) -> Rounds:
    """All variants by turns, so many times after one time that is not counted.

    Raises:
        ProbeError: A run could not be measured, or did not do its work.
    """
    folders = {heavy: work / ("heavy" if heavy else "light") for heavy in (False, True)}
    for heavy, folder in folders.items():
        folder.mkdir()
        for name, text in suite_files(heavy=heavy).items():
            (folder / name).write_text(text, encoding="utf-8")
    rounds: dict[Variant, list[Measured]] = {variant: [] for variant in VARIANTS}
    names = {str(variant): variant for variant in VARIANTS}
    for number in range(count + 1):
        for name in rotated(list(names), number):
            variant = names[name]
            run = _run(variant, folders[variant.heavy], signum)
            _say(f"round {number or 'of warming up'}: {name}: wall {run.wall:.2f} s, cpu {run.cpu:.2f} s")
            if number:
                rounds[variant].append(run)
    return rounds


def _rounds(value: str) -> int:
    if not value.isdecimal() or int(value) < 1:
        raise argparse.ArgumentTypeError(f"{value!r} is not a number of rounds: 1 or more")
    return int(value)


def parsed(arguments: list[str]) -> argparse.Namespace:
    """The options, or SystemExit with status 2 and a message that says what would be right."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.crashes", description="Measure what a crash costs."
    )
    parser.add_argument("--rounds", type=_rounds, default=9, help="of all four runs (default: 9)")
    parser.add_argument(
        "--signal", choices=sorted(SIGNALS), default="SIGSEGV", help="what tests die of (default: SIGSEGV)"
    )
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Measure. 0: a crash costs no more than it may; 1: it does, or a run failed; 2: wrong usage."""
    options = parsed(arguments)
    work = Path(tempfile.mkdtemp(prefix="procpar-crashes-"))
    try:
        rounds = measured_rounds(options.rounds, work, SIGNALS[options.signal])
    except ProbeError as error:
        _say(str(error))
        return 1
    finally:
        shutil.rmtree(work)
    print(table(rounds))
    return int(any(costs(rounds, heavy=heavy)[0].median > LIMIT for heavy in (False, True)))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit("interrupted: no table written")
