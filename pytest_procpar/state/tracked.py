"""What holds state and is not a namespace: containers, objects with a state of their own, caches, counters.

Each knows where it was found. Whether it has changed is decided elsewhere.
"""

from __future__ import annotations

import functools
import itertools
import re
from dataclasses import dataclass
from typing import Final

from pytest_procpar.state.containers import MOST, Content, Family, Pairs
from pytest_procpar.state.namespaces import MISSING, Namespace, Origin
from pytest_procpar.state.opaque_types import How

__all__ = ["Cache", "Counter", "TrackedContainer", "Stated", "cache_of"]

#: A container that is nested in others more deeply than this is not looked for.
_DEEPEST: Final = 5


@dataclass(slots=True)
class TrackedContainer:
    """A container, and what was in it."""

    obj: object
    family: Family
    #: None if it has too many entries.
    copy: Content | None
    size: int
    origin: Origin
    #: Where it was found; the place that it is named after comes first.
    parents: list[tuple[Namespace | TrackedContainer, object]]

    def name(self, key: object) -> str:
        """What a user would have typed to see an entry when it was found."""
        parent, own = self.parents[0]
        return f"{parent.name(own)}[{key!r}]"

    def place(self, depth: int = 0) -> str:
        """What a user would type to see it: a name that still leads to it; empty if none does."""
        return _place(self.obj, self.parents, depth)

    def leads_to(self, obj: object) -> bool:
        """Whether one of its current values is this object."""
        if self.size_now() > MOST:
            return False
        return any(value is obj for value in _values(self.now()))

    def size_now(self) -> int:
        """The current number of entries."""
        return self.family.size(self.obj)

    def now(self) -> Content:
        """A copy of its current content."""
        return self.family.copy(self.obj)

    def values(self) -> list[object]:
        """The values that were in it."""
        return _values(self.copy)

    def refill(self) -> None:
        """Put back what was in it."""
        self.family.refill(self.obj, self.copy)


def _place(obj: object, parents: list[tuple[Namespace | TrackedContainer, object]], depth: int = 0) -> str:
    for parent, key in parents:
        if isinstance(parent, Namespace):
            if parent.now().get(key, MISSING) is obj:
                return parent.name(key)
        elif depth < _DEEPEST and parent.leads_to(obj) and (place := parent.place(depth + 1)):
            return f"{place}[{key!r}]"
    return ""


def _values(copy: Content | None) -> list[object]:
    if isinstance(copy, Pairs):
        return copy.values
    return copy if isinstance(copy, list) else []


# --- objects with a state of their own ------------------------------------------------------------


@dataclass(slots=True)
class Stated:
    """An object whose state is read and set by a call, and the state that it had."""

    obj: object
    how: How
    was: object
    origin: Origin
    #: Where it was found; the place that it is named after comes first.
    parents: list[tuple[Namespace | TrackedContainer, object]]

    def name(self) -> str:
        """What a user would type to see it: a name that still leads to it; empty if none does."""
        place = _place(self.obj, self.parents)
        return place and f"{place}{self.how.suffix}"

    def now(self) -> object:
        """The current state."""
        return self.how.state(self.obj)

    def put_back(self) -> None:
        """Put back the state that it had."""
        self.how.write(self.obj, self.was)


# --- caches ---------------------------------------------------------------------------------------

_LRU: Final = functools._lru_cache_wrapper
_cache_info: Final = _LRU.cache_info
_cache_clear: Final = _LRU.cache_clear


@dataclass(slots=True)
class Cache:
    """A function's `lru_cache`, and what it reported: the number of misses, and of entries."""

    name: str
    function: functools._lru_cache_wrapper[object]
    info: tuple[int, int]
    origin: Origin

    def now(self) -> tuple[int, int]:
        """What it reports now."""
        found = _cache_info(self.function)
        return found.misses, found.currsize

    def clear(self) -> None:
        """Empty it."""
        _cache_clear(self.function)


def cache_of(name: str, function: functools._lru_cache_wrapper[object], origin: Origin) -> Cache | None:
    """The cache of a function wrapped by `lru_cache`; None if it cannot hold anything."""
    if _cache_info(function).maxsize == 0:
        return None
    cache = Cache(name, function, (0, 0), origin)
    cache.info = cache.now()
    return cache


# --- counters -------------------------------------------------------------------------------------

_PARTS: Final = re.compile(r"count\((-?\d+)(?:, (-?\d+))?\)").fullmatch


@dataclass(slots=True)
class Counter:
    """An `itertools.count`, and its repr, which is the only way to read one."""

    space: Namespace
    key: object
    obj: object
    text: str

    @property
    def can_put_back(self) -> bool:
        """Whether its numbers are integers."""
        return _PARTS(self.text) is not None

    def put_back(self) -> None:
        """Replace it by a new counter with the old position: a counter cannot be turned back."""
        if parts := _PARTS(self.text):
            new = itertools.count(int(parts[1]), int(parts[2] or 1))
            self.space.access.write(self.space.owner, self.key, new)
