"""A file without a name that all processes of a run append to, and that outlives each of them.

What a process noted here is still there after its death, however it died. The file is gone with the last
process. Every record is written by one call, so the records of several processes never mix: they share the
file's offset, and `O_APPEND` makes moving it and writing one step. A record that was cut short is left out.
"""

from __future__ import annotations

import fcntl
import marshal
import os
import struct
import zlib
from collections.abc import Callable
from typing import Any

from pytest_procpar.ipc.blackbox import in_memory
from pytest_procpar.system.calls import out_of_reach
from pytest_procpar.system.genuine import close, write

__all__ = ["Journal"]

_HEAD = struct.Struct("<8sII")
#: The end of a record. No mark contains it, so the mark of the next record cannot complete a cut one.
_END = b"\0"

# Bound here, since tests replace the originals.
_write, _crc = write, zlib.crc32
_dumps: Callable[..., bytes] = marshal.dumps


class Journal:
    """The file. The first process makes it before it forks."""

    def __init__(self) -> None:
        self._fd = out_of_reach(in_memory())
        fcntl.fcntl(self._fd, fcntl.F_SETFL, fcntl.fcntl(self._fd, fcntl.F_GETFL) | os.O_APPEND)
        self._mark = os.urandom(8).replace(_END, b"\1")
        self._seen = 0

    def append(self, record: object) -> bool:
        """Add a record of plain values (what `marshal` takes); return whether that was possible."""
        body = _dumps(record)
        data = _HEAD.pack(self._mark, len(body), _crc(body)) + body + _END
        try:
            return _write(self._fd, data) == len(data)
        except OSError:
            return False

    def read(self) -> list[Any]:
        """Return the records that were added since the last call."""
        data = self._read()
        records = []
        at = data.find(self._mark)
        while at >= 0:
            body = _body(data, at)
            if body is None:
                at = data.find(self._mark, at + 1)
                continue
            records.append(marshal.loads(body))
            at = data.find(self._mark, at + _HEAD.size + len(body) + len(_END))
        return records

    def close(self) -> None:
        """Close this process's descriptor."""
        close(self._fd)

    def _read(self) -> bytes:
        parts = []
        while part := os.pread(self._fd, 1 << 20, self._seen):
            parts.append(part)
            self._seen += len(part)
        return b"".join(parts)


def _body(data: bytes, at: int) -> bytes | None:
    """The content of a record; None if it is incomplete."""
    begin = at + _HEAD.size
    if begin > len(data):
        return None
    _, length, checksum = _HEAD.unpack_from(data, at)
    end = begin + length
    body = data[begin:end]
    return body if data[end : end + len(_END)] == _END and _crc(body) == checksum else None
