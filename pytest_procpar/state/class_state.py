"""What classes know of each other and no attribute holds: subclasses, and what is registered with them."""

from __future__ import annotations

import abc
import importlib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from pytest_procpar.state.containers import mro_of
from pytest_procpar.state.namespaces import class_dict
from pytest_procpar.state.opaque_types import How
from pytest_procpar.system.frozen_heap import collect

if TYPE_CHECKING:
    import weakref

__all__ = ["REGISTRY", "SUBCLASSES"]

_abc: Final = importlib.import_module("_abc")  # missing from the type stubs


def _registry(
    dump: Callable[[type], tuple[Iterable[weakref.ref[type]], object, object, int]] = _abc._get_dump,
    empty: Callable[[type], None] = _abc._reset_registry,
    forget: Callable[[type], None] = _abc._reset_caches,
    register: Callable[[type, type], object] = _abc._abc_register,
    name_of: Callable[[type], str] = type.__dict__["__qualname__"].__get__,
) -> How:
    def read(cls: type) -> tuple[type, ...]:
        found = [ref() for ref in dump(cls)[0]]
        known = [other for other in found if other is not None]
        return tuple(sorted(known, key=lambda other: (name_of(other), id(other))))

    def write(cls: type, registered: tuple[type, ...]) -> None:
        empty(cls)
        for other in registered:
            register(cls, other)
        for base in mro_of(cls):  # they remember what is a subclass of theirs by this class
            if "_abc_impl" in class_dict(base):
                forget(base)

    return How("._dump_registry()", read, write, shown=list)


#: The classes that are registered with an abstract base class.
REGISTRY: Final = _registry()


class _Elsewhere:
    """The base of classes that are to be nobody's subclasses any more."""


class _AbstractElsewhere(abc.ABC):  # noqa: B024
    """The same for those of an abstract class."""


def _subclasses(
    of: Callable[[type], list[type]] = type.__subclasses__,
    bases: Callable[[type], tuple[type, ...]] = type.__dict__["__bases__"].__get__,
    place: Callable[[type, tuple[type, ...]], None] = type.__dict__["__bases__"].__set__,
) -> How:
    def read(cls: type) -> tuple[type, ...]:
        return tuple(of(cls))

    def write(cls: type, were: tuple[type, ...]) -> None:
        collect()  # most often nothing but the class itself holds it
        elsewhere = _AbstractElsewhere if abc.ABC in mro_of(cls) else _Elsewhere
        for other in of(cls):
            if other not in were:  # a class of another layout refuses
                place(other, tuple(elsewhere if base is cls else base for base in bases(other)))

    return How(".__subclasses__()", read, write, way="subclasses", shown=list)


#: The classes that have a class among their bases.
SUBCLASSES: Final = _subclasses()
