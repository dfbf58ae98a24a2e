"""The command: options, the loop over the suites, the exit status."""

from __future__ import annotations

import argparse
import datetime
import functools
import json
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.downstream import report
from benchmarks.downstream.compare import Comparison, Run, compare, without_warnings
from benchmarks.downstream.kept import key_of, load, save
from benchmarks.downstream.prepare import (
    Prepared,
    PrepareError,
    plugin_requirement,
    prepare,
    recorder_folder,
)
from benchmarks.downstream.report import Result, Times
from benchmarks.downstream.run import (
    PLAIN,
    Cost,
    is_parallel,
    limit_of,
    logs_of,
    measure,
    read,
    record,
)
from benchmarks.downstream.suites import SUITES, Suite, select
from benchmarks.downstream.table import Head, updated

RUNS = (PLAIN, "-n 2", "-n 4 --dist loadfile", "-n 2 --start-method=spawn")
TIMED = "-n 2"
_CHECKOUT = Path(__file__).resolve().parents[2]
_TABLE = _CHECKOUT / "docs" / "compatibility.md"


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    names = ", ".join(suite.name for suite in SUITES)
    made = argparse.ArgumentParser(prog="python -m benchmarks.downstream", description=__doc__)
    made.add_argument("--suites", default="quick", help=f"all, quick, or some of {names}")
    made.add_argument(
        "--runs", nargs="*", default=list(RUNS), metavar="OPTIONS", help='"" is plain once more'
    )
    made.add_argument("--work", type=Path, help="cache of downloads and environments")
    made.add_argument(
        "--prepare",
        action="store_true",
        help="fill the work folder with what the suites need, and run nothing",
    )
    made.add_argument(
        "--measure", type=int, nargs="?", const=3, default=0, metavar="ROUNDS", help="time plain and -n 2"
    )
    made.add_argument("--fresh", action="store_true", help="run again what the work folder has results of")
    made.add_argument("--plugin", default=str(_CHECKOUT), help="requirement, wheel or checkout")
    made.add_argument("--pytest", default="pytest==9.2.0", help="requirement of pytest")
    made.add_argument(
        "--table", action="store_true", help="write rows in docs/compatibility.md; a run of all does"
    )
    made.add_argument("--output", type=Path, help="write the tables to this file, too")
    made.add_argument("--json", type=Path, help="write everything found to this file")
    return made


def _say(text: str) -> None:
    print(text, flush=True)


@dataclass(frozen=True)
class Recording:
    """Runs suites, unless a run of the same is kept.

    Attributes:
        work: Folder of what is kept.
        pytest: Requirement.
        plugin: Requirement, or a wheel's path.
        fresh: Whether what is kept is not used.
    """

    work: Path
    pytest: str
    plugin: str
    fresh: bool

    def run(self, prepared: Prepared, options: str, before: Cost | None = None) -> tuple[Run, Cost]:
        """The run, and what it cost. ``before``: of the plain run that it is compared with."""
        again = before is not None and not is_parallel(options)
        logs = logs_of(prepared.suite.name, options, self.work, again)
        key = key_of(prepared.suite, options, self.pytest, self.plugin, again)
        cost = None if self.fresh else load(logs, key)
        if cost is None:
            limit = (limit_of(before),) if before else ()
            cost = record(prepared, options, logs, recorder_folder(self.work), *limit)
            save(logs, key, cost)
        return read(logs, cost), cost


def check(prepared: Prepared, runs: Sequence[str], recording: Recording, result: Result) -> None:
    """Run the suite plainly and in each of ``runs``, say and store what differs."""
    plain, cost = recording.run(prepared, PLAIN)
    result.plain = plain
    counts = report.counts_text(plain.summary)
    _say(f"{result.suite}: plain exits {plain.status} after {cost.wall:.1f} s: {counts}")
    if plain.status not in (0, 1) or not plain.outcomes:
        result.error = f"plain pytest exits {plain.status}, which is no base to compare with"
        return
    if PLAIN in runs:
        first, plain = plain, recording.run(prepared, PLAIN, cost)[0]
        result.plain = plain
        _tell_run(result, PLAIN, without_warnings(compare(first, plain)))
    for options in filter(is_parallel, runs):
        if prepared.suite.no_spawn and "spawn" in options:
            continue
        run, spent = recording.run(prepared, options, cost)
        _tell_run(result, options, compare(plain, run))
        if "--start-method" not in options and not result.start_method:
            result.start_method, result.start_reason = run.start_method, run.start_reason
            why = f": {run.start_reason}" if run.start_reason else ""
            _say(f"    {cost.cpu:.1f} s and {spent.cpu:.1f} s of processor time, {run.start_method}{why}")


def _tell_run(result: Result, options: str, found: Comparison) -> None:
    result.comparisons[options] = found
    _say(report.comparison_text(options, found, result.waived))


def timed(prepared: Prepared, rounds: int, work: Path) -> Times:
    """``rounds`` plain and parallel runs in turns, after one of each that is not counted."""
    pairs = [(measure(prepared, PLAIN, work), measure(prepared, TIMED, work)) for _ in range(rounds + 1)][1:]
    return Times(tuple(plain for plain, _ in pairs), tuple(parallel for _, parallel in pairs))


def examine(suite: Suite, args: argparse.Namespace, plugin: str, work: Path) -> Result:
    """All that was asked for of one suite; never raises for what a suite does."""
    result = Result(f"{suite.name} {suite.version}", waived=suite.varying_warnings, explained=suite.differs)
    try:
        prepared = prepare(suite, args.pytest, plugin, work)
        if args.runs or not args.measure:
            recording = Recording(work, args.pytest, plugin, args.fresh)
            check(prepared, args.runs, recording, result)
        if args.measure and not result.error:
            result.times = timed(prepared, args.measure, work)
    except PrepareError as error:
        result.error = str(error)
    if result.error:
        _say(f"{result.suite}: {result.error}")
    return result


def ready(suites: Sequence[Suite], prepared: Callable[[Suite], object]) -> int:
    """Have each of ``suites`` ``prepared``, and say whether that worked: 0 if it did for all, else 2."""
    failed = [suite.name for suite in suites if not _is_ready(suite, prepared)]
    if failed:
        _say(f"not ready: {', '.join(failed)}")
    return 2 if failed else 0


def _is_ready(suite: Suite, prepared: Callable[[Suite], object]) -> bool:
    try:
        prepared(suite)
    except PrepareError as error:
        _say(f"{suite.name} {suite.version}: {error}")
        return False
    _say(f"{suite.name} {suite.version}: ready")
    return True


def _head(args: argparse.Namespace) -> Head:
    python = ".".join(platform.python_version_tuple()[:2])
    run = f"{platform.python_implementation()} {python}, {args.pytest.replace('==', ' ')}"
    today = datetime.date.today().isoformat()
    rounds = f"median of {args.measure} rounds" if args.measure > 1 else "one round"
    return Head(run, f"{rounds} in turns, {today}, {os.cpu_count()} processors")


def _tables(results: Sequence[Result], runs: Sequence[str]) -> str:
    tables = [report.outcome_table(results, runs) if runs else ""]
    tables.append(report.times_table(results, TIMED))
    return "\n\n".join(table for table in tables if table)


def main(argv: Sequence[str] | None = None) -> int:
    """0 when every run equalled plain pytest, 1 when one did not, 2 when it could not be tried."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))  # an exception kills the running suite
    # A shell's background job ignores SIGINT. So would a plain run in it, and not its like with workers.
    signal.signal(signal.SIGINT, signal.default_int_handler)
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
    suites = [suite for suite in suites if suite not in old]
    if args.prepare:
        return ready(suites, functools.partial(prepare, pytest=args.pytest, plugin=plugin, work=work))
    results = [(suite, examine(suite, args, plugin, work)) for suite in suites]
    return _tell(results, args)


def _tell(found: Sequence[tuple[Suite, Result]], args: argparse.Namespace) -> int:
    """Print and write what was found; the exit status."""
    results = [result for _, result in found]
    text = _tables(results, args.runs)
    _say(f"\n{text}")
    if args.output:
        args.output.write_text(text + "\n", encoding="utf-8")
    if args.table or (args.suites == "all" and args.plugin == str(_CHECKOUT) and tuple(args.runs) == RUNS):
        page = _TABLE.read_text(encoding="utf-8")
        _TABLE.write_text(updated(page, found, SUITES, args.runs or RUNS, _head(args)), encoding="utf-8")
    if args.json:
        args.json.write_text(json.dumps(report.as_json(results), indent=1) + "\n", encoding="utf-8")
    return 2 if any(r.error for r in results) else int(not all(r.good for r in results))
