"""A file without a name that all processes of a run append to, and that outlives each of them.

What a process has noted here is there after its death, however it died, and is gone with the last process.
Every record is written by one call, so the records of several processes never mix (the file's offset is
shared, and `O_APPEND` makes moving it and writing one step). A record that was cut short is left out.
"""

from __future__ import annotations

import fcntl
import marshal
import os
import struct
import zlib
from typing import Any

from pytest_procpar.ipc.blackbox import in_memory
from pytest_procpar.system.calls import out_of_reach
from pytest_procpar.system.genuine import close, write

__all__ = ["Journal"]

_HEAD = struct.Struct("<8sII")
#: What a record ends with. No mark holds it: so the mark of the next record never makes a cut one whole.
_END = b"\0"

# Tests replace them.
_write, _dumps, _crc = write, marshal.dumps, zlib.crc32


class Journal:
    """The file, to be made by the first process before it forks."""

    def __init__(self) -> None:
        self._fd = out_of_reach(in_memory())
        fcntl.fcntl(self._fd, fcntl.F_SETFL, fcntl.fcntl(self._fd, fcntl.F_GETFL) | os.O_APPEND)
        self._mark = os.urandom(8).replace(_END, b"\1")
        self._seen = 0

    def append(self, record: Any) -> bool:
        """Add a record of plain values (what `marshal` takes); whether that was possible."""
        body = _dumps(record)
        data = _HEAD.pack(self._mark, len(body), _crc(body)) + body + _END
        try:
            return _write(self._fd, data) == len(data)
        except OSError:
            return False

    def read(self) -> list[Any]:
        """The records that have been added since the last call."""
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
    """What a record holds, if all of it is there."""
    begin = at + _HEAD.size
    if begin > len(data):
        return None
    _, length, checksum = _HEAD.unpack_from(data, at)
    end = begin + length
    body = data[begin:end]
    return body if data[end : end + len(_END)] == _END and _crc(body) == checksum else None
