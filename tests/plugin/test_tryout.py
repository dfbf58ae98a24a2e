"""``--procpar-try`` says what would change with workers, and changes nothing itself."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_procpar.core.switching.tryout import RunFacts
from pytest_procpar.switching.page import TriedRuns, page
from tests.conftest import Finished, Suite
from tests.plugin.rechecking import POLLUTED, told

pytest_plugins = ["tests.xdist_env"]

#: Notes where it runs, and what the environment tells there.
SEEN = """
    import os
    from recorder import note
    def seen(config):
        trace = [name for name in os.environ if name.startswith("PROCPAR_TRIED")]
        plugins = os.environ.get("PYTEST_PLUGINS", "")
        note("seen", worker=hasattr(config, "workerinput"), trace=trace, plugins=plugins)
"""


def files_of(suite: Suite) -> dict[str, bytes]:
    """The suite's files, but byte code."""
    found = {}
    for path in suite.path.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            found[str(path.relative_to(suite.path))] = path.read_bytes()
    return found


def tried(suite: Suite, *args: str) -> tuple[Finished, dict[str, Any]]:
    """Try the suite, with time for what it looks for; what programs are told."""
    report = suite.path.with_name(f"{suite.path.name}-try.json")
    finished = suite.run("-n2", "--recheck-budget=100", f"--procpar-try-report={report}", *args)
    return finished, json.loads(report.read_text())


def test_a_suite_that_ends_the_same_is_success(suite: Suite) -> None:
    suite.trivial(3)
    finished, record = tried(suite)
    assert finished.ret == 0
    finished.stdout.fnmatch_lines(
        [
            "procpar: what would change with workers, for 3 tests",
            "*wall*processor",
            "  without workers * s * s",
            "  with -n 2 * s *(*)* s *(*)",
            "tests that end otherwise with workers: none",
            "tests that depend on order or on company: none was found",
            '    addopts = "-n auto"',
        ]
    )
    assert {name: (run["tests"], run["workers"]) for name, run in record["runs"].items()} == {
        "plain": (3, 0),
        "procpar": (3, 2),
    }
    assert all(run["wall"] > 0 and run["cpu"] > 0 for run in record["runs"].values())
    assert record["differences"] == {"procpar": [], "xdist": []}
    assert (record["findings"], record["classified"], record["interrupted"]) == ([], True, False)


def test_what_depends_on_others_is_named_with_what_to_mark(suite: Suite) -> None:
    suite.tests(POLLUTED)
    finished, record = tried(suite, "--dist=worksteal")
    finished.stdout.fnmatch_lines(["procpar: run 3, -n 1, with a look for dependences ..."])
    assert told(record["findings"]) == {"test_victim": ("victim", ["test_polluter"])}
    (advice,) = record["advice"]
    assert (advice["tests"], advice["mark"]) == (["test_it.py::test_polluter"], "isolated")
    assert "    pytest test_it.py::test_polluter test_it.py::test_victim" in finished.out.splitlines()


def test_a_test_that_fails_without_workers_only_differs(suite: Suite) -> None:
    suite.tests("def test_it(pytestconfig): assert hasattr(pytestconfig, 'workerinput')")
    finished, record = tried(suite, "--recheck-budget=0")
    assert finished.ret == 1
    assert record["differences"]["procpar"] == [
        {"test": "test_it.py::test_it", "plain": "failed", "other": "passed"}
    ]
    assert not record["classified"]
    finished.stdout.fnmatch_lines(["  exit status: 1 without workers, 0 with workers"])


def test_what_fails_beside_others_is_found_with_workers(suite: Suite) -> None:
    suite.tests("""
        import os, time
        from pathlib import Path
        def meet(own, other):
            if "PYTEST_XDIST_WORKER" in os.environ:
                Path(own).touch()
                deadline = time.monotonic() + 2
                while not Path(other).exists() and time.monotonic() < deadline:
                    time.sleep(0.001)
                assert not Path(other).exists()
        def test_one(): meet("one", "other")
        def test_other(): meet("other", "one")
    """)
    finished, record = tried(suite, "--recheck-budget=1")
    assert finished.ret == 1
    assert {one["other"] for one in record["differences"]["procpar"]} == {"failed"}


def test_a_start_method_that_is_needed_is_to_be_pinned(suite: Suite) -> None:
    suite.conftest("""
        import socket
        SERVER = socket.create_server(("127.0.0.1", 0))
    """)
    suite.trivial(2)
    suite.file("pytest.ini", "[pytest]\naddopts = -ra\n")
    _, record = tried(suite)
    method = record["runs"]["procpar"]["start_method"]
    assert method in ("fork-early", "spawn")
    assert [one["option"] for one in record["advice"]] == [{"name": "procpar_start_method", "value": method}]
    assert record["configuration"] == [
        "[pytest]",
        "addopts = -ra -n auto",
        f"procpar_start_method = {method}",
    ]
    assert record["differences"]["procpar"] == []


#: Writes whatever can be written: a report, a snapshot, its own source, the cache.
WRITING = f"""{SEEN}
    from pathlib import Path
    HERE = Path(__file__).parent
    def test_writes(pytestconfig, tmp_path):
        seen(pytestconfig)
        tmp_path.joinpath("x").touch()
        source = HERE.joinpath("data.txt")
        source.write_text(source.read_text() + "more")
        HERE.joinpath("new").mkdir()
        HERE.joinpath("new", "file").touch()
        assert source.read_text() == "datamore"
    def test_fails(pytestconfig): assert 0
"""


def test_nothing_of_the_users_is_written(suite: Suite) -> None:
    suite.tests(WRITING)
    suite.conftest("""
        from pathlib import Path
        def pytest_sessionfinish(session):
            with Path(__file__).with_name("sessions.txt").open("a") as file:
                file.write("one more")
    """)
    suite.file("data.txt", "x").write_text("data")
    suite.file(
        "pytest.ini", "[pytest]\naddopts = --junitxml=junit.xml --basetemp=tmp -x\nlog_file = log.txt\n"
    )
    suite.give_basetemp = False
    before = files_of(suite)
    finished, record = tried(suite, "--procpar-report=mine.json")
    after = files_of(suite)
    assert after == before
    assert record["differences"]["procpar"] == []
    assert record["left_out"] == ["--junitxml=junit.xml", "--procpar-report=mine.json"]
    assert any(name.endswith("data.txt") for name in record["changed"])
    assert record["not_put_back"] == []
    finished.stdout.fnmatch_lines(["left out of all runs, since it writes or sends something: --junitxml*"])
    seen = finished.notes("seen")
    assert {note["worker"] for note in seen} == {True, False}
    assert {(str(note["trace"]), note["plugins"]) for note in seen} == {
        ("[]", "pytest_procpar.plugin,recorder")
    }


@pytest.mark.parametrize(
    ("ways", "args"),
    [
        ({"autoload": True}, ["--dist=loadgroup"]),
        ({}, ["-p", "procpar", "-p", "xdist"]),
    ],
    ids=["loaded by themselves", "named"],
)
def test_pytest_xdist_is_compared_if_it_is_there(
    suite: Suite, install_xdist: Callable[..., None], ways: dict[str, Any], args: list[str]
) -> None:
    install_xdist(**ways)
    suite.conftest("""
        from pathlib import Path
        def pytest_configure(config):
            with Path(__file__).with_name("written").open("a") as file:
                file.write("more")
    """)
    suite.tests("""
        import sys
        import pytest
        @pytest.mark.xdist_group("one")
        def test_grouped(): pass
        def test_with_us(): assert "pytest_procpar.plugin" in sys.modules
        def test_options(pytestconfig): assert "PROCPAR_TRIED" not in __import__("os").environ
    """)
    suite.file("pytest.ini", "[pytest]\naddopts = --hang-timeout=60 --start-method=fork\n")
    before = files_of(suite)
    finished, record = tried(suite, "--recheck-budget=0", *args)
    assert finished.ret == 0
    assert record["runs"]["xdist"]["tests"] == 3
    assert record["differences"]["procpar"] == []
    finished.stdout.fnmatch_lines(["  pytest-xdist, -n 2 * s*"])
    (one,) = record["differences"]["xdist"]
    assert one == {"test": "test_it.py::test_with_us", "plain": "passed", "other": "failed"}
    assert files_of(suite) == before


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("-n", "0"), "-n 0"),
        (("-n0",), "-n0"),
        (("--lf",), "--lf"),
        (("--maxfail=2",), "--maxfail=2"),
        (("-x",), "-x"),
        (("--collect-only",), "--collect-only"),
        (("--pdb",), "--pdb"),
        (("--replay", "x.json"), "--replay x.json"),
        (("--recheck=none",), "--recheck=none"),
        (("--isolate",), "--isolate"),
    ],
)
def test_options_that_make_no_sense_with_it_are_usage_errors(
    suite: Suite, args: tuple[str, ...], words: str
) -> None:
    suite.trivial(1)
    finished = suite.run("--procpar-try", *args)
    assert finished.ret == 4
    assert f"{words}: makes no sense with --procpar-try" in finished.err
    assert finished.notes("ran") == []


def test_a_report_that_cannot_be_written_is_a_usage_error_before_any_run(suite: Suite) -> None:
    suite.trivial(1)
    finished = suite.run("--procpar-try-report=/proc/x.json")
    assert finished.ret == 4
    assert "--procpar-try-report: cannot write to '/proc/x.json'" in finished.err
    assert finished.notes("ran") == []


@pytest.mark.parametrize(
    ("args", "source", "ret", "words"),
    [
        ((), "import nowhere_to_be_found", 1, "test_it.py cannot be collected: E   ModuleNotFoundError"),
        ((), "VALUE = 1", 1, "without workers no test runs (exit status 5)"),
        (("no_such_file.py",), "def test(): pass", 4, "without workers no test runs (exit status 4)"),
    ],
)
def test_where_no_test_runs_there_is_nothing_to_compare(
    suite: Suite, args: tuple[str, ...], source: str, ret: int, words: str
) -> None:
    suite.tests(source)
    finished = suite.run("--procpar-try", *args)
    assert finished.ret == ret
    assert words in finished.out
    assert "run 2" not in finished.out


def test_a_test_that_ends_the_run_without_workers_does_not_end_it(suite: Suite) -> None:
    suite.tests("""
        import os
        def test_crash(): os.abort()
        def test_passes(): pass
    """)
    finished, record = tried(suite)
    assert finished.ret == 1
    assert record["runs"]["plain"]["trouble"] == "it was killed by SIGABRT"
    assert record["runs"]["procpar"]["tests"] == 2
    assert record["differences"]["procpar"] == []
    finished.stdout.fnmatch_lines(
        [
            "  without workers: it was killed by SIGABRT",
            "A test ends the run without workers; with them 2 come to an end. *",
        ]
    )


def test_a_busy_machine_is_said(pytester: pytest.Pytester) -> None:
    tried = TriedRuns(pytester.parseconfig())
    tried.plain = RunFacts(0, 1.0, 1.0, {"t": ("passed",)})
    assert not any("busy" in line for line in page(tried))
    tried.load = 5.0, 4
    (line,) = [line for line in page(tried) if "busy" in line]
    assert line == "  other programs kept the processors busy (load 5.0 on 4): times say little"


def test_ctrl_c_ends_it_and_says_what_is_known(suite: Suite) -> None:
    suite.tests("""
        from recorder import block, reached
        def test(pytestconfig):
            if hasattr(pytestconfig, "workerinput"):
                reached("there")
                block()
    """)
    suite.make_barrier()
    running = suite.start("-n1", "--procpar-try")
    suite.await_reached()
    running.signal(signal.SIGINT)
    finished = running.finish()
    assert finished.ret == 2
    finished.stdout.fnmatch_lines(
        ["procpar: ended by Ctrl-C; this is known so far", "procpar: what would change *, for 1 test"]
    )
    assert suite.await_gone() == []


def test_files_are_put_back_though_it_is_killed(suite: Suite) -> None:
    suite.tests("""
        from pathlib import Path
        from recorder import block, reached
        def test():
            Path(__file__).with_name("data.txt").write_text("spoilt")
            reached("there")
            block()
    """)
    data = suite.file("data.txt", "data")
    suite.make_barrier()
    running = suite.start("--procpar-try")
    suite.await_reached()
    os.kill(running.pid, signal.SIGKILL)
    running.finish()
    assert suite.await_gone() == []
    assert Path(data).read_text() == "data\n"
