"""Tests that close, replace and detach the standard streams: they end nothing, and hide no other result."""

from __future__ import annotations

import pytest

from tests.conftest import Suite

pytestmark = pytest.mark.pytest_dependent

PLACES = {
    "call": """
        def test_it():
            {what}
    """,
    "setup": """
        @pytest.fixture
        def fixture():
            {what}

        def test_it(fixture):
            pass
    """,
    "teardown": """
        @pytest.fixture(scope="module")
        def fixture():
            yield
            {what}

        def test_it(fixture):
            pass
    """,
    "session": """
        @pytest.fixture(scope="session")
        def fixture():
            {what}

        def test_it(fixture):
            pass
    """,
}
HEAD = """
        import os
        import sys
        import pytest

        def test_before():
            print("before")
"""
TAIL = """
        def test_after():
            print("after")

        def test_last():
            pass
"""

WAYS = [
    ("sys.stdout.close()", "call", "fd", "fork"),
    ("sys.stdout.buffer.close()", "session", "tee-sys", "fork"),
    ("sys.stderr.detach()", "setup", "sys", "fork-early"),
    ("sys.stderr.close()", "teardown", "fd", "fork"),
    ("sys.stdin.close(); os.closerange(0, 3)", "call", "fd", "spawn"),
    ("sys.stdout = sys.stderr = object()", "teardown", "fd", "fork-early"),
    ("sys.stdout.close()", "call", "sys", "spawn"),
]


@pytest.mark.parametrize(("what", "place", "capture", "method"), WAYS)
def test_each_test_ends_as_under_plain_pytest(
    suite: Suite, what: str, place: str, capture: str, method: str
) -> None:
    suite.tests(HEAD + PLACES[place].format(what=what) + TAIL)
    plain = suite.run("-p", "no:procpar", f"--capture={capture}")
    ours = suite.run("-n1", f"--start-method={method}", f"--capture={capture}")
    assert ours.outcomes == plain.outcomes
    assert ours.summary == plain.summary
    assert ours.ret == (1 if {"failed", "error", "errors"} & plain.summary.keys() else 0)


#: These end plain pytest itself, which has nowhere to write what follows.
FATAL = [
    ("sys.__stdout__.close()", "fd"),
    ("os.close(1)", "no"),
    ("del sys.stdout, sys.stderr, sys.__stdout__", "no"),
]


@pytest.mark.parametrize(("what", "capture"), FATAL)
def test_what_a_test_does_to_the_streams_of_its_process_is_not_done_to_the_controllers(
    suite: Suite, what: str, capture: str
) -> None:
    suite.tests(HEAD + PLACES["call"].format(what=what) + TAIL.replace("print", "len"))
    finished = suite.run("-n1", f"--capture={capture}")
    finished.assert_summary(passed=4)
    assert finished.ret == pytest.ExitCode.OK


@pytest.mark.parametrize("option", ["--isolate", "-n2"])
def test_a_process_that_a_test_has_left_without_streams_is_looked_into_and_ends(
    suite: Suite, option: str
) -> None:
    suite.tests(HEAD + PLACES["call"].format(what="sys.stdout.close()") + TAIL)
    finished = suite.run(option, "--recheck=failed")
    assert finished.ret == pytest.ExitCode.TESTS_FAILED
    assert finished.outcomes["test_it.py::test_before"] == ["setup passed", "call passed", "teardown passed"]
    closed = finished.outcomes["test_it.py::test_it"]  # the re-check's own processes note it again
    assert closed[:3] == ["setup passed", "call failed", "teardown failed"]
    assert "re-checking" in finished.out
    assert "internal error" not in finished.out


def test_an_internal_error_is_told_though_a_test_has_closed_what_captures(suite: Suite) -> None:
    suite.conftest("""
        import os

        def pytest_runtest_logfinish(nodeid):
            if "PYTEST_XDIST_WORKER" in os.environ and nodeid.endswith("test_it"):
                raise RuntimeError("a plugin is broken")
    """)
    suite.tests(HEAD + PLACES["call"].format(what="sys.stdout.close()") + TAIL)
    finished = suite.run("-n1", timeout=60.0)
    assert finished.ret == pytest.ExitCode.INTERNAL_ERROR
    assert "RuntimeError: a plugin is broken" in finished.out


@pytest.mark.parametrize("method", ["fork", "fork-early", "spawn"])
def test_plugins_may_print_at_the_end_of_a_worker_whose_streams_a_test_has_closed(
    suite: Suite, method: str
) -> None:
    suite.conftest("""
        import sys
        def pytest_sessionfinish(session):
            if hasattr(session.config, "workerinput"):
                print("on standard output")
                print("on standard error", file=sys.stderr)
    """)
    suite.tests("""
        import sys
        def test_closes():
            sys.stdout.close()
            sys.stderr.close()
    """)
    finished = suite.run("-n1", "--recheck=none", f"--start-method={method}")
    assert finished.ret == pytest.ExitCode.TESTS_FAILED
    finished.stdout.no_fnmatch_line("*internal error*")
