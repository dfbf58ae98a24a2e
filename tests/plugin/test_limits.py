"""Machines that grant little: every run works as anywhere, and says it when not all workers fit."""

from __future__ import annotations

import os
import re
import resource
import shutil
from collections.abc import Callable, Sequence

import pytest

from tests.conftest import Finished, Suite

HARD = resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def run_with(suite: Suite, soft: int, *args: str) -> Finished:
    """Run a suite under a soft limit; the hard one is this process's."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, HARD))
    try:
        running = suite.start(*args)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    return running.finish()


@pytest.mark.parametrize(
    ("soft", "args"),
    [
        (64, ("--start-method=fork", "--leaks=report")),
        (1024, ("--start-method=fork-early", "--isolate")),
        (256, ("--start-method=spawn", "--max-tests-per-worker=3")),
    ],
    ids=["fork", "fork-early", "spawn"],
)
def test_soft_limit_is_the_tests_alone(suite: Suite, soft: int, args: tuple[str, ...]) -> None:
    suite.tests(f"""
        import os
        import resource
        import subprocess

        WHICH = resource.RLIMIT_NOFILE

        def test_limit_is_the_users():
            assert resource.getrlimit(WHICH) == ({soft}, {HARD})
            assert subprocess.check_output(["sh", "-c", "ulimit -Sn"]) == b"{soft}\\n"

        def test_numbers_are_free():
            opened = []
            try:
                while True:
                    opened.append(os.dup(0))
            except OSError:
                assert len(opened) > {soft} - 24
            finally:
                for fd in opened:
                    os.close(fd)

        def test_everything_is_closed():
            print("this is captured")
            os.closerange(3, {4096 if HARD > 16384 or HARD < 0 else soft})

        def test_limit_is_raised():
            resource.setrlimit(WHICH, ({HARD}, {HARD}))

        def test_limit_is_lowered():
            resource.setrlimit(WHICH, (32, {HARD}))

        def test_fails():
            print("this is printed")
            resource.setrlimit(WHICH, ({soft}, {HARD}))
            assert False
    """)
    finished = run_with(suite, soft, "-n2", "-v", "-o", "procpar_recheck=all", *args)
    assert finished.ret == 1
    finished.assert_summary(failed=1, passed=5)
    assert "this is printed" in finished.out
    finished.stdout.no_fnmatch_line("*INTERNAL*")
    assert "is still open" not in finished.out


def test_few_descriptors_are_enough_for_some_workers(suite: Suite) -> None:
    suite.trivial(60)
    finished = suite.start("-n40", by=("prlimit", "--nofile=64:64")).finish()
    assert finished.ret == 0
    finished.assert_summary(passed=60)
    line = r"only (\d) of 40 workers fit into 64 descriptors \(ulimit -n\)"
    match = re.search(line, finished.out)
    assert match is not None
    assert int(match[1]) >= 2
    assert f"{match[1]} workers [60 items]" in finished.out
    finished.stdout.re_match_lines([f"=+ procpar: {line} =+"])
    quiet = suite.start("-qq", "-n40", by=("prlimit", "--nofile=64:64")).finish()
    quiet.stdout.re_match_lines([f"=+ procpar: {line} =+"])


@pytest.mark.parametrize("option", ["-n", "--tx"])
def test_workers_that_no_machine_has_room_for_are_refused(suite: Suite, option: str) -> None:
    finished = suite.run(f"{option}=99999999{'*popen' * (option == '--tx')}")
    assert finished.ret == pytest.ExitCode.USAGE_ERROR
    assert f"ERROR: {option}: invalid value: 99999999 workers: give at most 10000" in finished.err


def few_processes(count: int) -> Sequence[str]:
    """A command that starts another one as a user who may have so many processes."""
    user = f"--reuid={50000 + os.getpid() % 10000}"  # nobody else's
    rights = ("--clear-groups", "--inh-caps=+dac_override", "--ambient-caps=+dac_override")
    return ("setpriv", user, *rights, "prlimit", f"--nproc={count}")


needs_another_user = pytest.mark.skipif(
    os.getuid() != 0 or shutil.which("setpriv") is None,
    reason="whose processes are counted must be a user with no others",
)


@needs_another_user
@pytest.mark.parametrize(
    ("count", "workers", "args"),
    [
        (7, "3", ("--start-method=fork",)),  # with a guard of the fork server, and the thread for signals
        # The thread for signals is started before the workers, or finds no room.
        (5, "[23]", ("--start-method=fork-early",)),
        (6, "[234]", ("--isolate",)),
    ],
    ids=["fork", "fork-early", "isolate"],
)
def test_run_goes_on_with_the_workers_for_which_there_are_processes(
    suite: Suite, count: int, workers: str, args: tuple[str, ...]
) -> None:
    suite.tests("""
        import os
        import pytest

        @pytest.mark.parametrize("i", range(30))
        def test(i):
            if i == 20:
                os.kill(os.getpid(), 9)
    """)
    finished = suite.start("-n8", *args, by=few_processes(count)).finish()
    assert finished.ret == 1
    finished.assert_summary(passed=29, failed=1)
    why = rf"the system grants no more processes \(ulimit -u: {count};"
    finished.stdout.re_match_lines([f"=* procpar: only {workers} workers fit: .*{why}.*"])
    finished.stdout.no_fnmatch_line("*Traceback*")
    assert "Traceback" not in finished.err


@needs_another_user
@pytest.mark.parametrize(
    ("count", "args"), [(1, ()), (1, ("--start-method=spawn",)), (2, ("--start-method=fork-early",))]
)
def test_without_processes_for_a_single_worker_that_is_said(
    suite: Suite, count: int, args: tuple[str, ...]
) -> None:
    suite.trivial(3)
    finished = suite.start("-n8", *args, by=few_processes(count)).finish()
    assert finished.ret in (pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.TESTS_FAILED)
    assert "the system grants no more processes" in finished.out + finished.err
    assert "Traceback" not in finished.out + finished.err


def test_recheck_keeps_no_more_processes_than_there_are_descriptors_for(suite: Suite) -> None:
    suite.tests("""
        import time
        import pytest

        state = []

        @pytest.mark.parametrize("i", range(100))
        def test(i):
            time.sleep(0.015)
            if i == 37:
                state.append(1)

        def test_victim():
            assert not state
    """)
    args = ("-n1", "-o", "procpar_recheck=failed", "--recheck-budget=100")
    finished = suite.start(*args, by=("prlimit", "--nofile=64:64")).finish()
    assert finished.ret == 1
    finished.assert_summary(failed=1, passed=100)
    finished.stdout.fnmatch_lines(["VICTIM test_it.py::test_victim", "*polluter: *[[]37]"])


@needs_another_user
def test_without_a_process_for_an_isolated_test_that_is_said(suite: Suite) -> None:
    suite.tests("""
        import pytest

        @pytest.mark.isolated
        def test(): pass
    """)
    finished = suite.start(by=few_processes(1)).finish()
    assert finished.ret == pytest.ExitCode.USAGE_ERROR
    assert "no process for tests that are isolated: the system grants no more processes" in finished.err
    assert "Traceback" not in finished.out + finished.err


@pytest.mark.parametrize("args", [("-n2",), ("-n2", "--start-method=spawn"), ("-n0", "--isolate")])
@pytest.mark.parametrize("limit", [18, 26])
def test_a_limit_that_lets_no_worker_run_is_refused(suite: Suite, limit: int, args: tuple[str, ...]) -> None:
    suite.trivial(2)
    finished = suite.start(*args, prepare=limits_to(limit)).finish()
    assert finished.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = finished.err.strip().splitlines()
    assert line.startswith("ERROR: -n ")
    assert line.endswith(f" {limit} descriptors are too few (ulimit -n): raise the limit, or run with -n 0")


def test_plugins_may_leave_too_few_descriptors_for_the_run(suite: Suite) -> None:
    suite.trivial(2)
    suite.conftest("""
        import os
        import resource

        import pytest

        @pytest.hookimpl(wrapper=True)
        def pytest_runtestloop(session):
            taken = [os.open(os.devnull, os.O_RDONLY)]
            resource.setrlimit(resource.RLIMIT_NOFILE, (taken[0] + 8, taken[0] + 8))
            if not hasattr(session.config, "workerinput"):
                try:
                    while True:
                        taken.append(os.open(os.devnull, os.O_RDONLY))
                except OSError:
                    pass
            try:
                return (yield)
            finally:
                for fd in taken:
                    os.close(fd)
    """)
    finished = suite.run("-n2")
    assert finished.ret == pytest.ExitCode.USAGE_ERROR
    assert "no worker could be started: no descriptors are left (ulimit -n: " in finished.err
    assert "INTERNALERROR" not in finished.out


def limits_to(descriptors: int) -> Callable[[], None]:
    """What makes a process start with so many descriptors at most."""
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
