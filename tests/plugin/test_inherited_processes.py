"""What a forked worker is told about programs that were started before the fork, and when those end."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from tests.conftest import Suite
from tests.plugin.test_start_methods import said_method

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")

#: A server of the suite's, which ends when its parent's parent is gone, so as not to outlive a failed test.
SERVER = """
import os, signal, subprocess, sys
CODE = '''
import os, signal
def tell(signum, frame):
    with open("heard", "w") as pipe: pipe.write(str(signum))
signal.signal(signal.SIGUSR1, tell)
signal.signal(signal.SIGUSR2, lambda *_: os._exit(7))
os.write(1, b"ready")
while True: signal.pause()
'''
def start():
    reader, writer = os.pipe()
    server = subprocess.Popen([sys.executable, "-c", CODE], stdout=writer)
    os.read(reader, 5)
    os.close(reader)
    os.close(writer)
    return server
"""

#: Where a suite starts its server, and where it ends it.
PLACES = {
    "a conftest": "import atexit\nSERVER = start()\natexit.register(SERVER.kill)",
    "configure": """
def pytest_configure(config):
    global SERVER
    SERVER = start()
def pytest_unconfigure(config):
    SERVER.kill()
    SERVER.wait()
""",
    "session start": """
def pytest_sessionstart(session):
    global SERVER
    SERVER = start()
def pytest_sessionfinish(session):
    SERVER.terminate()
    SERVER.wait()
""",
}

NEEDED = """
import subprocess, sys
import pytest
import conftest

@pytest.fixture(autouse=True)
def server():
    if conftest.SERVER.poll() is not None:
        pytest.skip("the server does not run")
    return conftest.SERVER

@pytest.mark.parametrize("number", range(6))
def test_it_runs(number, server):
    with pytest.raises(subprocess.TimeoutExpired):
        server.wait(0.001)
    assert server.returncode is None

def test_a_child_of_the_worker_is_told_of_as_ever():
    child = subprocess.Popen([sys.executable, "-c", "input(); exit(3)"], stdin=subprocess.PIPE)
    assert child.poll() is None
    child.stdin.close()
    assert child.wait() == 1
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    child.terminate()
    assert child.wait() == -15
    child.stdin.close()
"""


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "options",
    [[], ["-n2"], ["-n2", "--isolate"], ["-n2", "--start-method=fork-early"]],
    ids=["plain", "forked", "isolate", "early"],
)
def test_a_server_that_runs_is_not_taken_for_dead(suite: Suite, place: str, options: list[str]) -> None:
    suite.conftest(SERVER + PLACES[place])
    suite.tests(NEEDED)
    finished = suite.run("--recheck=none", *options)
    finished.assert_summary(passed=7)
    assert said_method(finished) is None
    assert not suite.await_gone()


def test_signals_reach_a_server_and_its_status_is_the_true_one(suite: Suite) -> None:
    suite.conftest(SERVER + PLACES["a conftest"])
    suite.tests("""
        import os, signal
        import conftest

        def test_it_hears():
            os.mkfifo("heard")
            conftest.SERVER.send_signal(signal.SIGUSR1)
            with open("heard") as pipe:
                assert pipe.read() == str(int(signal.SIGUSR1))

        def test_it_ends():
            conftest.SERVER.send_signal(signal.SIGUSR2)
            assert conftest.SERVER.wait() == 7
            assert conftest.SERVER.poll() == 7
    """)
    finished = suite.run("-n1", "--recheck=none")
    finished.assert_summary(passed=2)


def test_a_worker_does_not_end_the_server_of_all(suite: Suite) -> None:
    suite.conftest(SERVER + PLACES["a conftest"])
    suite.tests("""
        import os
        import pytest
        import conftest

        @pytest.mark.parametrize("end", ["terminate", "kill"])
        def test(end):
            getattr(conftest.SERVER, end)()
            assert conftest.SERVER.wait() == 0
            conftest.SERVER.returncode = None
            assert conftest.SERVER.poll() is None
    """)
    finished = suite.run("-n1", "--recheck=none")
    finished.assert_summary(passed=2)
    assert not suite.await_gone()


def test_a_number_that_another_process_has_got_is_not_the_server(suite: Suite) -> None:
    suite.conftest(SERVER + PLACES["a conftest"])
    suite.tests("""
        import os, subprocess
        import conftest

        def test(monkeypatch):
            reader, writer = os.pipe()
            shell = subprocess.run(
                ["sh", "-c", "read line & echo $!"], stdin=reader, capture_output=True, text=True
            )
            monkeypatch.setattr(conftest.SERVER, "pid", int(shell.stdout))
            assert conftest.SERVER.poll() == 0
            os.close(writer)
            os.close(reader)
    """)
    finished = suite.run("-n1", "--recheck=none")
    finished.assert_summary(passed=1)


#: A conftest that starts a program at session start which runs until it is ended, and keeps nothing open.
ENDLESS = """
import subprocess, sys
from recorder import note

def pytest_sessionstart(session):
    null = subprocess.DEVNULL
    program = subprocess.Popen(
        [sys.executable, "-c", "import signal; signal.pause()"], stdout=null, stderr=null{options}
    )
    session.program = program
    note("program", program=program.pid)
"""
FINISH = """
def pytest_sessionfinish(session):
    note("finish")
    {end}
"""


def test_what_the_start_of_a_session_starts_does_not_outlive_the_run(suite: Suite) -> None:
    suite.conftest(ENDLESS.format(options="") + FINISH.format(end="session.program.terminate()"))
    suite.trivial(4)
    finished = suite.run("-n2")
    finished.assert_summary(passed=4)
    assert not suite.await_gone()
    assert len(finished.notes("program")) == 2  # the controller's, and one for all workers
    assert sorted(finished.facts("finish", "worker")) == ["gw0", "gw1", "main"]


@pytest.mark.parametrize(
    ("options", "finish"),
    [(", start_new_session=True", FINISH.format(end="pass")), ("", "")],
    ids=["in a session of its own", "that nothing would end"],
)
def test_a_program_is_left_running(suite: Suite, options: str, finish: str) -> None:
    suite.conftest(ENDLESS.format(options=options) + finish)
    suite.trivial(4)
    finished = suite.run("-n2", "-p", "no:recorder")  # that one has the hook as well
    assert finished.ret == 0
    programs = finished.facts("program", "program")
    assert len(programs) == 2
    for pid in programs:
        os.kill(pid, signal.SIGKILL)


def test_without_such_a_program_nothing_is_replaced(suite: Suite) -> None:
    suite.tests("""
        import subprocess
        import pytest

        @pytest.mark.parametrize("number", range(4))
        def test(number):
            for name in ("_internal_poll", "_try_wait", "send_signal"):
                assert getattr(subprocess.Popen, name).__module__ == "subprocess"
    """)
    suite.run("-n2").assert_summary(passed=4)


#: What lets a process of `multiprocessing` be inherited, and a conftest that starts one.
PIPES = ("-o", "procpar_fork_safe=recorder.py\npipes")
WORKER = """
import multiprocessing, os, signal
CONTEXT = multiprocessing.get_context("{method}")
def serve(pipe):
    signal.signal(signal.SIGUSR2, lambda *_: os._exit(7))
    pipe.send("ready")
    while True: signal.pause()
def end(): os._exit(3)
def pytest_configure(config):
    global SERVER, ENDED
    here, there = CONTEXT.Pipe()
    SERVER, ENDED = CONTEXT.Process(target=serve, args=(there,), daemon=True), CONTEXT.Process(target=end)
    SERVER.start()
    ENDED.start()
    ENDED.join()
    assert here.recv() == "ready"
    here.close()
    there.close()
def pytest_unconfigure(config):
    SERVER.kill()
    SERVER.join()
"""
ASKED = """
import os, signal, time
import pytest
import conftest

def test_it_runs():
    server, ended = conftest.SERVER, conftest.ENDED
    assert server.is_alive() and server.exitcode is None
    server.join(0.001)
    assert server.is_alive()
    assert "started" in repr(server)
    with pytest.raises(ValueError):
        server.close()
    ended.join()
    assert (ended.is_alive(), ended.exitcode) == (False, 3)

def test_its_end_is_told():
    os.kill(conftest.SERVER.pid, signal.SIGUSR2)
    conftest.SERVER.join()
    assert not conftest.SERVER.is_alive()
    assert conftest.SERVER.exitcode in {known}
    conftest.SERVER.close()
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("options", [[], ["-n1"], ["-n1", "--isolate"]], ids=["plain", "forked", "isolate"])
def test_a_process_of_multiprocessing_is_asked_as_in_its_parent(
    suite: Suite, method: str, options: list[str]
) -> None:
    suite.conftest(WORKER.format(method=method))
    # How a child of multiprocessing's fork server has ended is seen only until that server has waited for it.
    known = "(7,)" if method != "forkserver" or not options else "(7, 0)"
    suite.tests(ASKED.format(known=known))
    finished = suite.run("--recheck=none", *PIPES, *options)
    finished.assert_summary(passed=2)
    assert said_method(finished) is None
    assert not suite.await_gone()


@pytest.mark.parametrize("end", ["terminate", "kill"])
def test_a_worker_does_not_end_a_process_that_serves_all(suite: Suite, end: str) -> None:
    suite.conftest(WORKER.format(method="fork"))
    suite.tests(f"""
        import os
        import conftest
        def test():
            pid = conftest.SERVER.pid
            conftest.SERVER.{end}()
            conftest.SERVER.join()
            assert not conftest.SERVER.is_alive()
            assert conftest.SERVER.exitcode == {-signal.SIGTERM if end == "terminate" else -signal.SIGKILL}
            os.kill(pid, 0)
            conftest.SERVER.close()
    """)
    suite.run("-n2", "--dist=each", "--recheck=none", *PIPES).assert_summary(passed=2)
    assert not suite.await_gone()
