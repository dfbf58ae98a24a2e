"""The short body of the usual batch says the same as the long one, or is not taken."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.protocol.codec import encode
from pytest_procpar.core.protocol.short_batch import expanded, is_short, shortened_batch
from pytest_procpar.core.protocol.wire import Encoder, WireError, loads
from pytest_procpar.core.protocol.worker import Began, Finished, Ready

_HEADER = 10
TIMES = ((1.0, 2.0, 1.0), (2.0, 4.0, 2.0), (4.0, 4.5, 0.5))
LOCATION = ("t.py", 3, "test_b")


def batch(
    test: Any = 7, names: Any = ("test_a", "t.py"), times: Any = TIMES, began: Any = 0.5, ended: Any = 1.5,
    next_test: Any = 8, location: Any = LOCATION,
) -> list[tuple[object, ...]]:  # fmt: skip
    finished = Finished(TestIndex(test), (names, times), began, ended)
    return [encode(finished), encode(Began(TestIndex(next_test), location))]


def long_body(value: object) -> bytes:
    return Encoder().frame(value)[_HEADER:]


def carried(sent: list[tuple[object, ...]]) -> Any:
    """What arrives, by the short body if there is one."""
    body = shortened_batch(sent)
    return loads(long_body(sent)) if body is None else expanded(body)


def test_the_usual_batch_has_a_short_body_and_no_long_one_is_taken_for_it() -> None:
    body = shortened_batch(batch())
    assert body is not None
    assert is_short(body)
    assert not is_short(long_body(batch()))
    assert not is_short(b"")
    assert len(body) < len(long_body(batch()))


NUMBERS = st.integers(-(2**64), 2**64) | st.booleans() | st.floats()
TEXTS = st.text() | st.sampled_from(["", "\0", "a\0b", "\ud800"])


@settings(deadline=None)
@given(
    st.tuples(NUMBERS, NUMBERS), st.lists(TEXTS, max_size=4),
    st.lists(NUMBERS | st.floats(), min_size=11, max_size=11), st.tuples(TEXTS, st.none() | NUMBERS, TEXTS),
)  # fmt: skip
@example((0, 1), [], [0.0] * 11, ("", 0, ""))
@example((0, 1), [""], [float("nan")] * 11, ("", -1, ""))
@example((True, 1), ["a"], [0.0] * 11, ("p", 1, "n"))
@example((0, 1), ["a"], [0.0] * 10 + [1], ("p", 1, "n"))
def test_a_batch_arrives_as_it_was_sent(tests: Any, names: Any, numbers: Any, location: Any) -> None:
    times = tuple(tuple(numbers[at : at + 3]) for at in (0, 3, 6))
    sent = batch(tests[0], tuple(names), times, numbers[9], numbers[10], tests[1], location)
    assert repr(carried(sent)) == repr(sent) == repr(loads(long_body(sent)))


@pytest.mark.parametrize(
    "sent",
    [
        [],
        batch()[:1],
        batch()[1:],
        batch()[::-1],
        [*batch(), encode(Ready(1))],
        [encode(Finished(TestIndex(1), None)), batch()[1]],
        batch(times=TIMES[:2]),
        batch(times=(TIMES[0] + TIMES[1], (), TIMES[2])),
        batch(location=("t.py", None, "test")),
        batch(names=("a\0b",)),
        batch(names=("\ud800",)),
        batch(names=(1,)),
        batch(test=1 << 63),
        batch(began=1),
        batch(next_test=True),
    ],
    ids=repr,
)
def test_any_other_batch_has_none(sent: Any) -> None:
    assert shortened_batch(sent) is None


@given(st.binary(max_size=300))
def test_of_other_bytes_come_messages_or_the_documented_error(noise: bytes) -> None:
    body = shortened_batch(batch())
    assert body is not None
    for each in (b"\1" + noise, body + noise, body[: len(noise)], noise.join([body[:40], body[40:]])):
        with suppress(WireError):
            assert len(expanded(each)) == 2


@pytest.mark.parametrize(
    "short", [b"\1", b"\1" * 112, b"\1" * 113 + b"no separator", b"\1" * 113 + b"\xff\0\0"]
)
def test_what_is_no_short_body_is_refused(short: bytes) -> None:
    with pytest.raises(WireError, match="short body"):
        expanded(short)
