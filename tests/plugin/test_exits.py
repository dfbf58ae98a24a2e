"""What is to happen when a process ends: for each way to ask for it, and each moment to ask.

The rule is that of a plain run: it happens once, in the process that has asked for it, at that process's end.
What was made before the workers were forked happens after the last of them, whatever they inherited.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Finished, Suite

pytestmark = pytest.mark.python_dependent

#: `make(moment)` asks for something of one kind, and notes it; when it happens, `over` notes that.
MAKER = """
    import atexit, concurrent.futures, multiprocessing, os, subprocess, sys, tempfile, threading, weakref
    from recorder import note

    KIND = os.environ["KIND"]
    KEPT = []
    FORK = multiprocessing.get_context("fork")

    class Thing:
        pass

    def make(moment):
        me = os.getpid()
        number = len(KEPT)
        facts = dict(moment=moment, made=me, number=number)
        over = lambda **more: note("over", **facts, **more)
        kept = globals()["make_" + KIND](over)
        KEPT.append(kept)
        note("made", path=getattr(kept, "name", None), **facts)

    def make_atexit(over):
        atexit.register(over)

    def make_finalize(over):
        thing = Thing()
        weakref.finalize(thing, over)
        return thing

    class Folder(tempfile.TemporaryDirectory):
        pass

    def make_tempdir(over):
        folder = tempfile.TemporaryDirectory()
        atexit.register(lambda: over(there=os.path.isdir(folder.name)))
        return folder

    def make_thread_pool(over):
        pool = concurrent.futures.ThreadPoolExecutor(1)
        atexit.register(lambda: over(done=sum(job.done() for job in jobs)))
        jobs = [pool.submit(sum, range(2000)) for _ in range(500)]
        return pool, jobs

    def make_process_pool(over):
        pool = concurrent.futures.ProcessPoolExecutor(1, mp_context=FORK)
        job = pool.submit(os.getpid)
        child = job.result()
        atexit.register(lambda: over(alive=is_alive(child)))
        return pool

    def make_pool(over):
        pool = FORK.Pool(1)
        child = pool.apply(os.getpid)
        atexit.register(lambda: over())
        note("child", child=child)
        return pool

    def make_manager(over):
        manager = FORK.Manager()
        manager.dict()["x"] = 1
        atexit.register(lambda: over())
        note("child", child=manager._process.pid)
        return manager

    def make_subprocess(over):
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        def stop():
            alive = child.poll() is None
            child.terminate()
            over(alive=alive, code=child.wait())
            child.stdin.close()
        atexit.register(stop)
        note("child", child=child.pid)

    def make_process(over):
        here, there = FORK.Pipe()
        process = FORK.Process(target=there.recv)
        process.start()
        def stop():
            alive = process.is_alive()
            here.send(None)
            process.join()
            over(alive=alive, code=process.exitcode)
        atexit.register(stop)
        note("child", child=process.pid)

    def make_daemon(over):
        process = FORK.Process(target=threading.Event().wait, daemon=True)
        process.start()
        atexit.register(over)
        note("child", child=process.pid)
        return process

    def make_logging(over):
        import logging, logging.handlers
        class Handler(logging.Handler):
            def close(self):
                over()
                super().close()
        handler = Handler()
        return handler

    def is_alive(pid):
        try:
            with open(f"/proc/{pid}/stat") as file:
                return file.read().rpartition(")")[2].split()[0] != "Z"
        except OSError:
            return False
"""
KINDS = [
    "atexit", "finalize", "tempdir", "thread_pool", "process_pool", "pool", "manager", "subprocess",
    "process", "daemon", "logging",
]  # fmt: skip
#: What `over` is told besides, where a plain run would have it.
WELL: dict[str, dict[str, Any]] = {
    "tempdir": {"there": True},
    "thread_pool": {"done": 500},
    "process_pool": {"alive": False},
    "subprocess": {"alive": True, "code": -15},
    "process": {"alive": True, "code": 0},
}
MOMENTS = ["conftest", "configure", "module", "session_fixture", "test"]


def write(suite: Suite, *moments: str) -> None:
    """A suite that makes something at each of these moments."""

    def at(moment: str) -> str:
        return f'make("{moment}")' if moment in moments else "pass"

    suite.file("maker.py", MAKER)
    suite.file(
        "conftest.py",
        f"""
        from maker import make

        {at("conftest")}

        def pytest_configure(config):
            {at("configure")}
        """,
    )
    suite.file(
        "test_it.py",
        f"""
        import os
        import pytest
        import maker
        from maker import make
        from recorder import note

        {at("module")}

        @pytest.fixture(scope="session")
        def made():
            {at("session_fixture")}

        @pytest.mark.parametrize("i", range(6))
        def test(i, made):
            {at("test")}
            note("ran", test=i)
            for kept in maker.KEPT:
                if maker.KIND == "tempdir":
                    assert os.path.isdir(kept.name)
        """,
    )


def run(suite: Suite, monkeypatch: pytest.MonkeyPatch, kind: str, *args: str) -> Finished:
    monkeypatch.setenv("KIND", kind)
    # Newer versions of Python warn of every fork beside a thread.
    return suite.run("-p", "no:cacheprovider", "-p", "no:warnings", *args)


def assert_well(suite: Suite, finished: Finished, kind: str, *, forked_late: bool = True) -> None:
    """Everything that was made is over: once, where it was made, at that process's end.

    :param forked_late: whether what runs no test is the process that the others are forked from.
    """
    made, over = finished.notes("made"), finished.notes("over")
    assert Counter((n["pid"], n["moment"], n["number"]) for n in over) == Counter(
        (n["made"], n["moment"], n["number"]) for n in made
    )
    assert all(note["pid"] == note["made"] for note in over), over
    for note in over:
        expected = WELL.get(kind, {})
        assert {name: note[name] for name in expected} == expected
    positions = {id(note): at for at, note in enumerate(finished.records)}
    ran: dict[int, int] = {n["pid"]: positions[id(n)] for n in finished.notes("ran")}
    for note in over:
        after = ran.get(note["pid"])
        if after is None:  # made before the fork: last of all
            after = max(ran.values()) if forked_late else -1
        assert positions[id(note)] > after
    assert not [n["path"] for n in made if n["path"] and Path(n["path"]).exists()]
    assert not suite.await_gone()


@pytest.mark.parametrize("kind", KINDS)
def test_in_a_plain_run(suite: Suite, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    write(suite, *MOMENTS)
    finished = run(suite, monkeypatch, kind)
    finished.assert_summary(passed=6)
    assert_well(suite, finished, kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("moment", MOMENTS)
def test_under_workers(suite: Suite, monkeypatch: pytest.MonkeyPatch, kind: str, moment: str) -> None:
    write(suite, moment)
    finished = run(suite, monkeypatch, kind, "-n2", "--start-method=fork")
    finished.assert_summary(passed=6)
    assert finished.ret == 0
    assert_well(suite, finished, kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["fork-early", "spawn"])
def test_in_workers_that_collect(
    suite: Suite, monkeypatch: pytest.MonkeyPatch, kind: str, method: str
) -> None:
    write(suite, *MOMENTS)
    finished = run(suite, monkeypatch, kind, "-n2", f"--start-method={method}")
    finished.assert_summary(passed=6)
    assert finished.ret == 0
    assert_well(suite, finished, kind, forked_late=False)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", [["-n2", "--isolate"], ["-n1", "--max-tests-per-worker=2"]])
def test_in_processes_of_their_own(
    suite: Suite, monkeypatch: pytest.MonkeyPatch, kind: str, way: list[str]
) -> None:
    write(suite, *MOMENTS)
    finished = run(suite, monkeypatch, kind, *way, "--start-method=fork")
    finished.assert_summary(passed=6)
    assert finished.ret == 0
    assert_well(suite, finished, kind)


# --- ends that are none -----------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["os._exit(0)", "os._exit(3)", "os.kill(os.getpid(), signal.SIGKILL)"])
@pytest.mark.parametrize("way", [["-n2"], ["-n2", "--isolate"]])
def test_a_worker_that_dies_keeps_no_other_process_from_its_exit(
    suite: Suite, monkeypatch: pytest.MonkeyPatch, end: str, way: list[str]
) -> None:
    write(suite, "conftest", "configure", "module", "session_fixture")
    suite.file("test_z.py", f"import os, signal\ndef test_dies(): note('dies')\n\ndef note(*_): {end}\n")
    monkeypatch.setenv("KIND", "atexit")
    finished = suite.run("-p", "no:cacheprovider", *way)
    finished.assert_summary(passed=6, failed=1)
    survivors = {n["pid"] for n in finished.notes("unconfigure")}
    if "--isolate" in way:
        survivors |= set(finished.facts("ran", "pid"))
    made = [(n["made"], n["moment"]) for n in finished.notes("made") if n["made"] in survivors]
    assert Counter((n["pid"], n["moment"]) for n in finished.notes("over")) == Counter(made)
    assert {moment for _, moment in made} >= {"conftest", "configure", "module"}


def test_a_subprocess_that_was_started_before_the_fork_is_not_ended_by_a_worker(suite: Suite) -> None:
    """A worker is not its parent: Python takes it for ended, and sends it nothing (docs/limits.md)."""
    suite.conftest("""
        import subprocess, sys
        import pytest

        def pytest_configure(config):
            if hasattr(config, "workerinput"):
                config.server = subprocess.Popen(
                    [sys.executable, "-c", "import sys; print('up', flush=True); sys.stdin.read()"],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                )
                assert config.server.stdout.readline() == b"up\\n"

        @pytest.hookimpl(trylast=True)
        def pytest_unconfigure(config):
            from recorder import note
            server = getattr(config, "server", None)
            if server is not None and server.returncode is None:
                note("server", alive=server.poll() is None)
                server.communicate()
                note("ended", code=server.returncode)
    """)
    suite.tests("""
        import os
        import pytest

        @pytest.mark.parametrize("i", range(4))
        def test(request, i):
            server = request.config.server
            server.terminate()
            assert server.poll() == 0
            os.kill(server.pid, 0)
    """)
    finished = suite.run("-n2", "--start-method=fork")
    finished.assert_summary(passed=4)
    assert finished.facts("server", "alive") == [True]
    assert finished.facts("ended", "code") == [0]


@pytest.mark.parametrize("way", [["-n2"], ["-n2", "--isolate"]])
def test_a_thread_that_never_ends_holds_nobody_up(suite: Suite, way: list[str]) -> None:
    suite.tests("""
        import atexit, threading
        import pytest
        from recorder import note

        @pytest.mark.parametrize("i", range(4))
        def test(i):
            atexit.register(note, "over")
            threading.Thread(target=threading.Event().wait, daemon=False).start()
    """)
    finished = suite.run(*way)
    finished.assert_summary(passed=4)
    assert len(finished.notes("over")) == 4


def test_log_handler_that_was_made_before_the_fork_is_closed_once(suite: Suite) -> None:
    suite.conftest("""
        import logging.handlers

        file = logging.FileHandler("buffered.log", mode="w")
        memory = logging.handlers.MemoryHandler(1000, target=file)
        logging.getLogger("some").addHandler(memory)
        logging.getLogger("some").warning("before any fork")
    """)
    suite.trivial(6)
    for way in ([], ["-n2"], ["-n2", "--isolate"]):
        suite.run(*way).assert_summary(passed=6)
        assert (suite.path / "buffered.log").read_text() == "before any fork\n"


def test_a_warning_at_the_exit_of_the_fork_server_is_no_error(suite: Suite) -> None:
    """The plugin pytest-benchmark warns there, since the fork server looks like a worker."""
    suite.file(
        "conftest.py",
        """
        import os, warnings

        ran = []

        def pytest_runtest_setup(item):
            ran.append(item)

        def pytest_unconfigure(config):
            if hasattr(config, "workerinput") and not ran:
                os.write(2, b"the fork server ends")
                warnings.warn("this must not be seen")
        """,
    )
    suite.tests("def test_pass(): pass")
    finished = suite.run("-n2", "--start-method=fork", "-o", "filterwarnings=error")
    finished.assert_summary(passed=1)
    assert finished.err == "the fork server ends"
    assert finished.ret == 0
