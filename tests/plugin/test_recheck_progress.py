"""What is told while the re-check is under way, and when it is interrupted."""

from __future__ import annotations

import signal
import sys

import pytest

from tests.conftest import Suite
from tests.plugin.rechecking import POLLUTED, section

#: Starts a command on a terminal of its own, whose output it passes on.
ON_A_TERMINAL = (sys.executable, "-c", "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)")

#: A test that fails in the run, and blocks as soon as it is run again.
BLOCKING = """
    import os
    from recorder import block, reached
    from pathlib import Path
    def test_plain(): assert 1 == 2
    def test_blocks():
        if Path("again").exists():
            reached("re-checked")
            block()
        Path("again").touch()
        assert False
"""


@pytest.fixture(autouse=True)
def no_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CI", "BUILD_NUMBER"):
        monkeypatch.delenv(name, raising=False)


def test_a_line_says_what_is_looked_into_and_for_how_long_at_the_most(suite: Suite) -> None:
    suite.tests(POLLUTED)
    finished = suite.run("-n1", "--recheck=failed", "--recheck-budget=99.5")
    lines = [line for line in finished.out.splitlines() if line.startswith("re-checking")]
    assert lines == ["re-checking 1 failed test, for at most 100 s (Ctrl-C ends it)"]
    assert " settled" not in finished.out
    assert "\r" not in finished.out


def test_where_more_than_failures_is_looked_into_no_limit_is_told(suite: Suite) -> None:
    suite.tests(POLLUTED)
    finished = suite.run("-n1", "--recheck=all")
    assert "re-checking 4 tests (Ctrl-C ends it)\n" in finished.out


def test_on_a_terminal_a_line_shows_how_far_it_is_and_is_gone_at_the_end(suite: Suite) -> None:
    suite.tests(POLLUTED)
    running = suite.start("-n1", "--recheck=failed", "--recheck-budget=100", by=ON_A_TERMINAL)
    finished = running.finish()
    assert finished.ret == 1
    _, _, shown = finished.out.partition("(Ctrl-C ends it)")
    shown, _, _ = shown.partition("procpar: re-check")
    assert "\r0 of 1 settled, at most 100 s left: test_it.py::test_victim alone" in shown
    *_, last = [line.removesuffix("\r") for line in shown.split("\n") if " left: " in line]
    *_, over, rest = last.split("\r")
    assert over.isspace()
    assert rest == ""


@pytest.mark.parametrize("case", ["-qq", "CI"])
def test_there_is_no_such_line_where_nobody_would_look_at_it(
    suite: Suite, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    suite.tests(POLLUTED)
    if case == "CI":
        monkeypatch.setenv("CI", "1")
    options = ["-qq"] if case == "-qq" else []
    finished = suite.start("-n1", "--recheck=failed", *options, by=ON_A_TERMINAL).finish()
    assert "procpar: re-check" in finished.out
    assert " left: " not in finished.out


def test_after_ctrl_c_what_is_known_is_told_and_one_reason(suite: Suite) -> None:
    suite.make_barrier()
    suite.tests(BLOCKING)
    running = suite.start("-n1", "--recheck=failed", "--recheck-budget=200")
    suite.await_reached()
    running.signal(signal.SIGINT)
    finished = running.finish()
    assert finished.ret == 2
    lines = section(finished)
    assert [line for line in lines if line] == ["the re-check has ended early: it was interrupted"]
    assert "time was over" not in finished.out
    assert "--recheck-budget" not in finished.out


def test_when_the_time_is_over_that_is_the_reason(suite: Suite) -> None:
    suite.tests("""
        import time
        from pathlib import Path
        def test_fails():
            if Path("again").exists():
                time.sleep(60)
            Path("again").touch()
            assert False
    """)
    finished = suite.run("-n1", "--recheck=failed", "--recheck-budget=2")
    assert finished.ret == 1
    assert "since there was no time (--recheck-budget=" in finished.out
    assert "interrupted" not in finished.out
