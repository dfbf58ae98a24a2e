"""The signals that end a run: noted by the controller, once, and not for longer than it runs."""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from types import FrameType

import pytest

from pytest_procpar.controller.signals import Signals
from tests.process.helpers import child, ready

pytestmark = pytest.mark.python_dependent

HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def send(signum: int) -> None:
    """Send a signal to this process; its handler has run when this returns."""
    os.kill(os.getpid(), signum)


def apart(body: Callable[[], object]) -> int:
    """Run `body` in a process of its own, which a signal may end; its exit code."""
    with child(body, expect=None) as pid:
        _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


@pytest.mark.parametrize("signum", HANDLED)
def test_signal_is_noted_once(signum: signal.Signals) -> None:
    def body() -> None:
        with Signals() as signals:
            assert signals.caught() == []
            send(signum)
            assert signals.caught() == [signum]
            assert signals.caught() == []

    assert apart(body) == 0


@pytest.mark.parametrize("signum", HANDLED)
def test_signal_wakes_who_waits(signum: signal.Signals) -> None:
    def body() -> None:
        with Signals() as signals, child(lambda: os.kill(os.getppid(), signum)):
            assert ready(signals.fd)
            assert signals.caught() == [signum]

    assert apart(body) == 0


@pytest.mark.parametrize("signum", HANDLED)
def test_signal_that_comes_right_before_the_wait_ends_it(signum: signal.Signals) -> None:
    def body() -> None:
        with Signals() as signals:
            poll = select.poll()
            poll.register(signals.fd, select.POLLIN)
            kill = partial(ctypes.CDLL(None).kill, os.getpid(), signum)
            # All of it in C: no handler written in Python gets a chance between the two.
            _, found = list(map(partial.__call__, [kill, partial(poll.poll, 5000)]))
            assert found
            assert signals.caught() == [signum]

    assert apart(body) == 0


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


def test_signals_are_noted_in_order() -> None:
    with Signals() as signals:
        for signum in (signal.SIGUSR1, signal.SIGINT, signal.SIGUSR1):
            send(signum)
        assert signals.caught() == [signal.SIGUSR1, signal.SIGINT, signal.SIGUSR1]


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("first", HANDLED)
def test_a_second_signal_ends_this_process_by_it_once_all_others_are_ended(
    first: signal.Signals, second: signal.Signals
) -> None:
    reader, writer = os.pipe()

    def ask_twice() -> None:
        with Signals(lambda: os.write(writer, b"!")):
            send(first)
            send(second)

    assert apart(ask_twice) == -second
    assert os.read(reader, 1) == b"!"
    os.close(writer)
    os.close(reader)


@pytest.mark.parametrize(
    ("signum", "wanted"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, pytest.exit.Exception)]
)
def test_a_signal_that_is_not_served_breaks_off_what_the_process_waits_for(
    signum: signal.Signals, wanted: type[BaseException]
) -> None:
    def wait() -> None:
        reader, _ = os.pipe()
        with Signals():
            send(signum)
            with pytest.raises(wanted):
                os.read(reader, 1)

    assert apart(wait) == 0


#: In an interpreter of its own: an audit hook, which an earlier test may have left, would be byte code.
WAIT_IN_C = """
import ctypes, os, signal, sys
from functools import partial
from pytest_procpar.controller.signals import Signals
count, writer = map(int, sys.argv[1:])
with Signals(lambda: os.write(writer, b"!")):
    forever = ctypes.CDLL(None).sleep
    kills = [partial(ctypes.CDLL(None).kill, os.getpid(), signal.SIGTERM)] * count
    list(map(partial.__call__, [*kills, *[partial(forever, 1000)] * 1000]))
"""


@pytest.mark.parametrize("count", [1, 2])
def test_what_runs_no_byte_code_is_ended_with_the_status_that_a_shell_expects(count: int) -> None:
    reader, writer = os.pipe()
    command = [sys.executable, "-c", WAIT_IN_C, str(count), str(writer)]
    status = subprocess.run(command, pass_fds=[writer], check=False).returncode
    said = os.read(reader, 1) if ready(reader, timeout=0) else b""
    os.close(writer)
    os.close(reader)
    assert (status, said) == (128 + signal.SIGTERM, b"!")


def test_a_signal_to_a_process_that_a_plugin_has_forked_is_none_to_this_one() -> None:
    with Signals() as signals:
        assert apart(lambda: os.kill(os.getpid(), signal.SIGTERM)) == -signal.SIGTERM
        assert signals.caught() == []
        assert not ready(signals.fd, timeout=0)


@pytest.mark.skipif(not hasattr(fcntl, "F_SETPIPE_SZ"), reason="the size of a pipe cannot be set here")
def test_more_signals_than_the_pipe_has_room_for_are_noted() -> None:
    with Signals() as signals:
        room = fcntl.fcntl(signals.fd, fcntl.F_SETPIPE_SZ, 4096)
        for _ in range(2 * room):
            send(signal.SIGUSR1)
        caught = signals.caught()
        # A signal that another thread receives may join the one before it.
        assert (set(caught), room < len(caught) <= 2 * room) == ({signal.SIGUSR1}, True)
        send(signal.SIGUSR1)
        assert signals.caught() == [signal.SIGUSR1]


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
