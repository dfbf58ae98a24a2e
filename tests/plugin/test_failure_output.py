"""When failures are shown: before the re-check, or as soon as a test fails; in either case once."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

import pytest

from tests.conftest import Finished, Suite

pytestmark = pytest.mark.pytest_dependent

#: What pytest's summary can have, and a victim.
EVERYTHING = """
    import warnings
    import pytest
    STATE = []

    @pytest.fixture
    def broken():
        raise OSError("no database")

    def test_polluter():
        print("this passes")
        STATE.append(1)
    def test_victim():
        print("this fails")
        assert not STATE
    def test_error(broken): pass
    @pytest.mark.xfail
    def test_xfail():
        assert 1 == 2
    @pytest.mark.xfail
    def test_xpass():
        print("against all expectations")
    def test_warns():
        warnings.warn("this is old")
"""
#: What another plugin writes in the summary, before and after others.
PLUGIN = """
    import pytest

    @pytest.hookimpl(wrapper=True)
    def pytest_terminal_summary(terminalreporter):
        terminalreporter.section("first words")
        yield
        terminalreporter.section("last words")
"""
LAST = "re-checking"


def headings(finished: Finished) -> list[str]:
    """The headings of what has been written after the tests, and where the re-check began."""
    found = []
    for line in finished.out.splitlines():
        heading = re.fullmatch(r"={3,} (.+) ={3,}", line)
        if heading is not None and heading[1] != "test session starts":
            found.append(re.sub(r" in \d.*", "", heading[1]))
        elif line.startswith(LAST):
            found.append(LAST)
    return found


def same_but_for_order(finished: Finished, plain: Finished, *more: str) -> None:
    """Each line has been written as often as without a re-check, whose own headings are `more`."""
    assert sorted(headings(finished)) == sorted([*headings(plain), *more])
    for words in ("no database", "assert not [1]", "this is old", "this fails", "this passes"):
        assert finished.out.count(words) >= plain.out.count(words)


def failures(finished: Finished) -> list[str]:
    """The headlines of failures, in their order."""
    return [line.strip("_ ") for line in finished.out.splitlines() if re.fullmatch(r"_{3,} .+ _{3,}", line)]


# --- before the re-check -----------------------------------------------------------------------------


def test_failures_are_shown_before_the_recheck_and_the_rest_after_it(suite: Suite) -> None:
    suite.tests(EVERYTHING)
    suite.conftest(PLUGIN)
    finished = suite.run("-n1", "--recheck=failed", "--recheck-budget=100")
    assert headings(finished) == [
        "ERRORS", "FAILURES", "warnings summary", LAST, "first words", "procpar: re-check", "last words",
        "short test summary info", "1 failed, 2 passed, 1 xfailed, 1 xpassed, 1 warning, 1 error",
    ]  # fmt: skip


OPTIONS = [
    (), ("-rA",), ("-rA", "--xfail-tb"), ("-rP",), ("-rX",), ("-rN",), ("--tb=no",), ("--tb=line",),
    ("--tb=short",), ("--no-summary",), ("-q",), ("-qq",), ("-v",), ("-x",), ("--maxfail=2",), ("-s",),
    ("--color=yes",), ("--disable-warnings",), ("--show-capture=no",),
]  # fmt: skip


@pytest.mark.parametrize("options", OPTIONS, ids="".join)
def test_with_every_option_the_same_is_shown_once(suite: Suite, options: Sequence[str]) -> None:
    suite.tests(EVERYTHING)
    plain = suite.run("-n1", "--recheck=none", *options)
    finished = suite.run("-n1", "--recheck=failed", "--recheck-budget=1", *options)
    begins = [LAST] if LAST in headings(finished) else []
    section = [line for line in headings(finished) if line == "procpar: re-check"]
    same_but_for_order(finished, plain, *begins, *section)
    assert failures(finished) == failures(plain)
    assert finished.ret == plain.ret


def test_where_nothing_is_looked_into_pytest_shows_all_when_it_always_does(suite: Suite) -> None:
    suite.tests(EVERYTHING)
    suite.conftest(PLUGIN + "\n    def pytest_sessionfinish(): print('the session ends')")
    finished = suite.run("-n1", "--recheck=none")
    before, _, after = finished.out.partition("the session ends")
    assert "ERRORS" not in before
    assert "ERRORS" in after


def test_what_a_plugin_adds_later_is_shown_alone(suite: Suite) -> None:
    suite.tests(EVERYTHING)
    suite.conftest("""
        import copy
        import pytest

        @pytest.hookimpl(tryfirst=True)
        def pytest_sessionfinish(session):
            if hasattr(session.config, "workerinput"):
                return
            stats = session.config.pluginmanager.getplugin("terminalreporter").stats
            for category in ("failed", "error"):
                late = copy.copy(stats[category][0])
                late.longrepr = f"{category} late"
                stats[category].append(late)
    """)
    finished = suite.run("-n1", "--recheck=failed", "--recheck-budget=100")
    early, _, late = finished.out.partition(LAST)
    assert early.count("no database") == 2
    assert headings(finished)[4:6] == ["ERRORS", "FAILURES"]
    shown, _, _ = late.partition("short test summary info")
    assert [words for words in ("error late", "failed late") if shown.count(words) == 1] == [
        "error late", "failed late",
    ]  # fmt: skip
    assert "no database" not in shown
    assert finished.summary["failed"] == finished.summary["errors"] == 2


def test_plugins_can_still_ask_the_reporter_for_all(suite: Suite) -> None:
    suite.tests(EVERYTHING)
    suite.conftest("""
        def pytest_terminal_summary(terminalreporter):
            names = [report.nodeid for report in terminalreporter.getreports("failed")]
            terminalreporter.write_line(f"for the archive: {names}")
            terminalreporter.summary_errors()
    """)
    finished = suite.run("-n1", "--recheck=failed", "--recheck-budget=100")
    assert "for the archive: ['test_it.py::test_victim']" in finished.out
    assert headings(finished).count("ERRORS") == 2


def test_a_warning_of_the_end_is_shown_once(suite: Suite) -> None:
    suite.tests(EVERYTHING)
    suite.conftest("""
        import warnings
        def pytest_terminal_summary():
            warnings.warn("this is the end")
    """)
    finished = suite.run("-n1", "--recheck=failed", "--recheck-budget=100")
    assert headings(finished).count("warnings summary") == 1
    assert headings(finished).count("warnings summary (final)") == 1
    assert finished.out.count(": UserWarning: this is the end") == 1
    assert finished.out.count(": UserWarning: this is old") == 1


OWN_SUMMARY = """
    import pytest
    from _pytest.terminal import TerminalReporter

    class Own(TerminalReporter):
        @pytest.hookimpl(wrapper=True)
        def pytest_terminal_summary(self):
            self.write_line("a summary of its own")
            return (yield)

    @pytest.hookimpl(trylast=True)
    def pytest_configure(config):
        if hasattr(config, "workerinput"):
            return
        config.pluginmanager.unregister(config.pluginmanager.getplugin("terminalreporter"))
        config.pluginmanager.register(Own(config), "terminalreporter")
"""
OTHER_REPORTER = """
    import pytest

    class Other:
        def write_line(self, text, **how): print(text)
        def pytest_runtest_logreport(self, report):
            if report.failed: print("other:", report.nodeid)

    @pytest.hookimpl(trylast=True)
    def pytest_configure(config):
        if hasattr(config, "workerinput"):
            return
        config.pluginmanager.unregister(config.pluginmanager.getplugin("terminalreporter"))
        config.pluginmanager.register(Other(), "other-reporter")
"""


each_way = pytest.mark.parametrize("how", ["--failure-output=final", "--failure-output=immediate"])


def run_with(reporter: str, suite: Suite, how: str) -> Finished:
    """A run of all that a test may do, whose re-check has time, with a reporter of the suite's own."""
    suite.tests(EVERYTHING)
    suite.conftest(reporter)
    finished = suite.run("-n1", "--recheck=failed", "--recheck-budget=100", how)
    assert finished.ret == 1
    return finished


@each_way
def test_a_reporter_with_a_summary_of_its_own_is_let_alone(suite: Suite, how: str) -> None:
    finished = run_with(OWN_SUMMARY, suite, how)
    assert finished.out.count("a summary of its own") == 1
    assert failures(finished) == []
    assert LAST in finished.out


@each_way
def test_another_reporter_hears_of_failures_once(suite: Suite, how: str) -> None:
    finished = run_with(OTHER_REPORTER, suite, how)
    assert finished.out.count("other: test_it.py::test_victim") == 1


# --- as soon as a test fails -------------------------------------------------------------------------


@pytest.mark.parametrize("workers", ["-n0", "-n1"])
def test_a_failure_is_shown_while_other_tests_run(suite: Suite, workers: str) -> None:
    suite.make_barrier()
    suite.tests("""
        import os
        def test_fails():
            print("captured")
            assert 1 == 2
        def test_waits():
            os.read(os.open("never.fifo", os.O_RDONLY), 1)
    """)
    running = suite.start(workers, "--failure-output=immediate")
    running.await_line("captured\n")
    os.close(os.open(suite.path / "never.fifo", os.O_WRONLY))
    finished = running.finish()
    finished.assert_summary(failed=1, passed=1)
    assert failures(finished) == ["test_fails"]
    assert headings(finished) == ["short test summary info", "1 failed, 1 passed"]


@pytest.mark.parametrize(
    "options", [(), ("-v",), ("-q",), ("--tb=short",), ("--show-capture=no",)], ids="".join
)
@pytest.mark.parametrize("workers", ["-n0", "-n1"])
def test_it_looks_as_in_the_summary(suite: Suite, workers: str, options: Sequence[str]) -> None:
    suite.tests("""
        import pytest
        @pytest.fixture
        def broken(): raise OSError("no database")
        @pytest.fixture
        def breaks():
            yield
            print("torn down")
            raise OSError("no folder")
        @pytest.fixture
        def prints():
            print("set up")
            yield
            print("torn down")
        def test_fails(prints):
            print("called")
            assert 1 == 2
        def test_setup(broken): pass
        def test_teardown(breaks): pass
        def test_both(breaks): assert 3 == 4
    """)
    finished = suite.run(workers, "--failure-output=immediate", *options)
    plain = suite.run(workers, *options)
    assert headings(finished) == [one for one in headings(plain) if one not in ("ERRORS", "FAILURES")]
    headlines = failures(finished)
    assert sorted(set(headlines)) == sorted(failures(plain))
    for line in set(plain.out.splitlines()):
        if line.startswith(("E  ", ">  ", "----")) or line in ("set up", "called", "torn down"):
            assert finished.out.count(f"{line}\n") == plain.out.count(f"{line}\n")


def test_what_was_shown_at_once_is_not_shown_again_before_the_recheck(suite: Suite) -> None:
    suite.tests(EVERYTHING)
    finished = suite.run("-n1", "--recheck=failed", "--recheck-budget=1", "--failure-output=immediate")
    assert failures(finished) == ["test_victim", "ERROR at setup of test_error"]
    assert headings(finished)[:2] == ["warnings summary", LAST]


def test_without_tracebacks_there_is_nothing_to_show(suite: Suite) -> None:
    suite.tests(EVERYTHING)
    finished = suite.run("-n1", "--failure-output=immediate", "--tb=no")
    assert failures(finished) == []
    assert "assert not" not in finished.out.partition("short test summary")[0]


def test_what_cannot_be_collected_is_shown_at_once(suite: Suite) -> None:
    suite.tests("import nothing_of_the_kind")
    for workers in ("-n0", "-n1"):
        finished = suite.run(workers, "--failure-output=immediate")
        assert failures(finished) == ["ERROR collecting test_it.py"]
        assert "ERRORS" not in headings(finished)


def test_a_crash_is_shown_at_once(suite: Suite) -> None:
    suite.tests("""
        import os
        def test_crashes(): os.abort()
        def test_other(): pass
    """)
    finished = suite.run("-n1", "--failure-output=immediate")
    assert len(failures(finished)) == 1
    assert failures(finished) == failures(suite.run("-n1"))
    assert "FAILURES" not in headings(finished)


def test_the_option_of_pytest_instafail_is_explained(suite: Suite) -> None:
    suite.tests("def test(): pass")
    finished = suite.run("-n1", "--instafail")
    assert finished.ret == 4
    assert "--failure-output=immediate does the same" in finished.err


def test_printed_commands_do_not_have_the_option(suite: Suite) -> None:
    suite.tests(EVERYTHING)
    finished = suite.run("-n1", "--recheck=failed", "--recheck-budget=100", "--failure-output=immediate")
    assert "fails: pytest test_it.py::test_polluter test_it.py::test_victim" in finished.out
