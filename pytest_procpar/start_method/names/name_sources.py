"""Watches where the standard library makes values that are unique to a process.

Where possible, it replaces what a module looks up in itself at each call, not what users import by name. What
they did import keeps working after the end, and modules get the original back. C code is not seen.
"""

from __future__ import annotations

import functools
import os
import pathlib
import random
import re
import socket
import sys
import tempfile
import threading
import uuid
import weakref
from collections.abc import Callable
from contextlib import suppress
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any, Final

import pytest

from pytest_procpar.start_method.names.diverting import Builtin, code_that_calls, copy_of
from pytest_procpar.start_method.names.made import (
    BYTES,
    FILE,
    FOLDER,
    NUMBERED,
    PID,
    PORT,
    RANDOM,
    UUID,
    Made,
)
from pytest_procpar.start_method.names.temporary_names import Candidates

__all__ = ["NameSources"]


#: Takes a value, and the frame that made it or asked for it.
Note = Callable[[Made, FrameType], None]
_Call = Callable[..., object]

_MAKERS = frozenset({"uuid1", "uuid4", "uuid6", "uuid7", "uuid8"})
#: Methods of generators whose results may become names; shuffled lists do not.
_METHODS = ("choice", "choices", "sample", "randint", "randrange", "randbytes")

#: What ends the name of a folder that was given a number.
_NUMBERED = re.compile(r"\d[/\\]?$")

#: Longer lists are data.
_LONGEST = 65

_ABSENT: Final = object()


class NameSources:
    """Watches the sources between `watch` and `release`."""

    def __init__(self, note: Note) -> None:
        self._note = _careful(note)
        self._is_on = False
        #: Owner, name, the original (if it was the owner's own), the replacement.
        self._replaced: list[tuple[object, str, object, object]] = []
        #: Functions that run other code: the function, its own code, and the global name that the other code
        #: calls.
        self._diverted: list[tuple[FunctionType, CodeType, str]] = []
        self._references: list[int] = []
        self._modules: frozenset[str] = frozenset()
        #: Generators that were seeded: their numbers are the same in every process.
        self._seeded: weakref.WeakSet[random.Random] = weakref.WeakSet()

    def watch(self) -> None:
        """Start to note values."""
        if self._is_on:
            return
        self._is_on = True
        self._seeded.clear()
        self._modules = frozenset(sys.modules)
        self._watch_files()
        self._watch_uuids()
        self._watch_bytes()
        self._watch_random()
        self._watch_pid(os, "getpid", "os.getpid()")
        self._watch_pid(threading, "get_native_id", "threading.get_native_id()")
        self._watch_numbered()
        self._watch_ports()
        for name in ("mktemp", "getbasetemp"):
            self._watch_folder(name)
        self._references = [sys.getrefcount(new) for *_, new in self._replaced]

    def release(self) -> None:
        """Stop, and put the originals back."""
        if not self._is_on:
            return
        self._is_on = False
        for function, code, hidden in self._diverted:
            function.__code__ = code
            function.__globals__.pop(hidden, None)
        self._diverted.clear()
        taken: dict[int, tuple[object, object]] = {}
        for (owner, name, old, new), count in zip(self._replaced, self._references, strict=True):
            if vars(owner).get(name) is new:
                if old is _ABSENT:
                    delattr(owner, name)
                else:
                    setattr(owner, name, old)
                count -= 1
            if old is not _ABSENT and sys.getrefcount(new) > count:
                taken[id(new)] = new, old
        self._replaced.clear()
        if taken:
            self._give_back(taken)

    def _give_back(self, taken: dict[int, tuple[object, object]]) -> None:
        """Put the originals into modules imported since, which have imported replacements by name."""
        for name in sys.modules.keys() - self._modules:
            space = getattr(sys.modules.get(name), "__dict__", {})
            for key, value in list(space.items()):
                new, old = taken.get(id(value), (None, None))
                if new is value and new is not None:
                    space[key] = old

    def _replace(self, owner: object, name: str, new: object) -> None:
        self._replaced.append((owner, name, vars(owner).get(name, _ABSENT), new))
        setattr(owner, name, new)

    # --- the sources ---

    def _watch_files(self) -> None:
        original = getattr(tempfile, "_get_candidate_names", None)
        if original is None:
            return

        @functools.wraps(original)
        def _get_candidate_names() -> object:
            names = original()
            return Candidates(names, self._note_file) if self._is_on else names

        self._replace(tempfile, "_get_candidate_names", _get_candidate_names)

    def _note_file(self, call: str, name: str, path: str | None, frame: FrameType) -> None:
        self._note(Made(FILE, call, name, path), frame)

    def _watch_uuids(self) -> None:
        namespace, note = vars(uuid), self._note

        def look(made: uuid.UUID, frame: FrameType) -> None:
            maker = frame.f_code.co_name
            if self._is_on and maker in _MAKERS and frame.f_globals is namespace:
                note(Made(UUID, f"uuid.{maker}()", made), frame)

        init: Callable[..., None] = uuid.UUID.__init__

        @functools.wraps(init)
        def __init__(made: uuid.UUID, *args: object, **kwargs: object) -> None:
            init(made, *args, **kwargs)
            look(made, sys._getframe(1))

        self._replace(uuid.UUID, "__init__", __init__)
        if "_from_int" in vars(uuid.UUID):  # Python 3.14 and newer
            from_int = vars(uuid.UUID)["_from_int"].__func__

            @functools.wraps(from_int)
            def _from_int(kind: type[uuid.UUID], value: int) -> object:
                made = from_int(kind, value)
                look(made, sys._getframe(1))
                return made

            self._replace(uuid.UUID, "_from_int", classmethod(_from_int))

    def _watch_bytes(self) -> None:
        original, note = os.urandom, self._note

        def urandom(size: int, /) -> bytes:
            data = original(size)
            if self._is_on:
                frame = sys._getframe(2)
                note(Made(BYTES, "os.urandom()", _asked_for(data, frame)), frame)
            return data

        replacement = Builtin(original, urandom, "os")
        self._replace(os, "urandom", replacement)
        if getattr(random, "_urandom", None) is original:
            self._replace(random, "_urandom", replacement)

    def _watch_random(self) -> None:
        own: random.Random = getattr(random, "_inst", None) or random.random.__self__  # type: ignore[attr-defined]
        for name in _METHODS:
            self._divert(getattr(random.Random, name), functools.partial(self._draw, own, name))
        self._divert(vars(random.Random)["seed"], self._seed)
        for name in ("getrandbits", "random"):
            self._watch_drawn(own, name, getattr(random, name))

    def _watch_drawn(self, own: random.Random, name: str, original: _Call) -> None:
        def draw(*args: object) -> object:
            drawn = original(*args)
            if self._is_on:
                self._look(own, own, name, drawn, sys._getframe(2))
            return drawn

        self._replace(random, name, Builtin(original, draw, "random"))

    def _draw(self, own: random.Random, name: str, original: _Call, /, *args: Any, **kw: Any) -> object:
        """Call a method of a generator, and note its result if the generator was not seeded."""
        result = original(*args, **kw)
        if self._is_on:
            self._look(args[0], own, name, result, sys._getframe(2))
        return result

    def _look(
        self, generator: random.Random, own: random.Random, name: str, result: object, frame: FrameType
    ) -> None:
        if frame.f_globals is not vars(random) and not self._is_seeded(generator):  # else one calls another
            where = "random" if generator is own else f"random.{type(generator).__name__}()"
            value = list(result[:_LONGEST]) if type(result) is list else result
            self._note(Made(RANDOM, f"{where}.{name}()", value), frame)

    def _seed(self, real: _Call, /, generator: random.Random, a: Any = None, *args: Any, **kw: Any) -> None:
        real(generator, a, *args, **kw)
        if not self._is_on:
            return
        with suppress(TypeError):  # a class of the project's may not be hashable
            if a is None or isinstance(a, float):  # seeded at random, or from the time
                self._seeded.discard(generator)
            else:
                self._seeded.add(generator)

    def _is_seeded(self, generator: random.Random) -> bool:
        with suppress(TypeError):
            return generator in self._seeded
        return True

    def _divert(self, function: FunctionType, to: _Call) -> None:
        """Make a function call another one, with a copy of itself as the first argument.

        The function object stays the same, wherever it is held: only its code changes.
        """
        copy = copy_of(function)
        hidden = f"_procpar_{function.__name__}"
        function.__globals__[hidden] = functools.partial(to, copy)
        self._diverted.append((function, function.__code__, hidden))
        function.__code__ = code_that_calls(hidden, function.__code__)

    def _watch_pid(self, owner: ModuleType, name: str, call: str) -> None:
        """Watch a number that the system gives the process or its thread, if it does."""
        original, note = vars(owner).get(name), self._note
        if original is None:
            return

        def ask() -> int:
            number: int = original()
            if self._is_on:
                note(Made(PID, call, number), sys._getframe(2))
            return number

        self._replace(owner, name, Builtin(original, ask, owner.__name__))

    def _watch_numbered(self) -> None:
        """Watch folders that are made under a number."""
        original: _Call = os.mkdir

        def mkdir(path: str | bytes | os.PathLike[str], *args: int, **kwargs: int) -> None:
            original(path, *args, **kwargs)
            if self._is_on and "dir_fd" not in kwargs and _NUMBERED.search(name := os.fsdecode(path)):
                self._note(Made(NUMBERED, "os.mkdir()", name, os.path.abspath(name)), sys._getframe(2))

        replacement = Builtin(original, mkdir, "os")
        self._replace(os, "mkdir", replacement)
        if hasattr(pathlib, "_NormalAccessor"):  # Python 3.10
            self._replace(pathlib._NormalAccessor, "mkdir", replacement)

    def _watch_ports(self) -> None:
        original: _Call = socket.socket.bind

        def bind(made: socket.socket, address: object, /) -> None:
            original(made, address)
            if self._is_on and type(address) is tuple and len(address) >= 2 and address[1] == 0:
                made_by = weakref.ref(made)

                def is_bound() -> bool:
                    held = made_by()
                    return held is not None and held.fileno() >= 0

                with suppress(OSError):
                    port = Made(PORT, "socket.bind() to port 0", made.getsockname()[1], is_bound=is_bound)
                    self._note(port, sys._getframe(1))

        functools.update_wrapper(bind, original, ("__name__", "__doc__"))
        self._replace(socket.socket, "bind", bind)

    def _watch_folder(self, name: str) -> None:
        """Watch a folder of pytest's: a hook gets one that is inside the folder of all workers."""
        original: _Call = getattr(pytest.TempPathFactory, name)

        @functools.wraps(original)
        def make(factory: pytest.TempPathFactory, *args: object, **kwargs: object) -> object:
            path = original(factory, *args, **kwargs)
            if self._is_on:
                self._note(Made(FOLDER, f"tmp_path_factory.{name}()", str(path)), sys._getframe(1))
            return path

        self._replace(pytest.TempPathFactory, name, make)


def _careful(note: Note) -> Note:
    """Wrap `note` so that it never fails, since it runs inside calls that a user's code made."""

    def careful(made: Made, frame: FrameType) -> None:
        with suppress(Exception):
            note(made, frame)

    return careful


def _asked_for(data: bytes, frame: FrameType) -> object:
    """What the system's random bytes become: a number if `random.SystemRandom` has asked for them."""
    if frame.f_code.co_name == "getrandbits" and frame.f_globals is vars(random):
        return int.from_bytes(data, "big") >> max(0, 8 * len(data) - frame.f_locals.get("k", 8 * len(data)))
    return data
