"""Freezes objects, and thaws them as soon as code looks for them through `gc`.

The functions of `gc` skip frozen objects: a suite that looks for leaks with them would find nothing. So while
anything is frozen here, those functions whose answer depends on it are replaced. A replacement first undoes
the freezing, in this process and for good, and puts the originals back, also in modules that have imported a
function by name.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from types import (
    AsyncGeneratorType,
    BuiltinFunctionType,
    CoroutineType,
    FrameType,
    FunctionType,
    GeneratorType,
    MethodType,
)
from typing import Any

__all__ = [
    "collect", "every_object", "freeze", "frozen_count", "get_objects", "get_referrers", "is_frozen",
    "is_seen_elsewhere", "thaw", "thawed",
]  # fmt: skip

#: Packages that collect garbage to get rid of what a test made, and look at nothing (their code was read:
#: pytest 9.2, Hypothesis 6.170, aiohttp 3.14, pytest-asyncio 1.5).
_TIDYING = frozenset({"_pytest", "hypothesis", "aiohttp", "pytest_asyncio"})
#: A package that asks whether anything refers to an object, not what does (read in the same version).
_ASKS_FOR_ANY = "hypothesis"
#: Python 3.12 starts with some hundred frozen objects. Code that freezes a process with pytest freezes more.
_FEW = 5000


class _State:
    """What is frozen in this process.

    Attributes:
        is_frozen: Whether objects were frozen here.
        places: Where the originals were: namespaces, and names in them.
    """

    def __init__(self) -> None:
        self.is_frozen = False
        self.places: list[tuple[dict[str, object], str]] = []


class _Look:
    """Stands in for a function of `gc`: its bound method `stand_in` does what `ask` does.

    It is a bound method for two reasons. As an attribute of a class it does not become a method, just as C
    functions do not. And it is called without a tuple of the arguments, which would refer to them.
    """

    __slots__ = ("real", "stand_in")

    def __init__(self, real: Callable[..., Any]) -> None:
        self.real = real
        # Named like the original: ids of tests are made from its name.
        function = FunctionType(_Look.ask.__code__, globals(), real.__name__)
        function.__qualname__, function.__module__, function.__doc__ = real.__name__, "gc", real.__doc__
        self.stand_in = MethodType(function, self)

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle this as the module `gc`: a pickled method is an object and a name, here one of `gc`."""
        return import_module, ("gc",)

    def ask(self, *args: object, **kwargs: object) -> object:
        """Answer as if nothing were frozen."""
        caller = _frame(1)
        if _STATE.is_frozen and self._tells(args, kwargs, caller):
            thaw()
        return self._answer(args, kwargs, caller)

    def _answer(self, args: tuple[object, ...], kwargs: dict[str, object], caller: FrameType) -> object:
        found = self.real(*args, **kwargs)
        if self is _LOOKS["get_referrers"]:
            return [each for each in found if each is not args and not _runs(each, caller)]
        return found

    def _tells(self, args: tuple[object, ...], kwargs: dict[str, object], caller: FrameType) -> bool:
        """Whether the answer would differ if nothing were frozen."""
        package = _package(caller.f_globals)
        if self is _LOOKS["collect"]:  # if no generation is given, the oldest of three is meant
            return [*args, *kwargs.values(), 2][0] == 2 and package not in _TIDYING
        if self is _LOOKS["get_referrers"] and package == _ASKS_FOR_ANY:
            return not self._answer(args, kwargs, caller)
        return True


def _runs(thing: object, caller: FrameType) -> bool:
    """Whether a coroutine or generator is the one that asks.

    From Python 3.11 to 3.13, while one calls C code, as it would have without us, its references are not
    seen.
    """
    attribute = _FRAMES.get(type(thing))
    return attribute is not None and getattr(thing, attribute) is caller


def _package(space: dict[str, object]) -> str:
    return str(space.get("__name__")).partition(".")[0]


#: The attribute of a coroutine or generator that holds its frame.
_FRAMES: dict[type, str] = (
    {CoroutineType: "cr_frame", GeneratorType: "gi_frame", AsyncGeneratorType: "ag_frame"}
    if (3, 11) <= sys.version_info < (3, 14)
    else {}
)
_frame, _refcount = sys._getframe, sys.getrefcount
_STATE = _State()
#: The functions whose answer depends on what is frozen. Nothing else in this module refers to them.
_LOOKS = {
    name: _Look(getattr(gc, name))
    for name in ("collect", "freeze", "get_freeze_count", "get_objects", "get_referrers", "unfreeze")
}


def collect() -> int:
    """Collect garbage that is not frozen; return the number of objects."""
    return int(_LOOKS["collect"].real())


def get_objects() -> list[Any]:
    """The objects that the garbage collector tracks and that are not frozen."""
    return list(_LOOKS["get_objects"].real())


def every_object() -> list[Any]:
    """All objects that the garbage collector tracks, frozen ones included. They stay frozen."""
    with thawed():
        return get_objects()


def get_referrers(things: list[object]) -> list[object]:
    """The objects that are not frozen and refer to one of these, except for the list itself."""
    return [found for found in _LOOKS["get_referrers"].real(*things) if found is not things]


@contextmanager
def thawed() -> Iterator[None]:
    """Have nothing frozen meanwhile; afterwards all is that was, and what is new as well."""
    if frozen_count() <= _FEW:
        yield
        return
    _LOOKS["unfreeze"].real()
    try:
        yield
    finally:
        _LOOKS["freeze"].real()


def frozen_count() -> int:
    """The number of frozen objects, whatever froze them."""
    return int(_LOOKS["get_freeze_count"].real())


def is_frozen() -> bool:
    """Whether objects were frozen here and have not been looked for since."""
    return _STATE.is_frozen


def freeze() -> None:
    """Freeze all objects until code looks for them. Do nothing if other code has frozen some."""
    if not _STATE.is_frozen:
        if frozen_count() > _FEW:
            return
        _STATE.is_frozen = True
        for space, name, look in _places():
            space[name] = look.stand_in
            _STATE.places.append((space, name))
    _LOOKS["freeze"].real()


def thaw() -> None:
    """Undo the freezing and put the functions of `gc` back, except those that other code has replaced."""
    if not _STATE.is_frozen:
        return
    _STATE.is_frozen = False
    _LOOKS["unfreeze"].real()
    for space, name in _STATE.places:
        look = getattr(space.get(name), "__self__", None)
        if isinstance(look, _Look):
            space[name] = look.real
    _STATE.places.clear()


def is_seen_elsewhere() -> bool:
    """Whether one of the functions was stored where it is not replaced: in a class, or as a default value."""
    counts = [_refcount(look.real) for look in _LOOKS.values()]
    return max(counts) > min(counts)  # no code keeps all of them


def _places() -> Iterator[tuple[dict[str, object], str, _Look]]:
    """Yield where to replace the functions. The standard library keeps none of them by name."""
    looks = {id(look.real): look for look in _LOOKS.values()}
    for module_name, module in list(sys.modules.items()):
        if module_name != "gc" and module_name.partition(".")[0] in sys.stdlib_module_names:
            continue
        space = getattr(module, "__dict__", None)
        if isinstance(space, dict):
            for name, value in list(space.items()):
                if type(value) is BuiltinFunctionType and id(value) in looks:
                    yield space, name, looks[id(value)]
