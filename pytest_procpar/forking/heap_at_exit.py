"""Leaves the heap to the kernel when the process ends, if nobody can tell the difference.

At its end, Python collects what is left in cycles, and frees it piece by piece: 30 ms for pytest and its
plugins, and more for every test. That makes a difference only if something in a cycle acts when it is freed:
it has `__del__`, a weak reference to it has a callback, or it is written in C. A heap without any of these is
frozen, so that its cycles stay until the kernel drops them.

The rest of Python's end is as ever, since this is an exit handler and not a way out: other handlers, the
joining of threads, flushing, the exit status, and the finalizers of all that no cycle keeps.
"""

from __future__ import annotations

import atexit
import gc
import io
import sys
import weakref
from collections.abc import Iterator
from importlib.machinery import EXTENSION_SUFFIXES
from itertools import compress, repeat
from operator import is_
from os import getpid
from types import AsyncGeneratorType, BuiltinFunctionType, CoroutineType, GeneratorType

from pytest_procpar.system import frozen_heap

__all__ = ["is_mute", "leave_heap_at_exit"]

_HAS_GC = 1 << 14  # Py_TPFLAGS_HAVE_GC
#: Modules of the standard library whose objects write or close something when they are freed, without
#: `__del__` and unseen by the garbage collector.
_CLOSING = frozenset({"_dbm", "_gdbm", "_tkinter"})
#: A class like those whose objects are seen.
_CONNECTION = ("sqlite3", "Connection")
#: A class whose objects the collector does not see either: they only close a folder.
_FOLDER = ("posix", "ScandirIterator")
#: Python's own callbacks in C: they keep the books of abstract classes and of thread-local objects.
_BOOKKEEPERS = frozenset({"_destroy", "_localdummy_destroyed"})
_PYTESTS = frozenset({"_pytest", "pytest", "pluggy", "pytest_procpar"})
_MEMORY_STREAMS = frozenset({io.BytesIO, io.StringIO})
_STREAMS = frozenset(
    {io.BufferedRandom, io.BufferedReader, io.BufferedRWPair, io.BufferedWriter, io.FileIO, io.TextIOWrapper}
)
#: What runs on when it is freed if it is suspended, with the attribute that is None once it has ended.
_FRAMES = {GeneratorType: "gi_frame", CoroutineType: "cr_frame", AsyncGeneratorType: "ag_frame"}

#: The processes that have registered the handler: forked ones inherit it.
_registered: set[int] = set()


def leave_heap_at_exit() -> None:
    """When this process ends, leave to the kernel what is in cycles, if that makes no difference."""
    owner = getpid()
    if owner not in _registered:
        _registered.add(owner)
        atexit.register(_leave, owner)


def _leave(owner: int) -> None:
    if getpid() == owner and is_mute():
        frozen_heap.freeze()


def is_mute() -> bool:
    """Whether nothing that can be noticed happens when this process frees what is in cycles.

    Under ``-X dev`` or ``-W``, warnings of what was left open may be wanted.
    """
    if gc.callbacks or gc.get_debug() or sys.flags.dev_mode or sys.warnoptions:
        return False
    if _CLOSING & sys.modules.keys() or any(
        map(_is_foreign_extension, *zip(*sys.modules.items(), strict=True))
    ):
        return False
    everything = frozen_heap.every_object()
    kinds = list(map(type, everything))  # in C, as far as can be: there are tens of thousands
    suspects = {kind for kind in set(kinds) if _may_speak(kind)}
    streams = {id(stream) for stream in _standard_streams()}
    for suspect in compress(everything, map(suspects.__contains__, kinds)):
        if id(suspect) not in streams and not _is_silent(suspect):
            return False
    return not any(map(_has_unseen_objects, compress(everything, map(is_, kinds, repeat(type)))))


def _is_foreign_extension(name: str, module: object) -> bool:
    """Whether a module is written in C and no part of Python: its objects may do anything when freed."""
    file = getattr(module, "__file__", None)
    return (
        isinstance(file, str)
        and file.endswith(tuple(EXTENSION_SUFFIXES))
        and name.partition(".")[0] not in sys.stdlib_module_names
    )


def _is_finalized(kind: type) -> bool:
    return any("__del__" in vars(base) for base in kind.__mro__)


def _has_unseen_objects(kind: type) -> bool:
    """Whether objects of a class have a finalizer, and the garbage collector does not see them."""
    seen = kind.__flags__ & _HAS_GC or (kind.__module__, kind.__name__) == _FOLDER
    return not seen and _is_finalized(kind)


def _may_speak(kind: type) -> bool:
    return (
        _is_finalized(kind)
        or kind in _FRAMES
        or issubclass(kind, weakref.ref)
        or (kind.__module__, kind.__name__) == _CONNECTION
    )


def _is_silent(thing: object) -> bool:
    """Whether an object of a kind that may speak does nothing when it is freed."""
    kind = type(thing)
    if kind in _FRAMES:
        return getattr(thing, _FRAMES[kind]) is None
    if isinstance(thing, weakref.ref):
        callback: object = thing.__callback__
        return callback is None or _keeps_books(callback)
    if kind in _STREAMS:
        return _is_closed(thing)
    return kind in _MEMORY_STREAMS or _is_closed_socket(thing)


def _keeps_books(callback: object) -> bool:
    """Whether the callback of a weak reference is one of Python's or pytest's."""
    if isinstance(callback, BuiltinFunctionType):
        return callback.__name__ in _BOOKKEEPERS
    package = str(getattr(callback, "__module__", None)).partition(".")[0]
    return package in sys.stdlib_module_names or package in _PYTESTS


def _is_closed(stream: object) -> bool:
    try:
        return getattr(stream, "closed", False) is True
    except ValueError:  # detached: what it wrote to has another owner
        return True


def _is_closed_socket(thing: object) -> bool:
    socket = getattr(sys.modules.get("_socket"), "socket", None)
    if socket is None or not isinstance(thing, socket):
        return False
    return getattr(type(thing), "__del__", None) is socket.__del__ and thing.fileno() == -1


def _standard_streams() -> Iterator[object]:
    """Yield the streams that Python itself flushes at the end, with those beneath them."""
    for stream in (sys.__stdin__, sys.__stdout__, sys.__stderr__):
        layer: object = stream
        for below in ("buffer", "raw", ""):
            yield layer
            try:
                layer = getattr(layer, below, None)
            except ValueError:  # detached
                break
