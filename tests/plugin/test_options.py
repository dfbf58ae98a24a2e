"""Options: how a parallel run is asked for, when it is none, and what is said of wrong values."""

from __future__ import annotations

import os

import pytest

from tests.conftest import Finished, Suite


def words(value: object) -> str | None:
    """A test's id from a command line."""
    return " ".join(value) if isinstance(value, list) else None


MODES = ["load", "worksteal", "loadscope", "loadfile", "loadgroup", "stable"]


def created(finished: Finished) -> int:
    """How many workers the run says it has made; 0 if it says nothing of workers."""
    lines = [line for line in finished.stdout.lines if line.startswith("created: ")]
    return int(lines[0].split("/")[1].split()[0]) if lines else 0


def workers(finished: Finished) -> set[str]:
    """Which workers have finished a session."""
    return set(finished.facts("sessionfinish", "worker")) - {"main"}


# --- how many workers -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "count"),
    [
        (["-n2"], 2),
        (["-n", "3"], 3),
        (["--numprocesses=2"], 2),
        (["-n1"], 1),
        (["-n3", "--maxprocesses=2"], 2),
        (["--tx", "popen"], 1),
        (["--tx=2*popen"], 2),
        (["--tx", "popen", "--tx", "popen"], 2),
        (["-d", "--tx", "2*popen"], 2),
        (["--dist=load", "--tx=popen", "--tx=2*popen"], 3),
    ],
    ids=words,
)
def test_workers_are_asked_for_in_many_ways(suite: Suite, args: list[str], count: int) -> None:
    suite.trivial(6)
    finished = suite.run(*args)
    finished.assert_summary(passed=6)
    assert created(finished) == count
    assert workers(finished) == {f"gw{i}" for i in range(count)}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pyproject.toml", '[tool.pytest.ini_options]\naddopts = "-n 2"\n'),
        ("tox.ini", "[pytest]\naddopts = -n2\n"),
        ("pytest.ini", "[pytest]\naddopts = -n 2 --dist loadfile\n"),
        ("setup.cfg", "[tool:pytest]\naddopts = --numprocesses 2\n"),
    ],
    ids=["pyproject.toml", "tox.ini", "pytest.ini", "setup.cfg"],
)
def test_workers_are_asked_for_in_a_configuration_file(suite: Suite, name: str, text: str) -> None:
    suite.trivial(4)
    suite.file(name, text)
    assert created(suite.run()) == 2


def test_workers_are_asked_for_in_the_environment(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    suite.trivial(4)
    monkeypatch.setenv("PYTEST_ADDOPTS", "-n2 --dist=worksteal")
    assert created(suite.run()) == 2


def test_the_command_line_overrides_the_configuration_file(suite: Suite) -> None:
    suite.trivial(4)
    suite.file("pytest.ini", "[pytest]\naddopts = -n 2\n")
    finished = suite.run("-n0")
    finished.assert_summary(passed=4)
    assert len(finished.notes("configure")) == 1


def test_no_more_workers_than_tests_are_made(suite: Suite) -> None:
    suite.trivial(2)
    finished = suite.run("-n8")
    finished.stdout.fnmatch_lines(["created: 2/2 workers", "2 workers [[]2 items[]]"])
    assert workers(finished) == {"gw0", "gw1"}


def test_one_test_is_singular(suite: Suite) -> None:
    suite.trivial(1)
    suite.run("-n2").stdout.fnmatch_lines(["created: 1/1 worker", "1 worker [[]1 item[]]"])


@pytest.mark.parametrize("word", ["auto", "logical"])
def test_auto_counts_what_this_process_may_use(suite: Suite, word: str) -> None:
    suite.trivial(4)
    one = min(os.sched_getaffinity(0))
    suite.conftest(f"""
        import os
        os.sched_setaffinity(0, [{one}])
    """)
    assert created(suite.run("-n", word)) == 1


def test_auto_takes_the_number_from_the_environment(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    suite.trivial(6)
    monkeypatch.setenv("PYTEST_XDIST_AUTO_NUM_WORKERS", "3")
    assert created(suite.run("-nauto")) == 3


def test_a_wrong_number_in_the_environment_is_a_warning_or_what_filters_make_of_it(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite.trivial(1)
    monkeypatch.setenv("PYTEST_XDIST_AUTO_NUM_WORKERS", "many")
    suite.run("-nauto").assert_summary(passed=1, warnings=1)
    finished = suite.run("-nauto", "-W", "error")
    assert finished.ret == pytest.ExitCode.USAGE_ERROR
    assert "ERROR: ignoring PYTEST_XDIST_AUTO_NUM_WORKERS='many': expected a whole number" in finished.err


def test_auto_asks_the_conftest(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    suite.trivial(6)
    monkeypatch.setenv("PYTEST_XDIST_AUTO_NUM_WORKERS", "4")
    suite.conftest("""
        def pytest_xdist_auto_num_workers(config):
            return 3 if config.option.numprocesses == "auto" else None
    """)
    assert created(suite.run("-nauto")) == 3
    assert created(suite.run("-nlogical")) == 4


def test_auto_is_bounded_by_maxprocesses(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    suite.trivial(6)
    monkeypatch.setenv("PYTEST_XDIST_AUTO_NUM_WORKERS", "5")
    assert created(suite.run("-nauto", "--maxprocesses=2")) == 2


# --- modes and other options ----------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_runs_every_test_once(suite: Suite, mode: str) -> None:
    suite.trivial(20)
    finished = suite.run("-n2", f"--dist={mode}")
    finished.assert_summary(passed=20)
    assert set(finished.ran) == set(range(20))
    assert set(finished.ran.values()) == {1}


def test_each_runs_every_test_in_every_worker(suite: Suite) -> None:
    suite.trivial(5)
    finished = suite.run("-n3", "--dist=each")
    finished.assert_summary(passed=15)
    ran = [(note["worker"], note["test"]) for note in finished.notes("ran")]
    assert sorted(ran) == [(f"gw{w}", i) for w in range(3) for i in range(5)]


def test_dist_no_with_workers_is_load(suite: Suite) -> None:
    suite.trivial(4)
    suite.run("-n2", "--dist=no", "-v").stdout.fnmatch_lines(["scheduling tests via LoadScheduling"])


@pytest.mark.parametrize("args", [["--dist=load"], ["-d"], ["--dist=no", "--maxprocesses=3"], ["-n0"]])
def test_without_workers_tests_run_in_this_process(suite: Suite, args: list[str]) -> None:
    suite.trivial(2)
    finished = suite.run(*args)
    finished.assert_summary(passed=2)
    assert len(finished.notes("configure")) == 1


def test_n0_wins_over_dist_and_tx(suite: Suite) -> None:
    suite.trivial(2)
    finished = suite.run("-n0", "--dist=each", "--tx=2*popen")
    finished.assert_summary(passed=2)
    assert len(finished.notes("configure")) == 1


def test_maxschedchunk_and_reorder_switches_are_accepted(suite: Suite) -> None:
    suite.trivial(10)
    suite.run("-n2", "--maxschedchunk=1").assert_summary(passed=10)
    suite.run("-n2", "--dist=loadfile", "--no-loadscope-reorder").assert_summary(passed=10)
    suite.run("-n2", "--dist=loadfile", "--loadscope-reorder").assert_summary(passed=10)


def test_testrunuid_is_what_was_given(suite: Suite) -> None:
    suite.tests("""
        import os
        import pytest

        @pytest.mark.parametrize("i", range(2))
        def test(i, testrun_uid):
            assert testrun_uid == os.environ["PYTEST_XDIST_TESTRUNUID"] == "this-one"
    """)
    suite.run("-n2", "--testrunuid=this-one").assert_summary(passed=2)


def test_loads_by_its_entry_point(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import entry_points

    if not any(point.name == "procpar" for point in entry_points(group="pytest11")):
        pytest.skip("the package is not installed")
    suite.trivial(3)
    monkeypatch.setenv("PYTEST_PLUGINS", "recorder")
    finished = suite.run("-n2", "-p", "procpar")
    finished.assert_summary(passed=3)
    assert created(finished) == 2


# --- where nothing is run -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "args",
    [
        ["--collect-only"],
        ["--fixtures"],
        ["--fixtures-per-test"],
        ["--markers"],
        ["--help"],
        ["--version"],
        ["--setup-plan"],
        ["--setup-only"],
        ["--cache-show"],
    ],
    ids=words,
)
def test_what_runs_no_tests_forks_nothing(suite: Suite, args: list[str]) -> None:
    suite.trivial(2)
    finished = suite.run("-n2", *args)
    assert finished.ret == 0
    # --help and --version configure nothing, or as much as they show
    assert len(finished.notes("configure")) <= 1
    assert created(finished) == 0


def test_the_help_explains_the_options(suite: Suite) -> None:
    help_text = suite.run("--help").out
    for option in (
        "--numprocesses",
        "--dist",
        "--maxprocesses",
        "--tx",
        "--testrunuid",
        "procpar_freeze_heap",
    ):
        assert option in help_text


@pytest.mark.parametrize("option", ["--pdb", "--trace"])
def test_a_debugger_does_not_go_with_a_number_of_workers(suite: Suite, option: str) -> None:
    suite.trivial(2)
    finished = suite.run("-n2", option)
    assert finished.ret == pytest.ExitCode.USAGE_ERROR
    assert f"{option} is incompatible with distributing tests" in finished.err


def test_options_of_plugins_that_are_not_there_are_explained_where_tests_run_in_parallel(
    suite: Suite,
) -> None:
    suite.trivial(1)
    options = ["--reruns=2", "--shard-id", "1", "--shard=1/2", "--frobnicate"]
    finished = suite.run("-n2", *options)
    assert finished.ret == pytest.ExitCode.USAGE_ERROR
    assert "unrecognized arguments: --reruns=2 --shard-id --shard=1/2 --frobnicate" in finished.err
    assert "  --reruns: an option of pytest-rerunfailures, which is not installed, or not" in finished.err
    assert "  --shard-id: an option of pytest-shard, which is not installed, or not" in finished.err
    assert "  --shard: no option of pytest" in finished.err
    assert "--frobnicate:" not in finished.err
    assert "pytest-shard" not in suite.run(*options).err
    # What a conftest adds is known.
    suite.conftest(
        "def pytest_addoption(parser): parser.addoption('--reruns'), parser.addoption('--shard-id')"
    )
    told = suite.run("-n2", *options[:3], "--frobnicate").err.partition("inifile")[0]
    assert "unrecognized arguments: --frobnicate" in told
    assert "pytest-" not in told
    suite.run("-n2", *options[:3]).assert_summary(passed=1)


def test_a_hang_timeout_without_workers_is_said_to_do_nothing(suite: Suite) -> None:
    suite.trivial(1)
    said = "procpar: --hang-timeout does nothing without workers"
    assert said in suite.run("--hang-timeout=9").out
    assert said in suite.run("--hang-timeout=9", "-n0").out
    assert said not in suite.run("--hang-timeout=9", "-n1").out


def test_a_path_after_bare_leaks_is_told_from_its_value(suite: Suite) -> None:
    suite.trivial(1)
    finished = suite.run("--leaks", "test_it.py")
    assert finished.ret == pytest.ExitCode.USAGE_ERROR
    assert "give report or fail; before a path, write --leaks=report test_it.py" in finished.err


def test_pdb_turns_auto_off(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    suite.trivial(2)
    monkeypatch.setenv("PYTEST_XDIST_AUTO_NUM_WORKERS", "2")
    finished = suite.run("-nauto", "--pdb")
    finished.assert_summary(passed=2)
    assert len(finished.notes("configure")) == 1


# --- wrong values ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (["-n", "banana"], ["-n", "'banana'", "'auto'", "'logical'", "from 0 up"]),
        (["-n", "-3"], ["-n", "'-3'", "from 0 up"]),
        (["-n", "1.5"], ["-n", "'1.5'", "from 0 up"]),
        (["-n2", "--dist", "random"], ["--dist", "'random'", "loadscope", "worksteal"]),
        (["--tx", "0*popen"], ["--tx", "'0*popen'", "4*popen"]),
        (["--tx", "x*popen"], ["--tx", "'x*popen'", "4*popen"]),
        (["--tx", "2*"], ["--tx", "'2*'", "4*popen"]),
        (["--tx", "ssh=somewhere"], ["--tx", "'ssh=somewhere'", "4*popen"]),
        (["-n2", "--maxprocesses", "0"], ["--maxprocesses", "'0'", "from 1 up"]),
        (["-n2", "--maxprocesses", "many"], ["--maxprocesses", "'many'", "from 1 up"]),
        (["-n2", "--maxschedchunk", "0"], ["--maxschedchunk", "'0'", "from 1 up"]),
        (["-n2", "--max-worker-restart", "x"], ["--max-worker-restart", "'x'", "from 0 up"]),
        (["-n2", "--max-worker-restart=-1"], ["--max-worker-restart", "'-1'", "from 0 up"]),
        (
            ["-n2", "-o", "procpar_freeze_heap=perhaps"],
            ["procpar_freeze_heap", "'perhaps'", "true or false"],
        ),
        (
            ["-n2", "-o", "procpar_limit_thread_pools=2"],
            ["procpar_limit_thread_pools", "'2'", "true or false"],
        ),
        (
            ["-n2", "-o", "procpar_compact_reports=perhaps"],
            ["procpar_compact_reports", "'perhaps'", "true or false"],
        ),
        (
            ["-n2", "-o", "procpar_lean_tests=perhaps"],
            ["procpar_lean_tests", "'perhaps'", "true or false"],
        ),
    ],
    ids=words,
)
def test_a_wrong_value_is_named_with_what_is_allowed(suite: Suite, args: list[str], named: list[str]) -> None:
    suite.trivial(2)
    finished = suite.run(*args)
    said = finished.out + finished.err
    assert finished.ret == pytest.ExitCode.USAGE_ERROR
    assert [word for word in named if word not in said] == []
    assert "Traceback" not in said
    assert not finished.notes("ran")


def test_a_hook_that_gives_a_wrong_number_is_named(suite: Suite) -> None:
    suite.trivial(2)
    suite.conftest("""
        def pytest_xdist_auto_num_workers(config):
            return "a few"
    """)
    finished = suite.run("-nauto")
    assert finished.ret == pytest.ExitCode.USAGE_ERROR
    assert "'a few'" in finished.err
    assert "Traceback" not in finished.err
