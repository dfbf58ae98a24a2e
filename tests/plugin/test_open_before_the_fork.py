"""What a suite has open before workers are forked: files are read on, all else asks for another method."""

from __future__ import annotations

import random
import sys
import zipfile

import pytest

from tests.conftest import Suite
from tests.plugin.rechecking import section
from tests.plugin.test_start_methods import is_unusual, said_method

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")

#: A module of the suite that opens an archive.
ARCHIVE = """
    import os, random, zipfile

    def content(number):
        return random.Random(number).randbytes(30_000)

    def opened():
        return zipfile.ZipFile(os.path.join(os.path.dirname(__file__), "data.zip"))
"""

#: Where something is opened: a conftest's text, and a test module's first lines, which have it as `THING`.
PLACES = {
    "conftest": ("from thing import opened\nTHING = opened()", "from conftest import THING"),
    "configure": (
        "import thing\ndef pytest_configure(config): thing.THING = thing.opened()",
        "from thing import THING",
    ),
    "collection": ("", "from thing import opened\nTHING = opened()"),
}


def make(suite: Suite, place: str, thing: str, test: str) -> None:
    """A suite that opens something there."""
    conftest, head = PLACES[place]
    suite.file("thing.py", thing)
    suite.conftest(conftest)
    lines = [line for line in test.splitlines() if line.strip()]
    margin = min(len(line) - len(line.lstrip()) for line in lines)
    suite.tests("\n".join([head, *(line[margin:] for line in lines)]))


def make_archive(suite: Suite) -> None:
    with zipfile.ZipFile(suite.path / "data.zip", "w") as archive:
        for number in range(10):
            archive.writestr(str(number), random.Random(number).randbytes(30_000))


READS = """
    import pytest
    from thing import content

    @pytest.mark.parametrize("n", range(60))
    def test(n):
        assert THING.read(str(n % 10)) == content(n % 10)
"""


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "options",
    [
        ["-n3"],
        ["-n2", "--isolate"],
        ["-n2", "--max-tests-per-worker=4"],
        ["-n3", "--start-method=fork-early"],
    ],
    ids=["", "isolate", "renewed", "early"],
)
def test_an_open_archive_is_read_by_every_worker(suite: Suite, place: str, options: list[str]) -> None:
    make_archive(suite)
    make(suite, place, ARCHIVE, READS)
    finished = suite.run(*options)
    finished.assert_summary(passed=60)
    assert said_method(finished) is None


def test_an_open_archive_does_not_look_like_a_dependency_between_tests(suite: Suite) -> None:
    make_archive(suite)
    make(suite, "collection", ARCHIVE, f"{READS}\n    def test_fails(): assert THING.read('1') == b''")
    finished = suite.run("-n3", "--recheck=all")
    finished.assert_summary(passed=60, failed=1)
    assert "victim" not in "\n".join(section(finished))
    assert "flaky" not in "\n".join(section(finished))


def test_the_controller_reads_what_workers_read_too(suite: Suite) -> None:
    suite.conftest("""
        DATA = open(__file__)
        TEXT = open(__file__).read()

        def pytest_configure(config):
            assert DATA.read(40) == TEXT[:40]

        def pytest_sessionfinish(session):
            assert DATA.read() == TEXT[40:]
    """)
    suite.trivial(6)
    finished = suite.run("-n2")
    finished.assert_summary(passed=6)
    assert finished.ret == 0
    assert said_method(finished) is None


@pytest.mark.parametrize(("place", "mode"), [("conftest", "w"), ("configure", "a"), ("collection", "w")])
def test_what_was_buffered_before_the_fork_is_written_once(suite: Suite, place: str, mode: str) -> None:
    thing = f"""
        import os
        def opened():
            file = open(os.path.join(os.path.dirname(__file__), "log"), "{mode}")
            if hasattr(os, "register_at_fork"):
                print("opened", file=file)
            return file
    """
    test = """
        import pytest
        @pytest.mark.parametrize("n", range(20))
        def test(n): print("test", n, file=THING, flush=True)
    """
    make(suite, place, thing, test)
    finished = suite.run("-n3", "--start-method=fork")
    finished.assert_summary(passed=20)
    lines = (suite.path / "log").read_text().splitlines()
    # Under fork the file is opened once; the controller opens it too if it is in pytest_configure.
    assert lines.count("opened") == (2 if (place, mode) == ("configure", "a") else 1)
    assert sorted(line for line in lines if line != "opened") == sorted(f"test {n}" for n in range(20))


# --- what asks for another method ---------------------------------------------------------------------

THINGS = {
    "queue": (
        """
            import multiprocessing
            def opened(): return multiprocessing.get_context("fork").Queue()
        """,
        """
            import os
            THING.put(os.getpid())
            assert THING.get(timeout=60) == os.getpid()
        """,
        "a pipe was opened, held by {}.THING (multiprocessing.queues.Queue)",
    ),
    "socket": (
        """
            import socket
            def opened(): return socket.socketpair()
        """,
        """
            import os
            THING[0].sendall(b"%9d" % os.getpid())
            assert int(THING[1].recv(9)) == os.getpid()
        """,
        "a socket was opened: ",
    ),
    "database": (
        """
            import os, sqlite3, tempfile
            def opened():
                folder = os.path.join(os.path.dirname(__file__), f"db{os.getpid()}")
                os.makedirs(folder)
                db = sqlite3.connect(os.path.join(folder, "t.db"), check_same_thread=False)
                db.execute("CREATE TABLE t (i)")
                db.commit()
                return db
        """,
        """
            with THING:
                THING.execute("DELETE FROM t")
                THING.execute("INSERT INTO t VALUES (?)", [n])
                assert THING.execute("SELECT i FROM t").fetchall() == [(n,)]
        """,
        "t.db (SQLite), held by {}.THING (sqlite3.Connection)",
    ),
    "value": (
        """
            import multiprocessing
            def opened(): return multiprocessing.get_context("fork").RawValue("i")
        """,
        """
            import os
            for _ in range(1000):
                THING.value = os.getpid()
                assert THING.value == os.getpid()
        """,
        "memory was made that processes would share, held by {}.THING",
    ),
    "event": (
        """
            import multiprocessing
            def opened(): return multiprocessing.get_context("fork").Event()
        """,
        """
            assert not THING.is_set()
            THING.set()
            assert THING.is_set()
            THING.clear()
        """,
        "a semaphore was made that processes would share, held by {}.THING (multiprocessing.",
    ),
    "loop": (
        """
            import asyncio
            def opened():
                return asyncio.new_event_loop()
        """,
        """
            import asyncio, threading
            future = THING.create_future()
            thread = threading.Thread(target=lambda: THING.call_soon_threadsafe(future.set_result, n))
            thread.start()
            assert THING.run_until_complete(asyncio.wait_for(future, 60)) == n
            thread.join()
        """,
        "held by {}.THING (asyncio.",
    ),
    "scratch": (
        """
            import tempfile
            def opened(): return tempfile.TemporaryFile()
        """,
        """
            import os
            THING.seek(0)
            THING.write(b"%9d" % os.getpid())
            THING.seek(0)
            assert int(THING.read(9)) == os.getpid()
        """,
        "a temporary file without a name was opened, held by {}.THING",
    ),
}
HOLDERS = {"conftest": "conftest", "configure": "thing", "collection": "test_it"}


@pytest.mark.parametrize(
    ("thing", "place"),
    [
        ("queue", "conftest"),
        ("queue", "collection"),
        ("socket", "collection"),
        ("database", "conftest"),
        ("database", "configure"),
        ("value", "collection"),
        ("event", "conftest"),
        ("loop", "configure"),
        ("scratch", "collection"),
    ],
)
def test_what_workers_must_not_share(suite: Suite, thing: str, place: str) -> None:
    module, body, words = THINGS[thing]
    head = "import pytest\n@pytest.mark.parametrize('n', range(20))\ndef test(n):\n"
    lines = [line for line in body.splitlines() if line.strip()]
    margin = min(len(line) - len(line.lstrip()) for line in lines)
    make(suite, place, module, head + "\n".join(f"    {line[margin:]}" for line in lines))
    finished = suite.run("-n2")
    finished.assert_summary(passed=20)
    is_unusual(finished, "spawn" if place == "conftest" else "fork-early", words.format(HOLDERS[place]))


@pytest.mark.parametrize("vouched", ["event-loops", "test_it"])
def test_what_the_project_vouches_for_by_its_kind_or_who_holds_it(suite: Suite, vouched: str) -> None:
    make(suite, "collection", THINGS["loop"][0], "def test(): pass")
    finished = suite.run("-n2", "-o", f"procpar_fork_safe=recorder.py\n{vouched}")
    finished.assert_summary(passed=1)
    assert said_method(finished) is None


def test_who_vouches_for_event_loops_does_not_vouch_for_other_sockets(suite: Suite) -> None:
    body = """
        import asyncio, socket

        def opened():
            listener = socket.socket()
            listener.bind(("127.0.0.1", 0))
            return asyncio.new_event_loop(), listener
    """
    make(suite, "collection", body, "def test(): pass")
    finished = suite.run("-n2", "-o", "procpar_fork_safe=recorder.py\nevent-loops")
    finished.assert_summary(passed=1)
    is_unusual(finished, "fork-early", "a socket was opened: bound to ")


CHILD = """
    import subprocess, sys

    def opened():
        return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
"""


def test_a_child_process_of_a_test_module_is_each_worker_s_own(suite: Suite) -> None:
    make(
        suite,
        "collection",
        CHILD,
        """
        import pytest

        @pytest.mark.parametrize("n", range(4))
        def test(n):
            assert THING.poll() is None

        def teardown_module():
            THING.kill()
            assert THING.wait() == -9
        """,
    )
    finished = suite.run("-n2", "--dist=loadfile")  # else a worker may end its module twice
    finished.assert_summary(passed=4)
    said = "a child process was started, held by test_it.THING (subprocess.Popen)"
    assert said_method(finished) == f"fork-early, since {said}"


def test_a_child_process_of_a_conftest_serves_all_workers(suite: Suite) -> None:
    suite.file("thing.py", CHILD)
    suite.conftest("""
        from thing import opened

        def pytest_sessionstart(session):
            if hasattr(session.config, "workerinput"):
                global SERVER
                SERVER = opened()

        def pytest_unconfigure(config):
            if "SERVER" in globals() and SERVER.returncode is None:
                SERVER.kill()
                SERVER.wait()
    """)
    suite.tests("""
        import os, conftest

        def test():
            os.kill(conftest.SERVER.pid, 0)
    """)
    finished = suite.run("-n2")
    finished.assert_summary(passed=1)
    assert said_method(finished) is None
