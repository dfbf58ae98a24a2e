"""The page of shared memory: what one process writes on it, all others see at once."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_procpar.core.model import WorkerId
from pytest_procpar.process.board import Board
from tests.process.helpers import Gate, child

#: The page has no cell for it.
BEYOND = WorkerId(1_000_000)


def fail(board: Board, worker: int, failures: int) -> None:
    board.failed(WorkerId(worker), failures)


def test_nobody_is_stopped_at_first() -> None:
    assert not Board(0).stopped


def test_stop_of_a_worker_is_seen_by_all() -> None:
    board = Board(0)
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
    board = Board(6)
    seen = []
    for worker in (0, 1, 7):
        with child(lambda worker=worker: fail(board, worker, 2)):  # type: ignore[misc]
            pass
        seen.append(board.stopped)
    assert seen == [False, False, True]


def test_each_worker_has_one_count_which_the_latest_replaces() -> None:
    board = Board(6)
    for failures in range(1, 6):
        fail(board, 3, failures)
    assert not board.stopped


def test_without_a_limit_failures_stop_nobody() -> None:
    board = Board(0)
    fail(board, 0, 1000)
    assert not board.stopped


def test_stop_is_for_good() -> None:
    board = Board(2)
    fail(board, 0, 2)
    fail(board, 0, 0)
    assert board.stopped


WORKERS = st.integers(0, 20) | st.integers(16_000, 16_381)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 30), st.lists(st.tuples(WORKERS, st.integers(1, 10)), max_size=10))
def test_all_are_stopped_when_the_sum_reaches_the_limit(limit: int, news: list[tuple[int, int]]) -> None:
    board = Board(limit)
    counts: dict[int, int] = {}
    for worker, failures in news:
        counts[worker] = failures
        fail(board, worker, failures)
        if sum(counts.values()) >= limit:
            assert board.stopped
            return
    assert not board.stopped


@pytest.mark.parametrize("worker", [0, 1, 16_381])
def test_every_cell_of_the_page_counts(worker: int) -> None:
    board = Board(2)
    fail(board, 5, 1)
    fail(board, worker, 1)
    assert board.stopped


@pytest.mark.parametrize("worker", [16_381, 16_382, 20_000, BEYOND])
def test_worker_beyond_the_page_breaks_nothing(worker: int) -> None:
    board = Board(3)
    fail(board, worker, 1)
    fail(board, 0, 2)
    fail(board, 1, 1)
    assert board.stopped


def test_worker_beyond_the_page_stops_nobody_for_others_failures() -> None:
    board = Board(3)
    fail(board, 0, 2)
    fail(board, BEYOND, 0)
    assert not board.stopped
