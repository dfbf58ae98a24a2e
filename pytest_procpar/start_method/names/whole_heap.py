"""Looks for texts among all objects of a process, wherever they are held, and finds out by what.

The garbage collector knows what refers to what: slots, defaults, closures, running generators, context
variables and containers written in C alike. What merely remembers a text does not hold it: a cache, a log
record, a warning, an exception, what is printed, this package.
"""

from __future__ import annotations

import functools
import gc
import importlib.machinery
import linecache
import logging
import os
import re
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar, copy_context
from types import (
    CellType,
    FrameType,
    FunctionType,
    GeneratorType,
    MappingProxyType,
    MethodType,
    TracebackType,
)
from typing import Final, NamedTuple, cast
from uuid import UUID

from pytest_procpar.start_method.names.held_values import attributes
from pytest_procpar.system import frozen_heap

__all__ = ["HeapTexts", "holder_in_heap"]

#: Shorter texts are no names, and longer ones are contents.
_SHORTEST, _LONGEST = 4, 256
#: How many objects are asked for what they refer to at once.
_SLICE = 50_000
_DIGIT = re.compile(r"\d")
_BYTES: Final = frozenset({bytes, bytearray})
#: What the garbage collector does not track while it holds nothing that is tracked.
_PERHAPS_UNTRACKED: Final = frozenset({dict, tuple, ContextVar})
_OTHERS: Final = _BYTES | _PERHAPS_UNTRACKED

#: How far away from a text its holder may be, and how many objects are looked at on the way.
_FARTHEST, _MOST = 8, 400
#: Containers that are no holders themselves: only a list of somebody's is one.
_PLAIN = (dict, list, tuple, set, frozenset, deque, CellType, MappingProxyType)
#: The type of what a context has its values in.
_VALUES_OF_A_CONTEXT: Final = next(
    (type(part) for part in gc.get_referents(copy_context()) if type(part).__name__ == "hamt"), MethodType
)
#: Packages that run the tests: their variables lead everywhere.
_MACHINERY: Final = frozenset({"_pytest", "pluggy", "pytest_procpar"})
#: What only remembers: types, and modules whose types do.
_REMEMBERING = (
    BaseException, TracebackType, importlib.machinery.FileFinder, importlib.machinery.ModuleSpec,
    functools._lru_cache_wrapper, logging.LogRecord, os._Environ, warnings.WarningMessage,
)  # fmt: skip
_REMEMBERING_MODULES: Final = frozenset({
    "_pytest.capture", "_pytest.logging", "_pytest.recwarn", "_pytest.reports", "_pytest.terminal",
    "traceback",
})  # fmt: skip
_REMEMBERING_LABELS: Final = frozenset({"__doc__", "__warningregistry__", "_report_sections"})


class HeapTexts:
    """The short texts that are held anywhere in this process, uuids as their 32 digits.

    :param ours: types of this package's that hold what is sought.
    :param alone: ids of uuids that only these hold.
    """

    def __init__(self, ours: frozenset[type] = frozenset(), alone: frozenset[int] = frozenset()) -> None:
        frozen_heap.collect()  # garbage holds nothing, and must not be frozen
        things = [thing for thing in frozen_heap.every_object() if type(thing) not in ours]
        texts: set[str] = set()
        others: list[object] = [thing for thing in things if type(thing) is UUID and id(thing) not in alone]
        for held in _referents(things):
            texts.update(held.texts)
            others += held.data
        self._texts = [text for text in texts if _SHORTEST <= len(text) <= _LONGEST]
        self._texts += [text for thing in others if (text := _text(thing))]
        #: By whether each of its texts has a digit: these texts, one a line.
        self._lines: dict[bool, tuple[list[str], str]] = {}

    def holding(self, part: str) -> list[str]:
        """The texts that hold this part."""
        texts, together = self._with_digits(_DIGIT.search(part) is not None)
        return [text for text in texts if part in text] if part in together else []

    def _with_digits(self, digits: bool) -> tuple[list[str], str]:
        if digits not in self._lines:
            texts = list(filter(_DIGIT.search, self._texts)) if digits else self._texts
            self._lines[digits] = texts, "\n".join(texts)
        return self._lines[digits]


class _Held(NamedTuple):
    """Some of what objects refer to: texts, bytes, and, each once, containers that are not tracked."""

    texts: list[str]
    data: list[object]
    untracked: list[object]


def _referents(things: Sequence[object]) -> Iterator[_Held]:
    """What these refer to, and what the untracked containers among it refer to."""
    known: set[int] = set()
    while things:
        further: list[object] = []
        for start in range(0, len(things), _SLICE):
            parts = gc.get_referents(*things[start : start + _SLICE])
            texts = [part for part in parts if type(part) is str]
            others = {id(part): part for part in parts if type(part) in _OTHERS}
            data = [part for part in others.values() if type(part) in _BYTES]
            untracked = {
                key: part
                for key, part in others.items()
                if key not in known and type(part) not in _BYTES and not gc.is_tracked(part)
            }
            known.update(untracked)
            yield _Held(texts, data, list(untracked.values()))
            further += untracked.values()
        things = further


def _text(thing: object) -> str | None:
    """What a text, bytes or a uuid says; None if it is too short or too long."""
    match thing:
        case UUID():
            return str(thing.hex)
        case str() if _SHORTEST <= len(thing) <= _LONGEST:
            return thing
        case bytes() | bytearray() if _SHORTEST <= len(thing) <= _LONGEST:
            return thing.decode("latin-1")
        case _:
            return None


def holder_in_heap(texts: Iterable[str], counts: Callable[[str], bool] = lambda label: True) -> str | None:
    """Who holds one of these texts, as a name such as ``logging.FileHandler.baseFilename``.

    None if nothing does: what was found is only remembered.

    :param counts: whether what is held by this name (of a variable, attribute or key) counts.
    """
    wanted = frozenset(texts)
    if not wanted:
        return None
    with frozen_heap.thawed():
        everything = frozen_heap.every_object()
        uuids: list[object] = [part for part in everything if type(part) is UUID and part.hex in wanted]
        things: list[object] = []
        untracked: list[object] = []
        for held in _referents(everything):
            things += [text for text in held.texts if text in wanted]
            things += [data for data in held.data if _text(data) in wanted]
            untracked += held.untracked
        del everything, held
        found = _Climb(counts, untracked).first_holder(things)
        return found or (_Climb(counts, untracked, are_uuids=True).first_holder(uuids) if uuids else None)


class _Climb:
    """Goes from objects to what refers to them, until it comes to something that is certainly in use.

    :param counts: as for `holder_in_heap`.
    :param untracked: the containers that the garbage collector does not know.
    :param are_uuids: whether it starts from uuids. These are data, not names, if they are a test's parameters
        or stand among other things in a container.
    """

    def __init__(
        self, counts: Callable[[str], bool], untracked: list[object], *, are_uuids: bool = False
    ) -> None:
        self._counts = counts
        self._are_uuids = are_uuids
        self._remembering = {id(thing) for thing in _remembering()}
        self._seen: set[int] = set()
        self._untracked = untracked

    def first_holder(self, things: list[object]) -> str | None:
        """The name of the nearest holder of one of these, as far as it can be told."""
        #: By object: the name by which it is held, and what holds it, as far as is known.
        labels = {id(thing): "" for thing in things}
        holders, leaves = dict(labels), frozenset(labels)
        for _ in range(_FARTHEST):
            parents: dict[int, object] = {}
            names: dict[int, tuple[str, str]] = {}
            held: set[int] = set()
            for parent in self._referrers(things):
                for child, own_label in _edges(parent, labels, leaves):
                    held.add(child)
                    label = own_label or labels[child]
                    if id(parent) in self._seen or not self._leads_on(parent, label):
                        continue
                    holder = holders[child] or _named(parent, label)
                    if _is_in_use(parent):
                        return holder
                    parents[id(parent)] = parent
                    names[id(parent)] = label, holder
            for thing in things:
                if id(thing) not in held and _is_held_by_c(thing):
                    return holders[id(thing)]
            if not parents:
                return None
            things = list(parents.values())[:_MOST]
            self._seen.update(parents)
            labels = {key: label for key, (label, _) in names.items()}
            holders = {key: holder for key, (_, holder) in names.items()}
        return next(filter(None, holders.values()), None)

    def _referrers(self, things: list[object]) -> list[object]:
        """What refers to these, containers that are not tracked included."""
        wanted = {id(thing) for thing in things}
        found = frozen_heap.get_referrers(things)
        found += [part for part in self._untracked if not wanted.isdisjoint(map(id, gc.get_referents(part)))]
        return found

    def _leads_on(self, parent: object, label: str) -> bool:
        """Whether something is held by this one, and by this name: not if it is only remembered."""
        if id(parent) in self._remembering or label in _REMEMBERING_LABELS or not self._counts(label):
            return False
        kind = type(parent)
        if issubclass(kind, _REMEMBERING) or kind.__name__.endswith(("_lru_list_elem", "iterator")):
            return False
        if kind is FrameType and sys.version_info >= (3, 11):  # before, a generator holds its variables so
            return False
        module = _module_of(parent)
        package = module.partition(".")[0]
        if self._are_uuids and (package == "_pytest" or not (label or _holds_only_uuids(parent))):
            return False
        return module not in _REMEMBERING_MODULES and package != "pytest_procpar"


def _module_of(thing: object) -> str:
    """The module of an object's class, or of the function that a generator runs."""
    frame = thing.gi_frame if type(thing) is GeneratorType else thing if type(thing) is FrameType else None
    return str(type(thing).__module__ if frame is None else frame.f_globals.get("__name__"))


def _remembering() -> Iterator[object]:
    """Containers that remember what was once looked for."""
    yield from (sys.modules, sys.path, sys.path_importer_cache, linecache.cache)
    yield getattr(os.environ, "_data", None)  # it was looked into
    for module, name in (("re", "_cache"), ("re", "_cache2"), ("urllib.parse", "_parse_cache")):
        yield getattr(sys.modules.get(module), name, None)


def _edges(parent: object, children: dict[int, str], leaves: frozenset[int]) -> Iterator[tuple[int, str]]:
    """The children that an object refers to, and by which name it does; "" if it has none.

    :param children: what is looked for, by id.
    :param leaves: what the search began with, by id: a function has a name for what its defaults hold.
    """
    kind = type(parent)
    named: Iterable[tuple[int, object]] = ()
    if issubclass(kind, dict):
        items = dict.items(cast("dict[object, object]", parent))
        named = [(id(part), key) for key, part in list(items)]
    elif kind is FunctionType:
        named = _named_parts(parent, leaves)  # type: ignore[arg-type]
    elif not issubclass(kind, (*_PLAIN, type)):
        named = [(id(part), name) for name, part in attributes(parent)]
    found = [(child, label) for child, label in named if child in children]
    yield from ((child, label if isinstance(label, str) else "") for child, label in found)
    if not found:
        yield from ((id(part), "") for part in gc.get_referents(parent) if id(part) in children)


def _named_parts(function: FunctionType, leaves: frozenset[int]) -> Iterator[tuple[int, str]]:
    """The tuples with a function's defaults and enclosed variables, with the name of each leaf in them."""
    code, defaults = function.__code__, function.__defaults__ or ()
    names = code.co_varnames[code.co_argcount - len(defaults) : code.co_argcount]
    for name, value in zip(names, defaults, strict=False):
        if id(value) in leaves:
            yield id(defaults), name
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=False):
        if not leaves.isdisjoint(map(id, gc.get_referents(cell))):
            yield id(function.__closure__), name


def _is_held_by_c(thing: object) -> bool:
    """Whether something to which no object refers is certainly held by C code, as exit handlers are.

    Containers and iterators may be local variables of ours, or of pytest's.
    """
    kind = type(thing)
    return kind is MethodType or kind.__module__ not in ("builtins", "uuid")


def _holds_only_uuids(thing: object) -> bool:
    return issubclass(type(thing), _PLAIN) and all(type(part) is UUID for part in gc.get_referents(thing))


def _is_in_use(thing: object) -> bool:
    """Whether it needs no further look who holds this: a module's variables, a class, a function."""
    kind = type(thing)
    if kind is dict:
        return _is_namespace(thing) and thing["__name__"].partition(".")[0] not in _MACHINERY  # type: ignore[index]
    if kind is FunctionType or issubclass(kind, type):
        return str(thing.__module__).partition(".")[0] not in _MACHINERY
    return kind is _VALUES_OF_A_CONTEXT


def _is_namespace(thing: object) -> bool:
    return type(thing) is dict and "__spec__" in thing and isinstance(thing.get("__name__"), str)


def _named(thing: object, label: str) -> str:
    """What a holder is called; "" for a plain container."""
    kind = type(thing)
    if kind.__name__.startswith("hamt"):
        return "a context variable"
    if _is_namespace(thing):
        return f"{thing['__name__']}.{label}" if label else ""  # type: ignore[index]
    if issubclass(kind, (*_PLAIN, FrameType)):
        return ""
    if kind is GeneratorType:
        return f"{_module_of(thing)}.{thing.__qualname__}()"  # type: ignore[attr-defined]
    owner = thing if kind is FunctionType or issubclass(kind, type) else kind
    where = f"{owner.__module__}.{owner.__qualname__}"  # type: ignore[attr-defined]
    return f"{where}.{label}" if label else where
