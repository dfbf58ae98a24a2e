import socket
import subprocess
import threading

import pytest


@pytest.mark.parametrize("i", range(4))
def test_passes(i):
    pass


def test_process():
    assert subprocess.check_output(["echo", "x"]) == b"x\n"


def test_thread():
    found = []
    thread = threading.Thread(target=found.append, args=(1,))
    thread.start()
    thread.join()
    assert found


def test_sockets():
    left, right = socket.socketpair()
    with left, right:
        left.send(b"x")
        assert right.recv(1) == b"x"


def test_fails():
    assert not "this fails"
