"""Which failures the trial takes up, and under which conditions it tries them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_procpar.core.fork_trial.candidates import followers_of, groups_of
from pytest_procpar.core.fork_trial.trial import Group
from pytest_procpar.core.inquiry.findings import NOT_RECHECKED, Finding, Kind, Tally
from pytest_procpar.core.inquiry.probes import Confirmation, Outcome
from pytest_procpar.core.inquiry.roots import Root
from pytest_procpar.core.inquiry.run_record import RunRecord
from pytest_procpar.core.inquiry.trials import AFTER, ALONE
from pytest_procpar.core.model import TestIndex, WorkerId

GW0, GW1 = WorkerId(0), WorkerId(1)
#: Two workers run eight tests by turns: gw0 those with even numbers. Of the last four three are bad.
FAILED, CRASHED, PASSED = TestIndex(4), TestIndex(5), TestIndex(6)


def after_a_run(apart: tuple[int, ...] = (), tests_a_process: int | None = None) -> RunRecord:
    run = RunRecord(tests_a_process)
    run.collected([f"test_it.py::test_{i}" for i in range(8)], apart)
    for i in range(8):
        if i == CRASHED:
            run.died(GW1, CRASHED, Outcome.CRASHED, 0.5, i + 0.5)
            continue
        if i in (FAILED, 7):
            run.reported(TestIndex(i), {"outcome": "failed", "when": "call", "longrepr": "so"})
        run.finished(WorkerId(i % 2), TestIndex(i), float(i), i + 0.5)
    return run


def tried(word: Outcome | None, *, bad: bool = True) -> list[Confirmation]:
    return [Confirmation("pytest", bad, word)]


def groups(*findings: Finding, confirmed: list[Confirmation] | None = None) -> tuple[Group, ...]:
    known = {finding: confirmed for finding in findings if confirmed is not None}
    return groups_of(findings, known, (), after_a_run(), 2).groups


# --- what is no candidate ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Kind.PLAIN, Kind.BRITTLE, Kind.VICTIM, Kind.PARALLEL_ONLY])
@pytest.mark.parametrize("word", [Outcome.FAILED, Outcome.CRASHED, Outcome.HUNG])
def test_what_has_failed_in_a_fresh_interpreter_is_not_tried(kind: Kind, word: Outcome) -> None:
    finding = Finding(FAILED, kind, (TestIndex(0),))
    plan = groups_of([finding], {finding: tried(word)}, (), after_a_run(), 2)
    assert plan.groups == plan.beside == ()


@given(st.integers(2, 9), st.data())
def test_what_passes_and_fails_in_forked_processes_is_not_tried(total: int, data: st.DataObject) -> None:
    bad = data.draw(st.integers(1, total - 1))
    finding = Finding(FAILED, Kind.FLAKY, tallies=(Tally(ALONE, bad, total),))
    plan = groups_of([finding], {}, (), after_a_run(), 2)
    assert plan.groups == plan.beside == ()


@pytest.mark.parametrize("kind", list(Kind))
def test_what_has_passed_in_the_run_is_not_tried(kind: Kind) -> None:
    plan = groups_of([Finding(PASSED, kind, (TestIndex(0),))], {}, (), after_a_run(), 2)
    assert plan.groups == plan.beside == ()


def test_what_spawned_workers_share_with_others_is_not_tried() -> None:
    findings = [Finding(FAILED, Kind.PLAIN), Finding(TestIndex(7), Kind.PARALLEL_ONLY)]
    run = after_a_run(apart=(0,))
    plan = groups_of(findings, {}, (), run, 2, spawned=True)
    assert plan.groups == (Group(((FAILED,),), (FAILED,)),)
    assert plan.beside == ()
    assert groups_of(findings, {}, (), run, 2).beside != ()


# --- how the others are tried ------------------------------------------------------------------------


@pytest.mark.parametrize("confirmed", [None, tried(None), tried(Outcome.PASSED), tried(Outcome.SKIPPED)])
def test_what_fails_alone_is_tried_alone(confirmed: list[Confirmation] | None) -> None:
    for kind in (Kind.PLAIN, Kind.BRITTLE):
        assert groups(Finding(FAILED, kind), confirmed=confirmed) == (Group(((FAILED,),), (FAILED,)),)


def test_what_only_fails_is_tried_in_one_process_and_what_ends_it_in_another() -> None:
    findings = [Finding(TestIndex(7), Kind.PLAIN), Finding(CRASHED, Kind.PLAIN), Finding(FAILED, Kind.PLAIN)]
    assert groups(*findings) == (
        Group(((FAILED, TestIndex(7)),), (FAILED, TestIndex(7))),
        Group(((CRASHED,),), (CRASHED,)),
    )


@pytest.mark.parametrize("run", [after_a_run(apart=(4, 7)), after_a_run(tests_a_process=1)])
def test_what_had_a_process_of_its_own_is_tried_in_one_and_then_alone(run: RunRecord) -> None:
    seven = TestIndex(7)
    assert groups_of([Finding(FAILED, Kind.PLAIN)], {}, [seven], run, 2).groups == (
        Group(((FAILED, seven),), (FAILED, seven)),
        Group(((seven,),), (seven,)),
        Group(((FAILED,),), (FAILED,)),
    )


def test_a_mark_keeps_a_test_from_being_tried_with_those_that_shared_a_process() -> None:
    findings = [Finding(FAILED, Kind.PLAIN), Finding(TestIndex(7), Kind.PLAIN)]
    assert groups_of(findings, {}, (), after_a_run(apart=(7,)), 2).groups == (
        Group(((FAILED,),), (FAILED,)),
        Group(((TestIndex(7),),), (TestIndex(7),)),
    )


def test_a_victim_is_tried_after_its_polluter() -> None:
    finding = Finding(FAILED, Kind.VICTIM, (TestIndex(2),))
    order = (TestIndex(2), FAILED)
    assert groups(finding, confirmed=tried(Outcome.PASSED)) == (Group((order,), (FAILED,)),)


def test_what_is_known_to_fail_only_after_all_is_tried_after_all() -> None:
    finding = Finding(FAILED, Kind.UNKNOWN, tallies=(Tally(ALONE, 0, 2), Tally(AFTER, 1, 1)))
    order = (TestIndex(0), TestIndex(2), FAILED)
    assert groups(finding) == (Group((order,), (FAILED,)),)


def test_what_was_not_looked_into_is_tried_alone() -> None:
    plan = groups_of([], {}, [FAILED], after_a_run(), 2)
    assert plan.groups == (Group(((FAILED,),), (FAILED,)),)


@pytest.mark.parametrize("test", [FAILED, CRASHED])
@pytest.mark.parametrize("seconds", [1.0, 20.0])
def test_what_takes_too_long_to_be_run_once_is_not_tried_ten_times(test: TestIndex, seconds: float) -> None:
    run = after_a_run()
    run.finished(GW0, TestIndex(0), 10.0, 10.0 + seconds)
    finding = Finding(test, Kind.UNKNOWN, note=NOT_RECHECKED)
    is_tried = seconds == 1.0 or test == CRASHED  # what ends its process may do so by the fork, and at once
    assert bool(groups_of([finding], {}, (), run, 2).groups) == is_tried


@pytest.mark.parametrize("hangs", [True, False])
def test_hung_tests_there_was_no_time_for_follow_those_that_hang_anyway(*, hangs: bool) -> None:
    run = after_a_run()
    for test in (1, 3):
        run.died(GW1, TestIndex(test), Outcome.HUNG, 0.5, 9.0)
    one, other = Finding(TestIndex(1), Kind.PLAIN), Finding(TestIndex(3), Kind.UNKNOWN, note=NOT_RECHECKED)
    confirmed = {one: tried(Outcome.HUNG if hangs else Outcome.PASSED)}
    judged = {
        test for group in groups_of([one, other], confirmed, (), run, 2).groups for test in group.judged
    }
    assert judged == (set() if hangs else {1, 3})


def test_of_what_has_failed_in_the_same_way_one_failure_in_a_fresh_process_is_enough() -> None:
    one, other = Finding(FAILED, Kind.PLAIN), Finding(CRASHED, Kind.FAILS_ALONE)
    confirmed = {one: tried(Outcome.FAILED)}
    root = Root((FAILED, CRASHED), "", "")
    assert groups_of([one, other], confirmed, (), after_a_run(), 2, [root]).groups == ()
    assert groups_of([one, other], confirmed, (), after_a_run(), 2).groups != ()


def test_what_there_was_no_time_for_follows_what_just_fails_of_its_root() -> None:
    one, other = Finding(FAILED, Kind.PLAIN), Finding(TestIndex(7), Kind.UNKNOWN, note=NOT_RECHECKED)
    root = Root((FAILED, TestIndex(7)), "", "")
    assert followers_of([root], [one, other]) == [other]
    assert followers_of([], [one, other]) == []
    assert followers_of([root], [Finding(FAILED, Kind.VICTIM), other]) == []
    assert groups_of([one, other], {one: tried(Outcome.FAILED)}, (), after_a_run(), 2, [root]).groups == ()
    assert groups_of([one, other], {}, (), after_a_run(), 2, [root]).groups != ()


@pytest.mark.parametrize("kind", [Kind.PARALLEL_ONLY, Kind.FLAKY])
def test_what_found_a_port_in_use_is_not_the_forks_doing(kind: Kind) -> None:
    root = Root((FAILED,), "on port 80", "", contention=True)
    assert groups_of([Finding(FAILED, kind)], {}, (), after_a_run(), 2, [root]).beside == ()


@pytest.mark.parametrize("kind", [Kind.PARALLEL_ONLY, Kind.FLAKY])
def test_what_may_fail_by_others_is_tried_with_what_the_others_had_begun(kind: Kind) -> None:
    plan = groups_of([Finding(FAILED, kind)], {}, (), after_a_run(), 2)
    own, other = (TestIndex(0), TestIndex(2), FAILED), (TestIndex(1), TestIndex(3))
    assert plan.groups == ()
    assert plan.beside == (Group((own, other), (FAILED,)),)
    assert groups_of([Finding(FAILED, kind)], {}, (), after_a_run(), 1).beside == ()
