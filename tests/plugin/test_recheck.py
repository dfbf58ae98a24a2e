"""What a failed test is found to be when it is run again in throw-away processes."""

from __future__ import annotations

import json
import os
import signal
import xml.etree.ElementTree as ElementTree

import pytest

from tests.conftest import Suite
from tests.plugin.rechecking import POLLUTED, name, printed, rechecked, section, shell, told

# --- what depends on others -------------------------------------------------------------------------


@pytest.mark.python_dependent
def test_a_victim_is_told_with_its_polluter_and_commands_that_were_tried(suite: Suite) -> None:
    suite.tests(POLLUTED)
    finished, findings = rechecked(suite, "-n1", "--junitxml=junit.xml", "-p", "cacheprovider")
    assert told(findings) == {"test_victim": ("victim", ["test_polluter"])}
    (finding,) = findings
    assert [(tried["expected"], tried["outcome"]) for tried in finding["commands"]] == [
        ("failed", "failed"),
        ("passed", "passed"),
    ]
    assert "VICTIM test_it.py::test_victim" in section(finished)
    assert "    polluter: test_it.py::test_polluter" in section(finished)
    assert finished.ret == 1
    finished.assert_summary(failed=1, passed=3)
    # The fresh processes that have tried the commands have left the user's files alone.
    suite_of = ElementTree.parse(suite.path / "junit.xml").getroot()[0]
    assert suite_of.get("tests") == "4"
    assert suite_of.get("failures") == "1"
    facts = {entry.get("name"): entry.get("value") for entry in suite_of.iter("property")}
    assert facts["procpar_finding"] == "victim"
    assert facts["procpar_depends_on"] == "test_it.py::test_polluter"
    failed = json.loads((suite.path / ".pytest_cache/v/cache/lastfailed").read_text())
    assert failed == {"test_it.py::test_victim": True}
    # And the commands do what they say.
    assert shell(suite, printed(finished, "fails")) == 1
    assert shell(suite, printed(finished, "passes")) == 0


def test_a_brittle_test_is_told_with_its_state_setter(suite: Suite) -> None:
    suite.file("test_a.py", "import lib\ndef test_setter(): lib.READY.append(1)\ndef test_more(): pass")
    suite.file("test_b.py", "import lib\ndef test_brittle(): assert lib.READY")
    suite.file("lib.py", "READY = []")
    _, findings = rechecked(suite, "-n2", "--dist=loadfile")
    assert told(findings) == {"test_brittle": ("brittle", ["test_setter"])}


def test_polluters_that_act_together_are_all_told(suite: Suite) -> None:
    suite.tests("""
        STATE = set()
        def test_one(): STATE.add(1)
        def test_no(): pass
        def test_two(): STATE.add(2)
        def test_neither(): pass
        def test_victim(): assert STATE != {1, 2}
    """)
    finished, findings = rechecked(suite, "-n1")
    assert told(findings) == {"test_victim": ("victim", ["test_one", "test_two"])}
    assert "    polluters, which act together: test_it.py::test_one" in section(finished)


def test_a_cleaner_between_polluter_and_victim_misleads_nobody(suite: Suite) -> None:
    suite.tests("""
        STATE = []
        def test_early_polluter(): STATE.append(1)
        def test_cleaner(): STATE.clear()
        def test_late_polluter(): STATE.append(1)
        def test_victim(): assert not STATE
    """)
    _, findings = rechecked(suite, "-n1", "--recheck-cleaners")
    kind, causes = told(findings)["test_victim"]
    assert kind == "victim"
    assert causes in (["test_early_polluter"], ["test_late_polluter"])  # each is one
    assert [name(cleaner) for cleaner in findings[0]["cleaners"]] == ["test_cleaner"]


def test_a_crash_after_others_is_told_with_what_brings_it_about(suite: Suite) -> None:
    suite.tests("""
        import os
        STATE = []
        def test_polluter(): STATE.append(1)
        def test_victim():
            if STATE:
                os.kill(os.getpid(), 11)
    """)
    _, findings = rechecked(suite, "-n1")
    assert told(findings) == {"test_victim": ("contaminated-crash", ["test_polluter"])}
    assert findings[0]["commands"][0]["outcome"] == "crashed"


def test_what_crashes_alone_is_said_to(suite: Suite) -> None:
    suite.tests("""
        import os
        def test_before(): pass
        def test_crash(): os.kill(os.getpid(), 11)
    """)
    finished, findings = rechecked(suite, "-n1")
    assert told(findings) == {}
    assert "crashes on its own too: test_it.py::test_crash" in section(finished)


def test_victims_of_one_polluter_stand_in_one_block(suite: Suite) -> None:
    suite.tests("""
        STATE = []
        def test_polluter(): STATE.append(1)
        def test_a(): assert not STATE
        def test_b(): assert not STATE
    """)
    finished, findings = rechecked(suite, "-n1")
    assert list(told(findings).values()) == 2 * [("victim", ["test_polluter"])]
    assert section(finished).count("    polluter: test_it.py::test_polluter") == 1


# --- what does not ----------------------------------------------------------------------------------


def test_a_plain_failure_stays_one(suite: Suite) -> None:
    suite.tests("def test_before(): pass\ndef test_fails(): assert 1 == 2")
    finished, findings = rechecked(suite, "-n1")
    assert told(findings) == {}
    assert [finding["kind"] for finding in findings] == ["plain"]
    assert section(finished) == ["fails on its own too: test_it.py::test_fails"]


def test_a_test_that_passes_every_other_time_is_flaky_and_blames_nobody(suite: Suite) -> None:
    suite.tests("""
        from pathlib import Path
        def test_before(): pass
        def test_flaky():
            file = Path("count")
            count = len(file.read_text()) if file.exists() else 0
            file.write_text("x" * (count + 1))
            assert count % 2
    """)
    _, findings = rechecked(suite, "-n1")
    assert told(findings) == {"test_flaky": ("flaky", [])}


def test_a_test_that_fails_only_beside_another_is_told_with_that(suite: Suite) -> None:
    suite.tests("""
        import os, time
        from pathlib import Path

        def wait_for(path, seconds):
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline and not Path(path).exists():
                time.sleep(0.001)

        def test_holds_the_lock():
            os.mkdir("lock")
            wait_for("tried", 0.3 if Path("ran").exists() else 60)
            os.rmdir("lock")

        def test_wants_the_lock():
            Path("tried").unlink(missing_ok=True)
            wait_for("lock", 0.2 if Path("ran").exists() else 60)
            Path("ran").touch()
            try:
                os.mkdir("lock")
                os.rmdir("lock")
            finally:
                Path("tried").touch()
    """)
    finished, findings = rechecked(suite, "-n2", "--recheck-budget=200")
    assert told(findings)["test_wants_the_lock"] == ("parallel-only", [])
    (finding,) = [f for f in findings if name(f["test"]) == "test_wants_the_lock"]
    assert list(map(name, finding["beside"])) == ["test_holds_the_lock"]
    assert "    beside: test_it.py::test_holds_the_lock" in section(finished)


#: A test that fails if another one is at work while it waits for that, and tests that do not matter to it. In
#: the run the two wait for each other; later on the one waits for a short while, and the other not at all.
MEETING = """
    import errno, os, select
    from pathlib import Path
    from recorder import note

    def test_meets():
        fd = os.open("meeting.fifo", os.O_RDONLY | os.O_NONBLOCK)
        try:
            poll = select.poll()
            poll.register(fd, select.POLLIN)
            seconds = 0.2 if Path("met").exists() else 60
            met = poll.poll(1000 * seconds) and os.read(fd, 1)
            Path("met").touch()
            assert not met, "another one is here"
        finally:
            os.close(fd)

    def test_before(): pass
    def test_more(): pass

    def test_is_met():
        try:
            fd = os.open("meeting.fifo", os.O_WRONLY | (os.O_NONBLOCK if Path("met").exists() else 0))
        except OSError as error:
            assert error.errno == errno.ENXIO, "nobody is here"
        else:
            os.write(fd, b"x")
            os.close(fd)

    def test_after(): pass
"""


def test_of_those_that_ran_beside_a_test_the_one_that_matters_is_told_with_a_command(suite: Suite) -> None:
    os.mkfifo(suite.path / "meeting.fifo")
    suite.tests(MEETING)
    finished, findings = rechecked(suite, "-n2", "--recheck-budget=200")
    assert told(findings) == {"test_meets": ("parallel-only", [])}
    (finding,) = findings
    assert list(map(name, finding["beside"])) == ["test_is_met"]
    assert not finding["collection_dependent"]
    assert "    beside: test_it.py::test_is_met" in section(finished)
    together, alone = finding["commands"]
    assert (together["expected"], together["outcome"], alone["outcome"]) == ("failed", "failed", "passed")
    assert "--procpar-replay=" in together["command"]
    assert "runs" not in alone
    assert any(shell(suite, together["command"]) == 1 for _ in range(together["runs"] + 9))
    assert shell(suite, alone["command"]) == 0


def test_a_command_that_does_not_fail_beside_others_is_told_so(suite: Suite) -> None:
    os.mkfifo(suite.path / "meeting.fifo")
    # It is not to be had by running the two at the same time.
    unless = "def test_meets(request):\n        if request.config.option.procpar_replay: return"
    suite.tests(MEETING.replace("def test_meets():", unless))
    finished, findings = rechecked(suite, "-n2", "--recheck-budget=200")
    assert told(findings) == {"test_meets": ("parallel-only", [])}
    (finding,) = findings
    assert not finding["collection_dependent"]
    together, _ = finding["commands"]
    assert (together["expected"], together["outcome"], together["runs"]) == ("failed", "passed", 5)
    assert f"    has not failed in 5 runs, but may: {together['command']}" in section(finished)


# --- processes of their own ---


def test_what_ran_in_a_process_of_its_own_pollutes_nobody(suite: Suite) -> None:
    suite.tests("""
        import pytest
        STATE = []
        @pytest.mark.isolated
        def test_would_pollute(): STATE.extend([1, 2])
        def test_polluter(): STATE.append(1)
        @pytest.mark.isolated
        def test_would_clean(): STATE.clear()
        def test_victim(): assert len(STATE) != 1
    """)
    _, findings = rechecked(suite, "-n1", "--recheck-cleaners")
    assert told(findings) == {"test_victim": ("victim", ["test_polluter"])}
    assert findings[0]["cleaners"] == []
    assert not findings[0]["collection_dependent"]


def test_what_runs_in_a_process_of_its_own_is_no_setter_and_needs_none(suite: Suite) -> None:
    suite.tests("""
        import pytest
        STATE = []
        @pytest.mark.isolated
        def test_would_set(): STATE.append(1)
        def test_fails(): assert STATE
        @pytest.mark.isolated
        def test_fails_apart(): assert STATE
        @pytest.mark.isolated
        def test_once():
            STATE.append(1)
            assert len(STATE) == 1
    """)
    _, findings = rechecked(suite, "-n1", "--recheck=all", "--recheck-order=reverse")
    assert told(findings) == {}
    assert {name(finding["test"]): finding["kind"] for finding in findings} == {
        "test_fails": "plain",
        "test_fails_apart": "plain",
    }


# --- what hides among passes ------------------------------------------------------------------------


def test_all_shows_brittle_tests_that_pass_and_tests_that_cannot_run_twice(suite: Suite) -> None:
    suite.tests("""
        STATE, DONE = [], []
        def test_setter(): STATE.append(1)
        def test_brittle(): assert STATE
        def test_once():
            assert not DONE
            DONE.append(1)
        def test_fine(): pass
    """)
    finished, findings = rechecked(suite, "-n1", "--recheck=all")
    assert told(findings) == {"test_brittle": ("brittle", ["test_setter"]), "test_once": ("nio", [])}
    assert finished.ret == 0
    finished.assert_summary(passed=4)


def test_a_doctest_can_be_run_twice(suite: Suite) -> None:
    suite.tests('''
        import math

        def halve(number):
            """
            >>> math.floor(halve(3))
            1
            """
            return number / 2
    ''')
    finished, findings = rechecked(suite, "-n2", "--recheck=all", "--doctest-modules")
    finished.assert_summary(passed=1)
    assert findings == []


@pytest.mark.parametrize("order", ["reverse", "random:1"])
def test_another_order_shows_victims_that_ran_before_their_polluter(suite: Suite, order: str) -> None:
    suite.tests("""
        STATE = []
        def test_victim(): assert not STATE
        def test_polluter(): STATE.append(1)
    """)
    finished, findings = rechecked(suite, "-n1", f"--recheck-order={order}")
    assert told(findings) == {"test_victim": ("victim", ["test_polluter"])}
    assert finished.ret == 0


def test_all_tries_a_known_polluter_on_every_test(suite: Suite) -> None:
    suite.tests("""
        STATE = []
        def test_hidden(): assert not STATE
        def test_polluter(): STATE.append(1)
        def test_victim(): assert not STATE
    """)
    _, findings = rechecked(suite, "-n1", "--recheck=all")
    assert told(findings) == {
        "test_victim": ("victim", ["test_polluter"]),
        "test_hidden": ("victim", ["test_polluter"]),
    }


def test_strict_makes_a_green_run_with_findings_fail(suite: Suite) -> None:
    suite.tests("""
        STATE = []
        def test_setter(): STATE.append(1)
        def test_brittle(): assert STATE
    """)
    assert rechecked(suite, "-n1", "--recheck=all")[0].ret == 0
    assert rechecked(suite, "-n1", "--recheck=all", "--recheck-strict")[0].ret == 1


# --- commands ---------------------------------------------------------------------------------------


def test_a_conftest_that_sorts_tests_does_not_keep_a_command_from_its_order(suite: Suite) -> None:
    suite.tests("""
        STATE = []
        def test_a(): assert not STATE
        def test_b(): pass
        def test_z():
            STATE.append(1)
    """)
    suite.conftest("""
        def pytest_collection_modifyitems(items):
            items.sort(key=lambda item: item.name, reverse=len(items) > 2)
    """)
    finished, findings = rechecked(suite, "-n1")
    assert told(findings) == {"test_a": ("victim", ["test_z"])}
    command = printed(finished, "fails")
    assert "--procpar-replay=" in command
    assert shell(suite, command) == 1


def test_what_only_importing_brings_about_is_collection_dependent(suite: Suite) -> None:
    suite.file("lib.py", "VALUE = 1")
    suite.file("test_a.py", "import lib\ndef test_victim(): assert lib.VALUE == 1")
    suite.file("test_b.py", "import lib\nlib.VALUE = 2\ndef test_more(): pass")
    finished, findings = rechecked(suite, "-n1")
    (finding,) = findings
    assert finding["collection_dependent"]
    assert finding["flagged"]
    assert "COLLECTION DEPENDENT test_a.py::test_victim" in section(finished)


# --- what it may cost -------------------------------------------------------------------------------

COUNTING = """
    import os
    from recorder import note
    def pytest_procpar_worker_forked(config):
        note("forked", pid=os.getpid())
"""


def test_a_green_run_forks_nothing_more(suite: Suite) -> None:
    suite.conftest(COUNTING)
    suite.tests("def test_a(): pass\ndef test_b(): pass")
    finished, findings = rechecked(suite, "-n2")
    assert findings == []
    assert len(finished.notes("forked")) == 2
    assert section(finished) == []


def test_none_switches_it_off(suite: Suite) -> None:
    suite.conftest(COUNTING)
    suite.tests(POLLUTED)
    finished, findings = rechecked(suite, "-n1", "--recheck=none")
    assert findings == []
    assert len(finished.notes("forked")) == 1


def test_tests_beyond_the_limit_are_named(suite: Suite) -> None:
    suite.tests("""
        import pytest
        @pytest.mark.parametrize("i", range(4))
        def test(i): assert False
        def test_b(): assert False
        def test_c(): assert False
        def test_d(): assert False
    """)
    finished, findings = rechecked(suite, "-n1", "--recheck-tests=2")
    assert {name(finding["test"]) for finding in findings} == {*(f"test[{i}]" for i in range(4)), "test_b"}
    assert "test_it.py::test_c, test_it.py::test_d" in section(finished)[-1]


def test_when_the_time_is_over_it_is_said_where_it_stood(suite: Suite) -> None:
    suite.tests("""
        import time
        STATE = []
        def test_polluter():
            STATE.append(1)
            time.sleep(5)
        def test_victim(): assert not STATE
    """)
    finished, findings = rechecked(suite, "-n1", "--recheck-budget=3")
    assert told(findings) == {}
    assert [finding["kind"] for finding in findings] == ["unknown"]
    assert findings[0]["note"].startswith("time ran out")
    assert any(line.startswith("not settled: test_it.py::test_victim") for line in section(finished))


def test_what_would_take_longer_than_there_is_time_is_not_begun(suite: Suite) -> None:
    suite.file(
        "test_a.py",
        """
        import time
        from recorder import note
        def test_long():
            note("ran", test="long")
            time.sleep(5)
        """,
    )
    suite.file("test_b.py", "def test_fails(): assert False")
    finished, findings = rechecked(suite, "-n2", "--dist=loadfile", "--recheck-budget=3")
    assert finished.ran == {"long": 1}
    assert [finding["kind"] for finding in findings] == ["fails-alone"]
    (line,) = section(finished)
    assert line.startswith("fails on its own too (not tried after 1 test before it: --recheck-budget=")


def test_what_has_failed_in_one_process_after_all_others_is_run_after_none_of_them_again(
    suite: Suite,
) -> None:
    suite.tests("""
        from recorder import note
        def test_before(): note("ran", test="before")
        def test_fails(): assert False
    """)
    finished, findings = rechecked(suite, "-n1")
    assert finished.ran == {"before": 1}
    assert [finding["kind"] for finding in findings] == ["plain"]


@pytest.mark.parametrize("style", ["auto", "no"])
def test_errors_of_one_fixture_are_one_root_of_which_one_is_tried(suite: Suite, style: str) -> None:
    suite.tests("""
        import pytest
        from recorder import note
        @pytest.fixture
        def db():
            note("ran", test="db")
            raise ConnectionError("cannot connect")
        @pytest.mark.parametrize("i", range(30))
        def test_query(db, i): pass
    """)
    finished, findings = rechecked(suite, "-n2", f"--tb={style}")
    assert {finding["kind"] for finding in findings} == {"plain"}
    assert finished.ran["db"] < 3 * 30
    assert section(finished)[:2] == [
        "30 failures, 1 root",
        "30 tests fail in the fixture `db`: ConnectionError: cannot connect",
    ]


def test_what_hung_is_tried_once_within_its_own_limit_if_nobody_is_ready_to_wait(
    suite: Suite, tmp_path_factory: pytest.TempPathFactory
) -> None:
    os.mkfifo(suite.path / "never.fifo")
    runs = tmp_path_factory.mktemp("runs") / "runs"  # what is in the project would be put back
    suite.tests(f"""
        from recorder import block
        def test_before(): pass
        def test_hangs():
            with open({str(runs)!r}, "a") as file: file.write("x")
            block()
    """)
    finished = suite.run("-n1", "--hang-timeout=1", "--recheck=failed")
    assert section(finished) == ["hangs on its own too: test_it.py::test_hangs"]
    assert runs.read_text() == "xx"


def test_a_test_that_hangs_leaves_no_other_unsettled(suite: Suite) -> None:
    suite.make_barrier()
    suite.tests("""
        from recorder import block
        STATE = []
        def test_hangs(): block()
        def test_polluter(): STATE.append(1)
        def test_victim(): assert not STATE
        def test_fails(): assert False
    """)
    finished, findings = rechecked(suite, "-n1", "--hang-timeout=1")
    assert told(findings) == {"test_victim": ("victim", ["test_polluter"])}
    kinds = {name(finding["test"]): finding["kind"] for finding in findings}
    assert (kinds["test_hangs"], kinds["test_fails"]) == ("plain", "plain")
    assert "hangs on its own too: test_it.py::test_hangs" in section(finished)


def test_more_tests_that_hang_than_workers_leave_no_other_unsettled(
    suite: Suite, tmp_path_factory: pytest.TempPathFactory
) -> None:
    os.mkfifo(suite.path / "never.fifo")
    runs = tmp_path_factory.mktemp("runs") / "runs"
    suite.tests(f"""
        import pytest
        from recorder import block
        STATE = []
        @pytest.mark.parametrize("number", range(4))
        def test_hangs(number):
            with open({str(runs)!r}, "a") as file: file.write("x")
            block()
        def test_fails(): assert False
        @pytest.mark.xdist_group("state")
        def test_pollutes(): STATE.append(1)
        @pytest.mark.xdist_group("state")
        def test_victim(): assert not STATE
    """)
    finished = suite.run("-n2", "--dist=loadgroup", "--hang-timeout=1", "--recheck=failed")
    finished.assert_summary(failed=6, passed=1)
    lines = section(finished)
    assert "VICTIM test_it.py::test_victim" in lines
    assert "fails on its own too: test_it.py::test_fails" in lines
    assert any(line.startswith("hang on their own too: test_it.py::test_hangs[") for line in lines)
    # None of the others is tried again and again: whether the fork is to blame is known of its likes.
    assert runs.read_text() == 6 * "x"


def test_what_failed_once_and_never_again_is_told_so(suite: Suite) -> None:
    suite.tests("""
        from pathlib import Path
        def test_before(): pass
        def test_once():
            file = Path("once")
            again = file.exists()
            file.touch()
            assert again
    """)
    finished, findings = rechecked(suite, "-n1")
    assert told(findings) == {"test_once": ("flaky", [])}
    assert any(line.startswith("    failed once, and not again in ") for line in section(finished))


def test_after_the_failure_that_x_waits_for_there_is_a_recheck(suite: Suite) -> None:
    suite.tests(POLLUTED)
    _, findings = rechecked(suite, "-n1", "-x")
    assert told(findings) == {"test_victim": ("victim", ["test_polluter"])}


def test_ctrl_c_ends_the_recheck_and_keeps_the_results(suite: Suite) -> None:
    suite.make_barrier()
    suite.tests("""
        import os
        from recorder import block, reached
        from pathlib import Path
        def test_fails():
            if Path("again").exists():
                reached("re-checked")
                block()
            Path("again").touch()
            assert False
    """)
    running = suite.start("-n1", "--recheck=failed", "--recheck-budget=200")
    suite.await_reached()
    running.signal(signal.SIGINT)
    finished = running.finish()
    assert finished.ret == 2
    finished.assert_summary(failed=1)


def test_without_workers_an_explicit_recheck_makes_one(suite: Suite) -> None:
    suite.tests(POLLUTED)
    _, findings = rechecked(suite)
    assert told(findings) == {"test_victim": ("victim", ["test_polluter"])}


# --- fixtures and ill-behaved tests -----------------------------------------------------------------


@pytest.mark.python_dependent
def test_fixtures_are_set_up_and_torn_down_as_in_the_run(suite: Suite) -> None:
    suite.tests("""
        import pytest
        STATE = []

        @pytest.fixture(scope="module")
        def made():
            yield STATE
            STATE.append("torn down")

        class TestOne:
            @pytest.fixture(scope="class")
            def opened(self, made):
                made.append("open")
                yield
                made.remove("open")
            def test_a(self, opened, tmp_path, capsys):
                print("x")
                assert capsys.readouterr().out == "x\\n"
                (tmp_path / "file").touch()
            def test_b(self, opened): assert STATE == ["open"]

        def test_polluter(made): made.append("left")
        def test_victim(made, tmp_path, capfd):
            assert list(tmp_path.iterdir()) == []
            assert made == []
    """)
    _, findings = rechecked(suite, "-n1")
    assert told(findings) == {"test_victim": ("victim", ["test_polluter"])}


@pytest.mark.parametrize(
    "deed",
    [
        "os.closerange(3, 200)",
        "os.chdir('/')",
        "time.monotonic = os.fork = None",
        "threading.Thread(target=threading.Event().wait, daemon=True).start()",
        "os.fork() or None",
        "subprocess.Popen(['sleep', '1000'])",
        "os.setsid()",
    ],
)
def test_a_polluter_that_disturbs_its_process_does_not_disturb_the_search(suite: Suite, deed: str) -> None:
    suite.tests(f"""
        import os, subprocess, threading, time
        STATE = []
        def test_before(): pass
        def test_polluter():
            STATE.append(1)
            {deed}
        def test_victim(): assert not STATE
    """)
    _, findings = rechecked(suite, "-n1")
    assert ("victim", ["test_polluter"]) in told(findings).values()


@pytest.mark.python_dependent
def test_unittest_classes_and_expected_failures_are_understood(suite: Suite) -> None:
    suite.tests("""
        import unittest, pytest
        STATE = []
        class TestCase(unittest.TestCase):
            def test_a(self): STATE.append(1)
            def test_b(self): self.assertEqual(STATE, [])
        @pytest.mark.xfail(strict=True)
        def test_expected(): assert STATE == []
        @pytest.mark.xfail(strict=True)
        def test_unexpected(): pass
    """)
    _, findings = rechecked(suite, "-n1")
    assert told(findings) == {"TestCase::test_b": ("victim", ["TestCase::test_a"])}


# --- options ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "option",
    [
        "--recheck=some",
        "--recheck-order=sideways",
        "--recheck-order=random:",
        "--recheck-budget=-1",
        "--recheck-budget=long",
        "--recheck-tests=0",
    ],
)
def test_a_wrong_value_is_a_usage_error(suite: Suite, option: str) -> None:
    suite.tests(POLLUTED)
    finished = suite.run("-n1", option)
    assert finished.ret == 4
    assert option.split("=")[0] in finished.err


def test_a_wrong_ini_value_is_a_usage_error(suite: Suite) -> None:
    suite.tests(POLLUTED)
    finished = suite.run("-n1", "-o", "procpar_recheck=some")
    assert finished.ret == 4
    assert "procpar_recheck" in finished.err


def test_with_n_0_it_is_said_that_nothing_is_rechecked(suite: Suite) -> None:
    suite.tests(POLLUTED)
    finished = suite.run("-n0", "--recheck=all")
    finished.stdout.fnmatch_lines(["procpar: nothing is re-checked with -n 0"])
