"""Who ends a run early, how, and what is said of it."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import Finished, Suite

pytestmark = pytest.mark.pytest_dependent

MANY_WITH_ONE_FAILURE = """
    import pytest
    from recorder import note

    @pytest.mark.parametrize("i", range(400))
    def test(i):
        note("ran", test=i)
        assert i != 0
"""

#: Two tests that block, with fixtures of every scope around them, and many after them.
BLOCKED = """
    import pytest
    from recorder import block, note, reached

    @pytest.fixture(scope="session", autouse=True)
    def of_session():
        note("setup", scope="session")
        yield
        note("teardown", scope="session")

    @pytest.fixture(scope="module", autouse=True)
    def of_module():
        note("setup", scope="module")
        yield
        note("teardown", scope="module")

    @pytest.fixture(autouse=True)
    def of_function():
        note("setup", scope="function")
        yield
        note("teardown", scope="function")

    @pytest.mark.parametrize("i", range(60))
    def test(i):
        note("ran", test=i)
        if {condition}:
            reached(f"test {{i}}")
            block()
"""


def assert_torn_down(finished: Finished) -> None:
    """Every fixture that was set up was torn down, in the same process."""
    pairs = [[(n["pid"], n["scope"]) for n in finished.notes(kind)] for kind in ("setup", "teardown")]
    assert pairs[0]
    assert sorted(pairs[0]) == sorted(pairs[1])


# --- failures -------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["load", "worksteal", "loadscope", "loadfile", "loadgroup"])
def test_exitfirst_lets_no_test_begin_after_the_failure(suite: Suite, mode: str) -> None:
    # The second worker's first test runs until the run is being stopped, so it may not begin another. By the
    # time that a test's end is shown, its failure has been dealt with.
    suite.make_barrier()
    for name in ("test_a.py", "test_b.py"):
        suite.file(
            name,
            """
            import os
            import pytest
            from recorder import note

            @pytest.mark.parametrize("i", range(200))
            def test(i, worker_id):
                note("ran", test=i)
                if worker_id == "gw0":
                    assert 0
                fifo = os.open("never.fifo", os.O_RDWR)
                os.read(fifo, 1)
                os.close(fifo)
            """,
        )
    suite.conftest("""
        import os

        def pytest_runtest_logfinish(nodeid):
            if "PYTEST_XDIST_WORKER" not in os.environ:
                os.write(os.open("never.fifo", os.O_RDWR), b"!")  # open until the end: the byte has to stay
    """)
    finished = suite.run("-n2", "-x", f"--dist={mode}")
    by_worker = Counter(note["worker"] for note in finished.notes("ran"))
    assert by_worker["gw0"] == 1
    assert by_worker["gw1"] <= 1  # none, if it came up too late
    assert finished.summary == {"failed": 1, **({"passed": 1} if by_worker["gw1"] else {})}
    assert finished.ret == pytest.ExitCode.TESTS_FAILED
    finished.stdout.fnmatch_lines(["*stopping after 1 failures*"])


def test_maxfail_counts_the_failures_of_all_workers(suite: Suite) -> None:
    suite.tests("""
        import pytest
        from recorder import note

        @pytest.mark.parametrize("i", range(400))
        def test(i):
            note("ran", test=i)
            assert 0
    """)
    finished = suite.run("-n2", "--maxfail=6")
    assert finished.ret == pytest.ExitCode.TESTS_FAILED
    assert 6 <= finished.summary["failed"] <= 7
    assert len(finished.notes("ran")) == finished.summary["failed"]
    finished.stdout.fnmatch_lines(["*stopping after [67] failures*"])


def test_maxfail_that_is_not_reached_does_nothing(suite: Suite) -> None:
    suite.tests(MANY_WITH_ONE_FAILURE)
    suite.run("-n2", "--maxfail=2").assert_summary(passed=399, failed=1)


def test_exitfirst_tears_fixtures_down(suite: Suite) -> None:
    suite.tests(BLOCKED.format(condition="False").replace('note("ran", test=i)', "assert i != 5"))
    finished = suite.run("-n2", "-x")
    assert finished.summary["failed"] == 1
    assert_torn_down(finished)


# --- the suite ends the run -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "code"),
    [("call", None), ("call", 0), ("call", 5), ("call", 77), ("setup", None), ("setup", 7), ("teardown", 7)],
)
def test_exit_in_a_test_ends_the_run_with_its_reason_and_code(
    suite: Suite, where: str, code: int | None
) -> None:
    suite.tests(f"""
        import pytest

        def leave(where):
            if where == {where!r}:
                pytest.exit("we are done here", returncode={code})

        @pytest.fixture
        def around():
            leave("setup")
            yield
            leave("teardown")

        def test_leaves(around):
            leave("call")

        @pytest.mark.parametrize("i", range(200))
        def test(i):
            pass
    """)
    finished, plain = suite.run("-n2"), suite.run()
    assert finished.ret == plain.ret == (2 if code is None else code)
    assert finished.summary.get("passed", 0) < 200
    finished.stdout.fnmatch_lines(["*Exit: we are done here*"])


def test_keyboard_interrupt_in_a_test_ends_the_run(suite: Suite) -> None:
    suite.tests("""
        import pytest
        from recorder import note

        @pytest.mark.parametrize("i", range(400))
        def test(i):
            note("ran", test=i)
            if i == 0:
                raise KeyboardInterrupt
    """)
    finished = suite.run("-n2")
    assert "Traceback" not in finished.err
    assert finished.ret == pytest.ExitCode.INTERRUPTED
    assert len(finished.notes("ran")) < 100
    finished.stdout.fnmatch_lines(["*/test_it.py:8: KeyboardInterrupt"])
    assert "crashed" not in finished.out


@pytest.mark.parametrize(
    ("name", "status"),
    [("shouldstop", pytest.ExitCode.INTERRUPTED), ("shouldfail", pytest.ExitCode.TESTS_FAILED)],
)
def test_what_a_test_sets_on_the_session_stops_the_run(suite: Suite, name: str, status: int) -> None:
    suite.tests(f"""
        import pytest
        from recorder import note

        @pytest.mark.parametrize("i", range(400))
        def test(i, request):
            note("ran", test=i)
            if i == 0:
                request.session.{name} = "that will do"
    """)
    finished, plain = suite.run("-n2"), suite.run()
    assert finished.ret == plain.ret == status
    assert len(finished.notes("ran")) < 100
    finished.stdout.fnmatch_lines(["*that will do*"])


def test_shouldstop_set_in_the_controller_stops_the_run(suite: Suite) -> None:
    suite.trivial(1000)
    suite.conftest("""
        class Stopper:
            def __init__(self, session):
                self.session = session

            def pytest_runtest_logreport(self, report):
                self.session.shouldstop = "the controller has had enough"

        def pytest_sessionstart(session):
            if not hasattr(session.config, "workerinput"):
                session.config.pluginmanager.register(Stopper(session))
    """)
    finished = suite.run("-n2")
    assert finished.ret == pytest.ExitCode.INTERRUPTED
    assert len(finished.notes("ran")) < 1000
    assert finished.summary["passed"] == len(finished.notes("ran"))
    finished.stdout.fnmatch_lines(["*the controller has had enough*"])


# --- signals --------------------------------------------------------------------------------------


def test_one_interrupt_ends_the_run_in_order(suite: Suite) -> None:
    suite.make_barrier()
    suite.tests(BLOCKED.format(condition="i in (3, 33)"))
    running = suite.start("-n2", "-v")
    suite.await_reached(2)
    running.signal(signal.SIGINT)
    finished = running.finish()
    assert finished.ret == pytest.ExitCode.INTERRUPTED
    assert_torn_down(finished)
    passed = [report for report in finished.notes("report") if report["when"] == "call"]
    assert finished.summary == {"passed": len(passed)}
    assert len(passed) == len(finished.notes("ran")) - 2
    finished.stdout.fnmatch_lines(["*KeyboardInterrupt*"])
    for i in (3, 33):
        assert any(
            "interrupted while running" in line and f"test[{i}]" in line for line in finished.stdout.lines
        )
    assert set(finished.facts("sessionfinish", "worker")) == {"main", "gw0", "gw1"}


def test_a_test_may_catch_the_interrupt_and_the_run_still_ends(suite: Suite) -> None:
    suite.make_barrier()
    suite.tests("""
        import pytest
        from recorder import block, reached, note

        @pytest.mark.parametrize("i", range(50))
        def test(i):
            note("ran", test=i)
            try:
                reached()
                block()
            except KeyboardInterrupt:
                pass
    """)
    running = suite.start("-n2")
    suite.await_reached(2)
    running.signal(signal.SIGINT)
    finished = running.finish()
    assert finished.ret == pytest.ExitCode.INTERRUPTED
    assert len(finished.notes("ran")) == 2


def test_a_second_interrupt_ends_the_run_at_once(suite: Suite) -> None:
    suite.make_barrier()
    suite.tests("""
        import signal
        import pytest
        from recorder import block, reached

        @pytest.mark.parametrize("i", range(2))
        def test(i):
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            reached()
            block()
    """)
    running = suite.start("-n2")
    suite.await_reached(2)
    running.signal(signal.SIGINT)
    running.await_line("interrupted while running")
    running.signal(signal.SIGINT)
    finished = running.finish()
    assert finished.ret == pytest.ExitCode.INTERRUPTED
    assert not suite.await_gone()


def test_sigterm_ends_everything(suite: Suite) -> None:
    suite.make_barrier()
    suite.tests(BLOCKED.format(condition="i in (3, 33)"))
    running = suite.start("-n2")
    suite.await_reached(2)
    running.signal(signal.SIGTERM)
    finished = running.finish()
    assert finished.ret != 0
    assert "SIGTERM" in finished.out
    last = finished.out.splitlines()[-1]
    assert f"{60 - 2 - finished.summary['passed']} not run in" in last  # two were interrupted
    assert_torn_down(finished)
    assert not suite.await_gone()


def test_sigterm_ends_tests_that_will_not_be_interrupted(suite: Suite) -> None:
    suite.make_barrier()
    suite.tests("""
        import signal
        import pytest
        from recorder import block, reached

        @pytest.mark.parametrize("i", range(2))
        def test(i):
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            reached()
            block()
    """)
    running = suite.start("-n2")
    suite.await_reached(2)
    running.signal(signal.SIGTERM)
    finished = running.finish()
    assert finished.ret != 0
    assert not suite.await_gone()


def is_caught(pid: int, signum: int) -> bool:
    """Whether a process has a handler for a signal."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except FileNotFoundError:  # no Linux
        return True
    (mask,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(mask, 16) >> (signum - 1) & 1)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_collection_ends_the_run(suite: Suite, signum: int) -> None:
    suite.make_barrier()
    suite.tests("""
        from recorder import block, reached
        reached()
        block()
    """)
    running = suite.start("-n2")
    suite.await_reached()
    while not is_caught(running.pid, signum):  # the controller imports its part meanwhile
        os.sched_yield()
    running.signal(signum)
    finished = running.finish()
    assert finished.ret == pytest.ExitCode.INTERRUPTED
    assert not suite.await_gone()


def test_sigterm_to_a_worker_ends_that_worker_only(suite: Suite) -> None:
    suite.tests("""
        import os
        import signal
        import pytest

        @pytest.mark.parametrize("i", range(30))
        def test(i):
            if i == 4:
                os.kill(os.getpid(), signal.SIGTERM)
    """)
    finished = suite.run("-n2")
    finished.assert_summary(passed=29, failed=1)
    assert finished.ret == pytest.ExitCode.TESTS_FAILED
