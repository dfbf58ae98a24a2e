"""The record of a run says what preceded a test in its process, and what ran beside it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pytest_procpar.core.inquiry.history import History
from pytest_procpar.core.model import TestIndex, WorkerId
from tests.core.pollution import HEALTHY, Suite, ids, simulate

_A, _B = WorkerId(0), WorkerId(1)


def _history(*runs: tuple[WorkerId, int, float, float], tests_a_process: int | None = None) -> History:
    history = History(tests_a_process)
    for worker, test, begin, end in runs:
        history.began(worker, TestIndex(test), begin)
        history.ended(TestIndex(test), end)
    return history


def test_before_a_test_is_what_its_own_worker_ran() -> None:
    history = _history((_A, 0, 0, 1), (_B, 1, 0, 1), (_A, 2, 1, 2), (_A, 3, 2, 3))
    assert history.before(TestIndex(3)) == ids(0, 2)
    assert history.before(TestIndex(1)) == ()


def test_the_first_test_is_the_one_that_began_first_on_any_worker() -> None:
    assert History().first() is None
    assert _history((_A, 0, 3.0, 4.0), (_B, 1, 2.0, 9.0), (_A, 2, 4.0, 5.0)).first() == 2.0


def test_a_test_that_did_not_run_has_nothing_before_or_beside_it() -> None:
    history = _history((_A, 0, 0, 1))
    assert history.before(TestIndex(7)) == ()
    assert history.beside(TestIndex(7)) == ()
    assert history.duration(TestIndex(7)) == 0


def test_a_fresh_process_has_nothing_before_it() -> None:
    runs = [(_A, i, float(i), i + 0.5) for i in range(7)]
    history = _history(*runs, tests_a_process=3)
    assert [history.before(TestIndex(i)) for i in range(7)] == [
        (), ids(0), ids(0, 1), (), ids(3), ids(3, 4), (),
    ]  # fmt: skip


def test_a_test_in_a_process_of_its_own_is_before_no_other_and_has_none_before_it() -> None:
    history = History(tests_a_process=2)
    for i in range(7):
        history.began(_A, TestIndex(i), float(i), apart=i in (1, 2, 4))
        history.ended(TestIndex(i), i + 0.5)
    assert [history.before(TestIndex(i)) for i in range(7)] == [
        (), (), (), ids(0), (), (), ids(5),
    ]  # fmt: skip
    history.began(_B, TestIndex(7), 1.0)
    history.ended(TestIndex(7), 1.2)
    assert history.beside(TestIndex(7)) == (ids(1),)


def test_beside_a_test_is_what_overlapped_it_elsewhere() -> None:
    history = _history(
        (_A, 0, 0, 4), (_A, 1, 5, 9), (_B, 2, 0, 4.5), (_B, 3, 4.6, 6), (_B, 4, 6, 8), (_B, 5, 9.5, 10)
    )
    assert history.beside(TestIndex(1)) == (ids(3, 4),)
    assert history.beside(TestIndex(5)) == ()


def test_of_many_that_overlapped_the_longest_are_told_in_their_order() -> None:
    short = [(_B, i, float(i), i + 0.5) for i in range(1, 90)]
    long = [(_B, i, float(i), i + 0.9) for i in range(90, 140)]
    history = _history((_A, 0, 0, 200), *short, *long)
    assert history.beside(TestIndex(0)) == (ids(*range(90, 140)),)


def test_a_test_that_has_not_ended_runs_beside_what_came_since() -> None:
    history = _history()
    history.began(_A, TestIndex(0), 0.0)
    history.began(_B, TestIndex(1), 5.0)
    history.ended(TestIndex(1), 6.0)
    assert history.beside(TestIndex(1)) == (ids(0),)
    assert history.beside(TestIndex(0)) == (ids(1),)
    assert history.duration(TestIndex(0)) == 0


def test_of_a_test_that_ran_twice_the_last_run_counts() -> None:
    history = _history((_A, 0, 0, 1), (_A, 1, 1, 3), (_B, 2, 5, 6), (_B, 1, 6, 8), (_A, 3, 6.5, 7))
    assert history.before(TestIndex(1)) == ids(2)
    assert history.duration(TestIndex(1)) == 2
    assert history.beside(TestIndex(1)) == (ids(3),)
    assert history.beside(TestIndex(2)) == ()  # test 1 ran on the other worker, but much earlier
    assert history.sequences() == [(_A, ids(0, 1, 3)), (_B, ids(2, 1))]


@given(st.integers(1, 40), st.integers(1, 5), st.integers(0, 99))
def test_sequences_hold_every_test_and_agree_with_before(count: int, workers: int, seed: int) -> None:
    history = simulate(Suite([HEALTHY] * count), workers, seed).history
    ran = [test for _, order in history.sequences() for test in order]
    assert sorted(ran) == list(range(count))
    for _, order in history.sequences():
        assert all(history.before(test) == order[:at] for at, test in enumerate(order))


@given(st.integers(1, 40), st.integers(1, 5), st.integers(0, 99))
def test_who_runs_beside_whom_is_mutual(count: int, workers: int, seed: int) -> None:
    history = simulate(Suite([HEALTHY] * count), workers, seed).history
    beside = {t: {o for order in history.beside(t) for o in order} for t in map(TestIndex, range(count))}
    assert all(
        test in beside[other] or sum(map(len, history.beside(other))) >= 50
        for test, others in beside.items()
        for other in others
    )
