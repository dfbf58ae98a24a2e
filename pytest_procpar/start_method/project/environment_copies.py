"""Copies of the environment that the project's modules keep, made before there was a worker.

A worker of pytest-xdist has its identity in the environment before it imports anything, so in the copies,
too: a conftest may restore the environment from one before each test, or start programs with one.
"""

from __future__ import annotations

import linecache
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from types import FunctionType, ModuleType
from typing import Final, TypeAlias, cast

import pytest

from pytest_procpar.start_method.project.watched_mappings import COMMON, VARIABLE

__all__ = ["COPIES", "Copies", "find_copies"]

_Copy: TypeAlias = "dict[object, object]"

#: The share of the environment's names that a copy has at least.
_SHARE: Final = 0.75
#: The most objects that are looked at, of a module and of each object that it holds.
_MOST: Final = 1_000
#: A variable that pytest itself has set. Who has left it out has left out the worker's as well.
_PYTESTS: Final = "PYTEST_VERSION"


class Copies:
    """Copies that were found."""

    def __init__(self, found: Iterable[_Copy] = ()) -> None:
        self._found = list(found)

    def identify(self, identity: Mapping[str, str]) -> None:
        """Let them tell which worker this is.

        :param identity: the variables that tell it.
        """
        for copy in self._found:
            with suppress(Exception):  # a subclass may do anything
                for name, value in identity.items():
                    copy[name] = value


#: The copies that this process has inherited or made.
COPIES = pytest.StashKey[Copies]()


def find_copies(files: Iterable[str]) -> Copies:
    """The copies that are held by variables of the modules with these files.

    A module whose source has the name of such a variable knows what it does.
    """
    names, wanted = set(os.environ).difference((VARIABLE, *COMMON)), set(files)
    found: dict[int, _Copy] = {}
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None) if type(module) is ModuleType else None
        if not isinstance(file, str) or file not in wanted:
            continue
        held = {id(thing): cast("_Copy", thing) for thing in _held(module) if _is_copy(thing, names)}
        if held and not any(VARIABLE in line for line in linecache.getlines(file)):
            found.update(held)
    return Copies(found.values())


def _is_copy(thing: object, names: set[str]) -> bool:
    if not issubclass(type(thing), dict):
        return False
    copy = cast("_Copy", thing)
    if _PYTESTS in names and not dict.__contains__(copy, _PYTESTS):
        return False
    return sum(dict.__contains__(copy, name) for name in names) >= _SHARE * len(names)


def _held(module: ModuleType) -> Iterator[object]:
    """What a module's variables hold, and what that holds."""
    things: list[object] = [value for name, value in list(vars(module).items()) if not name.startswith("__")]
    yield from things
    for thing in things[:_MOST]:
        yield from _parts(thing, module.__name__)[:_MOST]


def _parts(thing: object, module: str) -> list[object]:
    kind = type(thing)
    if kind in (list, tuple, set, frozenset):
        return list(cast("Iterable[object]", thing))
    if kind is dict:
        return list(cast("_Copy", thing).values())
    if type(thing) is FunctionType:
        return [*(thing.__defaults__ or ()), *(thing.__kwdefaults__ or {}).values()]
    if issubclass(kind, type):
        return list(vars(cast("type", thing)).values()) if cast("type", thing).__module__ == module else []
    if not issubclass(kind, ModuleType):
        with suppress(Exception):
            return list(object.__getattribute__(thing, "__dict__").values())
    return []
