"""Frozen objects, which thaw as soon as somebody looks for what is among them.

The functions of `gc` pass over frozen objects: a suite that looks for leaks through them would find nothing.
So as long as anything is frozen here, those of them that tell are replaced by others, which first undo the
freezing, in this process and for good, and put the originals back; in modules that have imported one by its
name, too.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
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
    "collect", "every_object", "freeze", "frozen_count", "get_objects", "is_frozen", "is_seen_elsewhere",
    "thaw",
]  # fmt: skip

#: Packages that collect garbage to be rid of what a test has made, and look at nothing (their code was read:
#: pytest 9.2, Hypothesis 6.170, aiohttp 3.14, pytest-asyncio 1.5).
_TIDYING = frozenset({"_pytest", "hypothesis", "aiohttp", "pytest_asyncio"})
#: A package that asks whether anything refers to an object, and not what does (the same version).
_ASKS_FOR_ANY = "hypothesis"
#: Python 3.12 begins with some hundred frozen objects; whoever freezes all of a process with pytest has more.
_FEW = 5000


class _State:
    """Of this process.

    Attributes:
        is_frozen: Whether objects are frozen here.
        places: Where the originals were: name spaces, and names in them.
    """

    def __init__(self) -> None:
        self.is_frozen = False
        self.places: list[tuple[dict[str, Any], str]] = []


class _Look:
    """What stands in for a function of `gc`: a method that does as `ask`.

    A bound method, since that does not become a method of a class whose attribute it is, as functions of C do
    not; and since it is called without a tuple of the arguments, which would refer to them.
    """

    __slots__ = ("real", "stand_in")

    def __init__(self, real: Callable[..., Any]) -> None:
        self.real = real
        # Named as the original is: ids of tests are made of that.
        function = FunctionType(_Look.ask.__code__, globals(), real.__name__)
        function.__qualname__, function.__module__, function.__doc__ = real.__name__, "gc", real.__doc__
        self.stand_in = MethodType(function, self)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled, a method is one of its object by its name: here, the function of the module."""
        return import_module, ("gc",)

    def ask(self, *args: Any, **kwargs: Any) -> Any:
        """Answer as if nothing had been frozen."""
        caller = _frame(1)
        if _STATE.is_frozen and self._tells(args, kwargs, caller):
            thaw()
        return self._answer(args, kwargs, caller)

    def _answer(self, args: tuple[Any, ...], kwargs: dict[str, Any], caller: FrameType) -> Any:
        found = self.real(*args, **kwargs)
        if self is _LOOKS["get_referrers"]:
            return [each for each in found if each is not args and not _runs(each, caller)]
        return found

    def _tells(self, args: tuple[Any, ...], kwargs: dict[str, Any], caller: FrameType) -> bool:
        """Whether the answer would differ if nothing were frozen."""
        package = _package(caller.f_globals)
        if self is _LOOKS["collect"]:  # the oldest of three generations is meant if none is named
            return [*args, *kwargs.values(), 2][0] == 2 and package not in _TIDYING
        if self is _LOOKS["get_referrers"] and package == _ASKS_FOR_ANY:
            return not self._answer(args, kwargs, caller)
        return True


def _runs(thing: object, caller: FrameType) -> bool:
    """Whether a coroutine or generator is the one that asks.

    From Python 3.11 to 3.13, what one refers to is not seen while it calls C code, as it would have done.
    """
    attribute = _FRAMES.get(type(thing))
    return attribute is not None and getattr(thing, attribute) is caller


def _package(space: dict[str, Any]) -> str:
    return str(space.get("__name__")).partition(".")[0]


#: Where a coroutine or generator has its frame.
_FRAMES: dict[type, str] = (
    {CoroutineType: "cr_frame", GeneratorType: "gi_frame", AsyncGeneratorType: "ag_frame"}
    if (3, 11) <= sys.version_info < (3, 14)
    else {}
)
_frame, _refcount = sys._getframe, sys.getrefcount
_STATE = _State()
#: The functions whose answer depends on what is frozen. Nothing else here refers to them.
_LOOKS = {
    name: _Look(getattr(gc, name))
    for name in ("collect", "freeze", "get_freeze_count", "get_objects", "get_referrers", "unfreeze")
}


def collect() -> int:
    """Collect garbage that is not frozen: how many objects."""
    return int(_LOOKS["collect"].real())


def get_objects() -> list[Any]:
    """The objects that the garbage collector knows and that are not frozen."""
    return list(_LOOKS["get_objects"].real())


def every_object() -> list[Any]:
    """The objects that the garbage collector knows, those that are frozen as well: they stay so."""
    if frozen_count() <= _FEW:
        return get_objects()
    _LOOKS["unfreeze"].real()
    try:
        return get_objects()
    finally:
        _LOOKS["freeze"].real()


def frozen_count() -> int:
    """How many objects are frozen, by whomever."""
    return int(_LOOKS["get_freeze_count"].real())


def is_frozen() -> bool:
    """Whether objects are frozen here, and nobody has looked."""
    return _STATE.is_frozen


def freeze() -> None:
    """Freeze all objects there are, until somebody looks; none, if somebody else has frozen some."""
    if not _STATE.is_frozen:
        if frozen_count() > _FEW:
            return
        _STATE.is_frozen = True
        for space, name, look in _places():
            space[name] = look.stand_in
            _STATE.places.append((space, name))
    _LOOKS["freeze"].real()


def thaw() -> None:
    """Undo it, and put the functions of `gc` back, but for those in whose place somebody has put another."""
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
    """Whether one of the functions was kept where it is not replaced: in a class, or as a default value."""
    counts = [_refcount(look.real) for look in _LOOKS.values()]
    return max(counts) > min(counts)  # nobody keeps all of them


def _places() -> Iterator[tuple[dict[str, Any], str, _Look]]:
    """Where the functions are to be replaced. The standard library keeps none of them by name."""
    looks = {id(look.real): look for look in _LOOKS.values()}
    for module_name, module in list(sys.modules.items()):
        if module_name != "gc" and module_name.partition(".")[0] in sys.stdlib_module_names:
            continue
        space = getattr(module, "__dict__", None)
        if isinstance(space, dict):
            for name, value in list(space.items()):
                if type(value) is BuiltinFunctionType and id(value) in looks:
                    yield space, name, looks[id(value)]
