import http.server
import threading
import time
import urllib.request

import pytest
from conftest import PORT


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope="session")
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Quiet) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("i", range(6))
def test_answers(server, i):
    with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/", timeout=30) as answer:
        assert answer.status == 200
    time.sleep(0.05)
