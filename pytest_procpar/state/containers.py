"""The builtin containers: copying what is in them, telling what differs, and putting it back in place.

It calls the builtin types' own methods, never one that a subclass has defined, and compares what is in a
container by identity, or by value where that runs nobody's code. It does not know where a container was
found.
"""

from __future__ import annotations

import datetime
import decimal
import fractions
import pathlib
import re
import types
import uuid
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from operator import is_
from typing import Any, Final, NamedTuple

__all__ = [
    "MOST",
    "PLAIN",
    "Family",
    "Pairs",
    "base_of",
    "differences",
    "family_of",
    "mro_of",
    "same",
    "same_content",
    "untouched",
]

#: A container with more entries than this is not copied.
MOST: Final = 10_000
#: Whether two of a type are equal is decided without running a user's code.
PLAIN: Final[frozenset[type]] = frozenset(
    {
        *(int, float, complex, bool, str, bytes, type(None), range, type(...), type(NotImplemented)),
        *(decimal.Decimal, fractions.Fraction, uuid.UUID, re.Pattern),
        *(datetime.date, datetime.datetime, datetime.time, datetime.timedelta, datetime.timezone),
        *(pathlib.PurePosixPath, pathlib.PureWindowsPath, type(pathlib.Path())),
    }
)

#: Nested deeper than this, what is in containers is compared by identity.
_DEEPEST: Final = 3

mro_of: Callable[[type], tuple[type, ...]] = type.__dict__["__mro__"].__get__


class Pairs(NamedTuple):
    """What was in a mapping, in its order."""

    keys: list[Any]
    values: list[Any]


class Family(NamedTuple):
    """How one builtin container is read and filled, whatever a subclass of it overrides."""

    size: Callable[[Any], int]
    #: What is in it, as `Pairs`, a list, a frozenset or bytes.
    copy: Callable[[Any], Any]
    #: Give it back what `copy` returned. Runs `__hash__` of what is in it.
    refill: Callable[[Any, Any], object]


def _mapping(base: Any) -> Family:
    # Bound now: a test may patch the attributes of a class like OrderedDict.
    clear, setitem, keys, values = base.clear, base.__setitem__, base.keys, base.values

    def refill(obj: Any, content: Pairs) -> None:
        clear(obj)
        for key, value in zip(content.keys, content.values, strict=True):
            setitem(obj, key, value)

    return Family(dict.__len__, lambda obj: Pairs(list(keys(obj)), list(values(obj))), refill)


def _refill_deque(obj: deque[Any], content: list[Any]) -> None:
    deque.clear(obj)
    deque.extend(obj, content)


def _refill_set(obj: set[Any], content: frozenset[Any]) -> None:
    set.clear(obj)
    set.update(obj, content)


_FAMILIES: Final[dict[type, Family]] = {
    OrderedDict: _mapping(OrderedDict),
    dict: _mapping(dict),
    # It never changes; what is in it may.
    tuple: Family(tuple.__len__, lambda obj: list(tuple.__iter__(obj)), lambda obj, old: None),
    list: Family(list.__len__, list.copy, lambda obj, old: list.__setitem__(obj, slice(None), old)),
    set: Family(set.__len__, frozenset, _refill_set),
    deque: Family(deque.__len__, lambda obj: list(deque.__iter__(obj)), _refill_deque),
    bytearray: Family(
        bytearray.__len__,
        lambda obj: bytes(bytearray.__getitem__(obj, slice(None))),
        lambda obj, old: bytearray.__setitem__(obj, slice(None), old),
    ),
}
#: Of these and no subclass: two with the same content are as good as each other.
_EXACT: Final = frozenset({dict, list, set, deque, bytearray, OrderedDict, defaultdict, Counter})


def family_of(kind: type, order: Callable[[type], Iterable[type]] = mro_of) -> Family | None:
    """How a type's content is kept, if it is or inherits from a builtin container."""
    return next((_FAMILIES[base] for base in order(kind) if base in _FAMILIES), None)


def base_of(kind: type, order: Callable[[type], Iterable[type]] = mro_of) -> str:
    """The name of the builtin container that a type is or inherits from; empty if it is none."""
    base = next((base for base in order(kind) if base in _FAMILIES), None)
    return "" if base is None else "dict" if base is OrderedDict else base.__name__


def same(old: object, new: object, content: Callable[[object], Any], depth: int = 0) -> bool:
    """Whether one value is as good as another. NaN is the same as NaN.

    `content` gives what was in a container when it was copied, or None.
    """
    if old is new:
        return True
    kind = type(old)
    if kind is not type(new) or depth > _DEEPEST:
        return False
    if kind in PLAIN:
        return bool(old == new or (old != old and new != new))
    if kind is tuple:
        return _all_same(old, new, content, depth)
    if kind is frozenset:
        return _hashed(old) == _hashed(new)  # type: ignore[arg-type,unused-ignore]
    if kind is types.MethodType:
        return old.__self__ is new.__self__ and old.__func__ is new.__func__  # type: ignore[attr-defined]
    if kind in _EXACT and (was := content(old)) is not None and (family := family_of(kind)):
        return family.size(new) <= MOST and same_content(was, family.copy(new), content, depth + 1)
    return False


def same_content(old: Any, new: Any, content: Callable[[object], Any], depth: int = 0) -> bool:
    """Whether two copies of containers of one family hold the same."""
    if isinstance(old, Pairs):
        # The order in which a dict was filled is no difference of its content.
        return not any(True for _ in differences(old, new, content, depth))
    if isinstance(old, frozenset):
        return _hashed(old) == _hashed(new)
    if isinstance(old, bytes):
        return bool(old == new)
    return _all_same(old, new, content, depth)


def differences(
    old: Pairs, new: Pairs, content: Callable[[object], Any], depth: int = 0
) -> Iterable[tuple[Any, list[Any], list[Any]]]:
    """The keys whose values differ, each with what it had and what it has: a list of one value, or empty."""
    ours = {_hashable(key): value for key, value in zip(old.keys, old.values, strict=True)}
    theirs = {_hashable(key): value for key, value in zip(new.keys, new.values, strict=True)}
    for key in old.keys:
        mark = _hashable(key)
        if mark not in theirs:
            yield key, [ours[mark]], []
        elif not same(ours[mark], theirs[mark], content, depth):
            yield key, [ours[mark]], [theirs[mark]]
    for key in new.keys:
        if (mark := _hashable(key)) not in ours:
            yield key, [], [theirs[mark]]


def untouched(old: Any, new: Any) -> bool:
    """Whether two copies hold the very same objects in the same order: the quick answer for most."""
    if isinstance(old, Pairs):
        return untouched(old.keys, new.keys) and untouched(old.values, new.values)
    if isinstance(old, list):
        return len(old) == len(new) and all(map(is_, old, new))
    if isinstance(old, frozenset):
        return len(old) == len(new) and all(map(is_, old, new))
    return bool(old == new)


def _all_same(old: Any, new: Any, content: Callable[[object], Any], depth: int) -> bool:
    return len(old) == len(new) and all(
        same(one, other, content, depth + 1) for one, other in zip(old, new, strict=True)
    )


def _hashable(value: Any) -> Any:
    """What stands for a value where it must be hashed: a user's `__hash__` and `__eq__` do not run."""
    if type(value) is tuple:
        return tuple, tuple(map(_hashable, value))
    return (type(value), value) if type(value) in PLAIN and value == value else (object, id(value))


def _hashed(values: Iterable[Any]) -> set[Any]:
    return set(map(_hashable, values))
