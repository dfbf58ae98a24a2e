"""Workers that will never go on, since they have a lock of their parent's and not the thread that held it."""

from __future__ import annotations

import os
import signal

import pytest

from tests.conftest import Finished, Suite
from tests.plugin.test_foreign_schedulers import MAKE, SCHEDULER

#: What makes the watch look often, and believe soon. Honest tests of this file stand still for longer.
_QUICKLY = """
    import pytest_procpar.core.run.deadlock as deadlock

    deadlock.LOOK_SECONDS, deadlock.PROVEN_LEAST, deadlock.PROVEN_MOST = 0.05, 0.3, 0.3
    deadlock.LIKELY_LEAST, deadlock.LIKELY_TIMES = 0.8, 0.0
"""

#: A thread holds a lock up to the first test. In a forked worker there is no thread that lets go of it.
_LOCK = """
    import threading

    lock, held, begun = threading.Lock(), threading.Event(), threading.Event()

    def hold():
        with lock:
            held.set()
            begun.wait()

    threading.Thread(target=hold, name="holder", daemon=True).start()
    held.wait()

    def wait():
        with lock:
            pass

    def let_go():
        begun.set()
"""

_MUTEX = """
    import ctypes
    import threading

    libc = ctypes.CDLL(None)
    mutex = ctypes.create_string_buffer(256)
    held, begun = threading.Event(), threading.Event()

    def hold():
        libc.pthread_mutex_lock(mutex)
        held.set()
        begun.wait()
        libc.pthread_mutex_unlock(mutex)

    threading.Thread(target=hold, name="holder", daemon=True).start()
    held.wait()

    def wait():
        libc.pthread_mutex_lock(mutex)
        libc.pthread_mutex_unlock(mutex)

    def let_go():
        begun.set()
"""

_QUEUE = """
    import queue
    import threading

    asked, answers = queue.Queue(), queue.Queue()

    def serve():
        while True:
            answers.put(asked.get())

    threading.Thread(target=serve, name="holder", daemon=True).start()

    def wait():
        asked.put("question")
        assert answers.get() == "question"

    def let_go():
        pass
"""

_POOL = """
    import concurrent.futures

    pool = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="holder")
    pool.submit(int).result()

    def wait():
        assert pool.submit(int).result() == 0

    def let_go():
        pass
"""

_WAITS = {"lock": _LOCK, "mutex": _MUTEX, "queue": _QUEUE, "thread pool": _POOL}

#: Whatever is said of a worker that was replaced.
_SAID = "that no thread can release"


def write(suite: Suite, waits: str = _LOCK, more: str = "") -> None:
    """A conftest with `wait`, which never ends in a forked process; what is seen of that is vouched for."""
    suite.conftest(_QUICKLY)
    suite.file("waiting.py", waits)
    conftest = suite.path / "conftest.py"
    suite.conftest(
        conftest.read_text() + "\nimport waiting\ndef pytest_runtest_setup():\n    waiting.let_go()\n"
    )
    if more:
        text = conftest.read_text()
        suite.file("more.py", more)
        conftest.write_text(text + (suite.path / "more.py").read_text())


def run(suite: Suite, *args: str) -> Finished:
    return suite.run(*options(*args))


def options(*args: str) -> list[str]:
    return ["-o", "procpar_fork_safe=recorder.py\nholder*\nconftest.py\nDummy*", *args]


TESTS = """
    import pytest
    from recorder import note
    from waiting import wait

    @pytest.mark.parametrize("i", range(12))
    def test(i):
        if i in (3, 4):
            wait()
        note("ran", test=i)
        assert i != 7
"""


def replaced(finished: Finished) -> list[str]:
    """What was said of workers that were replaced."""
    return [line for line in finished.stdout.lines if line.startswith("= procpar: ") and _SAID in line]


# --- what is seen --------------------------------------------------------------------------------------


@pytest.mark.parametrize("waits", _WAITS)
@pytest.mark.python_dependent
def test_what_waits_for_a_thread_that_was_not_forked_is_begun_anew(suite: Suite, waits: str) -> None:
    write(suite, _WAITS[waits])
    suite.tests(TESTS)
    plain = suite.run("-p", "no:procpar")
    finished = run(suite, "-n2")
    assert finished.outcomes == plain.outcomes
    assert finished.ret == plain.ret
    assert finished.ran == dict.fromkeys(range(12), 1)
    assert finished.summary == {"passed": 11, "failed": 1}
    (line,) = {line for line in replaced(finished) if "test_it.py::test[3]" in line}
    assert "waiting.py:" in line
    assert (
        "begun anew in fresh interpreters (start method spawn); the next runs begin with start method spawn"
        in line
    )
    assert "node down" not in finished.out
    again = run(suite, "-n2")
    assert again.outcomes == plain.outcomes
    assert not replaced(again)
    assert "procpar: start method spawn, since " in again.out


def test_without_a_cache_the_line_says_what_to_configure(suite: Suite) -> None:
    write(suite)
    suite.tests(TESTS)
    finished = run(suite, "-n2", "-p", "no:cacheprovider")
    finished.assert_summary(passed=11, failed=1)
    assert '; to begin so, configure pytest with procpar_start_method = "spawn"' in replaced(finished)[0]


def test_who_makes_progress_goes_on(suite: Suite) -> None:
    write(suite)
    suite.make_barrier()
    suite.tests("""
        import os
        import pytest
        from recorder import note, reached
        from waiting import wait

        def test_waits(worker_id):
            wait()
            note("waited", method=os.environ.get("PYTEST_XDIST_WORKER"))

        def test_works():
            reached()
            fifo = os.open("never.fifo", os.O_RDWR)
            os.read(fifo, 1)
            note("worked")
    """)
    fd = os.open(suite.path / "never.fifo", os.O_RDWR)
    running = suite.start(*options("-n2"))
    suite.await_reached()
    running.await_line(_SAID)
    os.write(fd, b"!")
    finished = running.finish()
    os.close(fd)
    finished.assert_summary(passed=2)
    assert finished.facts("worked", "worker") == ["gw1"]
    assert finished.facts("waited", "worker") == ["gw2"]


@pytest.mark.parametrize("where", ["setup", "teardown", "session fixture"])
def test_other_phases_are_begun_anew(suite: Suite, where: str) -> None:
    scope = "session" if where == "session fixture" else "function"
    before, after = ("pass", "wait()") if where == "teardown" else ("wait()", "pass")
    write(suite)
    suite.tests(f"""
        import pytest
        from waiting import wait

        @pytest.fixture(scope="{scope}")
        def thing():
            {before}
            yield
            {after}

        @pytest.mark.parametrize("i", range(4))
        def test(i, thing): pass
    """)
    finished = run(suite, "-n2")
    finished.assert_summary(passed=4)
    assert replaced(finished)


def test_a_test_that_has_failed_before_its_teardown_stands_still_is_not_run_again(suite: Suite) -> None:
    write(suite)
    suite.tests("""
        import pytest
        from recorder import note
        from waiting import wait

        @pytest.fixture
        def thing():
            yield
            wait()

        def test(thing):
            note("ran", test=0)
            assert 0
    """)
    finished = run(suite, "-n1")
    finished.assert_summary(failed=2)
    assert finished.ran == {0: 1}
    assert replaced(finished)


# --- the machinery -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dist", ["load", "worksteal", "loadfile", "each"])
def test_every_way_of_distributing(suite: Suite, dist: str) -> None:
    write(suite)
    for name in "ab":
        suite.file(f"test_{name}.py", TESTS)
    finished = run(suite, "-n2", f"--dist={dist}", "--max-worker-restart=0")
    times = 2 if dist == "each" else 1
    finished.assert_summary(passed=22 * times, failed=2 * times)
    assert finished.ran == dict.fromkeys(range(12), 2 * times)
    if dist == "loadfile":
        for name in "ab":
            by = [r["by"] for r in finished.notes("report") if r["nodeid"].startswith(f"test_{name}.py")]
            changes = sum(by[i] != by[i - 1] for i in range(1, len(by)))
            assert changes <= 1  # from the worker that stood still to the one in its place


def test_a_plugins_scheduler(suite: Suite) -> None:
    write(suite, more=f"{SCHEDULER}\n    class Mine(InTurn): pass\n{MAKE}")
    suite.tests(TESTS)
    finished = run(suite, "-n2")
    finished.assert_summary(passed=11, failed=1)
    assert finished.ran == dict.fromkeys(range(12), 1)
    assert replaced(finished)


def test_the_first_failure_stops_the_run(suite: Suite) -> None:
    write(suite)
    suite.tests("""
        from recorder import note
        from waiting import wait

        def test_first():
            wait()
            assert 0

        def test_second(): note("ran", test=2)
        def test_third(): note("ran", test=3)
    """)
    finished = run(suite, "-n1", "-x")
    finished.assert_summary(failed=1)
    assert not finished.ran


def test_failures_are_rechecked_afterwards(suite: Suite) -> None:
    write(suite)
    suite.tests("""
        from waiting import wait

        SEEN = []
        def test_polluter(): SEEN.append(1)
        def test_victim(): assert not SEEN
        def test_waits(): wait()
    """)
    finished = run(suite, "-n1", "--recheck=failed", "--recheck-budget=200")
    finished.assert_summary(passed=2, failed=1)
    assert "VICTIM test_it.py::test_victim" in finished.out
    assert "polluter: test_it.py::test_polluter" in finished.out


def test_ctrl_c_after_it(suite: Suite) -> None:
    write(suite)
    suite.make_barrier()
    suite.tests("""
        from recorder import block, reached
        from waiting import wait

        def test_waits():
            wait()
            reached()
            block()
    """)
    running = suite.start(*options("-n1"))
    suite.await_reached()
    running.signal(signal.SIGINT)
    finished = running.finish()
    assert finished.ret == pytest.ExitCode.INTERRUPTED
    assert "KeyboardInterrupt" in finished.out


@pytest.mark.python_dependent
def test_a_real_deadlock_is_tried_once_more_and_stays_what_it_is(suite: Suite) -> None:
    write(suite)
    suite.tests("""
        import threading
        from recorder import note

        def test_stands():
            note("ran", test=0)
            lock = threading.Lock()
            lock.acquire()
            lock.acquire()

        def test_works(): note("ran", test=1)
    """)
    finished = run(suite, "-n1", "--hang-timeout=2")
    finished.assert_summary(passed=1, failed=1)
    assert finished.ran == {0: 2, 1: 1}
    assert "HUNG test_it.py::test_stands" in finished.out


# --- before and after the tests ------------------------------------------------------------------------


def test_the_collection_is_begun_anew(suite: Suite) -> None:
    write(suite)
    suite.tests("import waiting\nwaiting.let_go()\nwaiting.wait()\n" + "\ndef test(): pass\n")
    finished = run(suite, "-n2")
    finished.assert_summary(passed=1)
    assert "the process that workers are forked from has waited" in replaced(finished)[0]


def test_a_collection_in_every_worker_is_begun_anew(suite: Suite) -> None:
    write(suite, more="import os\nnothing = os.environ.get('NOTHING')\n")
    suite.conftest(
        (suite.path / "conftest.py").read_text()
        + "\ndef pytest_configure(config):\n    config.pluginmanager.register(waiting, 'xvfb')\n"
    )
    suite.file("early.py", "import sys\nimport types\n")
    suite.conftest(
        (suite.path / "conftest.py").read_text()
        + "\nimport types\ndef pytest_addoption(pluginmanager):\n"
        + "    pluginmanager.register(types.ModuleType('x'), 'pytest_opentelemetry')\n"
    )
    suite.tests("import waiting\nwaiting.let_go()\nwaiting.wait()\n" + "\ndef test(): pass\n")
    finished = run(suite, "-n2")
    finished.assert_summary(passed=1)
    assert "fork-early" in finished.out
    assert replaced(finished)


def test_a_worker_that_has_finished_and_does_not_end_is_ended(suite: Suite) -> None:
    write(
        suite,
        more="""
        import os

        def pytest_unconfigure(config):
            if hasattr(config, "workerinput"):
                waiting.wait()
        """,
    )
    suite.trivial(4)
    finished = run(suite, "-n2", "--dist=each")
    finished.assert_summary(passed=8)
    assert finished.ret == 0
    assert replaced(finished)


def test_a_session_that_does_not_finish_is_an_error(suite: Suite) -> None:
    write(
        suite,
        more="""
        def pytest_sessionfinish(session):
            if hasattr(session.config, "workerinput"):
                waiting.wait()
        """,
    )
    suite.trivial(4)
    finished = run(suite, "-n1")
    finished.assert_summary(passed=4, errors=1)
    assert finished.ret == pytest.ExitCode.TESTS_FAILED
    assert "hung at the end of its session" in finished.out
    assert replaced(finished)


# --- what looks alike ----------------------------------------------------------------------------------

HONEST = {
    "sleeps": "time.sleep(1.5)",
    "reads": "os.read(fifo, 1)",
    "waits for a process": "subprocess.run([sys.executable, '-c', CHILD], check=True)",
    "waits for a process in a thread": """
        done = threading.Event()
        child = subprocess.Popen([sys.executable, '-c', CHILD])
        threading.Thread(target=lambda: (child.wait(), done.set())).start()
        done.wait()
    """,
    "waits for a lock that a process holds": """
        lock = multiprocessing.get_context("fork").Lock()
        process = multiprocessing.get_context("fork").Process(target=hold, args=(lock, fifo))
        lock.acquire()
        process.start()
        lock.acquire()
        process.join()
    """,
    "waits for a queue that a process fills": """
        answers = multiprocessing.get_context("fork").Queue()
        process = multiprocessing.get_context("fork").Process(target=fill, args=(answers, fifo))
        process.start()
        assert answers.get() == 1
        process.join()
    """,
    "waits for a thread that reads": """
        done = threading.Event()
        threading.Thread(target=lambda: (os.read(fifo, 1), done.set())).start()
        done.wait()
    """,
    "waits for a lock with a limit, again and again": """
        never = threading.Event()
        while not os.path.exists("go"):
            never.wait(0.02)
    """,
    "waits for a lock with one limit": "threading.Event().wait(1.5)",
    "waits for a timer": """
        done = threading.Event()
        signal.signal(signal.SIGALRM, lambda *args: done.set())
        signal.setitimer(signal.ITIMER_REAL, 0.6)
        done.wait()
    """,
    "serves": """
        server = socket.create_server(("127.0.0.1", 0))
        thread = threading.Thread(target=lambda: server.accept())
        thread.start()
        os.read(fifo, 1)
        socket.create_connection(server.getsockname()).close()
        thread.join()
        server.close()
    """,
    "runs a loop of asyncio": """
        async def main():
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(None, os.read, fifo, 1)
        asyncio.run(main())
    """,
    "is busy": """
        while not os.path.exists("go"):
            pass
    """,
}


@pytest.mark.parametrize("what", HONEST)
def test_who_waits_for_what_will_come_is_left_alone(suite: Suite, what: str) -> None:
    write(suite)
    body = HONEST[what] if "\n" in HONEST[what] else f"\n        {HONEST[what]}\n"
    suite.tests("""
        import asyncio, multiprocessing, os, pytest, signal, socket, subprocess, sys, threading, time
        from recorder import note

        CHILD = "import os; os.read(os.open('never.fifo', os.O_RDWR), 1)"

        def hold(lock, fifo):
            os.read(fifo, 1)
            lock.release()

        def fill(answers, fifo):
            os.read(fifo, 1)
            answers.put(1)

        def test():
            note("ran", test=0)
            fifo = os.open("never.fifo", os.O_RDWR)
    """ + body.replace("\n        ", "\n            "))  # fmt: skip
    suite.make_barrier()
    fd = os.open(suite.path / "never.fifo", os.O_RDWR)
    running = suite.start(*options("-n1", "-o", "procpar_quiet_seconds=1.5"))
    if what not in ("sleeps", "waits for a lock with one limit", "waits for a timer"):
        running.await_line("no test has ended for 1.5 s")
    (suite.path / "go").touch()
    os.write(fd, b"!")
    finished = running.finish()
    os.close(fd)
    finished.assert_summary(passed=1)
    assert finished.ran == {0: 1}
    assert not replaced(finished)


# --- a method that is pinned ---------------------------------------------------------------------------


def test_a_pinned_method_stays_and_the_notice_says_what_may_help(suite: Suite) -> None:
    write(suite)
    suite.tests(TESTS)
    running = suite.start(*options("-n2", "--start-method=fork", "-o", "procpar_quiet_seconds=1"))
    running.await_line("that no thread can release: most likely one held it that was lost in the fork")
    running.await_line("try --start-method=spawn")
    running.signal(signal.SIGTERM)
    finished = running.finish()
    assert finished.ret == pytest.ExitCode.INTERRUPTED
    assert not replaced(finished)
