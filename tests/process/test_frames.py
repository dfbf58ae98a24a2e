"""Messages on a stream: both ends, whole and broken, whatever the peer does."""

from __future__ import annotations

import select
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_procpar.core.model import Dist, TestIndex, WorkerId, WorkerOptions
from pytest_procpar.core.protocol.codec import Message, decode, encode
from pytest_procpar.core.protocol.common import Broke
from pytest_procpar.core.protocol.server import FromServer, Quit, Recipe, Signal, ToServer
from pytest_procpar.core.protocol.wire import Decoder, Encoder, WireError, loads
from pytest_procpar.core.protocol.worker import Began, Done, FromWorker, Ready
from pytest_procpar.core.record import fields
from pytest_procpar.ipc.link import Link
from pytest_procpar.ipc.port import Port
from pytest_procpar.system.calls import socket_pair
from tests.process.helpers import BEYOND_THE_BUFFER, Gate, hear, process, push, ready, setup, streams

# --- what a message may hold ------------------------------------------------------------------------

TEXT = st.text(max_size=8)
NUMBER = st.integers(-(2**40), 2**40)
VALUE = st.recursive(
    st.none() | st.booleans() | NUMBER | st.floats(allow_nan=False) | TEXT | st.binary(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(TEXT, inner, max_size=3)
    ),
    max_leaves=6,
)
DATA = st.dictionaries(TEXT, VALUE, max_size=4)
TIMES = st.tuples(*[st.floats(allow_nan=False)] * 3)
RECIPE = st.builds(
    Recipe,
    flags=st.lists(TEXT),
    path=st.lists(TEXT),
    argv=st.lists(TEXT),
    args=st.lists(TEXT),
    folder=TEXT,
    roots=st.lists(TEXT),
    options=st.builds(
        WorkerOptions,
        dist=st.sampled_from(Dist),
        freeze_heap=st.booleans(),
        isolate=st.booleans(),
        isolating_marks=st.lists(TEXT).map(tuple),
        max_tests_per_worker=st.none() | NUMBER,
        lean_tests=st.booleans(),
        fork_safe=st.lists(TEXT).map(tuple),
        cpus=st.none() | NUMBER,
    ),
    coverage=st.none() | st.tuples(TEXT, TEXT),
    replay=st.none() | st.tuples(TEXT, st.lists(st.lists(st.tuples(TEXT, NUMBER), max_size=3), max_size=3)),
)
NUMBERS = st.lists(NUMBER, max_size=3)
SHARED = st.tuples(
    NUMBERS,
    st.lists(st.tuples(NUMBERS.map(tuple), NUMBERS.map(tuple)), max_size=3),
    st.lists(st.tuples(TEXT, TEXT, NUMBER), max_size=3),
)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "apart": st.lists(NUMBER),
    "basetemp": st.none() | TEXT,
    "kept": st.text(),
    "cwd": TEXT,
    "data": DATA,
    "deselected": st.lists(TEXT),
    "early": st.booleans(),
    "environ": st.dictionaries(TEXT, TEXT),
    "fixture": st.none() | TEXT,
    "group": st.booleans(),
    "ids": st.lists(TEXT),
    "inputs": st.lists(DATA, max_size=2),
    "keys": st.none() | st.lists(TEXT),
    "kind": st.sampled_from(["exit", "keyboard", "shouldfail", "shouldstop", "usage"]),
    "limits": st.dictionaries(NUMBER, st.floats(allow_nan=False)),
    "lines": st.lists(TEXT),
    "name": TEXT,
    "nodeid": st.none() | TEXT,
    "nth": NUMBER,
    "location": st.tuples(TEXT, st.none() | NUMBER, TEXT),
    "output": DATA,
    "passes": st.none() | st.tuples(st.lists(TEXT).map(tuple), st.tuples(TIMES, TIMES, TIMES)),
    "began": st.floats(allow_nan=False),
    "ended": st.floats(allow_nan=False),
    "peak_memory": st.none() | NUMBER,
    "pid": NUMBER,
    "place": st.none() | st.tuples(TEXT, NUMBER),
    "reason": TEXT,
    "shared": st.none() | SHARED,
    "recipe": st.none() | RECIPE,
    "returncode": st.none() | NUMBER,
    "signum": NUMBER,
    "slot": NUMBER,
    "status": NUMBER,
    "suite": st.none() | NUMBER,
    "test": NUMBER,
    "text": TEXT,
    "value": TEXT,
    "when": st.none() | TEXT,
    "worker": NUMBER,
    "workerinput": DATA,
}


def any_of(kinds: object) -> st.SearchStrategy[Any]:
    return st.one_of(
        [st.builds(kind, **{name: FIELDS[name] for name in fields(kind)}) for kind in get_args(kinds)]
    )


def frame(*messages: Any) -> bytes:
    return Encoder().frame([encode(message) for message in messages])


# --- whole frames -----------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(st.lists(any_of(FromWorker | FromServer), max_size=8))
def test_every_message_to_the_controller_arrives_as_it_left(messages: list[Any]) -> None:
    with streams() as (port, link):
        for message in messages:
            link.put(message)
        link.flush()
        assert port.receive() == (messages, True)


@settings(max_examples=30, deadline=None)
@given(st.lists(any_of(ToServer), min_size=1, max_size=8))
def test_every_message_to_the_fork_server_arrives_as_it_left(messages: list[Any]) -> None:
    with streams() as (port, link):
        for message in messages:
            port.send(message)
        received: list[Message] = []
        while len(received) < len(messages):
            received += link.receive()[0]
        assert received == messages


NOWHERE = ("nowhere", True, False, (), None, (), None)


@pytest.mark.parametrize("recipe", [0, "", (), (None,) * 9, (*([],) * 6, NOWHERE, None, None)])
def test_setup_with_a_recipe_that_is_none_is_refused(recipe: object) -> None:
    kind, *values = encode(setup())
    with pytest.raises(WireError, match="not a message"):
        decode((kind, *values[:-1], recipe))


def test_messages_leave_in_one_frame_when_somebody_waits_for_them() -> None:
    ours, theirs = socket_pair()
    with ours, theirs:
        link = Link(theirs)
        for pid in range(3):
            link.put(Ready(pid))
        assert not ready(ours, timeout=0)
        link.flush()
        (body,) = Decoder().feed(ours.recv(4096))
        assert loads(body) == [encode(Ready(pid)) for pid in range(3)]


def test_flush_of_nothing_sends_nothing() -> None:
    with streams() as (port, link):
        assert link.flush() == []
        assert not ready(port, timeout=0)


def test_flush_tells_once_what_could_not_be_carried() -> None:
    with streams() as (port, link):
        link.put(Done({"value": object}))
        assert link.flush() == ["a value of type type ('value')"]
        link.put(Done({}))
        assert link.flush() == []
        assert hear(port, 2) == [Done({"value": repr(object)}), Done({})]


def test_silent_stream_is_open_and_has_nothing() -> None:
    with streams() as (port, _):
        assert port.receive() == ([], True)


def test_frame_in_pieces_is_a_message_once_it_is_complete() -> None:
    ours, theirs = socket_pair()
    with ours, theirs:
        port, data = Port(ours), frame(Ready(1), Ready(2))
        for at in range(len(data) - 1):
            theirs.send(data[at : at + 1])
            assert port.receive() == ([], True)
        theirs.send(data[-1:])
        assert port.receive() == ([Ready(1), Ready(2)], True)


# --- the end of a stream ----------------------------------------------------------------------------


def test_last_words_of_a_process_are_heard_before_its_end() -> None:
    def speak(link: Link) -> None:
        for pid in range(1000):
            link.put(Ready(pid))
            link.flush()

    with process(speak) as (port, _):
        assert hear(port) == [Ready(pid) for pid in range(1000)]


def test_torn_frame_at_the_end_costs_only_itself() -> None:
    ours, theirs = socket_pair()
    with ours:
        with theirs:
            theirs.send(frame(Ready(1)) + frame(Ready(2))[:-1])
        port = Port(ours)
        assert hear(port) == [Ready(1)]
        assert port.receive() == ([], False)


def test_process_that_is_gone_is_no_error_to_the_controller() -> None:
    with process(lambda link: None) as (port, _):
        assert hear(port) == []
        port.send(Quit())
        assert not port.clogged
        assert port.receive() == ([], False)


def test_process_that_dies_with_unread_messages_is_heard_to_the_end() -> None:
    with Gate() as gate:

        def speak(link: Link) -> None:
            link.put(Ready(1))
            link.flush()
            gate.wait()

        with process(speak) as (port, _):
            port.send(Quit())
            gate.open()
            assert hear(port) == [Ready(1)]
            port.send(Quit())
            assert not port.clogged


def test_controller_that_is_gone_is_noticed_at_the_next_read() -> None:
    ours, theirs = socket_pair()
    with theirs:
        ours.close()
        link = Link(theirs)
        link.put(Ready(1))
        assert link.flush() == []
        assert link.receive() == ([], False)


def test_controller_that_died_with_unread_messages_is_gone_like_any_other() -> None:
    ours, theirs = socket_pair()
    with theirs:
        link = Link(theirs)
        link.put(Ready(1))
        link.flush()
        ours.close()
        assert link.receive() == ([], False)
        link.put(Ready(2))
        assert link.flush() == []


# --- what is no message -----------------------------------------------------------------------------

GARBAGE = {
    "text": b"Segmentation fault in some library, which prints to every descriptor it finds\n",
    "a line": b"\n" * 10,
    "zeros": bytes(64),
    "a value that is no batch": Encoder().frame(5),
    "a batch of no message": Encoder().frame([5]),
    "an empty message": Encoder().frame([()]),
    "a kind that is none": Encoder().frame([(99,)]),
    "a kind below all": Encoder().frame([(-1,)]),
    "a message that is too long": Encoder().frame([(0, 1, 2, 3)]),
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
def test_controller_hears_what_came_before_garbage_and_nothing_after_it(garbage: bytes) -> None:
    ours, theirs = socket_pair()
    with ours, theirs:
        port = Port(ours)
        theirs.send(frame(Ready(1)) + frame(Ready(2)) + garbage + frame(Ready(3)))
        assert port.receive() == ([Ready(1), Ready(2)], True)
        why = port.garbled
        assert why is not None
        theirs.send(frame(Ready(4)))
        assert port.receive() == ([], True)
        assert port.garbled == why


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
def test_fork_server_obeys_what_came_before_garbage_and_then_gives_up(garbage: bytes) -> None:
    ours, theirs = socket_pair()
    with ours, theirs:
        link = Link(theirs)
        ours.send(frame(Quit()) + garbage)
        assert link.receive() == ([Quit()], True)
        for _ in range(2):
            with pytest.raises(WireError):
                link.receive()


def test_garbage_alone_is_refused_at_once() -> None:
    ours, theirs = socket_pair()
    with ours, theirs:
        ours.send(GARBAGE["text"])
        with pytest.raises(WireError):
            Link(theirs).receive()


def test_flipped_bit_anywhere_is_noticed() -> None:
    good = frame(Began(TestIndex(7), ("test_a.py", 3, "test_b")))
    for bit in range(8 * len(good)):
        flipped = bytearray(good)
        flipped[bit // 8] ^= 1 << bit % 8
        ours, theirs = socket_pair()
        with ours, theirs:
            port = Port(ours)
            theirs.send(flipped + good)
            assert (port.receive(), port.garbled is None) == (([], True), False), bit


# --- a peer that does not read ----------------------------------------------------------------------


def test_controller_does_not_wait_for_a_fork_server_that_does_not_read() -> None:
    with Gate() as gate:

        def listen(link: Link) -> None:
            gate.wait()
            received: list[Message] = []
            while not received or received[-1] != Quit():
                received += link.receive()[0]
            sizes = [BEYOND_THE_BUFFER, 10, BEYOND_THE_BUFFER]
            assert received[:-1] == [setup(size, number) for number, size in enumerate(sizes)]

        with process(listen) as (port, _):
            port.send(setup(BEYOND_THE_BUFFER, 0))
            assert port.clogged
            port.send(setup(10, 1))
            port.send(setup(BEYOND_THE_BUFFER, 2))
            port.send(Quit())
            assert not ready(port, select.POLLOUT, timeout=0)
            gate.open()
            push(port)


def test_clogged_stream_to_a_process_that_dies_is_free_again() -> None:
    with Gate() as gate, process(lambda link: gate.wait()) as (port, _):
        port.send(setup(BEYOND_THE_BUFFER))
        port.send(Signal(WorkerId(0), 9), [0])
        assert port.clogged
        gate.open()
        push(port)
        assert not port.clogged


def test_worker_waits_for_a_controller_that_does_not_read_and_then_goes_on() -> None:
    with Gate() as flushed:

        def speak(link: Link) -> None:
            link.put(Broke("x" * BEYOND_THE_BUFFER))
            link.flush()
            flushed.open()
            link.put(Ready(1))
            link.flush()

        with process(speak) as (port, _):
            ready(port)
            assert not flushed.is_open  # it cannot be: the frame is longer than the buffer
            assert hear(port) == [Broke("x" * BEYOND_THE_BUFFER), Ready(1)]
            assert flushed.is_open
