"""What plugins hear in a worker and in the controller: as under pytest-xdist, in the same order."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Suite

pytestmark = pytest.mark.pytest_dependent

pytest_plugins = ["tests.xdist_env"]

_COMPATIBILITY = Path(__file__).parents[2] / "benchmarks" / "compatibility"
CASE = _COMPATIBILITY / "cases" / "vscode_pytest"
SUITE = _COMPATIBILITY / "suites" / "outcomes"

TESTS = """
    import unittest
    import warnings

    import pytest

    def test_passes():
        print("out")

    def test_fails():
        assert 0

    @pytest.mark.skip
    def test_skipped():
        pass

    @pytest.mark.xfail
    def test_expected():
        assert 0

    @pytest.fixture
    def breaks_later():
        yield
        raise ValueError

    def test_error(breaks_later):
        pass

    def test_warns():
        warnings.warn("of a test")

    class TestCase(unittest.TestCase):
        def test(self):
            pass

    if pytest.version_tuple >= (9,):
        def test_parts(subtests):
            with subtests.test("a"):
                assert 0
            with subtests.test("b"):
                pass
"""

#: Notes every call of a hook from the first test to the end of the session, and what a report brings along.
LISTENER = """
    import pytest
    from recorder import note, worker

    def heard(name, subject="", *facts):
        note("heard", what=[name, str(subject), *map(str, facts)])

    def of_report(name):
        return lambda report: heard(name, report.nodeid, report.when, report.outcome, report.longrepr is None)

    def of_item(name):
        return lambda item: heard(name, item.nodeid)

    pytest_runtest_protocol = of_item("protocol")
    pytest_runtest_setup = of_item("setup")
    pytest_runtest_call = of_item("call")
    pytest_runtest_teardown = of_item("teardown")
    pytest_runtest_makereport = of_item("makereport")

    def pytest_runtest_logstart(nodeid, location):
        heard("logstart", nodeid, location)

    def pytest_runtest_logfinish(nodeid, location):
        heard("logfinish", nodeid, location)

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(report):
        of_report("teststatus")(report)
        if worker() != "main":
            report.seen_by = worker()

    def pytest_runtest_logreport(report):
        of_report("logreport")(report)
        if worker() == "main":
            note("travelled", seen_by=report.seen_by)

    def pytest_exception_interact(node, call, report):
        of_report("exception_interact")(report)

    def pytest_warning_recorded(warning_message, when, nodeid, location):
        if when == "runtest":
            heard("warning", nodeid, warning_message.message)

    def counts(reporter):
        return sorted((word, len(reports)) for word, reports in reporter.stats.items() if word != "warnings")

    def pytest_sessionfinish(session, exitstatus):
        reporter = session.config.pluginmanager.getplugin("terminalreporter")
        heard("sessionfinish", int(exitstatus), counts(reporter))

    def pytest_terminal_summary(terminalreporter, exitstatus):
        heard("terminal_summary", int(exitstatus), counts(terminalreporter))

    def pytest_unconfigure(config):
        heard("unconfigure")
"""


def heard(suite: Suite, *args: str) -> tuple[list[Any], list[Any]]:
    """What plugins hear in the only worker and in the controller; what they add to a report has to arrive."""
    finished = suite.run("-n1", "-Wdefault", *args)
    reports = finished.facts("travelled", "seen_by")
    assert len(reports) >= 7 * 3 - 1
    assert set(reports) == {"gw0"}
    calls = finished.notes("heard")
    ended = {call["pid"]: call["worker"] for call in calls if call["what"][0] == "sessionfinish"}
    assert sorted(ended.values()) == ["gw0", "main"]
    in_worker, in_controller = (
        [call["what"] for call in calls if ended.get(call["pid"]) == name] for name in ("gw0", "main")
    )
    return in_worker, in_controller


@pytest.mark.parametrize("method", ["fork", "fork-early", "spawn"])
def test_plugins_hear_what_they_hear_under_xdist(
    suite: Suite, install_xdist: Callable[..., None], monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.delenv("PYTEST_ADDOPTS")
    suite.tests(TESTS)
    suite.conftest(LISTENER)
    install_xdist()
    theirs = heard(suite, "-p", "xdist")
    for calls in theirs:
        assert ["teststatus", "test_it.py::test_passes", "call", "passed", "True"] in calls
    ours = heard(suite, "-p", "xdist", "-p", "procpar", "--recheck=none", f"--start-method={method}")
    assert ours == theirs


def test_a_plugin_that_a_fixture_registers_hears_of_statuses_from_then_on(suite: Suite) -> None:
    suite.tests("""
        import pytest
        from recorder import note

        class Listener:
            def pytest_report_teststatus(self, report):
                note("heard", what=[report.nodeid[-1], report.when])

        @pytest.fixture
        def listens(request):
            listener = Listener()
            request.config.pluginmanager.register(listener)
            yield
            request.config.pluginmanager.unregister(listener)

        def test_1():
            pass

        def test_2(listens):
            pass

        def test_3():
            pass
    """)
    finished = suite.run("-n1")
    finished.assert_summary(passed=3)
    assert finished.facts("heard", "what") == [["2", "setup"], ["2", "call"]]


def test_what_a_status_hook_raises_in_a_worker_ends_the_run(suite: Suite) -> None:
    suite.trivial(4)
    suite.conftest("""
        import os

        def pytest_report_teststatus(report):
            if "PYTEST_XDIST_WORKER" in os.environ and report.when == "call":
                raise ValueError("no status today")
    """)
    finished = suite.run("-n2")
    assert finished.ret == pytest.ExitCode.INTERNAL_ERROR
    assert "INTERNALERROR> " in finished.out
    assert "ValueError: no status today" in finished.out


def test_an_editor_is_told_of_each_test_once_as_without_workers(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_RUN_PIPE", "messages")
    for source in [CASE / "vscode_pytest.py", CASE / "view.py", *SUITE.glob("test_*.py")]:
        shutil.copy(source, suite.path)

    def shown(*args: str) -> str:
        suite.run("-p", "vscode_pytest", *args)
        view = subprocess.run([sys.executable, "view.py"], cwd=suite.path, capture_output=True, check=True)
        (suite.path / "messages").unlink()
        return view.stdout.decode()

    plain = shown()
    assert plain.count("success") == 7
    for method in ("fork", "fork-early", "spawn"):
        assert shown("-n2", f"--start-method={method}") == plain
    # In a plain run a marked test's process tells of its setup alone, and the session of the rest: there all
    # that has failed is a failure.
    suite.conftest("""
        import pytest
        def pytest_collection_modifyitems(items):
            for item in items:
                item.add_marker("isolated")
    """)
    marked = shown()
    assert [line.count("', '") for line in marked.splitlines()] == [0] * plain.count("\n")
    assert marked.replace("'failure ", "'error ") == plain.replace("'failure ", "'error ")


def test_plugins_are_told_which_test_comes_next(suite: Suite) -> None:
    # Some tear down a class of theirs as soon as it is not one of the same class.
    suite.conftest("""
        from recorder import note

        def pytest_runtest_teardown(item, nextitem):
            note("torn down", test=item.name, next=nextitem and nextitem.name)
    """)
    suite.trivial(30)
    finished = suite.run("-n1", "--maxschedchunk=1")  # dealt one by one, each when the one before has begun
    finished.assert_summary(passed=30)
    told = [(note["test"], note["next"]) for note in finished.notes("torn down")]
    names = [test for test, _ in told]
    assert [later for _, later in told] == [*names[1:], None]
