from __future__ import annotations

import pytest

from pytest_procpar.core.model import TestIndex, WorkerId
from pytest_procpar.core.run.batching import Unit
from pytest_procpar.core.run.worker_state import Phase, WorkerState


def unit(*tests: int) -> Unit:
    return tuple(map(TestIndex, tests))


def worker_with(*units: Unit, depth: int = 100) -> WorkerState:
    """An active worker that has been handed these units, as far as they fit."""
    worker = WorkerState(WorkerId(3), now=10.0)
    worker.phase = Phase.ACTIVE
    worker.own(units)
    worker.hand_out(depth)
    return worker


def begin(worker: WorkerState, *tests: int) -> None:
    """Let these tests begin, and all but the last end."""
    for test in tests:
        worker.running = None
        assert worker.begin(TestIndex(test))


def is_free(worker: WorkerState) -> bool:
    return worker.free


def knows(worker: WorkerState) -> str | None:
    return worker.told


def counts(worker: WorkerState) -> tuple[int, int]:
    return worker.owned, worker.in_hand


def test_a_new_worker_is_coming_up_and_not_idle() -> None:
    worker = WorkerState(WorkerId(0), now=0.0)
    assert worker.phase is Phase.STARTING
    assert not worker.idle
    worker.phase = Phase.ACTIVE
    assert worker.idle


def test_whole_units_are_handed_out_until_there_are_enough_tests() -> None:
    worker = WorkerState(WorkerId(0), now=0.0)
    worker.own([unit(0), unit(1, 2, 3), unit(4)])
    assert worker.hand_out(2) == [0, 1, 2, 3]
    assert counts(worker) == (5, 4)
    assert worker.hand_out(2) == []


def test_tests_begin_in_the_order_in_which_they_were_handed_out() -> None:
    worker = worker_with(unit(0), unit(1, 2))
    begin(worker, 0, 1, 2)
    assert counts(worker) == (0, 0)


@pytest.mark.parametrize("wrong", [1, 2, 9])
def test_a_test_out_of_turn_changes_nothing(wrong: int) -> None:
    worker = worker_with(unit(0), unit(1, 2))
    assert not worker.begin(TestIndex(wrong))
    assert counts(worker) == (3, 3)
    assert worker.spare == 2
    begin(worker, 0, 1, 2)


def test_a_second_test_does_not_begin_while_one_runs() -> None:
    worker = worker_with(unit(0, 1))
    begin(worker, 0)
    assert not worker.begin(TestIndex(1))
    assert worker.running == 0


def test_a_test_that_was_not_handed_out_does_not_begin() -> None:
    worker = worker_with(unit(0), unit(1), depth=1)
    begin(worker, 0)
    worker.running = None
    assert not worker.begin(TestIndex(1))


def test_a_unit_that_has_begun_cannot_be_spared() -> None:
    worker = worker_with(unit(0, 1), unit(2), unit(3), depth=3)
    assert worker.spare == 3
    begin(worker, 0)
    assert worker.spare == 2


def test_the_last_units_are_disowned_in_order() -> None:
    worker = worker_with(unit(0), unit(1, 2), unit(3), depth=1)
    assert worker.disown(2) == [(1, 2), (3,)]
    assert counts(worker) == (1, 1)


def test_a_worker_between_two_units_is_free() -> None:
    worker = worker_with(unit(0, 1), unit(2))
    assert is_free(worker)
    begin(worker, 0)
    assert not is_free(worker)
    worker.running = None
    assert not is_free(worker)  # it goes on with its unit
    begin(worker, 1)
    worker.running = None
    assert is_free(worker)


# --- taking back ------------------------------------------------------------------------------------


def test_units_that_come_back_whole_are_no_longer_in_hand() -> None:
    worker = worker_with(unit(0), unit(1), unit(2, 3))
    begin(worker, 0)
    assert worker.revoked(unit(1, 2, 3)) == []
    assert counts(worker) == (3, 0)
    assert worker.hand_out(100) == [1, 2, 3]


def test_the_rest_of_a_unit_that_has_begun_goes_out_again() -> None:
    worker = worker_with(unit(0, 1, 2), unit(3))
    begin(worker, 0)
    assert worker.revoked(unit(1, 2, 3)) == [1, 2]
    assert counts(worker) == (3, 2)


def test_a_unit_of_which_a_test_is_missing_has_begun() -> None:
    worker = worker_with(unit(0), unit(1, 2), unit(3))
    begin(worker, 0)
    assert worker.revoked(unit(2, 3)) == [2]
    assert worker.spare == 1
    worker.running = None
    assert not is_free(worker)
    begin(worker, 1, 2)
    assert not is_free(worker)
    worker.running = None
    assert is_free(worker)


def test_what_was_said_of_the_time_after_the_last_test_is_taken_back_too() -> None:
    worker = worker_with(unit(0), unit(1))
    worker.told = "last"
    worker.revoked(unit(1))
    assert knows(worker) is None


def test_a_worker_sheds_all_but_what_it_has_claimed() -> None:
    worker = worker_with(unit(0), unit(1, 2), unit(3), unit(4), depth=4)
    begin(worker, 0)
    assert worker.shed(unit(2, 3)) == [(2,), (3,), (4,)]
    assert counts(worker) == (1, 1)
    begin(worker, 1)


def test_a_worker_sheds_the_rest_of_the_unit_it_is_in() -> None:
    worker = worker_with(unit(0, 1, 2))
    begin(worker, 0)
    assert worker.shed(unit(1, 2)) == [(1, 2)]
    assert counts(worker) == (0, 0)


def test_a_dead_worker_surrenders_the_rest_of_its_unit_as_a_unit() -> None:
    worker = worker_with(unit(0, 1, 2), unit(3), unit(4), depth=4)
    begin(worker, 0)
    assert worker.surrender() == [(1, 2), (3,), (4,)]
    assert counts(worker) == (0, 0)
    assert worker.surrender() == []


# --- pace -------------------------------------------------------------------------------------------


def test_the_pace_is_unknown_before_the_first_test_has_ended() -> None:
    assert worker_with(unit(0)).pace(now=99.0) == 0.0


def test_the_pace_is_the_time_a_test_took_so_far() -> None:
    worker = worker_with(unit(0))
    worker.finished = 4
    assert worker.pace(now=12.0) == 0.5
