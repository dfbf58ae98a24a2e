"""The tests that change state are known from one pass, and those that few others are like come first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.survey.changers import StateAfter, changers
from tests.core.pollution import ids

SLOTS = st.dictionaries(st.sampled_from("abcd"), st.sampled_from("123"))


def states(*slots: dict[str, str]) -> list[StateAfter]:
    return [StateAfter(TestIndex(test), tuple(each.items())) for test, each in enumerate(slots)]


@given(st.lists(SLOTS))
def test_who_changes_something_is_there_once_and_nobody_else(slots: list[dict[str, str]]) -> None:
    found = changers(states(*slots))
    wanted = {at for at, now in enumerate(slots) if now != (slots[at - 1] if at else {})}
    assert sorted(found) == sorted(wanted)


def test_who_puts_something_back_changes_it() -> None:
    assert changers(states({}, {"a": "1"}, {"a": "1"}, {}, {})) == list(ids(1, 3))


@given(st.integers(3, 30), st.data())
def test_what_only_one_changes_comes_before_what_all_do(count: int, data: st.DataObject) -> None:
    special = data.draw(st.integers(0, count - 1))
    slots = [{"counter": str(at)} | ({"flag": "1"} if at >= special else {}) for at in range(count)]
    assert changers(states(*slots))[0] == special
