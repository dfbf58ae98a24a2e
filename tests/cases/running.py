"""What a case is, and how its suite is run in a place of its own.

A case is a folder with a suite that ends otherwise with workers than under plain pytest if a thing is wrong:
test modules, conftests, configuration, and a ``case.toml``:

    why = "what goes wrong, and where"          # required
    needs = ["polars"]                          # optional: modules without which it is skipped
    method = "spawn"                            # optional: the start method that `auto` takes
    args = ["--strict-config"]                  # optional: of pytest
    worker_args = ["--recheck=all"]             # optional: of pytest, beside -n 2
    says = ["is brittle"]                       # optional: regular expressions for the output with workers
    explained = "why outcomes differ"           # optional: a difference in them is right
    temporary = "x/y"                           # optional: TMPDIR, below the place
    files_of = "queue_at_import"                # optional: another case, whose files are in the suite, too
    env = {NAME = "value"}                      # optional
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import uuid
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["CASES", "Case", "Ended", "load_cases", "missing", "run"]

FOLDER = Path(__file__).parent
#: Seconds after which a run is taken to hang. Far more than any takes, even on a busy machine.
TIMEOUT = 300.0
#: Seconds that processes have for going away after the run.
GONE = 20.0
_MARKER = "PROCPAR_CASE"


@dataclass(frozen=True)
class Case:
    """A suite, and what is said of it in its ``case.toml``."""

    folder: Path
    why: str
    needs: tuple[str, ...] = ()
    method: str | None = None
    args: tuple[str, ...] = ()
    worker_args: tuple[str, ...] = ()
    says: tuple[str, ...] = ()
    explained: str = ""
    temporary: str = "tmp"
    files_of: str = ""
    env: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its folder's."""
        return self.folder.name


@dataclass(frozen=True)
class Ended:
    """A run that has ended, or was ended.

    Attributes:
        status: The exit status; None if it hung.
        outcomes: Of each test, by class and name: those of its entries in junit xml; None without that file.
        out: What it has printed.
        left: The command lines of processes that it has left behind.
        changed: The files of the suite that are not as they were.
    """

    status: int | None
    outcomes: dict[str, list[str]] | None
    out: str
    left: tuple[str, ...]
    changed: tuple[str, ...]

    @property
    def method(self) -> str:
        """The start method that it says it has taken: only one that is not the usual one is said."""
        for line in self.out.splitlines():
            _, said, rest = line.partition("procpar: start method ")
            if said:
                return rest.partition(",")[0]
        return "fork"


def load_cases() -> list[Case]:
    """All cases, by name."""
    return [_load(path) for path in sorted(FOLDER.glob("*/case.toml"))]


def _load(path: Path) -> Case:
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in table.items()
    }
    return Case(path.parent, **values)


CASES = load_cases()


def missing(case: Case) -> list[str]:
    """The modules that a case needs and that are not installed."""
    return [name for name in case.needs if importlib.util.find_spec(name) is None]


def run(case: Case, place: Path, *args: str, strict: bool = False) -> Ended:
    """Run a copy of a case's suite below `place`, an empty folder, to its end.

    :param strict: whether warnings are errors, in Python's development mode.
    """
    suite, junit = place / "suite", place / "junit.xml"
    for folder in (FOLDER / case.files_of, case.folder) if case.files_of else (case.folder,):
        shutil.copytree(
            folder, suite, ignore=shutil.ignore_patterns("__pycache__", "case.toml"), dirs_exist_ok=True
        )
    (place / case.temporary).mkdir(parents=True)
    mark = uuid.uuid4().hex
    env = {name: value for name, value in os.environ.items() if not _is_of_this_run(name)}
    env |= {"TMPDIR": str(place / case.temporary), _MARKER: mark, "COLUMNS": "200", **case.env}
    if strict:
        env["PYTHONDEVMODE"] = "1"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        f"--junitxml={junit}",
        *case.args,
        *args,
    ]
    before = _contents(suite)
    status, out = _finish([*command, *(("-W", "error") if strict else ())], suite, env, mark)
    left = tuple(_left(mark))
    after = _contents(suite)
    changed = tuple(name for name, data in before.items() if after.get(name) != data)
    return Ended(status, _outcomes(junit), out, left, changed)


def _is_of_this_run(name: str) -> bool:
    """Whether a variable tells of the run that this is part of, or would let the suite act otherwise."""
    return name.startswith(("PYTEST_", "COVERAGE_", "COV_CORE_", "PROCPAR_")) or name == "CI"


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _finish(command: Sequence[str], folder: Path, env: dict[str, str], mark: str) -> tuple[int | None, str]:
    with (folder.parent / "out.txt").open("w+b") as out:  # no pipe: whoever is left would hold it open
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
        try:
            status: int | None = process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            status = None
            _kill(mark, signal.SIGABRT)  # faulthandler says where it hangs
            sleep(1.0)
            _kill(mark, signal.SIGKILL)
            process.wait()
        out.seek(0)
        return status, out.read().decode(errors="replace")


def _processes(mark: str) -> Iterator[int]:
    """The processes that have come of a run and are alive."""
    variable = f"{_MARKER}={mark}".encode()
    for folder in Path("/proc").iterdir():
        with suppress(OSError):
            if folder.name.isdigit() and variable in (folder / "environ").read_bytes().split(b"\0"):
                yield int(folder.name)


def _kill(mark: str, signum: int) -> None:
    for pid in _processes(mark):
        with suppress(ProcessLookupError):
            os.kill(pid, signum)


def _left(mark: str) -> Iterator[str]:
    """What a run that has ended has left running, which is ended."""
    deadline = monotonic() + GONE
    while (left := list(_processes(mark))) and monotonic() < deadline:
        sleep(0.02)
    for pid in left:
        with suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
            os.kill(pid, signal.SIGKILL)
            yield f"{pid} {words.decode(errors='replace').strip()}"


def _outcomes(junit: Path) -> dict[str, list[str]] | None:
    found: dict[str, list[str]] = {}
    try:
        cases = list(ElementTree.parse(junit).iter("testcase"))
    except (OSError, ElementTree.ParseError):
        return None
    for case in cases:
        kinds = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
        found.setdefault(f"{case.get('classname')}::{case.get('name')}", []).extend(kinds or ["passed"])
    return {name: sorted(kinds) for name, kinds in found.items()}
