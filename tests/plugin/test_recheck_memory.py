"""Throw-away processes that have to go: what others do then, and what becomes of their fixtures."""

from __future__ import annotations

from tests.conftest import Finished, Suite
from tests.plugin.rechecking import POLLUTED, rechecked, told

#: Tests that rewrite what they share with check-points, which take 16 MiB each then.
HEAVY = """
    import pytest, time
    DATA = bytearray(16 << 20)
    STATE = []

    @pytest.mark.parametrize("number", range(16))
    def test(number):
        time.sleep(0.04)
        for place in range(0, len(DATA), 4096):
            DATA[place] = (DATA[place] + 1) % 256
        if number == 2:
            STATE.append(1)

    def test_victim(): assert not STATE
"""

#: Makes the machine one with no memory to spare, and notes which check-points have to go.
LITTLE_MEMORY = """
    from pytest_procpar.recheck.probing import checkpoints, prober
    from recorder import note

    keep = checkpoints.CheckpointTree.keep

    def keep_and_note(self, handle):
        gone = keep(self, handle)
        note("kept", gone=len(gone))
        return gone

    prober.memory_cap = lambda: 0
    checkpoints.CheckpointTree.keep = keep_and_note
"""


#: Lets throw-away processes take longer for their fixtures than 10 s, which may be too few on a busy machine.
PATIENT = """
    from pytest_procpar.recheck.probing import prober

    assert prober._TEARDOWN_SECONDS == 10.0
    prober._TEARDOWN_SECONDS = 200.0
"""


def not_torn_down(finished: Finished) -> set[int]:
    """The processes that have set up a fixture, and have not torn it down."""
    return set(finished.facts("set up", "pid")) - set(finished.facts("torn down", "pid"))


def test_a_pass_goes_on_when_its_check_points_have_to_go(suite: Suite) -> None:
    suite.conftest(LITTLE_MEMORY)
    suite.tests(HEAVY)
    finished, findings = rechecked(suite, "-n1", "--recheck-budget=200")
    assert sum(finished.facts("kept", "gone")) > 0
    assert told(findings) == {"test_victim": ("victim", ["test[2]"])}
    assert {tally["under"]: tally["failed"] for tally in findings[0]["tallies"]}["alone"] == 0


def test_fixtures_are_torn_down_to_the_end_though_check_points_go_first(suite: Suite) -> None:
    suite.conftest(PATIENT)
    suite.tests("""
        import os, pytest, time
        from recorder import note
        STATE = []

        @pytest.fixture(scope="session")
        def opened():
            note("set up", pid=os.getpid())
            yield
            time.sleep(0.3)
            note("torn down", pid=os.getpid())

        @pytest.mark.parametrize("number", range(8))
        def test(opened, number):
            time.sleep(0.04)
            if number == 2:
                STATE.append(1)

        def test_victim(opened): assert not STATE
    """)
    finished, findings = rechecked(suite, "-n1", "--recheck-budget=200")
    assert told(findings) == {"test_victim": ("victim", ["test[2]"])}
    assert len(finished.notes("set up")) > 2
    assert not_torn_down(finished) == set()


def test_fixtures_of_what_runs_beside_a_suspect_are_torn_down(suite: Suite) -> None:
    suite.conftest(PATIENT)
    suite.tests("""
        import os, pytest, time
        from pathlib import Path
        from recorder import note

        @pytest.fixture(scope="session")
        def opened():
            note("set up", pid=os.getpid())
            yield
            time.sleep(0.2)
            note("torn down", pid=os.getpid())

        def meet(own, other):
            Path(own).touch()
            while not Path(other).exists():
                time.sleep(0.001)

        def test_fails_once():
            meet("one", "other")
            failed = Path("failed").exists()
            Path("failed").touch()
            assert failed

        def test_beside(opened): meet("other", "one")
    """)
    finished, findings = rechecked(suite, "-n2", "--recheck-budget=200")
    assert [finding["kind"] for finding in findings] == ["flaky"]
    assert "beside others" in [tally["under"] for tally in findings[0]["tallies"]]
    assert not_torn_down(finished) == set()


def test_what_the_kernel_kills_elsewhere_on_the_machine_ends_nothing(suite: Suite) -> None:
    suite.conftest("""
        from itertools import count
        from pytest_procpar.system import oom as memory

        kills, everywhere = memory._kills, count()
        memory._kills = lambda file: next(everywhere) if file.name == "vmstat" else kills(file)
    """)
    suite.tests(f"{POLLUTED}    def test_exits(): __import__('os')._exit(3)\n")
    finished, findings = rechecked(suite, "-n1", "--recheck-budget=200")
    assert told(findings) == {"test_victim": ("victim", ["test_polluter"])}
    finished.stdout.no_fnmatch_line("*was exhausted*")
