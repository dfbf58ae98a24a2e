"""What is in a worker's inbox: records of a fixed size.

A record that has not been read can be taken back by whoever holds both ends of the stream.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Literal, TypeAlias

from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.protocol.wire import WireError
from pytest_procpar.core.run.events import Outlook

__all__ = [
    "RECORD_SIZE", "Record", "pack_record", "record_number", "record_of", "unpack_record",
    "unpack_records",
]  # fmt: skip

_RECORD = struct.Struct("<iiq")


RECORD_SIZE = _RECORD.size


#: A record: run this test, or one of the words.
Record: TypeAlias = "TestIndex | Outlook | Literal['finish']"


_NAMES: dict[int, Outlook | Literal["finish"]] = {-1: "hold", -2: "last", -3: "finish"}


_WORDS = {word: number for number, word in _NAMES.items()}


_CHECK = 0x70726F63  # "proc" in ASCII


def record_number(record: Record) -> int:
    """The number that stands for a record."""
    return record if isinstance(record, int) else _WORDS[record]


def record_of(number: int) -> Record:
    """The record that a number stands for.

    :raises WireError: if it stands for none.
    """
    if number >= 0:
        return TestIndex(number)
    if number in _NAMES:
        return _NAMES[number]
    raise WireError("the inbox holds bytes that are not a record")


def pack_record(record: Record, place: int) -> bytes:
    """The bytes of one record and its place among all that go into an inbox."""
    return _RECORD.pack(_CHECK, record_number(record), place)


def unpack_record(data: bytes) -> tuple[Record, int]:
    """The one record in `data`, and its place.

    :raises WireError: if the bytes are not a record.
    """
    check, number, place = _RECORD.unpack(data)
    if check != _CHECK or place < 0:
        raise WireError("the inbox holds bytes that are not a record")
    return record_of(number), place


def unpack_records(data: bytes) -> Iterator[Record]:
    """The records in `data`, which holds only whole ones.

    :raises WireError: if the bytes are not records.
    """
    if len(data) % RECORD_SIZE:
        raise WireError("the inbox holds part of a record")
    for at in range(0, len(data), RECORD_SIZE):
        yield unpack_record(data[at : at + RECORD_SIZE])[0]
