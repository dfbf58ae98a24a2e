"""Tests that are hard to run again: fixtures that stay alive, and tests that disturb their process.

Most sleep for longer than a check-point takes, so that their state is kept and forked from.
"""

from __future__ import annotations

import json

import pytest

from tests.conftest import Suite
from tests.plugin.rechecking import name, rechecked, section, told

VICTIM = {"test_victim": ("victim", ["test_polluter"])}


# --- fixtures ---------------------------------------------------------------------------------------


def test_fixtures_that_are_alive_at_a_checkpoint_are_set_up_once_and_torn_down(suite: Suite) -> None:
    suite.conftest("""
        import os
        import pytest
        from recorder import note

        @pytest.fixture(scope="session")
        def served(tmp_path_factory):
            folder = tmp_path_factory.mktemp("served")
            note("up", folder=str(folder))
            yield folder
            note("down", there=folder.exists())
    """)
    suite.tests("""
        import time
        import pytest
        STATE = []

        @pytest.fixture(scope="module")
        def module(served):
            yield served

        @pytest.mark.parametrize("i", range(6))
        def test(module, i, tmp_path):
            time.sleep(0.03)
            (module / str(i)).touch()
            (tmp_path / "file").touch()

        def test_polluter(module): STATE.append(1)

        @pytest.mark.parametrize("j", range(6))
        def test_more(module, j, tmp_path):
            time.sleep(0.03)
            assert not (tmp_path / "file").exists()

        def test_victim(module, capsys, monkeypatch, request, tmp_path):
            monkeypatch.setenv("SHOP", "open")
            print("x")
            assert capsys.readouterr().out == "x\\n"
            assert (module / "5").exists()
            (tmp_path / "file").touch()
            assert not STATE
    """)
    finished, findings = rechecked(suite, "-n1", "--recheck-budget=100")
    assert findings[0]["kind"] == "plain"  # alone, it does not find what the others have made
    ups, downs = finished.notes("up"), finished.notes("down")
    assert len(ups) == len(downs)
    assert all(note["there"] for note in downs)


@pytest.mark.parametrize("options", [[], ["--recheck-explain", "--recheck-cleaners"]], ids=["", "explain"])
def test_what_only_one_process_can_have_is_let_go_before_another_one_needs_it(
    suite: Suite, options: list[str]
) -> None:
    suite.conftest("""
        import os
        import pytest

        @pytest.fixture(scope="session", autouse=True)
        def port():
            os.mkdir("port")
            yield
            os.rmdir("port")
    """)
    suite.tests("""
        import time
        STATE = []
        def test_before(): time.sleep(0.05)
        def test_polluter():
            STATE.append(1)
            time.sleep(0.05)
        def test_between(): time.sleep(0.05)
        def test_victim(): assert not STATE
    """)
    _, findings = rechecked(suite, "-n1", "--recheck-budget=100", *options)
    assert told(findings) == VICTIM
    assert not findings[0]["collection_dependent"]
    assert not (suite.path / "port").exists()


def test_the_victim_of_a_fixture_that_a_polluter_breaks(suite: Suite) -> None:
    suite.tests("""
        import time
        import pytest

        @pytest.fixture(scope="session")
        def shop():
            time.sleep(0.05)
            return {"open": True}

        @pytest.fixture(scope="class")
        def till(shop):
            shop["till"] = 0
            yield shop
            del shop["till"]

        class TestTill:
            def test_a(self, till): time.sleep(0.03)
            def test_b(self, till): time.sleep(0.03)

        def test_polluter(shop):
            time.sleep(0.03)
            shop["open"] = False
        def test_between(shop): time.sleep(0.03)
        def test_victim(shop):
            assert "till" not in shop
            assert shop["open"]
    """)
    _, findings = rechecked(suite, "-n1", "--recheck-budget=100")
    assert told(findings) == VICTIM


def test_the_victim_of_a_teardown_that_fails(suite: Suite) -> None:
    suite.tests("""
        import time
        import pytest
        STATE = []

        @pytest.fixture(scope="module")
        def leaky():
            yield
            STATE.append(1)
            raise ValueError("in teardown")

        def test_polluter(leaky): time.sleep(0.03)
    """)
    suite.file(
        "test_victims.py",
        """
        import time
        from test_it import STATE
        def test_before(): time.sleep(0.03)
        def test_victim(): assert not STATE
        """,
    )
    _, findings = rechecked(suite, "-n1", "--recheck-budget=100")
    assert told(findings)["test_victim"] == ("victim", ["test_polluter"])


@pytest.mark.skipif(not hasattr(pytest, "Subtests"), reason="pytest 9 has subtests")
def test_a_victim_of_which_only_a_subtest_fails(suite: Suite) -> None:
    suite.tests("""
        STATE = []
        def test_polluter(): STATE.append(1)
        def test_victim(subtests):
            with subtests.test("first"):
                assert not STATE
            with subtests.test("second"):
                pass
    """)
    _, findings = rechecked(suite, "-n1")
    assert told(findings) == VICTIM
    assert [tried["outcome"] for tried in findings[0]["commands"]] == ["failed", "passed"]


@pytest.mark.skipif(not hasattr(pytest, "Subtests"), reason="pytest 9 has subtests")
def test_a_victim_after_a_test_of_which_a_subtest_fails(suite: Suite) -> None:
    suite.tests("""
        STATE = []
        def test_polluter(subtests):
            with subtests.test("first"):
                STATE.append(1)
                assert False
        def test_victim(): assert not STATE
    """)
    _, findings = rechecked(suite, "-n1")
    assert told(findings) == VICTIM


def test_strictly_expected_failures_are_no_failures_until_a_polluter_lets_them_pass(suite: Suite) -> None:
    suite.tests("""
        import pytest
        STATE = []
        def test_polluter(): STATE.append(1)
        @pytest.mark.xfail(strict=True)
        def test_victim(): assert STATE
    """)
    _, findings = rechecked(suite, "-n1")
    assert told(findings) == VICTIM
    assert findings[0]["message"] == "[XPASS(strict)]"


def test_a_skipped_test_is_neither_brittle_nor_a_setter(suite: Suite) -> None:
    suite.tests("""
        import pytest
        STATE = []
        def test_setter(): STATE.append(1)
        def test_skips():
            if not STATE:
                pytest.skip("nothing to do")
        def test_brittle():
            assert STATE
    """)
    _, findings = rechecked(suite, "-n1", "--recheck=all")
    assert told(findings) == {"test_brittle": ("brittle", ["test_setter"])}


def test_doctests_and_methods_are_run_again_like_functions(suite: Suite) -> None:
    suite.file(
        "lib.py",
        '''
        STATE = []
        def pollute():
            """
            >>> STATE.append(1)
            """
        def suffer():
            """
            >>> STATE
            []
            """
        ''',
    )
    suite.file("pytest.ini", "[pytest]\naddopts = --doctest-modules")
    suite.tests("""
        import lib
        class TestIt:
            def setup_method(self): self.number = 1
            def test_victim(self): assert self.number == 1 and not lib.STATE
    """)
    _, findings = rechecked(suite, "-n1")
    assert told(findings) == {
        "lib.suffer": ("victim", ["lib.pollute"]),
        "TestIt::test_victim": ("victim", ["lib.pollute"]),
    }


# --- ill-behaved polluters --------------------------------------------------------------------------

DEEDS = [
    "os.closerange(3, 200)",
    "os.chdir(tmp_path); os.rmdir(tmp_path)",
    "os.environ.clear()",
    "os.fork = os.kill = os.waitpid = os.setpgid = os.killpg = os._exit = None",
    "time.monotonic = time.time = time.sleep = time.perf_counter = None",
    "socket.socket = socket.socketpair = socket.fromfd = select.select = select.poll = None",
    "sys.stdout = sys.stderr = None",
    "sys.modules.pop('os'); sys.path.clear()",
    "threading.Thread(target=threading.Event().wait).start()",
    "os.fork()",
    "signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.signal(signal.SIGCHLD, signal.SIG_IGN)",
    "signal.setitimer(signal.ITIMER_REAL, 1000); signal.alarm(1000)",
    "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 30))",
    "os.setsid()",
    "os.setpgid(0, os.getppid()) if os.getpgid(os.getppid()) == os.getppid() else None",
    "gc.disable(); sys.setrecursionlimit(200)",
    "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))",
    "logging.disable(); warnings.simplefilter('error')",
    "builtins.open = None",
    "subprocess.Popen(['sh', '-c', 'trap \"\" TERM; sleep 1000'])",
    "json.dumps = json.loads = pickle.dumps = pickle.loads = None",
]


@pytest.mark.parametrize("deed", DEEDS)
def test_a_polluter_that_disturbs_its_process_is_found(suite: Suite, deed: str) -> None:
    suite.tests(f"""
        import atexit, builtins, gc, json, logging, os, pickle, resource, select, signal, socket, subprocess
        import sys, threading, time, warnings
        sleep = time.sleep
        STATE = []
        def test_before(): sleep(0.03)
        def test_polluter(tmp_path):
            STATE.append(1)
            sleep(0.03)
            {deed}
        def test_between(): sleep(0.03)
        def test_victim(): assert not STATE
    """)
    finished, findings = rechecked(suite, "-n1", "-p", "no:recorder", "--recheck-budget=200")
    assert ("victim", ["test_polluter"]) in told(findings).values()
    assert finished.seconds < 150, "it waited for a process to the end of the budget"


@pytest.mark.parametrize(
    ("deed", "fine"),
    [
        ("signal.signal(signal.SIGTERM, print)", "signal.getsignal(signal.SIGTERM) is signal.SIG_DFL"),
        ("signal.signal(signal.SIGINT, print)", "signal.getsignal(signal.SIGINT) is not print"),
        ("os.umask(0o777)", "os.umask(0) != 0o777"),
        ("os.chdir('/')", "os.getcwd() != '/'"),
        ("os.environ['SHOP'] = 'open'", "'SHOP' not in os.environ"),
        ("for _ in range(99): atexit.register(int)", "atexit._ncallbacks() < COUNT + 50"),
        ("os.dup2(0, 50)", "not os.path.exists('/proc/self/fd/50')"),
        ("random.seed(7)", "random.random() != random.Random(7).random()"),
        ("sys.stdin = None", "sys.stdin is not None"),
        ("socket.setdefaulttimeout(7)", "socket.getdefaulttimeout() is None"),
        ("os.setsid = print", "os.setsid is not print"),
    ],
)
def test_state_of_the_process_is_kept_by_a_checkpoint(suite: Suite, deed: str, fine: str) -> None:
    suite.tests(f"""
        import atexit, os, random, signal, socket, sys, time
        COUNT = atexit._ncallbacks()
        def test_before(): time.sleep(0.03)
        def test_polluter():
            {deed}
            time.sleep(0.03)
        def test_between(): time.sleep(0.03)
        def test_victim(): assert {fine}
    """)
    _, findings = rechecked(suite, "-n1", "--recheck-budget=60")
    assert told(findings) == VICTIM


def test_a_predecessor_that_crashes_alone_is_no_obstacle(suite: Suite) -> None:
    suite.tests("""
        import os
        STATE = []
        def test_setter(): STATE.append(1)
        def test_crash(): os.abort()
        def test_brittle(): assert STATE
    """)
    finished, findings = rechecked(suite, "-n1", "--recheck=all")
    assert told(findings)["test_brittle"] == ("brittle", ["test_setter"])
    assert "crashes on its own too: test_it.py::test_crash" in section(finished)


def test_what_hangs_alone_is_said_to(suite: Suite) -> None:
    suite.make_barrier()
    suite.tests("""
        from recorder import block
        def test_before(): pass
        def test_hangs(): block()
    """)
    finished, findings = rechecked(suite, "-n1", "--hang-timeout=0.5", "--recheck-budget=200")
    assert told(findings) == {}
    assert section(finished) == ["hangs on its own too: test_it.py::test_hangs"]


def test_tests_that_end_their_process_are_reported_by_what_they_do_alone(suite: Suite) -> None:
    suite.tests("""
        import os
        STATE = []
        def test_polluter(): STATE.append(1)
        def test_victim():
            if STATE:
                os._exit(3)
        def test_next(): assert False
    """)
    _, findings = rechecked(suite, "-n1")
    assert told(findings) == {"test_victim": ("contaminated-crash", ["test_polluter"])}
    assert {finding["kind"] for finding in findings} == {"contaminated-crash", "plain"}
    report = json.loads((suite.path / "report.json").read_text())
    assert report["summary"]["crashed"] == 1


def test_a_test_that_fails_by_a_file_that_tests_have_left_is_told_with_the_file(suite: Suite) -> None:
    suite.tests("""
        import sqlite3
        def rows():
            with sqlite3.connect("shared.db") as database:
                database.execute("create table if not exists t (x)")
                return database.execute("select count(*) from t").fetchone()[0]
        def test_insert():
            rows()
            with sqlite3.connect("shared.db") as database:
                database.execute("insert into t values (1)")
        def test_empty(): assert rows() == 0
        def test_fails(): assert rows() < 0
    """)
    finished, findings = rechecked(suite, "-n1")
    finished.assert_summary(passed=1, failed=2)
    kinds = {name(finding["test"]): finding["kind"] for finding in findings}
    assert kinds == {"test_empty": "file-dependent", "test_fails": "plain"}
    assert f"    file: {suite.path.resolve() / 'shared.db'}" in section(finished)
    assert (suite.path / "shared.db").exists()
