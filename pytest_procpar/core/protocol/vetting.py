"""Rejects bodies that would cost their reader out of proportion to their length.

The unpickler calls and imports nothing (see `core.protocol.wire`). But a few bytes can make it allocate
gigabytes, as a body chooses the numbers of its memo slots, and the length of a bytearray, for which memory is
allocated before it is read. They can also overflow the C stack or make it run for years, as hashing a tuple
walks through it, to any depth and once for each way to a part. Our encoder writes nothing like that, so such
a body is not ours.

Most bodies cannot contain it, which the bytes in them show. The others are walked through, which takes a
tenth of a microsecond for each of their values.
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["has_excess"]

#: How deep a hashed value may be nested, and how many values it may have, each counted once for each time
#: that hashing reaches it.
_DEEPEST = 2_000
_LARGEST = 1_000_000

_BYTEARRAY = 0x96
_TUPLES = b"\x85\x86\x87t\x91"
_HASHES = b"su\x90\x91"
#: With no more tuples than this, no value can be too large.
_FEW = 16

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
#: What the encoder does not write.
_FOREIGN = frozenset(range(256)) - _SIZES.keys() - _REFUSED - frozenset(b"N\x88\x89](})\x8fatsu\x94e01") - {
    *_TUPLES, *_HASHES
}  # fmt: skip


def has_excess(body: bytes) -> bool:
    """Whether reading a body could cost out of proportion to its length; never so for our encoder's."""
    named = b"r" in body or b"p" in body or _BYTEARRAY in body
    if not named and not (_has_many_tuples(body) and _hashes(body)):
        return False
    operations = []
    for op, argument in _operations(body):
        if op in _REFUSED:
            break
        if op in _FOREIGN or (op == _BYTEARRAY and argument > len(body)):
            return True
        operations.append((op, argument))
    ops = bytes(op for op, _ in operations)
    return _has_many_tuples(ops) and _hashes(ops) and _hashes_too_much(operations)


def _has_many_tuples(ops: bytes) -> bool:
    return len(ops) - len(ops.translate(None, _TUPLES)) > _FEW


def _hashes(ops: bytes) -> bool:
    return len(ops.translate(None, _HASHES)) < len(ops)


def _operations(body: bytes) -> Iterator[tuple[int, int]]:
    """The operations of a body, each with its argument if that is a number, else with its length."""
    at, end = 0, len(body)
    while at < end:
        op = body[at]
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
    try:
        for op, argument in operations:
            keys = _follow(op, argument, stack, memo)
            if any(depth > _DEEPEST or size > _LARGEST for depth, size in keys):
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
