"""Recognizes files of databases that a process must not carry across a fork, by their content."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import PurePath
from typing import Final

__all__ = ["database_of"]

#: The position and bytes that identify a library's files. Each library keeps locks, a cache or memory that
#: belong to one process (sqlite.org/howtocorrupt.html §2.6, lmdb.tech/doc, GDBM's manual, DuckDB's
#: "concurrency").
_MAGIC: Final = (
    (0, b"SQLite format 3\0", "SQLite"),
    (8, b"DUCK", "DuckDB"),
    (16, b"\xde\xc0\xef\xbe", "LMDB"),
    (1, b"\x9a\x57\x13", "GDBM"),
    (12, b"\x61\x15\x06\0", "Berkeley DB"),
)
#: The file that LevelDB and RocksDB write to while they are open.
_MANIFEST: Final = re.compile(r"MANIFEST-\d{6,}")
#: The files of Coverage and pytest-testmon, which are taken care of in every process.
_SEEN_TO: Final = (".coverage", ".testmondata")


def database_of(fd: int, path: str) -> str | None:
    """The library whose database a regular file is; None if it is none, or that cannot be told."""
    name = PurePath(path).name
    if name.startswith(_SEEN_TO):
        return None
    if _MANIFEST.fullmatch(name):
        return "LevelDB"
    with suppress(OSError):  # it is open for writing only
        head = os.pread(fd, 24, 0)
        for at, magic, library in _MAGIC:
            if head[at : at + len(magic)] == magic:
                return library
    return None
