"""Children, barriers and streams for the tests of this folder: forked, piped, and always cleaned up."""

from __future__ import annotations

import fcntl
import mmap
import os
import select
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from pytest_procpar.core.protocol.preview import PREVIEW_BYTES, Preview
from pytest_procpar.core.protocol.records import Record
from pytest_procpar.core.protocol.server import Setup
from pytest_procpar.ipc.inbox import Inbox, WorkerLink, WorkerPort
from pytest_procpar.ipc.link import Link
from pytest_procpar.ipc.port import Port, Receiver
from pytest_procpar.system.calls import socket_pair

T = TypeVar("T")

#: More bytes than the system keeps for a reader that does not read.
BEYOND_THE_BUFFER = 2_000_000


class Gate:
    """Somebody waits in `wait` until somebody else, in another process perhaps, has called `open`."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()

    def __enter__(self) -> Gate:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._read)
        os.close(self._write)

    def open(self) -> None:
        os.write(self._write, b"!")

    def wait(self) -> None:
        assert os.read(self._read, 1) == b"!"

    @property
    def is_open(self) -> bool:
        return self.opens_within(0)

    def opens_within(self, milliseconds: float) -> bool:
        return ready(self._read, timeout=milliseconds)


def ready(stream: Any, events: int = select.POLLIN, *, timeout: float | None = None) -> bool:
    """Wait for a descriptor, for `timeout` milliseconds at most. `select.select` knows no high ones."""
    poll = select.poll()
    poll.register(stream, events)
    return bool(poll.poll(timeout))


def fork() -> int:
    """`os.fork`, without its warning about threads: raised as an error, since 3.15, it hides the child."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


@contextmanager
def child(body: Callable[[], object], *, expect: int | None = 0) -> Iterator[int]:
    """The pid of a forked child that runs `body`; at the end it must be gone, with that wait status."""
    pid = fork()
    if pid == 0:
        status = 1
        try:
            body()
            status = 0
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(status)
    try:
        yield pid
    except BaseException:
        for kill in (os.killpg, os.kill):
            with suppress(ProcessLookupError):
                kill(pid, signal.SIGKILL)
        with suppress(ChildProcessError):  # the test has waited for it itself
            os.waitpid(pid, 0)
        raise
    with suppress(ChildProcessError):
        _, status = os.waitpid(pid, 0)
        assert expect is None or status == expect


@contextmanager
def streams() -> Iterator[tuple[Port, Link]]:
    """Both ends of a stream in one process."""
    ours, theirs = socket_pair()
    with ours, theirs:
        yield Port(ours), Link(theirs)


def preview() -> Preview:
    """The preview of an inbox, in memory that children share."""
    return Preview(memoryview(mmap.mmap(-1, PREVIEW_BYTES)).cast("Q"))


#: The descriptor that each link writes to.
_OUTLETS: WeakKeyDictionary[WorkerLink, int] = WeakKeyDictionary()


def _link_to(port: WorkerPort, shared: Preview) -> WorkerLink:
    """The worker's end of the connection, whose descriptors get other numbers as it is made."""
    pipe = os.fstat(port.theirs[0])
    link = WorkerLink(port.theirs, shared)
    port.theirs.clear()
    (_OUTLETS[link],) = [fd for fd in map(int, os.listdir("/dev/fd")) if _writes_into(fd, pipe)]
    return link


def _writes_into(fd: int, pipe: os.stat_result) -> bool:
    try:
        writes = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY
        return writes and os.path.samestat(os.fstat(fd), pipe)
    except OSError:  # it was open for the listing only
        return False


def outlet_of(link: WorkerLink) -> int:
    """The descriptor that a link of `pipes` or `worker` writes to."""
    return _OUTLETS[link]


@contextmanager
def pipes() -> Iterator[tuple[WorkerPort, WorkerLink]]:
    """Both ends of a worker's pipes in one process."""
    shared = preview()
    port = WorkerPort(shared)
    link = _link_to(port, shared)
    try:
        yield port, link
    finally:
        port.close()
        link.close()


@contextmanager
def worker(
    body: Callable[[WorkerLink], object], *, expect: int | None = 0
) -> Iterator[tuple[WorkerPort, int]]:
    """The controller's end of the pipes to a forked child that runs `body`, and the child's pid."""
    shared = preview()
    port = WorkerPort(shared)

    def work() -> None:
        link = _link_to(port, shared)
        port.close()
        body(link)

    try:
        with child(work, expect=expect) as pid:
            port.sent()
            yield port, pid
    finally:
        port.close()


@contextmanager
def process(body: Callable[[Link], object], *, expect: int | None = 0) -> Iterator[tuple[Port, int]]:
    """The controller's end of a socket to a forked child that runs `body`, and the child's pid."""
    ours, theirs = socket_pair()

    def work() -> None:
        ours.close()
        body(Link(theirs))

    with child(work, expect=expect) as pid:
        theirs.close()
        port = Port(ours)
        try:
            yield port, pid
        finally:
            port.close()


def hear(port: Receiver, count: int | None = None) -> list[Any]:
    """The next `count` messages, or all until the stream ends."""
    messages: list[Any] = []
    is_open = True
    while is_open and (count is None or len(messages) < count):
        ready(port)
        batch, is_open = port.receive()
        messages.extend(batch)
        assert port.garbled is None
    return messages


def claim_all(link: WorkerLink) -> list[Record]:
    """Every record up to the word that ends them."""
    claimed: list[Record] = []
    while (record := link.claim(wait=True)) != "finish":
        assert record is not None
        claimed.append(record)
    return claimed


def push(port: Port | Inbox) -> None:
    """Go on sending until nothing is left, as the controller's loop does."""
    while port.clogged:
        ready(port, select.POLLOUT)
        port.flush()


def setup(size: int = 0, number: int = 0) -> Setup:
    """A message of about `size` bytes."""
    return Setup([], {"TEXT": "x" * size, "NUMBER": str(number)}, "/", None)
