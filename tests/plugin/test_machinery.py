"""Processes die, plugins break: what is blamed, and that nothing is lost."""

from __future__ import annotations

import os
import re
import signal

import pytest

from tests.conftest import Finished, Suite

MODES = ["load", "worksteal", "loadscope", "loadfile", "loadgroup", "stable"]
DEATHS = {
    "SIGSEGV": ("os.kill(os.getpid(), 11)", "killed by SIGSEGV"),
    "SIGKILL": ("os.kill(os.getpid(), 9)", "killed by SIGKILL"),
    "SIGTERM": ("os.kill(os.getpid(), 15)", "killed by SIGTERM"),
    "exit0": ("os._exit(0)", "exited with code 0"),
    "exit3": ("os._exit(3)", "exited with code 3"),
}


def verdicts(finished: Finished) -> dict[str, str]:
    """Every test's worst outcome; a test that has no report is missing."""
    return {
        nodeid: "failed" if any("failed" in report for report in reports) else "passed"
        for nodeid, reports in finished.outcomes.items()
    }


# --- a worker dies --------------------------------------------------------------------------------


@pytest.mark.parametrize("death", DEATHS)
@pytest.mark.parametrize("where", ["setup", "call", "teardown"])
def test_a_test_that_kills_its_worker_is_blamed_and_no_other(suite: Suite, where: str, death: str) -> None:
    die, cause = DEATHS[death]
    suite.tests(f"""
        import os
        import pytest
        from recorder import note

        def die(i, where):
            if i == 7 and where == {where!r}:
                {die}

        @pytest.fixture(autouse=True)
        def around(i):
            die(i, "setup")
            yield
            die(i, "teardown")

        @pytest.mark.parametrize("i", range(20))
        def test(i):
            note("ran", test=i)
            die(i, "call")
    """)
    finished = suite.run("-n2", "-p", "no:faulthandler")
    assert finished.ret == pytest.ExitCode.TESTS_FAILED
    assert verdicts(finished) == {
        f"test_it.py::test[{i}]": "failed" if i == 7 else "passed" for i in range(20)
    }
    assert set(finished.ran.values()) == {1}
    (blamed,) = [report for report in finished.notes("report") if report["outcome"] == "failed"]
    first_line = blamed["longrepr"].splitlines()[0]
    assert re.fullmatch(
        rf"worker 'gw\d' crashed while running 'test_it.py::test\[7\]': {cause} in its {where}", first_line
    )
    assert blamed["when"] == "???"
    finished.stdout.fnmatch_lines([f"*[[]gw*[]] node down: {cause}", "FAILED test_it.py::test[[]7[]]*"])


def test_a_failure_before_a_death_in_teardown_is_reported_too(suite: Suite) -> None:
    suite.tests("""
        import os
        import pytest

        @pytest.fixture
        def dies():
            yield
            os._exit(1)

        def test_it(dies):
            assert 0, "this must be seen"

        def test_other():
            pass
    """)
    finished = suite.run("-n2")
    assert "this must be seen" in finished.out
    assert finished.outcomes["test_it.py::test_it"] == ["setup passed", "call failed", "??? failed"]


def test_a_death_between_tests_blames_no_test(suite: Suite) -> None:
    suite.trivial(20)
    suite.conftest("""
        import os

        def pytest_runtest_logfinish(nodeid):
            if "[7]" in nodeid and "PYTEST_XDIST_WORKER" in os.environ:
                os._exit(1)
    """)
    finished = suite.run("-n2")
    assert len(verdicts(finished)) == 20


@pytest.mark.parametrize("mode", MODES)
def test_many_deaths_lose_no_test(suite: Suite, mode: str) -> None:
    for file in "abcde":
        suite.file(
            f"test_{file}.py",
            """
            import os
            import pytest
            from recorder import note

            @pytest.mark.parametrize("i", [
                pytest.param(i, marks=pytest.mark.xdist_group(str(i % 4))) for i in range(20)
            ])
            def test(i, request):
                note("ran", test=request.node.nodeid)
                if i % 5 == 2:
                    os.kill(os.getpid(), 9)
            """,
        )
    finished = suite.run("-n3", f"--dist={mode}")
    finished.assert_summary(passed=80, failed=20)
    assert len(finished.ran) == 100
    assert set(finished.ran.values()) == {1}


def test_a_death_under_each_is_a_failure_of_one_copy(suite: Suite) -> None:
    suite.tests("""
        import os
        import pytest

        @pytest.mark.parametrize("i", range(10))
        def test(i, worker_id):
            if i == 4 and worker_id == "gw1":
                os._exit(1)
    """)
    suite.run("-n2", "--dist=each").assert_summary(passed=19, failed=1)


def test_every_test_may_kill_its_worker(suite: Suite) -> None:
    suite.tests("""
        import os
        import pytest

        @pytest.mark.parametrize("i", range(30))
        def test(i):
            os._exit(1)
    """)
    suite.run("-n2").assert_summary(failed=30)


def test_replacements_have_new_names(suite: Suite) -> None:
    suite.tests("""
        import os
        import pytest
        from recorder import note

        @pytest.mark.parametrize("i", range(3))
        def test(i, worker_id):
            note("ran", test=i)
            if i < 2:
                os._exit(1)
    """)
    finished = suite.run("-n1")
    assert finished.facts("ran", "worker") == ["gw0", "gw1", "gw2"]
    finished.stdout.fnmatch_lines(["replacing crashed worker gw0", "*replacing crashed worker gw1"])


# --- how often workers are replaced ---------------------------------------------------------------

FIRST_SIX_DIE = """
    import os
    import pytest
    from recorder import note

    @pytest.mark.parametrize("i", range(40))
    def test(i):
        note("ran", test=i)
        if i < 6:
            os._exit(1)
"""


def test_a_limit_of_restarts_leaves_the_rest_not_run(suite: Suite) -> None:
    suite.tests(FIRST_SIX_DIE)
    finished = suite.run("-n1", "--max-worker-restart=2")
    finished.assert_summary(failed=40)
    assert finished.ret == pytest.ExitCode.TESTS_FAILED
    assert set(finished.ran) == {0, 1, 2}
    assert finished.out.count("not run: maximum crashed workers reached: 2") >= 37
    finished.stdout.fnmatch_lines(["*procpar: maximum crashed workers reached: 2*"])


def test_restarts_can_be_forbidden(suite: Suite) -> None:
    suite.tests(FIRST_SIX_DIE)
    finished = suite.run("-n1", "--max-worker-restart=0")
    finished.assert_summary(failed=40)
    assert set(finished.ran) == {0}
    finished.stdout.fnmatch_lines(["*worker gw0 crashed and worker restarting disabled*"])


def test_the_other_workers_go_on_when_one_is_not_replaced(suite: Suite) -> None:
    suite.tests(FIRST_SIX_DIE.replace("i < 6", "i == 0"))
    finished = suite.run("-n2", "--max-worker-restart=0")
    finished.assert_summary(passed=39, failed=1)


def test_workers_that_die_before_their_first_test_end_the_run(suite: Suite) -> None:
    suite.trivial(10)
    suite.conftest("""
        import os

        def pytest_procpar_worker_forked():
            os._exit(1)
    """)
    finished = suite.run("-n2")
    finished.assert_summary(failed=10, errors=6)
    finished.stdout.fnmatch_lines(
        [
            "*worker 'gw0' died before its first test: exited with code 1; no test had run there*",
            "*workers in a row died before their first test*",
        ]
    )


# --- plugins break --------------------------------------------------------------------------------


def assert_internal_error(finished: Finished, words: str = "ValueError: a bug of a plugin") -> None:
    assert finished.ret == pytest.ExitCode.INTERNAL_ERROR
    assert f"INTERNALERROR> {words}" in finished.out or words in finished.err


@pytest.mark.parametrize(
    "hook",
    [
        "pytest_runtest_protocol(item)",
        "pytest_runtest_logreport(report)",
        "pytest_runtest_logstart(nodeid)",
        "pytest_runtest_logfinish(nodeid)",
        "pytest_procpar_worker_forked(session)",
        "pytest_sessionfinish(session)",
    ],
)
def test_an_internal_error_in_a_worker_is_status_3(suite: Suite, hook: str) -> None:
    suite.trivial(30)
    suite.conftest(f"""
        import os

        def {hook}:
            if os.environ.get("PYTEST_XDIST_WORKER") == "gw1":
                raise ValueError("a bug of a plugin")
    """)
    finished = suite.run("-n2")
    assert_internal_error(finished)
    assert "Traceback" in finished.out
    assert "gw1" in finished.out
    assert finished.seconds < 45, "it waited for a worker that does not come"


@pytest.mark.parametrize(
    "hook",
    [
        "pytest_sessionstart(session)",
        "pytest_collection(session)",
        "pytest_collection_modifyitems(items)",
        "pytest_itemcollected(item)",
        "pytest_collection_finish(session)",
    ],
)
def test_an_internal_error_in_the_fork_server_is_status_3(suite: Suite, hook: str) -> None:
    suite.trivial(5)
    suite.conftest(f"""
        import os

        def {hook}:
            if "PYTEST_XDIST_WORKER" in os.environ:
                raise ValueError("a bug of a plugin")
    """)
    finished = suite.run("-n2")
    assert_internal_error(finished)
    assert finished.out.count("ValueError: a bug of a plugin") == 1
    assert not finished.notes("ran")


@pytest.mark.parametrize("who", ["worker", "server"])
def test_a_failure_to_unconfigure_is_status_3(suite: Suite, who: str) -> None:
    suite.trivial(4)
    suite.conftest(f"""
        who = "controller"

        def pytest_configure(config):
            global who
            if hasattr(config, "workerinput"):
                who = "server"

        def pytest_procpar_worker_forked():
            global who
            who = "worker"

        def pytest_unconfigure():
            if who == {who!r}:
                raise ValueError("a bug of a plugin")
    """)
    finished = suite.run("-n2")
    assert_internal_error(finished)
    assert finished.summary["passed"] == 4


def test_a_configure_that_fails_in_the_fork_server_ends_the_run(suite: Suite) -> None:
    suite.trivial(5)
    suite.conftest("""
        import os

        def pytest_configure():
            if "PYTEST_XDIST_WORKER" in os.environ:
                raise ValueError("a bug of a plugin")
    """)
    finished = suite.run("-n2")
    assert_internal_error(finished)


@pytest.mark.parametrize(
    "hook",
    [
        "pytest_runtest_logreport(report)",
        "pytest_runtest_logstart(nodeid)",
        "pytest_testnodeready(node)",
        "pytest_testnodedown(node)",
        "pytest_xdist_node_collection_finished(node)",
        "pytest_configure_node(node)",
    ],
)
def test_an_internal_error_in_the_controller_is_status_3(suite: Suite, hook: str) -> None:
    suite.trivial(30)
    suite.conftest(f"""
        import os

        def {hook}:
            if "PYTEST_XDIST_WORKER" not in os.environ:
                raise ValueError("a bug of a plugin")
    """)
    assert_internal_error(suite.run("-n2"))
    assert not suite.await_gone()


def test_a_report_with_values_that_cannot_be_carried_is_no_error(suite: Suite) -> None:
    suite.tests("""
        import pathlib
        import pytest

        @pytest.mark.parametrize("i", range(4))
        def test(i, record_property):
            record_property("odd", pathlib.Path("here"))
    """)
    finished = suite.run("-n2")
    assert finished.ret == 0
    assert finished.summary["passed"] == 4
    assert all("here" in str(n["properties"]) for n in finished.notes("report") if n["when"] == "teardown")


# --- the big ones die -----------------------------------------------------------------------------

ALL_BLOCK = """
    import pytest
    from recorder import block, note, reached

    @pytest.mark.parametrize("i", range(10))
    def test(i):
        note("ran", test=i)
        reached()
        block()
"""


def test_a_killed_controller_leaves_no_process_behind(suite: Suite) -> None:
    suite.make_barrier()
    suite.tests(ALL_BLOCK)
    running = suite.start("-n2")
    suite.await_reached(2)
    assert len(suite.processes()) == 4
    running.signal(signal.SIGKILL)
    assert not suite.await_gone()
    assert running.finish().ret == -signal.SIGKILL


def test_a_controller_killed_while_collecting_leaves_no_process_behind(suite: Suite) -> None:
    suite.make_barrier()
    suite.tests("from recorder import block, reached\nreached()\nblock()\n")
    running = suite.start("-n2")
    suite.await_reached()
    running.signal(signal.SIGKILL)
    assert not suite.await_gone()
    running.finish()


def test_a_killed_fork_server_ends_the_run_with_the_reason(suite: Suite) -> None:
    suite.make_barrier()
    suite.tests(ALL_BLOCK)
    running = suite.start("-n2")
    workers = {int(line.split()[0]) for line in suite.await_reached(2)}
    (server,) = set(suite.processes()) - workers - {running.pid}
    os.kill(server, signal.SIGKILL)
    finished = running.finish()
    assert finished.ret == pytest.ExitCode.INTERNAL_ERROR
    assert "the fork server died: killed by SIGKILL" in finished.out
    assert len([n for n in finished.notes("report") if n["when"] == "???"]) == 2
    assert not suite.await_gone()


def test_a_fork_server_that_dies_while_collecting_ends_the_run_with_the_reason(suite: Suite) -> None:
    suite.tests("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    finished = suite.run("-n2")
    assert finished.ret == pytest.ExitCode.INTERNAL_ERROR
    assert "the fork server died while it collected test_it.py: killed by SIGKILL" in finished.out


def test_a_module_that_exits_the_interpreter_ends_the_run(suite: Suite) -> None:
    suite.tests("import sys\nsys.exit(0)\n")
    finished, plain = suite.run("-n2"), suite.run()
    assert finished.ret == plain.ret != 0


def test_a_fork_made_by_a_test_does_not_speak_for_the_worker(suite: Suite) -> None:
    suite.tests("""
        import os
        import sys
        import pytest

        @pytest.mark.parametrize("i", range(6))
        def test(i):
            if os.fork() == 0:
                sys.exit(0)  # out of pytest, as if the test had failed
            assert os.wait()[1] is not None
    """)
    finished = suite.run("-n2")
    assert len(finished.outcomes) == 6
    assert finished.ret in (0, 1)
