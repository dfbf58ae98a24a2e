"""What a run leaves behind for the questions that come afterwards."""

from __future__ import annotations

from pytest_procpar.core.inquiry.probes import Outcome
from pytest_procpar.core.inquiry.run_record import RunRecord, Seen
from pytest_procpar.core.model import TestIndex, WorkerId

GW0, GW1, GW2 = WorkerId(0), WorkerId(1), WorkerId(2)


def make(count: int) -> RunRecord:
    run = RunRecord(None)
    run.collected([f"test_{i % 2}.py::test_{i}" for i in range(count)])
    return run


def test_a_plain_pass_is_known_by_its_time_and_place() -> None:
    run = make(2)
    run.finished(GW0, TestIndex(1), 1.0, 3.0)
    run.finished(GW0, TestIndex(0), 3.0, 4.0)
    assert run.word(TestIndex(1)) is Outcome.PASSED
    assert run.seconds(TestIndex(1)) == 2.0
    assert run.before(TestIndex(0)) == (1,)
    assert run.failures == 0
    assert run.failed() == []


def test_a_failure_is_seen_with_what_ran_before_and_beside_it() -> None:
    run = make(3)
    run.finished(GW0, TestIndex(0), 1.0, 2.0)
    run.finished(GW1, TestIndex(2), 1.5, 5.0)
    run.reported(TestIndex(1), {"outcome": "passed"})
    run.reported(TestIndex(1), {"outcome": "failed"})
    run.finished(GW0, TestIndex(1), 2.0, 3.0)
    assert run.failed() == [Seen(TestIndex(1), Outcome.FAILED, (TestIndex(0),), ((TestIndex(2),),))]
    assert run.seconds(TestIndex(1)) == 1.0


def test_what_ended_its_process_is_not_to_be_run_beside_others() -> None:
    run = make(4)
    run.died(GW1, TestIndex(1), Outcome.CRASHED, 1.0, 3.0)
    run.finished(GW2, TestIndex(2), 3.0, 4.0)
    run.reported(TestIndex(0), {"outcome": "failed"})
    run.finished(GW0, TestIndex(0), 1.0, 5.0)
    assert [seen.beside for seen in run.failed() if seen.test == 0] == [((TestIndex(2),),)]


def test_a_skip_is_no_failure_and_no_pass_and_an_expected_failure_is_a_pass() -> None:
    run = make(2)
    run.reported(TestIndex(0), {"outcome": "skipped"})
    run.reported(TestIndex(1), {"outcome": "skipped", "wasxfail": "reason"})
    assert run.word(TestIndex(0)) is Outcome.SKIPPED
    assert run.word(TestIndex(1)) is Outcome.PASSED
    assert run.failures == 0


def test_what_ends_its_process_is_left_out_of_what_precedes_a_test() -> None:
    run = make(4)
    run.died(GW0, TestIndex(1), Outcome.CRASHED, 0.5, 10.0)
    run.died(GW0, TestIndex(2), Outcome.HUNG, 7.0, 20.0)
    assert run.preceding(TestIndex(3)) == (0,)
    assert run.limit(TestIndex(2)) == 7.0
    assert run.seconds(TestIndex(2)) == 0.0
    assert run.limit(TestIndex(1)) == 0.0
    assert run.failures == 2


def test_a_test_with_a_process_of_its_own_shares_no_state_with_others() -> None:
    run = RunRecord(None)
    run.collected([f"test_it.py::test_{i}" for i in range(5)], apart=[1, 3])
    run.finished(GW0, TestIndex(0), 1.0, 2.0)
    run.finished(GW0, TestIndex(1), 2.0, 3.0)
    run.died(GW0, TestIndex(3), Outcome.CRASHED, 1.0, 4.0)
    run.finished(GW0, TestIndex(4), 5.0, 6.0)
    run.finished(GW0, TestIndex(6), 6.0, 7.0)  # under --dist each: a copy of test 1
    run.finished(GW0, TestIndex(7), 7.0, 8.0)
    assert [run.before(TestIndex(i)) for i in (0, 1, 3, 4, 6, 7)] == [(), (), (), (0,), (), (0, 4)]
    assert (run.preceding(TestIndex(4)), run.preceding(TestIndex(1))) == ((0, 2), ())
    assert run.companions() == [0, 2, 4]


def test_copies_under_dist_each_are_told_as_the_test_they_are_copies_of() -> None:
    run = make(2)
    run.finished(GW1, TestIndex(2), 1.0, 2.0)
    run.reported(TestIndex(3), {"outcome": "failed"})
    run.finished(GW1, TestIndex(3), 2.0, 3.0)
    (seen,) = run.failed()
    assert (seen.test, seen.before) == (1, (0,))


def failed_at(run: RunRecord, worker: WorkerId, test: int, line: int) -> None:
    crash = {"path": "test_it.py", "lineno": line, "message": "so"}
    run.reported(TestIndex(test), {"outcome": "failed", "when": "call", "longrepr": {"reprcrash": crash}})
    run.finished(worker, TestIndex(test), float(test), test + 0.5)


def test_of_copies_under_dist_each_the_first_that_has_failed_tells_how_the_test_ended() -> None:
    run = make(2)
    run.finished(GW0, TestIndex(0), 0.0, 0.5)
    run.finished(GW0, TestIndex(1), 1.0, 1.5)
    failed_at(run, GW1, 2, 7)
    run.died(GW1, TestIndex(3), Outcome.HUNG, 3.0, 6.0)
    assert (run.word(TestIndex(0)), run.word(TestIndex(1))) == (Outcome.FAILED, Outcome.HUNG)
    assert run.manner(TestIndex(0)) == run.manner(TestIndex(2)) is not None
    assert run.before(TestIndex(1)) == (0,)
    assert run.limit(TestIndex(1)) == 3.0


def test_copies_under_dist_each_are_alike_that_have_failed_in_the_same_manner() -> None:
    run = make(1)
    for number, line in enumerate([7, 8, 7]):
        failed_at(run, (GW0, GW1, GW2)[number], number, line)
    assert run.alike(TestIndex(0)) == (0, 2)
    assert [seen.test for seen in run.failed()] == [0]


def test_tests_of_a_file_are_of_the_same_file() -> None:
    run = make(4)
    assert [run.file_of(test) for test in run.tests()] == 2 * ["test_0.py", "test_1.py"]


def test_what_may_precede_a_test_follows_what_has_happened_since_it_was_asked() -> None:
    run = RunRecord(None)
    run.collected([f"t.py::test_{number}" for number in range(4)], apart=[1])
    assert run.preceding(TestIndex(3)) == (0, 2)
    run.died(WorkerId(0), TestIndex(2), Outcome.CRASHED, 1.0, 2.0)
    assert run.preceding(TestIndex(3)) == (0,)
    run.reported(TestIndex(2), {"outcome": "failed"})
    assert run.preceding(TestIndex(3)) == (0, 2)
    run.companions().clear()
    assert run.companions() == [0, 2, 3]
