"""What a test patches does not reach the process layer: it is bound to what was there before."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from pytest_procpar.core.model import TestIndex, WorkerId
from pytest_procpar.core.protocol.server import Fork
from pytest_procpar.core.protocol.worker import Done, Ready
from pytest_procpar.ipc.inbox import WorkerLink, WorkerPort
from pytest_procpar.ipc.link import Link
from pytest_procpar.ipc.port import Port
from pytest_procpar.system import calls
from pytest_procpar.system.calls import adopt_socket, socket_pair
from tests.process.helpers import pipes

pytestmark = pytest.mark.python_dependent


def refuse(*args: object, **kwargs: object) -> Any:
    raise AssertionError("what a test has patched was called")


class Fake:
    """Stands for a module that a library for tests has replaced (pyfakefs does so in every module)."""

    def __getattr__(self, name: str) -> Any:
        return refuse


OS_NAMES = ["close", "dup", "fork", "getpid", "kill", "pipe", "read", "readv", "write", "writev"]
TIME_NAMES = ["monotonic", "perf_counter", "sleep", "time"]
SOCKET_NAMES = ["close", "recv", "recv_into", "recvmsg", "send", "sendall", "sendmsg", "setblocking"]


def our_modules() -> list[Any]:
    return [module for name, module in sys.modules.items() if name.startswith("pytest_procpar.")]


def patch_functions(patch: pytest.MonkeyPatch) -> None:
    for module, names in ((os, OS_NAMES), (time, TIME_NAMES), (socket.socket, SOCKET_NAMES)):
        for name in names:
            patch.setattr(module, name, refuse)


def patch_modules(patch: pytest.MonkeyPatch) -> None:
    for module in our_modules():
        for name in {"fcntl", "os", "signal", "threading", "time"} & vars(module).keys():
            patch.setattr(module, name, Fake())


def patch_names(patch: pytest.MonkeyPatch) -> None:
    """Patch whatever was imported by name, as freezegun does."""
    originals = [getattr(time, name) for name in TIME_NAMES] + [getattr(os, name) for name in OS_NAMES]
    for module in our_modules():
        for name, value in list(vars(module).items()):
            if any(value is original for original in originals):
                patch.setattr(module, name, refuse)


@pytest.fixture(params=[patch_functions, patch_modules, patch_names])
def patched(request: pytest.FixtureRequest) -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        request.param(patch)
        yield patch


@pytest.fixture
def stream() -> Iterator[tuple[WorkerPort, WorkerLink]]:
    """Made before the test patches anything."""
    with pipes() as stream:
        yield stream


def test_worker_speaks(stream: tuple[WorkerPort, WorkerLink], patched: pytest.MonkeyPatch) -> None:
    port, link = stream
    link.put(Ready(1))
    link.put(Done({"value": object}))
    lost = link.flush()
    patched.undo()
    assert lost == ["a value of type type ('value')"]
    assert port.receive() == ([Ready(1), Done({"value": repr(object)})], True)


def test_worker_knows_that_it_is_itself(
    stream: tuple[WorkerPort, WorkerLink], patched: pytest.MonkeyPatch
) -> None:
    assert not stream[1].forked


def test_worker_gets_its_records(stream: tuple[WorkerPort, WorkerLink]) -> None:
    port, link = stream
    port.inbox.send([TestIndex(1), TestIndex(2)])
    with pytest.MonkeyPatch.context() as patch:
        patch_functions(patch)
        got = [link.peek(), link.peek(wait=True), link.claim(wait=True), link.claim(wait=False), link.peek()]
    assert got == [1, 1, 1, 2, None]


@pytest.mark.usefixtures("patched")
def test_clock_goes_on() -> None:
    first = calls.monotonic()
    calls.pause(0)
    while calls.monotonic() == first:
        pass
    assert calls.monotonic() > first


def test_process_has_its_id(patched: pytest.MonkeyPatch) -> None:
    pid = calls.getpid()
    patched.undo()
    assert pid == os.getpid()


def test_class_put_in_the_place_of_sockets_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "socketpair", refuse)
    ours, theirs = socket_pair()
    with ours, theirs:
        port, link = Port(ours), Link(theirs)
        port.send(Fork(WorkerId(0), {}, 0), [theirs.fileno()])
        assert link.receive() == ([Fork(WorkerId(0), {}, 0)], True)
        adopt_socket(link.take_fds(1)[0]).close()


@pytest.fixture
def default_timeout() -> Iterator[None]:
    socket.setdefaulttimeout(0.01)
    yield
    socket.setdefaulttimeout(None)


@pytest.mark.usefixtures("default_timeout")
def test_default_timeout_is_not_taken_over() -> None:
    ours, theirs = socket_pair()
    with ours, theirs, adopt_socket(os.dup(ours.fileno())) as another:
        assert [sock.gettimeout() for sock in (ours, theirs, another)] == [None] * 3


@pytest.mark.usefixtures("default_timeout")
def test_drain_does_not_wait_under_a_default_timeout() -> None:
    with pipes() as (port, _):
        port.inbox.send([TestIndex(1)])
        assert port.inbox.drain() == [1]
