"""What a message names as taken by another process: a port, a database, a file.

Only one process at a time can have such a thing. So a failure caused by it concerns all tests that want it.
"""

from __future__ import annotations

import re

__all__ = ["PORT", "file_of", "is_contended"]

#: What a message says of a port that another process has.
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
#: What the system says about a file, which may be relative to the working directory.
_OF_FILE = re.compile(r"\[Errno \d+\] [^:\n]+: ['\"]([^'\"\n]+)['\"]")


def is_contended(message: str) -> bool:
    """Whether a message says that somebody else had something."""
    return _CONTENDED.search(message) is not None


def file_of(message: str) -> str:
    """The file that somebody else had, as the system names it; empty if the message names none."""
    found = _OF_FILE.search(message) if is_contended(message) else None
    return found[1] if found else ""
