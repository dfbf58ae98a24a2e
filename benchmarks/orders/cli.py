"""The command line of `python -m benchmarks.orders`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path
from statistics import median

from benchmarks.measure import ProbeError
from benchmarks.orders import cost, green, made, real

_LEAST_TESTS = 100


def parsed(arguments: list[str]) -> argparse.Namespace:
    """The options, or SystemExit with status 2 and a message that says what would be right."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.orders",
        description="Run suites whose tests depend on each other, and judge what the re-check says of them.",
    )
    parser.add_argument("--tests", type=int, default=500, help="of a made suite (default: 500)")
    parser.add_argument("--seeds", type=int, default=20, help="how many suites are made (default: 20)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default: 0)")
    parser.add_argument(
        "--deep", action="store_true", help="let made suites hide more, and find it by --recheck=deep"
    )
    parser.add_argument("--real", action="store_true", help="run real suites, downloaded once, not made ones")
    names = ",".join(case.suite.name for case in real.CASES)
    parser.add_argument("--suites", default=names, help=f"only these real suites (default: {names})")
    parser.add_argument("--cost", action="store_true", help="measure what it costs to name polluters")
    parser.add_argument("--green", action="store_true", help="measure what it costs a run without failures")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each real suite or case (default: 3)")
    parser.add_argument("--work", type=Path, help="folder to keep suites, logs and reports in")
    parser.add_argument("rest", nargs="*", help="more options for pytest, after --")
    options = parser.parse_args(arguments)
    options.cases = [case for case in real.CASES if case.suite.name in options.suites.split(",")]
    if len(options.cases) < len(options.suites.split(",")):
        parser.error(f"--suites {options.suites}: give some of {names}")
    if options.tests < _LEAST_TESTS:
        parser.error(
            f"--tests {options.tests}: give {_LEAST_TESTS} or more: less has no room for what is planted"
        )
    return options


def main(arguments: list[str]) -> int:
    """Run. 0: everything is as it should be; 1: something is not; 2: wrong usage."""
    options = parsed(arguments)
    with tempfile.TemporaryDirectory(prefix="procpar-orders-") as temporary:
        work = options.work or Path(temporary)
        try:
            if options.cost:
                return _run_cost(options.rounds, work)
            if options.green:
                return _run_green(options.rounds, work)
            return (
                _run_real(options.cases, options.rounds, work) if options.real else _run_made(options, work)
            )
        except (ProbeError, real.PrepareError) as error:
            print(error, file=sys.stderr)
            return 1


def _run_made(options: argparse.Namespace, work: Path) -> int:
    rounds = []
    print(made.head(), flush=True)
    for seed in range(options.first, options.first + options.seeds):
        rounds.append(made.run_made(options.tests, seed, work, options.rest, deep=options.deep))
        print(made.line(rounds[-1]), flush=True)
        for deviation in rounds[-1].verdict.deviations:
            print(f"seed {seed}: {deviation}", file=sys.stderr, flush=True)
    print(made.total(rounds))
    return int(any(one.verdict.deviations for one in rounds))


def _run_real(cases: list[real.Case], rounds: int, work: Path) -> int:
    wrong = 0
    for case, ready in real.prepared(cases, work):
        outcomes = [real.run_real(case, ready, work) for _ in range(rounds)]
        problems = [problem for outcome in outcomes for problem in outcome.problems]
        if len({outcome.flagged for outcome in outcomes}) > 1:
            problems.append("the runs do not agree")
        wall = median(outcome.wall for outcome in outcomes)
        flagged = Counter(line.split()[0] for line in outcomes[0].flagged)
        said = ", ".join(f"{count} {kind}" for kind, count in sorted(flagged.items())) or "nothing"
        print(
            f"| {case.suite.name} {case.suite.version} | {said} | {len(problems)} | {wall:.1f} s |",
            flush=True,
        )
        for problem in problems:
            print(f"{case.suite.name}: {problem}", file=sys.stderr, flush=True)
        wrong += len(problems)
    return int(wrong > 0)


def _run_cost(rounds: int, work: Path) -> int:
    program = cost.rival(work)
    print(cost.head(), flush=True)
    costs: dict[cost.Case, list[cost.Cost]] = {case: [] for case in cost.CASES}
    for number in range(rounds):
        for case in cost.CASES:
            costs[case].append(cost.measured(case, program, work))
            print(f"round {number}: {case.name}: {costs[case][-1]}", file=sys.stderr, flush=True)
    for case in cost.CASES:
        print(cost.line(case, costs[case]))
    return 0


def _run_green(rounds: int, work: Path) -> int:
    print(green.green_table(green.green(rounds, work)), flush=True)
    for budget in ("", "3"):
        without, with_it = green.red(work, budget)
        said = f"`--recheck-budget {budget}`" if budget else "the default budget"
        print(f"a red run of {without:.1f} s takes {with_it:.1f} s with {said}", flush=True)
    return 0
