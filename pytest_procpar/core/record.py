"""Frozen records, like `dataclasses.dataclass(frozen=True, slots=True)`, but made in a sixth of the time.

About forty classes of the core are records, and every run imports them before it forks anything. A dataclass
of that kind takes 0.3 ms to make (measured on CPython 3.11 and 3.13: 12 ms for all of them, while a whole run
of one test may take 60 ms), because each method is compiled and the class is built twice. Here one method is
compiled, when the first object is made, and the class is built once. Type checkers treat a record as a frozen
dataclass, and only they keep it from being changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**_options: object) -> object:
        """Do nothing at run time: Python has this function from 3.11 on."""
        return lambda decorator: decorator


__all__ = ["changed", "fields", "record"]

_T = TypeVar("_T")


def fields(kind: type) -> tuple[str, ...]:
    """The names of a record's fields, in the order of its constructor's arguments."""
    return kind.__match_args__  # type: ignore[attr-defined, no-any-return]


def changed(old: _T, **values: object) -> _T:
    """A copy of the record `old` with these fields replaced."""
    kind = type(old)
    known = {name: getattr(old, name) for name in fields(kind)}
    return kind(**{**known, **values})


def _equal(self: object, other: object) -> bool:
    if type(self) is not type(other):
        return False
    return _values(self) == _values(other)


def _hash(self: object) -> int:
    return hash((type(self), _values(self)))


def _repr(self: object) -> str:
    values = zip(fields(type(self)), _values(self), strict=True)
    return f"{type(self).__qualname__}({', '.join(f'{name}={value!r}' for name, value in values)})"


def _values(self: object) -> tuple[object, ...]:
    return tuple([getattr(self, name) for name in fields(type(self))])


@dataclass_transform(frozen_default=True)
def record(cls: type[_T]) -> type[_T]:
    """Make a record of a class that only annotates its fields, and gives some of them a default.

    Records are equal if they have the same class and equal fields, and hashable if their fields are.
    """
    body = dict(cls.__dict__)
    names = tuple(body.get("__annotations__") or cls.__annotations__)
    defaults = {name: body.pop(name) for name in names if name in body}
    for name in ("__dict__", "__weakref__"):
        body.pop(name, None)
    parameters = "".join(f", {name}={name}" if name in defaults else f", {name}" for name in names)
    lines = "".join(f"\n    self.{name} = {name}" for name in names) or "\n    pass"

    def begin(self: object, *values: object, **named: object) -> None:
        """Make the constructor: most classes have no object in most processes."""
        scope: dict[str, object] = dict(defaults)
        exec(f"def __init__(self{parameters}):{lines}", scope)
        made.__init__ = scope["__init__"]  # type: ignore[assignment,method-assign]
        made.__init__(self, *values, **named)

    body.update(
        __slots__=names, __match_args__=names, __init__=begin, __eq__=_equal, __hash__=_hash, __repr__=_repr
    )
    made: type[_T] = type(cls.__name__, cls.__bases__, body)
    made.__qualname__ = cls.__qualname__
    return made
