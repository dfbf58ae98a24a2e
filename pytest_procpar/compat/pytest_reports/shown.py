"""Carries values of ``user_properties`` to another process, where reporters use them as text or as data.

Reporters write their `str`, their `repr` or their JSON. An object arrives as a string that equals its `str`
and has its `repr`. A number, string or container arrives as one, with both texts if its class has other ones
(an enumeration, a named tuple). The class itself does not arrive: it may belong to a test module, which the
other process never imports.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

__all__ = ["from_shown", "to_shown"]

#: A value that is no exact builtin travels as a tuple: this mark, its builtin value or None, `str`, `repr`.
_MARK = "procpar-shown"
#: Anything nested deeper than this is left out.
_DEEPEST = 20
_ELLIPSIS = (_MARK, None, "[...]", "[...]")

_EXACT = (type(None), bool, int, float, str, bytes)
_SCALARS: tuple[type, ...] = (int, float, str, bytes)
_CONTAINERS = (list, tuple, dict, set, frozenset)

_Container: TypeAlias = (
    "list[object] | tuple[object, ...] | dict[object, object] | set[object] | frozenset[object]"
)


def to_shown(value: object) -> object:
    """The value in exact builtins and without cycles, for `from_shown`. Never fails, whatever the value."""
    return _Copy().of(value, 0)


class _Copy:
    def __init__(self) -> None:
        #: The copies of containers, by the id of the original: each is copied once.
        self._known: dict[int, object] = {}

    def of(self, value: object, depth: int) -> object:
        kind = type(value)
        if kind in _EXACT:
            return value
        if id(value) not in self._known:
            if depth > _DEEPEST:
                return _ELLIPSIS
            self._known[id(value)] = _ELLIPSIS  # for a container that contains itself, as in Python's repr
            try:
                self._known[id(value)] = self._fill(kind, value, depth)
            except Exception:  # a class that only claims to be a subclass, or a container that changes
                self._known[id(value)] = _marked(value, None)
        return self._known[id(value)]

    def _fill(self, kind: type, value: object, depth: int) -> object:
        base = next((base for base in (*_SCALARS, *_CONTAINERS) if issubclass(kind, base)), None)
        if base is None:
            return _marked(value, None)
        exact = value if kind is base else _exact[base](value)
        copy = self._contents(base, exact, depth) if isinstance(exact, _CONTAINERS) else exact
        if kind is base:
            is_like_ours = isinstance(value, tuple) and value[:1] == (_MARK,)
            return _marked(value, list(copy)) if is_like_ours and isinstance(copy, tuple) else copy
        marked = _marked(value, copy)
        return copy if marked[2:] == _marked(exact, None)[2:] else marked

    def _contents(
        self, kind: Callable[[Iterable[object]], object], value: Iterable[object], depth: int
    ) -> object:
        if isinstance(value, dict):
            return {self.of(key, depth + 1): self.of(entry, depth + 1) for key, entry in value.items()}
        return kind(self.of(entry, depth + 1) for entry in value)


#: What gets the builtin value from an instance of a subclass, whatever the class overrides.
_exact: dict[type, Callable[..., object]] = {
    int: int.__int__,
    float: float.__float__,
    str: str.__str__,
    bytes: lambda value: bytes.__getitem__(value, slice(None)),
    list: lambda value: list(list.__iter__(value)),
    tuple: lambda value: tuple(tuple.__iter__(value)),
    dict: lambda value: dict(dict.items(value)),
    set: lambda value: set(set.__iter__(value)),
    frozenset: lambda value: frozenset(frozenset.__iter__(value)),
}


def _marked(value: object, exact: object) -> tuple[object, ...]:
    """The tuple that is carried for a value."""
    return (_MARK, exact, _text(str, value), _text(repr, value))


def _text(show: Callable[[object], str], value: object) -> str:
    try:
        return str.__str__(show(value))
    except Exception as error:
        return f"<{type(value).__name__} whose {show.__name__} raised {type(error).__name__}>"


def from_shown(value: object) -> object:
    """Make the value that `to_shown` was given, with stand-ins for objects of other classes."""
    known: dict[int, object] = {}

    def made(value: object) -> object:
        if not isinstance(value, _CONTAINERS):
            return value
        if id(value) not in known:
            known[id(value)] = make(value)
        return known[id(value)]

    def make(value: _Container) -> object:
        if isinstance(value, tuple) and len(value) == 4 and value[0] == _MARK:
            _, exact, text, shown = value
            return _stand_in(made(exact), str(text), str(shown))
        if isinstance(value, dict):
            return {made(key): made(entry) for key, entry in value.items()}
        return type(value)(map(made, value))

    return made(value)


class _Shown:
    """Has the `str` and the `repr` of an object of another process."""

    shown: tuple[str, str]

    def __str__(self) -> str:
        return self.shown[0]

    def __repr__(self) -> str:
        return self.shown[1]


#: The subclass of each builtin type whose instances have texts of their own.
_kinds: dict[type, type] = {}


def _stand_in(exact: object, text: str, shown: str) -> object:
    value = text if exact is None else exact
    base = type(value)
    if base not in _kinds:
        _kinds[base] = type("Shown", (_Shown, base), {})
    made = _kinds[base](value)
    made.shown = (text, shown)
    return made
