"""What is done in fewer steps than pytest takes comes out the same."""

from __future__ import annotations

import json
import re

import pytest

from tests.conftest import Suite

pytestmark = pytest.mark.pytest_dependent

#: Items of many kinds, among them such as hide or borrow the function behind them.
KINDS = '''
    import functools
    import unittest
    import pytest

    def wrapped(function):
        @functools.wraps(function)
        def call(*args, **kwargs):
            return function(*args, **kwargs)
        return call

    def test_function():
        pass

    @wrapped
    def test_wrapped():
        pass

    @pytest.mark.skip
    @pytest.mark.parametrize("x", ["a", "::", "b/c"])
    def test_param(x):
        pass

    class TestClass:
        def test_method(self):
            pass

        @staticmethod
        def test_static():
            pass

        @classmethod
        def test_class_method(cls):
            pass

        class TestInner:
            @wrapped
            def test_inner(self):
                pass

    class TestChild(TestClass):
        pass

    class TestUnit(unittest.TestCase):
        def test_unit(self):
            """
            >>> 1 + 1
            2
            """

    scope = {}
    exec(compile("def test_made(): pass", "made.py", "exec"), scope)
    test_made = scope["test_made"]
    test_partial = functools.partial(test_function)
    test_lambda = lambda: None
'''


def test_the_location_of_every_kind_of_item_is_the_one_that_pytest_finds(suite: Suite) -> None:
    suite.tests(KINDS)
    suite.file("deep/test_more.py", "from test_it import test_function, TestClass\ndef test_own(): pass")
    suite.conftest("""
        import pytest
        from recorder import note
        from pytest_procpar.compat.pytest_private.items import Locations

        class Odd(pytest.Item):
            def runtest(self):
                pass

            def reportinfo(self):
                return "somewhere else", 7, "odd"

        def pytest_pycollect_makeitem(collector, name, obj):
            if name == "scope":
                return Odd.from_parent(collector, name="odd")

        def pytest_procpar_worker_forked(config, session):
            quick = Locations()
            for item in session.items:
                found = quick.of(item)
                vars(item).pop("location", None)
                note("location", quick=found, slow=item.location, id=item.nodeid)
    """)
    suite.pytester.syspathinsert()
    finished = suite.run("-n1", "--doctest-modules")
    notes = finished.notes("location")
    assert len(notes) > 20
    assert [(note["id"], note["quick"]) for note in notes] == [(note["id"], note["slow"]) for note in notes]


def test_hooks_of_a_conftest_apply_to_its_folder_and_no_other(suite: Suite) -> None:
    for folder in ("a", "b", "a/c"):
        suite.file(f"{folder}/test_{folder[-1]}.py", "def test_one(): pass\ndef test_two(): pass")
        suite.file(
            f"{folder}/conftest.py",
            f"""
            from recorder import note
            def pytest_runtest_setup(item):
                note("setup", by={folder!r}, item=item.nodeid)
            """,
        )
    finished = suite.run("-n2")
    found = sorted((note["by"], note["item"].rpartition("::")[0]) for note in finished.notes("setup"))
    assert found == sorted(
        2 * [("a", "a/test_a.py"), ("b", "b/test_b.py"), ("a", "a/c/test_c.py"), ("a/c", "a/c/test_c.py")]
    )


MIXED = """
    import pytest

    @pytest.fixture
    def broken():
        yield
        assert 0

    @pytest.mark.parametrize("i", range(30))
    def test(i):
        assert i % 10
        if i % 10 == 1:
            pytest.skip("now and then")

    def test_teardown(broken):
        print("said")

    @pytest.mark.xfail
    def test_expected():
        assert 0
"""


def test_what_the_terminal_shows_does_not_depend_on_who_else_listens(suite: Suite) -> None:
    suite.tests(MIXED)
    shown = []
    whole = ["-p", "no:recorder", "-o", "procpar_compact_reports=false"]
    for options in (["-p", "no:recorder"], whole, []):  # the recorder listens to every report
        finished = suite.run("-n1", "-ra", "--durations=0", "-vv", "-o", "verbosity_test_cases=0", *options)
        text = re.sub(r"\d+\.\d\ds|0x\w+", "TIME", finished.out)
        shown.append(sorted(text.splitlines()))
    assert shown[0] == shown[1] == shown[2]
    assert sum("TIME setup" in line for line in shown[0]) == 32


def test_the_terminal_reporter_holds_the_same_reports_whether_or_not_they_are_made_late(suite: Suite) -> None:
    suite.tests(MIXED)
    suite.conftest("""
        import gc
        import json
        from pathlib import Path
        import pytest

        TIMES = ("start", "stop", "duration")

        def said(thing):
            if not isinstance(thing, pytest.TestReport):
                return str(thing)
            facts = {name: str(value) for name, value in vars(thing).items() if name not in TIMES}
            assert thing.start <= thing.stop and thing.duration >= 0
            return {**facts, "node": thing.node.gateway.id, "testrun_uid": "", "types": type(thing).__name__}

        def pytest_terminal_summary(terminalreporter, config):
            if hasattr(config, "workerinput"):
                return
            alive = sum(type(each) is pytest.TestReport for each in gc.get_objects())
            stats = {word: [said(each) for each in held] for word, held in terminalreporter.stats.items()}
            Path("found.json").write_text(json.dumps([alive, stats]))
    """)
    found = []
    for setting in ("true", "false"):
        options = ["-p", "no:recorder", "-o", f"procpar_compact_reports={setting}"]
        finished = suite.run("-n1", "--testrunuid=run", *options)
        finished.assert_summary(passed=25, failed=3, skipped=3, xfailed=1, errors=1)
        found.append(json.loads((suite.path / "found.json").read_text()))
    (few, late), (many, whole) = found
    assert late == whole
    assert (
        few <= many - 24
    )  # of the passed ones; pytest looks for what was printed at the failed ones' teardowns
    assert {"", "passed", "failed"} <= late.keys()


def test_who_watches_hook_calls_sees_all_of_them(suite: Suite) -> None:
    suite.trivial(5)
    suite.conftest("""
        from recorder import note

        def pytest_sessionstart(session):
            if not hasattr(session.config, "workerinput"):
                def before(hook_name, hook_impls, kwargs):
                    if hook_name.startswith("pytest_runtest_log"):
                        note("call", name=hook_name)
                session.config.pluginmanager.add_hookcall_monitoring(before, lambda *_: None)
    """)
    calls = suite.run("-n1", "-p", "no:terminal").facts("call", "name")
    assert {name: calls.count(name) for name in calls} == {
        "pytest_runtest_logstart": 5,
        "pytest_runtest_logreport": 15,
        "pytest_runtest_logfinish": 5,
    }


def test_the_collector_of_garbage_is_back_to_normal_when_tests_run(suite: Suite) -> None:
    suite.tests("""
        import gc
        from recorder import note

        def test_it():
            note("thresholds", values=gc.get_threshold(), enabled=gc.isenabled())
    """)
    assert suite.run("-n1").facts("thresholds", "values") == suite.run().facts("thresholds", "values")
    for moment in ("", "def pytest_collection_modifyitems(): "):
        suite.conftest(f"import gc\n{moment}gc.set_threshold(123, 4, 5)")
        assert suite.run("-n1").facts("thresholds", "values") == [[123, 4, 5]]


def test_an_unbuffered_terminal_shows_everything_in_order(suite: Suite) -> None:
    suite.trivial(200)
    suite.pytester._monkeypatch.setenv("PYTHONUNBUFFERED", "1")
    finished = suite.run("-n2", "-p", "no:recorder")
    dots = "".join(finished.stdout.lines[5:-1])
    assert dots.count(".") == 200
    assert finished.stdout.lines[-1].startswith("=")
