"""The signals that end a run: noted by the controller, once, and not for longer than it runs."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import threading
from functools import partial
from types import FrameType

import pytest

from pytest_procpar.process.signals import Signals
from tests.process.helpers import child, ready

HANDLED = (signal.SIGINT, signal.SIGTERM)


def send(signum: int) -> None:
    """Send a signal to this process; its handler has run when this returns."""
    os.kill(os.getpid(), signum)


@pytest.mark.parametrize("signum", HANDLED)
def test_signal_is_noted_once(signum: signal.Signals) -> None:
    with Signals() as signals:
        assert signals.caught() == []
        send(signum)
        assert signals.caught() == [signum]
        assert signals.caught() == []


@pytest.mark.parametrize("signum", HANDLED)
def test_signal_wakes_who_waits(signum: signal.Signals) -> None:
    with Signals() as signals, child(lambda: os.kill(os.getppid(), signum)):
        assert ready(signals.fd)
        assert signals.caught() == [signum]
        assert not ready(signals.fd, timeout=0)


@pytest.mark.parametrize("signum", HANDLED)
def test_signal_that_comes_right_before_the_wait_ends_it(signum: signal.Signals) -> None:
    with Signals() as signals:
        poll = select.poll()
        poll.register(signals.fd, select.POLLIN)
        kill_and_wait = [partial(ctypes.CDLL(None).kill, os.getpid(), signum), partial(poll.poll, 5000)]
        # All of it in C: no handler written in Python gets a chance between the two.
        _, found = list(map(partial.__call__, kill_and_wait))
        assert found
        assert signals.caught() == [signum]


def test_who_was_woken_by_signals_before_is_so_again() -> None:
    read, write = os.pipe()
    os.set_blocking(write, False)
    before = signal.set_wakeup_fd(write)
    try:
        with Signals():
            pass
        assert signal.set_wakeup_fd(before) == write
    finally:
        signal.set_wakeup_fd(before)
        os.close(read)
        os.close(write)


def test_second_interrupt_is_one() -> None:
    with Signals() as signals:
        send(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)
        assert signals.caught() == [signal.SIGINT]


def test_second_interrupt_is_one_though_the_first_was_served() -> None:
    with Signals() as signals:
        send(signal.SIGINT)
        signals.caught()
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)


def test_both_signals_are_noted_in_order() -> None:
    with Signals() as signals:
        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
            send(signum)
        assert signals.caught() == [signal.SIGTERM, signal.SIGINT, signal.SIGTERM]


def test_more_signals_than_the_pipe_has_room_for_are_noted() -> None:
    count = 70_000
    with Signals() as signals:
        for _ in range(count):
            send(signal.SIGTERM)
        assert signals.caught() == [signal.SIGTERM] * count


def test_handlers_are_those_from_before_at_the_end() -> None:
    before = [signal.getsignal(signum) for signum in HANDLED]
    with Signals():
        assert [signal.getsignal(signum) for signum in HANDLED] != before
    assert [signal.getsignal(signum) for signum in HANDLED] == before


def test_handlers_are_restored_though_the_run_ends_with_an_error() -> None:
    before = [signal.getsignal(signum) for signum in HANDLED]
    with pytest.raises(KeyboardInterrupt), Signals():
        raise KeyboardInterrupt
    assert [signal.getsignal(signum) for signum in HANDLED] == before


def test_somebody_elses_handler_of_sigterm_stays() -> None:
    came: list[int] = []

    def handle(signum: int, frame: FrameType | None) -> None:
        came.append(signum)

    before = signal.signal(signal.SIGTERM, handle)
    try:
        with Signals() as signals:
            send(signal.SIGTERM)
            assert (came, signals.caught()) == ([signal.SIGTERM], [])
        assert signal.getsignal(signal.SIGTERM) is handle
    finally:
        signal.signal(signal.SIGTERM, before)


def test_outside_the_main_thread_nothing_is_installed_and_nothing_breaks() -> None:
    before = [signal.getsignal(signum) for signum in HANDLED]
    seen: list[object] = []

    def run() -> None:
        with Signals() as signals:
            seen.extend(signal.getsignal(signum) for signum in HANDLED)
            seen.append(signals.caught())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [*before, []]
