"""The short body of the batch that a worker sends for most tests: one has passed, and the next begins.

It holds the numbers in fixed places and the texts in one piece, so that reading it needs no vetting (see
`core.protocol.vetting`). A batch of any other shape, or with values of other types, travels as ever.
"""

from __future__ import annotations

import struct
from typing import TypeAlias, cast

from pytest_procpar.core.protocol.codec import number_of
from pytest_procpar.core.protocol.wire import WireError
from pytest_procpar.core.protocol.worker import Began, Finished

__all__ = ["expanded", "is_short", "shortened_batch"]

_BEGAN, _FINISHED = number_of(Began), number_of(Finished)
#: The first byte: a pickled body's is another.
_MARK = 1
#: The mark, the tests that have finished and begun, and the line; start, stop and duration of three phases;
#: when the first test began and ended.
_NUMBERS = struct.Struct("<Bqqq11d")
_INTEGERS, _FLOATS = {int}, {float}

#: What a batch is taken for until its parts turn out to be others.
_Times: TypeAlias = tuple[float, float, float]
_Finished: TypeAlias = tuple[int, int, tuple[tuple[str, ...], tuple[_Times, _Times, _Times]], float, float]
_Began: TypeAlias = tuple[int, int, tuple[str, int, str]]


def shortened_batch(batch: list[tuple[object, ...]]) -> bytes | None:
    """The short body of a batch of encoded messages; None if it has none."""
    try:
        finished, begun = cast("tuple[_Finished, _Began]", batch)
        if finished[0] != _FINISHED or begun[0] != _BEGAN:
            return None
        _, test, (names, (setup, call, teardown)), began, ended = finished
        _, next_test, (path, line, name) = begun
        times = (*setup, *call, *teardown, began, ended)
        integers = (test, next_test, line)
        if {*map(type, times)} != _FLOATS or {*map(type, integers)} != _INTEGERS:
            return None
        if {*map(len, (setup, call, teardown))} != {3}:
            return None
        texts = "\0".join((path, name, *names))
        if texts.count("\0") != len(names) + 1:
            return None
        return _NUMBERS.pack(_MARK, *integers, *times) + texts.encode()
    except (TypeError, ValueError, struct.error):  # the last: a number is too large
        return None


def is_short(body: bytes) -> bool:
    """Whether a body is one of these."""
    return body[:1] == b"\1"


def expanded(body: bytes) -> list[tuple[object, ...]]:
    """The batch of encoded messages that a short body stands for.

    :raises WireError: if it stands for none.
    """
    try:
        _, test, next_test, line, *times = _NUMBERS.unpack_from(body)
        path, name, *names = body[_NUMBERS.size :].decode().split("\0")
    except (ValueError, struct.error) as error:
        raise WireError(f"a short body cannot be read: {error}") from None
    a, b, c, d, e, f, g, h, i, began, ended = times
    phases = (a, b, c), (d, e, f), (g, h, i)
    return [
        (_FINISHED, test, (tuple(names), phases), began, ended),
        (_BEGAN, next_test, (path, line, name)),
    ]
