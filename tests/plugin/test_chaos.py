"""Workers are killed at random, all the time: every test is settled once, and nothing is left behind.

The seed decides at which words of the workers somebody is killed, and how; what they are doing at that moment
is chance. A fault that needs an unlucky moment shows itself now and then. `python -m benchmarks.soak` goes on
for longer.
"""

from __future__ import annotations

import signal
from collections import Counter

import pytest

from benchmarks import crashes, soak
from tests.conftest import Suite

SIZE = 12
WORKERS = 3


@pytest.mark.python_dependent
@pytest.mark.parametrize("seed", [1, 2], ids="seed{}".format)
@pytest.mark.parametrize("mode", soak.MODES)
def test_nothing_is_lost_whoever_is_killed(
    suite: Suite, monkeypatch: pytest.MonkeyPatch, mode: str, seed: int
) -> None:
    copies = WORKERS if mode == "each" else 1
    size = SIZE // copies
    soak.write_suite(suite.path, size)
    suite.give_basetemp = False
    monkeypatch.setenv("TMPDIR", str(soak.temporary_folder(suite.path)))
    before = {path.name for path in suite.path.iterdir()}
    with soak.Killer(suite.path, f"{mode} {seed}", suite.processes) as killer:
        finished = suite.start(f"-n{WORKERS}", f"--dist={mode}").finish(timeout=120)
    tests, notes = soak.tests_in(size), [*killer.notes, *finished.records]
    found = soak.examine(soak.Ended(mode, WORKERS, tests, finished.ret, finished.out, notes, killer.kills))
    assert found.wrong == found.lost == found.twice == []
    assert found.settled == tests * copies
    assert len(found.deaths) > 20, "that was no chaos"
    assert not suite.processes()
    assert not soak.leftovers(suite.path, before)


@pytest.mark.python_dependent
@pytest.mark.parametrize("mode", soak.MODES)
def test_of_400_tests_20_may_kill_their_workers(
    suite: Suite, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    copies = 2 if mode == "each" else 1
    for name, text in crashes.suite_files(400 // copies).items():
        suite.file(name, text)
    for name, value in crashes.dying(signal.SIGSEGV).items():
        monkeypatch.setenv(name, value)
    finished = suite.run("-n2", f"--dist={mode}")
    finished.assert_summary(passed=380, failed=20)
    assert finished.ret == pytest.ExitCode.TESTS_FAILED
    crashed = Counter(note["nodeid"] for note in finished.notes("report") if note["when"] == "???")
    numbers = [int(nodeid.partition("[")[2][:-1]) for nodeid in crashed]
    assert all(number % crashes.EVERY == 7 for number in numbers)
    assert len(numbers) == 20 // copies
    assert set(crashed.values()) == {copies}


def test_the_soak_does_this_by_itself_and_says_what_came_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    status = soak.main(["--kills=1", "--seed=1", "--dist=load", "--workers=2", "--tests=240"])
    out, err = capsys.readouterr()
    assert status == 0, err
    assert "| tests settled | 240 |" in out
    assert "run 1, --dist load: " in err


# --- unlucky moments ------------------------------------------------------------------------------
# Moments in which a worker is hit rarely from outside; here it kills itself then.


@pytest.mark.python_dependent
def test_a_test_that_is_over_is_not_blamed_when_its_worker_dies_before_the_next_begins(suite: Suite) -> None:
    suite.tests("def test_first(): pass\ndef test_second(): pass")
    suite.conftest("""
        import os
        from pytest_procpar.core.protocol.worker import Began
        from pytest_procpar.ipc.inbox import WorkerLink

        def pytest_procpar_worker_forked(config):
            if config.workerinput["workerid"] == "gw0":
                put = WorkerLink.put
                def put_or_die(self, message):
                    if isinstance(message, Began) and message.test == 1:
                        os._exit(1)
                    put(self, message)
                WorkerLink.put = put_or_die
    """)
    finished = suite.run("-n1")
    finished.assert_summary(passed=2, errors=1)
    finished.stdout.fnmatch_lines(
        ["worker 'gw0' died between two tests: exited with code 1; 'test_it.py::test_first' ran last there"]
    )


@pytest.mark.python_dependent
def test_a_worker_that_dies_before_its_first_test_begins_has_run_none(suite: Suite) -> None:
    suite.tests("def test_first(): pass\ndef test_second(): pass")
    suite.conftest("""
        import os
        from pytest_procpar.core.protocol.worker import Began
        from pytest_procpar.ipc.inbox import WorkerLink

        def pytest_procpar_worker_forked(config):
            if config.workerinput["workerid"] == "gw0":
                put = WorkerLink.put
                def put_or_die(self, message):
                    if isinstance(message, Began):
                        os._exit(1)
                    put(self, message)
                WorkerLink.put = put_or_die
    """)
    finished = suite.run("-n1")
    finished.assert_summary(passed=2, errors=1)
    finished.stdout.fnmatch_lines(
        ["worker 'gw0' died before its first test: exited with code 1; no test had run there"]
    )


@pytest.mark.python_dependent
def test_a_death_after_a_late_teardown_loses_no_result(suite: Suite) -> None:
    suite.tests("""
        import pytest

        class TestFirst:
            def test_kept_for_the_next(self): pass
            def test_taken_back(self): pass

        class TestSecond:
            @pytest.mark.parametrize("i", range(60))
            def test_other(self, i): pass
    """)
    suite.conftest("""
        import os
        from pytest_procpar.core.protocol.worker_status import Stage
        from pytest_procpar.ipc.board import BoardSlot
        from pytest_procpar.ipc.inbox import WorkerLink

        def pytest_procpar_worker_forked(config):
            if config.workerinput["workerid"] == "gw0":
                claim, enter = WorkerLink.claim, BoardSlot.enter
                def claim_what_was_not_taken_back(self, *, wait):
                    record = claim(self, wait=wait)
                    return claim(self, wait=True) if record == 1 else record
                def enter_and_die(self, stage, test):
                    enter(self, stage, test)
                    if stage is Stage.BETWEEN:
                        os._exit(1)
                WorkerLink.claim, BoardSlot.enter = claim_what_was_not_taken_back, enter_and_die
    """)
    finished = suite.run("-n1")
    finished.assert_summary(passed=62, errors=1)


@pytest.mark.python_dependent
@pytest.mark.parametrize("records", [1, 3])
def test_a_test_that_reads_what_its_worker_was_sent_is_named_and_nothing_is_lost(
    suite: Suite, records: int
) -> None:
    suite.tests(f"""
        import gc, os, pytest
        from pytest_procpar.ipc.inbox import WorkerLink

        def test_first(): pass
        def test_thief():
            (link,) = [thing for thing in gc.get_objects() if type(thing) is WorkerLink]
            os.read(link.fileno(), {records} * 16)
        @pytest.mark.parametrize("i", range(40))
        def test_other(i): pass
    """)
    finished = suite.run("-n1")
    finished.assert_summary(passed=42, errors=1)
    finished.stdout.fnmatch_lines(
        ["*[[]gw0] is killed: its connection has lost tests that it was sent, after test_it.py::test_thief"]
    )
