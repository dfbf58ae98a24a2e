"""The run's clock stands still while nothing can happen."""

from __future__ import annotations

import pytest

from pytest_procpar.system.clock import Clock


class Hand:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def hand() -> Hand:
    return Hand()


def test_it_goes_as_time_goes(hand: Hand) -> None:
    clock = Clock(hand)
    hand.time += 3
    assert clock.now() == 103


def test_no_time_passes_while_it_is_stopped(hand: Hand) -> None:
    clock = Clock(hand)
    with clock.stopped():
        hand.time += 1000
    hand.time += 1
    assert clock.now() == 101


def test_it_goes_on_after_an_error(hand: Hand) -> None:
    clock = Clock(hand)
    try:
        with clock.stopped():
            hand.time += 1000
            raise KeyError
    except KeyError:
        pass
    assert clock.now() == 100


@pytest.mark.parametrize(("took", "counts"), [(0.0, 0.0), (2.0, 2.0), (2.9, 2.9), (500.0, 2.0)])
def test_a_wait_that_is_far_too_long_counts_as_long_as_it_should_have_been(
    hand: Hand, took: float, counts: float
) -> None:
    clock = Clock(hand)
    with clock.waiting(2.0):
        hand.time += took
    assert clock.now() == pytest.approx(100 + counts)


def test_a_wait_without_a_bound_may_take_any_time(hand: Hand) -> None:
    clock = Clock(hand)
    with clock.waiting(None):
        hand.time += 500
    assert clock.now() == 600
