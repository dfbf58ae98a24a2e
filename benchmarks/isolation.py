"""What a process of its own costs a test: a suite under ``--isolate``, against the same in shared workers.

    python -m benchmarks.isolation

Tests that do nothing, so that the difference is all there is. Beside it what this machine takes for a fork
alone: most of the figure is that.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter

from benchmarks.environments import clean_environ
from benchmarks.measure import Measured, ProbeError, measure, problem_with
from benchmarks.stats import rotated

CHECKOUT = Path(__file__).resolve().parent.parent
TESTS = 10_000
WORKERS = 2
#: What a process of its own may cost, in seconds of wall time a test.
LIMIT = 0.004

#: The ways to run the suite, as options.
VARIANTS: Mapping[str, Sequence[str]] = {
    "shared": (),
    "--isolate": ("--isolate",),
    "--max-tests-per-worker=10": ("--max-tests-per-worker=10",),
}
_TIMEOUT = 600.0

#: The runs of each variant, one a round.
Rounds = Mapping[str, Sequence[Measured]]


def suite_text(tests: int) -> str:
    """The suite: one module."""
    return f'import pytest\n\n\n@pytest.mark.parametrize("i", range({tests}))\ndef test(i):\n    pass\n'


def cost(shared: Sequence[float], isolated: Sequence[float], tests: int) -> list[float]:
    """Seconds that isolation costs a test: the median over the rounds, the least and the greatest."""
    each = [(more - less) / tests for less, more in zip(shared, isolated, strict=True)]
    return [median(each), min(each), max(each)]


def table(rounds: Rounds, tests: int, fork: float) -> str:
    """The figures, in markdown."""
    lines = [
        f"| {tests} tests, `-n {WORKERS}` | wall | CPU | wall over shared, a test "
        "| CPU over shared, a test |",
        "|---|--:|--:|--:|--:|",
    ]
    shared = rounds["shared"]
    for name, runs in rounds.items():
        wall, cpu = median(run.wall for run in runs), median(run.cpu for run in runs)
        more = ["", ""]
        if name != "shared":
            more = [
                _cell(cost([run.wall for run in shared], [run.wall for run in runs], tests)),
                _cell(cost([run.cpu for run in shared], [run.cpu for run in runs], tests)),
            ]
        lines.append(f"| {name} | {wall:.2f} s | {cpu:.2f} s | {more[0]} | {more[1]} |")
    return "\n".join([*lines, "", f"A fork of a process that has imported pytest: {fork * 1000:.1f} ms."])


def _cell(figures: Sequence[float]) -> str:
    middle, low, high = (f"{figure * 1000:.2f}" for figure in figures)
    return f"{middle} ms ({low} to {high})"


def fork_seconds(times: int = 200) -> float:
    """What forking this process and waiting for the child's end takes, in seconds of wall time."""
    import pytest  # noqa: F401  (its size is what counts)

    began = perf_counter()
    for _ in range(times):
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
    return (perf_counter() - began) / times


def _run(name: str, folder: Path, tests: int) -> Measured:
    """One run.

    Raises:
        ProbeError: It could not be measured, or it did not do its work.
    """
    log = folder.with_suffix(".txt")
    own = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(CHECKOUT)}
    run = measure(
        [sys.executable, "-m", "pytest", "-p", "pytest_procpar.plugin", f"-n{WORKERS}", *VARIANTS[name]],
        cwd=folder,
        env={**clean_environ(os.environ), **own},
        log=log,
        timeout=_TIMEOUT,
    )
    output = log.read_text(encoding="utf-8", errors="replace")
    if problem := problem_with(run, output, tests, _TIMEOUT):
        raise ProbeError(f"{name}: {problem}\n{output}")
    return run


def measured_rounds(count: int, tests: int, folder: Path) -> Rounds:
    """All variants by turns, so many times after one time that is not counted.

    Raises:
        ProbeError: A run could not be measured, or did not do its work.
    """
    folder.mkdir()
    (folder / "test_trivial.py").write_text(suite_text(tests), encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    rounds: dict[str, list[Measured]] = {name: [] for name in VARIANTS}
    for number in range(count + 1):
        for name in rotated([*VARIANTS], number):
            run = _run(name, folder, tests)
            _say(f"round {number or 'of warming up'}: {name}: wall {run.wall:.2f} s, cpu {run.cpu:.2f} s")
            if number:
                rounds[name].append(run)
    return rounds


def _count(value: str) -> int:
    if not value.isdecimal() or int(value) < 1:
        raise argparse.ArgumentTypeError(f"{value!r} is not a whole number from 1 up")
    return int(value)


def parsed(arguments: list[str]) -> argparse.Namespace:
    """The options, or SystemExit with status 2 and a message that says what would be right."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.isolation", description="Measure what a process of its own costs a test."
    )
    parser.add_argument("--rounds", type=_count, default=5, help="of all three runs (default: 5)")
    parser.add_argument("--tests", type=_count, default=TESTS, help=f"in the suite (default: {TESTS})")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Measure. 0: isolation costs no more than it may; 1: it does, or a run failed; 2: wrong usage."""
    options = parsed(arguments)
    work = Path(tempfile.mkdtemp(prefix="procpar-isolation-"))
    try:
        rounds = measured_rounds(options.rounds, options.tests, work / "suite")
    except ProbeError as error:
        _say(str(error))
        return 1
    finally:
        shutil.rmtree(work)
    print(table(rounds, options.tests, fork_seconds()))
    shared, isolated = ([run.wall for run in rounds[name]] for name in ("shared", "--isolate"))
    return int(cost(shared, isolated, options.tests)[0] > LIMIT)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit("interrupted: no table written")
