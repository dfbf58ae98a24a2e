"""What a failing test touches that its process inherited through the fork, and that does not survive a fork.

It is a hint for the user, who may want to make the object later, or to renew it; that it exists proves
nothing. Only objects are named that the test touches: by a name in its code, or in the code of its traceback.
"""

from __future__ import annotations

import io
import random
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from types import CodeType, FrameType, FunctionType, ModuleType, TracebackType
from typing import Any

import pytest

from pytest_procpar.state.namespaces import Origin, origin_of
from pytest_procpar.state.noise import is_framework

__all__ = ["Inherited"]

#: How the names of classes end whose instances hold a connection, whatever the library.
_CONNECTIONS = ("Connection", "Client", "Session", "Engine", "Pool", "Channel", "Cursor", "Executor", "Queue")
#: The most attributes of an object that are looked at.
_MOST = 200
#: Through how many functions names are followed.
_DEEPEST = 3
_LOCKS = (type(threading.Lock()), type(threading.RLock()))


class Inherited:
    """What this process, which was just forked from the process `parent`, inherited from it."""

    def __init__(self, parent: int) -> None:
        self._parent = parent
        #: By module: its globals that do not survive a fork, and what they are.
        self._found: dict[str, dict[str, tuple[object, str]]] = {}
        for name, module in list(sys.modules.items()):
            if _is_of_interest(name, module):
                self._found[name] = self._globals(vars(module))

    def of_test(self, item: pytest.Item) -> str:
        """What the code of a test mentions; empty if it mentions nothing of this kind."""
        function = getattr(item, "function", None)
        code = getattr(function, "__code__", None)
        return self._mentioned(code, function.__globals__) if isinstance(code, CodeType) else ""  # type: ignore[union-attr]

    def of_traceback(self, traceback: TracebackType | None, item: pytest.Item) -> str:
        """What a traceback's frames mention, the last frame first, or else the test; empty if nothing."""
        frames: list[FrameType] = []
        while traceback is not None:
            frames.append(traceback.tb_frame)
            traceback = traceback.tb_next
        for frame in reversed(frames):
            found = self._held_by(frame) or self._mentioned(frame.f_code, frame.f_globals, 0)
            if found:
                return found
        return self.of_test(item)

    def _held_by(self, frame: FrameType) -> str:
        """What one of the frame's variables is: most often the `self` of such an object's method."""
        return next(filter(None, map(self._same_as, frame.f_locals.values())), "")

    def _same_as(self, value: object) -> str:
        """The inherited object that is this very object, in words. Numbers are not compared by identity."""
        for module, found in self._found.items():
            for name, (held, what) in found.items():
                if held is value and not issubclass(type(held), int):
                    return f"{module}.{name} ({what})"
        return ""

    def _global_of(self, module: str, names: list[str]) -> str:
        found = self._found.get(module, {})
        return next((f"{module}.{name} ({found[name][1]})" for name in names if name in found), "")

    def _mentioned(self, code: CodeType, space: Mapping[str, object], deep: int = _DEEPEST) -> str:
        """What a function's code names, or the code of a function that it names."""
        names = _names(code)
        behind = (self._behind(space[name], names, deep) for name in names if name in space)
        return self._global_of(str(space.get("__name__")), names) or next(filter(None, behind), "")

    def _behind(self, value: Any, names: list[str], deep: int) -> str:
        """What a name in code leads to: a module, a function or another global."""
        if issubclass(type(value), ModuleType):
            found = self._global_of(value.__name__, names)
            functions = [vars(value)[name] for name in names if name in vars(value)]
        else:
            found, functions = self._same_as(value), [value]
        for function in functions:
            if found or not deep:
                break
            if issubclass(type(function), FunctionType) and function.__module__ in self._found:
                found = self._mentioned(function.__code__, function.__globals__, deep - 1)
        return found

    def _globals(self, space: Mapping[str, object]) -> dict[str, tuple[object, str]]:
        found: dict[str, tuple[object, str]] = {}
        for name, value in list(space.items()):
            if name.startswith("__"):
                continue
            what = self._what(value) or self._inside(value) or _of_name(value)
            if what:
                found[name] = (value, what)
        return found

    def _inside(self, value: object) -> str:
        """The attribute of an object that does not survive a fork, in words."""
        if issubclass(type(value), (type, ModuleType, FunctionType)):
            return ""
        for name, held in _attributes(value):
            what = self._what(held) or _of_name(held)
            if what:
                return (
                    f"its {name} is {what}"
                    if not issubclass(type(value), (dict, list, tuple))
                    else f"it holds {what}"
                )
        return ""

    def _what(self, value: Any) -> str:
        """What is wrong with an object in a forked process, in words; empty if nothing is known."""
        kind = type(value)
        if kind is int:
            return "the id of the process that was forked from" if value == self._parent else ""
        with suppress(Exception):  # a user's object may do anything
            return _of_files(value) or _of_threads(value) or _of_others(value, kind)
        return ""


def _of_files(value: Any) -> str:
    if issubclass(type(value), io.IOBase):
        is_own = value in (sys.stdin, sys.stdout, sys.stderr, sys.__stdin__, sys.__stdout__, sys.__stderr__)
        return "" if is_own or value.closed or value.fileno() < 3 else "an open file"
    socket = sys.modules.get("socket")
    if socket is not None and issubclass(type(value), socket.socket):
        return "a socket" if value.fileno() >= 0 else ""
    return ""


def _of_threads(value: Any) -> str:
    if issubclass(type(value), threading.Thread):
        is_gone = value.ident is not None and not value.is_alive() and value is not threading.main_thread()
        return "a thread, which stays behind" if is_gone else ""
    if issubclass(type(value), _LOCKS):
        return "a lock that is held" if repr(value).startswith("<locked") else ""
    if issubclass(type(value), threading.Condition | threading.Semaphore):
        return _of_threads(value._lock if issubclass(type(value), threading.Condition) else value._cond)
    return ""


def _of_others(value: Any, kind: type) -> str:
    if issubclass(type(value), subprocess.Popen):
        return "another process's child" if value.poll() is None else ""
    if issubclass(type(value), random.Random) and kind is not random.SystemRandom:
        return "a random generator, alike in all workers"
    return ""


def _of_name(value: object) -> str:
    """What an object is, by its class's name, if that is the name of something that holds a connection."""
    kind = type(value)
    is_one = not issubclass(kind, type) and kind.__name__.endswith(_CONNECTIONS)
    return f"a {kind.__module__.partition('.')[0]} {kind.__name__}" if is_one else ""


def _attributes(value: Any) -> Iterator[tuple[str, object]]:
    held: list[tuple[str, object]] = []
    with suppress(Exception):
        if issubclass(type(value), dict):
            held = [(str(key), one) for key, one in list(value.items())[:_MOST]]
        elif issubclass(type(value), (list, tuple)):
            held = [(str(at), one) for at, one in enumerate(value[:_MOST])]
        else:
            held = list(vars(value).items())[:_MOST]
    yield from held


def _names(code: CodeType) -> list[str]:
    """The names that code uses, including those in nested functions."""
    names = list(code.co_names)
    for constant in code.co_consts:
        if issubclass(type(constant), CodeType):
            names += _names(constant)
    return names


def _is_of_interest(name: str, module: ModuleType) -> bool:
    if is_framework(name) or name.partition(".")[0] in ("pytest_procpar", "__main__"):
        return False
    values = vars(module)
    return values.get("__file__") is not None and origin_of(name, values) is not Origin.STDLIB
