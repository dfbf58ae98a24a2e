"""What goes wrong in a re-check is told with the finding, and costs neither results nor the exit status."""

from __future__ import annotations

import re

import pytest

from tests.conftest import Suite
from tests.plugin.rechecking import POLLUTED, rechecked, section

FAILS = "def test_fails(): assert False"
EARLY = "the re-check has ended early: "
NO_PROCESS = "the system grants no more processes (ulimit -u: N; a container may have a limit of its own)"
UNSETTLED = "not settled: test_it.py::test_fails: it could not be confirmed: "

#: By what goes wrong: a conftest that brings it about, and what is told of it.
FAILURES = {
    "the root of a tree cannot be forked": (
        """
        import errno, os
        from pytest_procpar.server import fork_server as forkserver
        def pytest_runtest_logreport(report):
            if report.failed:
                open("failed", "w").close()
        fork = forkserver.fork
        def failing_fork(**given):
            if os.path.exists("failed"):
                raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
            return fork(**given)
        forkserver.fork = failing_fork
        """,
        [
            f"{UNSETTLED}a process could not be started: {NO_PROCESS}",
            f"{EARLY}a process could not be started: {NO_PROCESS}",
        ],
    ),
    "a throw-away process cannot be forked": (
        """
        import errno
        from pytest_procpar.worker import probe_process as branch
        def failing_fork():
            raise OSError(errno.ENOMEM, "Cannot allocate memory")
        branch.fork = failing_fork
        """,
        [
            f"{UNSETTLED}a process could not be forked: the system grants no more memory",
            f"{EARLY}a process could not be forked: the system grants no more memory",
        ],
    ),
    "there is no interpreter": (
        "import sys\nsys.executable = '/nowhere/python'",
        [
            "fails on its own too: test_it.py::test_fails",
            "could not be confirmed in a fresh process (it could not be run: No such file or directory "
            "(/nowhere/python)): test_it.py::test_fails",
        ],
    ),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_what_fails_in_a_recheck_leaves_the_run_as_it_was(suite: Suite, failure: str) -> None:
    conftest, lines = FAILURES[failure]
    suite.conftest(conftest)
    suite.tests(FAILS)
    finished = suite.run("-n1", "--recheck=failed", "--start-method=fork")
    told = [re.sub(r"(ulimit -.): \w+", r"\1: N", line) for line in section(finished)]
    assert told[-len(lines) :] == lines
    assert finished.ret == pytest.ExitCode.TESTS_FAILED
    finished.assert_summary(failed=1)


def test_a_recheck_for_which_no_descriptor_is_left_is_told(suite: Suite) -> None:
    suite.conftest("""
        import gc, os, resource
        LIMITS = resource.getrlimit(resource.RLIMIT_NOFILE)
        def pytest_runtest_logfinish():
            if "PYTEST_XDIST_WORKER" not in os.environ:
                gc.collect()
                kept = [os.open(os.devnull, os.O_RDONLY) for _ in range(100)]
                for fd in kept:
                    os.close(fd)
                resource.setrlimit(resource.RLIMIT_NOFILE, (min(kept), LIMITS[1]))
        def pytest_procpar_findings():
            resource.setrlimit(resource.RLIMIT_NOFILE, LIMITS)
    """)
    suite.tests(FAILS)
    finished = suite.run("-n1", "--recheck=failed", "--start-method=fork")
    # In a title, or in the section if the re-check was made ready before that.
    assert re.search(rf"{EARLY}no descriptors are left \(ulimit -n: \w+\)", finished.out)
    assert finished.ret == pytest.ExitCode.TESTS_FAILED
    finished.assert_summary(failed=1)


def test_an_error_of_the_recheck_itself_is_told_with_its_traceback(suite: Suite) -> None:
    suite.conftest("""
        from pytest_procpar.recheck.probing.prober import Prober
        def run(*args):
            raise ZeroDivisionError("a bug")
        Prober.run = run
    """)
    suite.tests(FAILS)
    finished = suite.run("-n1", "--recheck=failed")
    lines = section(finished)
    assert lines[0] == f"{UNSETTLED}ZeroDivisionError: a bug"
    assert lines[1].startswith(f"{EARLY}an error of its own. Outcomes and exit status are those of the run.")
    assert "ZeroDivisionError: a bug" in lines
    assert finished.ret == pytest.ExitCode.TESTS_FAILED
    finished.assert_summary(failed=1)


@pytest.mark.parametrize("method", ["fork", "fork-early", "spawn"])
def test_the_loss_of_the_fork_server_in_a_recheck_is_told(suite: Suite, method: str) -> None:
    suite.tests("""
        import os
        from pathlib import Path
        def parent_of(pid):
            return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        def test_fails():
            if Path("again").exists():
                os.kill(parent_of(os.getppid()), 9)
                os.read(os.pipe()[0], 1)
            Path("again").touch()
            assert False
    """)
    finished = suite.run("-n1", "--recheck=failed", f"--start-method={method}")
    assert section(finished) == [
        f"{UNSETTLED}the process that others are forked from has died",
        f"{EARLY}the process that others are forked from has died",
    ]
    assert finished.ret == pytest.ExitCode.TESTS_FAILED
    finished.assert_summary(failed=1)


def test_ids_that_are_too_long_for_a_command_are_told(suite: Suite) -> None:
    suite.tests(
        f"""
        import pytest
        {POLLUTED.strip()}
        @pytest.mark.parametrize("text", ["x" * 200_000], ids=["x" * 200_000])
        def test_long_victim(text): assert not STATE
    """.replace("\n    STATE", "\n        STATE").replace("\n    def", "\n        def")
    )
    finished, findings = rechecked(suite, "-n1", "--recheck-budget=200")
    assert finished.ret == pytest.ExitCode.TESTS_FAILED
    finished.assert_summary(failed=2, passed=3)
    why = "it could not be run: Argument list too long"
    short, long = sorted(findings, key=lambda finding: len(finding["test"]["nodeid"]))
    assert [short["kind"], short["flagged"]] == ["victim", True]
    assert [long["kind"], long["flagged"]] == ["victim", False]
    assert [command["reason"] for command in long["commands"]] == [why, why]
    assert [line[-60:] for line in section(finished) if line.startswith("not settled")] == [
        f"but it could not be seen in a fresh process: {why}"[-60:]
    ]
