"""Descriptors that workers must not share are found, told apart and named; harmless ones are let be."""

from __future__ import annotations

import asyncio
import logging
import logging.handlers
import multiprocessing
import os
import select
import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from pytest_procpar.start_method.objects.databases import database_of
from pytest_procpar.start_method.objects.descriptors import Descriptors

pytestmark = [
    pytest.mark.python_dependent,
    pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc"),
]

FORK = multiprocessing.get_context("fork") if sys.platform != "win32" else None


class Looks:
    """Looks from here on; `reasons` is what it finds."""

    def __init__(self, *vouched: str, adapted: frozenset[int] = frozenset()) -> None:
        self.descriptors = Descriptors(lambda name: name in vouched, lambda: adapted)
        self.descriptors.begin()

    @property
    def reasons(self) -> list[str]:
        return list(self.descriptors.findings())

    @property
    def reason(self) -> str:
        (reason,) = self.reasons
        return reason


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module of the project, which holds what a test puts there."""
    module = ModuleType("jobs")
    module.__file__ = str(tmp_path / "jobs.py")
    monkeypatch.setitem(sys.modules, "jobs", module)
    return module


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


def test_nothing_is_found_where_nothing_is() -> None:
    assert Looks().reasons == []


# --- sockets ----------------------------------------------------------------------------------------


def test_a_socket_is_found_with_its_address(project: ModuleType) -> None:
    looks = Looks()
    with socket.create_server(("127.0.0.1", 0)) as project.server:  # type: ignore[attr-defined]
        address = project.server.getsockname()
        assert (
            looks.reason == f"a socket was opened: bound to {address!r}, held by jobs.server (socket.socket)"
        )


def test_a_connection_is_found_with_its_peer(server: socket.socket) -> None:
    looks = Looks()
    with socket.create_connection(server.getsockname()) as sock:
        peer = f"connected to {server.getsockname()!r}"
        assert looks.reason == f"a socket was opened: {peer} (descriptor {sock.fileno()})"


def test_a_socket_that_was_there_before_is_none(server: socket.socket) -> None:
    looks = Looks()
    copy = os.dup(server.fileno())
    assert looks.reasons == []
    os.close(copy)


def test_a_socket_that_is_closed_again_is_none() -> None:
    looks = Looks()
    socket.create_server(("127.0.0.1", 0)).close()
    assert looks.reasons == []


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_socket_that_is_garbage_is_none() -> None:
    looks = Looks()
    cycle: list[Any] = [socket.create_server(("127.0.0.1", 0))]
    cycle.append(cycle)
    fd = cycle[0].fileno()
    del cycle
    assert os.fstat(fd)
    assert looks.reasons == []


def test_who_is_vouched_for_or_adapted(project: ModuleType) -> None:
    looks = [Looks("sockets"), Looks("jobs"), Looks("pipes", "others")]
    with socket.create_server(("127.0.0.1", 0)) as project.server:  # type: ignore[attr-defined]
        looks.append(Looks(adapted=frozenset([project.server.fileno()])))
        looks[-1].descriptors._before = looks[0].descriptors._before
        assert [bool(look.reasons) for look in looks[:3]] == [False, False, True]
        assert looks[-1].reasons == []


def test_datagrams_of_logs_are_harmless(project: ModuleType, tmp_path: Path) -> None:
    looks = Looks()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(str(tmp_path / "log"))
        looks.descriptors.begin()
        handlers: list[Any] = [
            logging.handlers.SysLogHandler(str(tmp_path / "log")),
            logging.handlers.SysLogHandler(("127.0.0.1", 9)),
            logging.handlers.DatagramHandler("127.0.0.1", 9),
        ]
        handlers[2].createSocket()
        assert looks.reasons == []
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as project.client:  # type: ignore[attr-defined]
            project.client.connect(("127.0.0.1", 9))
            assert "held by jobs.client" in looks.reason  # answers could come
        for handler in handlers:
            handler.close()


# --- pipes ------------------------------------------------------------------------------------------


def make_pipe(stack: ExitStack, folder: Path) -> object:
    reader, writer = os.pipe()
    stack.callback(os.close, writer)
    return stack.enter_context(os.fdopen(reader, "rb"))


def make_fifo(stack: ExitStack, folder: Path) -> object:
    os.mkfifo(folder / "fifo")
    return stack.enter_context(open(os.open(folder / "fifo", os.O_RDWR | os.O_NONBLOCK), "rb", buffering=0))


def make_queue(stack: ExitStack, folder: Path) -> object:
    assert FORK is not None
    queue = FORK.Queue()
    stack.callback(queue.close)
    stack.callback(queue._reader.close)  # type: ignore[attr-defined]
    stack.callback(queue._writer.close)  # type: ignore[attr-defined]
    return queue


def make_simple_queue(stack: ExitStack, folder: Path) -> object:
    assert FORK is not None
    queue = FORK.SimpleQueue()
    stack.callback(queue.close)
    return queue


def make_ends(stack: ExitStack, folder: Path) -> object:
    assert FORK is not None
    ends = FORK.Pipe(duplex=False)
    for end in ends:
        stack.callback(end.close)
    return ends


def make_pool(stack: ExitStack, folder: Path) -> object:
    pool = ProcessPoolExecutor(1, mp_context=FORK)
    stack.callback(pool.shutdown)
    return pool


def make_process(stack: ExitStack, folder: Path) -> object:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    stack.callback(process.wait)
    assert process.stdin is not None
    stack.callback(process.stdin.close)
    return process


@pytest.mark.parametrize(
    ("make", "what", "holder"),
    [
        (make_pipe, "a pipe was opened", "_io.BufferedReader"),
        (make_fifo, "/fifo was opened", "_io.FileIO"),
        (make_queue, "a pipe was opened", "multiprocessing.queues.Queue"),
        (make_simple_queue, "a pipe was opened", "multiprocessing.queues.SimpleQueue"),
        (make_ends, "a pipe was opened", "jobs.thing"),
        (make_pool, "a pipe was opened", "concurrent.futures.process.ProcessPoolExecutor"),
        (make_process, "a pipe was opened", "subprocess.Popen"),
    ],
)
def test_pipes_are_found_with_who_holds_them(
    project: ModuleType,
    tmp_path: Path,
    make: Callable[[ExitStack, Path], object],
    what: str,
    holder: str,
) -> None:
    looks, vouched = Looks(), Looks("pipes")
    with ExitStack() as stack:
        stack.callback(vars(project).pop, "thing")
        project.thing = make(stack, tmp_path)  # type: ignore[attr-defined]
        reason = looks.reasons[0]
        assert what in reason
        assert ", held by jobs.thing" in reason
        assert holder in reason
        assert vouched.reasons == []


def test_copies_of_standard_streams_are_harmless() -> None:
    reader, writer = os.pipe()
    looks = Looks()
    copy = os.dup(writer)  # as pytest's plugin faulthandler makes of standard error
    assert looks.reasons == []
    for fd in (reader, writer, copy):
        os.close(fd)


def test_the_pipe_to_the_resource_tracker_is_harmless(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = Looks()
    reader, writer = os.pipe()
    tracker = SimpleNamespace(_resource_tracker=SimpleNamespace(_fd=writer))
    os.close(reader)
    assert len(looks.reasons) == 1
    monkeypatch.setitem(sys.modules, "multiprocessing.resource_tracker", tracker)
    assert looks.reasons == []
    os.close(writer)


def test_a_pseudo_terminal_is_found(project: ModuleType) -> None:
    looks = Looks()
    main, terminal = os.openpty()
    project.master = main  # type: ignore[attr-defined]
    assert looks.reasons == [f"a pseudo-terminal was opened (descriptor {main})"]
    os.close(main)
    os.close(terminal)


# --- event loops ------------------------------------------------------------------------------------


def test_an_event_loop_is_found(project: ModuleType) -> None:
    looks = Looks("sockets")
    project.loop = asyncio.new_event_loop()  # type: ignore[attr-defined]
    with closing(project.loop):
        reason = looks.reason
    assert reason.startswith("an event loop's epoll descriptor was opened, held by jobs.loop (asyncio.")
    assert looks.reasons == []


def test_what_else_waits_for_events_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = Looks()
    with select.epoll():
        assert len(looks.reasons) == 1
        monkeypatch.setitem(sys.modules, "gevent", ModuleType("gevent"))  # which makes its loop anew
        assert looks.reasons == []
    monkeypatch.undo()
    fd = os.eventfd(0)
    assert looks.reason == f"a descriptor of the kind eventfd was opened (descriptor {fd})"
    os.close(fd)


def test_a_descriptor_of_a_process_is_harmless() -> None:
    looks = Looks()
    fd = os.pidfd_open(os.getpid())
    assert looks.reasons == []
    os.close(fd)


# --- files ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["rb", "r+b", "wb", "ab"])
def test_a_file_is_harmless(tmp_path: Path, mode: str) -> None:
    (tmp_path / "file").write_bytes(b"SQLite")
    looks = Looks()
    with (tmp_path / "file").open(mode):
        assert looks.reasons == []


def test_devices_and_folders_are_harmless(tmp_path: Path) -> None:
    looks = Looks()
    fds = [
        os.open(os.devnull, os.O_RDWR),
        os.open("/dev/urandom", os.O_RDONLY),
        os.open(tmp_path, os.O_RDONLY),
    ]
    assert looks.reasons == []
    for fd in fds:
        os.close(fd)


def test_a_file_without_a_name_is_shared_with_its_content(project: ModuleType) -> None:
    looks = Looks()
    with tempfile.TemporaryFile() as project.scratch:  # type: ignore[attr-defined]
        words = "a temporary file without a name was opened, held by jobs.scratch (_io.BufferedRandom)"
        assert looks.reason == words
        reader = os.open(f"/proc/self/fd/{project.scratch.fileno()}", os.O_RDONLY)
    assert looks.reasons == []  # nobody writes to it
    os.close(reader)


# --- databases --------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_empty", [False, True], ids=["", "empty"])
def test_a_connection_to_sqlite_is_found(project: ModuleType, tmp_path: Path, is_empty: bool) -> None:
    path = tmp_path / "a.db"
    looks = Looks()
    with closing(sqlite3.connect(path)) as project.db:  # type: ignore[attr-defined]
        project.db.row_factory = lambda *_: 1 / 0
        if not is_empty:
            project.db.execute("CREATE TABLE t (i)")
            project.db.commit()
        assert looks.reason == f"a database is open: {path} (SQLite), held by jobs.db (sqlite3.Connection)"
    assert looks.reasons == []


def test_an_empty_file_is_no_database_since_there_is_one_in_memory(
    project: ModuleType, tmp_path: Path
) -> None:
    looks = Looks()
    with closing(sqlite3.connect(":memory:")) as project.db, (tmp_path / "a").open("w+b"):  # type: ignore[attr-defined]
        assert looks.reasons == []


@pytest.mark.parametrize(
    ("name", "content", "library"),
    [
        ("a", b"SQLite format 3\0" + bytes(84), "SQLite"),
        (".coverage", b"SQLite format 3\0" + bytes(84), None),
        (".testmondata-shm", b"SQLite format 3\0" + bytes(84), None),
        ("a", bytes(8) + b"DUCK" + bytes(84), "DuckDB"),
        ("data.mdb", bytes(16) + b"\xde\xc0\xef\xbe" + bytes(84), "LMDB"),
        ("a", b"\xcf\x9a\x57\x13" + bytes(84), "GDBM"),
        ("MANIFEST-000012", b"", "LevelDB"),
        ("MANIFEST", b"", None),
        ("a", b"SQLite", None),
        ("a", b"", None),
        ("a", bytes(100), None),
    ],
)
def test_databases_by_their_content(tmp_path: Path, name: str, content: bytes, library: str | None) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with path.open("rb") as file:
        assert database_of(file.fileno(), str(path)) == library
    with path.open("ab") as file:  # what is only written is not looked into
        known = library if name.startswith("MANIFEST") else None
        assert database_of(file.fileno(), str(path)) == known
