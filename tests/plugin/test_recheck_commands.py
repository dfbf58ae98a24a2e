"""The commands that a re-check prints, as a user runs them in a shell."""

from __future__ import annotations

import getpass
import json
import os
import stat
from typing import Any

import pytest

from tests.conftest import Suite
from tests.plugin.rechecking import POLLUTED, rechecked, section, shell, told

FAILS, PASSES = 1, 0


def commands(findings: list[dict[str, Any]], kind: str) -> list[tuple[str, int]]:
    """The commands of the one flagged finding of a kind, and with which exit status each has to end."""
    (finding,) = [finding for finding in findings if finding["flagged"] and finding["kind"] == kind]
    return [
        (tried["command"], FAILS if tried["expected"] == "failed" else PASSES)
        for tried in finding["commands"]
    ]


def try_all(suite: Suite, findings: list[dict[str, Any]], kind: str, folder: str = ".") -> list[str]:
    """See that each command does what was said; the commands."""
    told_commands = commands(findings, kind)
    assert told_commands
    for command, status in told_commands:
        assert shell(suite, command, folder) == status, command
    return [command for command, _ in told_commands]


# --- one of each kind -------------------------------------------------------------------------------


def test_of_a_brittle_test(suite: Suite) -> None:
    suite.tests("""
        STATE = []
        def test_other(): pass
        def test_setter(): STATE.append(1)
        def test_brittle(): assert STATE
    """)
    finished, findings = rechecked(suite, "-n1", "--recheck=all")
    alone, after = try_all(suite, findings, "brittle")
    assert alone == "pytest test_it.py::test_brittle"
    assert after == "pytest test_it.py::test_setter test_it.py::test_brittle"
    assert [line.strip() for line in section(finished)][-2:] == [f"fails: {alone}", f"passes: {after}"]


def test_of_a_test_that_cannot_run_twice(suite: Suite) -> None:
    suite.tests("""
        DONE = []
        def test_once():
            assert not DONE
            DONE.append(1)
    """)
    _, findings = rechecked(suite, "-n1", "--recheck=all")
    (command,) = try_all(suite, findings, "nio")
    assert "--procpar-replay=" in command


def test_of_polluters_that_act_together(suite: Suite) -> None:
    suite.tests("""
        STATE = set()
        def test_one(): STATE.add(1)
        def test_two(): STATE.add(2)
        def test_victim(): assert STATE != {1, 2}
    """)
    _, findings = rechecked(suite, "-n1")
    try_all(suite, findings, "victim")


def test_of_a_contaminated_crash(suite: Suite) -> None:
    suite.tests("""
        import os
        STATE = []
        def test_polluter(): STATE.append(1)
        def test_victim():
            if STATE:
                os.abort()
    """)
    _, findings = rechecked(suite, "-n1")
    try_all(suite, findings, "contaminated-crash")


@pytest.mark.python_dependent
def test_of_a_hang(suite: Suite) -> None:
    suite.make_barrier()
    suite.tests("""
        from recorder import block
        STATE = []
        def test_polluter(): STATE.append(1)
        def test_victim():
            if STATE:
                block()
    """)
    _, findings = rechecked(suite, "-n1", "--hang-timeout=0.5", "--recheck-budget=200")
    assert told(findings) == {"test_victim": ("victim", ["test_polluter"])}
    assert all("--hang-timeout=" in command for command in try_all(suite, findings, "victim"))


# --- wherever and however it was started ------------------------------------------------------------


def test_from_another_folder(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(suite.path), prepend=os.pathsep)
    suite.file("sub/test_a.py", POLLUTED)
    suite.file("other/keep", "")
    suite.file("pytest.ini", "[pytest]")
    for folder, path in (("sub", "test_a.py"), ("other", "../sub/test_a.py")):
        monkeypatch.chdir(suite.path / folder)
        _, findings = rechecked(
            suite, "-n1", "--rootdir=..", path, f"--procpar-report={suite.path}/report.json"
        )
        _, passes = try_all(suite, findings, "victim", folder)
        assert f"{path}::test_victim" in passes


@pytest.mark.parametrize("names", [["$HOME", "it's", 'say "x"'], ["a b", "*", "a::b"], ["ü", "\\n", "[x]"]])
def test_with_names_that_a_shell_would_misread(suite: Suite, names: list[str]) -> None:
    suite.tests(f"""
        import pytest
        STATE = []
        @pytest.mark.parametrize("name", {names!r})
        def test_polluter(name):
            if name == {names[1]!r}:
                STATE.append(1)
        @pytest.mark.parametrize("name", {names!r})
        def test_victim(name):
            assert name != {names[2]!r} or not STATE
    """)
    _, findings = rechecked(suite, "-n1")
    try_all(suite, findings, "victim")


@pytest.mark.parametrize(
    "addopts",
    [
        "-n 2",
        "-n 2 --dist=loadfile --recheck=all",
        "--recheck-order=reverse",
        "-x",
        "--maxfail=1 -q",
        "-p no:cacheprovider",
        "-W error --strict-config --strict-markers",
        "-n2 --maxprocesses=1",
        "--junitxml=theirs.xml --procpar-report=theirs.json",
    ],
)
def test_with_options_in_the_configuration(
    suite: Suite, monkeypatch: pytest.MonkeyPatch, addopts: str
) -> None:
    monkeypatch.setenv("TMPDIR", str(suite.path))  # where a command's file stays if there is no cache
    suite.file("pytest.ini", f"[pytest]\naddopts = {addopts}")
    suite.tests("""
        STATE = []
        def test_before(): pass
        def test_polluter():
            STATE.append(1)
            assert "it fails" == "on its own"
        def test_victim(): assert not STATE
    """)
    _, findings = rechecked(suite, "-n1", "--maxfail=0")
    assert told(findings) == {"test_victim": ("victim", ["test_polluter"])}
    try_all(suite, findings, "victim")


@pytest.mark.parametrize(
    ("given", "addopts"),
    [
        ("ini", "--lf"),
        ("environment", "-x --last-failed"),
        ("ini", "--ff --nf"),
        ("ini", "--sw"),
        ("environment", "--sw-skip"),
    ],
)
def test_whatever_the_cache_says(
    suite: Suite, given: str, addopts: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if given == "ini":
        suite.file("pytest.ini", f"[pytest]\naddopts = {addopts}")
    else:
        monkeypatch.setenv("PYTEST_ADDOPTS", addopts)
    suite.tests("""
        STATE = []
        def test_before(): pass
        def test_polluter(): STATE.append(1)
        def test_victim(): assert not STATE
    """)
    _, findings = rechecked(suite, "-n1")  # leaves in the cache that the victim has failed
    assert told(findings) == {"test_victim": ("victim", ["test_polluter"])}
    try_all(suite, findings, "victim")
    try_all(suite, findings, "victim")


@pytest.mark.parametrize(
    ("addopts", "more"),
    [
        ("-k 'polluter or victim'", ()),
        ("-k nothing", ("-k", "polluter or victim")),
        ('-m "not slow"', ()),
        ("-m slow", ("-m", "")),
        ("--deselect test_it.py::test_between", ()),
        ("--ignore=test_slow.py", ()),
        ("test_it.py", ()),
    ],
)
def test_with_a_selection_in_the_configuration(suite: Suite, addopts: str, more: tuple[str, ...]) -> None:
    suite.file("pytest.ini", f"[pytest]\naddopts = {addopts}\nmarkers = slow: takes long")
    suite.file("test_slow.py", "import pytest\n@pytest.mark.slow\ndef test_slow(): pass")
    suite.tests("""
        STATE = []
        def test_before(): pass
        def test_polluter(): STATE.append(1)
        def test_between(): pass
        def test_victim(): assert not STATE
    """)
    _, findings = rechecked(suite, "-n1", *more)
    assert told(findings) == {"test_victim": ("victim", ["test_polluter"])}
    try_all(suite, findings, "victim")


def test_of_a_crash_whatever_the_cache_says(suite: Suite) -> None:
    suite.file("pytest.ini", "[pytest]\naddopts = --lf")
    suite.tests("""
        import os
        STATE = []
        def test_polluter(): STATE.append(1)
        def test_victim():
            if STATE:
                os.abort()
    """)
    _, findings = rechecked(suite, "-n1")
    try_all(suite, findings, "contaminated-crash")


@pytest.mark.parametrize("how", ["-p shuffles", "-p no:shuffles"])
def test_of_tests_that_a_plugin_shuffles(suite: Suite, how: str) -> None:
    # It has the order of the names while the commands are tried, and another when the user does so.
    suite.file(
        "shuffles.py",
        """
        from pathlib import Path
        def pytest_collection_modifyitems(items):
            if Path("reverse").exists():
                items.reverse()
        """,
    )
    suite.file("pytest.ini", f"[pytest]\naddopts = {how}\npythonpath = .")
    suite.tests(POLLUTED)
    _, findings = rechecked(suite, "-n1")
    (suite.path / "reverse").touch()
    (fails, _) = try_all(suite, findings, "victim")
    assert ("--procpar-replay" in fails) == (how == "-p shuffles")


def test_options_that_matter_are_kept_and_others_are_not(suite: Suite) -> None:
    suite.conftest("""
        import pytest
        def pytest_addoption(parser):
            parser.addoption("--flavour")
            parser.addoption("--plain", action="store_true")
        @pytest.fixture
        def flavour(request):
            assert request.config.option.plain
            return request.config.option.flavour
    """)
    suite.tests("""
        STATE = []
        def test_polluter(flavour): STATE.append(flavour)
        def test_victim(): assert STATE != ["very sweet"]
    """)
    _, findings = rechecked(
        suite, "-n1", "-vv", "--flavour", "very sweet", "--plain", "--durations=3", "-rA", "--tb=short",
        "--junitxml=junit.xml", "--dist", "loadfile", "test_it.py",
    )  # fmt: skip
    fails, passes = try_all(suite, findings, "victim")
    assert passes == "pytest --flavour 'very sweet' --plain test_it.py::test_victim"
    assert fails == (
        "pytest --flavour 'very sweet' --plain test_it.py::test_polluter test_it.py::test_victim"
    )


# --- when names do not force the order --------------------------------------------------------------


@pytest.mark.parametrize("cache", ["there", "none", "in the way"])
def test_of_tests_that_a_conftest_reverses(
    suite: Suite, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory, cache: str
) -> None:
    shared = tmp_path_factory.mktemp("shared")
    monkeypatch.setenv("TMPDIR", str(shared))
    (shared / "precious").write_text("precious")
    # What somebody puts there who knows how such files were once called.
    trap = shared / f"procpar-{getpass.getuser()}"
    trap.mkdir()
    for number in range(3):
        os.mkfifo(trap / f"victim-{number}-fails.json")
        (trap / f"victim-{number}-passes.json").symlink_to(shared / "precious")
    if cache == "in the way":  # as in a read-only project
        suite.file(".pytest_cache", "no folder")
    suite.conftest("def pytest_collection_modifyitems(items): items.reverse()")
    suite.tests("""
        STATE = []
        def test_victim(): assert not STATE
        def test_between(): pass
        def test_polluter(): STATE.append(1)
    """)
    _, findings = rechecked(suite, "-n1", *(["-p", "no:cacheprovider"] if cache == "none" else []))
    assert told(findings) == {"test_victim": ("victim", ["test_polluter"])}
    try_all(suite, findings, "victim")
    assert (shared / "precious").read_text() == "precious"
    kept = [path for path in shared.iterdir() if path.name.startswith("procpar") and path != trap]
    assert len(kept) == (0 if cache == "there" else 1)
    for folder in kept:  # for nobody else to read or to choose
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_of_two_runs_with_one_cache(suite: Suite) -> None:
    suite.conftest("def pytest_collection_modifyitems(items): items.reverse()")
    text = """
        STATE = []
        def test_victim(): assert not STATE
        def test_{}(): STATE.append(1)
    """
    suite.tests(text.format("polluter"))
    _, first = rechecked(suite, "-n1")
    suite.tests(text.format("other_polluter"))
    rechecked(suite, "-n1")
    suite.tests(text.format("polluter"))
    try_all(suite, first, "victim")


def test_of_tests_that_a_scope_reorders(suite: Suite) -> None:
    suite.tests("""
        import pytest
        STATE = []

        @pytest.fixture(scope="module", params=[1, 2])
        def number(request):
            return request.param

        def test_one(number):
            if number == 2:
                STATE.append(1)

        def test_two(number): assert number == 1 or not STATE
    """)
    _, findings = rechecked(suite, "-n1")
    assert told(findings) == {"test_two[2]": ("victim", ["test_one[2]"])}
    try_all(suite, findings, "victim")


def test_of_tests_that_share_a_name(suite: Suite) -> None:
    suite.conftest("""
        import pytest

        STATE = []

        class Twin(pytest.Item):
            def __init__(self, *, number, **facts):
                super().__init__(**facts)
                self.number = number

            def runtest(self):
                STATE.append(self.number)
                assert STATE[-2:] != [1, 2], "number 1 came before"

        class Twins(pytest.File):
            def collect(self):
                return [Twin.from_parent(self, name="twin", number=number) for number in range(3)]

        def pytest_collect_file(file_path, parent):
            if file_path.suffix == ".twins":
                return Twins.from_parent(parent, path=file_path)
    """)
    suite.file("a.twins", "")
    finished, findings = rechecked(suite, "-n1")
    finished.assert_summary(passed=2, failed=1)
    (finding,) = findings
    assert finding["kind"] == "victim"
    assert finding["test"] == {"nodeid": "a.twins::twin", "index": 2}
    assert finding["causes"] == [{"nodeid": "a.twins::twin", "index": 1}]
    assert told(findings) == {"twin": ("victim", ["twin"])}
    assert all("--procpar-replay=" in command for command in try_all(suite, findings, "victim"))


# --- what a fresh process does otherwise ------------------------------------------------------------


def test_a_victim_of_an_import_fails_in_the_fork_and_passes_in_a_fresh_process(suite: Suite) -> None:
    suite.file("lib.py", "VALUE = 1")
    suite.file("test_a.py", "import lib\ndef test_victim(): assert lib.VALUE == 1")
    suite.file("test_b.py", "import lib\nlib.VALUE = 2\ndef test_more(): pass")
    finished, findings = rechecked(suite, "-n1")
    (finding,) = findings
    assert (finding["kind"], finding["collection_dependent"]) == ("plain", True)
    assert [(tried["expected"], tried["outcome"]) for tried in finding["commands"]] == [("failed", "passed")]
    assert shell(suite, finding["commands"][0]["command"]) == PASSES
    assert finished.ret == 1


def test_what_a_module_needs_of_another_that_is_collected_is_collection_dependent(suite: Suite) -> None:
    suite.file("lib.py", "READY = []")
    suite.file("test_a.py", "import lib\nlib.READY.append(1)\ndef test_more(): pass")
    suite.file(
        "test_b.py",
        """
        import lib
        STATE = []
        def test_polluter(): STATE.append(1)
        def test_victim(): assert lib.READY and not STATE
        """,
    )
    finished, findings = rechecked(suite, "-n1")
    (finding,) = findings
    assert (finding["kind"], finding["collection_dependent"]) == ("victim", True)
    assert section(finished)[0] == "VICTIM (COLLECTION DEPENDENT) test_b.py::test_victim"
    for tried in finding["commands"]:
        assert shell(suite, tried["command"]) == (FAILS if tried["outcome"] == "failed" else PASSES)


def test_a_repeated_test_counts_by_its_last_attempt(suite: Suite) -> None:
    suite.conftest("""
        from _pytest.runner import runtestprotocol

        def pytest_runtest_protocol(item, nextitem):
            item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
            for attempt in range(2):
                reports = runtestprotocol(item, nextitem=nextitem, log=False)
                again = attempt == 0 and any(report.failed for report in reports)
                for report in reports:
                    if again and report.failed:
                        report.outcome = "rerun"
                    item.ihook.pytest_runtest_logreport(report=report)
                if not again:
                    break
            item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
            return True

        def pytest_report_teststatus(report):
            if report.outcome == "rerun":
                return "rerun", "R", "RERUN"
    """)
    suite.tests(POLLUTED)
    _, findings = rechecked(suite, "-n1")
    assert told(findings) == {"test_victim": ("victim", ["test_polluter"])}
    report = json.loads((suite.path / "report.json").read_text())
    assert [attempt["outcome"] for attempt in report["tests"][3]["attempts"]] == ["rerun", "failed"]


def test_fresh_processes_that_get_in_each_others_way_are_run_again_alone(suite: Suite) -> None:
    suite.conftest("""
        import os
        import pytest
        import time

        @pytest.fixture(scope="session", autouse=True)
        def port():
            os.mkdir("port")
            if "PYTEST_XDIST_WORKER" not in os.environ:
                time.sleep(0.5)
            yield
            os.rmdir("port")
    """)
    suite.tests("""
        STATE = []
        def test_polluter(): STATE.append(1)
        def test_victim(): assert not STATE
    """)
    _, findings = rechecked(suite, "-n1", "--recheck-budget=100")
    assert told(findings) == {"test_victim": ("victim", ["test_polluter"])}
    assert not findings[0]["collection_dependent"]
