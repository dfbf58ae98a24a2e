"""The report for programs: every test in it with what became of it, whatever ends the run."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import time
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from pytest_procpar.json_report import file
from pytest_procpar.json_report.plugin import check_path
from pytest_procpar.json_report.run_log import RunLog
from pytest_procpar.system import files
from tests.conftest import Finished, Running, Suite

DOCS = Path(__file__).parents[2] / "docs"
SCHEMA = Draft202012Validator(json.loads((DOCS / "report.schema.json").read_text(encoding="utf-8")))

HOW = {"plain": [], "parallel": ["-n2"]}

MIXED = """
    import pytest

    def test_passes():
        pass

    def test_fails():
        print("some output")
        assert 1 == 2, "not equal"

    @pytest.mark.skip(reason="no need")
    def test_skipped():
        pass

    def test_skips_itself():
        pytest.skip("not today")

    @pytest.mark.xfail(reason="known")
    def test_xfails():
        assert 0

    @pytest.mark.xfail(reason="thought so")
    def test_xpasses():
        pass

    @pytest.mark.xfail(strict=True, reason="surely")
    def test_xpasses_strictly():
        pass

    @pytest.fixture
    def broken_setup():
        raise ValueError("in setup")

    def test_errors(broken_setup):
        pass

    @pytest.fixture
    def broken_teardown():
        yield
        raise ValueError("in teardown")

    def test_passes_then_errors(broken_teardown):
        pass

    def test_skips_then_errors(broken_teardown):
        pytest.skip("not today either")

    def test_fails_then_errors(broken_teardown):
        assert 0, "and the teardown too"

    def test_prints_and_records(record_property):
        print("hello")
        record_property("colour", "red")
"""
OUTCOMES = {
    "test_passes": "passed",
    "test_fails": "failed",
    "test_skipped": "skipped",
    "test_skips_itself": "skipped",
    "test_xfails": "xfailed",
    "test_xpasses": "xpassed",
    "test_xpasses_strictly": "failed",
    "test_errors": "error",
    "test_passes_then_errors": "error",
    "test_skips_then_errors": "error",
    "test_fails_then_errors": "failed",
    "test_prints_and_records": "passed",
}

#: Two tests that wait until the run is ended from outside, and many after them.
BLOCKED = """
    import pytest
    from recorder import block, reached

    @pytest.mark.parametrize("i", range(60))
    def test(i):
        if i in (3, 33):
            reached()
            block()
"""


class Report:
    """A report that has been read, found to be strict JSON in UTF-8, and checked against the schema."""

    def __init__(self, path: Path) -> None:
        def refuse(constant: str) -> None:
            pytest.fail(f"{constant} is no JSON")

        self.all: dict[str, Any] = json.loads(path.read_bytes().decode(), parse_constant=refuse)
        json.dumps(self.all, ensure_ascii=False).encode()  # there are no lone surrogates
        SCHEMA.validate(self.all)
        self.tests: list[dict[str, Any]] = self.all["tests"]
        counts = Counter(test["outcome"] for test in self.tests)
        summary = {name: count for name, count in self.all["summary"].items() if count}
        assert summary.pop("collected", 0) == self.all["collected"]
        assert summary == counts

    def __getitem__(self, name: str) -> dict[str, Any]:
        (found,) = [test for test in self.tests if test["nodeid"].split("::", 1)[1] == name]
        return found

    def attempt(self, name: str) -> dict[str, Any]:
        """The only attempt of a test."""
        (attempt,) = self[name]["attempts"]
        assert isinstance(attempt, dict)
        return attempt

    @property
    def outcomes(self) -> dict[str, str]:
        """How each test ended, by its name."""
        return {test["nodeid"].split("::", 1)[1]: test["outcome"] for test in self.tests}


def options(path: str = "report.json") -> list[str]:
    """What asks for a report."""
    return [f"--procpar-report={path}"]


def run(suite: Suite, *args: str) -> tuple[Report, Finished]:
    """Run the suite to its end; its report, and its end."""
    finished = suite.run(*args, *options())
    report = Report(suite.path / "report.json")
    assert report.all["exit_status"] == finished.ret
    return report, finished


def finish(suite: Suite, running: Running) -> tuple[Report, Finished]:
    """The same for a run that has been started."""
    finished = running.finish()
    report = Report(suite.path / "report.json")
    assert report.all["exit_status"] == finished.ret
    return report, finished


@pytest.fixture(params=HOW)
def how(request: pytest.FixtureRequest) -> list[str]:
    """The options of a plain and of a parallel run."""
    return HOW[request.param]


# --- what is in it --------------------------------------------------------------------------------


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA.schema)


def test_the_documented_example_follows_the_schema(tmp_path: Path) -> None:
    text = (DOCS / "report.md").read_text(encoding="utf-8")
    example = tmp_path / "example.json"
    example.write_text(text.split("```json\n")[1].split("```")[0], encoding="utf-8")
    assert {test["outcome"] for test in Report(example).tests} > {"passed", "failed"}


def test_every_test_is_there_with_its_outcome(suite: Suite, how: list[str]) -> None:
    suite.tests(MIXED)
    report, finished = run(suite, *how)
    assert report.outcomes == OUTCOMES
    assert [test["index"] for test in report.tests] == list(range(len(OUTCOMES)))
    for test in report.tests:
        (attempt,) = test["attempts"]
        assert attempt["outcome"] == test["outcome"]
        assert attempt["worker"] in (("gw0", "gw1") if how else (None,))
        assert test["flags"] == []
    finished.stdout.fnmatch_lines([f"-* generated report: {suite.path}/report.json -*"])


def test_what_was_raised_printed_and_recorded_is_there(suite: Suite, how: list[str]) -> None:
    suite.tests(MIXED)
    report, _ = run(suite, *how, "--color=yes")
    said = {name: report.attempt(name).get("message") for name in OUTCOMES}
    assert said == {
        "test_passes": None,
        "test_fails": "AssertionError: not equal",
        "test_skipped": "no need",
        "test_skips_itself": "not today",
        "test_xfails": "known",
        "test_xpasses": "thought so",
        "test_xpasses_strictly": "[XPASS(strict)] surely",
        "test_errors": "ValueError: in setup",
        "test_passes_then_errors": "ValueError: in teardown",
        "test_skips_then_errors": "ValueError: in teardown",
        "test_fails_then_errors": "AssertionError: and the teardown too",
        "test_prints_and_records": None,
    }
    failed = report.attempt("test_fails")
    assert failed["longrepr"].startswith("def test_fails():")
    assert failed["longrepr"].endswith("test_it.py:8: AssertionError")
    assert "\x1b" not in failed["longrepr"]
    assert failed["sections"] == [["Captured stdout call", "some output\n"]]
    both = report.attempt("test_fails_then_errors")["longrepr"]
    assert both.index("AssertionError: and the teardown too") < both.index("ValueError: in teardown")
    assert report.attempt("test_skips_itself")["longrepr"].endswith("test_it.py:15: Skipped: not today")
    passed = report.attempt("test_prints_and_records")
    assert passed["sections"] == [["Captured stdout call", "hello\n"]]
    assert passed["properties"] == [["colour", "red"]]


def test_phases_say_when_and_how_long(suite: Suite, how: list[str]) -> None:
    suite.tests(MIXED)
    before = time()
    report, _ = run(suite, *how)
    after = time()
    phases = {name: report.attempt(name)["phases"] for name in OUTCOMES}
    shown = {
        name: " ".join(f"{when}:{phase['outcome']}" for when, phase in found.items())
        for name, found in phases.items()
    }
    assert shown == {
        "test_passes": "setup:passed call:passed teardown:passed",
        "test_fails": "setup:passed call:failed teardown:passed",
        "test_skipped": "setup:skipped teardown:passed",
        "test_skips_itself": "setup:passed call:skipped teardown:passed",
        "test_xfails": "setup:passed call:skipped teardown:passed",
        "test_xpasses": "setup:passed call:passed teardown:passed",
        "test_xpasses_strictly": "setup:passed call:failed teardown:passed",
        "test_errors": "setup:failed teardown:passed",
        "test_passes_then_errors": "setup:passed call:passed teardown:failed",
        "test_skips_then_errors": "setup:passed call:skipped teardown:failed",
        "test_fails_then_errors": "setup:passed call:failed teardown:failed",
        "test_prints_and_records": "setup:passed call:passed teardown:passed",
    }
    assert before - 1e-3 <= report.all["created"]
    assert report.all["created"] + report.all["duration"] <= after + 1e-3
    for found in phases.values():
        starts = [phase["start"] for phase in found.values()]
        assert starts == sorted(starts)
        assert report.all["created"] <= starts[0]
        assert starts[-1] <= report.all["created"] + report.all["duration"]
        assert all(0 <= phase["duration"] < after - before for phase in found.values())


def test_the_run_is_described(suite: Suite, how: list[str]) -> None:
    suite.tests("""
        import warnings

        def test_warns():
            warnings.warn("careful")

        def test_is_left_out():
            pass
    """)
    report, _ = run(suite, *how, "-k", "warns", "--testrunuid=abc")
    facts = report.all
    assert facts["root"] == str(suite.path)
    assert facts["command"][-1] == "--procpar-report=report.json"
    assert set(facts["environment"]) == {"python", "platform", "pytest", "procpar"}
    assert facts["environment"]["pytest"] == pytest.__version__
    assert (facts["collected"], facts["deselected"], facts["warnings"]) == (1, 1, 1)
    assert (facts["interrupted"], facts["errors"], facts["collect_errors"]) == (None, [], [])
    described = (facts["workers"], facts["dist"], facts["run_id"])
    assert described == ((1, "load", "abc") if how else (0, "no", None))


def test_a_run_without_tests_has_a_report(suite: Suite, how: list[str]) -> None:
    suite.tests("")
    report, finished = run(suite, *how)
    assert finished.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    assert report.tests == []


def test_tests_that_share_a_nodeid_are_two(suite: Suite, how: list[str]) -> None:
    suite.tests("""
        runs = []

        def test():
            runs.append(1)
            assert len(runs) < 2
    """)
    report, _ = run(suite, *how, "--dist=loadfile", "--keep-duplicates", "test_it.py", "test_it.py")
    assert [(test["index"], test["nodeid"]) for test in report.tests] == [
        (0, "test_it.py::test"),
        (1, "test_it.py::test"),
    ]
    assert [test["outcome"] for test in report.tests] == ["passed", "failed"]


def test_under_dist_each_a_test_has_an_entry_for_every_worker(suite: Suite) -> None:
    suite.tests("def test_a(): pass\ndef test_b(): pass\n")
    report, _ = run(suite, "-n2", "--dist=each")
    assert report.all["collected"] == 2
    found = [(test["index"], test["attempts"][0]["worker"]) for test in report.tests]
    assert sorted(found) == [(0, "gw0"), (0, "gw1"), (1, "gw0"), (1, "gw1")]
    assert [index for index, _ in found] == [0, 0, 1, 1]


def test_reruns_are_attempts(suite: Suite, how: list[str]) -> None:
    suite.tests("""
        runs = []

        def test_fails_twice():
            runs.append(1)
            assert len(runs) == 3

        def test_passes():
            pass
    """)
    suite.conftest("""
        from _pytest.runner import runtestprotocol

        def pytest_runtest_protocol(item, nextitem):
            item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
            again = True
            while again:
                again = False
                for report in runtestprotocol(item, nextitem=nextitem, log=False):
                    if report.when == "call" and report.failed:
                        report.outcome = "rerun"
                        again = True
                    item.ihook.pytest_runtest_logreport(report=report)
                    if again:
                        break
            item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
            return True

        def pytest_report_teststatus(report):
            if report.outcome == "rerun":
                return "rerun", "R", "RERUN"
    """)
    report, _ = run(suite, *how)
    test = report["test_fails_twice"]
    assert test["outcome"] == "passed"
    assert test["flags"] == ["rerun"]
    assert [attempt["outcome"] for attempt in test["attempts"]] == ["rerun", "rerun", "passed"]
    assert "assert 1 == 3" in test["attempts"][0]["longrepr"]
    assert "longrepr" not in test["attempts"][2]
    assert report["test_passes"]["flags"] == []


@pytest.mark.skipif(not hasattr(pytest, "Subtests"), reason="subtests are new in pytest 9")
def test_subtests_are_listed_in_the_attempt_and_a_failed_one_fails_it(suite: Suite, how: list[str]) -> None:
    suite.tests("""
        import pytest

        def test_one_fails(subtests):
            for i in range(3):
                with subtests.test("a part", i=i):
                    if i == 1:
                        pytest.skip("not this")
                    assert i != 2, "not two"

        def test_none_fails(subtests):
            with subtests.test(name="x"):
                pass
    """)
    report, _ = run(suite, *how)
    assert report.outcomes == {"test_one_fails": "failed", "test_none_fails": "passed"}
    attempt = report.attempt("test_one_fails")
    assert [(part["description"], part["outcome"], part.get("message")) for part in attempt["subtests"]] == [
        ("[a part] (i=0)", "passed", None),
        ("[a part] (i=1)", "skipped", "not this"),
        ("[a part] (i=2)", "failed", "AssertionError: not two"),
    ]
    assert attempt["phases"]["call"]["outcome"] == "failed"
    assert report.attempt("test_none_fails")["subtests"] == [
        {"description": "(name='x')", "outcome": "passed"}
    ]


def test_what_json_does_not_have_is_shown_as_text(suite: Suite, how: list[str]) -> None:
    suite.tests(r"""
        import os
        import pytest

        @pytest.mark.parametrize("text", ["\"quoted\"", "a/b::c", "\0", "é\u2028", "back\\slash", "[]"])
        def test_passes(text):
            pass

        def test_records(record_property):
            loop = []
            loop.append(loop)
            for value in (float("nan"), b"\xff", {1}, {(1, 2): float("inf")}, "\udcff", 10**5000, (1, None)):
                record_property("value", value)
            record_property("\ud800", loop)

        def test_fails():
            assert 0, "\ud800 and " + os.fsdecode(b"\xff")
    """)
    report, _ = run(suite, *how, "--capture=sys", "-p", "no:recorder")
    assert len(report.tests) == 8
    values = [value for _, value in report.attempt("test_records")["properties"]]
    assert values[:5] == ["nan", "b'\\xff'", "{1}", {"(1, 2)": "inf"}, "\\udcff"]
    assert values[6] == [1, None]
    assert report.attempt("test_records")["properties"][7][0] == "\\ud800"
    assert report.attempt("test_fails")["message"] == "AssertionError: \\ud800 and \\udcff"


def test_a_suite_that_stops_all_clocks_has_a_report_with_times(suite: Suite, how: list[str]) -> None:
    suite.tests("""
        import time

        def test():
            time.time = time.monotonic = time.perf_counter = lambda: -5.0
    """)
    report, _ = run(suite, *how)
    assert report.all["created"] > 0
    assert 0 < report.all["duration"] < 300


# --- crashes --------------------------------------------------------------------------------------


def test_a_crash_is_the_outcome_of_its_test_and_of_no_other(suite: Suite) -> None:
    suite.tests("""
        import os
        import pytest

        @pytest.mark.parametrize("i", range(8))
        def test(i):
            if i == 4:
                os._exit(3)
    """)
    report, finished = run(suite, "-n2")
    crashed = report["test[4]"]
    (reported,) = [note for note in finished.notes("report") if note["when"] == "???"]
    facts = {name for name, _ in reported["properties"]}
    assert crashed["outcome"] == ("crashed" if "procpar_outcome" in facts else "failed")
    assert "exited with code 3" in crashed["attempts"][0]["message"]
    assert crashed["attempts"][0]["worker"] == reported["by"]
    assert {test["outcome"] for test in report.tests if test is not crashed} == {"passed"}


FORGED = """
    import pytest

    def pytest_runtest_protocol(item):
        if item.name == "test_b":
            report = pytest.TestReport(
                item.nodeid, item.location, {{}}, "failed", "it died", "???", [("Captured", "out")],
                user_properties={properties!r},
            )
            item.ihook.pytest_runtest_logreport(report=report)
            return True
"""


def forge(suite: Suite, **facts: object) -> None:
    """Let a report as of a crash come for `test_b`, with these facts."""
    suite.tests("def test_a(): pass\ndef test_b(): pass\n")
    properties = [("user", "x"), *((f"procpar_{name}", value) for name, value in facts.items())]
    suite.conftest(FORGED.format(properties=properties))


@pytest.mark.parametrize("outcome", ["crashed", "hung"])
def test_a_death_is_told_with_all_that_is_known_of_it(suite: Suite, outcome: str) -> None:
    death = {
        "worker": "gw7",
        "cause": "killed by SIGSEGV",
        "phase": "call",
        "peak_memory": 4096,
        "out_of_memory": "the kernel says so",
        "reproduce": "pytest 'test_it.py::test_b'",
    }
    forge(suite, outcome=outcome, leak="a thread", **death)
    report, _ = run(suite, "-n2")
    test = report["test_b"]
    assert test["outcome"] == outcome
    assert test["flags"] == sorted([outcome, "leaks"])
    attempt = report.attempt("test_b")
    assert attempt["death"] == death
    assert attempt["leaks"] == ["a thread"]
    assert attempt["properties"] == [["user", "x"]]
    assert attempt["message"] == attempt["longrepr"] == "it died"
    assert attempt["sections"] == [["Captured", "out"]]
    assert report["test_a"]["outcome"] == "passed"


def test_a_test_that_could_not_be_run_says_why(suite: Suite) -> None:
    forge(suite, outcome="not-run", reason="no worker is left")
    report, _ = run(suite, "-n2")
    assert report["test_b"]["outcome"] == "not-run"
    assert report["test_b"]["flags"] == []
    assert report.attempt("test_b")["death"] == {"reason": "no worker is left"}


def test_another_plugins_report_of_a_crash_is_a_failure(suite: Suite, how: list[str]) -> None:
    forge(suite)
    report, _ = run(suite, *how)
    assert report.outcomes == {"test_a": "passed", "test_b": "failed"}
    assert "death" not in report.attempt("test_b")


def test_a_crashed_test_that_runs_again_has_two_attempts(suite: Suite) -> None:
    suite.tests("""
        import os

        def test():
            if not os.path.exists("was here"):
                open("was here", "w").close()
                os._exit(3)
    """)
    suite.conftest("""
        def pytest_handlecrashitem(crashitem, report, sched):
            report.user_properties += [("procpar_outcome", "crashed")]
            sched.mark_test_pending(crashitem)
    """)
    report, _ = run(suite, "-n2")
    assert report["test"]["outcome"] == "passed"
    assert report["test"]["flags"] == ["crashed"]
    assert [attempt["outcome"] for attempt in report["test"]["attempts"]] == ["crashed", "passed"]


# --- a run that ends early ------------------------------------------------------------------------


@pytest.mark.parametrize("how", [[], ["-n1"]], ids=["plain", "parallel"])
def test_pytest_exit_leaves_a_report_of_what_was_and_what_was_not(suite: Suite, how: list[str]) -> None:
    suite.tests("""
        import pytest

        def test_a():
            pass

        def test_leaves():
            pytest.exit("we are done here", returncode=77)

        @pytest.mark.parametrize("i", range(100))
        def test(i):
            pass
    """)
    report, finished = run(suite, *how)
    assert finished.ret == 77
    assert report.all["interrupted"] == "we are done here"
    assert len(report.tests) == report.all["collected"] == 102
    assert report["test_a"]["outcome"] == "passed"
    assert report["test_leaves"]["outcome"] == "unfinished"
    assert report["test[99]"] == {
        "nodeid": "test_it.py::test[99]", "index": 101, "outcome": "not-run", "flags": [], "attempts": [],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("how", "signum", "reason"),
    [
        pytest.param([], signal.SIGINT, "KeyboardInterrupt", id="plain-ctrl-c"),
        pytest.param(["-n2"], signal.SIGINT, "KeyboardInterrupt", id="parallel-ctrl-c"),
        pytest.param(["-n2"], signal.SIGTERM, "terminated by SIGTERM", id="parallel-sigterm"),
    ],
)
def test_a_signal_leaves_a_report(suite: Suite, how: list[str], signum: int, reason: str) -> None:
    suite.make_barrier()
    suite.tests(BLOCKED)
    running = suite.start(*how, *options())
    suite.await_reached(2 if how else 1)
    running.signal(signum)
    report, finished = finish(suite, running)
    assert finished.ret == pytest.ExitCode.INTERRUPTED
    assert report.all["interrupted"] == reason
    assert len(report.tests) == 60
    blocked = {f"test[{i}]" for i in ((3, 33) if how else (3,))}
    outcomes = report.outcomes
    assert {name for name, outcome in outcomes.items() if outcome == "unfinished"} == blocked
    assert {outcomes[name] for name in outcomes if name not in blocked} == {"passed", "not-run"}
    assert report["test[0]"]["outcome"] == "passed"


def test_a_second_ctrl_c_leaves_a_report(suite: Suite) -> None:
    suite.make_barrier()
    suite.tests("""
        import signal
        import pytest
        from recorder import block, reached

        @pytest.mark.parametrize("i", range(3))
        def test(i):
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            reached()
            block()
    """)
    running = suite.start("-n2", *options())
    suite.await_reached(2)
    running.signal(signal.SIGINT)
    running.await_line("interrupted while running")
    running.signal(signal.SIGINT)
    report, _ = finish(suite, running)
    assert Counter(report.outcomes.values()) == {"unfinished": 2, "not-run": 1}


def test_exitfirst_leaves_a_report_with_the_reason(suite: Suite, how: list[str]) -> None:
    suite.tests("""
        import pytest

        @pytest.mark.parametrize("i", range(100))
        def test(i):
            assert 0
    """)
    report, _ = run(suite, *how, "-x")
    assert re.fullmatch("stopping after [12] failures", report.all["interrupted"])
    counts = Counter(report.outcomes.values())
    assert 1 <= counts["failed"] <= 2
    assert counts["failed"] + counts["not-run"] == 100


def test_a_collection_error_is_listed(suite: Suite, how: list[str]) -> None:
    suite.tests("def test(): pass")
    suite.file("test_broken.py", "import nonesuch")
    report, finished = run(suite, *how)
    assert finished.ret == pytest.ExitCode.INTERRUPTED
    assert report.all["interrupted"] == "1 error during collection"
    (error,) = report.all["collect_errors"]
    assert error["nodeid"] == "test_broken.py"
    assert "No module named 'nonesuch'" in error["longrepr"]
    assert report.all["collected"] == 1
    assert set(report.outcomes.values()) <= {"not-run"}


def test_an_internal_error_is_listed(suite: Suite, how: list[str]) -> None:
    suite.tests("def test(): pass")
    suite.conftest("""
        def pytest_runtest_call(item):
            pass

        def pytest_runtest_logfinish():
            raise RuntimeError("a plugin broke")
    """)
    report, finished = run(suite, *how)
    assert finished.ret == pytest.ExitCode.INTERNAL_ERROR
    assert "a plugin broke" in report.all["errors"][0]
    assert report.outcomes["test"] == "passed"


def test_a_worker_that_died_is_an_error_of_the_run_and_not_of_the_collection(suite: Suite) -> None:
    suite.tests("def test(): pass")
    suite.conftest("""
        import pytest

        class WorkerDied(pytest.CollectReport):
            pass

        def pytest_sessionstart(session):
            report = WorkerDied("worker gw3", "failed", "exited with code 3", [])
            session.config.hook.pytest_collectreport(report=report)
    """)
    report, _ = run(suite)
    assert report.all["errors"] == ["worker gw3: exited with code 3"]
    assert report.all["collect_errors"] == []


def test_tests_that_are_only_collected_are_not_run(suite: Suite) -> None:
    suite.tests("def test(): pass")
    report, _ = run(suite, "-n2", "--collect-only")
    assert report.outcomes == {"test": "not-run"}
    assert report.all["workers"] == 0


def test_without_a_terminal_there_is_a_report(suite: Suite, how: list[str]) -> None:
    suite.tests("def test(): pass")
    report, finished = run(suite, *how, "-p", "no:terminal")
    assert report.outcomes == {"test": "passed"}
    assert not finished.out


# --- where it is written --------------------------------------------------------------------------


def test_missing_folders_are_made_even_if_a_test_removes_them(suite: Suite) -> None:
    suite.tests("""
        import shutil

        def test():
            shutil.rmtree("made")
    """)
    suite.run("-n2", *options("made/for/it.json"))
    assert Report(suite.path / "made/for/it.json").outcomes == {"test": "passed"}
    assert [path.name for path in (suite.path / "made/for").iterdir()] == ["it.json"]


def test_a_full_disk_hides_no_result(suite: Suite, how: list[str]) -> None:
    suite.tests("def test(): pass")
    (suite.path / "full.json").symlink_to("/dev/full")
    finished = suite.run(*how, *options("full.json"))
    assert finished.ret == pytest.ExitCode.INTERNAL_ERROR
    finished.assert_summary(passed=1)
    why = "*No space left on device; the results above are complete"
    finished.stdout.fnmatch_lines([f"--procpar-report: {suite.path}/full.json is not written: {why}"])


def test_a_report_into_a_stream_is_whole_and_no_line_is_lost(suite: Suite, how: list[str]) -> None:
    suite.tests("def test(): print('printed')")
    finished = suite.run(*how, *options("/dev/stdout"))
    finished.assert_summary(passed=1)
    start = finished.out.index('{\n"format"')
    report, _ = json.JSONDecoder().raw_decode(finished.out, start)
    assert [test["outcome"] for test in report["tests"]] == ["passed"]
    assert finished.ret == 0


@pytest.mark.parametrize("quiet", [["--no-summary"], []])
def test_a_folder_that_cannot_be_made_again_is_told_and_hides_no_failure(
    suite: Suite, quiet: list[str]
) -> None:
    suite.tests("""
        import shutil

        def test():
            shutil.rmtree("made")
            open("made", "w").close()
            assert 0
    """)
    finished = suite.run("-n2", *quiet, *options("made/report.json"))
    assert finished.ret == pytest.ExitCode.INTERNAL_ERROR
    finished.assert_summary(failed=1)
    assert (finished.out + finished.err).count("made/report.json is not written") == 1


def test_an_interrupted_run_keeps_its_exit_status_if_the_report_cannot_be_written(suite: Suite) -> None:
    suite.tests("import pytest\ndef test(): pytest.exit('enough')")
    (suite.path / "full.json").symlink_to("/dev/full")
    finished = suite.run(*options("full.json"))
    assert finished.ret == pytest.ExitCode.INTERRUPTED


def test_a_path_that_cannot_be_right_is_a_usage_error_before_any_test(suite: Suite, how: list[str]) -> None:
    suite.trivial(2)
    finished = suite.run(*how, *options("test_it.py/report.json"))
    assert finished.ret == pytest.ExitCode.USAGE_ERROR
    assert not finished.notes("ran")
    assert "--procpar-report: cannot write to 'test_it.py/report.json'" in finished.err


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("", "it names no file"),
        ("folder", "it is a folder"),
        ("new/", "it names no file"),
        ("file/report.json", "Not a directory|File exists"),
        ("/proc/report.json", "No such file|Permission denied"),
        ("nul\0l", "null"),
    ],
)
def test_an_unusable_path_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, why: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(pytest.UsageError, match=f"(?s)--procpar-report: .*({why}).*give the path") as raised:
        check_path(value)
    assert repr(value) in str(raised.value)


def test_a_usable_path_is_made_absolute_and_left_without_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert check_path("a/b.json") == tmp_path / "a/b.json"
    assert check_path("~/c.json") == tmp_path / "home/c.json"
    assert [path for path in tmp_path.rglob("*") if not path.is_dir()] == []


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """Let writing more than this fail, as it does when a disk is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_file_that_cannot_be_written_to_its_end_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text("old")
    with files_no_larger_than(1000), pytest.raises(OSError, match="File too large"):
        files.write(path, b"x" * 5000)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link.json").symlink_to("there/report.json")
    files.write(tmp_path / "link.json", b"{}")
    assert (tmp_path / "link.json").is_symlink()
    assert (tmp_path / "there/report.json").read_bytes() == b"{}"


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    descriptor = os.open(tmp_path / "pipe", os.O_RDWR)
    files.write(tmp_path / "pipe", b"{}")
    assert os.read(descriptor, 100) == b"{}"
    os.close(descriptor)


# --- values ---------------------------------------------------------------------------------------

TEXT = st.text(st.characters())  # lone surrogates too
ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT | st.binary(),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(TEXT | st.integers() | st.floats() | st.binary(), inner)
        | st.builds(lambda value: [value, object(), {1}], inner)
    ),
)


@given(ODD)
def test_whatever_a_value_is_it_becomes_strict_json(value: object) -> None:
    def refuse(constant: str) -> None:
        pytest.fail(f"{constant} is no JSON")

    for given_value in (value, file.plain(value)):
        text = file.to_bytes(file.to_json({"value": given_value})).decode()
        json.dumps(json.loads(text, parse_constant=refuse), ensure_ascii=False).encode()


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner)))
def test_a_value_that_json_has_stays_what_it_is(value: object) -> None:
    assert file.plain(value) == value
    assert json.loads(file.to_bytes(file.to_json(value))) == value


def test_an_object_that_cannot_be_shown_is_told_so() -> None:
    class Silent:
        def __str__(self) -> str:
            raise RuntimeError

    assert file.plain([Silent()]) == ["<Silent that cannot be shown: RuntimeError>"]


# --- odd orders of reports ------------------------------------------------------------------------


def reported(when: str, outcome: str = "passed", index: int | None = 0, **facts: Any) -> pytest.TestReport:
    """A report as the controller has it."""
    report: Any = pytest.TestReport(
        "t.py::test", ("t.py", 0, "test"), {}, outcome, facts.pop("longrepr", None), when, **facts  # type: ignore[arg-type]
    )  # fmt: skip
    if index is not None:
        report.item_index, report.worker_id = index, "gw0"
    return report  # type: ignore[no-any-return]


def logged(
    *reports: pytest.TestReport, tests: int = 1, starts: int = 0, copies: int | None = None
) -> list[dict[str, Any]]:
    """What is written of tests that all have one nodeid."""
    log = RunLog()
    log.collected(["t.py::test"] * tests, copies)
    for _ in range(starts):
        log.began("t.py::test")
    for report in reports:
        log.add(report)
    records: list[dict[str, Any]] = [json.loads(text) for _, text in log.written()]
    return records


PASS = [reported("setup"), reported("call"), reported("teardown")]


def test_a_plain_pass_is_written_like_any_other_outcome() -> None:
    times: dict[str, Any] = {"start": 1795571732.0001239, "duration": 0.0123456789}
    passes = [reported(when, **times) for when in ("setup", "call", "teardown")]
    other = [*passes[:2], reported("teardown", **times, user_properties=[("a", 1)])]
    ((plain,), (noted,)) = logged(*passes), logged(*other)
    assert noted["attempts"][0].pop("properties") == [["a", 1]]
    assert plain == noted


def test_what_is_torn_down_late_belongs_to_the_attempt() -> None:
    late = reported("teardown", "failed", longrepr="late", duration=2.0)
    (record,) = logged(*PASS[:2], reported("teardown", duration=1.0), late)
    assert record["outcome"] == "error"
    (attempt,) = record["attempts"]
    assert attempt["phases"]["teardown"] == {"outcome": "failed", "start": 0, "duration": 3.0}
    assert attempt["message"] == "late"


def test_the_teardown_of_a_rerun_belongs_to_it() -> None:
    (record,) = logged(reported("setup"), reported("call", "rerun"), reported("teardown"), *PASS)
    assert [attempt["outcome"] for attempt in record["attempts"]] == ["rerun", "passed"]


@pytest.mark.parametrize("hidden", ["setup", "call"])
def test_an_attempt_whose_failure_a_plugin_keeps_to_itself_is_a_rerun(hidden: str) -> None:
    first = [report for report in PASS if report.when not in (hidden, "call")]
    (record,) = logged(*first, *PASS)
    assert [attempt["outcome"] for attempt in record["attempts"]] == ["rerun", "passed"]
    assert record["flags"] == ["rerun"]


def test_a_failed_subtest_fails_a_test_that_went_on() -> None:
    class SubtestReport(pytest.TestReport):
        context = SimpleNamespace(msg=None, kwargs={})

    subtest: Any = SubtestReport("t.py::test", ("t.py", 0, "test"), {}, "failed", None, "call")
    subtest.item_index = 0
    (record,) = logged(PASS[0], subtest, *PASS[1:])
    assert record["outcome"] == "failed"
    (attempt,) = record["attempts"]
    assert attempt["subtests"] == [{"description": "(<subtest>)", "outcome": "failed"}]


def test_a_rerun_that_never_came_leaves_the_test_unfinished() -> None:
    (record,) = logged(reported("setup"), reported("call", "rerun"))
    assert record["outcome"] == "unfinished"


def test_a_test_that_began_and_was_not_heard_of_again_is_unfinished() -> None:
    first, second, third = logged(*PASS, tests=3, starts=2)
    assert [test["outcome"] for test in (first, second, third)] == ["passed", "unfinished", "not-run"]
    assert second["attempts"] == [{"worker": None, "outcome": "unfinished", "phases": {}}]


def test_a_crashed_test_that_began_again_is_unfinished() -> None:
    crash = reported("???", "failed", user_properties=[("procpar_outcome", "crashed")])
    (record,) = logged(crash, starts=2)
    assert [attempt["outcome"] for attempt in record["attempts"]] == ["crashed", "unfinished"]
    assert record["flags"] == ["crashed"]


def test_reports_without_an_index_are_of_tests_without_a_report() -> None:
    given_up = reported("???", "failed", None, user_properties=[("procpar_outcome", "not-run")])
    records = logged(*PASS, given_up, given_up, tests=3, starts=1)
    assert [record["outcome"] for record in records] == ["passed", "not-run", "not-run"]
    assert [len(record["attempts"]) for record in records] == [1, 1, 1]


def test_under_dist_each_copies_without_a_worker_are_there_too() -> None:
    given_up = reported("???", "failed", None, user_properties=[("procpar_outcome", "not-run")])
    records = logged(*PASS, given_up, tests=1, starts=1, copies=3)
    assert [record["outcome"] for record in records] == ["passed", "not-run", "not-run"]
    assert [record["index"] for record in records] == [0, 0, 0]


def test_leaks_and_properties_that_every_phase_repeats_are_told_once() -> None:
    found = [("procpar_leak", "a thread"), ("a", 1), ("a", 1)]
    (record,) = logged(*(reported(when, user_properties=found) for when in ("setup", "call", "teardown")))
    assert record["flags"] == ["leaks"]
    assert record["attempts"][0]["leaks"] == ["a thread"]
    assert record["attempts"][0]["properties"] == [["a", 1], ["a", 1]]


def sequences(*reports: pytest.TestReport) -> dict[str | None, list[int]]:
    """What is written of the order in which tests began."""
    log = RunLog()
    log.collected([f"t.py::test[{i}]" for i in range(20)], None)
    for report in reports:
        log.add(report)
    return {entry["worker"]: entry["tests"] for entry in log.sequences()}


def test_a_test_that_is_repeated_at_once_counts_once_in_the_sequence_of_its_worker() -> None:
    reruns = [reported("setup"), reported("call", "rerun"), reported("teardown"), *PASS]
    other = [reported(when, index=1) for when in ("setup", "call", "teardown")]
    assert sequences(*reruns, *other, *PASS) == {"gw0": [0, 1, 0]}
    assert sequences(*PASS, *PASS, *other) == {"gw0": [0, 1]}


def test_what_was_not_run_is_in_no_sequence_and_what_crashed_is() -> None:
    crash = reported("???", "failed", index=3, user_properties=[("procpar_outcome", "crashed")])
    given_up = reported("???", "failed", None, user_properties=[("procpar_outcome", "not-run")])
    assert sequences(*PASS, crash, given_up) == {"gw0": [0, 3]}


def test_sequences_stand_in_the_order_of_the_workers_numbers() -> None:
    passes = []
    for number in (10, 2, 0, 11, 1):
        report: Any = reported("setup", index=number)
        report.worker_id = f"gw{number}"
        passes.append(report)
    assert list(sequences(*passes)) == ["gw0", "gw1", "gw2", "gw10", "gw11"]


def test_a_test_that_was_not_collected_is_there() -> None:
    report = reported("call", "failed", None)
    report.nodeid = "other.py::test"
    records = logged(*PASS, report)
    assert [(record["nodeid"], record["outcome"]) for record in records] == [
        ("t.py::test", "passed"),
        ("other.py::test", "failed"),
    ]
