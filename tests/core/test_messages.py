"""From bytes to messages: of whatever arrives comes a message or the documented error, at a bounded cost."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_procpar.core.model import Dist, TestIndex, WorkerOptions
from pytest_procpar.core.protocol.codec import _KINDS, decode, encode
from pytest_procpar.core.protocol.records import RECORD_SIZE, pack_record, unpack_record, unpack_records
from pytest_procpar.core.protocol.server import Recipe, Setup
from pytest_procpar.core.protocol.wire import Decoder, Encoder, WireError, loads
from pytest_procpar.core.protocol.worker import Finished

LEAVES = st.none() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=5)
VALUES = LEAVES | st.lists(LEAVES, max_size=9) | st.lists(LEAVES, max_size=9).map(tuple)
#: A kind's number and as many values as it has fields, or nearly: what gets furthest.
LIKE_MESSAGES = st.tuples(st.integers(-2, len(_KINDS) + 1), st.lists(VALUES, max_size=9)).map(
    lambda drawn: (drawn[0], *drawn[1])
)
FINISHED = Encoder().frame(encode(Finished(TestIndex(3), None, 0.5, 1.5)))


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def framed(body: bytes) -> bytes:
    """A frame with a right header, whatever is in it."""
    length = len(body)
    mark = 0x50B5 ^ (length & 0xFFFF) ^ (length >> 16)
    return struct.pack("<HII", mark, length, zlib.crc32(body)) + body


def messages_in(data: bytes) -> list[object]:
    """What a reader makes of bytes, up to the first that are not ours."""
    found: list[object] = []
    try:
        found.extend(decode(loads(body)) for body in Decoder().feed(data))
    except WireError:
        pass
    return found


@given(VALUES | LIKE_MESSAGES)
@settings(deadline=None, max_examples=200)
def test_any_value_is_a_message_or_none_of_ours(body: object) -> None:
    try:
        message = decode(body)
    except WireError:
        return
    assert type(message) in _KINDS


@pytest.mark.parametrize(
    "body",
    [
        (_KINDS.index(Setup), [], {}, "", None, ([], [], [], [], "", [], (nested(5_000),), None, None)),
        (10**30,),
        (-(10**5_000),),
        (True, *range(20)),
        (-1, "no room"),
        {"kind": 1},
        None,
    ],
    ids=["deep", "large", "negative", "too many", "from the end", "dict", "nothing"],
)
def test_a_value_that_stands_for_no_message_is_refused_however_it_shows(body: object) -> None:
    with pytest.raises(WireError, match="not a message"):
        decode(body)


@given(
    st.lists(
        st.binary(max_size=40) | st.binary(max_size=40).map(framed) | LIKE_MESSAGES.map(Encoder().frame),
        max_size=3,
    )
)
@settings(deadline=None, max_examples=100)
def test_any_bytes_after_a_message_leave_it_whole_and_raise_nothing_but_the_documented_error(
    parts: list[bytes],
) -> None:
    first, *rest = messages_in(FINISHED + b"".join(parts))
    assert first == Finished(TestIndex(3), None, 0.5, 1.5)
    assert all(type(message) in _KINDS for message in rest)


@given(st.data())
@settings(deadline=None, max_examples=100)
def test_a_message_with_any_byte_changed_is_another_message_or_none(data: st.DataObject) -> None:
    damaged = bytearray(FINISHED[10:])
    damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    assert len(messages_in(framed(bytes(damaged)))) <= 1


@given(
    st.binary(max_size=300)
    | st.binary(max_size=300).map(framed)
    | st.integers(0, (1 << 32) - 1).map(
        lambda length: struct.pack("<HII", 0x50B5 ^ (length & 0xFFFF) ^ (length >> 16), length, 0)
    )
)
@settings(deadline=None, max_examples=100)
def test_a_short_stream_takes_little_memory_whatever_length_it_claims(data: bytes) -> None:
    messages_in(data)
    tracemalloc.start()
    try:
        messages_in(data)
        assert tracemalloc.get_traced_memory()[1] < 200_000
    finally:
        tracemalloc.stop()


@given(st.binary(min_size=RECORD_SIZE, max_size=RECORD_SIZE))
@settings(deadline=None, max_examples=100)
def test_a_record_of_any_bytes_is_read_as_it_was_packed_or_refused(data: bytes) -> None:
    try:
        record, place = unpack_record(data)
    except WireError:
        return
    assert pack_record(record, place) == data


@pytest.mark.parametrize(("check", "number", "place"), [(0, 0, 0), (0x70726F63, -4, 0), (0x70726F63, 0, -1)])
def test_bytes_that_are_no_record_are_refused(check: int, number: int, place: int) -> None:
    with pytest.raises(WireError, match="not a record"):
        unpack_record(struct.pack("<iiq", check, number, place))


@given(st.integers(0, 2**31 - 1) | st.sampled_from(["hold", "last", "finish"]), st.integers(0, 2**63 - 1))
def test_a_record_arrives_as_it_was_sent(record: Any, place: int) -> None:
    assert unpack_record(pack_record(record, place)) == (record, place)


@given(st.integers(0, 3 * RECORD_SIZE))
@settings(max_examples=100)
def test_part_of_a_record_is_refused(length: int) -> None:
    data = (pack_record("hold", 1) * 3)[:length]
    whole, rest = divmod(length, RECORD_SIZE)
    if rest:
        with pytest.raises(WireError, match="part of a record"):
            list(unpack_records(data))
    else:
        assert list(unpack_records(data)) == ["hold"] * whole


def test_what_a_fresh_interpreter_is_told_arrives_as_it_was() -> None:
    recipe = Recipe(
        ["-X", "dev"], ["/a"], ["pytest"], ["-n2"], "/folder", ["/root"],
        WorkerOptions(Dist.LOADFILE, True, False, ("forked",), 3, True, ("threads",), 8),
        ("config", "data"), ("text", [[("test_it.py::test", 1)]]),
    )  # fmt: skip
    setup = Setup([{"workerid": "gw0"}], {"HOME": "/h"}, "/folder", None, recipe)
    assert messages_in(Encoder().frame(encode(setup))) == [setup]
