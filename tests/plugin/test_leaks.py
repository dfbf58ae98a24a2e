"""``--leaks``: what a test leaves behind is reported with it, and nothing else is."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from textwrap import dedent, indent

import pytest

from tests.conftest import Finished, Suite

#: What suites here begin with. The pipe is never written to: who reads of it waits until the run ends.
HEAD = """
import os, signal, subprocess, sys, tempfile, threading, _thread
import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
READ, WRITE = os.pipe()
NULL = os.open("/dev/null", os.O_RDONLY)
pytestmark = pytest.mark.filterwarnings("ignore:.* use of fork:DeprecationWarning")

"""

Run = Callable[..., Finished]


@pytest.fixture(params=["plain", "workers"])
def run(request: pytest.FixtureRequest, suite: Suite, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Write a module of tests and run it, in one process or on two workers."""
    monkeypatch.setenv("TMPDIR", str(suite.path))

    def write_and_run(text: str, *args: str) -> Finished:
        path = suite.tests(text)
        path.write_text(HEAD + path.read_text())
        return suite.run(*(["-n2"] if request.param == "workers" else []), *(args or ["--leaks"]))

    return write_and_run


def leaks(finished: Finished) -> dict[str, list[str]]:
    """The leaks by the names of the tests."""
    found: dict[str, list[str]] = {}
    for report in finished.notes("report"):
        lines = [text for name, text in report["properties"] if name == "procpar_leak"]
        if report["when"] == "teardown" and lines:
            found[report["nodeid"].partition("::")[2]] = lines
    return found


def assert_leaks(finished: Finished, **expected: str) -> None:
    """These tests left one thing each behind, by patterns, and no other did."""
    found = leaks(finished)
    assert found.keys() == expected.keys()
    for name, pattern in expected.items():
        (line,) = found[name]
        assert re.fullmatch(pattern, line)


# --- what is found --------------------------------------------------------------------------------

DAEMON = """
    child = os.fork()
    if child == 0:
        os.setsid()
        if os.fork() == 0:
            os.dup2(READ, 0)
            os.execvp("cat", ["cat"])
        os._exit(0)
    os.waitpid(child, 0)
"""

ENDED = """
    process = subprocess.Popen(["cat"], stdin=subprocess.DEVNULL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    sys.keeps = process
"""

ENDED_AND_FORGOTTEN = """
    process = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    pid, stdin = process.pid, process.stdin
    del process
    stdin.close()
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
"""

ENDED_FORK = """
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
"""

OTHER_DESCRIPTOR = """
    zero = os.open("/dev/zero", os.O_RDONLY)
    os.dup2(zero, NULL)
    os.close(zero)
"""

STDIN = """
    zero = os.open("/dev/zero", os.O_RDONLY)
    os.dup2(zero, 0)
    os.close(zero)
"""

#: What a test does, and what is said of it, by the test's name.
KINDS = {
    "process": ("subprocess.Popen(['cat', '-u'], stdin=READ)", r"process \d+ \(cat -u\) still runs"),
    "daemon": (DAEMON, r"process \d+ \(cat\) still runs"),
    "ended_process": (ENDED, r"process \d+ \(.*\) has ended, but was not waited for"),
    "ended_and_forgotten_process": (
        ENDED_AND_FORGOTTEN,
        r"process \d+ \(.*\) has ended, but was not waited for",
    ),
    "ended_fork": (ENDED_FORK, r"process \d+ \(.*\) has ended, but was not waited for"),
    "thread": (
        "threading.Thread(target=os.read, args=(READ, 1), name='poller', daemon=True).start()",
        r"daemon thread 'poller' \(read\) still runs",
    ),
    "foreign_thread": (
        "_thread.start_new_thread(os.read, (READ, 1))",
        r"thread \d+ \(.+\), which Python does not know, still runs",
    ),
    "many_foreign_threads": (
        "for _ in range(9): _thread.start_new_thread(os.read, (READ, 1))",
        "9 threads that Python does not know still run",
    ),
    "descriptor": ("os.open('/dev/zero', os.O_RDONLY)", r"descriptor \d+ \(/dev/zero\) is still open"),
    "descriptor_in_anothers_place": (
        OTHER_DESCRIPTOR,
        r"descriptor \d+ leads to /dev/zero instead of /dev/null",
    ),
    "standard_input": (STDIN, "descriptor 0 leads to /dev/zero instead of /dev/null"),
    "directory": ("tempfile.mkdtemp(prefix='mine-')", "directory .*/mine-[^/]* is still there"),
    "directory_with_a_file": (
        "os.close(tempfile.mkstemp(dir=tempfile.mkdtemp(prefix='mine-'))[0])",
        "directory .*/mine-[^/]* is still there",
    ),
    "file": (
        "tempfile.NamedTemporaryFile(prefix='mine-', delete=False).close()",
        "file .*/mine-[^/]* is still there",
    ),
    "variable": ("os.environ['BLUE'] = 'x'", "environment variable BLUE was set to 'x'"),
    "changed_variable": (
        "os.environ['GREEN'] = 'x'",
        "environment variable GREEN was changed from '1' to 'x'",
    ),
    "removed_variable": ("del os.environ['RED']", "environment variable RED was removed, which was '1'"),
    "directory_to_work_in": ("os.chdir(f'{HERE}/some')", "working directory changed from /.+ to /.+/some"),
    "removed_directory_to_work_in": (
        "os.chdir(f'{HERE}/gone'); os.rmdir(f'{HERE}/gone')",
        "working directory changed from /.+ to one that is gone",
    ),
    "signal_handler": (
        "signal.signal(signal.SIGUSR1, signal.default_int_handler)",
        "handler of SIGUSR1 changed from SIG_DFL to .*default_int_handler",
    ),
    "path": ("sys.path.insert(0, '/nowhere')", "'/nowhere' was added to sys.path"),
    "removed_path": ("sys.path.remove(sys.path[-1])", "'.+' was removed from sys.path"),
    "order_of_path": ("sys.path.reverse()", "sys.path was put into another order"),
}


def test_what_is_left_is_reported(suite: Suite, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("some", "gone"):
        (suite.path / name).mkdir()
    for name in ("GREEN", "RED"):
        monkeypatch.setenv(name, "1")
    bodies = ((name, indent(dedent(code), "    ")) for name, (code, _) in KINDS.items())
    tests = (f"def test_{name}():\n{body}\n\ndef test_after_{name}(): pass\n" for name, body in bodies)
    finished = run("\n".join(tests))
    finished.assert_summary(passed=2 * len(KINDS))
    assert_leaks(finished, **{f"test_{name}": pattern for name, (_, pattern) in KINDS.items()})


def test_setup_call_and_teardown_are_looked_at(run: Run) -> None:
    finished = run("""
        @pytest.fixture
        def before():
            os.environ["BEFORE"] = "1"

        @pytest.fixture
        def after():
            yield
            os.environ["AFTER"] = "1"

        def test_setup(before):
            pass

        def test_call():
            os.environ["MEANWHILE"] = "1"

        def test_teardown(after):
            pass
    """)
    finished.assert_summary(passed=3)
    assert_leaks(
        finished,
        test_setup="environment variable BEFORE .*",
        test_call="environment variable MEANWHILE .*",
        test_teardown="environment variable AFTER .*",
    )


def test_leaks_of_tests_that_do_not_pass_are_reported(run: Run) -> None:
    finished = run("""
        @pytest.fixture
        def broken():
            os.environ["SETUP"] = "1"
            raise ValueError

        def test_error(broken):
            pass

        def test_failure():
            os.environ["CALL"] = "1"
            raise ValueError

        def test_skip():
            os.environ["SKIP"] = "1"
            pytest.skip()
    """)
    finished.assert_summary(errors=1, failed=1, skipped=1)
    assert_leaks(
        finished,
        test_error="environment variable SETUP .*",
        test_failure="environment variable CALL .*",
        test_skip="environment variable SKIP .*",
    )


def test_every_leak_is_blamed_on_the_test_that_made_it(run: Run) -> None:
    finished = run("""
        @pytest.mark.parametrize("i", range(4))
        def test(i):
            os.environ["FOO"] = str(i)
            os.environ[f"FOO{i}"] = "x"
    """)
    finished.assert_summary(passed=4)
    found = leaks(finished)
    assert all(f"environment variable FOO{i} was set to 'x'" in found[f"test[{i}]"] for i in range(4))
    assert {len(lines) for lines in found.values()} == {2}


def test_leaks_of_a_fixture_of_a_higher_scope_that_fails_are_its_first_tests(run: Run) -> None:
    finished = run("""
        @pytest.fixture(scope="module")
        def broken():
            os.environ["FOO"] = "1"
            raise ValueError

        @pytest.mark.xdist_group("same")
        def test_it(broken):
            pass
    """)
    assert_leaks(finished, test_it="environment variable FOO .*")


# --- what is no leak ------------------------------------------------------------------------------


def assert_clean(finished: Finished, passed: int) -> None:
    """All tests passed, and nothing was said of leaks."""
    finished.assert_summary(passed=passed)
    assert leaks(finished) == {}
    assert "leaks" not in finished.out
    assert finished.notes("warning") == []


def test_what_is_undone_is_no_leak(run: Run) -> None:
    finished = run("""
        import contextlib, multiprocessing, socket
        from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

        def test_nothing():
            pass

        def test_pytests_own_fixtures(tmp_path, capfd, caplog, monkeypatch, recwarn, tmp_path_factory):
            monkeypatch.setenv("FOO", "x")
            monkeypatch.chdir(tmp_path)
            monkeypatch.syspath_prepend(tmp_path)
            monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
            tmp_path_factory.mktemp("some")
            tempfile.mkdtemp()
            os.write(1, b"hello")
            with capfd.disabled():
                print("hello")

        def test_standard_output():
            os.dup2(NULL, 1)

        def test_capsys(capsys):
            print("hello")
            with capsys.disabled():
                print("hello")
            assert capsys.readouterr().out == "hello\\n"

        def test_processes():
            subprocess.run("exit 0", shell=True, check=True)
            with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
                process.communicate(b"x")

        def test_program_that_a_killed_shell_leaves_and_that_ends():
            shell = subprocess.Popen(
                "cat; cat", shell=True, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            shell.stdin.write(b"x")
            assert shell.stdout.read(1) == b"x"
            shell.kill()
            shell.wait()
            shell.stdin.close()
            assert shell.stdout.read() == b""
            shell.stdout.close()

        def test_pools():
            with ThreadPoolExecutor(2) as pool:
                assert list(pool.map(str, range(4)))
            with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
                assert list(pool.map(abs, range(4)))

        def test_pool_that_nobody_closes():
            pool = ThreadPoolExecutor(2)
            assert list(pool.map(str, range(4)))

        def test_what_multiprocessing_keeps():
            from multiprocessing import Value, resource_tracker, util

            Value("Q")
            resource_tracker.ensure_running()
            util.get_temp_dir()

        def test_threads():
            thread = threading.Thread(target=os.getpid)
            thread.start()
            thread.join()

        def test_files(tmp_path):
            with tempfile.TemporaryDirectory(), tempfile.NamedTemporaryFile(), tempfile.TemporaryFile():
                os.close(tempfile.mkstemp(dir=tmp_path)[0])
            ours, theirs = socket.socketpair()
            ours.close()
            theirs.close()

        def test_file_in_garbage():
            class Holder:
                pass
            holder = Holder()
            holder.itself, holder.file = holder, socket.socket()

        def test_signals():
            before = signal.signal(signal.SIGUSR1, lambda *_: None)
            signal.signal(signal.SIGUSR1, before)

        class TestSome:
            @pytest.fixture(autouse=True)
            def there_and_back(self):
                before = os.getcwd()
                os.chdir("/")
                yield
                os.chdir(before)

            def test_it(self):
                assert os.getcwd() == "/"
    """)
    assert_clean(finished, passed=14)


def test_what_is_about_to_end_is_no_leak(run: Run) -> None:
    finished = run("""
        def is_waited_for():
            frame = sys._current_frames()[threading.main_thread().ident]
            while frame is not None and frame.f_code.co_name != "await_end":
                frame = frame.f_back
            return frame is not None

        def end(what):
            while not is_waited_for():
                os.sched_yield()
            if what is not None:
                what.terminate()
                what.wait()

        def test_thread():
            threading.Thread(target=end, args=(None,), daemon=True).start()

        def test_process():
            process = subprocess.Popen(["cat"], stdin=READ)
            threading.Thread(target=end, args=(process,), daemon=True).start()

        def test_foreign_thread():
            _thread.start_new_thread(end, (None,))
    """)
    assert_clean(finished, passed=3)


def test_file_that_only_a_failed_tests_traceback_holds_is_no_leak(run: Run) -> None:
    finished = run("""
        def test_it():
            file = open(os.devnull)
            raise ValueError
    """)
    finished.assert_summary(failed=1)
    assert_leaks(finished)


HIGHER = """
    import unittest
    from pathlib import Path

    @pytest.fixture(scope="session")
    def process():
        process = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        yield process
        process.communicate()

    @pytest.fixture(scope="session")
    def thread():
        event = threading.Event()
        thread = threading.Thread(target=event.wait)
        thread.start()
        yield
        event.set()
        thread.join()

    @pytest.fixture(scope="package")
    def file():
        with open(os.devnull) as file, tempfile.TemporaryDirectory():
            yield

    @pytest.fixture(scope="module")
    def environment():
        before = dict(os.environ)
        os.environ["FOO"] = "x"
        del os.environ["COLUMNS"]
        yield
        os.environ.clear()
        os.environ.update(before)

    @pytest.fixture(scope="module", params=[1, 2, 3])
    def parameter(request):
        os.environ[f"FOO{request.param}"] = "x"
        yield
        del os.environ[f"FOO{request.param}"]

    @pytest.fixture(scope="class")
    def several():
        before = os.getcwd(), list(sys.path), signal.signal(signal.SIGUSR1, lambda *_: None)
        os.chdir("/")
        sys.path[:0] = ["/nowhere", "/elsewhere"]
        yield
        os.chdir(before[0])
        sys.path[:] = before[1]
        signal.signal(signal.SIGUSR1, before[2])

    @pytest.fixture
    def own(monkeypatch, environment):
        monkeypatch.setenv("FOO", "y")
        monkeypatch.syspath_prepend("/mine")

    class TestOne:
        def test_process(self, process):
            process.stdin.write(b"x")

        def test_thread(self, thread):
            pass

        def test_all(self, own, several, process, thread, file, environment, parameter):
            os.environ["MINE"] = "x"
            del os.environ["MINE"]

        def test_of_its_own(self, process, own):
            pass

    class TestTwo(unittest.TestCase):
        @classmethod
        def setUpClass(cls):
            os.environ["FOO"] = "z"

        @classmethod
        def tearDownClass(cls):
            del os.environ["FOO"]

        def test_it(self):
            pass

        def test_another(self):
            pass

    def setup_module():
        os.environ["MODULE"] = "x"

    def teardown_module():
        os.environ["MODULE"] = "a new value"

    def test_afterwards(request, tmp_path):
        request.getfixturevalue("several")

    def test_file(file):
        pass
"""


def test_what_fixtures_of_higher_scopes_keep_is_no_leak(run: Run) -> None:
    assert_clean(run(HIGHER), passed=10)


def test_what_fixtures_of_higher_scopes_keep_is_no_leak_under_random_dealing(suite: Suite, run: Run) -> None:
    suite.file("test_other.py", HEAD + dedent(HIGHER))
    assert_clean(run(HIGHER), passed=20)


def test_what_fixtures_of_higher_scopes_leave_is_blamed_on_no_test(run: Run) -> None:
    finished = run("""
        @pytest.fixture(scope="module")
        def careless():
            yield
            os.environ["FOO"] = "x"
            os.chdir("/")
            os.open(os.devnull, os.O_RDONLY)
            tempfile.mkdtemp()

        def test_it(careless):
            pass

        def test_another(careless):
            pass
    """)
    assert_clean(finished, passed=2)


def test_what_is_left_beside_a_fixture_of_a_higher_scope_is_reported(run: Run) -> None:
    finished = run("""
        @pytest.fixture(scope="module", autouse=True)
        def environment():
            before = dict(os.environ)
            os.environ["FOO"] = "x"
            yield
            os.environ.clear()
            os.environ.update(before)

        @pytest.mark.xdist_group("same")
        def test_it():
            del os.environ["FOO"]

        @pytest.mark.xdist_group("same")
        def test_another():
            os.environ["FOO"] = "y"

        @pytest.mark.xdist_group("same")
        def test_last():
            os.environ["FOO"] = "undone at once, with the module"
    """, "--leaks", "--dist=loadgroup")  # fmt: skip
    assert leaks(finished) == {
        "test_it": ["environment variable FOO was removed, which was 'x'"],
        "test_another": ["environment variable FOO was set to 'y'"],
    }


def test_package_that_sets_itself_up_is_no_leak(suite: Suite, run: Run) -> None:
    suite.file(
        "package/__init__.py",
        """
        import os

        def setup_module():
            os.environ["FOO"] = "x"

        def teardown_module():
            del os.environ["FOO"]
        """,
    )
    suite.file("package/test_it.py", "def test_it(tmp_path): pass\ndef test_another(): pass\n")
    assert_clean(run("def test_beside(): pass"), passed=3)


def test_what_plugins_put_back_is_no_leak(suite: Suite, run: Run) -> None:
    suite.conftest("""
        import os
        import pytest

        def pytest_runtest_setup(item):
            os.environ["FOO"] = "x"

        @pytest.hookimpl(trylast=True)
        def pytest_runtest_teardown(item):
            del os.environ["FOO"]
    """)
    suite.file(
        "folder/conftest.py",
        """
        import os
        import pytest

        def pytest_runtest_setup(item):
            os.environ["BAR"] = "x"

        @pytest.hookimpl(wrapper=True, tryfirst=True)
        def pytest_runtest_teardown(item):
            yield
            del os.environ["BAR"]
        """,
    )
    suite.file("folder/test_there.py", "def test_it(): pass\n")
    assert_clean(run("def test_here(): pass"), passed=2)


def test_handler_that_a_plugin_takes_away_is_no_leak(suite: Suite, run: Run) -> None:
    suite.file(
        "alarm.py",
        """
        import signal
        import pytest

        def handler(signum, frame):
            pass

        @pytest.hookimpl(wrapper=True)
        def pytest_runtest_protocol():
            signal.signal(signal.SIGALRM, handler)
            return (yield)

        def pytest_exception_interact():
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
        """,
    )
    finished = run("def test_it(): assert 0", "--leaks", "-p", "alarm")
    finished.assert_summary(failed=1)
    assert_leaks(finished)


def test_child_that_comes_back_into_the_runner_reports_nothing(run: Run) -> None:
    finished = run("""
        from recorder import note

        @pytest.fixture(autouse=True)
        def ended_child(request):
            me = os.getpid()
            request.addfinalizer(lambda: note("left", mine=os.getpid() == me))
            yield

        def test_it():
            child = os.fork()
            if child == 0:
                os.environ["FOO"] = "x"
                return
            os.waitpid(child, 0)
    """)
    assert sorted(finished.facts("left", "mine")) == [False, True]
    assert_leaks(finished)


def test_process_is_as_it_was_when_the_run_is_over(suite: Suite, run: Run) -> None:
    suite.conftest("""
        import pytest
        from pytest_procpar.system.descendants import set_subreaper
        from recorder import note

        @pytest.hookimpl(trylast=True)
        def pytest_unconfigure():
            note("subreaper", was=set_subreaper(False))
    """)
    finished = run("def test_it(): pass")
    assert [note["was"] for note in finished.notes("subreaper") if note["worker"] == "main"] == [False]


# --- how it is told -------------------------------------------------------------------------------

LEAKY = """
    def test_good():
        pass

    def test_bad():
        os.environ["FOO"] = "x"
        os.environ["BAR"] = "y"
"""


def test_without_the_option_nothing_is_looked_at(run: Run) -> None:
    finished = run(
        """
        def test_it():
            os.environ["FOO"] = "x"
            names = [name for name in sys.modules if name.startswith("pytest_procpar.")]
            ours = ".leaks", ".notes", ".resources", ".snapshots"
            assert not [name for name in names if name.endswith(ours)]
        """,
        "-v",
    )
    assert_clean(finished, passed=1)


def test_summary_lists_the_leaks_of_each_test(run: Run) -> None:
    finished = run(LEAKY)
    assert finished.ret == 0
    finished.stdout.fnmatch_lines(
        [
            "*= procpar: leaks =*",
            "test_it.py::test_bad",
            "  - environment variable BAR was set to 'y'",
            "  - environment variable FOO was set to 'x'",
            "*= 2 passed in *",
        ],
        consecutive=True,
    )


def test_failed_test_shows_its_leaks(run: Run) -> None:
    finished = run("""
        def test_it():
            os.environ["FOO"] = "x"
            assert 0
    """)
    finished.stdout.fnmatch_lines(
        ["E * assert 0", "*- Leaks teardown -*", "environment variable FOO was set to 'x'"]
    )


def test_leaks_stand_in_junit_xml(suite: Suite, run: Run) -> None:
    run(LEAKY, "--leaks", "--junitxml=out.xml")
    properties = ET.parse(suite.path / "out.xml").getroot().iter("property")
    assert [each.attrib for each in properties] == [
        {"name": "procpar_leak", "value": f"environment variable {text}"}
        for text in ("BAR was set to 'y'", "FOO was set to 'x'")
    ]


def test_test_that_leaks_fails_if_it_is_to(run: Run) -> None:
    finished = run(LEAKY, "--leaks=fail")
    assert finished.ret == 1
    finished.assert_summary(passed=2, errors=1)
    assert finished.outcomes["test_it.py::test_bad"] == ["setup passed", "call passed", "teardown failed"]
    finished.stdout.fnmatch_lines(
        [
            "*_ ERROR at teardown of test_bad _*",
            "the test leaves behind:",
            "  - environment variable BAR was set to 'y'",
            "  - environment variable FOO was set to 'x'",
            "*= procpar: leaks =*",
            "ERROR test_it.py::test_bad - Failed: the test leaves behind:",
        ]
    )
    assert "Leaks teardown" not in finished.out


def test_teardown_that_fails_by_itself_fails_by_that(run: Run) -> None:
    finished = run(
        """
        @pytest.fixture
        def broken():
            yield
            raise ValueError("not good")

        def test_it(broken):
            os.environ["FOO"] = "x"
        """,
        "--leaks=fail",
    )
    finished.assert_summary(passed=1, errors=1)
    finished.stdout.fnmatch_lines(
        ["E * ValueError: not good", "*- Leaks teardown -*", "environment variable FOO was set to 'x'"]
    )


@pytest.mark.parametrize("filtered", [[], ["-W", "error"]], ids=["", "errors"])
def test_check_that_fails_itself_is_a_warning_and_fails_no_test(run: Run, filtered: list[str]) -> None:
    finished = run(
        """
        @pytest.fixture(scope="module", autouse=True)
        def broken():
            before, sys.path = sys.path, 7
            yield
            sys.path = before

        @pytest.mark.xdist_group("same")
        @pytest.mark.parametrize("i", range(3))
        def test(i):
            pass
        """,
        "--leaks=fail",
        "--dist=loadgroup",
        *filtered,
    )
    said = "--leaks: leaks cannot be looked for: TypeError(\"'int' object is not iterable\")"
    finished.assert_summary(passed=3, **{"errors" if filtered else "warnings": 1})
    assert finished.facts("warning", "text") == ([] if filtered else [said])
    assert said in finished.out


def test_check_is_not_misled_by_what_a_test_mocks(run: Run) -> None:
    finished = run("""
        import time
        from unittest import mock

        def refuse(*args):
            raise AssertionError

        @pytest.fixture(scope="module", autouse=True)
        def patched():
            # Not what pytest itself needs meanwhile.
            names = "listdir", "readlink", "lstat", "waitid", "pidfd_open", "getsid"
            in_os = {name: refuse for name in names}
            in_time = {name: refuse for name in ("monotonic", "sleep")}
            with mock.patch.multiple(os, **in_os), mock.patch.multiple(time, **in_time):
                yield

        def test_it():
            threading.Thread(target=os.read, args=(READ, 1), name="it", daemon=True).start()
    """)
    assert_leaks(finished, test_it="daemon thread 'it' .*")
