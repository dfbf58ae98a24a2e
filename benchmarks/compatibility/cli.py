"""The command: options, the loop over the cases, the exit status."""

from __future__ import annotations

import argparse
import importlib.util
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.compatibility.cases import Case, CaseError, load_all, select
from benchmarks.compatibility.judge import Verdict, judge
from benchmarks.compatibility.run import Environment, run_case
from benchmarks.compatibility.table import update
from benchmarks.downstream.prepare import PrepareError, call, install, plugin_requirement, recorder_folder

__all__ = ["main"]

RUNS = ("-n 2",)
_CHECKOUT = Path(__file__).resolve().parents[2]
_TABLE = _CHECKOUT / "docs" / "compatibility.md"


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    made = argparse.ArgumentParser(prog="python -m benchmarks.compatibility", description=__doc__)
    made.add_argument("--cases", default="all", help="all, or some, with commas; see the folder of cases")
    made.add_argument(
        "--runs", nargs="*", default=list(RUNS), metavar="OPTIONS", help='"" is plain once more'
    )
    made.add_argument("--work", type=Path, help="cache of environments; what the runs leave is there, too")
    made.add_argument("--plugin", default=str(_CHECKOUT), help="requirement, wheel or checkout")
    made.add_argument("--pytest", default="pytest==9.2.0", help="requirement of pytest")
    made.add_argument("--here", action="store_true", help="in the environment of this interpreter, as it is")
    made.add_argument("--output", type=Path, help="the table; a full run writes docs/compatibility.md")
    made.add_argument("--list", action="store_true", help="list the cases, and run none")
    return made


def _say(text: str) -> None:
    print(text, flush=True)


class _Environments:
    """Makes the environments that are asked for, once each."""

    def __init__(self, cases: Sequence[Case], plugin: str, pytest: str, work: Path) -> None:
        self._cases = cases
        self._plugin = plugin
        self._pytest = pytest
        self._work = work
        self._recorder = recorder_folder(work)

    def of(self, group: str) -> Environment:
        """The environment of a group, with what all of its cases need. Raises `PrepareError`."""
        members = [c for c in self._cases if c.group == group and c.runs_on(sys.version_info[:2])]
        needed = sorted({requirement for case in members for requirement in case.distributions})
        folder = self._work / "venvs" / "{}.{}".format(*sys.version_info) / group
        pytest = next((case.pytest for case in members if case.pytest), self._pytest)
        install([*needed, pytest], self._plugin, folder)
        return Environment(folder / "bin" / "python", "", self._recorder)


class _Here:
    """The running interpreter, and the plugin that it would import."""

    def __init__(self, work: Path) -> None:
        spec = importlib.util.find_spec("pytest_procpar")
        if spec is None or spec.origin is None:
            raise PrepareError("--here: pytest_procpar cannot be imported")
        path = str(Path(spec.origin).parents[1])
        self._environment = Environment(Path(sys.executable), path, recorder_folder(work))

    def of(self, group: str) -> Environment:
        """The same for every group."""
        return self._environment


def _version(distribution: str, environment: Environment) -> str:
    code = "import sys; from importlib.metadata import version; print(version(sys.argv[1]))"
    return call(f"asking for {distribution}", environment.python, "-c", code, distribution).strip()


def examine(case: Case, runs: Sequence[str], environments: _Environments | _Here, work: Path) -> Verdict:
    """Run a case plainly and in each of ``runs``, and say what differs. Never raises for what a case does."""
    verdict = Verdict(case)
    try:
        environment = environments.of(case.group)
        verdict.version = _version(case.distribution, environment)
    except PrepareError as error:
        verdict.error = str(error)
    else:
        folder = work / "runs" / re.sub(r"\W+", "-", case.name)
        plain = run_case(case, "", environment, folder / "plain")
        for options in runs:
            name = re.sub(r"\W+", "-", options).strip("-") or "again"
            judge(verdict, options, plain, run_case(case, options, environment, folder / name))
    _say(verdict.text())
    return verdict


def main(argv: Sequence[str] | None = None) -> int:
    """0 when every run equalled the plain one, 1 when one did not, 2 when it could not be tried."""
    options = parser()
    args = options.parse_args(argv)
    try:
        everything = load_all()
        cases = select(args.cases, everything)
    except (CaseError, ValueError) as error:
        options.error(str(error))
    if args.list:
        _say("\n".join(case.name for case in cases))
        return 0
    for case in [case for case in cases if not case.runs_on(sys.version_info[:2])]:
        _say(f"{case.name}: left out, needs Python {case.requires_python}")
        cases.remove(case)
    for case in [case for case in cases if case.missing]:
        _say(f"{case.name}: left out, there is no {', '.join(case.missing)}")
        cases.remove(case)
    work = (args.work or Path(tempfile.gettempdir()) / "procpar-compatibility").resolve()
    work.mkdir(parents=True, exist_ok=True)
    environments: _Environments | _Here
    try:
        if args.here:
            environments = _Here(work)
        else:
            plugin = plugin_requirement(args.plugin, work)
            environments = _Environments(everything, plugin, args.pytest, work)
    except PrepareError as error:
        _say(str(error))
        return 2
    verdicts = [examine(case, args.runs, environments, work) for case in cases]
    output = args.output or (_TABLE if args.cases == "all" and not args.here else None)
    if output is not None:
        update(output, verdicts, everything, args.pytest)
    bad = [verdict.case.name for verdict in verdicts if not verdict.good]
    _say(
        f"\n{len(verdicts) - len(bad)} of {len(verdicts)} equal" + (f"; not: {', '.join(bad)}" if bad else "")
    )
    return 2 if any(verdict.error for verdict in verdicts) else int(bool(bad))
