"""Namespaces: modules, classes, instances, functions, the environment; how to read and set their values.

A namespace is a set of named values with an owner. Reading one runs no code of the suite: no property, no
`__getattr__`, no metaclass.
"""

from __future__ import annotations

import functools
import sys
import threading
import types
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, NamedTuple, TypeAlias

from pytest_procpar.core.evidence.installed import is_installed
from pytest_procpar.state.containers import mro_of

__all__ = [
    "CLASS",
    "DICT",
    "FUNCTION",
    "MISSING",
    "SLOTS",
    "Access",
    "Origin",
    "Namespace",
    "Values",
    "class_dict",
    "dict_of",
    "is_of_tests",
    "origin_of",
    "slots_of",
    "values_of",
]


class _Missing:
    __slots__ = ()


#: Stands for a value that is not there.
MISSING: Final = _Missing()


class Origin(IntEnum):
    """Who wrote the code that a value belongs to, nearest first."""

    #: A module of the tests, or of the project.
    OURS = 0
    #: An installed distribution.
    INSTALLED = 1
    STDLIB = 2


#: The values of an owner by key, which is a name or a context variable.
Values: TypeAlias = Mapping[Any, object]


class Access(NamedTuple):
    """How values of one kind of owner are read and set."""

    read: Callable[..., Values]
    #: Takes the owner, the key and the value.
    write: Callable[..., object]
    #: Takes the owner and the key. None if a value cannot be removed again.
    erase: Callable[..., object] | None
    #: The name of a value, from the owner's name and the key.
    name: Callable[..., str]
    #: What kind of slot such a value is, for code that writes what puts it back: see `remedies.Slot`.
    way: str = ""


@dataclass(slots=True)
class Namespace:
    """An owner of named values, and the values that it had."""

    place: str
    owner: object
    access: Access
    origin: Origin
    before: Values
    #: Only these keys are looked at; None for all.
    keys: frozenset[object] | None = None

    def now(self) -> Values:
        """The values as they are now."""
        found = self.access.read(self.owner)
        return found if self.keys is None else {key: found[key] for key in self.keys if key in found}

    def name(self, key: object) -> str:
        """What a user would type to see the value."""
        return self.access.name(self.place, key)

    def can_put_back(self, key: object) -> bool:
        """Whether `put_back` can restore this value."""
        return key in self.before or self.access.erase is not None

    def put_back(self, key: object) -> None:
        """Restore one value."""
        if key in self.before:
            self.access.write(self.owner, key, self.before[key])
        elif self.access.erase is not None:
            self.access.erase(self.owner, key)


def _dotted(place: str, key: object) -> str:
    return f"{place}.{key}" if isinstance(key, str) and key.isidentifier() else f"vars({place})[{key!r}]"


def _joined(place: str, key: object) -> str:
    return f"{place}.{key}"


# --- dictionaries of modules and instances ----------------------------------------------------------

#: The owner is the dictionary itself.
DICT: Final = Access(lambda owner: owner, dict.__setitem__, dict.__delitem__, _dotted, "attribute")


# --- classes --------------------------------------------------------------------------------------

class_dict: Callable[[type], Mapping[str, Any]] = type.__dict__["__dict__"].__get__


def _set_on_class(
    owner: type, key: str, value: object, put: Callable[[type, str, object], None] = type.__setattr__
) -> None:
    try:
        put(owner, key, value)
    except TypeError:  # a metaclass written in C that wants its own method (ctypes)
        setattr(owner, key, value)


def _delete_on_class(owner: type, key: str, delete: Callable[[type, str], None] = type.__delattr__) -> None:
    try:
        delete(owner, key)
    except TypeError:
        delattr(owner, key)


CLASS: Final = Access(class_dict, _set_on_class, _delete_on_class, _dotted, "class attribute")


# --- instances ------------------------------------------------------------------------------------


#: Both are written in C; a module's `__dict__` is of the second kind.
_DESCRIPTORS: Final = (types.GetSetDescriptorType, types.MemberDescriptorType)


#: Bound from the type, so that what a subclass overrides is not run.
_LOCAL: Final = threading.local
_read_local: Final[Callable[..., dict[str, object]]] = _LOCAL.__getattribute__


def _dict_of_local(obj: object) -> dict[str, object]:
    return _read_local(obj, "__dict__")


def dict_of(kind: type) -> Callable[[object], dict[str, object]] | None:
    """How to read the `__dict__` of a type's instances without running their code; None if they have none."""
    for base in mro_of(kind):
        if base is _LOCAL:  # the values of the current thread
            return _dict_of_local
        found = class_dict(base).get("__dict__")
        if found is not None:
            return found.__get__ if type(found) in _DESCRIPTORS else None
    return None


def slots_of(kind: type) -> dict[str, types.MemberDescriptorType]:
    """The descriptors of a Python class's `__slots__`."""
    return {
        name: found
        for base in reversed(mro_of(kind))
        if "__slots__" in class_dict(base)
        for name, found in class_dict(base).items()
        if type(found) is types.MemberDescriptorType
    }


def _read_slots(owner: tuple[object, dict[str, types.MemberDescriptorType]]) -> dict[str, object]:
    obj, members = owner
    found = {}
    for name, member in members.items():
        with suppress(AttributeError):  # it has no value
            found[name] = member.__get__(obj)
    return found


_fields_of: Final = tuple(
    (name, vars(functools.partial)[name].__get__) for name in ("func", "args", "keywords")
)
_set_partial: Final = functools.partial.__setstate__  # type: ignore[attr-defined]


def _write_partial(owner: functools.partial[object], key: str, value: object) -> None:
    fields = {**_read_partial(owner), key: value}
    _set_partial(owner, (*fields.values(), vars(owner)))


def _read_partial(owner: functools.partial[object]) -> dict[str, object]:
    return {name: get(owner) for name, get in _fields_of}


#: The owner is a `functools.partial`: the function that it calls, and the arguments.
PARTIAL: Final = Access(_read_partial, _write_partial, None, _dotted)

#: The owner is a pair: an instance, and what `slots_of` returns for its type.
SLOTS: Final = Access(
    _read_slots,
    lambda owner, key, value: owner[1][key].__set__(owner[0], value),
    lambda owner, key: owner[1][key].__delete__(owner[0]),
    _dotted,
    "attribute",
)


# --- functions ------------------------------------------------------------------------------------


def _read_function(function: types.FunctionType) -> dict[str, object]:
    found: dict[str, object] = {
        "__code__": function.__code__,
        "__defaults__": function.__defaults__,
        "__kwdefaults__": function.__kwdefaults__,
    }
    for index, cell in enumerate(function.__closure__ or ()):
        with suppress(ValueError):  # it is empty
            found[f"__closure__[{index}].cell_contents"] = cell.cell_contents
    found.update(function.__dict__)
    return found


def _cell(function: types.FunctionType, key: str) -> types.CellType | None:
    if key.startswith("__closure__["):
        return (function.__closure__ or ())[int(key[len("__closure__[") : key.index("]")])]
    return None


def _set_on_function(function: types.FunctionType, key: str, value: object) -> None:
    if cell := _cell(function, key):
        cell.cell_contents = value
    elif key in ("__code__", "__defaults__", "__kwdefaults__"):
        setattr(function, key, value)
    else:
        function.__dict__[key] = value


def _delete_on_function(function: types.FunctionType, key: str) -> None:
    if cell := _cell(function, key):
        del cell.cell_contents
    else:
        function.__dict__.pop(key, None)


FUNCTION: Final = Access(_read_function, _set_on_function, _delete_on_function, _joined, "attribute")


# --- modules --------------------------------------------------------------------------------------


def values_of(module: object) -> dict[str, object] | None:
    """The dictionary of a module, or of whatever takes the place of one."""
    read = dict_of(type(module))
    values = None if read is None else read(module)
    return values if type(values) is dict else None


def origin_of(name: str, values: dict[str, object]) -> Origin:
    """Who wrote a module, judged by its name and file."""
    if name.partition(".")[0] in sys.stdlib_module_names:
        return Origin.STDLIB
    file = values.get("__file__")
    return Origin.INSTALLED if isinstance(file, str) and is_installed(file) else Origin.OURS


def is_of_tests(name: str) -> bool:
    """Whether a module, judged by its name, holds tests."""
    parts = name.split(".")
    last = parts[-1]
    return (
        last == "conftest"
        or last.startswith("test_")
        or last.endswith("_test")
        or parts[0] in ("test", "tests")
    )
