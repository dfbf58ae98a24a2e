"""What is said of crashes and hangs, and what the controller does about silence and suspension."""

from __future__ import annotations

import os
import signal
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Finished, Suite

#: Numbers of a test, of which some misbehave.
SUITE = """
    import os
    import pytest
    import sys
    import time
    from recorder import block, note, reached

    @pytest.fixture
    def talkative():
        print("said in setup")
        yield

    @pytest.mark.parametrize("i", range(12))
    def test(i, talkative):
        note("ran", test=i)
        if i == 5:
            print("said in call")
            print("complained in call", file=sys.stderr)
            {deed}
"""


def blamed(finished: Finished) -> dict[str, Any]:
    """The one report of a test that failed."""
    (report,) = [report for report in finished.notes("report") if report["outcome"] == "failed"]
    return report


def facts(report: dict[str, Any]) -> dict[str, object]:
    return dict(report["properties"])


# --- crashes --------------------------------------------------------------------------------------


def test_a_crash_is_reported_with_all_that_is_known_of_it(suite: Suite) -> None:
    suite.tests(SUITE.format(deed="os.kill(os.getpid(), 11)"))
    finished = suite.run("-n2", "--junitxml=junit.xml")
    finished.assert_summary(passed=11, failed=1)
    report = blamed(finished)
    assert report["nodeid"] == "test_it.py::test[5]"
    text = str(report["longrepr"])
    assert text.splitlines()[0].endswith("killed by SIGSEGV in its call")
    assert "peak memory: " in text
    assert "Segmentation fault" in text
    assert "in test\n" in text  # the stack
    assert report["sections"] == [
        ["Captured stdout setup", "said in setup\n"],
        ["Captured stdout call", "said in call\n"],
        ["Captured stderr call", "complained in call\n"],
    ]
    known = facts(report)
    assert known["procpar_outcome"] == "crashed"
    assert known["procpar_cause"] == "killed by SIGSEGV"
    assert known["procpar_phase"] == "call"
    assert known["procpar_worker"] == report["by"]
    assert 1 << 20 < int(str(known["procpar_peak_memory"])) < 1 << 34
    finished.stdout.fnmatch_lines(
        [
            "=* procpar: crashed, hung and not run =*",
            "CRASHED test_it.py::test[[]5[]] - killed by SIGSEGV, call (gw*)",
            f"    alone: {known['procpar_reproduce']}",
        ]
    )
    case = junit_case(suite, "test[5]")
    error = case.find("error")
    assert error is not None
    assert "Segmentation fault" in (error.text or "")
    assert "Segmentation fault" not in error.get("message", "")
    assert {(p.get("name"), p.get("value")) for p in case.iter("property")} >= {
        ("procpar_outcome", "crashed"),
        ("procpar_phase", "call"),
    }


def junit_case(suite: Suite, name: str) -> ElementTree.Element:
    cases = ElementTree.parse(suite.path / "junit.xml").iter("testcase")
    (case,) = [case for case in cases if case.get("name") == name]
    return case


def test_the_command_that_is_printed_runs_that_test_alone(suite: Suite) -> None:
    suite.tests(SUITE.format(deed="os._exit(3)").replace("range(12)", "['a b', \"c'd\", 5]"))
    command = str(facts(blamed(suite.run("-n2")))["procpar_reproduce"])
    assert command.startswith("pytest -n 1 ")
    import shlex

    again = suite.run(*shlex.split(command)[1:])
    again.assert_summary(failed=1)
    assert facts(blamed(again))["procpar_cause"] == "exited with code 3"


def test_without_pytests_faulthandler_there_are_no_stacks(suite: Suite) -> None:
    suite.tests(SUITE.format(deed="os.kill(os.getpid(), 11)"))
    finished = suite.run("-n2", "-p", "no:faulthandler")
    assert "Segmentation fault" not in str(blamed(finished)["longrepr"])


def test_the_last_lines_on_standard_error_are_shown_and_passed_on(suite: Suite) -> None:
    suite.tests(SUITE.format(deed="os.write(2, b'last words'); os._exit(1)"))
    finished = suite.run("-n2", "-s")
    assert ["Last lines on standard error", "complained in call\nlast words"] in blamed(finished)["sections"]
    assert "complained in call\nlast words" in finished.err


def test_the_summary_on_ci_has_one_line_for_a_crash(suite: Suite) -> None:
    suite.tests(SUITE.format(deed="os.kill(os.getpid(), 11)"))
    suite.pytester._monkeypatch.setenv("CI", "true")
    lines = suite.run("-n2").stdout.lines
    start = next(i for i, line in enumerate(lines) if "short test summary" in line)
    assert len(lines) == start + 3


def test_a_death_in_a_shared_fixtures_teardown_is_an_error_of_the_latest_test(suite: Suite) -> None:
    suite.tests("""
        import os
        import pytest

        @pytest.fixture(scope="session", autouse=True)
        def deadly():
            yield
            os._exit(4)

        @pytest.mark.parametrize("i", range(4))
        def test(i):
            pass
    """)
    finished = suite.run("-n1")
    assert finished.ret == pytest.ExitCode.TESTS_FAILED
    report = blamed(finished)
    assert report["nodeid"] == "test_it.py::test[3]"
    assert facts(report)["procpar_cause"] == "exited with code 4"
    assert len(finished.outcomes) == 4


def test_a_death_between_two_tests_is_an_error_of_the_run(suite: Suite) -> None:
    suite.trivial(10)
    suite.conftest("""
        import os
        from pathlib import Path

        def pytest_runtest_logfinish(nodeid):
            if "PYTEST_XDIST_WORKER" in os.environ and "[4]" in nodeid:
                os._exit(9)
    """)
    finished = suite.run("-n2", "--junitxml=junit.xml")
    finished.assert_summary(passed=10, errors=1)
    assert finished.ret == pytest.ExitCode.TESTS_FAILED
    assert set(finished.ran.values()) == {1}
    assert "died between two tests: exited with code 9; 'test_it.py::test[4]' ran last there" in finished.out
    assert finished.outcomes["test_it.py::test[4]"] == ["setup passed", "call passed", "teardown passed"]
    errors = list(ElementTree.parse(suite.path / "junit.xml").iter("error"))
    assert len(errors) == 1


def test_a_death_at_the_end_of_the_session_is_an_error_of_the_run(suite: Suite) -> None:
    suite.trivial(6)
    suite.conftest("""
        import os

        def pytest_sessionfinish(session):
            if getattr(session.config, "workerinput", {}).get("workerid") == "gw1":
                os.kill(os.getpid(), 9)
    """)
    finished = suite.run("-n2")
    finished.assert_summary(passed=6, errors=1)
    assert finished.ret == pytest.ExitCode.TESTS_FAILED
    assert "died at the end of its session: killed by SIGKILL" in finished.out


def test_tests_that_nobody_is_left_to_run_are_not_run_with_the_reason(suite: Suite) -> None:
    suite.tests(SUITE.format(deed="pass").replace("if i == 5", "os._exit(1)\n        if i == 5"))
    finished = suite.run("-n2", "--max-worker-restart=0", "--junitxml=junit.xml")
    finished.assert_summary(failed=12)
    failed = [report for report in finished.notes("report") if report["outcome"] == "failed"]
    outcomes = [facts(report)["procpar_outcome"] for report in failed]
    assert sorted(map(str, outcomes)) == ["crashed"] * 2 + ["not-run"] * 10
    finished.stdout.fnmatch_lines(
        ["NOT RUN test_it.py::test[[]*[]] - worker gw? crashed and worker restarting disabled"]
    )
    values = [p.get("value") for p in ElementTree.parse(suite.path / "junit.xml").iter("property")]
    assert values.count("not-run") == 10


# --- hangs ----------------------------------------------------------------------------------------

HANGS = {
    "sleep": "time.sleep(1000)",
    "catches everything": "stubborn()",
    "ignores SIGTERM": "import signal; signal.signal(15, signal.SIG_IGN); time.sleep(1000)",
    "one call of C code": "import re; re.match('(a+)+$', 'a' * 50 + 'b')",
}


@pytest.mark.parametrize("hang", HANGS)
def test_a_test_that_hangs_is_ended_and_shown_with_its_stacks(suite: Suite, hang: str) -> None:
    suite.tests(SUITE.format(deed=HANGS[hang]))
    suite.conftest("""
        import builtins
        import time

        def stubborn():
            while True:
                try:
                    time.sleep(1000)
                except BaseException:
                    pass

        builtins.stubborn = stubborn
    """)
    finished = suite.run("-n2", "--hang-timeout=1")
    finished.assert_summary(passed=11, failed=1)
    report = blamed(finished)
    assert report["nodeid"] == "test_it.py::test[5]"
    text = str(report["longrepr"])
    assert text.splitlines()[0].endswith("longer than 1 s in its call")
    assert 'test_it.py", line' in text
    assert ["Captured stdout call", "said in call\n"] in report["sections"]
    known = facts(report)
    assert (known["procpar_outcome"], known["procpar_limit"]) == ("hung", 1.0)
    assert str(known["procpar_reproduce"]).startswith("pytest -n 1 --hang-timeout=1 ")
    finished.stdout.fnmatch_lines(["HUNG test_it.py::test[[]5[]] - longer than 1 s, killed by SIG*"])


def test_a_test_that_the_signal_wakes_up_has_hung_all_the_same(suite: Suite) -> None:
    suite.tests(SUITE.format(deed="import ctypes; ctypes.PyDLL(None).sleep(1000)"))
    finished = suite.run("-n2", "--hang-timeout=1")
    finished.assert_summary(passed=11, failed=1)
    assert facts(blamed(finished))["procpar_phase"] == "call"


def test_a_test_that_blocks_all_signals_is_ended_too(suite: Suite) -> None:
    deed = "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals()); time.sleep(1000)"
    suite.tests(SUITE.format(deed=deed))
    finished = suite.run("-n2", "--hang-timeout=1")
    finished.assert_summary(passed=11, failed=1)
    assert "no stacks: it did not take the signal" in str(blamed(finished)["longrepr"])


def test_a_mark_has_a_limit_of_its_own_and_zero_is_none(suite: Suite) -> None:
    suite.tests("""
        import pytest
        import time

        pytestmark = pytest.mark.hang_timeout(0)

        def test_slow():
            time.sleep(1.5)

        @pytest.mark.hang_timeout(0.8)
        def test_hangs():
            time.sleep(1000)

        class TestAll:
            pytestmark = pytest.mark.hang_timeout(seconds=0.8)

            def test_hangs(self):
                time.sleep(1000)
    """)
    finished = suite.run("-n2", "--hang-timeout=0.8")
    finished.assert_summary(passed=1, failed=2)


@pytest.mark.parametrize("value", ["'long'", "-1", "1, 2", "", "float('inf')", "True", "minutes=3"])
def test_a_mark_that_makes_no_sense_is_a_usage_error(suite: Suite, value: str) -> None:
    suite.tests(f"""
        import pytest

        @pytest.mark.hang_timeout({value})
        def test_it():
            pass
    """)
    finished = suite.run("-n2")
    assert finished.ret == pytest.ExitCode.USAGE_ERROR
    assert "test_it.py::test_it: hang_timeout(" in finished.err
    assert "give the seconds" in finished.err


@pytest.mark.parametrize("value", ["-1", "soon", "nan", "inf"])
def test_a_wrong_limit_is_a_usage_error(suite: Suite, value: str) -> None:
    suite.trivial(1)
    for args in ([f"--hang-timeout={value}"], ["-o", f"procpar_hang_timeout={value}"]):
        finished = suite.run("-n1", *args)
        assert finished.ret == pytest.ExitCode.USAGE_ERROR
        assert value in finished.err
        assert "seconds from 0 up" in finished.err
        assert "Traceback" not in finished.err


def test_the_ini_limit_counts_unless_the_option_is_given(suite: Suite) -> None:
    suite.tests("import time\ndef test_it():\n    time.sleep(1.5)\n")
    suite.file("pytest.ini", "[pytest]\nprocpar_hang_timeout = 0.2")
    suite.run("-n1").assert_summary(failed=1)
    suite.run("-n1", "--hang-timeout=0").assert_summary(passed=1)


def test_a_session_that_does_not_end_is_an_error_of_the_run(suite: Suite) -> None:
    suite.trivial(4)
    suite.conftest("""
        import time

        def pytest_sessionfinish(session):
            if hasattr(session.config, "workerinput"):
                time.sleep(1000)
    """)
    finished = suite.run("-n1", "--hang-timeout=1")
    finished.assert_summary(passed=4, errors=1)
    assert "worker 'gw0' hung at the end of its session: longer than 1 s" in finished.out


def test_what_a_hung_test_has_started_is_ended_with_it(suite: Suite) -> None:
    suite.make_barrier()
    suite.tests("""
        import subprocess
        import sys
        from recorder import reached

        def test_it():
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
            reached()
            child.wait()
    """)
    finished = suite.run("-n1", "--hang-timeout=0.5")
    finished.assert_summary(failed=1)
    assert not suite.await_gone()


# --- silence and suspension -----------------------------------------------------------------------


@pytest.fixture
def blocked(suite: Suite) -> Suite:
    """A suite of which two tests wait to be let go on by a byte in a pipe."""
    suite.make_barrier()
    suite.tests("""
        import os
        import pytest
        from recorder import note, reached

        @pytest.mark.parametrize("i", range(6))
        def test(i):
            note("ran", test=i)
            if i in (0, 3):
                fifo = os.open("never.fifo", os.O_RDWR)
                reached()
                os.read(fifo, 1)
                os.close(fifo)
    """)
    return suite


@contextmanager
def pipe_of(suite: Suite) -> Iterator[int]:
    """What the blocked tests wait at, open: a byte written to it stays."""
    fd = os.open(suite.path / "never.fifo", os.O_RDWR)
    try:
        yield fd
    finally:
        os.close(fd)


@pytest.mark.parametrize("quiet", [(), ("-q",), ("-qq",)])
def test_who_asks_is_shown_what_is_running_with_stacks(blocked: Suite, quiet: tuple[str, ...]) -> None:
    with pipe_of(blocked) as fd:
        running = blocked.start("-n2", *quiet)
        blocked.await_reached(2)
        running.signal(signal.SIGUSR1)
        for i in (0, 3):
            running.await_line(f" runs test_it.py::test[{i}] (call since ")
        running.await_line("in test")
        os.write(fd, b"!!")
        finished = running.finish()
    assert finished.ran == dict.fromkeys(range(6), 1)
    assert finished.out.count("most recent call first") == 2
    assert 'test_it.py", line' in finished.out


@pytest.mark.parametrize("quiet", [(), ("-q",), ("-qq",)])
def test_a_silent_run_says_what_is_running(blocked: Suite, quiet: tuple[str, ...]) -> None:
    with pipe_of(blocked) as fd:
        running = blocked.start("-n2", "-o", "procpar_quiet_seconds=0.2", *quiet)
        running.await_line("no test has ended for 0.2 s; running:")
        running.await_line("runs test_it.py::test[")
        running.await_line("no test has ended for 0.4 s; running:")
        os.write(fd, b"!!")
        finished = running.finish()
    assert finished.ran == dict.fromkeys(range(6), 1)


def test_a_run_may_be_silent_if_it_is_told_to(blocked: Suite) -> None:
    with pipe_of(blocked) as fd:
        running = blocked.start("-n2", "-o", "procpar_quiet_seconds=0", "--hang-timeout=1.5")
        blocked.await_reached(2)
        finished = running.finish()
        os.write(fd, b"!!")
    finished.assert_summary(passed=4, failed=2)
    assert "no test has ended" not in finished.out


def state(pid: int) -> str:
    """The state of a process: R, S, T and so on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def await_states(suite: Suite, wanted: str, *, stopped: bool) -> None:
    """Wait until all processes of the suite are stopped, or none is."""
    poller = suite.processes()
    assert poller
    for _ in range(100_000):
        if all((state(pid) in wanted) == stopped for pid in suite.processes()):
            return
        os.sched_yield()
    raise AssertionError({pid: state(pid) for pid in suite.processes()})


def test_suspended_everything_stands_still_and_no_time_passes(blocked: Suite) -> None:
    with pipe_of(blocked) as fd:
        running = blocked.start("-n2", "--hang-timeout=4", process_group=0)
        blocked.await_reached(2)
        running.signal(signal.SIGTSTP)
        await_states(blocked, "T", stopped=True)
        with pytest.raises(TimeoutError):
            running.wait(5.0)  # longer than the limit
        os.write(fd, b"!!")
        running.signal(signal.SIGCONT)
        finished = running.finish()
    finished.assert_summary(passed=6)


def test_a_fork_server_that_is_stopped_does_not_hold_the_run_for_ever(suite: Suite) -> None:
    suite.tests("""
        import os
        import signal
        from recorder import note

        def test_first():
            note("ran", test=1)

        def test_it():
            os.kill(os.getppid(), signal.SIGSTOP)
            os._exit(1)
    """)
    suite.conftest("""
        import pytest_procpar.controller.supervision as supervision

        supervision._PING_SECONDS, supervision._DEAF_SECONDS = 0.3, 1.0
    """)
    finished = suite.run("-n1")
    assert finished.ret == pytest.ExitCode.INTERNAL_ERROR
    assert "the fork server has not answered" in finished.out
    assert finished.outcomes["test_it.py::test_first"] == ["setup passed", "call passed", "teardown passed"]
