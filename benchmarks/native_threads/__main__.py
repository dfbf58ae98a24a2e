"""The command line: which libraries, and what came of them in a table.

    python -m benchmarks.native_threads [--python INTERPRETER] [RECIPE ...]

Exit status 1 if a library did not work in a forked process although nothing is said against its threads.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CHECKOUT = Path(__file__).resolve().parents[2]
RECIPES = Path(__file__).with_name("recipes.toml")

#: Pools are of this size, whatever the machine: one thread is too few to show what is lost.
_THREADS = 4

_SIZES = [
    f"{library}_{word}_THREADS"
    for library, word in [
        ("OMP", "NUM"), ("OPENBLAS", "NUM"), ("MKL", "NUM"), ("RAYON", "NUM"), ("NUMBA", "NUM"),
        ("POLARS", "MAX"), ("NUMEXPR", "MAX"), ("TF_NUM", "INTRAOP"), ("TF_NUM", "INTEROP"),
    ]
]  # fmt: skip


class Row(NamedTuple):
    """What came of one recipe."""

    name: str
    version: str
    is_used: bool
    threads: Counter[str]
    reasons: list[str]
    ended: list[str]

    @property
    def works(self) -> bool:
        """Whether all of the forked processes did what was asked of them."""
        return set(self.ended) == {"works"}

    @property
    def is_missed(self) -> bool:
        """Whether it does not work, and nobody has said so."""
        return not self.works and not self.reasons

    def __str__(self) -> str:
        threads = ", ".join(f"{count} {name}" for name, count in sorted(self.threads.items())) or "none"
        said = "; ".join(self.reasons) or "safe"
        how = "used" if self.is_used else "imported"
        mark = " (MISSED)" if self.is_missed else ""
        return (
            f"| {self.name} | {self.version} | {how} | {threads} | {', '.join(self.ended)}{mark} | {said} |"
        )


def recipes() -> dict[str, dict[str, Any]]:
    """The recipes by name, complete."""
    given: dict[str, dict[str, Any]] = tomllib.loads(RECIPES.read_text(encoding="utf-8"))
    return {name: {**given.get(recipe.get("like", ""), {}), **recipe} for name, recipe in given.items()}


def measure(python: str, name: str, recipe: dict[str, Any], *, is_used: bool) -> Row | None:
    """Try it with an interpreter; None if it lacks the library."""
    env = dict(os.environ, PYTHONPATH=str(CHECKOUT), **dict.fromkeys(_SIZES, str(_THREADS)))
    asked = f"import importlib.metadata as m; print(m.version({recipe['distribution']!r}))"
    version = subprocess.run([python, "-c", asked], capture_output=True, text=True, check=False)
    if version.returncode:
        return None
    said, errors = _try(python, {"recipe": recipe, "is_used": is_used}, {**env, **recipe.get("env", {})})
    if not said:
        raise SystemExit(f"{name} could not be tried:\n{errors}")
    came = json.loads(said.splitlines()[-1])
    row = Row(name, version.stdout.strip(), is_used, Counter(came["threads"]), came["reasons"], came["ended"])
    if row.is_missed:
        print(errors, file=sys.stderr)
    return row


def _try(python: str, given: dict[str, Any], env: dict[str, str]) -> tuple[str, str]:
    """What a trial says, and what it writes to standard error; of its processes none is left."""
    with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryFile("w+") as errors:
        trial = subprocess.Popen(
            [python, "-m", "benchmarks.native_threads.trial"],
            env=env,
            stdin=subprocess.PIPE,
            stdout=said,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
        trial.communicate(json.dumps(given))
        with suppress(ProcessLookupError):
            os.killpg(trial.pid, signal.SIGKILL)
        said.seek(0)
        errors.seek(0)
        return said.read(), errors.read()


def main(arguments: Sequence[str]) -> int:
    """Try what is asked for, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.native_threads", description=__doc__)
    parser.add_argument(
        "--python", default=sys.executable, help="an interpreter with pytest and the libraries"
    )
    known = recipes()
    parser.add_argument("names", nargs="*", metavar="RECIPE", help=f"of {', '.join(known)}; all by default")
    options = parser.parse_args(arguments)
    unknown = set(options.names) - set(known)
    if unknown:
        parser.error(f"no recipe: {', '.join(sorted(unknown))}")
    print("| recipe | version | was | threads | in forked processes | auto says |\n|---|---|---|---|---|---|")
    missed = False
    for name in options.names or known:
        for is_used in (False, True):
            row = measure(options.python, name, known[name], is_used=is_used)
            if row is not None:
                missed |= row.is_missed
                print(row, flush=True)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
