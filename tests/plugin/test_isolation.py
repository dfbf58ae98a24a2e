"""Tests in processes of their own: --isolate, --max-tests-per-worker, the marks, with workers and without."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import TIMEOUT, Finished, Suite

#: Tests that fail if another one has run in their process.
CLEAN = """
    import os
    import pytest
    from recorder import note

    STATE = []

    @pytest.mark.parametrize("i", range(8))
    def test(i):
        note("ran", test=i, parent=os.getppid())
        assert not STATE
        STATE.append(i)
"""

#: Marked tests among others, of which those in `STATE` have run in this process.
MARKED = """
    import os
    import pytest
    from recorder import note

    STATE = []

    def ran(name):
        note("ran", test=name, before=STATE.copy())
        STATE.append(name)

    @pytest.fixture(scope="session", autouse=True)
    def shared():
        note("up")
        yield
        note("down")

    def test_1():
        ran(1)

    @pytest.mark.isolated
    def test_2():
        ran(2)
        {deed}

    @pytest.mark.isolated
    class Test:
        def test_3(self):
            ran(3)

        def test_4(self):
            ran(4)

    def test_5():
        ran(5)
"""

#: How marked tests are run: in a worker and without any.
everywhere = pytest.mark.parametrize("workers", [["-n1"], []], ids=["-n1", "plain"])

isolating = pytest.mark.parametrize(
    "options", [["-n2", "--isolate"], ["--isolate"], ["-n0", "--isolate"], ["--forked"]], ids=" ".join
)


def pids(finished: Finished, kind: str = "ran") -> list[int]:
    return finished.facts(kind, "pid")


def failed(finished: Finished) -> dict[str, Any]:
    """The one report of a test that failed."""
    (report,) = [report for report in finished.notes("report") if report["outcome"] == "failed"]
    return report


# --- every test ------------------------------------------------------------------------------------


@isolating
@pytest.mark.python_dependent
def test_every_test_has_a_process_of_its_own(suite: Suite, options: list[str]) -> None:
    suite.tests(CLEAN)
    finished = suite.run(*options)
    finished.assert_summary(passed=8)
    assert len(set(pids(finished))) == 8
    assert sorted(finished.ran) == [*range(8)]


def test_the_suite_is_collected_once(suite: Suite) -> None:
    suite.tests(CLEAN)
    assert len(suite.run("-n2", "--isolate").notes("collection")) == 1


def test_as_many_run_at_the_same_time_as_there_are_workers(suite: Suite) -> None:
    suite.make_barrier()
    suite.tests("""
        import pytest
        from recorder import block, reached

        @pytest.mark.parametrize("i", range(4))
        def test(i):
            reached()
            block()
    """)
    running = suite.start("-n2", "--isolate")
    assert len({line.split()[0] for line in suite.await_reached(2)}) == 2
    running.signal(2)
    assert running.finish().ret == 2


def test_shared_fixtures_are_set_up_and_torn_down_in_each_process(suite: Suite) -> None:
    suite.tests("""
        import pytest
        from recorder import note

        @pytest.fixture(scope="session", autouse=True)
        def session():
            note("up")
            yield
            note("down")

        @pytest.fixture(scope="module", autouse=True)
        def module():
            yield
            note("module down")

        @pytest.mark.parametrize("i", range(4))
        def test(i):
            note("ran", test=i)
    """)
    finished = suite.run("-n2", "--isolate")
    finished.assert_summary(passed=4)
    assert sorted(pids(finished)) == sorted(pids(finished, "up")) == sorted(pids(finished, "down"))
    assert sorted(pids(finished)) == sorted(pids(finished, "module down"))


def test_the_session_is_finished_once_in_each_worker(suite: Suite) -> None:
    suite.tests(CLEAN)
    finished = suite.run("-n2", "--isolate")
    assert sorted(finished.facts("sessionfinish", "worker")) == ["gw0", "gw1", "main"]
    assert finished.ret == 0


def test_the_hook_of_forked_workers_is_called_in_each_process(suite: Suite) -> None:
    suite.tests(CLEAN)
    suite.conftest("""
        from recorder import note

        def pytest_procpar_worker_forked(config):
            note("forked", worker=config.workerinput["workerid"])
    """)
    finished = suite.run("-n2", "--isolate")
    assert set(pids(finished)) < set(pids(finished, "forked"))


def test_a_process_may_take_its_time_before_its_test(suite: Suite) -> None:
    suite.tests("def test(): pass")
    suite.conftest("""
        import time

        def pytest_procpar_worker_forked(config):
            time.sleep(3.5)  # longer than a worker may take to begin a test that it has claimed
    """)
    suite.run("-n1", "--isolate").assert_summary(passed=1)


def test_a_death_before_a_test_is_an_error_of_the_run(suite: Suite) -> None:
    suite.tests(CLEAN)
    suite.conftest("""
        import os

        STEM = []

        def pytest_procpar_worker_forked(config):
            if STEM and not os.path.exists("died"):
                open("died", "w").close()
                os._exit(5)
            STEM.append(os.getpid())
    """)
    finished = suite.run("-n1", "--isolate")
    finished.assert_summary(passed=8, errors=1)
    assert "died before its next test: exited with code 5" in finished.out


@pytest.mark.parametrize("dist", ["worksteal", "loadscope", "loadfile", "loadgroup", "stable"])
def test_isolation_goes_with_every_distribution(suite: Suite, dist: str) -> None:
    suite.tests(CLEAN)
    suite.run("-n2", "--isolate", f"--dist={dist}").assert_summary(passed=8)


def test_under_each_every_worker_isolates_all_tests(suite: Suite) -> None:
    suite.tests(CLEAN)
    finished = suite.run("-n2", "--isolate", "--dist=each")
    finished.assert_summary(passed=16)
    assert len(set(pids(finished))) == 16


# --- what a test says ------------------------------------------------------------------------------


@isolating
def test_reports_and_output_are_those_of_an_ordinary_run(suite: Suite, options: list[str]) -> None:
    suite.tests("""
        import pytest
        import warnings

        @pytest.fixture
        def broken():
            print("in setup")
            raise ValueError

        def test_passes(record_property):
            record_property("key", "value")

        def test_fails():
            print("in call")
            assert 0

        def test_errs(broken):
            pass

        @pytest.mark.skip(reason="why not")
        def test_skipped():
            pass

        @pytest.mark.xfail
        def test_xfails():
            assert 0

        def test_warns():
            warnings.warn("careful", stacklevel=1)
    """)
    finished = suite.run(*options, "--junitxml=junit.xml", "-ojunit_family=xunit1")
    finished.assert_summary(passed=2, failed=1, errors=1, skipped=1, xfailed=1, warnings=1)
    sections = {r["nodeid"].split("_")[-1]: r["sections"] for r in finished.notes("report") if r["sections"]}
    assert sections["fails"][0] == ["Captured stdout call", "in call\n"]
    assert sections["errs"][0] == ["Captured stdout setup", "in setup\n"]
    cases = [*ElementTree.parse(suite.path / "junit.xml").iter("testcase")]
    assert len(cases) == 6
    assert [(p.get("name"), p.get("value")) for c in cases for p in c.iter("property")] == [("key", "value")]


@isolating
def test_a_tests_temporary_directory_is_kept(suite: Suite, options: list[str]) -> None:
    suite.tests("""
        import pytest

        @pytest.mark.parametrize("i", range(4))
        def test(i, tmp_path):
            (tmp_path / f"made by {i}").touch()
    """)
    suite.run(*options).assert_summary(passed=4)
    assert len([*suite.path.rglob("made by *")]) == 4


@isolating
def test_the_first_failure_ends_the_run(suite: Suite, options: list[str]) -> None:
    suite.tests("""
        import pytest
        from recorder import note

        @pytest.mark.parametrize("i", range(200))
        def test(i):
            note("ran", test=i)
            assert 0
    """)
    finished = suite.run(*options, "-x")
    assert finished.ret == 1
    assert finished.summary["failed"] <= 2
    assert len(finished.notes("ran")) <= 2
    finished.stdout.fnmatch_lines(["!* stopping after * failures !*"])


def test_failures_in_several_processes_are_counted(suite: Suite) -> None:
    suite.tests("""
        import pytest

        @pytest.mark.parametrize("i", range(50))
        def test(i):
            assert i % 2
    """)
    finished = suite.run("--isolate", "--maxfail=3")
    finished.assert_summary(passed=2, failed=3)


@isolating
def test_an_interrupt_in_a_test_ends_the_run(suite: Suite, options: list[str]) -> None:
    suite.tests(CLEAN.replace("assert not STATE", "if i == 3: raise KeyboardInterrupt"))
    finished = suite.run(*options)
    assert finished.ret == 2
    finished.stdout.fnmatch_lines(["!* KeyboardInterrupt !*", "*test_it.py:*: KeyboardInterrupt"])


@isolating
def test_pytest_exit_in_a_test_ends_the_run(suite: Suite, options: list[str]) -> None:
    suite.tests(CLEAN.replace("assert not STATE", "if i == 3: pytest.exit('enough', returncode=9)"))
    finished = suite.run(*options)
    assert finished.ret == 9
    finished.stdout.fnmatch_lines(["!* _pytest.outcomes.Exit: enough !*"])


def test_a_plugins_wish_to_stop_is_heard(suite: Suite) -> None:
    suite.tests(CLEAN)
    suite.conftest("""
        def pytest_runtest_teardown(item):
            if "[3]" in item.nodeid:
                item.session.shouldstop = "seen enough"
    """)
    finished = suite.run("--isolate")
    assert finished.ret == 2
    assert finished.summary == {"passed": 4}
    finished.stdout.fnmatch_lines(["!* Interrupted: seen enough !*"])


def test_an_internal_error_in_a_tests_process_is_one_of_the_run(suite: Suite) -> None:
    suite.tests(CLEAN)
    suite.conftest("""
        def pytest_runtest_logstart(nodeid):
            if "[3]" in nodeid:
                raise ZeroDivisionError("hook")
    """)
    finished = suite.run("-n2", "--isolate")
    assert finished.ret == 3
    finished.stdout.fnmatch_lines(["INTERNALERROR> ZeroDivisionError: hook"])


def test_leaks_are_found_in_each_process(suite: Suite) -> None:
    suite.tests("""
        import os

        def test_leaky():
            os.environ["LEFT"] = "1"

        def test_clean():
            assert "LEFT" not in os.environ
    """)
    finished = suite.run("-n2", "--isolate", "--leaks=fail")
    finished.assert_summary(passed=2, errors=1)
    assert "LEFT" in str(failed(finished)["longrepr"])


def test_the_json_report_holds_every_test(suite: Suite) -> None:
    suite.tests(CLEAN)
    suite.run("-n2", "--isolate", "--procpar-report=report.json").assert_summary(passed=8)
    tests = json.loads((suite.path / "report.json").read_text())["tests"]
    assert len(tests) == 8


# --- crashes and hangs -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("deed", "cause"),
    [
        ("os.kill(os.getpid(), 11)", "killed by SIGSEGV"),
        ("os.kill(os.getpid(), 9)", "killed by SIGKILL"),
        ("os.kill(os.getpid(), 15)", "killed by SIGTERM"),
        ("os.killpg(0, 15)", "killed by SIGTERM"),
        ("os._exit(3)", "exited with code 3"),
        ("os._exit(0)", "exited with code 0"),
    ],
)
@pytest.mark.parametrize("options", [["-n2", "--isolate"], ["-n2", "--max-tests-per-worker=2"]], ids=" ".join)
@pytest.mark.python_dependent
def test_a_crash_is_reported_as_one_of_the_test(
    suite: Suite, options: list[str], deed: str, cause: str
) -> None:
    suite.tests(f"""
        import os
        import pytest

        @pytest.mark.parametrize("i", range(6))
        def test(i):
            if i == 3:
                print("last words")
                {deed}
    """)
    finished = suite.run(*options)
    finished.assert_summary(passed=5, failed=1)
    report = failed(finished)
    assert report["nodeid"] == "test_it.py::test[3]"
    known = dict(report["properties"])
    assert known["procpar_cause"] == cause
    assert known["procpar_phase"] == "call"
    assert ["Captured stdout call", "last words\n"] in report["sections"]
    if cause == "killed by SIGSEGV":
        assert str(report["longrepr"]).count("Fatal Python error") == 1


def test_peak_memory_is_that_of_the_test(suite: Suite) -> None:
    suite.tests("""
        import os

        def test():
            held = b"x" * (200 << 20)
            os._exit(1)
    """)
    report = failed(suite.run("--isolate"))
    assert dict(report["properties"])["procpar_peak_memory"] > 200 << 20


@pytest.mark.parametrize("deed", ["block()", "os.setsid(); signal.signal(15, signal.SIG_IGN); block()"])
@pytest.mark.python_dependent
def test_a_hang_is_ended_and_its_stack_shown(suite: Suite, deed: str) -> None:
    suite.make_barrier()
    suite.tests(f"""
        import os, signal
        import pytest
        from recorder import block

        @pytest.mark.parametrize("i", range(6))
        def test(i):
            if i == 3:
                {deed}
    """)
    finished = suite.run("-n2", "--isolate", "--hang-timeout=3")
    finished.assert_summary(passed=5, failed=1)
    report = failed(finished)
    assert dict(report["properties"])["procpar_outcome"] == "hung"
    assert "in block" in str(report["longrepr"])


def test_a_hang_in_an_exit_handler_is_the_tests(suite: Suite) -> None:
    suite.make_barrier()
    suite.tests("""
        import atexit
        from recorder import block

        def test():
            atexit.register(block)
    """)
    finished = suite.run("--isolate", "--hang-timeout=3")
    assert finished.ret == 1
    assert any("hung" in str(report["properties"]) for report in finished.notes("report"))


@pytest.mark.python_dependent
def test_exit_handlers_run_in_the_process_that_has_registered_them(suite: Suite) -> None:
    suite.tests("""
        import atexit
        from recorder import note

        atexit.register(lambda: note("inherited"))

        def test_1():
            note("ran", test=1)
            atexit.register(lambda: note("own"))

        def test_2():
            pass
    """)
    finished = suite.run("-n1", "--isolate")
    assert pids(finished, "own") == pids(finished)
    assert len(pids(finished, "inherited")) == 1  # by the fork server, which has imported the module


@pytest.mark.python_dependent
def test_a_child_that_a_test_forks_says_nothing(suite: Suite) -> None:
    suite.tests("""
        import os
        import pytest

        @pytest.mark.parametrize("i", range(4))
        def test(i):
            if os.fork() == 0:
                assert 0
            os.wait()
    """)
    suite.run("-n2", "--isolate").assert_summary(passed=4)


def test_setsid_works(suite: Suite) -> None:
    suite.tests("""
        import os

        def test():
            os.setsid()
            assert os.getsid(0) == os.getpid()
    """)
    suite.run("--isolate").assert_summary(passed=1)


@pytest.mark.parametrize("options", [["-n2", "--isolate"], ["-n2", "--max-tests-per-worker=3"]], ids=" ".join)
def test_nothing_is_left_when_the_controller_is_killed(suite: Suite, options: list[str]) -> None:
    suite.make_barrier()
    suite.tests("""
        import pytest
        from recorder import block, reached

        @pytest.mark.parametrize("i", range(4))
        def test(i):
            reached()
            block()
    """)
    running = suite.start(*options)
    suite.await_reached(2)
    running.signal(9)
    running.finish()
    assert suite.await_gone() == []


def test_an_interrupt_of_the_run_reaches_the_tests(suite: Suite) -> None:
    suite.make_barrier()
    suite.tests("""
        import pytest
        from recorder import block, note, reached

        @pytest.fixture(scope="session", autouse=True)
        def shared():
            yield
            note("down")

        @pytest.mark.parametrize("i", range(4))
        def test(i):
            reached()
            block()
    """)
    running = suite.start("-n2", "--isolate")
    suite.await_reached(2)
    running.signal(2)
    finished = running.finish()
    assert finished.ret == 2
    assert len(finished.notes("down")) == 2


# --- renewed workers -------------------------------------------------------------------------------


@pytest.mark.parametrize(("limit", "processes"), [(1, 8), (3, 3), (8, 1), (100, 1)])
def test_a_worker_is_renewed_after_so_many_tests(suite: Suite, limit: int, processes: int) -> None:
    suite.trivial(8)
    finished = suite.run(f"--max-tests-per-worker={limit}")
    finished.assert_summary(passed=8)
    runs = pids(finished)
    assert len(set(runs)) == processes
    assert max(map(runs.count, runs)) == min(limit, 8)
    assert set(finished.facts("ran", "worker")) == {"gw0"}


def test_what_tests_share_is_torn_down_before_a_worker_is_renewed(suite: Suite) -> None:
    suite.tests("""
        import pytest
        from recorder import note

        @pytest.fixture(scope="module", autouse=True)
        def shared():
            note("up")
            yield
            note("down")

        @pytest.mark.parametrize("i", range(6))
        def test(i):
            note("ran", test=i)
    """)
    finished = suite.run("--max-tests-per-worker=3")
    kinds = [record["kind"] for record in finished.records if record["kind"] in ("up", "down", "ran")]
    assert kinds == ["up", "ran", "ran", "ran", "down"] * 2


@pytest.mark.parametrize("value", ["0", "-1", "many"])
def test_a_wrong_number_of_tests_is_a_usage_error(suite: Suite, value: str) -> None:
    suite.trivial(1)
    finished = suite.run(f"--max-tests-per-worker={value}")
    assert finished.ret == 4
    assert f"--max-tests-per-worker: invalid value '{value}': give a whole number from 1 up" in finished.err


def test_a_debugger_and_isolation_exclude_each_other(suite: Suite) -> None:
    suite.trivial(1)
    for option in ("--pdb", "--trace"):
        finished = suite.run("--isolate", option)
        assert finished.ret == 4
        assert f"--isolate: a test in a process of its own cannot be debugged with {option}" in finished.err


# --- marks -----------------------------------------------------------------------------------------


@everywhere
@pytest.mark.python_dependent
def test_a_marked_test_finds_nothing_that_others_have_left(suite: Suite, workers: list[str]) -> None:
    suite.tests(MARKED.format(deed=""))
    finished = suite.run(*workers, "--strict-markers")
    finished.assert_summary(passed=5)
    assert {note["test"]: note["before"] for note in finished.notes("ran")} == {
        1: [], 2: [], 3: [], 4: [], 5: [1],
    }  # fmt: skip
    assert len(set(pids(finished))) == 4
    assert sorted(pids(finished, "up")) == sorted(pids(finished, "down")) == sorted(set(pids(finished)))


@everywhere
def test_what_tests_have_patched_does_not_matter(suite: Suite, workers: list[str]) -> None:
    suite.tests("""
        import os
        import pytest
        import socket

        def refuse(*args, **kwargs):
            raise AssertionError("what a test has patched was called")

        def patch():
            for name in ("getpid", "write", "read", "kill", "fork", "wait4", "_exit", "_fork"):
                setattr(os, name, refuse)
            socket.socket.send = socket.socket.recv = refuse

        def test_1():
            if "PYTEST_XDIST_WORKER" in os.environ:  # else pytest itself would need them
                patch()

        @pytest.mark.isolated
        def test_2():
            patch()

        def test_3():
            pass
    """)
    finished = suite.run(*workers, "-p", "no:recorder")
    finished.assert_summary(passed=3)
    assert finished.ret == 0


@everywhere
def test_the_mark_goes_for_a_module(suite: Suite, workers: list[str]) -> None:
    suite.tests(CLEAN.replace("STATE = []", "STATE = []\n    pytestmark = pytest.mark.isolated"))
    finished = suite.run(*workers)
    finished.assert_summary(passed=8)
    assert len(set(pids(finished))) == 8


@everywhere
@pytest.mark.parametrize("deed", ["os.kill(os.getpid(), 11)", "os._exit(0)"])
def test_a_marked_test_that_crashes_is_reported(suite: Suite, workers: list[str], deed: str) -> None:
    suite.tests(MARKED.format(deed=f"print('last words'); {deed}"))
    finished = suite.run(*workers)
    finished.assert_summary(passed=4, failed=1)
    report = failed(finished)
    assert report["nodeid"] == "test_it.py::test_2"
    known = dict(report["properties"])
    assert known["procpar_outcome"] == "crashed"
    assert known["procpar_phase"] == "call"
    assert ["Captured stdout call", "last words\n"] in report["sections"]
    finished.stdout.fnmatch_lines(["CRASHED test_it.py::test_2 - *"])


def test_what_ordinary_tests_share_is_torn_down_when_a_marked_one_crashes(suite: Suite) -> None:
    suite.tests(MARKED.format(deed="os.kill(os.getpid(), 11)"))
    finished = suite.run("-n1")
    ordinary, marked = pids(finished)[:2]
    assert ordinary in pids(finished, "down")
    assert marked not in pids(finished, "down")


@everywhere
def test_a_marked_test_that_fails_is_shown_with_its_output(suite: Suite, workers: list[str]) -> None:
    suite.tests(MARKED.format(deed="print('in call'); assert 0"))
    finished = suite.run(*workers, "--junitxml=junit.xml")
    finished.assert_summary(passed=4, failed=1)
    assert ["Captured stdout call", "in call\n"] in failed(finished)["sections"]
    assert len([*ElementTree.parse(suite.path / "junit.xml").iter("failure")]) == 1


@everywhere
def test_a_marked_test_that_fails_ends_the_run_with_x(suite: Suite, workers: list[str]) -> None:
    suite.tests(MARKED.format(deed="assert 0"))
    finished = suite.run(*workers, "-x")
    finished.assert_summary(passed=1, failed=1)
    assert finished.ret == 1


@everywhere
@pytest.mark.parametrize(
    ("deed", "ret"), [("raise KeyboardInterrupt", 2), ("pytest.exit('enough', returncode=9)", 9)]
)
def test_a_marked_test_can_end_the_run(suite: Suite, workers: list[str], deed: str, ret: int) -> None:
    suite.tests(MARKED.format(deed=deed))
    finished = suite.run(*workers)
    assert finished.ret == ret
    finished.assert_summary(passed=1)
    assert sorted(pids(finished, "up")) == sorted(pids(finished, "down"))


def test_plugins_of_a_plain_run_hear_of_a_marked_test_once(suite: Suite) -> None:
    suite.tests(MARKED.format(deed=""))
    suite.conftest("""
        from recorder import note

        def pytest_runtest_logstart(nodeid):
            note("started", nodeid=nodeid)
    """)
    finished = suite.run()
    assert len(finished.notes("started")) == 5
    assert len(finished.notes("report")) == 15


def test_an_interrupt_of_a_plain_run_reaches_a_marked_test(suite: Suite) -> None:
    suite.make_barrier()
    suite.tests(MARKED.format(deed="from recorder import block, reached; reached(); block()"))
    running = suite.start()
    suite.await_reached()
    running.signal(2)
    finished = running.finish()
    assert finished.ret == 2
    assert sorted(pids(finished, "up")) == sorted(pids(finished, "down"))


def test_nothing_is_left_when_a_plain_run_is_killed(suite: Suite) -> None:
    suite.make_barrier()
    suite.tests(MARKED.format(deed="from recorder import block, reached; reached(); block()"))
    running = suite.start()
    suite.await_reached()
    running.signal(9)
    running.finish()
    assert suite.await_gone() == []


def test_the_mark_means_nothing_under_the_debugger(suite: Suite) -> None:
    suite.tests(MARKED.format(deed=""))
    assert len(set(pids(suite.run("--pdb")))) == 1


def test_a_marked_test_does_not_count_for_the_renewal_of_a_worker(suite: Suite) -> None:
    suite.tests(MARKED.format(deed=""))
    finished = suite.run("--max-tests-per-worker=2")
    finished.assert_summary(passed=5)
    assert {note["test"]: note["before"] for note in finished.notes("ran")}[5] == [1]


# --- memory ----------------------------------------------------------------------------------------


def test_neither_processes_nor_memory_pile_up(suite: Suite) -> None:
    suite.tests("""
        import os
        from pathlib import Path
        import pytest
        from recorder import note

        @pytest.mark.parametrize("i", range(300))
        def test(i):
            if i in (50, 299):
                parent = os.getppid()
                status = Path(f"/proc/{parent}/status").read_text()
                (held,) = [line for line in status.splitlines() if line.startswith("VmRSS")]
                # The parent may not have closed yet what it had opened for the fork.
                fds = min(len(os.listdir(f"/proc/{parent}/fd")) for _ in range(200))
                note("held", rss=int(held.split()[1]), fds=fds)
    """)
    finished = suite.run("--isolate")
    finished.assert_summary(passed=300)
    early, late = finished.notes("held")
    assert late["rss"] < early["rss"] + 512  # KiB
    assert late["fds"] == early["fds"]


# --- coverage --------------------------------------------------------------------------------------


@pytest.mark.skipif(importlib.util.find_spec("coverage") is None, reason="coverage is not installed")
@pytest.mark.parametrize(
    ("options", "missing"),
    [
        (["-n0", "-m", "not isolated"], [4, 8, 12]),
        (["-n0"], [12]),
        (["-n2"], [12]),
        (["-n2", "--isolate"], [12]),
        (["--isolate"], [12]),
        (["-n2", "--max-tests-per-worker=2"], [12]),
    ],
    ids=[
        "some",
        "-n0",
        "-n2",
        "-n2 --isolate",
        "--isolate",
        "-n2 --max-tests-per-worker=2",
    ],
)
@pytest.mark.python_dependent
def test_coverage_measures_what_a_plain_run_does(
    suite: Suite, options: list[str], missing: list[int]
) -> None:
    suite.file("lib.py", "\n".join(f"def f{i}():\n    return {i}" for i in range(6)))
    suite.tests("""
        import lib
        import pytest

        def test_0(): lib.f0()
        @pytest.mark.isolated
        def test_1(): lib.f1()
        def test_2(): lib.f2()
        @pytest.mark.isolated
        def test_3(): lib.f3()
        def test_4(): lib.f4()
    """)
    run_coverage(suite.path, "run", "-m", "pytest", *options)
    run_coverage(suite.path, "json", "-o", "coverage.json")
    found = json.loads((suite.path / "coverage.json").read_text())["files"]["lib.py"]["missing_lines"]
    assert found == missing


def run_coverage(folder: Path, *words: str) -> None:
    """Run a command of coverage's there; what it writes stands in the report if the test fails."""
    done = subprocess.run(
        [sys.executable, "-m", "coverage", *words],
        cwd=folder, timeout=TIMEOUT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    print(done.stdout, done.stderr, sep="\n--- stderr ---\n")
    assert done.returncode == 0
