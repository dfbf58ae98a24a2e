"""What a re-check leaves as it is: the run's results, the user's files, the processes of the machine."""

from __future__ import annotations

import json
import os
import signal
import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest

from tests.conftest import Finished, Suite
from tests.plugin.rechecking import POLLUTED, printed, rechecked, section, told

#: Says in which processes tests can be run.
COUNTING = """
    import os
    from recorder import note
    def pytest_procpar_worker_forked(config):
        note("forked", pid=os.getpid())
"""

#: Something of every kind of outcome, a victim and a test that crashes.
MIXED = """
    import os
    import pytest
    STATE = []

    @pytest.fixture
    def broken():
        yield
        raise ValueError("in teardown")

    def test_polluter(record_property):
        STATE.append(1)
        record_property("has", "polluted")
    def test_victim(): assert not STATE
    def test_fails():
        print("about to fail")
        assert 1 == 2
    def test_error(broken): pass
    def test_skipped(): pytest.skip("why not")
    @pytest.mark.xfail
    def test_expected(): assert False
    @pytest.mark.xfail(strict=True)
    def test_unexpected(): pass
    def test_crash(): os.kill(os.getpid(), 11)
    def test_after(): pass
"""


def reported_tests(suite: Suite) -> list[Any]:
    """What the report says of the tests, without times."""

    def timeless(value: Any) -> Any:
        if isinstance(value, dict):
            left_out = [
                "start",
                "duration",
                "sections",
                "longrepr",
                "message",
                "pid",
                "properties",
                "flags",
                "peak_memory",
            ]
            return {key: timeless(entry) for key, entry in value.items() if key not in left_out}
        return list(map(timeless, value)) if isinstance(value, list) else value

    report = json.loads((suite.path / "report.json").read_text())
    return [timeless(report["tests"]), report["summary"], report["exit_status"], report["sequences"]]


def junit(suite: Suite) -> list[Any]:
    """The cases of the junit xml file, without times and the findings' properties."""
    (root,) = ElementTree.parse(suite.path / "junit.xml").getroot()
    counts = [root.get(key) for key in ("tests", "failures", "errors", "skipped")]
    cases = [
        (
            case.get("name"),
            [child.tag for child in case if child.tag != "properties"],
            [
                (entry.get("name"), entry.get("value"))
                for entry in case.iter("property")
                if not str(entry.get("name")).startswith("procpar_")
            ],
        )
        for case in root.iter("testcase")
    ]
    return [counts, cases]


def controllers(finished: Finished, kind: str, fact: str) -> list[Any]:
    """What the controller noted: fresh processes, which come after it has heard of its tests, do so, too."""
    own = finished.notes("report")[0]["pid"]
    return [note[fact] for note in finished.notes(kind) if note["pid"] == own]


# --- results ----------------------------------------------------------------------------------------


def test_results_and_open_descriptors_are_the_same_with_and_without_a_recheck(suite: Suite) -> None:
    suite.conftest("""
        import os
        from recorder import note
        def pytest_sessionfinish(session):
            found = [os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")]
            note("open", count=sum(".so" not in path for path in found))  # libffi keeps itself open
    """)
    suite.tests(MIXED)
    seen = []
    for what in ("none", "failed", "all"):
        finished = suite.run(
            "-n1", f"--recheck={what}", "--procpar-report=report.json", "--junitxml=junit.xml",
            "-o", "junit_family=xunit1",
        )  # fmt: skip
        cached = {path.name: path.read_text() for path in (suite.path / ".pytest_cache/v/cache").iterdir()}
        seen.append(
            [
                finished.ret,
                finished.summary,
                junit(suite),
                *reported_tests(suite),
                cached,
                controllers(finished, "open", "count"),
            ]
        )
        assert seen[-1][-1]
        assert bool(section(finished)) == (what != "none")
    for without, recheck_of_failed, recheck_of_all in zip(*seen, strict=True):
        assert recheck_of_failed == without
        assert recheck_of_all == without


def test_the_next_run_knows_the_same_failures(suite: Suite) -> None:
    suite.tests(MIXED)
    rechecked(suite, "-n1")
    listed = suite.run("--lf", "--collect-only", "-q").out
    assert [line for line in listed.splitlines() if "::" in line] == [
        f"test_it.py::test_{word}" for word in ("victim", "fails", "error", "unexpected", "crash")
    ]


def test_plugins_hear_of_each_report_once_and_of_the_findings_before_the_end(suite: Suite) -> None:
    suite.tests(POLLUTED)
    suite.conftest("""
        from recorder import note
        def pytest_procpar_findings(findings):
            note("findings", kinds=[finding["kind"] for finding in findings])
        def pytest_sessionfinish(session):
            if not hasattr(session.config, "workerinput"):
                note("finish")
    """)
    finished = suite.run("-n1", "--recheck=failed")
    own = finished.notes("findings")[0]["pid"]
    kinds = [note["kind"] for note in finished.records if note["pid"] == own]
    told_in_order = [kind for kind in kinds if kind in ("report", "findings", "finish")]
    assert told_in_order == ["report"] * 12 + ["findings", "finish"]
    assert finished.facts("findings", "kinds") == [["victim"]]


def test_what_is_written_past_capture_is_flushed_as_in_a_worker(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where it is not, the victim captures it and passes.
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    suite.tests("""
        import sys

        STATE = []

        def test_polluter():
            STATE.append(1)
            sys.__stdout__.write("past capture")

        def test_victim(capfd):
            sys.__stdout__.flush()
            assert capfd.readouterr().out or not STATE
    """)
    finished, findings = rechecked(suite, "-n1")
    assert told(findings) == {"test_victim": ("victim", ["test_polluter"])}
    assert printed(finished, "fails")
    assert printed(finished, "passes")


def test_strict_leaves_a_green_run_without_findings_green(suite: Suite) -> None:
    suite.tests("def test_a(): pass")
    assert rechecked(suite, "-n1", "--recheck=all", "--recheck-strict")[0].ret == 0


def test_strict_does_not_hide_that_nothing_was_collected(suite: Suite) -> None:
    suite.tests("")
    assert rechecked(suite, "-n1", "--recheck=all", "--recheck-strict")[0].ret == 5


def test_strict_lets_a_plain_failure_fail_as_ever(suite: Suite) -> None:
    suite.tests("def test_a(): assert False")
    assert rechecked(suite, "-n1", "--recheck-strict")[0].ret == 1


# --- when there is none -----------------------------------------------------------------------------


def forks(finished: Finished) -> int:
    return len(finished.notes("forked"))


def test_after_an_interrupt_nothing_is_rechecked(suite: Suite) -> None:
    suite.make_barrier()
    suite.conftest(COUNTING)
    suite.tests("""
        from recorder import block, reached
        def test_fails(): assert False
        def test_blocks():
            reached()
            block()
    """)
    running = suite.start("-n1", "--recheck=failed")
    suite.await_reached()
    running.signal(signal.SIGINT)
    finished = running.finish()
    assert finished.ret == 2
    assert forks(finished) == 1
    assert "re-checking" not in finished.out


@pytest.mark.parametrize(
    ("deed", "status"),
    [
        ("pytest.exit('enough', returncode=7)", 7),
        ("raise KeyboardInterrupt", 2),
    ],
)
def test_after_a_test_has_ended_the_run_nothing_is_rechecked(suite: Suite, deed: str, status: int) -> None:
    suite.conftest(COUNTING)
    suite.tests(f"""
        import pytest
        def test_fails(): assert False
        def test_ends(): {deed}
    """)
    finished = suite.run("-n1", "--recheck=all")
    assert finished.ret == status
    assert forks(finished) == 1
    assert "re-checking" not in finished.out


def test_after_an_internal_error_nothing_is_rechecked(suite: Suite) -> None:
    suite.conftest(
        COUNTING
        + """
    def pytest_runtest_logfinish(nodeid):
        if "breaks" in nodeid:
            raise ValueError("a plugin's bug")
    """
    )
    suite.tests("def test_fails(): assert False\ndef test_breaks(): pass")
    finished = suite.run("-n1", "--recheck=failed")
    assert finished.ret == 3
    assert forks(finished) == 1
    assert "re-checking" not in finished.out


def test_after_errors_of_the_collection_nothing_is_rechecked(suite: Suite) -> None:
    suite.conftest(COUNTING)
    suite.tests(POLLUTED)
    suite.file("test_broken.py", "import nothing_of_that_name")
    finished = suite.run("-n1", "--recheck=all")
    assert finished.ret == 2
    assert not finished.notes("report")
    assert "re-checking" not in finished.out
    _, findings = rechecked(suite, "-n1", "--continue-on-collection-errors")
    assert told(findings) == {"test_victim": ("victim", ["test_polluter"])}


def test_the_line_of_progress_has_its_end_before_the_recheck_is_told_of(suite: Suite) -> None:
    suite.tests(POLLUTED)
    finished = suite.run("-n1", "--recheck=failed", "--tb=no")
    lines = [line for line in finished.out.splitlines() if line]
    (at,) = [at for at, line in enumerate(lines) if line.startswith("re-checking 1 failed test")]
    assert lines[at - 1].startswith("...F ")
    assert lines[at - 1].endswith(" [100%]")
    assert finished.out.count("[100%]") == 1


@pytest.mark.parametrize("option", ["-q", "-v", "-vv", "-s", "--no-header", "-pno:terminal"])
def test_progress_is_told_once_however_much_is_told(suite: Suite, option: str) -> None:
    suite.tests(POLLUTED)
    finished = suite.run("-n1", "--recheck=failed", option)
    assert finished.ret == 1
    assert finished.out.count("[100%]") == (option not in ("-s", "-pno:terminal"))


# --- files ------------------------------------------------------------------------------------------


def test_no_temporary_file_is_left_behind(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    (suite.path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(suite.path / "tmp"))
    suite.tests("""
        STATE = []
        def test_polluter(tmp_path):
            STATE.append(1)
            (tmp_path / "file").touch()
        def test_victim(tmp_path): assert not STATE
    """)
    _, findings = rechecked(suite, "-n1")
    assert told(findings) == {"test_victim": ("victim", ["test_polluter"])}
    assert list((suite.path / "tmp").iterdir()) == []
    assert {path.name for path in (suite.path / "basetemp").iterdir()} >= {"recheck-gw0"}


def test_the_folders_of_the_users_latest_runs_are_kept(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    (suite.path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(suite.path / "tmp"))
    suite.give_basetemp = False
    suite.tests("""
        STATE = []
        def test_polluter(tmp_path): STATE.append(1)
        def test_victim(tmp_path):
            (tmp_path / "evidence").touch()
            assert not STATE
    """)
    rechecked(suite, "-n1")
    (root,) = (suite.path / "tmp").iterdir()
    (run,) = [path for path in root.iterdir() if not path.is_symlink()]
    assert (run / "popen-gw0" / "test_victim0" / "evidence").exists()


@pytest.mark.parametrize("where", ["option", "ini"])
def test_a_log_file_holds_the_run_alone(suite: Suite, where: str) -> None:
    suite.tests("""
        import logging
        STATE = []
        def test_polluter():
            logging.warning("polluting")
            STATE.append(1)
        def test_between(): logging.warning("between")
        def test_victim(): assert not STATE
    """)
    given = "--log-file=run.log" if where == "option" else "-o"
    texts = []
    for what in ("none", "failed"):
        more = ["log_file=run.log"] if where == "ini" else []
        suite.run("-n1", f"--recheck={what}", given, *more)
        texts.append([line[:40] for line in (suite.path / "run.log").read_text().splitlines()])
    assert texts[0] == texts[1]


def test_the_coverage_of_the_run_is_its_own(suite: Suite) -> None:
    pytest.importorskip("pytest_cov")
    suite.file(
        "lib.py",
        """
        from pathlib import Path
        STATE = []
        def only_when_run_again():
            return 1
        def work():
            if Path("again").exists():
                only_when_run_again()
        """,
    )
    suite.tests("""
        import lib
        from pathlib import Path
        def test_polluter(): lib.STATE.append(1)
        def test_victim():
            lib.work()
            Path("again").touch()
            assert not lib.STATE
    """)
    finished, findings = rechecked(suite, "-n1", "-p", "pytest_cov", "--cov=lib", "--cov-report=term-missing")
    assert told(findings) == {"test_victim": ("victim", ["test_polluter"])}
    finished.stdout.fnmatch_lines(["lib.py * 71% *4, 7*"])
    assert [path.name for path in suite.path.glob(".coverage*")] == [".coverage"]


def test_what_is_run_again_is_not_shown(suite: Suite) -> None:
    suite.tests("""
        STATE = []
        def test_polluter():
            print("said by the polluter")
            STATE.append(1)
        def test_victim(): assert not STATE
    """)
    finished, findings = rechecked(suite, "-n1", "-s")
    assert told(findings) == {"test_victim": ("victim", ["test_polluter"])}
    assert finished.out.count("said by the polluter") == 1
    assert "said by the polluter" not in finished.err


# --- processes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["", "start_new_session=True"])
def test_programs_that_tests_have_started_are_ended(suite: Suite, how: str) -> None:
    suite.tests(f"""
        import subprocess
        STATE = []
        def test_polluter():
            STATE.append(1)
            subprocess.Popen(["sleep", "1000"], {how})
        def test_victim(): assert not STATE
    """)
    _, findings = rechecked(suite, "-n1")
    assert told(findings) == {"test_victim": ("victim", ["test_polluter"])}
    assert suite.await_gone() == []


# --- time -------------------------------------------------------------------------------------------


def test_the_run_ends_with_the_budget_though_a_test_does_not(suite: Suite) -> None:
    suite.make_barrier()
    suite.tests("""
        from pathlib import Path
        from recorder import block
        def test_fails():
            if Path("again").exists():
                block()
            Path("again").touch()
            assert False
    """)
    finished, findings = rechecked(suite, "-n1", "--recheck-budget=1")
    assert [finding["kind"] for finding in findings] == ["unknown"]
    assert finished.ret == 1
    finished.assert_summary(failed=1)


def test_the_run_ends_with_the_budget_though_a_fresh_process_does_not(suite: Suite) -> None:
    suite.make_barrier()
    suite.tests(POLLUTED)
    suite.conftest("""
        import os
        from recorder import block
        def pytest_collection():
            if os.path.exists("started"):
                block()
            open("started", "w").close()
    """)
    finished, findings = rechecked(suite, "-n1", "--recheck-budget=8")
    assert [(finding["kind"], finding["flagged"]) for finding in findings] == [("victim", False)]
    assert "but it could not be seen in a fresh process" in section(finished)[0]


def test_ctrl_c_ends_fresh_processes_too(suite: Suite) -> None:
    suite.make_barrier()
    suite.tests(POLLUTED)
    suite.conftest("""
        import os
        from recorder import block, reached
        def pytest_collection():
            if os.path.exists("started"):
                reached("fresh")
                block()
            open("started", "w").close()
    """)
    running = suite.start("-n1", "--recheck=failed", "--recheck-budget=200")
    suite.await_reached()
    running.signal(signal.SIGINT)
    finished = running.finish()
    assert finished.ret == 2
    finished.assert_summary(failed=1, passed=3)


def test_what_a_recheck_needs_is_made_ready_while_tests_still_run(suite: Suite) -> None:
    os.mkfifo(suite.path / "gate")
    suite.conftest("""
        import sys

        def pytest_configure(config):
            if not hasattr(config, "workerinput"):
                sys.addaudithook(heed)

        def heed(event, args):
            if event == "subprocess.Popen" and "pytest_procpar.fresh.warden" in str(args[1]):
                with open("gate", "w"):  # waits for the test
                    pass
    """)
    suite.tests("""
        import os
        def test_fails(): assert not os.environ.get("PYTEST_XDIST_WORKER")
        def test_goes_on_only_then():
            with open("gate") as gate:
                gate.read()
    """)
    suite.run("-n1", "--recheck=failed", "--hang-timeout=60").assert_summary(passed=1, failed=1)
