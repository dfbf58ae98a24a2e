"""Finds names that were made in ways that no watch sees: of a clock, by a command, with the kernel's uuids.

The source of a module tells which of its variables get what is made so. Their values, which are not in the
source, show that this has been done.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path, PurePath
from typing import NamedTuple

from pytest_procpar.core.evidence.derived_names import assigned_names, made_words
from pytest_procpar.core.evidence.unwatched_sources import may_have_sources, spans, unwatched_sources
from pytest_procpar.start_method.names.held_values import held_values
from pytest_procpar.start_method.names.living_numbers import LEAST, LivingNumbers, without_literals
from pytest_procpar.start_method.project.files import ProjectFiles

__all__ = ["Told", "ToldBySource"]

#: Shorter texts are no names.
_SHORTEST = 4
#: Types that hold nothing.
_PLAIN = (str, bytes, int, float, type(None))


class Told(NamedTuple):
    """A reason, the values, and the variable, if a number in it has become part of a name."""

    reason: str
    values: tuple[str, ...] = ()
    number: tuple[str, str, int] | None = None


class ToldBySource:
    """Looks into the modules of a project.

    :param project: whose sources are read.
    """

    def __init__(self, project: ProjectFiles) -> None:
        self._project = project
        self._numbers = LivingNumbers(project)
        #: The numbers that were found, by file and name, whether they have become part of a name or not.
        self.seen: set[tuple[str, str, int]] = set()

    def findings(
        self, spaces: Iterable[tuple[str, Mapping[str, object]]], settings: Mapping[str, str]
    ) -> Iterator[Told]:
        """Yield what is found.

        :param spaces: the files and the namespaces of modules.
        :param settings: what was put into the environment and pytest's config.
        """
        settings = {name: value for name, value in settings.items() if len(value) >= _SHORTEST}
        for file, space in spaces:
            if not (settings or any(map(self._may_be_made, list(space.values())))):
                continue
            with suppress(OSError, UnicodeError):
                data = Path(file).read_bytes()
                if may_have_sources(data):
                    yield from self._made(file, space, data.decode(), settings)

    def _may_be_made(self, value: object) -> bool:
        kind = type(value)
        if kind is int or kind.__module__ == "numpy":
            return kind is not int or value >= LEAST  # type: ignore[operator]
        if kind is str:
            return len(value) >= _SHORTEST and (os.path.isabs(value) or bool(made_words(value)))  # type: ignore[arg-type]
        if issubclass(kind, (PurePath, dict)):
            return True
        owner = value if issubclass(kind, type) else kind
        return not issubclass(kind, _PLAIN) and self._project.has_module(getattr(owner, "__module__", None))

    def _made(
        self, file: str, space: Mapping[str, object], source: str, settings: Mapping[str, str]
    ) -> Iterator[Told]:
        held = list(held_values([space], self._project.has_module, libraries=False))
        numbers = {
            (name, int(value)) for name, value in held if str(value).isdecimal() and int(value) >= LEAST
        }
        numbers = set(without_literals(numbers, [source]))
        texts = [(name, value) for name, value in held if isinstance(value, str) and _is_made(value, source)]
        settings = {name: value for name, value in settings.items() if _is_made(value, source)}
        if not (numbers or texts or settings):
            return
        differences = spans(source) if numbers else frozenset()
        for lines, what in unwatched_sources(source):
            reason = f"{self._project.place(file)}:{lines.start} makes a name of its own: {what}"
            names = assigned_names(source, lines, everywhere=True)
            known = {name: value for name, value in numbers if name in names - differences}
            self.seen |= {(file, name, value) for name, value in known.items()}
            values = tuple(value for name, value in texts if name in names)
            if values or (settings and assigned_names(source, lines) & settings.keys()):
                yield Told(reason, values)
            for name, value in known.items():
                use = self._numbers.place({name: value}, [file])
                if use:
                    yield Told(f"{reason}{use}", (str(value),), (file, name, value))


def _is_made(text: str, source: str) -> bool:
    return len(text) >= _SHORTEST and not text.isdecimal() and text not in source
