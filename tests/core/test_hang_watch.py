"""The steps by which a worker that takes too long is ended, and when they are due."""

from __future__ import annotations

from pytest_procpar.core.model import TestIndex, WorkerId
from pytest_procpar.core.run.events import Dump, Kill, Terminate
from pytest_procpar.core.run.hang_watch import DUMP_SECONDS, TERM_SECONDS, HangWatch

GW0, GW1 = WorkerId(0), WorkerId(1)
FIVE = TestIndex(5)


def test_it_goes_from_stacks_to_sigterm_to_sigkill_and_no_further() -> None:
    dog = HangWatch(10.0)
    dog.watch(GW0, FIVE, 5, now=100.0)
    assert dog.deadline() == 110.0
    assert dog.due(109.9) == []
    assert dog.due(110.0) == [Dump(GW0, FIVE, 10.0)]
    assert dog.deadline() == 110.0 + DUMP_SECONDS
    assert dog.due(110.0 + DUMP_SECONDS) == [Terminate(GW0)]
    assert dog.due(110.0 + DUMP_SECONDS + TERM_SECONDS) == [Kill(GW0)]
    assert dog.deadline() is None
    assert dog.due(1e9) == []


def test_a_step_that_is_late_does_not_make_the_next_one_early() -> None:
    dog = HangWatch(10.0)
    dog.watch(GW0, FIVE, 5, now=0.0)
    assert dog.due(500.0) == [Dump(GW0, FIVE, 10.0)]
    assert dog.due(500.0) == []
    assert dog.deadline() == 500.0 + DUMP_SECONDS


def test_what_has_ended_is_forgotten() -> None:
    dog = HangWatch(10.0)
    dog.watch(GW0, FIVE, 5, now=0.0)
    dog.watch(GW1, FIVE, 5, now=3.0)
    dog.forget(GW0)
    dog.forget(GW0)
    assert dog.deadline() == 13.0
    assert dog.due(20.0) == [Dump(GW1, FIVE, 10.0)]


def test_a_test_may_have_a_limit_of_its_own_or_none() -> None:
    dog = HangWatch(10.0, {5: 2.0, 6: 0.0})
    dog.watch(GW0, FIVE, 5, now=0.0)
    assert dog.deadline() == 2.0
    dog.watch(GW0, TestIndex(6), 6, now=0.0)
    assert dog.deadline() is None
    dog.watch(GW0, TestIndex(7), 7, now=0.0)
    assert dog.deadline() == 10.0


def test_the_end_of_a_session_has_the_common_limit() -> None:
    dog = HangWatch(10.0, {0: 2.0})
    dog.watch(GW0, None, None, now=0.0)
    assert dog.due(10.0) == [Dump(GW0, None, 10.0)]


def test_without_any_limit_it_sleeps() -> None:
    assert not HangWatch(0.0).awake
    assert not HangWatch(0.0, {3: 0.0}).awake
    assert HangWatch(0.0, {3: 1.0}).awake
    assert HangWatch(1.0).awake
