"""Which file could not be had is found among what is open, though the message does not name it."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from pytest_procpar.system.contended import contended_file, locked_by_others
from tests.process.helpers import child

LOCKED = "sqlite3.OperationalError: database is locked"
linux = pytest.mark.skipif(not os.path.exists("/proc/locks"), reason="/proc tells it")


@contextmanager
def locked_elsewhere(path: Path) -> Iterator[None]:
    """Another process has locked a file."""
    ready, tell = os.pipe()
    wait, end = os.pipe()
    if (pid := os.fork()) == 0:
        os.close(end)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
        fcntl.lockf(descriptor, fcntl.LOCK_EX)
        os.write(tell, b"!")
        os.read(wait, 1)
        os._exit(0)
    os.close(wait)
    os.read(ready, 1)
    try:
        yield
    finally:
        os.close(end)
        os.waitpid(pid, 0)
        os.close(ready)
        os.close(tell)


def with_nothing_open(body: Callable[[], object]) -> None:
    """Run `body` without the files that whoever started this process has passed on: they may be locked."""

    def work() -> None:
        os.closerange(3, 1 << 12)
        body()

    with child(work):
        pass


@linux
def test_what_others_have_locked_is_named_though_more_is_open(tmp_path: Path) -> None:
    def body() -> None:
        with (
            locked_elsewhere(tmp_path / "shop.db"),
            (tmp_path / "other").open("w"),
            closing(sqlite3.connect(tmp_path / "shop.db", timeout=0)) as connection,
        ):
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                connection.execute("create table t (x)")
            assert contended_file(LOCKED) == str(tmp_path / "shop.db")

    with_nothing_open(body)


@linux
def test_the_one_open_database_is_meant_if_nobody_has_it_any_more(tmp_path: Path) -> None:
    def made(name: str) -> sqlite3.Connection:
        connection = sqlite3.connect(tmp_path / name)
        connection.execute("create table t (x)")
        return connection

    def body() -> None:
        with closing(made("shop.db")), (tmp_path / "other").open("w"):
            assert contended_file(LOCKED) == str(tmp_path / "shop.db")
            assert contended_file("ValueError: no") == ""
            with closing(made("more.db")):
                assert contended_file(LOCKED) == ""

    with_nothing_open(body)


@linux
def test_looking_ends_no_lock_of_this_process(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "shop.db", isolation_level=None)) as connection:
        connection.execute("create table t (x)")
        connection.execute("begin exclusive")
        contended_file(LOCKED)
        inode = (tmp_path / "shop.db").stat().st_ino
        assert inode in locked_by_others(Path("/proc/locks").read_text().splitlines(), -1)


def test_neither_own_locks_count_nor_those_that_are_waited_for() -> None:
    lines = [
        "1: POSIX  ADVISORY  WRITE 17 08:01:100 0 EOF",
        "2: FLOCK  ADVISORY  WRITE 18 08:01:200 0 EOF",
        "2: -> FLOCK  ADVISORY  WRITE 19 08:01:300 0 EOF",
        "3: LEASE",
    ]
    assert locked_by_others(lines, 17) == {200}
