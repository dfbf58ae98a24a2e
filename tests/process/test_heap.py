"""The controller's handle on all processes: what a single stream cannot show, in whole runs."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from pytest_procpar.forking.heap import SharedHeap
from tests.conftest import TIMEOUT, Suite


def test_environment_beyond_the_buffer_reaches_the_workers(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(10):
        monkeypatch.setenv(f"LONG_{number}", "x" * 100_000)
    suite.tests("""
        import os

        def test_environment():
            assert [os.environ[f"LONG_{number}"] for number in range(10)] == ["x" * 100_000] * 10
    """)
    suite.run("-n2").assert_summary(passed=1)


def test_worker_whose_stream_is_written_to_costs_its_test_only(suite: Suite) -> None:
    suite.tests("""
        import os
        import stat
        import pytest

        def test_that_writes_to_every_pipe_it_finds():
            for name in os.listdir("/dev/fd"):
                try:
                    if stat.S_ISFIFO(os.fstat(int(name)).st_mode):
                        os.write(int(name), b"garbage" * 10)
                except OSError:
                    pass

        @pytest.mark.parametrize("number", range(10))
        def test_other(number):
            pass
    """)
    suite.run("-n2").assert_summary(passed=10, failed=1)


@pytest.mark.parametrize(("setting", "is_frozen"), [("true", True), ("false", False)])
def test_collector_lets_the_controllers_pages_alone_while_others_share_them(
    suite: Suite, setting: str, is_frozen: bool
) -> None:
    suite.trivial(2)
    suite.file(
        "run_twice.py",
        """
        import gc, sys
        import pytest
        from pytest_procpar.system.frozen_heap import frozen_count
        from recorder import note

        class Controller:
            def pytest_sessionfinish(self):
                note("frozen", count=frozen_count())

        for _ in range(2):
            assert pytest.main(sys.argv[1:], plugins=[Controller()]) == 0
            note("afterwards", count=gc.get_freeze_count())
    """,
    )
    args = [sys.executable, "run_twice.py", "-n2", "-o", f"procpar_freeze_heap={setting}"]
    subprocess.run(args, cwd=suite.path, check=True, timeout=TIMEOUT, stdout=subprocess.DEVNULL)
    notes = [record for record in suite.records() if record["kind"] in ("frozen", "afterwards")]
    assert [note["count"] > 0 for note in notes] == [is_frozen, False, is_frozen, False]


def test_a_heap_that_somebody_else_has_frozen_stays_so() -> None:
    gc.freeze()
    try:
        count = gc.get_freeze_count()
        heap = SharedHeap(freeze=True)
        heap.release()
        assert gc.get_freeze_count() == count
    finally:
        gc.unfreeze()
