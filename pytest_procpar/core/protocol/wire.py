"""Frames and bodies on a byte stream between two of our processes.

A frame is a fixed header (mark, length, checksum of the body) and a body. If the header or the checksum is
wrong, somebody else has written to the descriptor, and the stream is dead from there on.

A body carries exact builtin values (None, bool, int, float, str, bytes, bytearray, tuple, list, dict,
set, frozenset) and gives back the same types. Loading a body can neither import nor call anything.
"""

from __future__ import annotations

import pickle
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO
from typing import NoReturn

from pytest_procpar.core.protocol.shorten import measures, shortened
from pytest_procpar.core.protocol.vetting import has_excess

__all__ = ["Decoder", "Encoder", "WireError", "framed", "loads"]

_HEADER = struct.Struct("<HII")
#: A frame longer than this is taken for garbage, in bytes. What a test prints limits the size of a report.
MAX_BODY = 1 << 30
#: A text with more characters than this is shortened if its body has more bytes than this.
_PLENTY = 1 << 26
#: Values nested deeper than this are not copied; their repr travels instead.
_DEEPEST = 100


def _mark(length: int) -> int:
    """The mark at the beginning of a frame of that length.

    It vouches for the length: a receiver that believed a wrong one would wait for bytes that never come.
    """
    return 0x50B5 ^ (length & 0xFFFF) ^ (length >> 16)


class WireError(Exception):
    """The peer's bytes are not frames, or not ours: the stream cannot be used any longer."""


class _Foreign(Exception):
    """A value that is not an exact builtin turned up."""


class _TooLong(Exception):
    """A body is too long."""


class _Sink:
    """Collects what a pickler writes, without copying it."""

    __slots__ = ("parts", "write")

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.write = self.parts.append


class _Pickler(pickle.Pickler):
    def reducer_override(self, obj: object) -> NoReturn:
        # Called for every object that the pickler does not know as an exact builtin.
        raise _Foreign(obj)


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        raise WireError(f"a frame asks for {module}.{name}")

    def persistent_load(self, pid: object) -> object:
        raise WireError("a frame holds a reference to the outside")


def framed(body: bytes) -> bytes:
    """The frame of a body."""
    return _HEADER.pack(_mark(len(body)), len(body), zlib.crc32(body)) + body


class Encoder:
    """Turns values into frames.

    ``lost`` collects a description of each value that could not travel and was replaced by its repr; the
    owner of the encoder reports and clears it.

    :param plenty: in a body with more bytes than this, texts longer than this are shortened, and say so (see
        `core.protocol.shorten`).
    :param most: how long a body may be at all, in bytes.
    """

    __slots__ = ("_most", "_parts", "_pickler", "_plenty", "lost")

    def __init__(self, plenty: int = _PLENTY, most: int = MAX_BODY) -> None:
        self.lost: list[str] = []
        self._plenty = plenty
        self._most = most
        sink = _Sink()
        self._parts = sink.parts
        self._pickler = _Pickler(sink, protocol=5)

    def frame(self, value: object) -> bytes:
        """One frame that holds `value`. Values that tests have made never make it fail: see ``lost``.

        :raises WireError: if our own part, such as nodeids, is too large to travel.
        """
        return framed(self._body(value))

    def _body(self, value: object) -> bytes:
        try:
            return self._dump(value, self._plenty)
        except Exception:  # a foreign value, too deep, too long, or changed by another thread meanwhile
            pass
        copy = value
        try:
            copy = _Copy(self.lost).of(value)
            return self._dump(copy, self._plenty)
        except _TooLong:
            return self._shortened(copy)
        except Exception:
            return self._shortened(_repr(value, self.lost))

    def _shortened(self, value: object) -> bytes:
        """The body of a value of exact builtins, shortened until it is small enough to travel."""
        for measure in measures(self._plenty):
            lost: list[str] = []
            short = shortened(value, measure, lost)
            with suppress(_TooLong):
                body = self._dump(short, self._most)
                self.lost += lost
                return body
        raise WireError(f"a message of more than {self._most} bytes cannot be carried")

    def _dump(self, value: object, limit: int) -> bytes:
        parts = self._parts
        try:
            self._pickler.dump(value)
            if len(parts) > 1 and sum(map(len, parts)) > limit:
                raise _TooLong  # before it is copied
            body = parts[0] if len(parts) == 1 else b"".join(parts)
            if len(body) > limit:
                raise _TooLong
            return body
        finally:
            self._pickler.clear_memo()
            parts.clear()


class _Copy:
    """Copies a value into exact builtins: subclasses lose their class, and other values become their repr.

    It asks for types by `type`, not by ``isinstance``, which believes a mock's ``__class__``.
    """

    def __init__(self, lost: list[str]) -> None:
        self._lost = lost
        self._depth = 0
        #: The key of the value that is being copied, in the innermost dict, as `lost` shows it.
        self._place = ""
        #: The copies of the containers met so far, by id; `_Cycle` for those that are still being copied.
        #: Each is copied once: a tree whose nodes link to their parents has endlessly many paths.
        self._known: dict[int, object] = {}

    def of(self, value: object) -> object:
        """The copy of `value`."""
        kind = type(value)
        if value is None or kind in (bool, int, float, str, bytes):
            return value
        if issubclass(kind, (int, float, str, bytes, bytearray)):
            return _exact(value)
        if issubclass(kind, (tuple, list, dict, set, frozenset)):
            return self._of_container(value)
        return _repr(value, self._lost, self._place)

    def _of_container(self, value: object) -> object:
        if id(value) not in self._known:
            if self._depth >= _DEEPEST:
                return _repr(value, self._lost, self._place)
            self._known[id(value)] = _Cycle
            self._depth += 1
            self._known[id(value)] = self._fill(value)
            self._depth -= 1
        copy = self._known[id(value)]
        return _repr(value, self._lost, self._place) if copy is _Cycle else copy

    def _fill(self, value: object) -> object:
        # The base classes' own iterators: a subclass's may yield anything.
        if isinstance(value, dict):
            return {self._hashable(k): self._entry(k, v) for k, v in list(dict.items(value))}
        if isinstance(value, list):
            return [self.of(v) for v in list.__iter__(value)]
        if isinstance(value, tuple):
            return tuple([self.of(v) for v in tuple.__iter__(value)])
        if isinstance(value, set):
            return {self._hashable(v) for v in set.__iter__(value)}
        assert isinstance(value, frozenset)
        return frozenset([self._hashable(v) for v in frozenset.__iter__(value)])

    def _entry(self, key: object, value: object) -> object:
        """The copy of a value in a dict."""
        outer = self._place
        if type(key) is str:
            self._place = f" ({key!r})"
        copy = self.of(value)
        self._place = outer
        return copy

    def _hashable(self, value: object) -> object:
        copy = self.of(value)
        try:
            hash(copy)
        except TypeError:
            return _repr(value, self._lost, self._place)
        return copy


class _Cycle:
    """Stands for the copy of a container that is not complete yet."""


def _exact(value: object) -> object:
    """The builtin value of an instance of a builtin's subclass, whatever the subclass overrides."""
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bytes):
        return bytes.__getitem__(value, slice(None))
    assert isinstance(value, bytearray)
    return bytearray.__getitem__(value, slice(None))


def _repr(value: object, lost: list[str], place: str = "") -> str:
    """What replaces a value that cannot travel; `lost` gets a note of it."""
    name = _type_name(value)
    lost.append(f"a value of type {name}{place}")
    try:
        return str.__str__(repr(value))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # pytest's own outcomes are no Exceptions
        return f"<{name} whose repr raised {_type_name(error)}>"


def _type_name(value: object) -> str:
    # By `type`'s own repr: a metaclass may return anything as __name__, or nothing.
    return type.__repr__(type(value))[len("<class '") : -len("'>")]


def loads(body: bytes) -> object:
    """The value in a frame's body.

    :raises WireError: if the body is not one of ours.
    """
    if has_excess(body):
        raise WireError("a frame's body is none of ours: reading it would cost too much")
    try:
        return _Unpickler(BytesIO(body)).load()
    except WireError:
        raise
    except Exception as error:
        raise WireError(f"a frame's body cannot be read: {error!r}") from None


class Decoder:
    """Cuts a stream of bytes, however it arrives, into the bodies of its frames.

    Dead after an error: every later call raises the error again.
    """

    __slots__ = ("_broken", "_buffer")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._broken: str | None = None

    @property
    def inside_frame(self) -> bool:
        """Whether a frame has begun and not ended: at end of file, that is a torn one."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The bodies that `data` completes, in order.

        :raises WireError: at the first byte that cannot be ours; complete frames before it have been
            yielded by then.
        """
        if self._broken is not None:
            raise WireError(self._broken)
        self._buffer += data
        at = 0
        try:
            while len(self._buffer) - at >= _HEADER.size:
                mark, length, checksum = _HEADER.unpack_from(self._buffer, at)
                if mark != _mark(length) or length > MAX_BODY:
                    raise self._break("the stream holds bytes that are not a frame")
                end = at + _HEADER.size + length
                if len(self._buffer) < end:
                    break
                body = bytes(self._buffer[at + _HEADER.size : end])
                if zlib.crc32(body) != checksum:
                    raise self._break("a frame's checksum is wrong")
                at = end
                yield body
        finally:
            del self._buffer[:at]

    def _break(self, why: str) -> WireError:
        self._broken = why
        self._buffer.clear()
        return WireError(why)
