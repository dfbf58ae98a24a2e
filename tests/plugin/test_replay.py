"""A report or a small file replayed: the same tests in the same processes in the same order."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_procpar.replay.file import read_replay
from pytest_procpar.replay.kept import ReplayFiles, replay_of
from tests.conftest import Finished, Suite

#: Each test fails if another than the one before it in collected order ran just before it in its process.
PARTICULAR = """
    import pytest
    from recorder import note

    latest = []

    @pytest.mark.parametrize("i", range(8))
    def test(i):
        note("ran", test=i)
        before, latest[:] = [*latest], [i]
        assert before == [i - 1]
"""

REVERSING = """
    def pytest_collection_modifyitems(items):
        items.reverse()
"""


def name(i: int) -> str:
    """The nodeid of a parametrized test."""
    return f"test_it.py::test[{i}]"


def given_file(suite: Suite, *sequences: list[str], **facts: object) -> str:
    """Write a replay file; what asks for it."""
    listed = [{"worker": f"gw{i}", "tests": tests} for i, tests in enumerate(sequences)]
    content = {"format": "procpar-replay", "version": 1, "sequences": listed, **facts}
    suite.file("replay.json", json.dumps(content))
    return "--replay=replay.json"


def by_worker(finished: Finished) -> dict[str, list[Any]]:
    """Which tests noted that they ran, in their order, for each worker."""
    ran: dict[str, list[Any]] = {}
    for record in finished.notes("ran"):
        ran.setdefault(record["worker"], []).append(record["test"])
    return ran


def sequences(suite: Suite) -> dict[str | None, list[str]]:
    """The sequences of the report, as nodeids."""
    report = json.loads((suite.path / "report.json").read_text(encoding="utf-8"))
    nodeids = {test["index"]: test["nodeid"] for test in report["tests"]}
    return {entry["worker"]: [nodeids[i] for i in entry["tests"]] for entry in report["sequences"]}


# --- what a report lists, and what becomes of it ----------------------------------------------------


@pytest.mark.parametrize("how", [[], ["-n2"], ["-n3", "--dist=worksteal"]], ids=" ".join)
def test_a_report_lists_which_tests_ran_in_which_process_in_their_order(suite: Suite, how: list[str]) -> None:
    suite.tests(PARTICULAR)
    suite.conftest(REVERSING)
    finished = suite.run(*how, "--procpar-report=report.json")
    noted = {worker: [name(i) for i in tests] for worker, tests in by_worker(finished).items()}
    assert {worker or "main": tests for worker, tests in sequences(suite).items()} == noted


def test_a_report_replayed_has_the_same_outcomes_in_the_same_workers(suite: Suite) -> None:
    suite.tests(PARTICULAR)
    odd = given_file(suite, [name(i) for i in (5, 6, 0, 3)], [name(4)], [name(i) for i in (1, 2, 7)])
    first = suite.run(odd, "--procpar-report=report.json")
    assert by_worker(first) == {"gw0": [5, 6, 0, 3], "gw1": [4], "gw2": [1, 2, 7]}
    first.assert_summary(failed=6, passed=2)
    suite.conftest(REVERSING)
    again = suite.run("--replay=report.json", "--procpar-report=report2.json")
    assert by_worker(again) == by_worker(first)
    assert again.outcomes == first.outcomes
    third = suite.run("--replay=report2.json", "-n3")
    assert by_worker(third) == by_worker(first)


def test_a_plain_report_is_replayed_in_this_process(suite: Suite) -> None:
    suite.tests(PARTICULAR)
    suite.conftest(REVERSING)
    first = suite.run("--procpar-report=report.json", name(2), name(3), name(6))
    (suite.path / "conftest.py").unlink()
    again = suite.run("--replay=report.json")
    assert by_worker(again) == by_worker(first) == {"main": [6, 3, 2]}
    assert again.outcomes == first.outcomes
    again.assert_summary(failed=3, deselected=5)


def test_under_dist_each_all_copies_are_replayed(suite: Suite) -> None:
    suite.trivial(3)
    suite.run("-n2", "--dist=each", "--procpar-report=report.json")
    again = suite.run("--replay=report.json", "--dist=each")
    assert by_worker(again) == {"gw0": [0, 1, 2], "gw1": [0, 1, 2]}


def test_a_crash_is_part_of_its_sequence_and_its_replacement_has_one_of_its_own(suite: Suite) -> None:
    suite.tests("""
        import os
        from recorder import note

        def test_a():
            note("ran", test="a")

        def test_b():
            note("ran", test="b")
            os._exit(7)

        def test_c():
            note("ran", test="c")
    """)
    first = suite.run("-n1", "--procpar-report=report.json")
    a, b, c = (f"test_it.py::test_{word}" for word in "abc")
    assert sequences(suite) == {"gw0": [a, b], "gw1": [c]}
    again = suite.run("--replay=report.json")
    assert by_worker(again) == by_worker(first) == {"gw0": ["a", "b"], "gw1": ["c"]}
    again.assert_summary(failed=1, passed=2)


# --- who wins ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [[], ["-n1"]], ids=["plain", "parallel"])
@pytest.mark.parametrize(
    "decorator", ["", "@pytest.hookimpl(trylast=True)", "@pytest.hookimpl(tryfirst=True)"]
)
def test_no_conftest_changes_the_order(suite: Suite, decorator: str, how: list[str]) -> None:
    suite.trivial(5)
    suite.conftest(f"import pytest\n\n{decorator}\ndef pytest_collection_modifyitems(items): items.reverse()")
    finished = suite.run(given_file(suite, [name(i) for i in (3, 0, 4)]), *how)
    assert finished.facts("ran", "test") == [3, 0, 4]


@pytest.mark.parametrize("how", [[], ["-n1"]], ids=["plain", "parallel"])
def test_not_even_a_wrapper_in_a_folder_changes_the_order(suite: Suite, how: list[str]) -> None:
    suite.trivial(5)
    (suite.path / "deep").mkdir()
    (suite.path / "test_it.py").rename(suite.path / "deep" / "test_it.py")
    suite.file(
        "deep/conftest.py",
        """
        import pytest

        @pytest.hookimpl(wrapper=True, tryfirst=True)
        def pytest_collection_modifyitems(items):
            yield
            items.reverse()
        """,
    )
    finished = suite.run(given_file(suite, [f"deep/{name(i)}" for i in (3, 0, 4)]), *how)
    assert finished.facts("ran", "test") == [3, 0, 4]


def test_arguments_in_another_order_do_not_change_it(suite: Suite) -> None:
    suite.trivial(5)
    finished = suite.run(given_file(suite, [name(3), name(0)]), name(0), name(3))
    assert finished.facts("ran", "test") == [3, 0]


@pytest.mark.parametrize("how", [["-n2"], []], ids=["parallel", "plain"])
def test_what_an_option_deselects_is_left_out_and_that_is_said(suite: Suite, how: list[str]) -> None:
    suite.trivial(5)
    file = given_file(suite, [name(3), name(0), name(4)], [name(1)])
    finished = suite.run(file, *(how or ["-n0"]), "-k", "not 0 and not 1")
    assert by_worker(finished) == {"gw0" if how else "main": [3, 4]}
    finished.assert_summary(passed=2, deselected=3)
    finished.stdout.fnmatch_lines(
        [f"replay: 2 tests of the file left out, *deselected them: {name(0)}, {name(1)}".replace("[", "[[]")]
    )


def test_a_sequence_that_is_left_out_does_not_give_its_worker_to_another(suite: Suite) -> None:
    suite.trivial(5)
    finished = suite.run(given_file(suite, [name(3)], [name(0), name(1)]), "-k", "not 3")
    assert by_worker(finished) == {"gw1": [0, 1]}


@pytest.mark.parametrize("how", [[], ["-n1"]], ids=["plain", "parallel"])
def test_last_failed_is_ignored_and_that_is_said(suite: Suite, how: list[str]) -> None:
    suite.trivial(3)
    suite.file("test_bad.py", "def test(): assert 0")
    suite.run()
    file = given_file(suite, [name(2), name(1), "test_bad.py::test"])
    finished = suite.run(file, "--lf", *how)
    assert finished.facts("ran", "test") == [2, 1]
    finished.assert_summary(failed=1, passed=2, deselected=1)
    finished.stdout.fnmatch_lines(["replay: --lf does nothing here*"])


@pytest.mark.parametrize("how", [[], ["-n1"]], ids=["plain", "parallel"])
def test_exitfirst_ends_a_replay(suite: Suite, how: list[str]) -> None:
    suite.tests(PARTICULAR)
    finished = suite.run(given_file(suite, [name(i) for i in (3, 4, 6, 7)]), "-x", *how)
    assert finished.facts("ran", "test") == [3]
    finished.assert_summary(failed=1, deselected=4)


# --- workers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "asked", [["-n3"], ["-n3", "--dist=loadfile", "--maxschedchunk=1"], ["-n1"]], ids=" ".join
)
def test_there_is_a_worker_for_each_sequence_however_many_were_asked_for(
    suite: Suite, asked: list[str]
) -> None:
    suite.trivial(5)
    finished = suite.run(given_file(suite, [name(3), name(0)], [name(4)]), *asked)
    assert by_worker(finished) == {"gw0": [3, 0], "gw1": [4]}
    finished.stdout.fnmatch_lines(
        [f"replay: {asked[0][:2]} {asked[0][2:]} gives way: 2 workers, one for each sequence"]
    )
    finished.stdout.fnmatch_lines(["2 workers [[]3 items[]]"])


def test_maxprocesses_gives_way_too(suite: Suite) -> None:
    suite.trivial(2)
    finished = suite.run(given_file(suite, [name(1)], [name(0)]), "--maxprocesses=1")
    assert by_worker(finished) == {"gw0": [1], "gw1": [0]}
    finished.stdout.fnmatch_lines(["replay: --maxprocesses=1 gives way: 2 workers, one for each sequence"])


def test_with_n_0_sequences_run_one_after_the_other_in_this_process(suite: Suite) -> None:
    suite.trivial(5)
    finished = suite.run(given_file(suite, [name(3), name(0)], [name(4)]), "-n0")
    assert by_worker(finished) == {"main": [3, 0, 4]}
    finished.stdout.fnmatch_lines(["replay: -n 0: the 2 sequences run one after the other in this process"])


def test_the_rest_of_a_dead_workers_sequence_is_for_its_replacement_and_no_idle_worker(suite: Suite) -> None:
    suite.tests("""
        import os, pytest
        from recorder import note

        @pytest.fixture(scope="module")
        def told():
            yield
            os.close(os.open("done.fifo", os.O_WRONLY))

        def test_quick(told):
            note("ran", test="quick")

        def test_dies_when_the_other_worker_has_nothing_left():
            note("ran", test="dies")
            os.close(os.open("done.fifo", os.O_RDONLY))
            os._exit(1)

        @pytest.mark.parametrize("i", range(3))
        def test_rest(i):
            note("ran", test=i)
    """)
    os.mkfifo(suite.path / "done.fifo")
    rest = [f"test_it.py::test_rest[{i}]" for i in (2, 0, 1)]
    dies = "test_it.py::test_dies_when_the_other_worker_has_nothing_left"
    finished = suite.run(given_file(suite, ["test_it.py::test_quick"], [dies, *rest]))
    assert by_worker(finished) == {"gw0": ["quick"], "gw1": ["dies"], "gw2": [2, 0, 1]}
    finished.assert_summary(failed=1, passed=4)


def test_a_replay_of_many_short_and_long_sequences_mixes_nothing_up(suite: Suite) -> None:
    suite.trivial(600)
    tests = [*range(0, 600, 2), *range(599, 0, -2)]
    parts = [tests[:7], tests[7:400], tests[400:402], tests[402:]]
    finished = suite.run(given_file(suite, *[[name(i) for i in part] for part in parts]))
    assert by_worker(finished) == {f"gw{i}": part for i, part in enumerate(parts)}


# --- a test that runs twice -------------------------------------------------------------------------


@pytest.mark.parametrize("how", [[], ["-n1"]], ids=["plain", "parallel"])
def test_a_test_that_is_named_twice_runs_twice_in_one_process(suite: Suite, how: list[str]) -> None:
    suite.tests("""
        import pytest, unittest
        from recorder import note

        @pytest.fixture(scope="module")
        def shared():
            note("ran", test="shared up")
            yield
            note("ran", test="shared down")

        @pytest.fixture
        def own(request):
            note("ran", test="own up")
            yield
            note("ran", test="own down")

        runs = []

        def test_nio(shared, own, request, record_property):
            print("told once")
            record_property("said", "once")
            if not runs:
                request.node.add_marker(pytest.mark.xfail(reason="once"))
            runs.append(1)
            assert len(runs) == 1

        class TestClass:
            def test(self, own):
                assert not vars(self)
                self.x = 1

        class TestUnit(unittest.TestCase):
            def test(self):
                assert not hasattr(self, "x")
                self.x = 1
    """)
    nio, method, unit = (f"test_it.py::{word}" for word in ("test_nio", "TestClass::test", "TestUnit::test"))
    file = given_file(suite, [nio, nio, method, method, unit, nio, unit])
    finished = suite.run(file, *how, "--procpar-report=report.json")
    own = ["own up", "own down"]
    assert finished.facts("ran", "test") == ["shared up", *own * 5, "shared down"]
    finished.assert_summary(xpassed=1, failed=2, passed=4)
    report = json.loads((suite.path / "report.json").read_text(encoding="utf-8"))
    assert report["sequences"] == [{"worker": "gw0" if how else None, "tests": [0, 1, 2, 3, 4, 5, 6]}]
    assert [test["outcome"] for test in report["tests"]].count("failed") == 2
    for test in report["tests"]:
        assert len(test["attempts"]) == 1
        if test["nodeid"] == nio:
            assert test["attempts"][0]["properties"] == [["said", "once"]]
            assert test["attempts"][0]["sections"] == [["Captured stdout call", "told once\n"]]


def test_tests_that_share_a_nodeid_are_told_apart_by_their_order(suite: Suite) -> None:
    suite.file(
        "conftest.py",
        """
        import pytest
        from recorder import note

        class Twin(pytest.Item):
            def __init__(self, *, number, **facts):
                super().__init__(**facts)
                self.number = number

            def runtest(self):
                note("ran", test=self.number)

        class Twins(pytest.File):
            def collect(self):
                return [Twin.from_parent(self, name="twin", number=number) for number in range(3)]

        def pytest_collect_file(file_path, parent):
            if file_path.suffix == ".twins":
                return Twins.from_parent(parent, path=file_path)
        """,
    )
    suite.file("a.twins", "")
    twin = "a.twins::twin"
    assert suite.run(given_file(suite, [twin, twin])).facts("ran", "test") == [0, 1]
    assert suite.run(given_file(suite, [twin] * 5)).facts("ran", "test") == [0, 1, 2, 0, 1]
    suite.file(
        "report.json",
        json.dumps({
            "format": "procpar-report", "version": 1,
            "tests": [{"index": i, "nodeid": twin} for i in range(3)],
            "sequences": [{"worker": None, "tests": [2, 0, 2]}],
        }),
    )  # fmt: skip
    assert suite.run("--replay=report.json").facts("ran", "test") == [2, 0, 2]


# --- wrong files ------------------------------------------------------------------------------------

REPORT = {"format": "procpar-report", "version": 1, "sequences": [{"worker": None, "tests": [0]}]}
REPLAY = {"format": "procpar-replay", "version": 1}

WRONG: dict[str, tuple[object, str]] = {
    "text": ("no { json", "it is no JSON, or damaged"),
    "half": (json.dumps(REPORT)[:60], "it is no JSON, or damaged"),
    "deep": ("[" * 100_000, "it is no JSON, or damaged"),
    "list": ([1], "its format is None"),
    "other": ({"format": "junit"}, "its format is 'junit'"),
    "new": ({**REPORT, "version": 2}, "its version is 2, and only 1 is known here"),
    "old": ({"format": "procpar-report", "version": 1, "tests": []}, "it has no sequences"),
    "idle": ({**REPORT, "tests": [], "sequences": []}, "it names no test that ran"),
    "empty": ({**REPLAY, "sequences": [{"worker": None, "tests": []}]}, "it names no test that ran"),
    "sequences": ({**REPLAY, "sequences": 7}, "its sequences are 7, and no list"),
    "sequence": ({**REPLAY, "sequences": ["a::b"]}, 'sequence 0 is "a::b", and no object'),
    "tests": ({**REPLAY, "sequences": [{}]}, "its tests of sequence 0 are null, and no list"),
    "nodeid": ({**REPLAY, "sequences": [{"tests": [3]}]}, "a test is 3, and no nodeid"),
    "index": ({**REPORT, "tests": [{"index": 1, "nodeid": "a"}]}, "lists the test 0 in a sequence"),
    "no tests": (REPORT, "its tests are null, and no list"),
    "no index": (
        {**REPORT, "tests": [{"nodeid": "a"}]},
        'the test {"nodeid": "a"} has no index or no nodeid',
    ),
    "truth": (
        {**REPORT, "tests": [{"index": 1, "nodeid": "a"}], "sequences": [{"tests": [True]}]},
        "lists the test true in a sequence",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_file_is_named_with_what_is_wrong(tmp_path: Path, case: str) -> None:
    content, reason = WRONG[case]
    path = tmp_path / "f.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    with pytest.raises(pytest.UsageError) as caught:
        read_replay(str(path))
    said = str(caught.value)
    assert said.startswith(f"--replay: {str(path)!r} cannot be replayed: ")
    assert reason in said
    assert said.endswith("give a report that --procpar-report wrote, or a file of the format procpar-replay")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b'{"\xff": 1}')
    for wrong, reason in [("none", "No such file"), (".", "Is a directory"), ("bytes", "'utf-8' codec")]:
        with pytest.raises(pytest.UsageError, match=reason):
            read_replay(str(tmp_path / wrong))


@pytest.mark.parametrize("how", [[], ["-n2"]], ids=["plain", "parallel"])
def test_a_wrong_file_is_a_usage_error_before_anything_is_collected(suite: Suite, how: list[str]) -> None:
    suite.trivial(2)
    finished = suite.run("--replay=nowhere.json", *how)
    assert finished.ret == pytest.ExitCode.USAGE_ERROR
    assert (
        "ERROR: --replay: 'nowhere.json' cannot be replayed: it cannot be read (No such file" in finished.err
    )
    assert "Traceback" not in finished.err
    assert not finished.notes("collection")


# --- missing tests ----------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [["-n0"], []], ids=["plain", "parallel"])
def test_tests_that_were_not_collected_are_a_usage_error_that_names_the_first(
    suite: Suite, how: list[str]
) -> None:
    suite.trivial(3)
    gone = [name(i) for i in range(10, 17)]
    finished = suite.run(given_file(suite, [name(0), *gone, *gone], [name(1)]), *how)
    assert finished.ret == pytest.ExitCode.USAGE_ERROR
    said = f"--replay: 7 tests of 'replay.json' were not collected: {', '.join(gone[:5])} and 2 more: collect"
    assert said in finished.out + finished.err
    assert not finished.ran


@pytest.mark.parametrize("how", [["-n0"], []], ids=["plain", "parallel"])
def test_what_cannot_be_collected_is_told_as_ever(suite: Suite, how: list[str]) -> None:
    suite.trivial(3)
    suite.file("test_broken.py", "import nothing_of_that_name")
    file = given_file(suite, [name(2), "test_broken.py::test", name(0)], [name(1)])
    finished = suite.run(file, *how)
    assert finished.ret == pytest.ExitCode.INTERRUPTED
    finished.stdout.fnmatch_lines(["*ModuleNotFoundError: No module named 'nothing_of_that_name'"])
    assert not finished.ran
    finished = suite.run(file, *how, "--continue-on-collection-errors")
    finished.assert_summary(passed=3, errors=1)
    if not how:
        assert by_worker(finished) == {"gw0": [2, 0], "gw1": [1]}


@pytest.mark.parametrize("how", [["-n0"], []], ids=["plain", "parallel"])
def test_a_wrong_path_is_told_as_ever(suite: Suite, how: list[str]) -> None:
    suite.trivial(2)
    finished = suite.run(given_file(suite, [name(1)], [name(0)]), *how, "test_not_there.py")
    assert finished.ret == pytest.ExitCode.USAGE_ERROR
    assert "test_not_there.py" in finished.err
    assert "--replay" not in finished.err


# --- the file, and the option -----------------------------------------------------------------------

_NODEIDS = st.lists(st.text(min_size=1), min_size=1, max_size=5)


@given(st.lists(st.tuples(st.none() | st.just("gw1"), _NODEIDS), min_size=1, max_size=4))
def test_what_is_written_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, written: list[tuple[str | None, list[str]]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "it.json"
    path.write_bytes(replay_of(written))
    read = read_replay(str(path)).sequences
    assert [[nodeid for nodeid, _ in tests] for tests in read] == [tests for _, tests in written]


def test_the_latest_files_are_kept_and_files_of_others_are_not_touched(
    tmp_path: Path,
) -> None:
    (tmp_path / "someone-elses.json").touch()
    kept = ReplayFiles(lambda: tmp_path)
    paths = [kept.write("victim-1-fails", str(number).encode()) for number in range(101)]
    assert paths[-1] == ReplayFiles(lambda: tmp_path).write("victim-1-fails", b"100")
    assert sum(path.exists() for path in paths) == 100
    assert paths[-1].read_bytes() == b"100"
    assert (tmp_path / "someone-elses.json").exists()


def test_a_file_that_can_be_kept_nowhere_is_an_error_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_folder() -> Path:
        raise PermissionError

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(FileNotFoundError):
        ReplayFiles(no_folder).write("victim-1-fails", b"")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    files = ReplayFiles(no_folder)
    folder = files.write("victim-1-fails", b"").parent
    assert folder.parent == tmp_path
    files.remove_private()
    assert not folder.exists()


def test_a_home_folder_and_variables_are_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("FOLDER", "reports")
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "r.json").write_bytes(replay_of([(None, ["a::b"])]))
    assert read_replay("~/$FOLDER/r.json").sequences == [[("a::b", 0)]]


def test_a_file_that_can_be_read_once_is_enough_for_all_workers(suite: Suite) -> None:
    suite.trivial(3)
    os.mkfifo(suite.path / "pipe")
    running = suite.start("--replay=pipe", "--start-method=spawn")
    with open(suite.path / "pipe", "wb") as pipe:
        pipe.write(replay_of([("gw0", [name(2), name(0)]), ("gw1", [name(1)])]))
    finished = running.finish()
    finished.assert_summary(passed=3)
    assert by_worker(finished) == {"gw0": [2, 0], "gw1": [1]}


def test_another_plugins_option_of_that_name_is_left_alone(suite: Suite) -> None:
    suite.trivial(3)
    suite.file(
        "pytest_replay.py", "def pytest_addoption(parser): parser.addoption('--replay', dest='replay_file')"
    )
    given_file(suite, [name(2), name(0)])
    finished = suite.run("-p", "pytest_replay", "--replay=theirs", "--procpar-replay=replay.json")
    assert finished.facts("ran", "test") == [2, 0]


def test_what_would_run_can_be_listed(suite: Suite) -> None:
    suite.trivial(3)
    finished = suite.run(given_file(suite, [name(2)], [name(0)]), "--collect-only", "-q")
    assert finished.stdout.lines[:2] == [name(2), name(0)]
