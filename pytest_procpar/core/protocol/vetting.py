"""Rejects bodies that would cost their reader out of proportion to their length.

The unpickler calls and imports nothing (see `core.protocol.wire`). But a few bytes can make it allocate
gigabytes, as a body chooses the numbers of its memo slots, and the length of a bytearray, for which memory is
allocated before it is read. They can also overflow the C stack or make it run for years, as hashing a tuple
walks through it, to any depth and once for each way to a part. Our encoder writes nothing like that, so such
a body is not ours.

Most bodies cannot contain it, which the bytes in them show. The others are walked through, which takes some
microseconds for a report of a failure: by two regular expressions, once a process has met so many bytes that
compiling them pays. Only what may build large tuples and hash them is followed value by value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

__all__ = ["has_excess"]

#: How deep a hashed value may be nested, and how many values may be hashed, each counted once for each time
#: that hashing reaches it: so many, and so many more for each operation of the body.
_DEEPEST = 2_000
_LARGEST, _IN_PROPORTION = 1_000_000, 100

_BYTEARRAY = 0x96
_SMALL_TUPLES, _WIDE_TUPLES = b"\x85\x86\x87", b"t\x91"
_HASHES = b"su\x90\x91"
#: If no value can be larger than this, nothing is followed.
_SMALL = 1 << 16

#: The length of each operation's argument in bytes; or, if the argument begins with its own length, the size
#: of that length, negated.
_SIZES = {0x80: 1, 0x95: 8, ord("K"): 1, ord("M"): 2, ord("J"): 4, ord("G"): 8, ord("h"): 1, ord("j"): 4}
_SIZES |= {
    0x8C: -1,
    ord("X"): -4,
    0x8D: -8,
    ord("C"): -1,
    ord("B"): -4,
    0x8E: -8,
    0x96: -8,
    0x8A: -1,
    0x8B: -4,
}
#: Where the reader stops: at the end, and at globals, persistent references and extensions, which it refuses.
_REFUSED = frozenset(b".c\x93iPQ\x82\x83\x84")
#: What the encoder writes that has no argument, and of that what makes a hashable value, or hashes one.
_BARE = frozenset(b"N\x88\x89](})\x8fatsu\x94e01") | {*_SMALL_TUPLES, *_WIDE_TUPLES, *_HASHES}
_TELLING = frozenset({*_SMALL_TUPLES, *_WIDE_TUPLES, *_HASHES})
#: What the encoder does not write.
_FOREIGN = frozenset(range(256)) - _SIZES.keys() - _REFUSED - _BARE

#: Texts up to this length are passed over by a regular expression; others are, one by one.
_SHORT = 32
_SHORT_TEXT = 0x8C
#: How many operations a regular expression takes at once: it remembers each.
_AT_ONCE = 500
#: From how many bytes on it pays to compile the expressions, which takes about a millisecond. A run of a few
#: tests that pass sends fewer.
_COMPILED_FROM = 16_000


def _any_of(operations: frozenset[int], argument: int = 0) -> bytes:
    """A pattern for one of these operations with an argument of that many bytes."""
    return b"[%b].{%d}" % (b"".join(re.escape(bytes([op])) for op in sorted(operations)), argument)


def _short_text() -> bytes:
    lengths = (re.escape(bytes([length])) + b".{%d}" % length for length in range(_SHORT))
    return b"\\x%02x(?:%b)" % (_SHORT_TEXT, b"|".join(lengths))


@cache
def _patterns() -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    """What the encoder writes: one pattern for a run of it, and one that finds what is telling in a run."""
    sizes = sorted({size for size in _SIZES.values() if size > 0})
    with_argument = [
        _any_of(frozenset(op for op, size in _SIZES.items() if size == wanted), wanted) for wanted in sizes
    ]
    quiet = b"|".join([_any_of(_BARE - _TELLING), _short_text(), *with_argument])
    run = b"(?:%b|%b){1,%d}" % (_any_of(_TELLING), quiet, _AT_ONCE)
    telling = b"(?:%b){1,%d}|(%b)" % (quiet, _AT_ONCE, _any_of(_TELLING))
    return re.compile(run, re.DOTALL), re.compile(telling, re.DOTALL)


class _Met:
    """How many bytes this process has walked through."""

    bytes = 0


def has_excess(body: bytes) -> bool:
    """Whether reading a body could cost out of proportion to its length; never so for our encoder's."""
    named = b"r" in body or b"p" in body or _BYTEARRAY in body
    if not named and not _may_hash_much(body, len(body)):
        return False
    told = _telling(body)
    return told is None or (_may_hash_much(told, len(body)) and _hashes_too_much(list(_operations(body))))


def _telling(body: bytes) -> bytes | None:
    """The operations of a body that are telling; None if it has what our encoder does not write."""
    _Met.bytes += len(body)
    return _walked(body, _patterns() if _Met.bytes >= _COMPILED_FROM else None)


def _walked(body: bytes, patterns: tuple[re.Pattern[bytes], re.Pattern[bytes]] | None) -> bytes | None:
    at, end, told = 0, len(body), []
    while at < end:
        if patterns is not None and (run := patterns[0].match(body, at)):
            told += patterns[1].findall(body, at, run.end())
            at = run.end()
            continue
        op = body[at]
        if op in _TELLING:
            told.append(body[at : at + 1])
        if op in _REFUSED:
            break
        if op in _FOREIGN:
            return None
        size = _SIZES.get(op, 0)
        at += 1
        if size < 0:
            length = int.from_bytes(body[at : at - size], "little")
            if op == _BYTEARRAY and length > end:
                return None
            size = length - size
        at += size
    return b"".join(told)


def _may_hash_much(operations: bytes, most: int) -> bool:
    """Whether these operations may build a large value, of tuples with at most `most` parts, and hash it."""
    if len(operations) == len(operations.translate(None, _HASHES)):
        return False
    small, wide = (
        len(operations) - len(operations.translate(None, some)) for some in (_SMALL_TUPLES, _WIDE_TUPLES)
    )
    # A tuple of up to three parts makes a value four times as large at most.
    return small > _SMALL.bit_length() or wide > 1 or 4**small * (most + 1) ** wide > _SMALL


def _operations(body: bytes) -> Iterator[tuple[int, int]]:
    """The operations that the reader reaches, each with its argument if that is a number, else its length."""
    at, end = 0, len(body)
    while at < end and (op := body[at]) not in _REFUSED:
        at += 1
        size = _SIZES.get(op, 0)
        if size < 0:
            length = int.from_bytes(body[at : at - size], "little")
            yield op, length
            size = length - size
        else:
            yield op, int.from_bytes(body[at : at + size], "little") if size else 0
        at += size


#: Depth and size of a value, as if all its parts were hashed with it.
_Extent = tuple[int, int]
_ATOM: _Extent = (0, 1)
_MARK: _Extent = (-1, 0)


def _around(parts: list[_Extent]) -> _Extent:
    return 1 + max((depth for depth, _ in parts), default=0), 1 + sum(size for _, size in parts)


def _hashes_too_much(operations: list[tuple[int, int]]) -> bool:
    """Follow what the reader would build, with extents in place of values."""
    stack: list[_Extent] = []
    memo: list[_Extent] = []
    left = _LARGEST + _IN_PROPORTION * len(operations)
    try:
        for op, argument in operations:
            for depth, size in _follow(op, argument, stack, memo):
                left -= size
                if depth > _DEEPEST or left < 0:
                    return True
    except IndexError:  # a damaged body: the reader stops there, too
        pass
    return False


def _follow(op: int, argument: int, stack: list[_Extent], memo: list[_Extent]) -> list[_Extent]:
    """Do one operation; return the extents of the values that it hashes."""
    if op in b"\x85\x86\x87":
        count = op - 0x84
        parts = [stack.pop() for _ in range(count)]
        stack.append(_around(parts))
    elif op in b"tu\x90\x91e1":
        parts = _down_to_mark(stack)
        if op in b"t\x91":
            stack.append(_around(parts))
        if op in b"u":
            return parts[1::2]  # from the top: value, key, value, key
        return parts if op in b"\x90\x91" else []
    elif op in b"s":
        stack.pop()
        return [stack.pop()]
    elif op in b"a0":
        stack.pop()
    elif op in b"(":
        stack.append(_MARK)
    elif op in b"\x94":
        memo.append(stack[-1])
    elif op in b"hj":
        stack.append(memo[argument])
    elif op not in b"\x80\x95.":
        stack.append(_ATOM)
    return []


def _down_to_mark(stack: list[_Extent]) -> list[_Extent]:
    parts = []
    while (part := stack.pop()) is not _MARK:
        parts.append(part)
    return parts
