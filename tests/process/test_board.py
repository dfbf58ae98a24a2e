"""The page of shared memory: what one process writes on it, all others see at once."""

from __future__ import annotations

import os

from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_procpar.core.protocol.worker_status import Stage
from pytest_procpar.ipc.board import Board
from pytest_procpar.system.calls import monotonic
from tests.process.helpers import Gate, child


def fail(board: Board, slot: int, failures: int) -> None:
    board.failed(slot, failures)


def test_nobody_is_stopped_at_first() -> None:
    assert not Board(0, slots=10).stopped


def test_stop_of_a_worker_is_seen_by_all() -> None:
    board = Board(0, slots=10)
    with Gate() as asked, Gate() as stopped:

        def look() -> None:
            assert not board.stopped
            asked.open()
            stopped.wait()
            assert board.stopped

        with child(look):
            asked.wait()
            with child(board.stop):
                pass
            stopped.open()
        assert board.stopped


def test_failures_of_all_workers_are_counted_together() -> None:
    board = Board(6, slots=10)
    seen = []
    for worker in (0, 1, 7):
        with child(lambda worker=worker: fail(board, worker, 2)):  # type: ignore[misc]
            pass
        seen.append(board.stopped)
    assert seen == [False, False, True]


def test_each_worker_has_one_count_which_the_latest_replaces() -> None:
    board = Board(6, slots=10)
    for failures in range(1, 6):
        fail(board, 3, failures)
    assert not board.stopped


def test_without_a_limit_failures_stop_nobody() -> None:
    board = Board(0, slots=10)
    fail(board, 0, 1000)
    assert not board.stopped


def test_stop_is_for_good() -> None:
    board = Board(2, slots=10)
    fail(board, 0, 2)
    fail(board, 0, 0)
    assert board.stopped


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 30), st.lists(st.tuples(st.integers(1, 9), st.integers(1, 10)), max_size=10))
def test_all_are_stopped_when_the_sum_reaches_the_limit(limit: int, news: list[tuple[int, int]]) -> None:
    board = Board(limit, slots=10)
    counts: dict[int, int] = {}
    for slot, failures in news:
        counts[slot] = failures
        board.failed(slot, failures)
        if sum(counts.values()) >= limit:
            assert board.stopped
            return
    assert not board.stopped


def test_failures_of_the_dead_go_on_counting() -> None:
    board = Board(3, slots=3)
    for _ in range(2):
        slot = board.take_slot()
        board.failed(slot, 1)
        board.free_slot(slot)
    assert not board.stopped
    board.failed(board.take_slot(), 1)
    assert board.stopped


# --- slots ----------------------------------------------------------------------------------------


def test_slots_are_used_again_and_never_by_two() -> None:
    board = Board(0, slots=4)
    first = [board.take_slot() for _ in range(3)]
    assert len({0, *first}) == 4  # the first one is the fork server's
    board.free_slot(first[1])
    assert board.take_slot() == first[1]


def test_what_a_worker_notes_can_be_read_when_it_is_dead() -> None:
    board = Board(0, slots=4)
    number = board.take_slot()

    def work() -> None:
        board.slot(number).enter(Stage.CALL, 7)
        os._exit(0)

    with child(work):
        pass
    worker_status = board.slot(number).read()
    assert (worker_status.stage, worker_status.test, worker_status.phases) == (Stage.CALL, 7, None)
    assert 0 <= monotonic() - worker_status.since < 60


def test_a_slot_that_is_used_again_tells_nothing_of_the_last_one() -> None:
    board = Board(0, slots=2)
    number = board.take_slot()
    slot = board.slot(number)
    slot.note("something")
    slot.passed(3, ((0.0, 1.0, 1.0),) * 3)
    board.free_slot(number)
    worker_status = board.slot(board.take_slot()).read()
    assert (worker_status.stage, worker_status.test, worker_status.phases, worker_status.note) == (
        Stage.STARTING,
        None,
        None,
        "",
    )


def test_phases_of_a_passed_test_come_back_as_they_were() -> None:
    board = Board(0, slots=2)
    slot = board.slot(board.take_slot())
    phases = ((1.5, 2.25, 0.75), (2.25, 3.0, 0.75), (3.0, 3.5, 0.5))
    slot.passed(12, phases)
    assert slot.read().phases == phases
    slot.passed(13, None)
    assert slot.read().phases is None
    assert slot.read().test == 13


def test_a_child_of_the_worker_notes_nothing() -> None:
    board = Board(0, slots=2)
    slot = board.slot(board.take_slot())

    def work() -> None:
        slot.belong_to_this_process()
        slot.enter(Stage.CALL, 1)
        pid = os.fork()
        if pid == 0:
            slot.enter(Stage.TEARDOWN, 2)
            slot.passed(3, None)
            slot.note("not mine")
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0

    with child(work):
        pass
    assert (slot.read().stage, slot.read().test, slot.read().note) == (Stage.CALL, 1, "")


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_of_a_note_that_is_too_long_the_end_is_kept(text: str) -> None:
    slot = Board(0, slots=2).slot(1)
    slot.note(text)
    kept = slot.read().note.lstrip("\ufffd")
    assert text.endswith(kept)
    assert kept == text or len(text.encode()) > 140
