"""The command: options, the loop over the suites, the exit status."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.downstream import report
from benchmarks.downstream.compare import compare
from benchmarks.downstream.prepare import (
    Prepared,
    PrepareError,
    plugin_requirement,
    prepare,
    recorder_folder,
)
from benchmarks.downstream.report import Result, Times
from benchmarks.downstream.run import PLAIN, measure, record
from benchmarks.downstream.suites import SUITES, Suite, select

RUNS = ("-n 2", "-n 4", "-n 2 --dist loadfile", "-n 4 --dist loadfile")
TIMED = "-n 2"
_CHECKOUT = Path(__file__).resolve().parents[2]


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    names = ", ".join(suite.name for suite in SUITES)
    made = argparse.ArgumentParser(prog="python -m benchmarks.downstream", description=__doc__)
    made.add_argument("--suites", default="quick", help=f"all, quick, or some of {names}")
    made.add_argument(
        "--runs", nargs="*", default=list(RUNS), metavar="OPTIONS", help='"" is plain once more'
    )
    made.add_argument("--work", type=Path, help="cache of downloads and environments")
    made.add_argument("--time", type=int, default=0, metavar="ROUNDS", help="time plain and -n 2")
    made.add_argument("--plugin", default=str(_CHECKOUT), help="requirement, wheel or checkout")
    made.add_argument("--pytest", default="pytest==9.2.0", help="requirement of pytest")
    made.add_argument("--output", type=Path, help="write the tables to this file, too")
    made.add_argument("--json", type=Path, help="write everything found to this file")
    return made


def _say(text: str) -> None:
    print(text, flush=True)


def check(prepared: Prepared, runs: Sequence[str], work: Path, result: Result) -> None:
    """Run the suite plainly and in each of ``runs``, say and store what differs."""
    recorder = recorder_folder(work)
    plain, cost = record(prepared, PLAIN, work, recorder)
    result.plain = plain
    counts = report.counts_text(plain.summary)
    _say(f"{result.suite}: plain exits {plain.status} after {cost.wall:.1f} s: {counts}")
    if plain.status not in (0, 1) or not plain.outcomes:
        result.error = f"plain pytest exits {plain.status}, which is no base to compare with"
        return
    for options in runs:
        found = compare(plain, record(prepared, options, work, recorder)[0])
        result.comparisons[options] = found
        _say(report.comparison_text(options, found, result.waived))


def timed(prepared: Prepared, rounds: int, work: Path) -> Times:
    """``rounds`` plain and parallel runs in turns, after one of each that is not counted."""
    pairs = [(measure(prepared, PLAIN, work), measure(prepared, TIMED, work)) for _ in range(rounds + 1)][1:]
    return Times(tuple(plain for plain, _ in pairs), tuple(parallel for _, parallel in pairs))


def examine(suite: Suite, args: argparse.Namespace, plugin: str, work: Path) -> Result:
    """All that was asked for of one suite; never raises for what a suite does."""
    result = Result(f"{suite.name} {suite.version}", waived=suite.varying_warnings)
    try:
        prepared = prepare(suite, args.pytest, plugin, work)
        if args.runs or not args.time:
            check(prepared, args.runs, work, result)
        if args.time and not result.error:
            result.times = timed(prepared, args.time, work)
    except PrepareError as error:
        result.error = str(error)
    if result.error:
        _say(f"{result.suite}: {result.error}")
    return result


def _tables(results: Sequence[Result], runs: Sequence[str]) -> str:
    tables = [report.outcome_table(results, runs) if runs else ""]
    tables.append(report.times_table(results, TIMED))
    return "\n\n".join(table for table in tables if table)


def main(argv: Sequence[str] | None = None) -> int:
    """0 when every run equalled plain pytest, 1 when one did not, 2 when it could not be tried."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))  # an exception kills the running suite
    options = parser()
    args = options.parse_args(argv)
    try:
        suites = select(args.suites)
    except ValueError as error:
        options.error(str(error))
    old = [suite for suite in suites if suite.python > sys.version_info[:2]]
    for suite in old:
        _say(f"{suite.name}: left out, needs Python {'.'.join(map(str, suite.python))}")
    work = (args.work or Path(tempfile.gettempdir()) / "procpar-downstream").resolve()
    work.mkdir(parents=True, exist_ok=True)
    try:
        plugin = plugin_requirement(args.plugin, work)
    except PrepareError as error:
        _say(str(error))
        return 2
    results = [examine(suite, args, plugin, work) for suite in suites if suite not in old]
    text = _tables(results, args.runs)
    _say(f"\n{text}")
    if args.output:
        args.output.write_text(text + "\n", encoding="utf-8")
    if args.json:
        args.json.write_text(json.dumps(report.as_json(results), indent=1) + "\n", encoding="utf-8")
    return 2 if any(r.error for r in results) else int(not all(r.good for r in results))
