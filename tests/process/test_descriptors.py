"""Descriptors that travel with messages, and children that tests fork."""

from __future__ import annotations

import fcntl
import os
import resource
import socket
import subprocess
import sys

import pytest

from pytest_procpar.core.model import TestIndex, WorkerId
from pytest_procpar.core.protocol.codec import Message
from pytest_procpar.core.protocol.server import Fork, Quit
from pytest_procpar.core.protocol.worker import Ready
from pytest_procpar.ipc.inbox import WorkerLink
from pytest_procpar.ipc.link import Link
from pytest_procpar.system.calls import Socket, adopt_socket
from tests.process.helpers import BEYOND_THE_BUFFER, Gate, child, hear, process, push, setup, streams, worker

SOFT, HARD = resource.getrlimit(resource.RLIMIT_NOFILE)


def say(sock: Socket, text: bytes) -> None:
    with sock:
        sock.sendall(text)


# --- with messages ----------------------------------------------------------------------------------


def test_descriptor_comes_with_its_message() -> None:
    def listen(link: Link) -> None:
        assert link.receive() == ([Fork(WorkerId(3), {}, 0)], True)
        say(adopt_socket(link.take_fds(1)[0]), b"hello")

    ours, theirs = socket.socketpair()
    with ours, process(listen) as (port, _):
        port.send(Fork(WorkerId(3), {}, 0), [theirs.fileno()])
        theirs.close()
        assert ours.recv(10) == b"hello"


def test_descriptor_that_came_is_closed_on_exec_and_out_of_reach() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, streams() as (port, link):
        port.send(Fork(WorkerId(0), {}, 0), [theirs.fileno()])
        link.receive()
        with adopt_socket(link.take_fds(1)[0]) as sock:
            assert sock.fileno() > 256
            assert fcntl.fcntl(sock, fcntl.F_GETFD) & fcntl.FD_CLOEXEC


@pytest.mark.parametrize("size", [0, BEYOND_THE_BUFFER], ids=["free", "clogged"])
def test_descriptors_come_in_the_order_of_their_messages(size: int) -> None:
    count = 20

    def listen(link: Link) -> None:
        gate.wait()
        forks = 0
        received: list[Message] = []
        while received[-1:] != [Quit()]:
            messages, _ = link.receive()
            received += messages
            for message in messages:
                if isinstance(message, Fork):
                    forks += 1
                    say(adopt_socket(link.take_fds(1)[0]), b"%d" % message.worker)
        assert forks == count

    pairs = [socket.socketpair() for _ in range(count)]
    with Gate() as gate, process(listen) as (port, _):
        port.send(setup(size))
        for number, (_, theirs) in enumerate(pairs):
            port.send(Fork(WorkerId(number), {}, 0), [theirs.fileno()])
            theirs.close()  # it is the sender's, even while the message waits
            if number % 3 == 0:
                port.send(setup(100 * number))
        port.send(Quit())
        assert port.clogged == bool(size)
        gate.open()
        push(port)
        assert [int(ours.recv(10)) for ours, _ in pairs] == list(range(count))
    for ours, _ in pairs:
        ours.close()


def test_several_descriptors_come_with_one_message() -> None:
    pairs = [socket.socketpair() for _ in range(3)]
    with streams() as (port, link):
        port.send(Quit(), [theirs.fileno() for _, theirs in pairs])
        link.receive()
        for number, (ours, theirs) in enumerate(pairs):
            theirs.close()
            say(adopt_socket(link.take_fds(1)[0]), b"%d" % number)
            with ours:
                assert int(ours.recv(10)) == number


def test_descriptors_that_were_never_sent_are_closed_with_the_port() -> None:
    read, write = os.pipe()
    with streams() as (port, _):
        port.send(setup(BEYOND_THE_BUFFER))
        port.send(Quit(), [write])
        os.close(write)
        port.close()
        assert os.read(read, 1) == b""
    os.close(read)


def test_stream_is_closed_in_a_program_that_a_test_starts() -> None:
    with streams() as (port, link):
        code = "import os, sys; [os.fstat(int(fd)) for fd in sys.argv[1:]]"
        for stream in (port, link):
            command = [sys.executable, "-S", "-c", code, str(stream.fileno())]
            finished = subprocess.run(command, close_fds=False, capture_output=True, text=True, check=False)
            assert "Bad file descriptor" in finished.stderr


def be_nobody_in_particular() -> None:
    """Who may do anything has no limits."""
    if os.getuid() == 0:
        os.setuid(65534)


def test_more_descriptors_may_be_on_their_way_than_one_user_may_have_there() -> None:
    def talk() -> None:
        be_nobody_in_particular()
        with streams() as (port, link):
            fds = [os.dup(0) for _ in range(5)]
            free = [os.dup(0) for _ in range(9)]  # there may be others in use between them
            for fd in free:
                os.close(fd)
            resource.setrlimit(resource.RLIMIT_NOFILE, (free[-1], HARD))
            for number in range(30):
                port.send(Fork(WorkerId(number), {}, 0), fds)
            for number in range(30):
                messages, _ = link.receive()
                assert messages == [Fork(WorkerId(number), {}, 0)]
                came = link.take_fds(5)
                assert len(came) == 5
                for fd in came:
                    os.close(fd)
                port.flush()
            assert not port.clogged

    with child(talk):
        pass


def test_descriptors_that_find_no_room_are_missing_from_their_own_message_only() -> None:
    def listen() -> None:
        with streams() as (port, link):
            fds = [os.dup(0) for _ in range(5)]
            for number in range(4):
                port.send(Fork(WorkerId(number), {}, 0), fds)
            free = [os.dup(0) for _ in range(6)]  # there may be others in use between them
            for fd in free:
                os.close(fd)
            found = []
            for room in (5, 0, 3, 5):
                resource.setrlimit(resource.RLIMIT_NOFILE, (free[room], HARD))
                link.receive()
                found.append(link.take_fds(5))
                resource.setrlimit(resource.RLIMIT_NOFILE, (SOFT, HARD))
                for fd in found[-1]:
                    os.close(fd)
            assert list(map(len, found)) == [5, 0, 3, 5]

    with child(listen):
        pass


# --- a test that forks ------------------------------------------------------------------------------


def test_child_of_a_test_does_not_speak_for_the_worker() -> None:
    def work(link: Link) -> None:
        def misbehave() -> None:
            assert link.forked
            link.put(Ready(2))
            assert link.flush() == []
            link.flush()

        link.put(Ready(1))
        with child(misbehave):
            pass
        assert not link.forked
        link.put(Ready(3))
        link.flush()

    with process(work) as (port, _):
        assert hear(port) == [Ready(1), Ready(3)]


def test_child_of_a_test_does_not_take_the_workers_tests() -> None:
    def work(link: WorkerLink) -> None:
        def misbehave() -> None:
            for wait in (True, False):
                with pytest.raises(EOFError):
                    link.claim(wait=wait)

        link.peek(wait=True)
        with child(misbehave):
            pass
        assert link.claim(wait=True) == 1

    with worker(work) as (port, _):
        port.inbox.send([TestIndex(1)])
