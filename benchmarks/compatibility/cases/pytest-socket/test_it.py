import os
import socket

import pytest
from pytest_socket import SocketBlockedError


def connect(address="127.0.0.1"):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        with socket.create_connection((address, server.getsockname()[1]), timeout=5):
            return True


@pytest.mark.enable_socket
def test_allowed():
    assert connect()


def test_blocked():
    with pytest.raises(SocketBlockedError):
        connect()


def test_fixture(socket_enabled):
    assert connect()


def test_fails():
    connect()


def test_unix(tmp_path):
    if os.environ.get("CI"):
        a, b = socket.socketpair()
        a.close()
        b.close()
