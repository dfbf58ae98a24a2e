"""The history of durations, end to end: which runs are recorded, where, and the tool."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Suite

CACHED = ".pytest_cache/v/procpar/durations"
#: A suite with a fixture of a module that takes long enough to be seen on any machine.
TESTS = """
    import time
    import pytest

    @pytest.fixture(scope="module")
    def database():
        began = time.perf_counter()
        while time.perf_counter() - began < 0.2:
            pass

    @pytest.mark.parametrize("i", range(6))
    def test(database, i): pass

    class TestSome:
        def test_fails(self): assert 0
        @pytest.mark.skip
        def test_is_skipped(self): pass
        @pytest.mark.xfail
        def test_fails_as_expected(self): assert 0
"""


def read(suite: Suite, path: str = CACHED) -> dict[str, Any]:
    data = json.loads((suite.path / path).read_bytes())
    assert isinstance(data, dict)
    return data


def rows(suite: Suite, path: str = CACHED, file: str = "test_it.py") -> dict[str, list[int]]:
    found: dict[str, list[int]] = read(suite, path)["tests"][file]
    return found


def times_of(suite: Suite, name: str) -> int:
    """Of how many runs a test has times; 0: it was skipped."""
    return len(rows(suite)[name]) // 4


def test_runs_with_workers_are_recorded(suite: Suite) -> None:
    suite.tests(TESTS)
    for count in (1, 2, 3, 4):
        finished = suite.run("-n2")
        finished.assert_summary(passed=6, failed=1, skipped=1, xfailed=1)
        assert len(read(suite)["runs"]) == count
        assert times_of(suite, "test[0]") == min(count, 3)
    assert set(rows(suite)) == {
        *(f"test[{i}]" for i in range(6)),
        "TestSome::test_fails", "TestSome::test_is_skipped", "TestSome::test_fails_as_expected",
    }  # fmt: skip
    assert times_of(suite, "TestSome::test_is_skipped") == 0
    assert times_of(suite, "TestSome::test_fails_as_expected") == 3
    _, setup, _ = read(suite)["settings"]["test_it.py"][:3]
    assert setup > 150_000, "in microseconds"
    assert all(row[1] < 150_000 for row in rows(suite).values() if len(row) > 1), "no test pays for it"
    assert "history of durations" not in finished.out


def test_a_plain_run_is_recorded_if_it_is_asked_for(suite: Suite) -> None:
    suite.tests(TESTS)
    suite.run("-n0")
    suite.run()
    assert not (suite.path / CACHED).exists()
    suite.run("--procpar-history=record").assert_summary(passed=6, failed=1, skipped=1, xfailed=1)
    plain = rows(suite)
    assert read(suite)["settings"]["test_it.py"][1] > 150_000
    (suite.path / CACHED).unlink()
    suite.run("-n2", "--procpar-history=record")
    assert {name: len(row) for name, row in rows(suite).items()} == {
        name: len(row) for name, row in plain.items()
    }


def test_a_later_run_knows_what_to_expect(suite: Suite) -> None:
    suite.tests(TESTS)
    suite.run("-n2")
    suite.conftest("""
        import os
        from recorder import note

        def pytest_sessionstart(session):
            from pytest_procpar.history.keeper import forecast

            known = forecast(session.config)
            if known is not None:
                wanted = ["test_it.py::test[0]", "test_it.py::test[9]", "test_new.py::test"]
                note("expected", durations=known.durations(wanted), settings=dict(known.settings()))
    """)
    (expected,) = suite.run("-n2", "test_it.py::test").notes("expected")
    assert all(0.0 <= seconds < 0.15 for seconds in expected["durations"])
    assert expected["settings"]["test_it.py"] > 0.15


def test_what_crashed_or_was_probed_is_not_recorded(suite: Suite) -> None:
    suite.tests("""
        import os, pytest

        @pytest.mark.parametrize("i", range(4))
        def test(i): pass
        def test_crashes(): os._exit(1)
        def test_fails(): assert 0
    """)
    finished = suite.run("-n2", "--recheck=failed")
    finished.assert_summary(passed=4, failed=2)
    assert "re-check" in finished.out
    assert {name: len(row) for name, row in rows(suite).items()} == {
        **{f"test[{i}]": 4 for i in range(4)}, "test_fails": 4,
    }  # fmt: skip
    assert [run[2] for run in read(suite)["runs"].values()] == [5]


@pytest.mark.parametrize("how", [["--isolate"], ["-n2", "--max-tests-per-worker=2"], ["-n2", "--dist=each"]])
def test_tests_with_processes_of_their_own_and_copies_are_recorded(suite: Suite, how: list[str]) -> None:
    suite.trivial(5)
    suite.run(*how)
    assert {name: len(row) for name, row in rows(suite).items()} == {f"test[{i}]": 4 for i in range(5)}


def test_a_run_that_stops_after_a_failure_records_what_ended(suite: Suite) -> None:
    suite.tests("""
        def test_a(): pass
        def test_b(): assert 0
        def test_c(): pass
    """)
    suite.run("-n1", "-x").assert_summary(passed=1, failed=1)
    assert set(rows(suite)) == {"test_a", "test_b"}


def test_an_interrupted_run_records_what_ended(suite: Suite) -> None:
    suite.make_barrier()
    suite.tests("""
        from recorder import block, reached

        def test_a(): pass
        def test_b():
            reached("b")
            block()
    """)
    running = suite.start("-n1")
    suite.await_reached()
    running.signal(signal.SIGINT)
    assert running.finish().ret == 2
    assert set(rows(suite)) == {"test_a"}


def test_two_runs_at_once_lose_neither(suite: Suite) -> None:
    """Both have begun before either ends."""
    suite.make_barrier()
    suite.give_basetemp = False
    for name in "ab":
        os.mkfifo(suite.path / f"{name}.fifo")
        text = f'''
            from recorder import reached

            def test():
                reached("{name}")
                open("{name}.fifo").read()
        '''
        suite.file(f"test_{name}.py", text)
    runs = [suite.start("-n1", f"test_{name}.py") for name in "ab"]
    suite.await_reached(2)
    for name in "ab":
        (suite.path / f"{name}.fifo").write_text("go on")
    assert [run.finish().ret for run in runs] == [0, 0]
    assert set(read(suite)["tests"]) == {"test_a.py", "test_b.py"}
    assert len(read(suite)["runs"]) == 2


# --- where it is ---


def test_a_project_names_the_place(suite: Suite) -> None:
    suite.trivial(3)
    suite.file("pytest.ini", """
        [pytest]
        procpar_history = ci/history.json
    """)  # fmt: skip
    suite.run("-n2")
    suite.run("-n2", "-p", "no:cacheprovider")
    assert times_of_file(suite.path / "ci" / "history.json") == 2
    assert not (suite.path / CACHED).exists()
    suite.run("-n2", "-o", "procpar_history=durations")
    suite.run("-n2", "-o", "procpar_history=durations")
    files = list((suite.path / "durations").iterdir())
    assert [times_of_file(file) for file in files] == [1, 1]
    for off in (["-o", "procpar_history=off"], ["-p", "no:cacheprovider", "-o", "procpar_history="]):
        suite.run("-n2", *off)
        for what in ("record", "show", "merge", "prune"):
            finished = suite.run(
                *off, f"--procpar-history={what}", *(["test_it.py"] if what == "merge" else [])
            )
            assert finished.ret == 4
            assert f"--procpar-history={what}: no history is kept: procpar_history" in finished.err
            assert "ran" not in {note["kind"] for note in finished.records}
    assert not (suite.path / CACHED).exists()


def times_of_file(path: Path) -> int:
    return len(json.loads(path.read_bytes())["tests"]["test_it.py"]["test[0]"]) // 4


def test_clearing_the_cache_forgets(suite: Suite) -> None:
    suite.trivial(2)
    suite.run("-n2")
    suite.run("-n2", "--cache-clear")
    assert times_of(suite, "test[0]") == 1


@pytest.mark.parametrize("how", [["-n2"], ["--procpar-history=record"]])
def test_what_is_wrong_with_the_history_is_a_line_and_no_failure(suite: Suite, how: list[str]) -> None:
    suite.trivial(2)
    path = suite.file("package.json", '{"name": "mine"}')
    finished = suite.run(*how, "-Werror", "-o", "procpar_history=package.json")
    finished.assert_summary(passed=2)
    assert finished.ret == 0
    line = f"procpar: the history of durations is not written: {path} is no history"
    assert finished.out.splitlines().count(line) == 1
    assert path.read_text() == '{"name": "mine"}\n'
    finished = suite.run(*how, "-o", "procpar_history=package.json/history.json")
    assert finished.ret == 0
    assert finished.out.count("procpar: the history of durations is not written") == 1


def test_a_damaged_history_is_set_aside(suite: Suite) -> None:
    suite.trivial(2)
    suite.run("-n2")
    path = suite.path / CACHED
    path.write_bytes(path.read_bytes()[:40])
    finished = suite.run("-n2")
    assert finished.ret == 0
    line = f"procpar: the history of durations begins anew: {path} is damaged, and is durations.damaged now"
    finished.stdout.fnmatch_lines([line.replace("[", "[[]")])
    assert times_of(suite, "test[0]") == 1
    assert suite.run("-n2").out.count("history of durations") == 0


# --- the tool ---


def test_the_tool_shows_merges_and_prunes_and_runs_no_test(suite: Suite) -> None:
    suite.tests(TESTS)
    suite.run("-n2", "-o", "procpar_history=a.json")
    suite.run("-n2", "-o", "procpar_history=b.json")
    finished = suite.run("--procpar-history=show", "-n2")
    assert finished.ret == 0
    finished.stdout.fnmatch_lines([f"history of durations: {suite.path / CACHED}", "0 tests, no run"])

    finished = suite.run("--procpar-history=merge", "a.json", "b.json", "a.json")
    assert finished.ret == 0
    finished.stdout.fnmatch_lines([f"merged 3 into {suite.path / CACHED}: 9 tests, 2 runs, *"])
    assert times_of(suite, "test[0]") == 2
    assert suite.run("--procpar-history=merge", "b.json").ret == 0
    assert times_of(suite, "test[0]") == 2

    finished = suite.run("--procpar-history=show")
    finished.stdout.fnmatch_lines([
        "9 tests, 2 runs, the latest on ????-??-?? ??:??", "all tests: * s (set-up *, call *, teardown *)*",
        "slowest tests:", " *.* s  test_it.py::*",
        "dearest fixtures of a module, a class or the session, set-up and teardown:", " *.* s  test_it.py",
    ])  # fmt: skip
    finished = suite.run("--procpar-history=show", "a.json")
    finished.stdout.fnmatch_lines(["history of durations: a.json", "9 tests, 1 run, *"])
    finished = suite.run("--procpar-history=prune")
    assert finished.ret == 0
    finished.stdout.fnmatch_lines([f"{suite.path / CACHED}: 9 tests, 2 runs, *; before: 9 tests, 2 runs, *"])
    assert finished.records == []


@pytest.mark.parametrize("how", [["-n1"], ["--procpar-history=record"], ["--procpar-history=show"]])
def test_a_place_that_cannot_be_is_a_usage_error(suite: Suite, how: list[str]) -> None:
    suite.trivial(1)
    finished = suite.run(*how, "-o", f"procpar_history={'x' * 5_000}")
    assert finished.ret == 4
    assert "procpar_history (ini option): invalid value 'xxx" in finished.err
    assert finished.err.rstrip().endswith("give a file, a folder or off")
    assert finished.records == []


def test_it_shows_what_the_terminal_cannot(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"format": "procpar-history", "version": 1, "runs": {"1": ["a", 1, 1]}, "settings": {}}
    suite.file("a.json", json.dumps({**known, "tests": {"é.py": {"test_ü": [1, 1, 2_000_000, 1]}}}))
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    finished = suite.run("--procpar-history=show", "a.json")
    assert finished.ret == 0
    finished.stdout.fnmatch_lines([r"   2.000 s  \xe9.py::test_\xfc"])


def test_folders_can_be_merged(suite: Suite) -> None:
    suite.trivial(2)
    for _ in range(2):
        suite.run("-n1", "-o", "procpar_history=parts")
    finished = suite.run("--procpar-history=merge", "parts", "-o", "procpar_history=all.json")
    finished.stdout.fnmatch_lines([f"merged 2 into {suite.path / 'all.json'}: 2 tests, 2 runs, *"])


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (
            ["--procpar-history=shw"],
            "argument --procpar-history: invalid value 'shw': give record, show, merge or prune",
        ),
        (["--procpar-history"], "argument --procpar-history: expected one argument"),
        (
            ["--procpar-history=merge"],
            "--procpar-history=merge: no FILE is given: name the histories to merge after it",
        ),
        (
            ["--procpar-history=prune", "a.json"],
            "--procpar-history=prune: takes no FILE, but was given 'a.json': leave it out",
        ),
        (
            ["--procpar-history=merge", "none.json"],
            "--procpar-history=merge: 'none.json' cannot be read (No such file or directory): give histories "
            "of durations, or folders of these",
        ),
        (
            ["--procpar-history=show", "test_it.py"],
            "--procpar-history=show: 'test_it.py' cannot be read (is no history): give histories of "
            "durations, or folders of these",
        ),
        (
            ["--procpar-history=merge", "good.json", "-o", "procpar_history=test_it.py"],
            "--procpar-history=merge: cannot write to '{path}/test_it.py': the line above says why",
        ),
        (
            ["--procpar-history=merge", "../outside.json"],
            "--procpar-history=merge: '../outside.json' is outside of the project, so pytest takes "
            "'{parent}' for it: copy the files into it, or say where it is with --rootdir and -c",
        ),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_a_usage_error(suite: Suite, args: list[str], said: str) -> None:
    suite.trivial(1)
    for name in ("good.json", "../outside.json"):
        suite.file(name, '{"format":"procpar-history","version":1,"runs":{},"settings":{},"tests":{}}')
    finished = suite.run(*args)
    assert finished.ret == 4
    assert said.format(path=suite.path, parent=suite.path.parent) in finished.err
    assert finished.records == []
    assert not (suite.path / CACHED).exists()
