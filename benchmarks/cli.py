"""The command line: options in, documents out. The only module that reads either."""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import machine, tables
from benchmarks.contenders import BASE, CONTENDERS
from benchmarks.environments import Environment, Environments, InstallError
from benchmarks.runner import MEMORY_ROUNDS, CaseRun, Plan
from benchmarks.suites import CASES

CHECKOUT = Path(__file__).resolve().parent.parent
DEFAULT_OUTPUT = CHECKOUT / "docs" / "benchmarks.md"


@dataclass(frozen=True)
class Options:
    """The command line, checked."""

    cases: list[str]
    contenders: list[str]
    plan: Plan
    output: Path | None
    json: Path | None


def _names(value: str, known: Collection[str]) -> list[str]:
    """The comma-separated names in ``value``, in the order of ``known``."""
    wanted = [name.strip() for name in value.split(",") if name.strip()]
    unknown = [name for name in wanted if name not in known]
    if unknown or not wanted:
        said = ", ".join(unknown) or "nothing"
        raise argparse.ArgumentTypeError(f"{said} given; choose from {', '.join(known)}")
    return [name for name in known if name in wanted]


def _cases(value: str) -> list[str]:
    return _names(value, CASES)


def _contenders(value: str) -> list[str]:
    return _names(value, CONTENDERS)


def _rounds(value: str) -> int:
    if not value.isdecimal() or int(value) < 1:
        raise argparse.ArgumentTypeError(f"{value!r} is not a number of rounds: 1 or more")
    return int(value)


def _seconds(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{value!r} is not a number of seconds above 0")
    return seconds


def default_work() -> Path:
    """A folder under the user's cache folder."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "pytest-procpar-benchmarks"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure plain pytest, its parallel runners and this checkout, side by side.",
    )
    add = parser.add_argument
    add("--cases", type=_cases, default=list(CASES), help=f"of {', '.join(CASES)} (default: all)")
    add(
        "--contenders",
        type=_contenders,
        default=list(CONTENDERS),
        help=f"of {', '.join(CONTENDERS)} (default: all; {BASE} always runs)",
    )
    add("--rounds", type=_rounds, default=5, help="timed rounds (default: 5, the least to publish)")
    add("--timeout", type=_seconds, default=300.0, help="seconds a run may take (default: 300)")
    add("--work", type=Path, default=default_work(), help="environments, suites, logs; kept")
    add(
        "--output",
        type=Path,
        help="markdown file with the two markers, or a new one (default: docs/benchmarks.md if "
        "all cases and contenders run for 5 rounds or more, else none)",
    )
    add("--json", type=Path, help="file for every single value")
    return parser


def parsed(arguments: list[str]) -> Options:
    """The options, or SystemExit with status 2 and a message that says what would be right."""
    parser = _parser()
    given = parser.parse_args(arguments)
    contenders = [name for name in CONTENDERS if name in {BASE, *given.contenders}]
    full = given.cases == list(CASES) and contenders == list(CONTENDERS) and given.rounds >= 5
    output = given.output or (DEFAULT_OUTPUT if full else None)
    for path in (output, given.json):
        if path and not path.resolve().parent.is_dir():
            parser.error(f"{path}: its folder does not exist")
    try:
        if output:
            tables.spliced(_document(output), "")
    except (OSError, tables.MarkerError) as error:
        parser.error(f"--output {output}: {error}")
    plan = Plan(given.rounds, given.timeout, given.work.resolve())
    return Options(given.cases, contenders, plan, output, given.json)


def _document(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else tables.fresh_document()


def _progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@contextlib.contextmanager
def _alone_in(work: Path) -> Iterator[None]:
    """Hold the work folder: a second run would replace suites under the first one's feet.

    Raises:
        SystemExit: Another run holds it.
    """
    work.mkdir(parents=True, exist_ok=True)
    with (work / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _progress(f"--work {work}: another run uses this folder; wait for it, or name another")
            raise SystemExit(2) from None
        yield


def _install(options: Options) -> tuple[dict[str, Environment], dict[str, str]]:
    """The environments, and why some are missing."""
    environments: dict[str, Environment] = {}
    failures: dict[str, str] = {}
    maker = Environments(options.plan.work, CHECKOUT)
    for name in options.contenders:
        _progress(f"environment: {name}")
        try:
            environments[name] = maker.prepare(CONTENDERS[name])
        except InstallError as error:
            failures[name] = str(error)
            _progress(f"environment: {name}: FAILED: {error}")
    return environments, failures


def main(arguments: list[str]) -> int:
    """Run the benchmark. 0: all figures are there; 1: a contender failed; 2: wrong usage."""
    options = parsed(arguments)
    with _alone_in(options.plan.work):
        results = _results(options)
    text = tables.report(results)
    print(text)
    _write(options, results, text)
    return int(results.incomplete())


def _results(options: Options) -> tables.Results:
    facts = machine.facts(options.plan.rounds, min(options.plan.rounds, MEMORY_ROUNDS))
    environments, failures = _install(options)
    cases = [CASES[name] for name in options.cases]
    series = {case.name: CaseRun(case, environments, options.plan, _progress).run() for case in cases}
    return tables.Results(cases, options.contenders, environments, failures, series, facts)


def _write(options: Options, results: tables.Results, text: str) -> None:
    if options.output:
        document = tables.spliced(_document(options.output), text)
        options.output.write_text(document, encoding="utf-8")
    if options.json:
        data = json.dumps(tables.as_data(results), indent=1)
        options.json.write_text(data + "\n", encoding="utf-8")
