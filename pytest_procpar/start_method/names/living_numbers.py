"""Finds numbers that live on and of which the project's code makes names later, or refuses other processes.

Only the sources tell that. They are read if a variable holds such a number, which few suites do.
"""

from __future__ import annotations

import linecache
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from pytest_procpar.core.evidence import free_numbers
from pytest_procpar.core.evidence.derived_names import assigned_names
from pytest_procpar.core.evidence.number_uses import (
    line_of_name,
    line_of_refusal,
    may_name,
    may_return,
    returning,
)
from pytest_procpar.start_method.names.held_values import attributes
from pytest_procpar.start_method.names.telling_variables import is_credential, is_data
from pytest_procpar.start_method.project.files import ProjectFiles

if TYPE_CHECKING:
    from pytest_procpar.start_method.names.unique_names import Site

__all__ = ["LEAST", "IdleNumbers", "LivingNumbers", "takes_free_number", "without_literals"]

#: Smaller numbers may be held by chance, or are drawn from so few that they cannot be meant to be unique.
LEAST = 1001
#: The most files of the project that are searched, those of the modules that hold the number first.
_MOST_FILES = 300
#: The kinds of values that numbers are made of.
_KINDS = frozenset({"pid", "uuid", "bytes", "random"})


def takes_free_number(file: str, line: int) -> bool:
    """Whether a folder that is made there gets a number that is free."""
    return free_numbers.takes_free_number(_text(file), line)


class IdleNumbers(NamedTuple):
    """Numbers that a call has made, by the names that hold them, and the files of their modules."""

    site: Site
    names: Mapping[str, int]
    files: list[str]


class LivingNumbers:
    """Finds out what becomes of numbers.

    :param project: tells whose modules are searched.
    """

    def __init__(self, project: ProjectFiles) -> None:
        self._project = project
        #: The numbers of which nothing has become yet.
        self.idle: list[IdleNumbers] = []
        self._seen = 0
        self._spaces: dict[str, Mapping[str, object]] = {}

    def use(self, site: Site, holders: Iterable[tuple[str, str | int]]) -> str:
        """Where a number that was made at a call becomes part of a name, in words; "" if nowhere."""
        if site.kind not in _KINDS or site.is_by_library:
            return ""
        least = 0 if site.kind == "pid" else LEAST
        held = {
            (name, value) for name, value in holders if isinstance(value, int) and value >= least and name
        }
        if not held:
            return ""
        made = {one.value for one in site.made}
        names: dict[str, int] = {name: value for name, value in held if value in made and value >= LEAST}
        files = [file for file in (site.file, *site.lines) if self._project.has(file)]
        texts = {file: _text(file) for file in dict.fromkeys(files)}
        if unknown := without_literals(held, texts.values()):
            for file, text in texts.items():
                told = assigned_names(text, site.lines.get(file, ()))
                names |= {name: value for name, value in unknown if name in told}
        use = self.place(names, texts, refuses=site.kind == "pid")
        if names and not use:
            self.idle.append(IdleNumbers(site, names, list(texts)))
        return use

    def late_uses(self, idle: Iterable[IdleNumbers]) -> Iterator[Site]:
        """Yield the calls of whose numbers names are made by now."""
        for one in idle:
            one.site.use = self.place(one.names, one.files, refuses=one.site.kind == "pid")
            if one.site.use:
                yield one.site

    def place(self, names: Mapping[str, int], files: Iterable[str], *, refuses: bool = False) -> str:
        """Where numbers that are held under these names become part of a name, in words; "" if nowhere.

        :param files: the files of the modules that hold them.
        :param refuses: whether it counts, too, if tests are skipped, or errors raised, in other processes.
        """
        names = {name: value for name, value in names.items() if not (is_credential(name) or is_data(name))}
        if not names:
            return ""
        own = {file: _text(file) for file in files}
        returned = frozenset[str]().union(
            *(returning(text, names) for text in own.values() if may_return(text, names))
        )
        for file, text in (*own.items(), *self._others(own)):
            every = returned.union(names)
            may_refuse = (
                refuses and ("skip" in text or "raise" in text) and any(name in text for name in every)
            )
            if not (may_refuse or may_name(text, every)):
                continue
            known = returned.union(names if file in own else self._reached(file, names))
            line = line_of_name(text, known) if known else None
            if line is not None:
                return f", which becomes part of a name in {self._project.place(file)}:{line}"
            line = line_of_refusal(text, known) if may_refuse and known else None
            if line is not None:
                return f", by which other processes are refused in {self._project.place(file)}:{line}"
        return ""

    def _others(self, known: Collection[str]) -> Iterator[tuple[str, str]]:
        """The other files of the project, with their sources."""
        files = [file for file in self._files() if file not in known]
        yield from ((file, _text(file)) for file in files[:_MOST_FILES])

    def _files(self) -> list[str]:
        """The project's files among those of the modules; looked for again if modules were imported."""
        if self._seen != len(sys.modules):
            self._seen = len(sys.modules)
            self._spaces = {file: space for file, space in _modules().items() if self._project.has(file)}
        return list(self._spaces)

    def _reached(self, file: str, names: Mapping[str, int]) -> set[str]:
        """Which of the names lead to the same number in another module, or in something that it holds."""
        found = set()
        for key, thing in list(self._spaces.get(file, {}).items()):
            if names.get(key) == thing:
                found.add(key)
            elif not key.startswith("__"):
                found |= {name for name, value in attributes(thing) if name in names and names[name] == value}
        return found


def without_literals(held: Iterable[tuple[str, int]], sources: Iterable[str]) -> list[tuple[str, int]]:
    """The numbers that no source writes down: those may have been worked out."""
    given = " ".join(sources).replace("_", "")
    return [(name, value) for name, value in held if str(value) not in given]


def _modules() -> dict[str, Mapping[str, object]]:
    """The namespaces of the modules that have a file, by file."""
    spaces = (getattr(module, "__dict__", {}) for module in list(sys.modules.values()))
    return {file: space for space in spaces if isinstance(file := space.get("__file__"), str)}


def _text(file: str) -> str:
    return "".join(linecache.getlines(file))
