"""Environment, folder, path and options of a worker: its own plugins and conftests have the last word."""

from __future__ import annotations

import os

import pytest

from tests.conftest import Suite

METHODS = ("fork", "fork-early", "spawn")

each_method = pytest.mark.parametrize("method", METHODS)

#: Tests that say what they find in the environment, "own" standing for the id of the process they run in.
SEEN = """
    import os
    import sys
    import tempfile
    import time
    import pytest
    from recorder import note

    @pytest.mark.parametrize("i", range(4))
    def test(i, request):
        own = str(os.getpid())
        seen = {
            name.removeprefix("SEEN_"): "own" if value == own else value
            for name, value in os.environ.items()
            if name.startswith("SEEN_")
        }
        note("seen", environ=seen, hour=time.localtime(0).tm_hour, argv=sys.argv, path=sys.path)
        note("folders", temp=tempfile.gettempdir(), now=os.getcwd(), own=own)
"""


@each_method
def test_no_module_of_ours_is_compiled_anew_at_each_start(
    suite: Suite, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    # pytest has byte code of its own for what it rewrites, and writes none then.
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    suite.tests("""
        import sys

        def test():
            ours = [name for name in sys.modules if name.startswith("pytest_procpar.")]
            rewritten = [n for n in ours if "Rewriting" in type(sys.modules[n].__loader__).__name__]
            assert len(ours) > 50
            assert rewritten in ([], ["pytest_procpar.plugin"])
    """)
    suite.run("-n2", f"--start-method={method}").assert_summary(passed=1)


# --- the environment ------------------------------------------------------------------------------


def test_what_the_conftests_of_a_fresh_worker_have_set_stays(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite.tests(SEEN)
    suite.file(
        "early.py",
        """
        import os
        import pytest

        os.environ["SEEN_plugin"] = str(os.getpid())

        @pytest.hookimpl(tryfirst=True)
        def pytest_load_initial_conftests():
            os.environ["SEEN_initial"] = str(os.getpid())
            os.environ.pop("SEEN_given", None)
        """,
    )
    suite.file("settings.py", "import os\nos.environ['SEEN_settings'] = str(os.getpid())")
    suite.file("named.py", "import os\nos.environ['SEEN_named'] = str(os.getpid())")
    suite.conftest("""
        import os
        import tempfile
        import time
        import settings

        pytest_plugins = ["named"]
        os.environ["SEEN_conftest"] = str(os.getpid())
        os.environ["SEEN_worker"] = os.environ.get("PYTEST_XDIST_WORKER", "main")
        os.environ.pop("SEEN_other", None)
        os.environ["TMPDIR"] = tempfile.tempdir = tempfile.mkdtemp(prefix=f"of-{os.getpid()}-", dir=".")

        def pytest_cmdline_main(config):
            os.environ["SEEN_cmdline"] = str(os.getpid())
    """)
    for name in ("SEEN_given", "SEEN_other"):
        monkeypatch.setenv(name, "there")
    finished = suite.run("-n2", "--start-method=spawn", "-p", "early")
    finished.assert_summary(passed=4)
    names = ("plugin", "initial", "settings", "named", "conftest", "cmdline")
    for seen in finished.notes("seen"):
        assert seen["environ"] == {**dict.fromkeys(names, "own"), "worker": seen["worker"]}
    for folders in finished.notes("folders"):
        assert f"of-{folders['own']}-" in folders["temp"]


def test_a_fresh_worker_may_hide_that_it_is_one(suite: Suite) -> None:
    suite.conftest("""
        import os
        os.environ.pop("PYTEST_XDIST_WORKER", None)
        os.environ["PYTEST_XDIST_WORKER_COUNT"] = "77"
    """)
    suite.tests("""
        import os

        def test(worker_id):
            assert "PYTEST_XDIST_WORKER" not in os.environ
            assert os.environ["PYTEST_XDIST_WORKER_COUNT"] == "77"
            assert worker_id.startswith("gw")
    """)
    suite.run("-n1", "--start-method=spawn").assert_summary(passed=1)


@each_method
def test_what_only_the_controllers_plugins_change_in_the_environment_arrives(
    suite: Suite, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite.tests(SEEN)
    suite.conftest("""
        import os
        import time

        def pytest_configure(config):
            if not hasattr(config, "workerinput"):
                os.environ["SEEN_configure"] = "set"
                os.environ["SEEN_changed"] = "changed"
                os.environ["TZ"] = "Etc/GMT-9"
                del os.environ["SEEN_deleted"]

        def pytest_sessionstart(session):
            if not hasattr(session.config, "workerinput"):
                os.environ["SEEN_sessionstart"] = "set"

        def pytest_configure_node(node):
            os.environ["SEEN_node"] = "set"
    """)
    for name in ("SEEN_changed", "SEEN_deleted", "SEEN_kept"):
        monkeypatch.setenv(name, "there")
    monkeypatch.setenv("TZ", "Etc/GMT-1")
    finished = suite.run("-n2", f"--start-method={method}")
    finished.assert_summary(passed=4)
    expected = {
        "configure": "set", "changed": "changed", "sessionstart": "set", "node": "set", "kept": "there",
    }  # fmt: skip
    assert finished.facts("seen", "environ") == [expected] * 4
    assert finished.facts("seen", "hour") == [9] * 4


@each_method
def test_a_worker_has_the_last_word_on_what_it_sets_when_it_starts(suite: Suite, method: str) -> None:
    suite.tests(SEEN)
    suite.conftest("""
        import os

        def pytest_cmdline_main(config):
            os.environ["SEEN_cmdline"] = str(os.getpid())

        def pytest_configure(config):
            os.environ["SEEN_configure"] = str(os.getpid())

        def pytest_sessionstart(session):
            os.environ["SEEN_start"] = str(os.getpid())

        def pytest_procpar_worker_forked(config, session):
            os.environ["SEEN_forked"] = str(os.getpid())
    """)
    finished = suite.run("-n2", f"--start-method={method}")
    names = ("forked",) if method == "fork" else ("cmdline", "configure", "start", "forked")
    for seen in finished.facts("seen", "environ"):
        assert {name: seen[name] for name in names} == dict.fromkeys(names, "own")


# --- arguments and path ---------------------------------------------------------------------------


@each_method
def test_arguments_and_path_are_those_of_a_plain_run(suite: Suite, method: str) -> None:
    suite.tests(SEEN)
    suite.file("lib/there.py", "")
    suite.conftest("""
        import os
        import sys

        sys.argv.append("appended")
        sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
        import there
    """)
    plain = suite.run("-p", "no:procpar")
    finished = suite.run("-n2", f"--start-method={method}")
    finished.assert_summary(passed=4)
    for path in finished.facts("seen", "path"):
        assert path == plain.facts("seen", "path")[0]
    for argv in finished.facts("seen", "argv"):
        assert argv.count("appended") == 1


# --- options --------------------------------------------------------------------------------------


@each_method
def test_options_that_a_plugin_sets_when_the_command_line_is_read_hold(suite: Suite, method: str) -> None:
    suite.trivial(6)
    suite.conftest("""
        import pytest

        def pytest_addoption(parser):
            parser.addoption("--mine", default="no")

        def pytest_cmdline_main(config):
            config.option.keyword = "3 or 4"
            config.option.mine = "yes"

        @pytest.fixture(autouse=True)
        def _check(request):
            assert request.config.option.mine == "yes"
            assert request.config.option.numprocesses is None
    """)
    plain = suite.run("-p", "no:procpar")
    finished = suite.run("-n2", f"--start-method={method}")
    assert finished.outcomes == plain.outcomes
    finished.assert_summary(passed=2, deselected=4)


@pytest.mark.parametrize(
    "position", ["", "@pytest.hookimpl(tryfirst=True)", "@pytest.hookimpl(trylast=True)"]
)
@each_method
def test_a_process_does_once_what_plugins_do_when_the_command_line_is_read(
    suite: Suite, method: str, position: str
) -> None:
    suite.trivial(2)
    suite.conftest(f"""
        import os
        import pytest
        from recorder import note

        {position or "# as it comes"}
        def pytest_cmdline_main(config):
            note("main", process=os.getpid())

        def pytest_configure(config):
            note("configured", process=os.getpid())
    """)
    finished = suite.run("-n2", f"--start-method={method}")
    finished.assert_summary(passed=2)
    mains = finished.facts("main", "process")
    assert len(mains) == len(set(mains))
    if "trylast" in position:  # pytest's own part has ended the matter
        assert mains == []
    elif not position or method == "spawn":
        assert set(mains) == set(finished.facts("configured", "process"))
    else:  # what comes before our own part is done when processes are forked
        assert len(mains) == 1


def test_a_plugin_around_the_session_is_around_that_of_a_fresh_worker(suite: Suite) -> None:
    suite.trivial(2)
    suite.conftest("""
        import pytest
        from recorder import note

        @pytest.hookimpl(wrapper=True)
        def pytest_cmdline_main(config):
            note("around", step="begin")
            try:
                return (yield)
            finally:
                note("around", step="end")
    """)
    finished = suite.run("-n2", "--start-method=spawn")
    finished.assert_summary(passed=2)
    around = [(note["worker"], note["step"]) for note in finished.notes("around")]
    for worker in ("main", "gw0", "gw1"):
        assert [step for who, step in around if who == worker] == ["begin", "end"]


@each_method
def test_what_plugins_cannot_do_when_the_command_line_is_read_is_told(suite: Suite, method: str) -> None:
    suite.trivial(2)
    suite.conftest("""
        import pytest

        def pytest_cmdline_main(config):
            if hasattr(config, "workerinput"):
                raise ValueError("not in a worker")
    """)
    finished = suite.run("-n1", f"--start-method={method}")
    assert finished.ret != 0
    assert "not in a worker" in finished.out


@pytest.mark.parametrize("method", ["fork-early", "spawn"])
def test_a_worker_that_chooses_its_temporary_folder_has_it(suite: Suite, method: str) -> None:
    suite.give_basetemp = False
    suite.conftest("""
        import os
        import pytest

        @pytest.hookimpl(tryfirst=True)
        def pytest_configure(config):
            given = getattr(config, "workerinput", {"workerid": "main"})
            config.option.basetemp = os.path.join(config.rootpath, "temp-" + given["workerid"])
    """)
    suite.tests("""
        import pytest

        @pytest.mark.parametrize("i", range(4))
        def test(i, tmp_path, worker_id, request):
            assert tmp_path.parent == request.config.rootpath / f"temp-{worker_id}"
    """)
    suite.run("-n2", f"--start-method={method}").assert_summary(passed=4)


# --- the folder -----------------------------------------------------------------------------------

#: Where plugins change the folder, and to which one.
MOVES = {
    "at import": "os.chdir('sub')",
    "when the command line is read": "def pytest_cmdline_main(config): os.chdir('sub')",
    "at configure": "def pytest_configure(config): os.chdir('sub')",
    "when the session starts": "def pytest_sessionstart(session): os.chdir('sub')",
    "in the controller at import": "'PYTEST_XDIST_WORKER' in os.environ or os.chdir('sub')",
    "in the controller": "def pytest_configure(config): hasattr(config, 'workerinput') or os.chdir('sub')",
}


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
@each_method
def test_the_folder_is_the_one_of_a_plain_run(suite: Suite, method: str, move: str) -> None:
    (suite.path / "sub").mkdir()
    suite.tests(SEEN)
    suite.conftest(f"import os\n{move}")
    plain = suite.run("-p", "no:procpar")
    finished = suite.run("-n2", f"--start-method={method}")
    finished.assert_summary(passed=4)
    (now,) = set(plain.facts("folders", "now"))
    assert now.endswith("/sub")
    assert set(finished.facts("folders", "now")) == {now}


@pytest.mark.parametrize(
    ("method", "where"), [("spawn", "import"), ("spawn", "configure"), ("fork-early", "configure")]
)
def test_a_worker_stays_in_the_folder_that_it_has_made_for_itself(
    suite: Suite, method: str, where: str
) -> None:
    suite.tests(SEEN)
    moves = """
        import os

        def move():
            os.mkdir(f"own-{os.getpid()}")
            os.chdir(f"own-{os.getpid()}")
    """
    then = "move()" if where == "import" else "def pytest_configure(config): move()"
    suite.file("moves.py", moves)
    suite.conftest(f"from moves import move\n{then}")
    finished = suite.run("-n2", f"--start-method={method}")
    finished.assert_summary(passed=4)
    for folders in finished.notes("folders"):
        assert folders["now"].endswith(f"/own-{folders['own']}")


@pytest.mark.skipif(not os.path.exists("/proc/net/unix"), reason="needs Linux")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_tests_find_no_unix_socket_of_ours(suite: Suite, method: str) -> None:
    suite.tests("""
        import os
        import pytest
        from pathlib import Path

        def unix_sockets_of_this_process():
            inodes = [line.split()[6] for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
            ours = {f"socket:[{inode}]" for inode in inodes}
            found = (os.path.realpath(path) for path in Path("/proc/self/fd").iterdir())
            return ours.intersection(path.split("/")[-1] for path in found)

        @pytest.mark.parametrize("i", range(4))
        def test_in_a_worker(i):
            assert not unix_sockets_of_this_process()

        @pytest.mark.isolated
        def test_in_a_process_of_its_own():
            assert not unix_sockets_of_this_process()
    """)
    suite.run("-n2", f"--start-method={method}", "--recheck=none").assert_summary(passed=5)


@pytest.mark.parametrize(
    "args", [("fork",), ("fork", "--isolate"), ("fork-early",), ("spawn",)], ids=lambda args: "".join(args)
)
@pytest.mark.parametrize("hook", ["pytest_addoption", "pytest_sessionstart"])
def test_handlers_of_signals_that_the_suite_has_set_hold(
    suite: Suite, hook: str, args: tuple[str, ...]
) -> None:
    suite.conftest(f"""
        import signal

        CAUGHT = []

        def catch(signum, frame):
            CAUGHT.append(signum)

        def {hook}():
            signal.signal(signal.SIGTERM, catch)
            signal.signal(signal.SIGINT, catch)
    """)
    suite.tests("""
        import os
        import signal
        import threading

        import pytest
        from conftest import CAUGHT

        @pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
        def test_is_caught(signum):
            os.kill(os.getpid(), signum)
            assert CAUGHT[-1] == signum

        def test_the_main_thread_knows_its_native_id():
            assert threading.main_thread().native_id == threading.get_native_id()
    """)
    method, *isolate = args
    suite.run("-n2", f"--start-method={method}", "--recheck=none", *isolate).assert_summary(passed=3)


@pytest.mark.parametrize("method", ["fork-early", "spawn"])
def test_signals_wake_what_a_worker_has_made_for_that(suite: Suite, method: str) -> None:
    suite.conftest("""
        import os
        import signal

        READER, WRITER = os.pipe()
        os.set_blocking(WRITER, False)

        def pytest_configure():
            signal.set_wakeup_fd(WRITER)
    """)
    suite.tests("""
        import os
        import signal
        from conftest import READER

        def test_wakes():
            signal.signal(signal.SIGUSR1, lambda signum, frame: None)
            os.kill(os.getpid(), signal.SIGUSR1)
            assert os.read(READER, 1) == bytes([signal.SIGUSR1])
    """)
    suite.run("-n1", f"--start-method={method}", "--recheck=none").assert_summary(passed=1)
