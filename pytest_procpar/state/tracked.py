"""What was found that holds state and is no space of named values: containers, caches, counters.

It knows where each was found, and not whether it has changed.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from pytest_procpar.state.containers import MOST, Family, Pairs
from pytest_procpar.state.namespaces import MISSING, Namespace, Origin
from pytest_procpar.state.opaque_types import How

__all__ = ["Cache", "Counter", "TrackedContainer", "Stated", "cache_of"]

#: A container that is nested deeper than this in others is not looked for.
_DEEPEST: Final = 5


@dataclass(slots=True)
class TrackedContainer:
    """A container, and what was in it."""

    obj: Any
    family: Family
    #: None if it has too many entries.
    copy: Any
    size: int
    origin: Origin
    #: Where it was found, the place it is named after first.
    parents: list[tuple[Namespace | TrackedContainer, Any]]

    def name(self, key: object) -> str:
        """What a user would type to see an entry, as it was found."""
        parent, own = self.parents[0]
        return f"{parent.name(own)}[{key!r}]"

    def place(self, depth: int = 0) -> str:
        """What a user would type to see it: a name that still leads to it; nothing if none does."""
        return _place(self.obj, self.parents, depth)

    def leads_to(self, obj: object) -> bool:
        """Whether it now has an object among its values."""
        if self.size_now() > MOST:
            return False
        return any(value is obj for value in _values(self.now()))

    def size_now(self) -> int:
        """How many entries it has."""
        return self.family.size(self.obj)

    def now(self) -> Any:
        """A copy of what is in it."""
        return self.family.copy(self.obj)

    def values(self) -> list[Any]:
        """The values that were in it."""
        return _values(self.copy)

    def refill(self) -> None:
        """Give it back what was in it."""
        self.family.refill(self.obj, self.copy)


def _place(obj: object, parents: list[tuple[Namespace | TrackedContainer, Any]], depth: int = 0) -> str:
    for parent, key in parents:
        if isinstance(parent, Namespace):
            if parent.now().get(key, MISSING) is obj:
                return parent.name(key)
        elif depth < _DEEPEST and parent.leads_to(obj) and (place := parent.place(depth + 1)):
            return f"{place}[{key!r}]"
    return ""


def _values(copy: Any) -> list[Any]:
    if isinstance(copy, Pairs):
        return copy.values
    return copy if isinstance(copy, list) else []


# --- objects with a state of their own ------------------------------------------------------------


@dataclass(slots=True)
class Stated:
    """An object whose state is had and set by a call, and what that was."""

    obj: Any
    how: How
    was: Any
    origin: Origin
    #: Where it was found, the place it is named after first.
    parents: list[tuple[Namespace | TrackedContainer, Any]]

    def name(self) -> str:
        """What a user would type to see it: a name that still leads to it; nothing if none does."""
        place = _place(self.obj, self.parents)
        return place and f"{place}{self.how.suffix}"

    def now(self) -> Any:
        """The state as it is."""
        return self.how.state(self.obj)

    def put_back(self) -> None:
        """Give it back its state."""
        self.how.write(self.obj, self.was)


# --- caches ---------------------------------------------------------------------------------------

_LRU: Final = functools._lru_cache_wrapper
_cache_info: Final[Callable[[Any], Any]] = _LRU.cache_info
_cache_clear: Final[Callable[[Any], None]] = _LRU.cache_clear


@dataclass(slots=True)
class Cache:
    """A function's `lru_cache`, and what it said of itself: how often it missed, how much it held."""

    name: str
    function: Any
    info: tuple[int, int]
    origin: Origin

    def now(self) -> tuple[int, int]:
        """What it says now."""
        found = _cache_info(self.function)
        return found.misses, found.currsize

    def clear(self) -> None:
        """Empty it."""
        _cache_clear(self.function)


def cache_of(name: str, function: Any, origin: Origin) -> Cache | None:
    """The cache of a function wrapped by `lru_cache`, if it may hold anything."""
    if _cache_info(function).maxsize == 0:
        return None
    cache = Cache(name, function, (0, 0), origin)
    cache.info = cache.now()
    return cache


# --- counters -------------------------------------------------------------------------------------

_PARTS: Final = re.compile(r"count\((-?\d+)(?:, (-?\d+))?\)").fullmatch


@dataclass(slots=True)
class Counter:
    """An `itertools.count`, and its repr: there is no other way to read one."""

    space: Namespace
    key: Any
    obj: object
    text: str

    @property
    def can_put_back(self) -> bool:
        """Whether its numbers are whole ones."""
        return _PARTS(self.text) is not None

    def put_back(self) -> None:
        """Let a new one that stands where it stood take its place: it cannot be turned back."""
        if parts := _PARTS(self.text):
            new = itertools.count(int(parts[1]), int(parts[2] or 1))
            self.space.access.write(self.space.owner, self.key, new)
