"""What fails by the fork alone counts as in a fresh interpreter; what fails there, too, stays what it is."""

from __future__ import annotations

import json
import os
import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest

from tests.conftest import Finished, Suite
from tests.plugin.rechecking import name, section, shell, told
from tests.plugin.test_start_methods import is_unusual, said_method

#: An object that knows its process, as no detector can see: by way of C.
HANDLE = """
    import ctypes
    import os
    import threading
    import pytest

    LIBC = ctypes.CDLL(None)

    class Handle:
        def __init__(self):
            self.owner = str(LIBC.getpid())

        @property
        def is_foreign(self):
            return str(LIBC.getpid()) != self.owner

        def use(self):
            assert not self.is_foreign, "a handle of another process"

    HANDLE = Handle()
"""
#: A thread that answers, which is not there after a fork; the project vouches for it.
SERVICE = """
    import queue
    import threading

    ASKED, ANSWERS = queue.Queue(), queue.Queue()

    def serve():
        while True:
            ANSWERS.put(ASKED.get() + 1)

    threading.Thread(target=serve, name="service-1", daemon=True).start()
"""


#: One try of each kind with this risk, two with 0.1, instead of five. How many there are to be is tested
#: where nothing is started for it.
RISK = 0.5
FEW_TRIES = """
    from pytest_procpar.core.fork_trial import trial
    assert trial.try_group.__defaults__ == (trial.RISK,)
    trial.try_group.__defaults__ = ({risk},)
"""


@pytest.fixture
def trial(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> Suite:
    suite.file("pytest.ini", "[pytest]\nxfail_strict = true")
    suite.file("few_tries.py", FEW_TRIES.format(risk=RISK))
    monkeypatch.setenv("PYTEST_PLUGINS", f"{os.environ['PYTEST_PLUGINS']},few_tries")
    return suite


def tried(suite: Suite, *args: str) -> tuple[Finished, dict[str, Any]]:
    """A run of two workers that looks into what fails, and its report."""
    finished = suite.run("-n2", "--recheck=failed", "--procpar-report=report.json", *args)
    return finished, json.loads((suite.path / "report.json").read_text())


def outcomes(report: dict[str, Any]) -> dict[str, str]:
    return {name(test): test["outcome"] for test in report["tests"]}


def line(finished: Finished) -> str:
    """The line of the summary that says what counts."""
    (found,) = [one for one in finished.out.splitlines() if one.startswith("= procpar: ") and "forked" in one]
    return found


def counts_as(finished: Finished, report: dict[str, Any], **counts: int) -> None:
    """One test was blamed on the fork, nothing has failed, and the last line counts so."""
    assert finished.ret == pytest.ExitCode.OK, f"{finished.out}\n{finished.err}"
    finished.assert_summary(rerun=1, **counts)
    assert [kind for kind, _ in told(report["findings"]).values()] == ["fork-dependent"]


# --- what counts -------------------------------------------------------------------------------------


def test_the_result_of_a_fresh_interpreter_counts_everywhere(trial: Suite) -> None:
    trial.tests(
        HANDLE
        + """
    def test_before(): pass
    def test_handle(record_property):
        print("it was here")
        record_property("key", "value")
        HANDLE.use()
    def test_after(): pass
    """
    )
    finished, report = tried(trial, "--junitxml=junit.xml", "-ra", "-o", "junit_family=xunit1")
    counts_as(finished, report, passed=3)
    # Who listens hears the failure, and last of all that it has passed.
    words = finished.outcomes["test_it.py::test_handle"]
    assert words == ["setup passed", "call failed", "teardown passed", *[f"{w} passed" for w in
                     ("setup", "call", "teardown")]]  # fmt: skip
    assert "FAILED" not in finished.out
    shown, _, taken_back = finished.out.partition("\nas in a fresh interpreter:")
    assert "= FAILURES =" in shown
    assert "= FAILURES =" not in taken_back
    # The report has both.
    (test,) = [test for test in report["tests"] if name(test) == "test_handle"]
    assert test["outcome"] == "passed"
    assert test["flags"] == ["fork-dependent"]
    assert [(attempt["worker"] is None, attempt["outcome"]) for attempt in test["attempts"]] == [
        (False, "failed"), (True, "passed"),
    ]  # fmt: skip
    assert sorted(index for sequence in report["sequences"] for index in sequence["tests"]) == [0, 1, 2]
    # One case, and the counts of a run in which nothing has failed.
    (found,) = ElementTree.parse(trial.path / "junit.xml").getroot()
    assert [found.get(word) for word in ("tests", "failures", "errors", "skipped")] == ["3", "0", "0", "0"]
    cases = {case.get("name"): case for case in found.iter("testcase")}
    assert len(cases) == len(list(found.iter("testcase"))) == 3
    assert cases["test_handle"].find("failure") is None
    values = {p.get("name"): p.get("value") for p in cases["test_handle"].iter("property")}
    assert values["procpar_finding"] == "fork-dependent"
    assert values["key"] == "value"
    # pytest's cache knows of no failure.
    assert not (trial.path / ".pytest_cache/v/cache/lastfailed").exists()


def test_it_is_told_and_the_next_run_knows(trial: Suite) -> None:
    trial.file("few_tries.py", FEW_TRIES.format(risk=0.1))
    trial.tests(
        HANDLE
        + """
    def test_handle(): HANDLE.use()
    def test_other(): pass
    """
    )
    finished, report = tried(trial)
    counts_as(finished, report, passed=2)
    assert "trying whether the fork is to blame, for at most 60 s (Ctrl-C ends it)\n" in finished.out
    assert "test_it.py::test_handle failed only in forked workers" in line(finished)
    assert "the next run takes start method spawn" in line(finished)
    (finding,) = report["findings"]
    assert finding["message"] == "AssertionError: a handle of another process"
    assert [(tally["failed"], tally["runs"]) for tally in finding["tallies"]] == [(2, 2), (0, 2)]
    fails, passes = (tried["command"] for tried in finding["commands"])
    assert shell(trial, f"{fails}") == pytest.ExitCode.TESTS_FAILED
    assert shell(trial, f"{passes}") == pytest.ExitCode.OK
    finished = trial.run("-n2")
    finished.assert_summary(passed=2)
    is_unusual(
        finished, "spawn", "test_it.py::test_handle failed only in forked workers on ", "--cache-clear"
    )
    assert said_method(trial.run("-n2", "--cache-clear")) is None


def test_without_a_cache_the_line_says_what_to_write(trial: Suite) -> None:
    trial.tests(HANDLE + "\n    def test_handle(): HANDLE.use()")
    finished, report = tried(trial, "-p", "no:cacheprovider")
    counts_as(finished, report, passed=1)
    assert 'write procpar_start_method = "spawn" into the pytest section of pyproject.toml' in line(finished)


@pytest.mark.parametrize("how", ["option", "ini"])
def test_a_pinned_method_keeps_the_failure_and_gets_the_verdict(trial: Suite, how: str) -> None:
    trial.tests(HANDLE + "\n    def test_handle(): HANDLE.use()\n    def test_other(): pass")
    if how == "ini":
        trial.file("pytest.ini", "[pytest]\nprocpar_start_method = fork")
    finished, report = tried(trial, *(["--start-method=fork"] if how == "option" else []))
    assert finished.ret == pytest.ExitCode.TESTS_FAILED
    finished.assert_summary(passed=1, failed=1)
    assert told(report["findings"]) == {"test_handle": ("fork-dependent", [])}
    assert section(finished)[0] == "FORK DEPENDENT test_it.py::test_handle"
    assert not (trial.path / ".pytest_cache/v/procpar/start-method").exists()


def test_without_a_recheck_nothing_is_tried(trial: Suite) -> None:
    trial.tests(HANDLE + "\n    def test_handle(): HANDLE.use()")
    finished, report = tried(trial, "--recheck=none")
    assert finished.ret == pytest.ExitCode.TESTS_FAILED
    finished.assert_summary(failed=1)
    assert report["findings"] == []


# --- all ways to fail --------------------------------------------------------------------------------


def test_a_crash(trial: Suite) -> None:
    trial.tests(
        HANDLE
        + """
    def test_handle():
        if HANDLE.is_foreign:
            os.abort()
    def test_other(): pass
    """
    )
    finished, report = tried(trial, "--junitxml=junit.xml")
    counts_as(finished, report, passed=2)
    assert "CRASHED" not in finished.out
    (found,) = ElementTree.parse(trial.path / "junit.xml").getroot()
    assert [found.get(word) for word in ("tests", "failures", "errors")] == ["2", "0", "0"]


def test_a_hang_on_a_thread_that_stays_behind(trial: Suite) -> None:
    trial.tests(
        SERVICE
        + """
    def test_asks():
        ASKED.put(1)
        assert ANSWERS.get() == 2
    def test_other(): pass
    """
    )
    finished, report = tried(trial, "--hang-timeout=1", "-o", "procpar_fork_safe=service-*\nrecorder.py")
    counts_as(finished, report, passed=2)
    assert "HUNG" not in finished.out


def test_errors_of_setup_and_teardown(trial: Suite) -> None:
    trial.tests(
        HANDLE
        + """
    @pytest.fixture
    def handle():
        HANDLE.use()
    @pytest.fixture
    def late():
        yield
        HANDLE.use()
    def test_before(handle): pass
    def test_after(late): pass
    def test_both(late): HANDLE.use()
    """
    )
    finished, report = tried(trial, "--junitxml=junit.xml")
    assert finished.ret == pytest.ExitCode.OK, finished.out
    finished.assert_summary(passed=3, rerun=3)
    assert set(outcomes(report).values()) == {"passed"}
    assert sum("fails in forked workers" in one for one in section(finished)) == 1  # one block for all
    (found,) = ElementTree.parse(trial.path / "junit.xml").getroot()
    assert [found.get(word) for word in ("tests", "failures", "errors")] == ["3", "0", "0"]
    assert len(list(found.iter("testcase"))) == 3


def test_it_counts_as_whatever_it_is_in_the_fresh_interpreter(trial: Suite) -> None:
    trial.tests(
        HANDLE
        + """
    def test_skips():
        HANDLE.use()
        pytest.skip("not here")
    @pytest.mark.xfail(strict=True)
    def test_fails_as_expected():
        assert HANDLE.is_foreign
    """
    )
    finished, report = tried(trial)
    assert finished.ret == pytest.ExitCode.OK, finished.out
    finished.assert_summary(skipped=1, xfailed=1, rerun=2)
    assert outcomes(report) == {"test_skips": "skipped", "test_fails_as_expected": "xfailed"}


def test_what_needs_the_tests_before_it(trial: Suite) -> None:
    trial.tests(
        HANDLE
        + """
    OPENED = []
    def test_opens(): OPENED.append(HANDLE)
    def test_between(): pass
    def test_uses():
        for handle in OPENED:
            handle.use()
    """
    )
    finished, report = tried(trial, "--dist=loadfile")
    counts_as(finished, report, passed=3)


#: Two tests that say in shared memory that they run, and fail if they learn of each other.
MEETING = """
    import time

    def meet(memory, own, other):
        end = time.monotonic() + memory.seconds()
        memory.MEMORY[own] = 1
        try:
            while time.monotonic() < end:
                assert not memory.MEMORY[other], "somebody else is here"
                time.sleep(0.01)
        finally:
            if memory.seconds():
                time.sleep(0.05)
            memory.MEMORY[own] = 0
"""
#: The memory, and for how many seconds a test waits for the other one. Processes that were forked begin at
#: the same moment. A fresh interpreter has the memory for itself: whoever waits there waits in vain.
MEMORY = """
    import ctypes, mmap

    LIBC = ctypes.CDLL(None)
    MADE_BY = LIBC.getpid()
    MEMORY = mmap.mmap(-1, 2)

    def seconds():
        return 0 if LIBC.getpid() == MADE_BY else 0.3
"""


def test_what_needs_another_worker(trial: Suite) -> None:
    trial.file("memory.py", MEMORY)
    trial.file("meeting.py", MEETING)
    for own, other in ((0, 1), (1, 0)):
        trial.file(
            f"test_{own}.py",
            f"""
            import memory, meeting
            def test_meets(): meeting.meet(memory, {own}, {other})
        """,
        )
    vouched = "procpar_fork_safe=shared-memory\nrecorder.py"
    finished, report = tried(trial, "--dist=loadfile", "--recheck-budget=250", "-o", vouched)
    assert finished.ret == pytest.ExitCode.OK, finished.out
    finished.assert_summary(passed=2, rerun=2)
    assert set(outcomes(report).values()) == {"passed"}


def test_an_identity_that_a_conftest_learns_unseen(trial: Suite) -> None:
    trial.file(
        "conftest.py",
        """
        import subprocess
        IDENT = subprocess.run("echo $PYTEST_XDIST_WORKER", shell=True, capture_output=True, text=True).stdout
        """,
    )
    trial.tests("""
    import conftest
    def test_ident(worker_id): assert conftest.IDENT.strip() == worker_id
    """)
    counts_as(*tried(trial), passed=1)


def test_a_handle_of_a_conftest_under_fork_early(trial: Suite) -> None:
    trial.file("handles.py", HANDLE)
    trial.conftest("""
        import os
        import pytest
        import handles

        def pytest_configure(config):
            os.environ["PYTEST_XDIST_WORKER"]
    """)
    trial.tests("""
        import handles
        def test_handle(): handles.HANDLE.use()
        def test_other(): pass
    """)
    trial.conftest("""
        import os
        import handles

        def pytest_configure(config):
            if "workerinput" in dir(config):
                os.environ["PYTEST_XDIST_WORKER"]
    """)
    finished, report = tried(trial)
    is_unusual(finished, "fork-early", "conftest.py")
    counts_as(finished, report, passed=2)


def test_what_fails_in_the_process_of_a_single_test(trial: Suite) -> None:
    trial.tests(HANDLE + "\n    def test_handle(): HANDLE.use()\n    def test_wrong(): assert 0")
    finished, report = tried(trial, "--isolate")
    finished.assert_summary(passed=1, failed=1, rerun=1)
    assert outcomes(report) == {"test_handle": "passed", "test_wrong": "failed"}
    # No start method helps, so the next run takes none.
    assert "under every start method --isolate forks their processes" in line(finished)
    assert not (trial.path / ".pytest_cache/v/procpar/start-method").exists()


def test_what_fails_in_any_process_that_a_fresh_worker_forks_for_marked_tests(trial: Suite) -> None:
    trial.tests(
        HANDLE
        + """
    @pytest.mark.isolated
    def test_marked(): HANDLE.use()
    def test_handle(): HANDLE.use()
    """
    )
    remembered = {"method": "spawn", "reason": "so", "day": "today"}
    trial.file(".pytest_cache/v/procpar/start-method", json.dumps(remembered))
    finished, report = tried(trial, "--recheck-budget=250")
    assert finished.ret == pytest.ExitCode.OK, finished.out
    finished.assert_summary(passed=2, rerun=2)
    assert set(outcomes(report).values()) == {"passed"}
    assert "under every start method the mark isolated forks their processes" in line(finished)
    commands = {name(one["test"]): one["commands"] for one in report["findings"]}
    assert [len(commands[test]) for test in ("test_marked", "test_handle")] == [1, 2]


def test_of_what_fails_in_the_process_of_a_single_test_spawn_helps_what_it_can(trial: Suite) -> None:
    trial.file(
        "conftest.py",
        """
        import subprocess
        IDENT = subprocess.run("echo $PYTEST_XDIST_WORKER", shell=True, capture_output=True, text=True).stdout
        """,
    )
    trial.tests("""
    import conftest
    def test_ident(worker_id): assert conftest.IDENT.strip() == worker_id
    """)
    finished, report = tried(trial, "--isolate")
    counts_as(finished, report, passed=1)
    assert "the next run takes start method spawn" in line(finished)


def test_a_test_that_every_worker_runs(trial: Suite) -> None:
    trial.tests(
        HANDLE
        + """
    def test_handle(): HANDLE.use()
    def test_wrong(): assert 0
    """
    )
    finished, report = tried(trial, "--dist=each")
    finished.assert_summary(passed=2, failed=2, rerun=2)
    assert [kind for kind, _ in told(report["findings"]).values()] == ["fork-dependent"]


def test_it_changes_no_file_of_the_project(trial: Suite) -> None:
    trial.tests(
        HANDLE
        + """
    from pathlib import Path
    LOG = Path(__file__).with_name("log.txt")
    def test_handle():
        LOG.write_text(LOG.read_text() + "x" if LOG.exists() else "x")
        HANDLE.use()
    """
    )
    finished, report = tried(trial)
    counts_as(finished, report, passed=1)
    assert (trial.path / "log.txt").read_text() == "x"


# --- runs that were to end ---------------------------------------------------------------------------


def test_what_a_stopped_run_has_left_out_stays_so(trial: Suite) -> None:
    trial.tests(
        HANDLE
        + """
    def test_handle(): HANDLE.use()
    @pytest.mark.parametrize("i", range(20))
    def test_later(i): pass
    """
    )
    finished = trial.run("-n1", "--recheck=failed", "-x")
    assert finished.ret == pytest.ExitCode.TESTS_FAILED
    assert "20 tests that followed did not run" in line(finished)
    finished.assert_summary(passed=1, rerun=1)


def test_a_run_that_was_to_stop_after_its_last_test_is_a_success(trial: Suite) -> None:
    trial.tests(HANDLE + "\n    def test_other(): pass\n    def test_handle(): HANDLE.use()")
    finished = trial.run("-n1", "--recheck=failed", "-x")
    assert finished.ret == pytest.ExitCode.OK, finished.out
    finished.assert_summary(passed=2, rerun=1)


def test_beside_an_ordinary_failure_only_the_other_one_counts_as_passed(trial: Suite) -> None:
    trial.tests(
        HANDLE
        + """
    def test_handle(): HANDLE.use()
    def test_wrong(): assert 0
    def test_other(): pass
    """
    )
    finished, report = tried(trial)
    assert finished.ret == pytest.ExitCode.TESTS_FAILED
    finished.assert_summary(passed=2, failed=1, rerun=1)
    assert outcomes(report) == {"test_handle": "passed", "test_wrong": "failed", "test_other": "passed"}


# --- the likely object -------------------------------------------------------------------------------


def test_the_object_is_named_that_the_test_touches(trial: Suite) -> None:
    trial.file(
        "store.py",
        """
        import ctypes
        LIBC = ctypes.CDLL(None)

        class Pool:
            def __init__(self):
                self.owner = LIBC.getpid()
            def take(self):
                assert self.owner == LIBC.getpid()

        POOL = Pool()
        """,
    )
    trial.tests("""
        import random
        import store
        UNRELATED = random.Random(1)
        def test_takes(): store.POOL.take()
    """)
    finished, _ = tried(trial)
    (likely,) = [one.strip() for one in section(finished) if "likely:" in one]
    assert likely.startswith("likely: store.POOL (its owner is the id of the process ")


def test_nothing_is_named_that_the_test_does_not_touch(trial: Suite) -> None:
    trial.tests(
        HANDLE
        + """
    import random
    UNRELATED = random.Random(1)
    def test_handle(): HANDLE.use()
    """
    )
    finished, report = tried(trial)
    counts_as(finished, report, passed=1)
    assert "likely:" not in finished.out
