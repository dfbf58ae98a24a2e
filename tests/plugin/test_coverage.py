"""Workers measure what a plain run measures: the same lines, branches and contexts, in as many files."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest

from tests.conftest import TIMEOUT, Suite
from tests.plugin.covering import CELLS, Cell, crossed, measure, write_project

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("coverage", "pytest_cov")),
    reason="needs pytest-cov",
)

WORKERS = ("-n2", "--dist=loadfile")

#: With ``PROCPAR_COVERAGE_STEP=1`` all combinations are run, with 2 every second one, and so on.
STEP = int(os.environ.get("PROCPAR_COVERAGE_STEP", "0"))


@pytest.mark.parametrize("cell", list(crossed())[::STEP] if STEP else CELLS, ids=str)
@pytest.mark.python_dependent
def test_workers_measure_what_a_plain_run_does(suite: Suite, cell: Cell) -> None:
    write_project(suite)
    _assert_measures_the_same(suite, cell)


def _assert_measures_the_same(suite: Suite, cell: Cell, ret: int = 0) -> None:
    plain = measure(suite, cell, ret=ret)
    (suite.path / "again").unlink(missing_ok=True)
    with_workers = measure(suite, cell, cell.workers, ret=ret)
    assert sorted(plain.facts - with_workers.facts) == []
    more = with_workers.facts - plain.facts
    assert sorted(fact for fact in more if not (cell.sees_first_context_only and " in " in fact)) == []
    assert with_workers.err == plain.err == ""
    assert "warning" not in with_workers.out + plain.out


@pytest.mark.parametrize(
    "cell",
    [
        Cell("cov", workers=(*WORKERS, "--start-method=fork-early")),
        Cell("cov", ("patch = subprocess, _exit",), workers=(*WORKERS, "--start-method=spawn")),
        Cell("run", ("branch = true",), workers=(*WORKERS, "--start-method=fork-early")),
        Cell("run", ("branch = true",), workers=(*WORKERS, "--start-method=spawn")),
        Cell("run", ("parallel = true",), workers=(*WORKERS, "--start-method=spawn")),
        Cell("run", ("dynamic_context = test_function",), workers=(*WORKERS, "--start-method=spawn")),
    ],
    ids=str,
)
def test_workers_that_collect_for_themselves_measure_it_too(suite: Suite, cell: Cell) -> None:
    write_project(suite)
    _assert_measures_the_same(suite, cell)


@pytest.mark.parametrize("by", ["cov", "run"])
def test_a_test_may_measure_something_itself(suite: Suite, by: str) -> None:
    test_itself = """
        import coverage
        import lib.called

        def test_before(): lib.called.work(0)
        def test_measures():
            inner = coverage.Coverage(data_file=None)
            inner.start()
            lib.called.work(1)
            inner.stop()
        def test_afterwards(): lib.called.work(2)
    """
    write_project(suite, {"test_itself": test_itself})
    _assert_measures_the_same(suite, Cell(by, workers=("-n1",)))


@pytest.mark.parametrize("cell", [Cell(), Cell("run", ("dynamic_context = test_function",))], ids=str)
def test_a_test_may_run_tests_on_workers_itself(suite: Suite, cell: Cell) -> None:
    suite.file(
        "inner/test_inner.py",
        """
        import lib.late
        def test_1(): lib.late.work(0)
        def test_2(): lib.late.work(2)
    """,
    )
    test_outer = """
        import pytest
        import lib.called
        def test_before(): lib.called.work(0)
        def test_it():
            assert pytest.main(["-ppytest_procpar.plugin", "-n2", "--recheck=none", "inner"]) == 0
        def test_after(): lib.called.work(2)
    """
    write_project(suite, {"test_outer": test_outer})
    measured = measure(suite, cell, ["-n2", "test_outer.py"])
    missing = {f"lib/{name}.py line {line}" for name in ("late", "called") for line in (2, 3, 6, 7, 8, 9)}
    assert sorted(missing - measured.facts) == []
    assert measured.err == ""


# --- processes for single tests ---


@pytest.mark.parametrize(
    "cell",
    [
        Cell(settings=("branch = true",), workers=("-n2", "--isolate")),
        Cell("run", ("patch = _exit",), workers=("-n2", "--isolate")),
    ],
    ids=str,
)
@pytest.mark.python_dependent
def test_processes_of_single_tests_measure_too(suite: Suite, cell: Cell) -> None:
    write_project(suite)
    _assert_measures_the_same(suite, cell)


@pytest.mark.parametrize("option", ["--isolate", "--max-tests-per-worker=2"])
def test_processes_of_single_tests_tell_contexts_apart(suite: Suite, option: str) -> None:
    tests = "".join(f"def test_{i}(): lib.called.work({i % 4})\n" for i in range(12))
    write_project(suite, {"test_it": f"import lib.called\n{tests}"})
    _assert_measures_the_same(suite, Cell(options=("--cov-context=test",), workers=("-n2", option)))


# --- tests that are run again ---

_AGAIN = """
    import multiprocessing, os, subprocess, sys
    from pathlib import Path
    import lib.called, lib.forked, lib.forked_exit, lib.pooled

    STATE = []

    def run(method, target, number):
        process = multiprocessing.get_context(method).Process(target=target, args=(number,))
        process.start()
        process.join()

    def test_polluter(): STATE.append(1)
    def test_victim():
        number = 0 if Path("again").exists() else 2
        Path("again").touch()
        lib.called.work(number)
        if os.fork() == 0:
            lib.forked_exit.work(number)
            os._exit(0)
        os.wait()
        run("fork", lib.pooled.work, number)
        run("SPAWN", lib.forked.work, number)
        subprocess.run([sys.executable, "-c", f"import lib.program; lib.program.work({number})"])
        assert not STATE
"""


@pytest.mark.parametrize(
    "cell",
    [
        Cell(
            settings=("patch = subprocess, fork, _exit", "concurrency = multiprocessing"),
            options=("--cov-context=test",),
            workers=("-n1",),
        ),
        Cell("run", ("concurrency = multiprocessing", "parallel = true"), workers=("-n1",)),
        Cell(settings=("concurrency = multiprocessing",), workers=("-n1", "--start-method=spawn")),
    ],
    ids=str,
)
def test_what_is_run_again_is_not_measured(suite: Suite, cell: Cell) -> None:
    # By "spawn" multiprocessing starts a process that outlives the run, and would be measured, too.
    method = "fork" if "subprocess" in str(cell) else "spawn"
    write_project(suite, {"test_it": _AGAIN.replace("SPAWN", method)})
    plain = measure(suite, cell, ret=1)
    (suite.path / "again").unlink()
    with_workers = measure(suite, cell, [*cell.workers, "-oprocpar_recheck=failed"], ret=1)
    assert "re-checking" in with_workers.out
    assert sorted(plain.facts ^ with_workers.facts) == []
    assert with_workers.err == plain.err


# --- crashes ---


@pytest.mark.parametrize(
    ("death", "cell"),
    [
        ("os._exit(3)", Cell("run", ("branch = true",))),
        ("os.kill(os.getpid(), signal.SIGKILL)", Cell()),
        ("os.kill(os.getpid(), signal.SIGKILL)", Cell("run", ("dynamic_context = test_function",))),
        ("ctypes.string_at(0)", Cell(settings=("branch = true",), options=("--cov-context=test",))),
        ("ctypes.string_at(0)", Cell("run", ("parallel = true",))),
        ("os._exit(3)", Cell(options=("--cov-context=test",), workers=("--start-method=spawn",))),
    ],
    ids=str,
)
def test_a_crash_loses_nothing_of_the_tests_before(suite: Suite, death: str, cell: Cell) -> None:
    write_project(
        suite,
        {
            "test_it": f"""
                import ctypes, faulthandler, os, pytest, signal
                import lib.called, lib.late
                @pytest.fixture
                def own(): yield; lib.late.work(0)
                def test_0(): lib.called.work(0)
                def test_1(own): lib.called.work(1)
                def test_dies(): lib.late.work(2); {death}
                def test_2(): lib.called.work(2)
            """
        },
    )
    plain = measure(suite, cell, ["-k", "not dies"], plain=True)
    with_workers = measure(suite, cell, [*cell.workers, "-n1", "-p", "no:faulthandler"], ret=1)
    assert sorted(plain.facts - with_workers.facts) == []
    more = {fact for fact in with_workers.facts - plain.facts if not fact.startswith("lib/late.py")}
    assert not [fact for fact in more if "dies" not in fact and "test_it.py line 9" not in fact]
    assert with_workers.err == ""


def test_a_crash_between_tests_does_not_lose_the_last_teardown(suite: Suite) -> None:
    tests = """
        import lib.late, pytest
        @pytest.fixture
        def own(): yield; lib.late.work(0)
        def test_1(own): pass
        def test_dies(): pass
    """
    write_project(suite, {"test_it": tests})
    with (suite.path / "conftest.py").open("a") as file:
        file.write(
            "import os\n"
            "@pytest.hookimpl(tryfirst=True)\n"
            "def pytest_runtest_protocol(item):\n"
            "    if item.name == 'test_dies': os._exit(1)\n"
        )
    cell = Cell(options=("--cov-context=test",))
    measured = measure(suite, cell, ["-n1"], ret=1)
    assert "lib/late.py line 3 in test_it.py::test_1|teardown" in measured.facts


def test_a_crashed_worker_has_returned_its_coverage(suite: Suite) -> None:
    """pytest-cov would tell the user to see that it is installed there."""
    suite.tests("""
        import os
        def test_1(): pass
        def test_dies(): os._exit(1)
    """)
    finished = suite.run("-n1", "-ppytest_cov", "--cov=.")
    finished.assert_summary(passed=1, failed=1)
    finished.stdout.no_fnmatch_line("*failed workers*")
    finished.stdout.fnmatch_lines(["test_it.py *"])


@pytest.mark.parametrize("by", ["cov", "run"])
def test_a_run_that_is_cut_short_leaves_no_other_files(suite: Suite, by: str) -> None:
    suite.tests("def test_1(): assert 0\ndef test_2(): pass")
    command = ["-m", "pytest", "-ppytest_cov", "--cov=."]
    if by == "run":
        command = ["-m", "coverage", "run", "-m", "pytest"]
    left = []
    for more in (["-x", "-n0"], ["-x", "-n2"]):
        ret = subprocess.run([sys.executable, *command, *more], cwd=suite.path, timeout=TIMEOUT).returncode
        assert ret == 1
        left.append(sorted(path.name for path in suite.path.glob(".coverage*")))
        for name in left[-1]:
            (suite.path / name).unlink()
    assert left[0] == left[1]


@pytest.mark.parametrize("by", ["cov", "run"])
def test_what_was_measured_before_can_be_added_to(suite: Suite, by: str) -> None:
    write_project(
        suite,
        {"test_one": "import lib.called\ndef test(): lib.called.work(0)",
         "test_two": "import lib.called\ndef test(): lib.called.work(1)"},
    )  # fmt: skip
    alone, both = Cell(by), Cell(by, options=("--cov-append" if by == "cov" else "--append",))
    found = []
    for options in ([], ["-n2"]):
        measure(suite, alone, [*options, "test_one.py"], plain=not options)
        found.append(measure(suite, both, [*options, "test_two.py"], plain=not options).facts)
    assert sorted(found[0] ^ found[1]) == []


def test_only_one_warning_tells_of_what_was_not_imported(suite: Suite) -> None:
    """The process that the user started imports no test module, and nothing that those import."""
    suite.file("package/__init__.py", "")
    suite.file("package/used.py", "VALUE = 1")
    suite.tests("import used_module\ndef test(): assert used_module.VALUE")
    suite.file("used_module.py", "VALUE = 1")
    command = ["-m", "coverage", "run", "--source=used_module,nowhere", "-m", "pytest"]
    errors = [
        subprocess.run(
            [sys.executable, *command, option],
            cwd=suite.path,
            timeout=TIMEOUT,
            capture_output=True,
            text=True,
        ).stderr
        for option in ("-n0", "-n2")
    ]
    assert errors[0] == errors[1]
    assert "nowhere" in errors[1]
    assert "used_module" not in errors[1].replace("source=used_module", "")
