"""Signals that come while a process waits for its stream, and what a handler that raises leaves behind."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.protocol.common import Broke
from pytest_procpar.core.protocol.server import Quit
from pytest_procpar.core.protocol.worker import Done, Ready
from pytest_procpar.ipc.inbox import WorkerLink
from pytest_procpar.ipc.link import Link
from pytest_procpar.ipc.port import Port
from tests.process.helpers import BEYOND_THE_BUFFER, Gate, claim_all, hear, process, ready, worker

pytestmark = pytest.mark.python_dependent

SIGNALS = [signal.SIGINT, signal.SIGALRM, signal.SIGUSR1]


class Interrupted(BaseException):
    """What the handlers here raise: like `KeyboardInterrupt`, or the failure of a test's timeout."""


class Trap:
    """A signal's handler: raises when it is set, once, and counts how often the signal came."""

    def __init__(self, signum: int) -> None:
        self.count = 0
        self.sprung = 0
        self._set = False
        signal.signal(signum, self._handle)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        self.count += 1
        if self._set:
            self._set = False
            self.sprung += 1
            raise Interrupted

    def during(self, body: Callable[[], object]) -> bool:
        """Let the handler raise, in `body` only; whether it did."""
        sprung = self.sprung
        try:
            self._set = True
            body()
            self._set = False
        except Interrupted:
            pass
        return self.sprung > sprung


def nudge(pid: int, signum: int, gate: Gate) -> None:
    """Send a signal until it is noticed: one that comes right before a process begins to wait is not."""
    os.kill(pid, signum)
    while not gate.opens_within(20):
        os.kill(pid, signum)
    gate.wait()


def hear_under_fire(port: Port, pid: int, signum: int, until: Any) -> list[Any]:
    """All messages up to `until`, of a process that gets a signal before every read."""
    messages: list[Any] = []
    while until not in messages[-1:]:
        os.kill(pid, signum)
        ready(port)
        messages += port.receive()[0]
        assert port.garbled is None
    return messages


@pytest.mark.parametrize("signum", SIGNALS)
def test_signals_do_not_disturb_a_write(signum: signal.Signals) -> None:
    with Gate() as gate:

        def speak(link: Link) -> None:
            trap = Trap(signum)
            gate.open()
            for number in range(8):
                link.put(Broke("x" * BEYOND_THE_BUFFER))
                link.put(Ready(number))
                link.flush()
            assert trap.count

        with process(speak) as (port, pid):
            gate.wait()
            heard = hear_under_fire(port, pid, signum, Ready(7))
        assert heard[1::2] == [Ready(number) for number in range(8)]
        assert heard[::2] == [Broke("x" * BEYOND_THE_BUFFER)] * 8


@pytest.mark.parametrize("signum", SIGNALS)
def test_flush_that_was_interrupted_goes_on_where_it_was(signum: signal.Signals) -> None:
    with Gate() as gate:

        def speak(link: Link) -> None:
            trap = Trap(signum)
            gate.open()
            for number in range(8):
                link.put(Broke("x" * BEYOND_THE_BUFFER))
                link.put(Ready(number))
                while trap.during(link.flush):
                    pass
            assert trap.sprung
            link.put(Done({}))
            link.flush()

        with process(speak) as (port, pid):
            gate.wait()
            heard = hear_under_fire(port, pid, signum, Done({}))
        assert heard[1::2] == [Ready(number) for number in range(8)]
        assert heard[:-1:2] == [Broke("x" * BEYOND_THE_BUFFER)] * 8


def test_flush_that_is_interrupted_anywhere_sends_every_message_once() -> None:
    def speak(link: Link) -> None:
        trap = Trap(signal.SIGALRM)
        number = 0
        while trap.sprung < 300:
            link.put(Ready(number))
            link.put(Done({"number": number, "long": ["x"] * (number % 500)}))
            number += 1
            signal.setitimer(signal.ITIMER_REAL, 1e-6 * (1 + number * 7 % 150))
            trap.during(link.flush)
        link.put(Broke("that is all"))
        link.flush()

    with process(speak) as (port, _):
        heard = hear(port)
    assert heard.pop() == Broke("that is all")
    assert heard[::2] == [Ready(number) for number in range(len(heard) // 2)]
    assert [done.output["number"] for done in heard[1::2]] == list(range(len(heard) // 2))


def test_value_whose_repr_is_interrupted_is_sent_by_the_next_flush() -> None:
    class Slow:
        interrupted = False

        def __repr__(self) -> str:
            if not Slow.interrupted:
                Slow.interrupted = True
                raise KeyboardInterrupt
            return "slow"

    def speak(link: Link) -> None:
        link.put(Ready(1))
        link.put(Done({"value": Slow()}))
        with pytest.raises(KeyboardInterrupt):
            link.flush()
        link.put(Ready(2))
        link.flush()

    with process(speak) as (port, _):
        assert hear(port) == [Ready(1), Done({"value": "slow"}), Ready(2)]


@pytest.mark.parametrize("signum", SIGNALS)
def test_worker_that_waits_for_a_record_waits_on_after_a_signal(signum: signal.Signals) -> None:
    with Gate() as gate:

        def work(link: WorkerLink) -> None:
            signal.signal(signum, lambda *_: gate.open())
            gate.open()
            assert claim_all(link) == [1]

        with worker(work) as (port, pid):
            gate.wait()
            nudge(pid, signum, gate)
            port.inbox.send([TestIndex(1), "finish"])


@pytest.mark.parametrize(
    "wait", [lambda link: link.peek(wait=True), lambda link: link.claim(wait=True)], ids=["peek", "claim"]
)
def test_worker_that_was_interrupted_while_it_waited_has_lost_no_record(
    wait: Callable[[WorkerLink], object],
) -> None:
    with Gate() as gate:

        def work(link: WorkerLink) -> None:
            trap = Trap(signal.SIGINT)
            gate.open()
            for _ in range(20):
                assert trap.during(lambda: wait(link))
                gate.open()
            assert claim_all(link) == [1, 2]

        with worker(work) as (port, pid):
            gate.wait()
            for _ in range(20):
                nudge(pid, signal.SIGINT, gate)
            port.inbox.send([TestIndex(1), TestIndex(2), "finish"])


def test_fork_server_that_waits_for_messages_waits_on_after_a_signal() -> None:
    with Gate() as gate:

        def listen(link: Link) -> None:
            signal.signal(signal.SIGUSR1, lambda *_: gate.open())
            gate.open()
            assert link.receive() == ([Quit()], True)

        with process(listen) as (port, pid):
            gate.wait()
            nudge(pid, signal.SIGUSR1, gate)
            port.send(Quit())
