"""A worker's inbox: every record is claimed by the worker or taken back by the controller, by one of them."""

from __future__ import annotations

import select

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_procpar.core.messages import Done, Record, pack_record, unpack_records
from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.wire import WireError
from pytest_procpar.process.system import socket_pair
from pytest_procpar.process.transport import Link
from tests.process.helpers import Gate, claim_all, hear, push, ready, streams, worker

#: More records than the system keeps for a worker that does not read.
MANY = 60_000

WORDS: list[Record] = ["hold", "last", "finish"]
LAST = pack_record("last")
RECORDS = st.lists(st.integers(0, 2**31 - 1).map(TestIndex) | st.sampled_from(WORDS), max_size=50)


def run_of(first: int, last: int) -> list[Record]:
    return [TestIndex(number) for number in range(first, last)]


def claim_now(link: Link) -> list[Record]:
    """What can be claimed without waiting."""
    claimed: list[Record] = []
    while (record := link.claim(wait=False)) is not None:
        claimed.append(record)
    return claimed


# --- claim and peek ---------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(RECORDS)
def test_records_are_claimed_as_they_were_sent(records: list[Record]) -> None:
    with streams() as (port, link):
        port.send_records(records)
        assert claim_now(link) == records


def test_empty_inbox_gives_nothing_to_who_does_not_wait() -> None:
    with streams() as (_, link):
        assert link.claim(wait=False) is None
        assert link.peek() is None


def test_peeking_claims_nothing() -> None:
    with streams() as (port, link):
        port.send_records(run_of(0, 2))
        assert [link.peek(), link.peek(wait=True), link.peek()] == [0, 0, 0]
        assert claim_now(link) == [0, 1]


def test_worker_waits_for_a_record() -> None:
    with Gate() as waiting:

        def work(link: Link) -> None:
            waiting.open()
            assert link.peek(wait=True) == 5
            assert link.claim(wait=True) == 5
            waiting.open()
            assert link.claim(wait=True) == "finish"

        with worker(work) as (port, _):
            waiting.wait()
            port.send_records([TestIndex(5)])
            waiting.wait()
            port.send_records(["finish"])


@pytest.mark.parametrize("wait", [True, False])
def test_bytes_that_are_no_record_are_refused(wait: bool) -> None:
    ours, theirs = socket_pair()
    with ours, theirs:
        ours.send(b"no, this")
        with pytest.raises(WireError):
            Link(theirs).claim(wait=wait)


@pytest.mark.parametrize(
    "data",
    [
        pack_record("last")[:-1],
        bytes(8),
        pack_record(TestIndex(1)) + b"x",
        pack_record("last")[:4] + b"\x80" * 4,
    ],
    ids=["a part", "zeros", "one and a part", "an unknown word"],
)
def test_bytes_that_are_not_records_are_refused(data: bytes) -> None:
    with pytest.raises(WireError):
        list(unpack_records(data))


# --- taking back ------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(RECORDS, st.integers(0, 50))
def test_drain_takes_what_is_unread_in_order(records: list[Record], claims: int) -> None:
    with streams() as (port, link):
        port.send_records(records)
        claimed = [link.claim(wait=False) for _ in range(min(claims, len(records)))]
        assert claimed + port.drain() == records
        assert claim_now(link) == port.drain() == []


def test_drain_of_an_empty_inbox_gives_nothing() -> None:
    with streams() as (port, _):
        assert port.drain() == []


def test_inbox_can_be_filled_again_after_a_drain() -> None:
    with streams() as (port, link):
        port.send_records(run_of(0, 3))
        port.drain()
        port.send_records(run_of(3, 5))
        assert claim_now(link) == [3, 4]


def test_drain_does_not_touch_what_the_worker_says() -> None:
    with streams() as (port, link):
        link.put(Done({}))
        link.flush()
        port.send_records(run_of(0, 3))
        assert port.drain() == [0, 1, 2]
        assert hear(port, 1) == [Done({})]


def test_records_beyond_the_buffer_wait_in_the_controller_and_arrive_in_order() -> None:
    with Gate() as gate:

        def work(link: Link) -> None:
            gate.wait()
            assert claim_all(link) == run_of(0, MANY)

        with worker(work) as (port, _):
            port.send_records(run_of(0, MANY - 1))
            assert port.clogged
            port.send_records(run_of(MANY - 1, MANY))
            port.send_records(["finish"])
            assert not ready(port, select.POLLOUT, timeout=0)
            gate.open()
            push(port)


def test_drain_takes_also_what_has_not_been_sent() -> None:
    with streams() as (port, link):
        port.send_records(run_of(0, MANY))
        was_clogged = port.clogged
        claimed = [link.claim(wait=False) for _ in range(10)]
        assert claimed + port.drain() == run_of(0, MANY)
        assert was_clogged
        assert not port.clogged
        assert link.claim(wait=False) is None


def test_flush_sends_on_what_has_room_and_keeps_the_rest() -> None:
    with streams() as (port, link):
        port.send_records(run_of(0, MANY))
        claimed = claim_now(link)
        assert 0 < len(claimed) < MANY
        while port.clogged:
            port.flush()
            claimed += claim_now(link)
        assert claimed == run_of(0, MANY)


@pytest.mark.parametrize("wait", [True, False], ids=["waiting", "spinning"])
@pytest.mark.parametrize(("rounds", "batch"), [(400, 50), (4, 30_000)], ids=["quick", "clogged"])
def test_record_is_either_claimed_or_taken_back(rounds: int, batch: int, wait: bool) -> None:
    with Gate() as claiming:

        def work(link: Link) -> None:
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
                port.send_records(run_of(start, start + batch))
                claiming.wait()  # it is in the middle of it now
                drained += port.drain()
            port.send_records(["finish"])
            (done,) = hear(port, 1)
        claimed = done.output["claimed"]
        assert sorted([*claimed, *drained]) == run_of(0, rounds * batch)
        assert claimed == sorted(claimed)
        assert drained == sorted(drained)
        assert len(claimed) >= rounds
