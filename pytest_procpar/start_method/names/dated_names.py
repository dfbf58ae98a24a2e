"""Finds names that a project made from the time: they are the same in all processes forked since."""

from __future__ import annotations

import datetime
import linecache
import re
import sys
import time as clock
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import PurePath
from time import time
from typing import TYPE_CHECKING

import pytest

from pytest_procpar.start_method.names.held_values import held_values
from pytest_procpar.start_method.names.told_by_source import ToldBySource
from pytest_procpar.start_method.project.files import ProjectFiles

if TYPE_CHECKING:
    from pytest_procpar.start_method.names.unique_names import Before

__all__ = ["DatedNames"]

#: What a name contains at the least if its time is finer than a second.
_DIGITS = re.compile(r"\d{10}|\d\d[-_.]\d\d|\d{6}[-_.]\d{6}|[0-9a-f]{11}", re.IGNORECASE)

#: What a module has among its variables if it tells the time.
_CLOCKS = (
    clock, clock.time, clock.time_ns, clock.strftime, datetime, datetime.datetime
)  # fmt: skip

#: Longer texts are contents, not names.
_LONGEST = 4_096


class DatedNames:
    """Finds what has got such a name since `begin`.

    :param is_vouched: whether a file's names are safe.
    """

    def __init__(
        self, config: pytest.Config, project: ProjectFiles, is_vouched: Callable[[str], bool]
    ) -> None:
        self._config = config
        self._project = project
        self._is_vouched = is_vouched
        self._modules = frozenset(sys.modules)
        self._told = ToldBySource(project)
        #: The numbers that initial conftests hold: whatever is forked later has them.
        self._early: frozenset[tuple[str, str, int]] = frozenset()

    def begin(self, before: Before) -> None:
        """Start from now. Modules that were imported since this object was made may still get names."""
        self._since = time()
        self._before = before
        self._early = frozenset(self._told.seen)

    def findings(self, nodeids: Iterable[str]) -> Iterator[str]:
        """Yield a reason for each; none if ids of tests hold one, which would differ between processes."""
        found = False
        for reason in self._found():
            if any(map(self._is_dated, nodeids)):
                return
            found = True
            yield reason
        if not found:
            yield from self.told_by_source(nodeids, early=False)

    def told_by_source(self, nodeids: Iterable[str], *, early: bool) -> Iterator[str]:
        """Yield a reason for each name that only the source shows to be one; none if an id holds one.

        :param early: whether of numbers that initial conftests hold, or of everything else.
        """
        if early and not self._early:
            return
        changed = {**self._before.environ_since(), **self._before.attributes_since(self._config)}
        settings = {name: value for name, value in changed.items() if isinstance(value, str)}
        for told in self._told.findings(self._spaces(), settings):
            if any(value in nodeid for value in told.values for nodeid in nodeids):
                return
            if (told.number in self._early) == early:
                yield told.reason

    def _found(self) -> Iterator[str]:
        spaces = list(self._spaces())
        for file, space in spaces:
            for name in self._dated(space):
                yield self._reason(file, name)
        telling = [(file, space) for file, space in spaces if _tells_the_time(space)]
        if any(self._dated_inside(space for _, space in telling)):  # all at once, since most have none
            for file, space in telling:
                for name in dict.fromkeys(self._dated_inside([space])).keys() - set(self._dated(space)):
                    yield self._reason(file, name)
        for name in self._dated(self._before.environ_since()):
            yield f"a name was made of the time: the environment variable {name}"
        for name in self._dated(self._before.attributes_since(self._config)):
            yield f"a name was made of the time: pytest's config.{name}"

    def _reason(self, file: str, name: str) -> str:
        return f"{self._place(file, name)} makes a name of its own of the time: {name}"

    def _spaces(self) -> Iterator[tuple[str, Mapping[str, object]]]:
        for name in sys.modules.keys() - self._modules:
            space = getattr(sys.modules.get(name), "__dict__", {})
            file = space.get("__file__")
            if isinstance(file, str) and self._project.has(file) and not self._is_vouched(file):
                yield file, space

    def _dated(self, space: Mapping[str, object]) -> Iterator[str]:
        for name, value in list(space.items()):
            if not issubclass(type(value), (str, PurePath)) or name.startswith("__"):
                continue
            if self._is_dated(self._project.without_root(str(value)[:_LONGEST])):
                yield name

    def _dated_inside(self, spaces: Iterable[Mapping[str, object]]) -> Iterator[str]:
        """What classes, containers and other objects of these modules hold; numbers are no names."""
        for name, value in held_values(spaces, self._project.has_module):
            is_name = isinstance(value, str) and not value.isdecimal()
            if is_name and self._is_dated(self._project.without_root(str(value))):
                yield name

    def _is_dated(self, text: str) -> bool:
        if _DIGITS.search(text) is None:
            return False
        from pytest_procpar.core.evidence.moments import holds_moment

        return holds_moment(text, self._since, time())

    def _place(self, file: str, name: str) -> str:
        word = re.escape(name)
        assigns = re.compile(rf"(?:.*\W)?{word}\s*(?::[^=]*)?=(?!=)|.*[\"']{word}[\"']\s*:")
        for number, line in enumerate(linecache.getlines(file), 1):
            if assigns.match(line):
                return f"{self._project.place(file)}:{number}"
        return self._project.place(file)


def _tells_the_time(space: Mapping[str, object]) -> bool:
    return any(value is known for value in list(space.values()) for known in _CLOCKS)
