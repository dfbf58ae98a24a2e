"""Who asks the controller to end has it end: in order within seconds, or at once, whatever it is doing."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Suite

#: Far more than the end may take, on a busy machine, and far less than any of these hangs.
SOON = 60.0

#: A controller whose plugin waits for ever when it hears of the first result.
HOOK = """
    import os
    from recorder import block, reached

    def pytest_runtest_logreport(report):
        if "PYTEST_XDIST_WORKER" not in os.environ:
            reached("controller")
            {wait}
"""
STUBBORN = """
            while True:
                try:
                    block()
                except BaseException:
                    pass
"""


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
@pytest.mark.python_dependent
def test_one_signal_ends_a_run_in_order_whose_controller_hangs_in_a_plugin(
    suite: Suite, signum: signal.Signals
) -> None:
    suite.make_barrier()
    suite.conftest(HOOK.format(wait="block()"))
    suite.trivial(3)
    running = suite.start("-n2")
    suite.await_reached()
    running.signal(signum)
    finished = running.finish(SOON)
    assert finished.ret == pytest.ExitCode.INTERRUPTED
    if signum == signal.SIGINT:
        assert "KeyboardInterrupt" in finished.out
    else:
        assert f"terminated by {signum.name}" in finished.out
        assert "2 not run in" in finished.out.splitlines()[-1]
    assert not suite.await_gone()


@pytest.mark.parametrize(
    ("first", "seconds"), [(signal.SIGTERM, SOON), (signal.SIGINT, SOON)], ids=["terminated", "interrupted"]
)
def test_a_second_signal_ends_a_controller_that_nothing_breaks_off(
    suite: Suite, first: signal.Signals, seconds: float
) -> None:
    suite.make_barrier()
    suite.conftest(HOOK.format(wait=STUBBORN.strip()))
    suite.trivial(3)
    running = suite.start("-n2")
    suite.await_reached()
    running.signal(first)
    running.signal(signal.SIGTERM)
    assert running.finish(seconds).ret == -signal.SIGTERM
    assert not suite.await_gone()


@pytest.mark.parametrize("method", ["fork", "fork-early", "spawn"])
def test_one_signal_ends_a_controller_that_nothing_breaks_off_within_seconds(
    suite: Suite, method: str
) -> None:
    suite.make_barrier()
    suite.conftest(HOOK.format(wait=STUBBORN.strip()))
    suite.tests("""
        from recorder import block
        def test_passes(): pass
        def test_blocks(): block()
    """)
    running = suite.start("-n2", f"--start-method={method}")
    suite.await_reached()
    running.signal(signal.SIGTERM)
    assert running.finish(SOON).ret == -signal.SIGTERM
    assert not suite.await_gone()


def test_one_signal_ends_a_run_whose_output_nobody_reads(suite: Suite) -> None:
    suite.make_barrier()
    suite.conftest("""
        import fcntl
        import os
        from recorder import reached

        def pytest_runtest_logreport(report):
            if "PYTEST_XDIST_WORKER" not in os.environ:
                os.set_blocking(1, False)
                try:
                    while True:
                        os.write(1, bytes(4096))
                except BlockingIOError:
                    os.set_blocking(1, True)
                reached("full")
    """)
    suite.trivial(3)
    running = suite.start("-n2", "-v")
    suite.await_reached()
    running.signal(signal.SIGTERM)
    running.wait(SOON)
    assert running.finish().ret in (-signal.SIGTERM, 128 + signal.SIGTERM)
    assert not suite.await_gone()


def test_one_signal_ends_a_run_whose_fork_server_hangs_in_a_fork(suite: Suite) -> None:
    suite.make_barrier()
    suite.tests("""
        import os
        from recorder import block, reached

        def wait():
            reached()
            block()

        os.register_at_fork(before=wait)

        def test_it(): pass
    """)
    running = suite.start("-n1", "--start-method=fork")
    suite.await_reached()
    running.signal(signal.SIGTERM)
    finished = running.finish(SOON)
    assert finished.ret == pytest.ExitCode.INTERRUPTED
    assert "1 not run in" in finished.out.splitlines()[-1]
    assert not suite.await_gone()


def test_what_hangs_at_the_fork_servers_end_does_not_outlive_the_controller(suite: Suite) -> None:
    suite.make_barrier()
    suite.conftest("""
        from recorder import block, reached
        IS_WORKER = False

        def pytest_procpar_worker_forked():
            global IS_WORKER
            IS_WORKER = True

        def pytest_sessionfinish(session):
            if not hasattr(session.config, "workerinput"):
                reached()  # the controller handles signals as plain pytest does now

        def pytest_unconfigure(config):
            if hasattr(config, "workerinput") and not IS_WORKER:
                reached()
                block()
    """)
    suite.trivial(3)
    running = suite.start("-n2", "--start-method=fork")
    suite.await_reached(2)
    running.signal(signal.SIGTERM)
    assert running.finish(SOON).ret == -signal.SIGTERM
    assert not suite.await_gone()


def test_one_signal_ends_the_recheck(suite: Suite) -> None:
    suite.make_barrier()
    suite.tests("""
        import signal
        from pathlib import Path
        from recorder import block, reached

        def test_fails():
            if Path("again").exists():
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                reached("re-checked")
                block()
            Path("again").touch()
            assert False
    """)
    running = suite.start("-n1", "--recheck=failed", "--recheck-budget=200")
    suite.await_reached()
    running.signal(signal.SIGTERM)
    finished = running.finish(SOON)
    assert finished.ret == pytest.ExitCode.INTERRUPTED
    finished.assert_summary(failed=1)
    assert not suite.await_gone()


@pytest.mark.python_dependent
def test_a_terminal_that_hangs_up_ends_the_run_in_order(suite: Suite) -> None:
    suite.make_barrier()
    suite.conftest("""
        from pathlib import Path

        def pytest_sessionfinish(session):
            if not hasattr(session.config, "workerinput"):
                Path("status").write_text(str(int(session.exitstatus)))
    """)
    suite.tests("""
        from recorder import block, reached
        def test_it():
            reached()
            block()
    """)
    keyboard, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", _WITH_TERMINAL, os.ttyname(terminal), "-n2"],
        cwd=suite.path, start_new_session=True,
    )  # fmt: skip
    suite.await_reached()
    os.close(terminal)
    os.close(keyboard)
    assert process.wait(SOON) == pytest.ExitCode.INTERRUPTED
    assert Path(suite.path, "status").read_text() == "2"
    assert not suite.await_gone()


#: A run of pytest whose terminal is that of its session.
_WITH_TERMINAL = """
import os, sys
terminal = os.open(sys.argv[1], os.O_RDWR)
for fd in range(3):
    os.dup2(terminal, fd)
import pytest
sys.exit(pytest.main(sys.argv[2:]))
"""
