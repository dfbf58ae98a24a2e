"""The builtin containers: copies what is in them, tells what differs, and puts it back in place.

The builtin types' own methods are called, never one that a subclass defines. Content is compared by identity,
or by value where that runs no code of the suite. Where a container was found is not known here.
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
from collections.abc import Callable, Iterable, Sequence
from operator import is_
from typing import Final, NamedTuple, TypeAlias

__all__ = [
    "MOST",
    "PLAIN",
    "Content",
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
#: Types for which equality is decided without running a user's code.
PLAIN: Final[frozenset[type]] = frozenset(
    {
        *(int, float, complex, bool, str, bytes, type(None), range, type(...), type(NotImplemented)),
        *(decimal.Decimal, fractions.Fraction, uuid.UUID, re.Pattern),
        *(datetime.date, datetime.datetime, datetime.time, datetime.timedelta, datetime.timezone),
        *(pathlib.PurePosixPath, pathlib.PureWindowsPath, type(pathlib.Path())),
    }
)

#: Content that is nested deeper than this is compared by identity.
_DEEPEST: Final = 3

mro_of: Callable[[type], tuple[type, ...]] = type.__dict__["__mro__"].__get__


class Pairs(NamedTuple):
    """What was in a mapping, in the mapping's order."""

    keys: list[object]
    values: list[object]


#: What was in a container, as it is copied.
Content: TypeAlias = "Pairs | list[object] | frozenset[object] | bytes"


class Family(NamedTuple):
    """How to read and fill one builtin container, whatever a subclass of it overrides."""

    size: Callable[..., int]
    copy: Callable[..., Content]
    #: Puts back what `copy` returned. Runs `__hash__` of the content.
    refill: Callable[..., object]


def _mapping(base: type[dict[object, object]]) -> Family:
    # Bound now: a test may patch the attributes of a class like OrderedDict.
    clear, setitem, keys, values = base.clear, base.__setitem__, base.keys, base.values

    def refill(obj: dict[object, object], content: Pairs) -> None:
        clear(obj)
        for key, value in zip(content.keys, content.values, strict=True):
            setitem(obj, key, value)

    return Family(dict.__len__, lambda obj: Pairs(list(keys(obj)), list(values(obj))), refill)


def _refill_deque(obj: deque[object], content: list[object]) -> None:
    deque.clear(obj)
    deque.extend(obj, content)


def _refill_set(obj: set[object], content: frozenset[object]) -> None:
    set.clear(obj)
    set.update(obj, content)


_FAMILIES: Final[dict[type, Family]] = {
    OrderedDict: _mapping(OrderedDict),
    dict: _mapping(dict),
    # A tuple never changes; the objects in it may.
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
#: Instances of exactly these types are interchangeable if their content is the same; those of a subclass are
#: not.
_EXACT: Final = frozenset({dict, list, set, deque, bytearray, OrderedDict, defaultdict, Counter})


def family_of(kind: type, order: Callable[[type], Iterable[type]] = mro_of) -> Family | None:
    """How to read and fill a type that is, or inherits from, a builtin container; None for others."""
    return next((_FAMILIES[base] for base in order(kind) if base in _FAMILIES), None)


def base_of(kind: type, order: Callable[[type], Iterable[type]] = mro_of) -> str:
    """The name of the builtin container that a type is or inherits from; empty if it is none."""
    base = next((base for base in order(kind) if base in _FAMILIES), None)
    return "" if base is None else "dict" if base is OrderedDict else base.__name__


def same(old: object, new: object, content: Callable[[object], Content | None], depth: int = 0) -> bool:
    """Whether one value can stand for another. NaN is the same as NaN.

    `content` returns what was in a container when it was copied, or None.
    """
    if old is new:
        return True
    kind = type(old)
    if kind is not type(new) or depth > _DEEPEST:
        return False
    if kind in PLAIN:
        return bool(old == new or (old != old and new != new))
    if type(old) is tuple and type(new) is tuple:
        return _all_same(old, new, content, depth)
    if type(old) is frozenset and type(new) is frozenset:
        return _hashed(old) == _hashed(new)
    if type(old) is types.MethodType and type(new) is types.MethodType:
        return old.__self__ is new.__self__ and old.__func__ is new.__func__
    if kind in _EXACT and (was := content(old)) is not None and (family := family_of(kind)):
        return family.size(new) <= MOST and same_content(was, family.copy(new), content, depth + 1)
    return False


def same_content(
    old: Content, new: Content, content: Callable[[object], Content | None], depth: int = 0
) -> bool:
    """Whether two copies of containers of one family have the same content."""
    if isinstance(old, Pairs) and isinstance(new, Pairs):
        # The order in which a dict was filled does not count as a difference.
        return not any(True for _ in differences(old, new, content, depth))
    if isinstance(old, frozenset) and isinstance(new, frozenset):
        return _hashed(old) == _hashed(new)
    if isinstance(old, list) and isinstance(new, list):
        return _all_same(old, new, content, depth)
    return old == new


def differences(
    old: Pairs, new: Pairs, content: Callable[[object], Content | None], depth: int = 0
) -> Iterable[tuple[object, list[object], list[object]]]:
    """The keys whose values differ, each with the old and the new value: lists of one value, or empty."""
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


def untouched(old: Content, new: Content) -> bool:
    """Whether two copies hold the very same objects in the same order: a quick check that suits most."""
    if isinstance(old, Pairs) and isinstance(new, Pairs):
        return untouched(old.keys, new.keys) and untouched(old.values, new.values)
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(map(is_, old, new))
    if isinstance(old, frozenset) and isinstance(new, frozenset):
        return len(old) == len(new) and all(map(is_, old, new))
    return old == new


def _all_same(
    old: Sequence[object], new: Sequence[object], content: Callable[[object], Content | None], depth: int
) -> bool:
    return len(old) == len(new) and all(
        same(one, other, content, depth + 1) for one, other in zip(old, new, strict=True)
    )


def _hashable(value: object) -> object:
    """A hashable substitute for a value, so that a user's `__hash__` and `__eq__` do not run."""
    if type(value) is tuple:
        return tuple, tuple(map(_hashable, value))
    return (type(value), value) if type(value) in PLAIN and value == value else (object, id(value))


def _hashed(values: Iterable[object]) -> set[object]:
    return set(map(_hashable, values))
