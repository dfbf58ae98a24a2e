"""How workers are started: all ways come to the same, and the usual one is left where it is unsafe."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from tests.conftest import Finished, Suite
from tests.plugin.rechecking import section

METHODS = ("fork", "fork-early", "spawn")
OTHERS = ("fork-early", "spawn")

each_method = pytest.mark.parametrize("method", METHODS)
each_other = pytest.mark.parametrize("method", OTHERS)

#: One test of every outcome.
OUTCOMES = """
    import os
    import pytest

    def test_passes(): pass
    def test_fails(): assert os.getpid() == 0
    @pytest.mark.skip
    def test_skipped(): pass
    @pytest.mark.xfail
    def test_xfails(): assert False
    @pytest.fixture
    def broken(): raise ValueError
    def test_errs(broken): pass
    @pytest.fixture
    def breaks():
        yield
        raise ValueError
    def test_ends_badly(breaks): print("it was here")
    @pytest.mark.parametrize("i", range(9))
    def test_many(i): assert i != 7
"""


def said_method(finished: Finished) -> str | None:
    """The start method that a run has said it uses, and why; None if it said nothing."""
    lines = [line for line in finished.stdout.lines if line.startswith("procpar: start method ")]
    assert len(lines) <= 1, lines
    return lines[0].removeprefix("procpar: start method ").partition(" (ini:")[0] if lines else None


def is_unusual(finished: Finished, method: str, *reasons: str) -> None:
    """A run has left the usual method for this one, for a reason that names all these."""
    said = said_method(finished)
    assert said is not None
    assert said.startswith(f"{method}, since ")
    for reason in reasons:
        assert reason in said


# --- all come to the same ----------------------------------------------------------------------------


@pytest.mark.python_dependent
@each_method
def test_outcomes_are_those_of_plain_pytest(suite: Suite, method: str) -> None:
    suite.tests(OUTCOMES)
    plain = suite.run("-p", "no:procpar")
    finished = suite.run("-n3", f"--start-method={method}")
    assert finished.outcomes == plain.outcomes
    assert finished.ret == plain.ret
    assert said_method(finished) is None


@pytest.mark.parametrize(
    ("method", "folder"), [*((method, "x" * 150) for method in METHODS), ("fork", "missing")]
)
@pytest.mark.python_dependent
def test_temporary_folder_is_of_no_account(
    suite: Suite, monkeypatch: pytest.MonkeyPatch, method: str, folder: str
) -> None:
    if folder != "missing":
        (suite.path / folder).mkdir()
    monkeypatch.setenv("TMPDIR", str(suite.path / folder))
    suite.tests("def test_passes(tmp_path): pass\ndef test_fails(tmp_path): assert 0")
    suite.give_basetemp = False
    finished = suite.run("-n2", f"--start-method={method}", "--recheck=failed")
    finished.assert_summary(passed=1, failed=1)
    assert finished.ret == pytest.ExitCode.TESTS_FAILED
    assert not finished.err
    left = list(suite.path.glob(f"{folder}/procpar-*"))
    assert left == []


@pytest.mark.python_dependent
@each_method
def test_identity_is_the_workers_own(suite: Suite, method: str) -> None:
    suite.conftest("""
        def pytest_configure_node(node):
            node.workerinput["gift"] = f"for {node.gateway.id}"
    """)
    suite.tests("""
        import os
        import pytest
        from recorder import note

        @pytest.mark.parametrize("i", range(12))
        def test(i, worker_id, testrun_uid, request, tmp_path_factory):
            given = request.config.workerinput
            assert given["workerid"] == worker_id == os.environ["PYTEST_XDIST_WORKER"]
            assert given["testrunuid"] == testrun_uid == os.environ["PYTEST_XDIST_TESTRUNUID"]
            assert given["workercount"] == int(os.environ["PYTEST_XDIST_WORKER_COUNT"]) == 3
            assert given["gift"] == f"for {worker_id}"
            assert tmp_path_factory.getbasetemp().name == f"popen-{worker_id}"
            assert request.config.option.numprocesses is None
            note("base", folder=str(tmp_path_factory.getbasetemp().parent))
    """)
    finished = suite.run("-n3", f"--start-method={method}", "--dist=each")
    finished.assert_summary(passed=36)
    assert set(finished.facts("base", "folder")) == {str(suite.path / "basetemp")}


@pytest.mark.python_dependent
@each_method
def test_crashed_worker_is_replaced(suite: Suite, method: str) -> None:
    suite.tests("""
        import os, signal
        import pytest
        from recorder import note

        @pytest.mark.parametrize("i", range(20))
        def test(i):
            note("ran", test=i)
            if i in (3, 11):
                os.kill(os.getpid(), signal.SIGSEGV)
    """)
    finished = suite.run("-n2", f"--start-method={method}")
    finished.assert_summary(passed=18, failed=2)
    assert finished.ran == dict.fromkeys(range(20), 1)
    assert "killed by SIGSEGV" in finished.out


@pytest.mark.python_dependent
@each_method
def test_every_worker_goes_through_one_whole_session(suite: Suite, method: str) -> None:
    suite.conftest("""
        import os
        from recorder import note

        def pytest_sessionfinish(session):
            note("finishing", is_worker=hasattr(session.config, "workerinput"))
        def pytest_unconfigure(config):
            note("unconfiguring", is_worker=hasattr(config, "workerinput"))
        def pytest_testnodedown(node, error):
            note("down", node=node.gateway.id, error=error, status=node.workeroutput["exitstatus"])
    """)
    suite.trivial(6)
    finished = suite.run("-n3", f"--start-method={method}")
    finished.assert_summary(passed=6)
    workers = [fact["worker"] for fact in finished.notes("finishing") if fact["is_worker"]]
    assert sorted(workers) == ["gw0", "gw1", "gw2"]
    downs = finished.notes("down")
    assert sorted(fact["node"] for fact in downs) == ["gw0", "gw1", "gw2"]
    assert all(fact["error"] is None and fact["status"] == 0 for fact in downs)
    ends = [fact["worker"] for fact in finished.notes("unconfiguring") if fact["is_worker"]]
    assert sorted(set(ends)) == ["gw0", "gw1", "gw2"]


@pytest.mark.python_dependent
@each_other
def test_more_workers_than_tests_all_finish(suite: Suite, method: str) -> None:
    suite.trivial(1)
    finished = suite.run("-n3", f"--start-method={method}")
    finished.assert_summary(passed=1)
    assert "3 workers [1 item]" in finished.out


@pytest.mark.python_dependent
@each_other
def test_no_tests_is_status_5(suite: Suite, method: str) -> None:
    suite.tests("")
    assert suite.run("-n2", f"--start-method={method}").ret == pytest.ExitCode.NO_TESTS_COLLECTED


@pytest.mark.python_dependent
@each_other
def test_a_failure_stops_the_run(suite: Suite, method: str) -> None:
    suite.tests("""
        import pytest
        from recorder import note

        @pytest.mark.parametrize("i", range(200))
        def test(i):
            note("ran", test=i)
            assert i != 1
    """)
    finished = suite.run("-n2", f"--start-method={method}", "-x")
    assert finished.ret == pytest.ExitCode.TESTS_FAILED or finished.ret == pytest.ExitCode.INTERRUPTED
    assert len(finished.ran) < 200
    assert "stopping after 1 failures" in finished.out


@pytest.mark.python_dependent
@each_other
def test_a_failure_is_rechecked(suite: Suite, method: str) -> None:
    suite.tests("""
        SEEN = []
        def test_polluter(): SEEN.append(1)
        def test_victim(): assert not SEEN
    """)
    finished = suite.run("-n1", f"--start-method={method}", "--recheck=failed")
    finished.assert_summary(passed=1, failed=1)
    assert "VICTIM test_it.py::test_victim" in finished.out
    assert "polluter: test_it.py::test_polluter" in finished.out


@pytest.mark.python_dependent
@each_other
def test_every_test_gets_a_process(suite: Suite, method: str) -> None:
    suite.tests("""
        import os
        import pytest
        from recorder import note

        @pytest.mark.parametrize("i", range(6))
        def test(i): note("process", id=os.getpid())
    """)
    finished = suite.run("-n2", f"--start-method={method}", "--isolate")
    finished.assert_summary(passed=6)
    assert len(set(finished.facts("process", "id"))) == 6


@pytest.mark.python_dependent
@each_method
def test_a_run_is_replayed(suite: Suite, method: str) -> None:
    suite.trivial(6)
    suite.run("-n2", "--procpar-report=run.json", "test_it.py::test[1]", "test_it.py::test[4]")
    finished = suite.run("-n2", f"--start-method={method}", "--replay=run.json")
    finished.assert_summary(passed=2, deselected=4)
    assert finished.ran == {1: 1, 4: 1}


@pytest.mark.python_dependent
@each_other
def test_ctrl_c_while_tests_run(suite: Suite, method: str) -> None:
    suite.make_barrier()
    suite.tests("""
        import pytest
        from recorder import block, reached

        @pytest.mark.parametrize("i", range(4))
        def test(i):
            reached()
            block()
    """)
    running = suite.start("-n2", f"--start-method={method}")
    suite.await_reached(2)
    running.signal(signal.SIGINT)
    finished = running.finish()
    assert finished.ret == pytest.ExitCode.INTERRUPTED
    assert "KeyboardInterrupt" in finished.out


@pytest.mark.python_dependent
@each_other
def test_ctrl_c_while_workers_collect(suite: Suite, method: str) -> None:
    suite.make_barrier()
    suite.conftest("""
        from recorder import note
        def pytest_sessionfinish(session):
            note("finishing")
    """)
    suite.tests("from recorder import block, reached\nreached()\nblock()\n")
    running = suite.start("-n2", f"--start-method={method}")
    suite.await_reached(2)
    running.signal(signal.SIGINT)
    finished = running.finish()
    assert finished.ret == pytest.ExitCode.INTERRUPTED
    assert {"gw0", "gw1"} <= set(finished.facts("finishing", "worker"))


@pytest.mark.python_dependent
@each_other
def test_ctrl_c_that_the_collection_swallows(suite: Suite, method: str) -> None:
    suite.make_barrier()
    suite.conftest("""
        from recorder import note
        def pytest_sessionfinish(session):
            note("finishing")
    """)
    suite.tests("""
        from recorder import block, note, reached
        try:
            reached()
            block()
        except KeyboardInterrupt:
            note("interrupted")
        def test(): note("ran", test=0)
    """)
    running = suite.start("-n2", f"--start-method={method}")
    suite.await_reached(2)
    running.signal(signal.SIGINT)
    finished = running.finish()
    assert finished.ret == pytest.ExitCode.INTERRUPTED
    assert sorted(finished.facts("interrupted", "worker")) == ["gw0", "gw1"]  # once each
    assert {"gw0", "gw1"} <= set(finished.facts("finishing", "worker"))
    assert not finished.ran


def test_ctrl_c_while_interpreters_start(suite: Suite) -> None:
    suite.make_barrier()
    suite.conftest("import os, recorder\nif 'PYTEST_XDIST_WORKER' in os.environ:\n"
                   "    recorder.reached()\n    recorder.block()")  # fmt: skip
    suite.trivial(1)
    running = suite.start("-n2", "--start-method=spawn")
    suite.await_reached(2)
    running.signal(signal.SIGINT)
    finished = running.finish()
    assert finished.ret == pytest.ExitCode.INTERRUPTED
    assert "Traceback" not in finished.out + finished.err


@pytest.mark.python_dependent
@each_other
def test_sigterm_while_workers_collect(suite: Suite, method: str) -> None:
    suite.make_barrier()
    suite.tests("from recorder import block, reached\nreached()\nblock()\n")
    running = suite.start("-n2", f"--start-method={method}")
    suite.await_reached(2)
    running.signal(signal.SIGTERM)
    finished = running.finish()
    assert finished.ret == pytest.ExitCode.INTERRUPTED
    assert "terminated by SIGTERM" in finished.out
    assert "Traceback" not in finished.out + finished.err


@pytest.mark.python_dependent
@each_other
@pytest.mark.parametrize(
    ("statement", "ret", "said"),
    [
        ("raise pytest.UsageError('no good')", pytest.ExitCode.USAGE_ERROR, "no good"),
        ("pytest.exit('bye', returncode=42)", 42, "Exit: bye"),
        ("raise ValueError('on purpose')", pytest.ExitCode.INTERNAL_ERROR, "ValueError: on purpose"),
    ],
)
@pytest.mark.python_dependent
def test_a_worker_that_cannot_be_configured_ends_the_run(
    suite: Suite, method: str, statement: str, ret: int, said: str
) -> None:
    suite.conftest(f"""
        import pytest
        from recorder import note
        def pytest_configure(config):
            if getattr(config, "workerinput", {{}}).get("workerid") == "gw1":
                {statement}
        def pytest_testnodedown(node):
            note("down", node=node.gateway.id, told=hasattr(node, "workeroutput"))
        def pytest_sessionfinish(session):
            note("finishing")
    """)
    suite.trivial(2)
    finished = suite.run("-n2", f"--start-method={method}")
    assert finished.ret == ret
    assert said in finished.out + finished.err
    assert not finished.ran
    told = [fact["node"] for fact in finished.notes("down") if fact["told"]]
    assert set(told) <= set(finished.facts("finishing", "worker")) - {"gw1"}


@pytest.mark.python_dependent
@each_other
def test_output_of_tests_is_seen_with_s(suite: Suite, method: str) -> None:
    suite.tests("""
        import sys
        def test_output():
            print("to standard output")
            print("to standard error", file=sys.stderr)
    """)
    finished = suite.run("-n1", "-s", f"--start-method={method}")
    assert "to standard output" in finished.out
    assert "to standard error" in finished.err


@pytest.mark.python_dependent
@each_other
def test_what_workers_say_of_the_collection_is_told_once(suite: Suite, method: str) -> None:
    suite.file(
        "test_bad.py", "import warnings\nwarnings.warn('beware')\nraise RuntimeError('broken on purpose')"
    )
    suite.file("test_warns.py", "import warnings\nwarnings.warn('beware', UserWarning)\ndef test(): pass")
    finished = suite.run("-n3", f"--start-method={method}", "--continue-on-collection-errors")
    finished.assert_summary(passed=1, errors=1, warnings=2)
    finished = suite.run("-n3", f"--start-method={method}")
    assert finished.ret == pytest.ExitCode.INTERRUPTED
    assert "1 error during collection" in finished.out


@pytest.mark.python_dependent
@each_other
def test_an_error_of_one_worker_only_is_no_less_an_error(suite: Suite, method: str) -> None:
    suite.file("test_fine.py", "def test(): pass")
    suite.file(
        "test_bad.py", "import os\nassert os.environ['PYTEST_XDIST_WORKER'] != 'gw1'\ndef test(): pass"
    )
    finished = suite.run("-n2", f"--start-method={method}")
    assert finished.ret in (pytest.ExitCode.INTERRUPTED, pytest.ExitCode.TESTS_FAILED)
    assert "test_bad.py" in finished.out
    assert "Different tests were collected between gw0 and gw1" in finished.out


@pytest.mark.python_dependent
@each_other
def test_different_collections_are_an_error_that_shows_the_difference(suite: Suite, method: str) -> None:
    suite.tests("""
        import os
        import pytest
        from recorder import note

        @pytest.mark.parametrize("who", [os.environ["PYTEST_XDIST_WORKER"]])
        def test(who): note("ran", test=who)
    """)
    finished = suite.run("-n2", f"--start-method={method}")
    assert finished.ret == pytest.ExitCode.INTERRUPTED
    for text in ("Different tests were collected", "-test_it.py::test[gw0]", "+test_it.py::test[gw1]"):
        assert text in finished.out
    assert not finished.ran


@pytest.mark.python_dependent
@each_other
def test_replacement_with_another_collection_ends_the_run(suite: Suite, method: str) -> None:
    suite.tests("""
        import os
        import pytest
        from recorder import note

        later = int(os.environ["PYTEST_XDIST_WORKER"][2:]) >= 1
        @pytest.mark.parametrize("i", range(5 if later else 4))
        def test(i):
            note("ran", test=i)
            if i == 1 and not later:
                os._exit(7)
    """)
    finished = suite.run("-n1", f"--start-method={method}")
    assert finished.ret == pytest.ExitCode.INTERNAL_ERROR
    assert "worker gw1 cannot be used" in finished.out
    assert set(finished.ran) <= {0, 1}


@pytest.mark.python_dependent
@each_other
def test_worker_that_dies_while_it_collects_ends_the_run(suite: Suite, method: str) -> None:
    suite.tests("import os\nif os.environ['PYTEST_XDIST_WORKER'] == 'gw1':\n    os.kill(os.getpid(), 9)")
    finished = suite.run("-n2", f"--start-method={method}")
    assert finished.ret == pytest.ExitCode.INTERNAL_ERROR
    assert (
        "worker gw1 died before it had collected: killed by SIGKILL (while it collected test_it.py)"
        in finished.out
    )


@pytest.mark.python_dependent
@each_other
def test_server_that_dies_while_workers_collect_ends_the_run(suite: Suite, method: str) -> None:
    suite.make_barrier()
    suite.tests(
        "from recorder import block, reached\nreached(open('/proc/self/stat').read().split()[3])\nblock()"
    )
    running = suite.start("-n2", f"--start-method={method}")
    (server,) = {int(said.split()[1]) for said in suite.await_reached(2)}
    os.kill(server, signal.SIGKILL)
    finished = running.finish()
    assert finished.ret == pytest.ExitCode.INTERNAL_ERROR
    assert "the fork server died: killed by SIGKILL" in finished.out


@pytest.mark.python_dependent
@each_other
def test_suspended_while_workers_collect(suite: Suite, method: str) -> None:
    suite.make_barrier()
    suite.tests("from recorder import block, reached\nreached()\nblock()")
    running = suite.start("-n2", f"--start-method={method}")
    workers = [int(said.split()[0]) for said in suite.await_reached(2)]
    running.signal(signal.SIGTSTP)
    os.waitpid(running.pid, os.WUNTRACED)
    are_stopped = _await_stop(workers)
    running.signal(signal.SIGCONT)
    running.signal(signal.SIGINT)
    assert running.finish().ret == pytest.ExitCode.INTERRUPTED
    assert are_stopped


def _await_stop(pids: list[int]) -> bool:
    """Wait until processes that have been told to stop have done so; whether they have."""
    for _ in range(100_000):
        if {_state(pid) for pid in pids} == {"T"}:
            return True
        os.sched_yield()
    return False


def _state(pid: int) -> str:
    """The kernel's letter for what a process does."""
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0]


@pytest.mark.python_dependent
@each_other
def test_wrong_argument_is_a_usage_error_once(suite: Suite, method: str) -> None:
    suite.trivial(1)
    finished = suite.run("-n2", f"--start-method={method}", "test_nowhere.py")
    assert finished.ret == pytest.ExitCode.USAGE_ERROR
    assert (finished.out + finished.err).count("file or directory not found: test_nowhere.py") == 1


# --- what is fresh, and what is not --------------------------------------------------------------------


@pytest.mark.python_dependent
def test_spawned_worker_is_a_fresh_interpreter_of_the_same_kind(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite.tests("""
        import os, sys
        def test_it():
            assert sys.flags.dont_write_bytecode
            assert "/nowhere/to/be/found" in sys.path
            assert sys.argv[1:] and "--start-method=spawn" in sys.argv
            assert os.environ["SET_BY"] == "the controller"
    """)
    suite.conftest("""
        import os, sys
        def pytest_configure(config):
            if not hasattr(config, "workerinput"):
                os.environ["SET_BY"] = "the controller"
    """)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["/nowhere/to/be/found", *sys.path]))
    finished = suite.run("-n1", "--start-method=spawn")
    finished.assert_summary(passed=1)


@each_other
@pytest.mark.python_dependent
def test_warnings_that_are_errors_are_none_of_ours(
    suite: Suite, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    # pytest looks for what it should rewrite among the plugins that it finds by itself.
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    monkeypatch.setenv("PYTEST_PLUGINS", "recorder")
    suite.trivial(2)
    suite.file("pytest.ini", "[pytest]\nfilterwarnings = error")
    suite.run("-n2", f"--start-method={method}").assert_summary(passed=2)


def test_every_method_sees_what_the_controller_configured(suite: Suite) -> None:
    suite.conftest("""
        import os
        def pytest_configure(config):
            if not hasattr(config, "workerinput"):
                os.environ["DATABASE"] = "started"
    """)
    suite.tests("import os\ndef test(): assert os.environ['DATABASE'] == 'started'")
    for method in METHODS:
        suite.run("-n1", f"--start-method={method}").assert_summary(passed=1)


# --- auto: the recipes that people have ------------------------------------------------------------------


@pytest.mark.python_dependent
def test_usual_suite_is_forked_once_collected(suite: Suite) -> None:
    suite.conftest("""
        import os
        from recorder import note
        def pytest_configure(config):
            note("configuring")
            copied = dict(os.environ), {**os.environ}, os.environ.copy(), list(os.environ.items())
            assert os.environ.get("HOME", 1) and "PYTEST_XDIST" not in os.environ
            is_worker = hasattr(config, "workerinput") and len(config.workerinput) > 2
    """)
    suite.trivial(4)
    finished = suite.run("-n2")
    finished.assert_summary(passed=4)
    assert said_method(finished) is None
    assert len(finished.notes("configuring")) == 2


@pytest.mark.python_dependent
@each_method
def test_tests_find_an_environment_and_a_workerinput_as_elsewhere(suite: Suite, method: str) -> None:
    suite.tests("""
        import copy, os, pickle
        def test(request):
            given = request.config.workerinput
            assert type(os.environ._data) is dict
            assert type(copy.deepcopy(given)) is type(pickle.loads(pickle.dumps(given))) is dict
            assert pickle.loads(pickle.dumps(given)) == given
    """)
    if method == "spawn":  # by auto, too
        suite.conftest("import os\nos.environ.get('PYTEST_XDIST_WORKER')")
    for option in (f"--start-method={method}", "--start-method=auto"):
        suite.run("-n1", option).assert_summary(passed=1)


def test_name_from_the_variable_in_a_conftest(suite: Suite) -> None:
    suite.conftest("""
        import os
        DATABASE = "test_" + os.environ.get("PYTEST_XDIST_WORKER", "main")
    """)
    suite.tests("""
        import pytest
        from conftest import DATABASE
        @pytest.mark.parametrize("i", range(6))
        def test(i, worker_id): assert DATABASE == f"test_{worker_id}"
    """)
    finished = suite.run("-n2")
    finished.assert_summary(passed=6)
    is_unusual(finished, "spawn", "conftest.py:2 reads PYTEST_XDIST_WORKER while it is imported")


def test_name_from_the_variable_in_settings_that_a_conftest_imports(suite: Suite) -> None:
    suite.file(
        "settings.py",
        'from os import environ\nNAME = "db_"\n'
        'if "PYTEST_XDIST_WORKER" in environ: NAME += environ["PYTEST_XDIST_WORKER"]',
    )
    suite.conftest("import settings")
    suite.tests("import settings\ndef test(worker_id): assert settings.NAME == f'db_{worker_id}'")
    finished = suite.run("-n2")
    finished.assert_summary(passed=1)
    is_unusual(finished, "spawn", "settings.py:3")


def test_name_from_the_variable_at_configure(suite: Suite) -> None:
    suite.conftest("""
        import os
        def pytest_configure(config):
            config.database = os.getenv("PYTEST_XDIST_WORKER")
    """)
    suite.tests("""
        import pytest
        @pytest.mark.parametrize("i", range(6))
        def test(i, worker_id, pytestconfig): assert pytestconfig.database == worker_id
    """)
    finished = suite.run("-n2")
    finished.assert_summary(passed=6)
    is_unusual(finished, "fork-early", "conftest.py:3 reads PYTEST_XDIST_WORKER")


@pytest.mark.parametrize("hook", ["pytest_configure(config)", "pytest_sessionstart(session)"])
def test_name_from_the_workerinput(suite: Suite, hook: str) -> None:
    suite.conftest(f"""
        def {hook}:
            c = locals().get("config") or session.config
            c.database = c.workerinput["workerid"] if hasattr(c, "workerinput") else "main"
    """)
    suite.tests("def test(worker_id, pytestconfig): assert pytestconfig.database == worker_id")
    finished = suite.run("-n2")
    finished.assert_summary(passed=1)
    is_unusual(finished, "fork-early", 'conftest.py:3 reads workerinput["workerid"]')


def test_port_from_the_worker_in_a_test_module(suite: Suite) -> None:
    suite.tests("""
        import os
        PORT = 5000 + int(os.environ["PYTEST_XDIST_WORKER"][2:])
        def test(worker_id): assert PORT == 5000 + int(worker_id[2:])
    """)
    finished = suite.run("-n2", "--dist=each")
    finished.assert_summary(passed=2)
    is_unusual(finished, "fork-early", "test_it.py:2")


def test_log_file_for_every_worker(suite: Suite) -> None:
    suite.conftest("""
        import logging, os
        def pytest_configure(config):
            worker = os.environ.get("PYTEST_XDIST_WORKER")
            if worker is not None:
                logging.basicConfig(filename=f"tests_{worker}.log", level="INFO", format="%(message)s")
    """)
    suite.tests("import logging\ndef test(worker_id): logging.getLogger().info('here is %s', worker_id)")
    suite.run("-n2", "--dist=each").assert_summary(passed=2)
    for worker in ("gw0", "gw1"):
        assert (suite.path / f"tests_{worker}.log").read_text() == f"here is {worker}\n"


def test_lock_and_name_in_fixtures_need_nothing(suite: Suite) -> None:
    suite.conftest("""
        import json, os, fcntl
        import pytest
        from recorder import note

        @pytest.fixture(scope="session")
        def data(tmp_path_factory, worker_id):
            folder = tmp_path_factory.getbasetemp().parent
            with open(folder / "lock", "w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                file = folder / "data.json"
                if not file.exists():
                    note("made")
                    file.write_text(json.dumps("data"))
                return json.loads(file.read_text()), os.environ["PYTEST_XDIST_WORKER"]
    """)
    suite.tests("def test(data, worker_id): assert data == ('data', worker_id)")
    finished = suite.run("-n3", "--dist=each")
    finished.assert_summary(passed=3)
    assert said_method(finished) is None
    assert len(finished.notes("made")) == 1


# --- auto: what does not survive a fork --------------------------------------------------------------------

THREAD = """
    import threading
    EVENT = threading.Event()
    THREAD = threading.Thread(target=EVENT.wait, name="pump", daemon=True)
    THREAD.start()
"""


@pytest.mark.python_dependent
def test_thread_of_a_conftest(suite: Suite) -> None:
    suite.conftest(THREAD)
    suite.tests("import conftest\ndef test(): assert conftest.THREAD.is_alive()")
    finished = suite.run("-n2")
    finished.assert_summary(passed=1)
    is_unusual(finished, "spawn", "thread 'pump' is running", "threading.py")


def test_thread_of_a_test_module(suite: Suite) -> None:
    suite.tests(THREAD + "\n    def test(): assert THREAD.is_alive()\n")
    finished = suite.run("-n2")
    finished.assert_summary(passed=1)
    is_unusual(finished, "fork-early", "thread 'pump' is running")


@pytest.mark.python_dependent
def test_socket_of_a_test_module(suite: Suite) -> None:
    suite.tests("""
        import os, socket
        from recorder import note
        SERVER = socket.create_server(("127.0.0.1", 0))
        def test(): note("port", number=SERVER.getsockname()[1])
    """)
    finished = suite.run("-n2", "--dist=each")
    finished.assert_summary(passed=2)
    assert len(set(finished.facts("port", "number"))) == 2
    is_unusual(finished, "fork-early", "a socket was opened: bound to ('127.0.0.1', ", "held by test_it.")


@pytest.mark.parametrize(("place", "method"), [("conftest.py", "spawn"), ("test_it.py", "fork-early")])
@pytest.mark.python_dependent
def test_cuda(suite: Suite, place: str, method: str) -> None:
    suite.file("torch.py", "class cuda:\n    @staticmethod\n    def is_initialized(): return True")
    suite.tests("def test(): pass")
    suite.file(place, "import torch\ndef test(): pass")
    finished = suite.run("-n2")
    is_unusual(finished, method, "CUDA was initialised")


@pytest.mark.parametrize("method", ["fork-early", "spawn"])
@pytest.mark.python_dependent
def test_known_plugin(suite: Suite, method: str) -> None:
    name = {"fork-early": "xvfb", "spawn": "ddtrace"}[method]
    suite.file("known.py", "def pytest_addoption(parser): parser.addoption('--ddtrace', action='store_true')")
    suite.conftest(f"""
        import known
        def pytest_addoption(parser, pluginmanager):
            pluginmanager.register(known, "{name}")
    """)
    suite.trivial(2)
    finished = suite.run("-n2", *(["--ddtrace"] if name == "ddtrace" else []))
    finished.assert_summary(passed=2)
    is_unusual(finished, method, name)


def test_the_session_that_was_begun_in_vain_is_finished(suite: Suite) -> None:
    suite.conftest("""
        from recorder import note
        def pytest_sessionstart(session):
            note("starting")
        def pytest_sessionfinish(session):
            note("finishing")
    """)
    suite.tests("import os\nos.environ.get('PYTEST_XDIST_WORKER')\ndef test(): pass")
    finished = suite.run("-n2")
    is_unusual(finished, "fork-early", "test_it.py:2")
    started, ended = (sorted(finished.facts(kind, "pid")) for kind in ("starting", "finishing"))
    assert started == ended
    assert len(started) == 4  # controller, two workers, and the one in vain


# --- what the project says ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "vouched"),
    [
        ("import os\nos.environ.get('PYTEST_XDIST_WORKER')", "test_it.py"),
        ("import os\nos.environ.get('PYTEST_XDIST_WORKER')", "test_*"),
        (
            "from threading import Event, Thread\n"
            "Thread(target=Event().wait, name='pump', daemon=True).start()",
            "pump",
        ),
        ("import socket\nS = socket.create_server(('127.0.0.1', 0))", "sockets"),
    ],
)
def test_project_vouches_for_what_is_safe(suite: Suite, text: str, vouched: str) -> None:
    suite.tests(text + "\ndef test(): pass")
    assert said_method(suite.run("-n2", "-o", "procpar_fork_safe=nothing")) is not None
    finished = suite.run("-n2", "-o", f"procpar_fork_safe=recorder.py\n{vouched}")
    finished.assert_summary(passed=1)
    assert said_method(finished) is None


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.python_dependent
def test_project_pins_a_method(suite: Suite, method: str) -> None:
    suite.conftest(
        "import os\nfrom recorder import note\nNAME = os.environ.get('PYTEST_XDIST_WORKER')\n"
        "def pytest_configure(): note('configuring')"
    )
    suite.trivial(4)
    suite.file("pytest.ini", f"[pytest]\nprocpar_start_method = {method}")
    finished = suite.run("-n2")
    finished.assert_summary(passed=4)
    assert said_method(finished) is None
    assert len(finished.notes("configuring")) == (2 if method == "fork" else 3)


def test_option_outweighs_the_projects_setting(suite: Suite) -> None:
    suite.conftest("from recorder import note\ndef pytest_configure(): note('configuring')")
    suite.trivial(2)
    suite.file("pytest.ini", "[pytest]\nprocpar_start_method = spawn")
    finished = suite.run("-n2", "--start-method=fork")
    finished.assert_summary(passed=2)
    assert len(finished.notes("configuring")) == 2


def test_wrong_method_is_a_usage_error(suite: Suite) -> None:
    suite.trivial(1)
    finished = suite.run("-n2", "--start-method=forkserver")
    assert finished.ret == pytest.ExitCode.USAGE_ERROR
    assert "--start-method" in finished.err
    assert "'forkserver'" in finished.err
    finished = suite.run("-n2", "-o", "procpar_start_method=forkserver")
    assert finished.ret == pytest.ExitCode.USAGE_ERROR
    assert (
        "procpar_start_method (ini option): invalid value 'forkserver': give one of auto, fork"
        in finished.err
    )


# --- configurations that are seldom met --------------------------------------------------------------


@pytest.mark.parametrize("option", ["--start-method=fork", "--start-method=spawn", "--isolate"])
@pytest.mark.python_dependent
def test_basetemp_that_cannot_be_made_is_an_error_of_who_wants_it(suite: Suite, option: str) -> None:
    suite.give_basetemp = False
    suite.tests("def test_wants_it(tmp_path): pass\ndef test_fine(): pass")
    where = f"--basetemp={suite.path / 'missing' / 'folder'}"
    plain = suite.run("-p", "no:procpar", where)
    finished = suite.run("-n2", option, where)
    assert finished.outcomes == plain.outcomes
    assert finished.ret == plain.ret == pytest.ExitCode.TESTS_FAILED
    assert not (suite.path / "missing").exists()


@pytest.mark.parametrize("is_given", [True, False], ids=["given", "usual"])
def test_what_fails_without_its_basetemp_does_so_when_it_is_run_again(
    suite: Suite, monkeypatch: pytest.MonkeyPatch, is_given: bool
) -> None:
    suite.give_basetemp = False
    suite.tests("def test_wants_it(tmp_path): pass\ndef test_fine(): pass")
    suite.file("occupied", "")
    monkeypatch.setenv("PYTEST_DEBUG_TEMPROOT", str(suite.path / "occupied"))
    base = [f"--basetemp={suite.path / 'missing' / 'folder'}"] if is_given else []
    finished = suite.run("-n2", "--recheck=failed", *base)
    assert section(finished) == ["fails on its own too: test_it.py::test_wants_it"]


#: pytest's own plugins that a run can do without.
BUILTIN = [
    "assertion",
    "cacheprovider",
    "capture",
    "debugging",
    "doctest",
    "faulthandler",
    "junitxml",
    "legacypath",
    "logging",
    "monkeypatch",
    "pastebin",
    "recwarn",
    "setuponly",
    "setupplan",
    "skipping",
    "stepwise",
    "subtests",
    "threadexception",
    "tmpdir",
    "unittest",
    "unraisableexception",
    "warnings",
]


@pytest.mark.parametrize(
    ("method", "blocked"), [("fork", BUILTIN), ("spawn", BUILTIN), ("fork-early", ["capture"])], ids=str
)
def test_builtin_plugins_can_be_blocked(suite: Suite, method: str, blocked: list[str]) -> None:
    suite.tests(OUTCOMES)
    suite.give_basetemp = False
    options = [word for name in blocked for word in ("-p", f"no:{name}")]
    plain = suite.run("-p", "no:procpar", *options)
    finished = suite.run("-n2", f"--start-method={method}", *options)
    assert finished.outcomes == plain.outcomes
    assert finished.ret == plain.ret == pytest.ExitCode.TESTS_FAILED


def test_blocked_plugin_that_carries_reports_is_a_usage_error(suite: Suite) -> None:
    suite.tests("def test(): pass")
    finished = suite.run("-n2", "-p", "no:reports")
    assert finished.ret == pytest.ExitCode.USAGE_ERROR
    assert "-p no:reports" in finished.err


# --- who has replaced what we need -------------------------------------------------------------------

#: What gevent and eventlet do before our processes are made: they replace, for good, what waits, here by what
#: refuses to, and what closes a descriptor, here by what never does for a socket.
REPLACED = """
    import os, select, stat, sys
    really_close, really_wait = os.close, os.waitpid
    def close_later(fd):
        if not stat.S_ISSOCK(os.fstat(fd).st_mode): really_close(fd)
    def refuse(*args, **kwargs):
        if sys._getframe(1).f_globals["__name__"] == "subprocess": return really_wait(*args)
        raise RuntimeError("this waits for greenlets")
    for name in ("fork", "wait", "wait4", "waitid", "waitpid", "posix_spawn"):
        setattr(os, name, refuse)
    os.close = close_later
    del select.poll
"""


@pytest.mark.python_dependent
@each_method
def test_functions_that_a_conftest_has_replaced_are_not_used(suite: Suite, method: str) -> None:
    suite.conftest(REPLACED)
    suite.tests("""
        import pytest
        @pytest.mark.parametrize("i", range(4))
        def test(i): assert i != 2
        @pytest.mark.isolated
        def test_alone(): pass
    """)
    finished = suite.run("-n2", f"--start-method={method}", "--recheck=failed")
    finished.assert_summary(passed=4, failed=1)
    assert finished.ret == pytest.ExitCode.TESTS_FAILED
    finished.stdout.fnmatch_lines(["fails on its own too: test_it.py::test?2?"])


REAPING = {
    "by a handler": """
        import os, signal
        def reap(*args):
            try:
                while os.waitpid(-1, os.WNOHANG)[0]: pass
            except ChildProcessError: pass
        signal.signal(signal.SIGCHLD, reap)
    """,
    "by the kernel": """
        import signal
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    """,
}


@pytest.mark.parametrize(
    ("option", "who"),
    [
        ("--start-method=fork", "by a handler"),
        ("--start-method=fork-early", "by the kernel"),
        ("--start-method=spawn", "by a handler"),
        ("--isolate", "by a handler"),
    ],
)
@pytest.mark.python_dependent
def test_children_that_others_wait_for_end_as_they_end(suite: Suite, option: str, who: str) -> None:
    suite.conftest(REAPING[who])
    suite.tests("""
        import os, signal, pytest
        from recorder import note
        HANDLER = signal.getsignal(signal.SIGCHLD)

        @pytest.mark.parametrize("i", range(3))
        def test(i):
            assert HANDLER is not signal.SIG_DFL and signal.getsignal(signal.SIGCHLD) == HANDLER
            if i == 1:
                os.kill(os.getpid(), signal.SIGSEGV)
    """)
    finished = suite.run("-n2", option, "--recheck=failed")
    finished.assert_summary(passed=2, failed=1)
    assert finished.ret == pytest.ExitCode.TESTS_FAILED
    finished.stdout.fnmatch_lines(["*killed by SIGSEGV*"])


# --- threads ------------------------------------------------------------------------------------------

WAITING_THREAD = """
    import threading

    begun = threading.Event()
    threading.Thread(target=begun.wait, name="waiter", daemon=True).start()
"""

since_python_warns = pytest.mark.skipif(sys.version_info < (3, 12), reason="Python does not warn there")


@since_python_warns
@pytest.mark.parametrize("where", ["conftest", "module"])
@pytest.mark.python_dependent
def test_a_pinned_fork_with_threads_warns_of_them(suite: Suite, where: str) -> None:
    suite.trivial(2)
    if where == "conftest":
        suite.conftest(WAITING_THREAD)
    else:
        suite.tests(WAITING_THREAD + "\n    def test(): pass\n")
    finished = suite.run("-n2", "--start-method=fork")
    assert finished.summary["warnings"] == 1
    assert "DeprecationWarning: This process (pid=" in finished.out
    assert "thread 'waiter' is running" in finished.out


@since_python_warns
def test_that_warning_is_an_error_of_the_run_if_it_is_to_be_one(suite: Suite) -> None:
    suite.tests(WAITING_THREAD + "\n    def test(): pass\n")
    finished = suite.run("-n2", "--start-method=fork", "-W", "error")
    finished.assert_summary(passed=1, errors=1)
    assert finished.ret == pytest.ExitCode.TESTS_FAILED
    assert "thread 'waiter' is running" in finished.out


@since_python_warns
@pytest.mark.parametrize("method", ["auto", "fork", "spawn"])
def test_what_is_vouched_for_warns_of_nothing(suite: Suite, method: str) -> None:
    suite.tests(WAITING_THREAD + "\n    def test(): pass\n")
    vouched = ["-o", "procpar_fork_safe=recorder.py\nwaiter"]
    finished = suite.run("-n2", f"--start-method={method}", "-W", "error", *vouched)
    finished.assert_summary(passed=1)
    assert "multi-threaded" not in finished.out + finished.err


@since_python_warns
@pytest.mark.python_dependent
def test_a_development_mode_says_no_more(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDEVMODE", "1")
    suite.tests(WAITING_THREAD + "\n    def test(): pass\n")
    finished = suite.run("-n2", "--start-method=fork")
    assert (finished.out + finished.err).count("is multi-threaded") == 1


@since_python_warns
@pytest.mark.python_dependent
def test_tests_that_fork_are_warned_as_ever(suite: Suite) -> None:
    suite.tests("""
        import os
        import threading

        def test():
            end = threading.Event()
            thread = threading.Thread(target=end.wait)
            thread.start()
            pid = os.fork()
            if pid == 0:
                os._exit(0)
            os.waitpid(pid, 0)
            end.set()
            thread.join()
    """)
    finished = suite.run("-n1")
    finished.assert_summary(passed=1, warnings=1)


# --- words --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quiet", ["-q", "-qq"])
def test_the_reason_is_told_however_quiet_the_run_is(suite: Suite, quiet: str) -> None:
    suite.conftest("import os\nos.environ.get('PYTEST_XDIST_WORKER')")
    suite.trivial(2)
    finished = suite.run("-n2", quiet)
    is_unusual(finished, "spawn", "conftest.py:2")
    assert finished.ret == 0


def test_a_run_that_only_collects_says_nothing_of_it(suite: Suite) -> None:
    suite.conftest("import os\nos.environ.get('PYTEST_XDIST_WORKER')")
    suite.trivial(2)
    plain, finished = suite.run("-q", "--collect-only"), suite.run("-q", "--collect-only", "-n2")
    assert finished.stdout.lines[:3] == plain.stdout.lines[:3]
    assert "procpar" not in finished.out
