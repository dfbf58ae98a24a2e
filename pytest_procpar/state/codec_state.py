"""What `codecs.register` and `codecs.register_error` change. Python has no function that tells it.

The interpreter keeps both in containers of its own, which the garbage collector knows. They are found
among all objects by what every interpreter puts into them when it starts.
"""

from __future__ import annotations

import codecs
import encodings
from collections.abc import Callable, Iterator
from typing import Final

from pytest_procpar.state.namespaces import Access, Namespace, Origin
from pytest_procpar.system.frozen_heap import every_object

__all__ = ["codec_spaces"]

_SEARCH: Final = "codecs.register()"
_register: Final = codecs.register
_unregister: Final = codecs.unregister
_first: Final[Callable[[str], object]] = encodings.search_function
_strict: Final = codecs.lookup_error("strict")
_ignore: Final = codecs.lookup_error("ignore")


class _Found:
    """The interpreter's containers, once they were looked for."""

    functions: list[object] | None = None
    handlers: dict[str, object] | None = None
    looked = False


def _look() -> None:
    _Found.looked = True
    for thing in every_object():
        if type(thing) is list and thing and thing[0] is _first:
            _Found.functions = thing
        elif type(thing) is dict and thing.get("strict") is _strict and thing.get("ignore") is _ignore:
            _Found.handlers = thing


def _search_for(functions: list[object], found: tuple[object, ...]) -> None:
    """Let these functions find encodings, and forget what others have found."""
    functions[:] = found
    _register(_nothing)
    _unregister(_nothing)


def _nothing(name: str) -> None:
    """Finds no encoding."""


_SEARCHES: Final = Access(
    lambda functions: {_SEARCH: tuple(functions)},
    lambda functions, _, found: _search_for(functions, found),
    None,
    lambda _, key: str(key),
    "setting",
)
_HANDLERS: Final = Access(
    lambda handlers: handlers,
    dict.__setitem__,
    lambda handlers, name: handlers.pop(name, None),
    lambda place, name: f"{place}({name!r})",
    "setting",
)


def codec_spaces() -> Iterator[Namespace]:
    """The functions that find encodings, and the error handlers by name."""
    if not _Found.looked:
        _look()
    functions, handlers = _Found.functions, _Found.handlers
    if functions is not None:
        yield Namespace("", functions, _SEARCHES, Origin.OURS, _SEARCHES.read(functions))
    if handlers is not None:
        yield Namespace("codecs.lookup_error", handlers, _HANDLERS, Origin.OURS, dict(handlers))
