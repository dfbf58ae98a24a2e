"""Runs in a control group with a memory limit: what the kernel kills there is never the controller."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.conftest import Finished, Suite
from tests.plugin.rechecking import section

_ROOT = Path("/sys/fs/cgroup/memory")

#: Takes all the memory there is.
ALLOCATE = """
    def allocate():
        kept = []
        while True:
            kept.append(bytearray(b"x" * (1 << 20)))
"""


@pytest.fixture
def limited(suite: Suite) -> Iterator[Callable[..., Finished]]:
    """Runs the suite in a control group of version 1 that may take so many MB; notes how many were killed."""
    group = _ROOT / f"procpar-{os.getpid()}"
    try:
        group.mkdir()
    except OSError:
        pytest.skip("no control group with a memory limit can be made here")
    suite.file("allocate.py", ALLOCATE)

    def run(megabytes: int, *args: str) -> Finished:
        (group / "memory.limit_in_bytes").write_text(str(megabytes << 20))
        running = suite.start(*args, prepare=lambda: (group / "cgroup.procs").write_text(str(os.getpid())))
        finished = running.finish()
        facts = (group / "memory.oom_control").read_text().split()
        finished.records.append({"kind": "killed", "count": int(facts[facts.index("oom_kill") + 1])})
        return finished

    yield run
    suite.await_gone()
    while group.exists():
        with suppress(OSError):  # the kernel has not let go of the last process
            group.rmdir()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_what_was_killed_for_want_of_memory_is_not_run_again(
    suite: Suite, limited: Callable[..., Finished], method: str
) -> None:
    suite.tests("""
        from allocate import allocate
        def test_passes(): pass
        def test_allocates(): allocate()
    """)
    finished = limited(150, "-n1", "--recheck=failed", f"--start-method={method}")
    assert finished.ret == pytest.ExitCode.TESTS_FAILED
    finished.assert_summary(failed=1, passed=1)
    assert section(finished) == [
        "not re-checked, since the kernel killed it when memory ran out: test_it.py::test_allocates"
    ]
    assert "re-checking" not in finished.out
    assert finished.facts("killed", "count") == [1]


def test_a_throw_away_process_that_is_killed_for_want_of_memory_ends_the_recheck(
    suite: Suite, limited: Callable[..., Finished]
) -> None:
    suite.tests("""
        from pathlib import Path
        from allocate import allocate
        def test_allocates_when_it_is_run_again():
            if Path("again").exists():
                allocate()
            Path("again").touch()
            assert False
    """)
    finished = limited(150, "-n1", "--recheck=failed")
    assert finished.ret == pytest.ExitCode.TESTS_FAILED
    finished.assert_summary(failed=1)
    why = "the kernel has killed a process meanwhile: the memory limit of its control group was exhausted"
    assert section(finished) == [
        "not settled: test_it.py::test_allocates_when_it_is_run_again: it could not be confirmed: " + why,
        f"the re-check has ended early: {why}",
    ]


def test_where_no_fresh_process_fits_none_is_started(suite: Suite, limited: Callable[..., Finished]) -> None:
    suite.tests("""
        TABLE = [str(number) for number in range(1_000_000)]
        def test_fails(): assert False
    """)
    finished = limited(170, "-n1", "--recheck=failed")
    assert finished.ret == pytest.ExitCode.TESTS_FAILED
    finished.assert_summary(failed=1)
    assert finished.facts("killed", "count") == [0]
    alone, unconfirmed = section(finished)
    assert alone == "fails on its own too: test_it.py::test_fails"
    assert "MB of memory are left, and it takes about" in unconfirmed
    assert unconfirmed.endswith(": test_it.py::test_fails")
