"""What namespaces hold, with the name under which it is held: texts, paths, uuids and numbers."""

from __future__ import annotations

import functools
import gc
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import PurePath
from types import (
    BuiltinFunctionType,
    FunctionType,
    MemberDescriptorType,
    MethodDescriptorType,
    MethodType,
    ModuleType,
)
from typing import Any, cast
from uuid import UUID

__all__ = ["PORTS", "attributes", "held_values"]

#: The most objects that are looked at, and their greatest distance from a namespace.
_MOST, _DEEPEST = 10_000, 6

#: Longer texts are contents, not names.
_LONGEST_TEXT = 4_096

#: Ports that may be found free, and how many a container holds at the most: more numbers are data.
PORTS, _MOST_PORTS = range(1024, 65536), 64
#: Types of addresses that keep their text in memory of another language.
_ADDRESSES = frozenset({f"pydantic_core._pydantic_core.{name}" for name in ("Url", "MultiHostUrl")})

#: Packages whose objects are not looked into: pytest with its marks, which hold a test's parameters, and
#: ours.
_NOT_LOOKED_INTO = frozenset({"_pytest", "pytest_procpar", "pluggy", "builtins", "typing", "weakref"})

#: Types that are neither names nor hold any; for what is held by a container, numbers are not, either.
_NEITHER = frozenset({bool, float, complex, type(None), BuiltinFunctionType, MethodDescriptorType})
_NEITHER_UNNAMED = _NEITHER | {int}

_CONTAINERS = (list, tuple, set, frozenset, deque)


def held_values(
    spaces: Iterable[Mapping[str, object]],
    is_own: Callable[[str], bool] = lambda module: True,
    *,
    libraries: bool = True,
    ports: bool = False,
) -> Iterator[tuple[str, str | int]]:
    """Yield all texts and numbers that these namespaces hold, each with a name; a uuid as its 32 digits.

    A uuid or number in a container is data, not a name, and is left out, unless it is a port that is sought.

    :param is_own: whether a module, given by name, belongs to the project: only its classes are looked into.
    :param libraries: whether to look into objects whose classes belong to libraries.
    :param ports: whether to yield numbers in small containers, too, if they may be ports.
    """
    seen: set[int] = set()
    #: A name, an object, its distance, and whether it is held by name (not in a container).
    queue: deque[tuple[str, object, int, bool]] = deque()
    for space in spaces:
        if id(space) not in seen:
            seen.add(id(space))
            queue.extend((key, value, 0, True) for key, value in _named(space))
    while queue:
        name, thing, depth, named = queue.popleft()
        value = None
        with suppress(Exception):  # a class of the project's may do anything
            value = _value(thing, named=named)
            if ports and type(thing) is int and thing in PORTS:
                value = thing
            if value is None and depth < _DEEPEST and len(seen) < _MOST and id(thing) not in seen:
                seen.add(id(thing))
                counts = ports and not _is_data(thing)
                for inner, part, by_name in _parts(thing, is_own, libraries=libraries):
                    if type(part) not in (_NEITHER if by_name or counts else _NEITHER_UNNAMED):
                        queue.append((inner or name, part, depth + 1, by_name))
        if value is not None:
            yield name, value


def _value(thing: Any, *, named: bool) -> str | int | None:
    """A plain text or number; None for others. Only the type is looked at: a proxy would load its object."""
    kind = type(thing)
    if issubclass(kind, str):
        return str.__str__(thing) if len(thing) <= _LONGEST_TEXT else None
    if kind is bytes:
        return str(thing, "latin-1") if len(thing) <= _LONGEST_TEXT else None
    if issubclass(kind, PurePath):
        return str(thing)
    if f"{kind.__module__}.{kind.__name__}" in _ADDRESSES:
        return str(thing)
    if named and (kind is int or _is_number_of_numpy(kind)):
        return int(thing)
    if named and kind is UUID:
        return str(thing.hex)
    return None


def _is_number_of_numpy(kind: type) -> bool:
    return kind.__module__ == "numpy" and kind.__name__.startswith(("int", "uint"))


def _is_data(thing: object) -> bool:
    return issubclass(type(thing), _CONTAINERS) and len(cast("list[object]", thing)) > _MOST_PORTS


def _named(space: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    for key, value in list(space.items()):
        if type(key) is not str:
            yield "", value
        elif not (key.startswith("__") and key.endswith("__")) and key != "pytestmark":
            yield key, value


def _parts(
    thing: Any, is_own: Callable[[str], bool], *, libraries: bool
) -> Iterator[tuple[str, object, bool]]:
    """Yield what an object holds: a name if it has one, the part, and whether it is held by that name."""
    kind = type(thing)
    if issubclass(kind, ModuleType):
        if is_own(ModuleType.__getattribute__(thing, "__dict__").get("__name__")):
            yield from ((key, value, True) for key, value in _named(vars(thing)))
    elif issubclass(kind, dict):
        for key, value in list(dict.items(thing)):
            yield (key if type(key) is str else ""), value, type(value) is int
    elif issubclass(kind, _CONTAINERS):
        yield from (("", value, False) for value in list(thing))
    elif kind is functools.partial:
        yield from (("", value, False) for value in (*thing.args, thing.keywords))
    elif kind is FunctionType:
        yield from _parts_of_function(thing, is_own)
    elif kind is MethodType:
        yield "", thing.__self__, False
    elif issubclass(kind, type):
        if is_own(thing.__module__):
            yield from ((key, value, True) for key, value in _named(vars(thing)))
    elif kind is functools._lru_cache_wrapper:
        yield from _parts_of_cache(thing, is_own)
    elif _is_looked_into(kind) and (libraries or is_own(kind.__module__) or kind.__module__ == "tempfile"):
        yield from ((key, value, True) for key, value in attributes(thing))


def _parts_of_function(
    function: FunctionType, is_own: Callable[[str], bool]
) -> Iterator[tuple[str, object, bool]]:
    """A function's defaults, and the variables that it encloses."""
    if not is_own(function.__module__):
        return
    defaults, code = function.__defaults__ or (), function.__code__
    names = code.co_varnames[code.co_argcount - len(defaults) : code.co_argcount]
    for name, value in (*zip(names, defaults, strict=False), *(function.__kwdefaults__ or {}).items()):
        yield name, value, True
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
        with suppress(ValueError):  # it may still be empty
            yield name, cell.cell_contents, True


def _parts_of_cache(cached: object, is_own: Callable[[str], bool]) -> Iterator[tuple[str, object, bool]]:
    """What a cached function has returned. Only the garbage collector can tell."""
    if not is_own(getattr(cached, "__module__", "")):
        return
    name = getattr(cached, "__name__", "")
    for part in gc.get_referents(cached):
        # An unlimited cache is a dictionary; a limited cache refers to its results directly.
        results = part.values() if type(part) is dict else (part,)
        yield from ((name, result, True) for result in results)


def _is_looked_into(kind: type) -> bool:
    module = getattr(kind, "__module__", "")
    return isinstance(module, str) and module.partition(".")[0] not in _NOT_LOOKED_INTO


def attributes(thing: object) -> Iterator[tuple[str, object]]:
    """Yield an object's attributes without running any of its code."""
    with suppress(AttributeError, TypeError):
        yield from _named(object.__getattribute__(thing, "__dict__"))
    for kind in type(thing).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else tuple(slots):
            member = kind.__dict__.get(name) or kind.__dict__.get(f"_{kind.__name__.lstrip('_')}{name}")
            with suppress(AttributeError):  # the slot may be empty
                if type(member) is MemberDescriptorType:
                    yield name, member.__get__(thing)
