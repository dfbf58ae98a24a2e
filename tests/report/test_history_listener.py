"""What a run without workers of ours tells the history of durations."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from pytest_procpar.core.history.run_log import Ending, Timed
from pytest_procpar.history.listening import Listener


def report(nodeid: str, when: str, outcome: str = "passed", **more: object) -> pytest.TestReport:
    made = SimpleNamespace(nodeid=nodeid, when=when, outcome=outcome, duration=1.0, **more)
    return cast("pytest.TestReport", made)


def run(listener: Listener, nodeid: str, call: str = "passed", **more: object) -> None:
    for when in ("setup", "call", "teardown"):
        listener.pytest_runtest_logreport(report(nodeid, when, call if when == "call" else "passed", **more))
    listener.pytest_runtest_logfinish(nodeid)


def test_tests_of_workers_are_kept_apart() -> None:
    """As those of pytest-xdist are."""
    listener = Listener()
    for worker, nodeid in [("gw0", "a"), ("gw1", "b"), ("gw0", "c")]:
        run(listener, nodeid, worker_id=worker)
    run(listener, "d")
    found = listener.log.processes(None, None, ())
    assert [[test.nodeid for test in process] for process in found] == [["a", "c"], ["b"], ["d"]]


def test_what_failed_as_expected_ran_and_what_was_skipped_did_not() -> None:
    listener = Listener()
    run(listener, "a", "skipped", wasxfail="")
    run(listener, "b", "skipped")
    run(listener, "c", "failed")
    (process,) = listener.log.processes(None, None, ())
    endings = [Ending.RAN, Ending.SKIPPED_LATE, Ending.FAILED]
    assert process == [Timed(nodeid, ending, 1, 1, 1) for nodeid, ending in zip("abc", endings, strict=True)]


def test_a_subtest_is_no_call_and_a_test_without_reports_nothing() -> None:
    listener = Listener()
    listener.pytest_runtest_logreport(report("a", "setup"))
    listener.pytest_runtest_logreport(report("a", "call", "failed", context=object()))
    listener.pytest_runtest_logreport(report("a", "call"))
    listener.pytest_runtest_logreport(report("a", "teardown"))
    listener.pytest_runtest_logfinish("a")
    listener.pytest_runtest_logfinish("b")
    assert listener.log.processes(None, None, ()) == [[Timed("a", Ending.RAN, 1, 1, 1)]]
