"""A worker's inbox: every record is claimed by the worker or taken back by the controller, by one of them."""

from __future__ import annotations

import os
import resource
import select
import signal
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.protocol.common import Broke
from pytest_procpar.core.protocol.records import RECORD_SIZE, Record, pack_record, unpack_records
from pytest_procpar.core.protocol.wire import WireError
from pytest_procpar.core.protocol.worker import Done, Ready
from pytest_procpar.ipc import inbox
from pytest_procpar.ipc.inbox import WorkerLink
from tests.process.helpers import (
    BEYOND_THE_BUFFER,
    Gate,
    child,
    claim_all,
    hear,
    outlet_of,
    pipes,
    push,
    ready,
    worker,
)

#: More records than the system keeps for a worker that does not read.
MANY = 60_000

WORDS: list[Record] = ["hold", "last", "finish"]
LAST = pack_record("last", 0)
RECORDS = st.lists(st.integers(0, 2**31 - 1).map(TestIndex) | st.sampled_from(WORDS), max_size=50)


def run_of(first: int, last: int) -> list[Record]:
    return [TestIndex(number) for number in range(first, last)]


def claim_now(link: WorkerLink) -> list[Record]:
    """What can be claimed without waiting."""
    claimed: list[Record] = []
    while (record := link.claim(wait=False)) is not None:
        claimed.append(record)
    return claimed


# --- claim and peek ---------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(RECORDS)
def test_records_are_claimed_as_they_were_sent(records: list[Record]) -> None:
    with pipes() as (port, link):
        port.inbox.send(records)
        assert claim_now(link) == records


def test_empty_inbox_gives_nothing_to_who_does_not_wait() -> None:
    with pipes() as (_, link):
        assert link.claim(wait=False) is None
        assert link.peek() is None


def test_peeking_claims_nothing() -> None:
    with pipes() as (port, link):
        port.inbox.send(run_of(0, 2))
        assert [link.peek(), link.peek(wait=True), link.peek()] == [0, 0, 0]
        assert claim_now(link) == [0, 1]


def test_worker_waits_for_a_record() -> None:
    with Gate() as waiting:

        def work(link: WorkerLink) -> None:
            waiting.open()
            assert link.peek(wait=True) == 5
            assert link.claim(wait=True) == 5
            waiting.open()
            assert link.claim(wait=True) == "finish"

        with worker(work) as (port, _):
            waiting.wait()
            port.inbox.send([TestIndex(5)])
            waiting.wait()
            port.inbox.send(["finish"])


@pytest.mark.parametrize("wait", [True, False])
def test_bytes_that_are_no_record_are_refused(wait: bool) -> None:
    with pipes() as (port, link):
        os.write(port.inbox.fileno(), b"no, this is none")
        with pytest.raises(WireError):
            link.claim(wait=wait)


@pytest.mark.parametrize(
    "data",
    [
        pack_record("last", 0)[:-1],
        bytes(RECORD_SIZE),
        pack_record(TestIndex(1), 0) + b"x",
        pack_record("last", 0)[:4] + b"\x80" * 4 + bytes(8),
    ],
    ids=["a part", "zeros", "one and a part", "an unknown word"],
)
def test_bytes_that_are_not_records_are_refused(data: bytes) -> None:
    with pytest.raises(WireError):
        list(unpack_records(data))


# --- what it is made of -------------------------------------------------------------------------------


def test_there_is_no_socket_between_a_worker_and_the_controller() -> None:
    with pipes() as (port, link):
        for end in (port.fileno(), port.inbox.fileno(), link.fileno(), outlet_of(link)):
            assert stat.S_ISFIFO(os.fstat(end).st_mode)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs Linux")
def test_the_controller_has_two_descriptors_of_a_worker() -> None:
    before = set(os.listdir("/proc/self/fd"))
    with worker(claim_all) as (port, _):
        assert len(set(os.listdir("/proc/self/fd")) - before) == 2
        port.inbox.send(["finish"])
    assert set(os.listdir("/proc/self/fd")) == before


@pytest.fixture(params=["one descriptor", "two descriptors"])
def descriptors(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The controller has one descriptor for both ends of the inbox, or one for each (macOS)."""
    if request.param == "two descriptors":
        monkeypatch.setattr(inbox, "_both_ends", lambda writer: None)


@pytest.mark.usefixtures("descriptors")
def test_what_is_claimed_and_what_is_taken_back_is_what_was_sent() -> None:
    with pipes() as (port, link):
        port.inbox.send(run_of(0, MANY))
        assert [link.claim(wait=True), link.peek(), link.claim(wait=False)] == [0, 1, 1]
        assert port.inbox.untouched
        assert port.inbox.drain() == run_of(2, MANY)
        assert [port.inbox.untouched, link.peek(), link.claim(wait=False)] == [False, None, None]
        port.inbox.send(["last"])
        assert [link.peek(), link.claim(wait=False)] == ["last"] * 2


@pytest.mark.usefixtures("descriptors")
@pytest.mark.parametrize("wait", [lambda link: link.peek(wait=True), lambda link: link.claim(wait=True)])
def test_worker_that_waits_sees_that_the_controller_is_gone(wait: Callable[[WorkerLink], object]) -> None:
    with Gate() as waiting, pipes() as (port, link):

        def work() -> None:
            link.belong_to_this_process()
            port.close()
            waiting.open()
            with pytest.raises(EOFError):
                wait(link)

        with child(work):
            waiting.wait()
            port.close()


def test_controller_sees_the_end_of_a_worker_though_another_one_lives() -> None:
    with Gate() as gate, worker(lambda link: gate.wait()) as (port, _), worker(claim_all) as (other, _):
        gate.open()
        assert hear(port) == []
        other.inbox.send(["finish"])


def test_what_a_worker_said_last_is_heard_whatever_is_in_its_inbox() -> None:
    def speak(link: WorkerLink) -> None:
        link.put(Ready(1))
        link.flush()

    with worker(speak) as (port, _):
        port.inbox.send(run_of(0, 3))
        assert hear(port) == [Ready(1)]
        port.inbox.send(run_of(3, 5))
        assert port.inbox.drain() == run_of(0, 5)


def test_worker_whose_controller_is_gone_speaks_into_the_void() -> None:
    with pipes() as (port, link):
        port.close()
        link.put(Ready(1))
        assert link.flush() == []
        for wait in (True, False):
            with pytest.raises(EOFError):
                link.claim(wait=wait)


def test_worker_that_speaks_when_sigpipe_has_its_default_effect_dies_with_its_controller() -> None:
    def speak(link: WorkerLink) -> None:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        gate.wait()
        link.put(Ready(1))
        link.flush()

    with Gate() as gate, worker(speak, expect=signal.SIGPIPE) as (port, _):
        port.close()
        gate.open()


# --- what tests do to descriptors ---------------------------------------------------------------------


@pytest.mark.parametrize("speaks", [True, False])
def test_what_a_test_has_put_in_the_place_of_a_descriptor_is_left_alone(tmp_path: Path, speaks: bool) -> None:
    path = tmp_path / "of a test"
    path.touch()
    with pipes() as (port, link), path.open("r+b") as file:
        os.dup2(file.fileno(), outlet_of(link) if speaks else link.fileno())
        link.put(Ready(1))
        with pytest.raises(OSError, match="something else"):
            link.flush() if speaks else link.claim(wait=True)
        assert path.read_bytes() == b""
        assert port.receive() == ([], not speaks)


@pytest.mark.parametrize("speaks", [True, False])
def test_closed_descriptor_is_an_error(speaks: bool) -> None:
    def work(link: WorkerLink) -> None:
        os.close(outlet_of(link) if speaks else link.fileno())
        link.put(Ready(1))
        with pytest.raises(OSError, match="Bad file"):
            link.flush() if speaks else link.claim(wait=True)

    with worker(work):
        pass


def test_worker_whose_descriptors_do_not_block_waits_all_the_same() -> None:
    def work(link: WorkerLink) -> None:
        for fd in (outlet_of(link), link.fileno()):
            os.set_blocking(fd, False)
        link.put(Broke("x" * BEYOND_THE_BUFFER))
        link.flush()
        assert claim_all(link) == [1]

    with worker(work) as (port, _):
        assert hear(port, 1) == [Broke("x" * BEYOND_THE_BUFFER)]
        port.inbox.send([TestIndex(1), "finish"])


def test_worker_that_may_have_no_descriptors_gets_its_records() -> None:
    def work(link: WorkerLink) -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
        gate.open()
        assert claim_all(link) == [1]

    with Gate() as gate, worker(work) as (port, _):
        gate.wait()
        port.inbox.send([TestIndex(1), "finish"])


# --- taking back ------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(RECORDS, st.integers(0, 50))
def test_drain_takes_what_is_unread_in_order(records: list[Record], claims: int) -> None:
    with pipes() as (port, link):
        port.inbox.send(records)
        claimed = [link.claim(wait=False) for _ in range(min(claims, len(records)))]
        assert claimed + port.inbox.drain() == records
        assert claim_now(link) == port.inbox.drain() == []


def test_drain_of_an_empty_inbox_gives_nothing() -> None:
    with pipes() as (port, _):
        assert port.inbox.drain() == []


def test_inbox_can_be_filled_again_after_a_drain() -> None:
    with pipes() as (port, link):
        port.inbox.send(run_of(0, 3))
        port.inbox.drain()
        port.inbox.send(run_of(3, 5))
        assert claim_now(link) == [3, 4]


def test_drain_does_not_touch_what_the_worker_says() -> None:
    with pipes() as (port, link):
        link.put(Done({}))
        link.flush()
        port.inbox.send(run_of(0, 3))
        assert port.inbox.drain() == [0, 1, 2]
        assert hear(port, 1) == [Done({})]


def test_records_beyond_the_buffer_wait_in_the_controller_and_arrive_in_order() -> None:
    with Gate() as gate:

        def work(link: WorkerLink) -> None:
            gate.wait()
            assert claim_all(link) == run_of(0, MANY)

        with worker(work) as (port, _):
            port.inbox.send(run_of(0, MANY - 1))
            assert port.inbox.clogged
            port.inbox.send(run_of(MANY - 1, MANY))
            port.inbox.send(["finish"])
            assert not ready(port.inbox, select.POLLOUT, timeout=0)
            gate.open()
            push(port.inbox)


def test_drain_takes_also_what_has_not_been_sent() -> None:
    with pipes() as (port, link):
        port.inbox.send(run_of(0, MANY))
        was_clogged = port.inbox.clogged
        claimed = [link.claim(wait=False) for _ in range(10)]
        assert claimed + port.inbox.drain() == run_of(0, MANY)
        assert was_clogged
        assert not port.inbox.clogged
        assert link.claim(wait=False) is None


def test_flush_sends_on_what_has_room_and_keeps_the_rest() -> None:
    with pipes() as (port, link):
        port.inbox.send(run_of(0, MANY))
        claimed = claim_now(link)
        assert 0 < len(claimed) < MANY
        while port.inbox.clogged:
            port.inbox.flush()
            claimed += claim_now(link)
        assert claimed == run_of(0, MANY)


@pytest.mark.parametrize("wait", [True, False], ids=["waiting", "spinning"])
@pytest.mark.parametrize(("rounds", "batch"), [(400, 50), (4, 30_000)], ids=["quick", "clogged"])
def test_record_is_either_claimed_or_taken_back(rounds: int, batch: int, wait: bool) -> None:
    with Gate() as claiming:

        def work(link: WorkerLink) -> None:
            claimed: list[Record] = []
            while (record := link.claim(wait=wait)) != "finish":
                if record is not None:
                    claimed.append(record)
                    if record % batch == 0:
                        claiming.open()
            link.put(Done({"claimed": claimed}))
            link.flush()

        with worker(work) as (port, _):
            drained: list[Record] = []
            for start in range(0, rounds * batch, batch):
                port.inbox.send(run_of(start, start + batch))
                claiming.wait()  # it is in the middle of it now
                drained += port.inbox.drain()
            port.inbox.send(["finish"])
            (done,) = hear(port, 1)
        claimed = done.output["claimed"]
        assert sorted([*claimed, *drained]) == run_of(0, rounds * batch)
        assert claimed == sorted(claimed)
        assert drained == sorted(drained)
        assert len(claimed) >= rounds
