"""Children that a process has not started are waited for, and none of those that it has."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from pytest_procpar.system.descendants import set_subreaper
from pytest_procpar.system.inherited import Woken, reap_inherited
from tests.conftest import Suite
from tests.plugin.rechecking import rechecked, told
from tests.process.helpers import child

pytestmark = [
    pytest.mark.python_dependent,
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody inherits a process"),
]


def start(group: int | None = None) -> int:
    """A child that has ended, in a process group of its own, or in that of this process."""
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, os.getpid() if group is None else group)
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    return pid


def is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_only_inherited_children_are_waited_for() -> None:
    def body() -> None:
        os.setpgid(0, 0)
        mine, known, stranger = start(os.getpgrp()), start(), start()
        other = start()
        reap_inherited({known})
        assert [is_there(pid) for pid in (mine, known, stranger, other)] == [True, True, False, False]
        reap_inherited({known})
        os.waitpid(mine, 0)
        os.waitpid(known, 0)
        reap_inherited({})

    with child(body):
        pass


def test_the_end_of_an_inherited_child_is_told() -> None:
    def body() -> None:
        set_subreaper(True)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        with Woken() as woken:
            assert woken.look_seconds is None
            assert woken.fd is not None
            read, write = os.pipe()
            if os.fork() == 0:
                if os.fork() == 0:
                    os.setsid()
                    os.read(read, 1)
                os._exit(0)
            os.wait()
            woken.drain()
            os.write(write, b"x")
            os.set_blocking(woken.fd, True)
            assert os.read(woken.fd, 1) == bytes([signal.SIGCHLD])
            reap_inherited({})
            with pytest.raises(ChildProcessError):
                os.wait()
        assert signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN
        assert signal.set_wakeup_fd(-1) == -1

    with child(body):
        pass


@pytest.mark.parametrize("method", ["fork", "fork-early", "spawn"])
def test_a_daemon_that_a_test_has_killed_is_gone(suite: Suite, method: str) -> None:
    suite.file(
        "daemon.py",
        """
        import os, signal, subprocess, time

        def is_gone():
            pid = int(subprocess.check_output(["sh", "-c", "sleep 1000 >/dev/null 2>&1 & echo $!"]))
            os.kill(pid, signal.SIGKILL)
            for _ in range(6000):
                try:
                    os.kill(pid, 0)
                except ProcessLookupError:
                    return True
                time.sleep(0.01)
            return False
        """,
    )
    suite.tests("""
        from daemon import is_gone
        STATE = []
        def test_polluter(): STATE.append(is_gone())
        def test_victim():
            assert is_gone()
            assert not STATE
    """)
    finished, findings = rechecked(suite, "-n1", f"--start-method={method}")
    finished.assert_summary(failed=1, passed=1)
    assert told(findings) == {"test_victim": ("victim", ["test_polluter"])}
    assert [trial["outcome"] for trial in findings[0]["commands"]] == ["failed", "passed"]
