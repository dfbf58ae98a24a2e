"""What a run says of itself to the other runs of its user on this machine, and its form in a file.

A claim is read by whoever shares the file, and another version may have written it. So it has a checksum and
a version, and whatever makes no sense counts as no claim.
"""

from __future__ import annotations

import struct
import zlib

from pytest_procpar.core.record import record

__all__ = ["CLAIM_BYTES", "MOST_PROCESSORS", "MOST_WORKERS", "Claim", "packed", "unpacked"]

#: The room of a claim in the file.
CLAIM_BYTES = 256
#: As many processors can be told apart.
MOST_PROCESSORS = 1024
#: More workers than this no claim wants.
MOST_WORKERS = 1 << 16

_VERSION = b"ppb1"
#: When it came, workers, group, quota, processors.
_FIELDS = struct.Struct(f"<4sQIQI{MOST_PROCESSORS // 8}s")
_SUM = struct.Struct("<I")


@record
class Claim:
    """A run.

    ``since`` says when it came, in nanoseconds of a clock that all of the machine's processes share.
    ``want`` is how many workers it could keep busy now, at least 1. ``processors`` has a bit for each
    processor that it may be scheduled on. ``group`` identifies the control group whose quota grants it no
    more than ``quota`` processors; both are 0 without a quota.
    """

    since: int
    want: int
    processors: int
    group: int = 0
    quota: int = 0


def packed(claim: Claim) -> bytes:
    """A claim as bytes: `CLAIM_BYTES` of them."""
    processors = claim.processors.to_bytes(MOST_PROCESSORS // 8, "little")
    body = _FIELDS.pack(_VERSION, claim.since, claim.want, claim.group, claim.quota, processors)
    return (body + _SUM.pack(zlib.crc32(body))).ljust(CLAIM_BYTES, b"\0")


def unpacked(data: bytes) -> Claim | None:
    """The claim that bytes are; None if they are none."""
    body, rest = data[: _FIELDS.size], data[_FIELDS.size : _FIELDS.size + _SUM.size]
    if len(rest) < _SUM.size or _SUM.unpack(rest)[0] != zlib.crc32(body):
        return None
    version, since, want, group, quota, processors = _FIELDS.unpack(body)
    claim = Claim(since, want, int.from_bytes(processors, "little"), group, quota)
    makes_sense = 0 < want <= MOST_WORKERS and claim.processors
    return claim if version == _VERSION and makes_sense else None
