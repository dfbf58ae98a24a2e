"""What a case is, and how its ``case.toml`` is read.

    distributions = ["pytest-html==4.2.0"]      # the first one is what the table names
    group = "reports"                           # cases of one group share an environment
    suite = "outcomes"                          # optional: a folder of suites/ that several cases share
    pytest = "pytest==8.4.2"                    # optional: of all cases of the group, which know no newer one
    requires_python = ">=3.11"                  # optional; also "<3.13", or both with a comma
    args = ["--html=report.html"]               # optional, as env: {NAME = "value"}
    needs = ["Xvfb"]                            # optional: programs on the path, or patterns of paths
    unprivileged = true                         # optional: not as root, but as nobody
    tty = true                                  # optional: standard streams are a terminal
    start_method = "fork"                       # the one that is expected: fork, fork-early or spawn
    summary = ["3 passed, 1 failed"]            # what plain pytest must count, so that the case is one
    notes = "for the table"                     # optional
    explained = "why outcomes differ"           # optional: a difference in them is known and is not a failure

    [[output]]                                  # what the plugin writes, to be compared; any number
    file = "report-*.html"                      # or: terminal = true, or: script = "view.py"
    keep = "passed|failed"                      # only lines in which this is found
    replace = [["[0-9.]+ s", "TIME"]]           # what may differ, in the order given
    sort = true                                 # the order of lines may differ
    by = "test_\\w+"                             # it may not between lines in which this finds the same
    explained = "why they differ"               # a difference is known and is not a failure

Paths are those in the folder that the suite runs in. A ``script`` is run there by the environment's Python
when pytest has ended, and what it prints is compared. The suite runs once for each entry of ``summary``, in
the same folder; before the second time what is in the case's folder ``round2`` is copied over it, and so on.
A table ``[variants.NAME]`` with any of these keys makes a case of its own, with these values instead.
"""

from __future__ import annotations

import glob
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["FOLDER", "SUITES", "START_METHODS", "Case", "CaseError", "Output", "load", "load_all", "select"]

FOLDER = Path(__file__).with_name("cases")
SUITES = Path(__file__).with_name("suites")
START_METHODS = ("fork", "fork-early", "spawn")


class CaseError(ValueError):
    """A ``case.toml`` says what is not a case; the text names file and entry."""


@dataclass(frozen=True)
class Output:
    """Something that a plugin writes, and what of it counts.

    Attributes:
        file: A pattern of files, with their names; empty if it is something else.
        terminal: Whether it is what pytest prints.
        script: A script that prints it; empty if it is something else.
        keep: A regular expression: only lines in which it is found count.
        replace: (regular expression, replacement), applied in this order.
        sort: Whether the order of lines does not count.
        by: A regular expression: the order counts only between lines in which it finds the same; empty if it
            counts between all.
        explained: Why a difference is none; empty if it is one.
    """

    file: str = ""
    terminal: bool = False
    script: str = ""
    keep: str = ""
    replace: tuple[tuple[str, str], ...] = ()
    sort: bool = False
    by: str = ""
    explained: str = ""

    @property
    def name(self) -> str:
        """What a message calls it."""
        return self.file or self.script or "terminal"


@dataclass(frozen=True)
class Case:
    """A suite that uses a plugin.

    Attributes:
        name: Its folder's, with the variant's after a colon.
        folder: Where it is.
        distributions: Requirements, without pytest and pytest-procpar.
        group: Name of its environment.
        summary: What plain pytest counts, in each round.
        requires_python: Bounds of the interpreter's version.
        pytest: Requirement of pytest; empty for the one that all are tried with.
        suite: Name of a folder of files that other cases use, too; empty if it has all of its own.
        args: Arguments of pytest.
        env: Variables to set.
        needs: Programs that must be there.
        unprivileged: Whether it does not run as root.
        tty: Whether it runs on a terminal.
        start_method: The one that is expected under ``auto``.
        output: What is compared besides the outcomes.
        notes: For the table.
        explained: Why a difference in outcomes is none; empty if it is one.
    """

    name: str
    folder: Path
    distributions: tuple[str, ...]
    group: str
    summary: tuple[str, ...]
    requires_python: str = ""
    pytest: str = ""
    suite: str = ""
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    unprivileged: bool = False
    tty: bool = False
    start_method: str = "fork"
    output: tuple[Output, ...] = ()
    notes: str = ""
    explained: str = ""

    @property
    def distribution(self) -> str:
        """Name of the distribution that the table tells the version of; pytest if there is none."""
        return re.split(r"[^\w.-]", self.distributions[0])[0] if self.distributions else "pytest"

    @property
    def sources(self) -> list[Path]:
        """The folders that the suite is copied from, one over the other."""
        return [SUITES / self.suite, self.folder] if self.suite else [self.folder]

    @property
    def missing(self) -> list[str]:
        """The programs that it needs and that are not there."""
        return [need for need in self.needs if shutil.which(need) is None and not glob.glob(need)]

    def runs_on(self, version: tuple[int, ...]) -> bool:
        """Whether an interpreter of this version can run it."""
        return all(_allows(bound, version) for bound in _bounds(self.requires_python))


def _bounds(text: str) -> list[str]:
    return [bound.strip() for bound in text.split(",") if bound.strip()]


def _allows(bound: str, version: tuple[int, ...]) -> bool:
    found = re.fullmatch(r"(>=|<)\s*(\d+)\.(\d+)", bound)
    if found is None:
        raise ValueError(f"{bound!r} is not like '>=3.11' or '<3.13'")
    limit = int(found[2]), int(found[3])
    return version[:2] >= limit if found[1] == ">=" else version[:2] < limit


def _make(kind: Any, given: Mapping[str, Any], where: str) -> Any:
    """An instance of a dataclass from a table of TOML, whose keys and types must fit."""
    known = {f.name: f for f in fields(kind)}
    if unknown := sorted(given.keys() - known.keys()):
        raise CaseError(f"{where}: there is no {', '.join(unknown)}; there are {', '.join(known)}")
    missing = [n for n, f in known.items() if f.default is f.default_factory is MISSING and n not in given]
    if missing:
        raise CaseError(f"{where}: {', '.join(missing)} is missing")
    for name, value in given.items():
        wanted = str(known[name].type).split("[")[0]
        kinds = {"str": str, "bool": bool, "tuple": tuple, "Mapping": dict, "Path": Path}
        if not isinstance(value, kinds[wanted]):
            raise CaseError(f"{where}: {name} = {value!r} is no {wanted}")
    return kind(**given)


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _output(given: Mapping[str, Any], folder: Path, where: str) -> Output:
    made: Output = _make(Output, given, where)
    if sum(map(bool, (made.file, made.terminal, made.script))) != 1:
        raise CaseError(f"{where}: it takes one of file, terminal and script")
    if made.script and not (folder / made.script).is_file():
        raise CaseError(f"{where}: {made.script} is not there")
    for pattern in (made.keep, made.by, *(pair[0] for pair in made.replace)):
        if not _compiles(pattern):
            raise CaseError(f"{where}: {pattern!r} is no regular expression")
    if any(len(pair) != 2 for pair in made.replace):
        raise CaseError(f"{where}: replace takes pairs")
    return made


def _compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True


def load(folder: Path) -> list[Case]:
    """The cases in a folder: one, and one for each variant; if all are variants, only these.

    Raises:
        CaseError: It is not what the module's docstring says.
    """
    file = folder / "case.toml"
    where = f"{folder.name}/case.toml"
    try:
        given = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise CaseError(f"{where}: {error}") from None
    variants = given.pop("variants", {})
    made = [_case(folder, folder.name, given, where)] if "summary" in given or not variants else []
    for name, changes in variants.items():
        made.append(_case(folder, f"{folder.name}:{name}", {**given, **changes}, f"{where}, {name}"))
    return made


def _case(folder: Path, name: str, given: Mapping[str, Any], where: str) -> Case:
    values = {key: _frozen(value) for key, value in given.items() if key != "output"}
    outputs = given.get("output", [])
    values["output"] = tuple(_output({k: _frozen(v) for k, v in o.items()}, folder, where) for o in outputs)
    made: Case = _make(Case, {"name": name, "folder": folder, **values}, where)
    if made.start_method not in START_METHODS:
        raise CaseError(f"{where}: start_method is one of {', '.join(START_METHODS)}")
    if not all(source.is_dir() for source in made.sources):
        raise CaseError(f"{where}: there is no suite {made.suite!r}")
    if not made.summary:
        raise CaseError(f"{where}: summary has no entry")
    try:
        made.runs_on(sys.version_info[:2])
    except ValueError as error:
        raise CaseError(f"{where}: requires_python: {error}") from None
    return made


def load_all(folder: Path = FOLDER) -> list[Case]:
    """All cases, in the order of their names. Raises `CaseError`."""
    return [case for each in sorted(folder.iterdir()) if each.is_dir() for case in load(each)]


def select(words: str, cases: Iterable[Case]) -> list[Case]:
    """The cases that ``words`` name: "all", or names with commas; a name stands for its variants, too.

    Raises:
        ValueError: For a name that no case has.
    """
    cases = list(cases)
    if words == "all":
        return cases
    names = [word.strip() for word in words.split(",") if word.strip()]
    known = {name for case in cases for name in _names(case)}
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise ValueError(f"no case {', '.join(unknown) or words!r}; there are {', '.join(sorted(known))}")
    return [case for case in cases if any(name in names for name in _names(case))]


def _names(case: Case) -> Iterator[str]:
    yield case.name
    yield case.folder.name
