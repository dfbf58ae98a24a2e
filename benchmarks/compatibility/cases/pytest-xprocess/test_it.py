import socket
import sys
import urllib.request
from pathlib import Path

import pytest
from xprocess import ProcessStarter


@pytest.fixture(scope="session")
def port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture(scope="session")
def server(xprocess, port, worker_id):
    class Starter(ProcessStarter):
        pattern = "ready"
        timeout = 30
        args = (sys.executable, str(Path(__file__).with_name("server.py")), str(port))

    xprocess.ensure(f"server-{worker_id}", Starter)
    yield f"http://127.0.0.1:{port}"
    xprocess.getinfo(f"server-{worker_id}").terminate()


@pytest.mark.parametrize("number", range(4))
def test_answers(server, number):
    with urllib.request.urlopen(server, timeout=10) as answer:
        assert answer.read() == b"here"
