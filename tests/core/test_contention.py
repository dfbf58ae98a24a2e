"""What could not be had since others had it is told by messages."""

from __future__ import annotations

import pytest

from pytest_procpar.core.inquiry.contention import file_of, is_contended


@pytest.mark.parametrize(
    "message",
    [
        "OSError: [Errno 98] Address already in use",
        "sqlite3.OperationalError: database is locked",
        "OperationalError: database table is locked: orders",
        "duckdb.IOException: IO Error: Could not set lock on file '/data/shop.duckdb'",
        "filelock._error.Timeout: The file lock '/data/lock' could not be acquired.",
        'psycopg.errors.ObjectInUse: database "shop" is being accessed by other users',
        "(1205, 'Lock wait timeout exceeded; try restarting transaction')",
        "FileExistsError: [Errno 17] File exists: 'out'",
        "BlockingIOError: [Errno 11] Resource temporarily unavailable",
    ],
)
def test_what_others_have_is_contended(message: str) -> None:
    assert is_contended(message)


@pytest.mark.parametrize(
    "message",
    [
        "ValueError: no",
        "FileNotFoundError: [Errno 2] No such file or directory: '/data/out'",
        "PermissionError: [Errno 13] Permission denied: '/data/out'",
        "AssertionError: assert 'locked' == 'open'",
    ],
)
def test_what_is_wrong_otherwise_is_not(message: str) -> None:
    assert not is_contended(message)
    assert file_of(message) == ""


def test_a_file_is_named_from_wherever_it_was_told() -> None:
    assert file_of("FileExistsError: [Errno 17] File exists: 'out/lock'") == "out/lock"
