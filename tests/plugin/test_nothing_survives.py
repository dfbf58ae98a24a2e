"""The controller is killed, at every moment of a run: no process and no folder of it is left behind."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator

import pytest

from tests.conftest import Running, Suite
from tests.plugin.rechecking import POLLUTED

#: Says that it is there and waits for good, whatever signal comes that can be caught.
STUBBORN = """
    import os, signal, sys
    from recorder import block, reached

    IS_FRESH = "--recheck=failed" not in sys.argv

    def stay():
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
            signal.signal(signum, lambda *_: None)
        reached()
        while True:
            try:
                block()
            except BaseException:
                pass

    def stay_with_others():
        for session in (False, True):
            if os.fork() == 0:
                if session:
                    os.setsid()
                stay()
        stay()
"""
#: How many processes `stay_with_others` makes.
THREE = 3

#: By what is going on: a conftest and tests that bring it about.
MOMENTS = {
    "configure of the controller": (
        """
        from stubborn import block, reached
        def pytest_configure(config):
            if not hasattr(config, "workerinput"):
                reached()
                block()
        """,
        "def test(): pass",
    ),
    "configure of the workers": (
        """
        from stubborn import stay
        def pytest_configure(config):
            if hasattr(config, "workerinput"):
                stay()
        """,
        "def test(): pass",
    ),
    "collection": ("", "from stubborn import stay_with_others\nstay_with_others()"),
    "test": ("", "from stubborn import stay_with_others\ndef test(): stay_with_others()"),
    "isolated test": (
        "",
        "import pytest\nfrom stubborn import stay\n@pytest.mark.isolated\ndef test(): stay()",
    ),
    "end of the session": (
        """
        from stubborn import stay
        def pytest_sessionfinish(session):
            if hasattr(session.config, "workerinput"):
                stay()
        """,
        "def test(): pass",
    ),
    "exit of a worker": ("", "from stubborn import stay\nimport atexit\ndef test(): atexit.register(stay)"),
    "exit of the fork server": (
        """
        from stubborn import stay
        WORKERS = []
        def pytest_procpar_worker_forked(): WORKERS.append(1)
        def pytest_unconfigure(config):
            if hasattr(config, "workerinput") and not WORKERS:
                stay()
        """,
        "def test(): pass",
    ),
    "re-check": (
        "",
        """
        from pathlib import Path
        from stubborn import stay_with_others
        def test():
            if Path("again").exists():
                stay_with_others()
            Path("again").touch()
            assert False
        """,
    ),
    "fresh process": (
        """
        from stubborn import IS_FRESH, stay_with_others
        def pytest_collection(session):
            if IS_FRESH:
                stay_with_others()
        """,
        POLLUTED,
    ),
    "workers of a fresh process": (
        "",
        """
        import os
        from stubborn import IS_FRESH, stay_with_others
        def test():
            if IS_FRESH:
                stay_with_others()
            os._exit(1)
        """,
    ),
}
RECHECK = ("-n1", "--recheck=failed", "--recheck-budget=200")
#: When the controller does not listen to signals, since it has no workers, or none yet.
UNHEARD = ("configure of the controller", "isolated test")
KILL, HANGUP = int(signal.SIGKILL), int(signal.SIGHUP)


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A folder for the run's temporary files."""
    with tempfile.TemporaryDirectory() as path:
        monkeypatch.setenv("TMPDIR", path)
        yield path


def begin(suite: Suite, moment: str, count: int, *args: str) -> Running:
    """Start a run, and wait for the moment."""
    conftest, tests = MOMENTS[moment]
    suite.make_barrier()
    suite.file("stubborn.py", STUBBORN)
    suite.conftest(conftest)
    suite.tests(tests)
    running = suite.start(*args)
    suite.await_reached(count)
    return running


def assert_gone(suite: Suite) -> None:
    """No process and no temporary file is left, whoever had made them."""
    # Some come to see others ended, and go then.
    assert not suite.await_gone() or not suite.await_gone()
    assert not os.listdir(os.environ["TMPDIR"])


@pytest.mark.parametrize(
    ("moment", "count", "args", "signum"),
    [
        ("configure of the controller", 1, ("-n1",), KILL),
        ("configure of the controller", 1, ("-n1", "--start-method=spawn"), HANGUP),
        ("configure of the workers", 1, ("-n1",), KILL),
        ("collection", THREE, ("-n1", "--start-method=fork"), KILL),
        ("collection", THREE, ("-n1", "--start-method=fork-early"), KILL),
        ("collection", THREE, ("-n1", "--start-method=spawn"), KILL),
        ("test", THREE, ("-n1",), HANGUP),
        ("test", THREE, ("-n1", "--isolate"), KILL),
        ("test", THREE, ("-n1", "--start-method=fork-early"), KILL),
        ("test", THREE, ("-n1", "--start-method=spawn"), KILL),
        ("isolated test", 1, ("-n1",), KILL),
        ("isolated test", 1, (), HANGUP),
        ("end of the session", 1, ("-n1",), KILL),
        ("exit of a worker", 1, ("-n1", "--start-method=spawn"), KILL),
        ("exit of the fork server", 1, ("-n1",), KILL),
        ("re-check", THREE, RECHECK, KILL),
        ("re-check", THREE, (*RECHECK, "--start-method=fork-early"), HANGUP),
        ("re-check", THREE, (*RECHECK, "--start-method=spawn"), KILL),
        ("fresh process", THREE, RECHECK, KILL),
        ("fresh process", THREE, RECHECK, HANGUP),
        ("workers of a fresh process", THREE, (*RECHECK, "--start-method=spawn"), KILL),
    ],
)
def test_nothing_is_left_of_a_run_whose_controller_is_killed(
    suite: Suite,
    moment: str,
    count: int,
    args: tuple[str, ...],
    signum: int,
) -> None:
    running = begin(suite, moment, count, *args)
    running.signal(signum)
    assert_gone(suite)
    # A terminal that hangs up ends the run in order, once the controller listens.
    in_order = signum == HANGUP and moment not in UNHEARD
    assert running.finish().ret == (pytest.ExitCode.INTERRUPTED if in_order else -signum)


def test_a_terminated_controller_ends_its_fresh_processes(suite: Suite) -> None:
    running = begin(suite, "fresh process", THREE, *RECHECK)
    running.signal(signal.SIGTERM)
    finished = running.finish()
    assert_gone(suite)
    assert finished.ret == pytest.ExitCode.INTERRUPTED
    finished.assert_summary(failed=1, passed=3)


def test_a_fork_server_that_has_lost_its_controller_has_a_while_for_its_exit(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite.file("later.py", "import atexit\nfrom recorder import note\natexit.register(note, 'over')")
    monkeypatch.setitem(
        MOMENTS,
        "both",
        (MOMENTS["exit of the fork server"][0] + "\n        import later", MOMENTS["test"][1]),
    )
    running = begin(suite, "both", THREE, "-n1")
    running.signal(signal.SIGKILL)
    suite.await_reached()  # the fork server's own exit
    assert_gone(suite)
    running.finish()


def test_nothing_is_left_of_a_suspended_run_whose_controller_is_killed(suite: Suite) -> None:
    running = begin(suite, "test", THREE, "-n1")
    running.signal(signal.SIGTSTP)
    os.waitid(os.P_PID, running.pid, os.WSTOPPED | os.WNOWAIT)
    running.signal(signal.SIGKILL)
    assert_gone(suite)
    running.finish()
