"""Finds the holder of an object: the variable of a module from which it is reached, to name it in a message.

The search runs only when something was found that needs a name. It takes some tenths of a second at most.
"""

from __future__ import annotations

import gc
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Final, NamedTuple

from pytest_procpar.state.namespaces import Origin, origin_of

__all__ = ["Holder", "find_holder", "held_by", "project_variables"]

#: The most objects that are looked at, the nearest first.
_MOST: Final = 200_000
#: Types whose objects hold nothing, or only what everything shares.
_LEAVES: Final = (
    str, bytes, int, float, complex, bool, type(None), ModuleType, CodeType, BuiltinFunctionType
)  # fmt: skip
#: The packages that run the tests. Their variables lead everywhere.
_MACHINERY: Final = frozenset({"_pytest", "pytest", "pluggy", "pytest_procpar", "coverage", "__main__"})
#: The exception: marks, which hold what tests are parametrized with.
_MARKS: Final = "_pytest.mark.structures"


class Holder(NamedTuple):
    """A variable of a module, and the type of its value."""

    module: str
    variable: str
    kind: type

    def __str__(self) -> str:
        where = f"{self.module}.{self.variable}"
        if issubclass(self.kind, type) or self.kind.__module__ == "builtins":
            return where
        return f"{where} ({self.kind.__module__}.{self.kind.__qualname__})"


def held_by(holder: Holder | None) -> str:
    """The holder, in words for the end of a message."""
    return "" if holder is None else f", held by {holder}"


def find_holder(is_it: Callable[[object], bool]) -> Holder | None:
    """The variable that leads to such an object in the fewest steps, preferably one of the project's."""
    own, others = _modules()
    return _search(own, is_it) or _search(others, is_it)


def project_variables() -> Iterator[tuple[object, Holder]]:
    """The variables of the project's modules, with what they hold."""
    return _variables(_modules()[0])


def _modules() -> tuple[list[ModuleType], list[ModuleType]]:
    """The modules of the project, and the installed ones; without the standard library."""
    own: list[ModuleType] = []
    others: list[ModuleType] = []
    for name, module in list(sys.modules.items()):
        if type(module) is not ModuleType or name.partition(".")[0] in _MACHINERY:
            continue
        values = vars(module)
        origin = origin_of(name, values)
        if origin is not Origin.STDLIB and isinstance(values.get("__file__"), str):
            (own if origin is Origin.OURS else others).append(module)
    return own, others


def _search(modules: Iterable[ModuleType], is_it: Callable[[object], bool]) -> Holder | None:
    waiting = deque(_variables(modules))
    seen = {id(thing) for thing, _ in waiting}
    kept: list[object] = []  # otherwise another object could get the same id
    while waiting and len(seen) < _MOST:
        thing, holder = waiting.popleft()
        kept.append(thing)
        with suppress(Exception):  # a class of the project's may do anything
            if is_it(thing):
                return holder
            for part in _parts(thing, holder.module):
                if id(part) not in seen and not issubclass(type(part), _LEAVES):
                    seen.add(id(part))
                    waiting.append((part, holder))
    return None


def _variables(modules: Iterable[ModuleType]) -> Iterator[tuple[object, Holder]]:
    for module in modules:
        name = module.__name__
        for variable, value in list(vars(module).items()):
            if not variable.startswith("__") and not issubclass(type(value), ModuleType):
                yield value, Holder(name, variable, type(value))


def _parts(thing: object, module: str) -> Iterable[object]:
    """The objects that an object itself holds: not its class, nor the module of a function."""
    machinery = type(thing).__module__
    if machinery.partition(".")[0] in _MACHINERY and machinery != _MARKS:
        return ()
    if type(thing) is FunctionType:
        return (thing.__closure__, thing.__defaults__, thing.__kwdefaults__, thing.__dict__)
    if issubclass(type(thing), type):
        return tuple(vars(thing).values()) if thing.__module__ == module else ()
    if type(thing) is dict and "__name__" in thing and "__spec__" in thing:
        return ()
    return [part for part in gc.get_referents(thing) if not issubclass(type(part), type)]
