"""Finds the state that a suite's modules hold, and copies it deep enough to tell what changed.

From every module it goes to classes, functions, module-level objects and containers, as deep as `_DEEPEST`
says (in the standard library only to what a module itself holds). It does not decide what is a change.
"""

from __future__ import annotations

import enum
import functools
import itertools
import logging
import os
import sys
import threading
import types
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from pytest_procpar.state.class_state import REGISTRY, SUBCLASSES
from pytest_procpar.state.containers import MOST, PLAIN, Family, Pairs, family_of, mro_of
from pytest_procpar.state.namespaces import (
    CLASS,
    DICT,
    FUNCTION,
    PARTIAL,
    SLOTS,
    Namespace,
    Origin,
    class_dict,
    dict_of,
    is_of_tests,
    origin_of,
    slots_of,
    values_of,
)
from pytest_procpar.state.noise import is_framework, is_noise
from pytest_procpar.state.opaque_types import How, how_of
from pytest_procpar.state.tracked import Cache, Counter, Stated, TrackedContainer, cache_of

__all__ = ["StateScan"]

#: How many levels of nesting in a module's value are looked at.
_DEEPEST: Final = {Origin.OURS: 4, Origin.INSTALLED: 2, Origin.STDLIB: 0}
#: Values in a container with more entries than this are not looked at.
_WIDEST: Final = 1_000
#: Instances of these types are machinery, or are looked at elsewhere.
_OPAQUE: Final[frozenset[type]] = frozenset(
    {
        *(
            logging.Logger,
            logging.Manager,
            logging.PlaceHolder,
            enum.Enum,
            type(os.environ),
        ),
        *(weakref.WeakKeyDictionary, weakref.WeakValueDictionary, weakref.WeakSet, weakref.ref),
    }
)
_OPAQUE_HOMES: Final = frozenset({"typing", "threading", "_thread", "importlib", "re", "abc", "_abc", "ast"})
#: The type in which pytest keeps what decorates a test.
_MARK: Final = ("_pytest.mark.structures", "Mark")
#: A type's flags: a type can be changed if it is on the heap and not immutable.
_HEAP, _IMMUTABLE = 1 << 9, 1 << 8
_flags_of: Callable[[type], int] = type.__dict__["__flags__"].__get__
_LRU: Final = functools._lru_cache_wrapper
_LOCAL: Final = threading.local


_Parent: TypeAlias = "Namespace | TrackedContainer"
#: What is done with a value: called with the scan, the value (whose type says which visit it is), the place
#: in which it was found, its key there, and the depth.
_Visit: TypeAlias = "Callable[[StateScan, Any, _Parent, object, int], None]"


@dataclass(slots=True)
class StateScan:
    """What was found."""

    spaces: list[Namespace] = field(default_factory=list)
    #: By the container's id.
    held: dict[int, TrackedContainer] = field(default_factory=dict)
    caches: list[Cache] = field(default_factory=list)
    #: By the counter's id.
    counters: dict[int, Counter] = field(default_factory=dict)
    #: By the object's id, and what is read of it.
    stated: dict[tuple[int, str], Stated] = field(default_factory=dict)
    _seen: set[int] = field(default_factory=set)
    #: The modules that `visit_modules` goes through.
    _loaded: frozenset[int] = frozenset()
    #: Objects that were met in a module other than their own, or deep inside something else.
    _strangers: list[tuple[_Visit, object, _Parent, object, int]] = field(default_factory=list)
    _visits: dict[type, _Visit | None] = field(default_factory=dict)
    _module: str | None = None
    _origin: Origin = Origin.OURS

    def visit_modules(self) -> None:
        """Go through all modules. An object that several share is named after its most likely home."""
        found = []
        modules = sys.modules.copy()
        self._loaded = frozenset(map(id, modules.values()))
        for name, module in modules.items():
            if type(name) is str and not is_framework(name) and (values := values_of(module)) is not None:
                origin = origin_of(name, values)
                found.append((-origin, is_of_tests(name), name.count("."), name, values))
        for negative, _, _, name, values in sorted(found, key=lambda entry: entry[:3]):
            if id(values) not in self._seen:
                self._seen.add(id(values))
                self._module, self._origin = name, Origin(-negative)
                self.visit(Namespace(name, values, DICT, self._origin, values.copy()))
        self._module = None
        for visit, value, parent, key, depth in self._strangers:
            self._origin = parent.origin
            visit(self, value, parent, key, depth)

    def visit(self, space: Namespace, depth: int = 0) -> None:
        """Add a namespace, and what its values hold."""
        if self._module is None:
            self._origin = space.origin
        self.spaces.append(space)
        self._values(space, space.before.items(), space.place, depth)

    def _values(
        self, parent: _Parent, items: Iterable[tuple[object, object]], place: str, depth: int
    ) -> None:
        if depth > _DEEPEST[self._origin]:
            return
        visits = self._visits
        for key, value in items:
            kind = type(value)
            try:
                visit = visits[kind]
            except KeyError:
                visit = visits[kind] = _visit_of(kind)
            if visit is not None and not is_noise(place, key):
                visit(self, value, parent, key, depth)

    def _is_elsewhere(self, home: object) -> bool:
        """Whether an object that was defined in `home` is better looked at there."""
        return self._module is not None and home != self._module

    def _take_container(self, obj: object, parent: _Parent, key: object, depth: int, family: Family) -> None:
        if obj is sys.modules:  # a namespace of its own, whatever else holds it
            return
        if (known := self.held.get(id(obj))) is not None:
            known.parents.append((parent, key))
            return
        size = family.size(obj)
        copy = family.copy(obj) if size <= MOST else None
        held = self.held[id(obj)] = TrackedContainer(obj, family, copy, size, self._origin, [(parent, key)])
        if copy is None or size > _WIDEST:
            return
        if isinstance(copy, Pairs):
            self._values(held, zip(copy.keys, copy.values, strict=True), "", depth + 1)
        elif isinstance(copy, list):
            self._values(held, enumerate(copy), "", depth + 1)

    def _take_class(self, cls: type, parent: _Parent, key: object, depth: int) -> None:
        if id(cls) in self._seen:
            return
        values = class_dict(cls)
        home = values.get("__module__")
        if is_framework(home):
            return
        if self._is_elsewhere(home):
            self._strangers.append((StateScan._take_class, cls, parent, key, depth))
            return
        self._seen.add(id(cls))
        if _flags_of(cls) & (_HEAP | _IMMUTABLE) == _HEAP:
            self.visit(Namespace(parent.name(key), cls, CLASS, self._origin, dict(values)))
        if "_abc_impl" in values:
            self._take_stated(cls, parent, key, REGISTRY)
        if self._origin is Origin.OURS and type in mro_of(type(cls)):
            self._take_stated(cls, parent, key, SUBCLASSES)
        if enum.EnumMeta in mro_of(type(cls)) and self._origin is not Origin.STDLIB:
            self._take_members(values.get("_member_map_"), parent.name(key))

    def _take_members(self, members: object, place: str) -> None:
        """Go into the members of an enumeration: a member's own state is in its attributes."""
        for name, member in dict(members).items() if type(members) is dict else ():
            read = dict_of(type(member))
            if read is not None and id(member) not in self._seen:
                self._seen.add(id(member))
                of_member = read(member)
                self.visit(Namespace(f"{place}.{name}", of_member, DICT, self._origin, of_member.copy()), 1)

    def _take_function(self, function: types.FunctionType, parent: _Parent, key: object, depth: int) -> None:
        if self._origin is Origin.STDLIB or id(function) in self._seen:
            return
        if self._is_elsewhere(function.__module__):
            self._strangers.append((StateScan._take_function, function, parent, key, depth))
            return
        self._seen.add(id(function))
        before = FUNCTION.read(function)
        self.visit(Namespace(parent.name(key), function, FUNCTION, self._origin, before), depth + 1)

    def _take_wrapped(
        self,
        wrapper: staticmethod[..., object] | classmethod[object, ..., object],
        parent: _Parent,
        key: object,
        depth: int,
    ) -> None:
        if type(wrapper.__func__) is types.FunctionType:
            self._take_function(wrapper.__func__, parent, key, depth)

    def _take_cache(
        self, function: functools._lru_cache_wrapper[object], parent: _Parent, key: object, depth: int
    ) -> None:
        home = _dict_of_lru(function).get("__module__")
        if self._origin is Origin.STDLIB or id(function) in self._seen or is_framework(home):
            return
        if self._is_elsewhere(home):
            self._strangers.append((StateScan._take_cache, function, parent, key, depth))
            return
        self._seen.add(id(function))
        if (cache := cache_of(f"{parent.name(key)}.cache_info()", function, self._origin)) is not None:
            self.caches.append(cache)

    def _take_instance(
        self,
        obj: object,
        parent: _Parent,
        key: object,
        depth: int,
        read: Callable[[object], dict[str, object]] | None,
        members: dict[str, types.MemberDescriptorType],
    ) -> None:
        if id(obj) in self._seen or depth > _DEEPEST[self._origin]:
            return
        self._seen.add(id(obj))
        if read is not None:
            values = read(obj)
            self.visit(Namespace(parent.name(key), values, DICT, self._origin, values.copy()), depth + 1)
        if members and self._origin is not Origin.STDLIB:
            owner = (obj, members)
            self.visit(Namespace(parent.name(key), owner, SLOTS, self._origin, SLOTS.read(owner)), depth + 1)

    def _take_module(self, module: object, parent: _Parent, key: object, depth: int) -> None:
        if id(module) in self._loaded or depth > _DEEPEST[self._origin]:
            return
        if depth and self._module is not None:  # a shorter name may lead to it, too
            self._strangers.append((StateScan._take_module, module, parent, key, depth))
            return
        values = values_of(module)
        if values is not None and id(values) not in self._seen and not is_framework(values.get("__name__")):
            self._seen.add(id(values))
            self.visit(Namespace(parent.name(key), values, DICT, self._origin, values.copy()), depth + 1)

    def _take_mark(self, mark: object, parent: _Parent, key: object, depth: int) -> None:
        """Go into the arguments of a test's mark: tests get the very objects given to `parametrize`."""
        values = vars(mark)
        if id(values) not in self._seen:
            self._seen.add(id(values))
            self.visit(Namespace(parent.name(key), values, DICT, self._origin, values.copy()))

    def _take_counter(self, obj: object, parent: _Parent, key: object, depth: int) -> None:
        if isinstance(parent, Namespace):
            self.counters.setdefault(id(obj), Counter(parent, key, obj, repr(obj)))

    def _take_local(self, obj: object, parent: _Parent, key: object, depth: int) -> None:
        if self._origin is not Origin.STDLIB:
            self._take_instance(obj, parent, key, depth, dict_of(_LOCAL), {})

    def _take_partial(self, obj: functools.partial[object], parent: _Parent, key: object, depth: int) -> None:
        if id(obj) in self._seen or depth > _DEEPEST[self._origin] or self._origin is Origin.STDLIB:
            return
        self._take_instance(obj, parent, key, depth, dict_of(functools.partial), {})
        self._seen.add(id(obj))
        self.visit(Namespace(parent.name(key), obj, PARTIAL, self._origin, PARTIAL.read(obj)), depth + 1)

    def _take_stated(self, obj: object, parent: _Parent, key: object, how: How) -> None:
        is_installed = self._origin is Origin.INSTALLED
        if not (self._origin is Origin.OURS or how is REGISTRY or (how.is_random and is_installed)):
            return
        if (known := self.stated.get((id(obj), how.suffix))) is not None:
            known.parents.append((parent, key))
        elif (state := how.state(obj)) is not None:
            self.stated[id(obj), how.suffix] = Stated(obj, how, state, self._origin, [(parent, key)])


# --- what to do with a value of each type ---------------------------------------------------------

_dict_of_lru: Final[Callable[..., dict[str, object]]] = _LRU.__dict__["__dict__"].__get__

_SIMPLE: Final[dict[type, _Visit]] = {
    types.FunctionType: StateScan._take_function,
    staticmethod: StateScan._take_wrapped,
    classmethod: StateScan._take_wrapped,
    _LRU: StateScan._take_cache,
    itertools.count: StateScan._take_counter,
    functools.partial: StateScan._take_partial,
}


def _visit_of(kind: type) -> _Visit | None:
    order = mro_of(kind)
    if kind in _SIMPLE:
        return _SIMPLE[kind]
    if kind in PLAIN or not _OPAQUE.isdisjoint(order):
        return None
    if type in order:
        return StateScan._take_class
    if types.ModuleType in order:  # one that is not in sys.modules, such as `six.moves`
        return StateScan._take_module
    if (how := how_of(kind)) is not None:
        return lambda walk, obj, parent, key, depth: walk._take_stated(obj, parent, key, how)
    home = class_dict(kind).get("__module__")
    if (home, kind.__name__) == _MARK:
        return StateScan._take_mark
    if kind is _LOCAL:
        return StateScan._take_local
    if is_framework(home) or (isinstance(home, str) and home.partition(".")[0] in _OPAQUE_HOMES):
        return None
    return _visit_of_instance(kind)


def _visit_of_instance(kind: type) -> _Visit | None:
    family, read, members = family_of(kind), dict_of(kind), slots_of(kind)

    def visit(walk: StateScan, obj: object, parent: _Parent, key: object, depth: int) -> None:
        if family is not None:
            walk._take_container(obj, parent, key, depth, family)
        if read is not None or members:
            walk._take_instance(obj, parent, key, depth, read, members)

    return None if family is None and read is None and not members else visit
