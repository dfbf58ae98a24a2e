"""Frames and bodies on a byte stream between two of our processes.

A frame is a fixed header (magic, length, checksum) and a body. Anything that breaks the header or
the checksum means that somebody else wrote to the descriptor: the stream is dead from there on.

A body carries exact builtin values (None, bool, int, float, str, bytes, bytearray, tuple, list, dict,
set, frozenset) and gives back the same types. Loading a body can neither import nor call anything.
"""

from __future__ import annotations

import pickle
import struct
import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import NoReturn

__all__ = ["Decoder", "Encoder", "WireError", "loads"]

_HEADER = struct.Struct("<2sII")
_MAGIC = b"\xb5P"
#: A frame longer than this is taken for garbage. A report's size is bounded by what a test prints.
MAX_BODY = 1 << 30


class WireError(Exception):
    """The peer's bytes are not frames, or not ours: the stream cannot be used any longer."""


class _Foreign(Exception):
    """A value that is not an exact builtin turned up."""


class _Pickler(pickle.Pickler):
    def reducer_override(self, obj: object) -> NoReturn:
        # Called for whatever the pickler has no exact builtin type for.
        raise _Foreign(obj)


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        raise WireError(f"a frame asks for {module}.{name}")

    def persistent_load(self, pid: object) -> object:
        raise WireError("a frame holds a reference to the outside")


class Encoder:
    """Turns values into frames.

    ``lost`` collects a description of every value that could not be carried and went as its repr;
    whoever owns the encoder reports and clears it.
    """

    __slots__ = ("_pickler", "_sink", "lost")

    def __init__(self) -> None:
        self.lost: list[str] = []
        self._sink = BytesIO()
        self._pickler = _Pickler(self._sink, protocol=5)

    def frame(self, value: object) -> bytes:
        """One frame that holds `value`. Never fails for a value's sake: see ``lost``."""
        body = self._body(value)
        return _HEADER.pack(_MAGIC, len(body), zlib.crc32(body)) + body

    def _body(self, value: object) -> bytes:
        try:
            return self._dump(value)
        except (_Foreign, RecursionError):
            return self._dump(self._plain(value, 0))

    def _dump(self, value: object) -> bytes:
        try:
            self._pickler.dump(value)
            return self._sink.getvalue()
        finally:
            self._pickler.clear_memo()
            self._sink.seek(0)
            self._sink.truncate()

    def _plain(self, value: object, depth: int) -> object:
        """A copy of `value` in exact builtins: subclasses lose their class, the rest its identity."""
        if value is None or type(value) in (bool, int, float, str, bytes):
            return value
        if depth > 100:
            return self._as_repr(value)
        if isinstance(value, int):
            return int.__int__(value)
        if isinstance(value, float):
            return float.__float__(value)
        if isinstance(value, str):
            return str.__str__(value)
        if isinstance(value, bytes):
            return bytes.__getitem__(value, slice(None))
        if isinstance(value, bytearray):
            return bytearray.__getitem__(value, slice(None))
        if isinstance(value, dict):
            return {
                self._hashable(k, depth): self._plain(v, depth + 1) for k, v in list(dict.items(value))
            }
        return self._plain_series(value, depth)

    def _plain_series(self, value: object, depth: int) -> object:
        if isinstance(value, tuple):
            return tuple(self._plain(v, depth + 1) for v in tuple.__iter__(value))
        if isinstance(value, list):
            return [self._plain(v, depth + 1) for v in list.__iter__(value)]
        if isinstance(value, set):
            return {self._hashable(v, depth) for v in set.__iter__(value)}
        if isinstance(value, frozenset):
            return frozenset(self._hashable(v, depth) for v in frozenset.__iter__(value))
        return self._as_repr(value)

    def _hashable(self, value: object, depth: int) -> object:
        plain = self._plain(value, depth + 1)
        try:
            hash(plain)
        except TypeError:
            return self._as_repr(value)
        return plain

    def _as_repr(self, value: object) -> str:
        try:
            text = repr(value)
        except Exception as error:
            text = f"<{type(value).__name__} whose repr raised {type(error).__name__}>"
        self.lost.append(f"a value of type {type(value).__module__}.{type(value).__qualname__}")
        return text


def loads(body: bytes) -> object:
    """The value in a frame's body.

    :raises WireError: if the body is not one of ours.
    """
    try:
        return _Unpickler(BytesIO(body)).load()
    except WireError:
        raise
    except Exception as error:
        raise WireError(f"a frame's body cannot be read: {error!r}") from None


class Decoder:
    """Cuts a stream of bytes, however it arrives, into the bodies of its frames.

    Dead after an error: every later call raises again.
    """

    __slots__ = ("_broken", "_buffer")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._broken: str | None = None

    @property
    def inside_frame(self) -> bool:
        """Whether a frame has begun that has not ended: at end of file, a torn one."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The bodies that `data` completes, in order.

        :raises WireError: at the first byte that cannot be ours; complete frames before it have been
            yielded.
        """
        if self._broken is not None:
            raise WireError(self._broken)
        self._buffer += data
        at = 0
        try:
            while len(self._buffer) - at >= _HEADER.size:
                magic, length, checksum = _HEADER.unpack_from(self._buffer, at)
                if magic != _MAGIC or length > MAX_BODY:
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
        return WireError(why)
