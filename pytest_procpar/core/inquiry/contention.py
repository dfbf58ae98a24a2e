"""What a message says that could not be had since others had it: a port, a database, a file.

One process at a time can have such a thing. So a failure by it is one of all tests that want it.
"""

from __future__ import annotations

import re

__all__ = ["PORT", "file_of", "is_contended"]

#: What a message says of a port that others have.
PORT = "ddress already in use"

_PHRASES = (
    PORT,
    r"database (?:table |schema )?is locked",  # SQLite
    "is being accessed by other users",  # PostgreSQL
    "could not obtain lock",
    "could not set lock",  # DuckDB
    "could not acquire",
    "could not be acquired",  # filelock
    "lock wait timeout",  # MySQL
    r"unable to lock",
    r"already locked",
    r"\[Errno \d+\] File exists",
    r"\[Errno \d+\] Resource temporarily unavailable",
    r"\[Errno \d+\] Text file busy",
    r"\[Errno \d+\] Device or resource busy",
    r"\[Errno \d+\] Directory not empty",
)
_CONTENDED = re.compile("|".join(_PHRASES), re.IGNORECASE)
#: What the system has said of a file, which may be told from the working directory.
_OF_FILE = re.compile(r"\[Errno \d+\] [^:\n]+: ['\"]([^'\"\n]+)['\"]")


def is_contended(message: str) -> bool:
    """Whether a message says that others had it."""
    return _CONTENDED.search(message) is not None


def file_of(message: str) -> str:
    """The file that others had, by what the system has said of it; empty if that names none."""
    found = _OF_FILE.search(message) if is_contended(message) else None
    return found[1] if found else ""
