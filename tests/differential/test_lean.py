"""Tests whose phases run without hook calls that nobody needs have the reports of a plain run."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.conftest import Finished, Suite

pytestmark = [pytest.mark.python_dependent, pytest.mark.pytest_dependent]

#: Notes all of each report in the process that shows them: in a worker, nobody but pytest listens.
CONFTEST = """
    import logging
    import os
    import sys
    import pytest
    from recorder import note

    class Listener:
        def pytest_runtest_logreport(self, report):
            values = dict(vars(report))
            longrepr = str(values.pop("longrepr") or "")
            note("full", nodeid=report.nodeid, start=report.start, stop=report.stop, duration=report.duration,
                 values=repr([(k, values[k]) for k in sorted(values) if k not in
                              ("start", "stop", "duration", "node", "worker_id", "item_index", "testrun_uid",
                               "_id", "$report_type")]),
                 longrepr=longrepr)

    def pytest_configure(config):
        if not hasattr(config, "workerinput"):
            config.pluginmanager.register(Listener(), "listener")

    def pytest_runtest_logstart():
        pass

    del pytest_runtest_logstart

    @pytest.fixture(autouse=True)
    def surroundings(request):
        # What tests, and what runs around them, can see of their surroundings.
        def look():
            root = logging.getLogger()
            return [type(h).__name__ for h in root.handlers], root.level, os.environ["PYTEST_CURRENT_TEST"]
        before = look()
        streams = sys.stdout, sys.stderr
        yield
        note("seen", test=request.node.nodeid, before=before, after=look(),
             streams=[one is other for one, other in zip(streams, (sys.stdout, sys.stderr))])
"""

SUITE = """
    import gc
    import logging
    import os
    import subprocess
    import sys
    import threading
    import time
    import warnings
    import pytest
    from recorder import note

    def is_lean():
        frame, functions = sys._getframe(), set()
        while frame is not None:
            functions.add((os.path.basename(frame.f_code.co_filename), frame.f_code.co_name))
            frame = frame.f_back
        return ("lean_tests.py", "_phase") in functions

    def test_who_runs_it(): note("lean", lean=is_lean())

    def test_nothing(): pass
    def test_false(): assert [1] == [2]
    def test_prints(): print("out"); print("err", file=sys.stderr)
    def test_after_prints(): pass
    def test_prints_past_python(): os.write(1, b"one\\n"); os.write(2, b"two\\n")
    def test_child_prints(): subprocess.run([sys.executable, "-c", "print('child')"], check=True)
    def test_child_sees_the_test():
        code = "import os; print(os.environ['PYTEST_CURRENT_TEST'])"
        out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
        note("child", out=out)
    def test_prints_and_fails(): print("before"); assert 0
    def test_binary(): os.write(1, "\u00e9\\n".encode())

    @pytest.fixture
    def loud():
        print("setup"); logging.warning("setup")
        yield
        print("teardown"); logging.warning("teardown")
    def test_loud_fixture(loud): pass
    def test_loud_fixture_and_test(loud): print("call"); logging.error("call")
    def test_loud_fixture_and_failure(loud): print("call"); logging.error("call"); assert 0

    @pytest.fixture
    def quiet_up():
        yield
        print("down")
    def test_only_teardown_prints(quiet_up): pass

    def test_logs(): logging.getLogger("some").warning("a warning")
    def test_logs_info(): logging.getLogger("some").info("nobody sees it")
    def test_does_not_propagate():
        logger = logging.getLogger("alone")
        logger.propagate = False
        logger.warning("alone")
    def test_after_that(): logging.getLogger("alone").warning("again alone")
    def test_caplog(caplog):
        caplog.set_level(logging.INFO)
        logging.info("seen")
        assert [r.message for r in caplog.records] == ["seen"]
        assert caplog.text
    def test_caplog_of_phases(caplog, loud):
        logging.warning("mine")
        assert [r.message for r in caplog.get_records("setup")] == ["setup"]
        assert [r.message for r in caplog.get_records("call")] == ["mine"]
    @pytest.fixture
    def handler():
        one = logging.StreamHandler(open(os.devnull, "w"))
        logging.getLogger().addHandler(one)
        yield
        logging.getLogger().removeHandler(one)
        one.stream.close()
    def test_handler_of_a_fixture(handler):
        note("handlers", of=[type(one).__name__ for one in logging.getLogger().handlers])
    def test_no_handlers_left():
        root = logging.getLogger()
        root.handlers[:] = []
    def test_logs_after_that(): logging.warning("back")

    def test_capsys(capsys): print("x"); assert capsys.readouterr().out == "x\\n"; print("left")
    def test_capfd(capfd): os.system("echo y"); assert capfd.readouterr().out == "y\\n"; print("left")
    def test_capsys_disabled(capsys):
        with capsys.disabled(): print("past capture")
    def test_past_capture_unflushed(): sys.__stdout__.write("unflushed")
    def test_after_unflushed(): print("mine")
    def test_other_stdout():
        sys.stdout = open(os.devnull, "w")
    def test_after_other_stdout(): print("captured")
    def test_other_descriptor():
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1); os.dup2(null, 2); os.close(null)
    def test_after_other_descriptor(): os.write(1, b"captured\\n"); os.write(2, b"that, too\\n")
    def test_suspends(request):
        manager = request.config.pluginmanager.getplugin("capturemanager")
        manager.suspend_global_capture(in_=True)
    def test_after_suspended(): print("captured")

    def test_warns(): warnings.warn("a warning")
    def test_returns(): return 1
    def test_thread():
        thread = threading.Thread(target=lambda: 1 / 0)
        thread.start(); thread.join()
    @pytest.mark.filterwarnings("error")
    def test_thread_is_an_error():
        thread = threading.Thread(target=lambda: 1 / 0)
        thread.start(); thread.join()
    class Broken:
        def __del__(self): raise ValueError("del")
    def test_unraisable(): Broken(); gc.collect()
    @pytest.mark.filterwarnings("error")
    def test_unraisable_is_an_error(): Broken(); gc.collect()

    def test_skips(): pytest.skip("why")
    def test_xfails(): pytest.xfail("why")
    @pytest.mark.skip
    def test_skipped(): pass
    @pytest.mark.skipif(True, reason="so")
    def test_skipped_if(): pass
    @pytest.mark.xfail
    def test_xpasses(): pass
    @pytest.mark.xfail(strict=True)
    def test_xpasses_strictly(): pass
    @pytest.mark.xfail(raises=ValueError)
    def test_xfails_as_marked(): raise ValueError
    def test_xfail_is_added(request): request.applymarker(pytest.mark.xfail(reason="late")); assert 0
    def test_xfail_is_added_and_passes(request): request.applymarker(pytest.mark.xfail(reason="late"))
    @pytest.fixture
    def marks(request): request.applymarker(pytest.mark.xfail(reason="early", run=False))
    def test_xfail_is_added_in_setup(marks): assert 0
    @pytest.fixture
    def harmless_mark(request): request.applymarker(pytest.mark.usefixtures("nothing"))
    def test_harmless_mark_in_setup(harmless_mark): pass
    def test_harmless_mark(request): request.applymarker(pytest.mark.usefixtures("nothing"))
    def test_keyword(request): request.node.keywords["new"] = 1
    def test_extra_keyword(request): request.node.extra_keyword_matches.add("new")
    def test_property(record_property): record_property("key", 1)
    def test_property_in_teardown(record_property, request):
        request.addfinalizer(lambda: record_property("key", 2))
    def test_section(request): request.node.add_report_section("call", "own", "text")

    @pytest.fixture
    def fails(): print("no"); raise RuntimeError("setup")
    @pytest.fixture
    def fails_down():
        yield
        raise RuntimeError("teardown")
    @pytest.fixture(scope="module")
    def fails_wide(): raise RuntimeError("wide")
    def test_setup_fails(fails): pass
    def test_teardown_fails(fails_down): pass
    def test_both_fail(fails_down): assert 0
    def test_wide_fails(fails_wide): pass
    def test_wide_fails_again(fails_wide): pass
    def test_finalizers(request):
        request.addfinalizer(lambda: 1 / 0)
        request.addfinalizer(lambda: [][1])
    def test_exits_by_itself(): raise SystemExit(3)
    def test_last_exception():
        assert not hasattr(sys, "last_value")
    def test_fails_for_the_next(): assert 0
    def test_sees_no_last_exception(): assert not hasattr(sys, "last_value")
    def test_takes_time(record_property):
        began, end = time.perf_counter(), time.perf_counter() + 0.01
        while time.perf_counter() < end: pass
        note("took", seconds=time.perf_counter() - began, test="test_takes_time")
        assert 0

    @pytest.mark.parametrize("value", [1, 2, "a::b"])
    def test_parameters(value, tmp_path): assert tmp_path.exists()
    @pytest.fixture(params=[1, 2])
    def parameter(request): return request.param
    def test_parametrized_fixture(parameter): pass
    def test_monkeypatch(monkeypatch): monkeypatch.setattr(os, "fstat", None)
    class TestClass:
        def setup_method(self): print("setup_method")
        def test_one(self): pass
        def test_two(self): assert self
        @staticmethod
        def test_static(): pass
    async def test_coroutine(): pass
    def test_registers(request):
        class Late:
            def pytest_runtest_logfinish(self, nodeid): note("late", finished=nodeid)
            def pytest_runtest_teardown(self, item): note("late", teardown=item.name)
        request.config.pluginmanager.register(Late(), "late")
    def test_after_registered(request): pass
    def test_unregisters(request): request.config.pluginmanager.unregister(name="late")
    def test_last(): note("last", lean=is_lean())
"""

OPTIONS: list[list[str]] = [
    [],
    ["--tb=native"],
    ["--capture=sys"],
    ["-s"],
    ["-olog_level=INFO"],
    ["-Werror"],
    ["-oxfail_strict=true"],
    ["-p", "no:logging"],
]
#: With these, nothing is left out.
WHOLE_WITH = {"-olog_level=INFO", "no:logging"}
PLAIN = ["-n0"]
LEAN, WHOLE = (["-n1", "-o", f"procpar_lean_tests={setting}"] for setting in ("true", "false"))


def reports(finished: Finished) -> list[tuple[Any, ...]]:
    """All reports in their order, without what differs from run to run."""
    return [
        (note["nodeid"], plain_text(note["values"]), plain_text(note["longrepr"]))
        for note in finished.notes("full")
    ]


def plain_text(text: str) -> str:
    """A text without addresses and numbers of threads and files, and how pluggy goes through wrappers."""
    text = re.sub(r"0x[0-9a-f]+", "0x", text)
    text = re.sub(r"Thread-\d+", "Thread", text)
    text = re.sub(r"popen-gw\d+/", "", text)
    text = re.sub(r"FileIO name=\d+", "FileIO", text)
    # `--tb=native` shows frames as they are, and there may be one wrapper more.
    return re.sub(r'(?m)^.* File "\S+pluggy/_execution.py".*\n.*\n([ |]*[~^]+\n)?', "", text)


def facts(finished: Finished) -> list[dict[str, Any]]:
    """What the tests have noted, in order."""
    kinds = ("seen", "child", "handlers", "late")
    return [
        {name: value for name, value in record.items() if name not in ("pid", "worker")}
        for record in finished.records
        if record["kind"] in kinds
    ]


@pytest.mark.parametrize("options", OPTIONS, ids=" ".join)
def test_reports_and_surroundings_are_those_of_a_plain_run(suite: Suite, options: list[str]) -> None:
    suite.conftest(CONFTEST)
    suite.tests(SUITE)
    plain, lean, whole = (
        suite.run("-p", "no:cacheprovider", "-rA", *way, *options) for way in (PLAIN, LEAN, WHOLE)
    )
    assert len(plain.notes("full")) > 230
    is_lean = not WHOLE_WITH & {*options} and pytest.version_tuple >= (8, 4)
    assert lean.facts("lean", "lean") == lean.facts("last", "lean") == [is_lean]
    assert whole.facts("lean", "lean") == plain.facts("lean", "lean") == [False]
    assert reports(whole) == reports(plain)
    assert reports(lean) == reports(plain)
    assert facts(lean) == facts(whole)
    assert lean.summary == whole.summary
    if not {"-s", "--capture=sys"} & {*options}:  # there a test has taken the plain run's standard output
        assert lean.summary == plain.summary
    assert lean.ret == plain.ret


def test_a_failed_phase_began_when_it_did(suite: Suite) -> None:
    suite.conftest(CONFTEST)
    suite.tests(SUITE)
    finished = suite.run(*LEAN, "-k", "test_takes_time")
    (took,) = finished.notes("took")
    (call,) = (note for note in finished.notes("full") if "'call'" in note["values"])
    assert call["duration"] >= took["seconds"]
    assert call["stop"] >= call["start"]


INTERRUPTED = """
    import pytest
    from recorder import note

    def test_before(): pass
    def test_ends_the_run(): {end}
    def test_after(): pass
"""


@pytest.mark.parametrize("end", ["raise KeyboardInterrupt", "pytest.exit('enough')", "pytest.exit('x', 7)"])
def test_what_ends_the_session_ends_it(suite: Suite, end: str) -> None:
    suite.conftest(CONFTEST)
    suite.tests(INTERRUPTED.format(end=end))
    lean, whole = suite.run(*LEAN), suite.run(*WHOLE)
    assert reports(lean) == reports(whole)
    assert lean.ret == whole.ret
    assert lean.summary == whole.summary


LISTENERS = {
    "setup": "def pytest_runtest_setup(item): note('heard', hook='setup')",
    "call": "def pytest_runtest_call(item): note('heard', hook='call')",
    "teardown": "def pytest_runtest_teardown(item): note('heard', hook='teardown')",
    "makereport": "def pytest_runtest_makereport(item, call): note('heard', hook='makereport')",
    "logreport": "def pytest_runtest_logreport(report): note('heard', hook='logreport')",
    "logstart": "def pytest_runtest_logstart(nodeid): note('heard', hook='logstart')",
    "logfinish": "def pytest_runtest_logfinish(nodeid): note('heard', hook='logfinish')",
    "fixture_setup": "def pytest_fixture_setup(fixturedef): note('heard', hook='fixture')",
    "pyfunc_call": "def pytest_pyfunc_call(pyfuncitem): note('heard', hook='pyfunc')",
    "protocol": "def pytest_runtest_protocol(item): note('heard', hook='protocol')",
    "exception_interact": "def pytest_exception_interact(node): note('heard', hook='interact')",
}


@pytest.mark.parametrize("hook", LISTENERS)
def test_who_listens_hears_everything(suite: Suite, hook: str) -> None:
    suite.file("listening.py", f"from recorder import note\n{LISTENERS[hook]}")
    suite.tests("""
        import pytest

        @pytest.fixture
        def fixture(): pass
        def test(fixture): pass
        def test_fails(): assert 0
        def test_skips(): pytest.skip()
    """)
    # The controller hears of it when it comes to that, so only the order in each process counts.
    heard = [sorted(suite.run("-p", "listening", *way).facts("heard", "worker")) for way in (LEAN, WHOLE)]
    assert heard[0] == heard[1]
    assert "gw0" in heard[0] or hook in ("logreport", "logstart", "logfinish")  # heard where reports go
    assert heard[0]
