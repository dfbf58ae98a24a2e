"""What can be seen of an inbox: what is in it, in its order, whoever empties it."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.protocol.preview import PREVIEW_BYTES, Preview
from pytest_procpar.core.protocol.records import Record

WORDS: list[Record] = ["hold", "last", "finish"]
RECORDS = st.lists(st.integers(0, 2**31 - 1).map(TestIndex) | st.sampled_from(WORDS), max_size=5)
STEPS = st.lists(
    st.sampled_from(["show", "send", "claim", "drain", "succeed"]).flatmap(
        lambda step: st.tuples(st.just(step), RECORDS)
    )
)


def words() -> memoryview[int]:
    return memoryview(bytearray(PREVIEW_BYTES)).cast("Q")


def test_nothing_is_seen_of_an_empty_inbox() -> None:
    assert Preview(words()).look() is None


@pytest.mark.parametrize("record", [TestIndex(0), TestIndex(2**31 - 1), *WORDS])
def test_a_record_is_seen_as_it_is(record: Record) -> None:
    preview = Preview(words())
    preview.show([record])
    preview.sent(1)
    assert [preview.look(), preview.look()] == [record] * 2


def test_the_next_record_is_seen_however_many_went_through() -> None:
    preview = Preview(words())
    for number in range(3 * PREVIEW_BYTES // 8):
        preview.show([TestIndex(number)])
        preview.sent(1)
        assert preview.look() == number
        preview.claimed(number)
        assert preview.look() is None


@given(STEPS)
def test_what_can_be_claimed_next_is_what_is_seen(steps: list[tuple[str, list[Record]]]) -> None:
    """The two sides have objects of their own, and so has who takes over from a worker that has died."""
    memory = words()
    ours, theirs = Preview(memory), Preview(memory)
    inbox: deque[tuple[int, Record]] = deque()
    shown: list[Record] = []
    for step, records in steps:
        if step == "show":
            shown = records or shown
            ours.show(shown)
        elif step == "send":
            inbox.extend(enumerate(shown, ours.next_place))
            ours.show(shown)
            ours.sent(len(shown))
            shown = []
        elif step == "claim" and inbox:
            theirs.claimed(inbox.popleft()[0])
        elif step == "drain":
            inbox.clear()
            ours.taken_back(5)
            shown = []
        elif step == "succeed":
            inbox.clear()
            ours.taken_back(5)
            ours, theirs, shown = Preview(memory), Preview(memory), []
        coming = [record for _, record in inbox] + shown
        assert theirs.look() == (coming[0] if coming else None)
