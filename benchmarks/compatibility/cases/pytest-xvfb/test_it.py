import os
import socket
import struct
import time

import pytest


def display():
    name = os.environ["DISPLAY"]
    assert name.startswith(":")
    return int(name[1:].partition(".")[0])


def server_of(number):
    """Major version of the protocol that the X server of a display speaks."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(f"/tmp/.X11-unix/X{number}")
        connection.sendall(struct.pack("<BxHHHHxx", ord("l"), 11, 0, 0, 0))
        success, _, major, _ = struct.unpack("<BBHH", connection.recv(6))
    assert success == 1
    return major


@pytest.mark.parametrize("number", range(3))
def test_draws(number, xvfb, tmp_path_factory):
    assert server_of(display()) == 11
    assert xvfb.display == display()
    time.sleep(0.2)


def test_size(xvfb):
    assert (xvfb.width, xvfb.height) == (800, 600)


@pytest.fixture(scope="session", autouse=True)
def owner(tmp_path_factory, worker_id, request):
    """Each worker has a display of its own."""
    yield
    if worker_id != "master":
        claims = tmp_path_factory.getbasetemp().parent / "displays"
        claims.mkdir(exist_ok=True)
        (claims / str(display())).touch(exist_ok=False)
