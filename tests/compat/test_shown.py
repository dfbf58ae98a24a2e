"""What a test records looks in another process as it does in its own."""

from __future__ import annotations

import collections
import decimal
import enum
import json
import pathlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_procpar.compat.pytest_reports.shown import from_shown, to_shown
from pytest_procpar.core.protocol.wire import Decoder, Encoder, loads


class Thing:
    def __str__(self) -> str:
        return "a thing"


class Colour(enum.IntEnum):
    RED = 1


class Word(str, enum.Enum):
    YES = "yes"


Point = collections.namedtuple("Point", "x y")


class Unshowable:
    def __str__(self) -> str:
        raise RuntimeError


def carried(value: object) -> Any:
    """What arrives of a value, and that nothing of it is lost on the way."""
    encoder = Encoder()
    (body,) = Decoder().feed(encoder.frame(to_shown(value)))
    assert encoder.lost == []
    return from_shown(loads(body))


@pytest.mark.parametrize(
    "value",
    [
        Thing(), [Thing(), {"a": (Thing(),)}], {Thing(): {Thing()}}, Colour.RED, Word.YES, Point(1, Thing()),
        collections.OrderedDict(a=1), collections.Counter("aab"), collections.deque([1, 2]),
        decimal.Decimal(2), pathlib.Path("a/b"), ValueError("a", 1), object, len, frozenset([Colour.RED]),
        {"a": 1}, (1, "2", None), ("procpar-shown", 1, 2, 3),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_an_object_looks_the_same_and_what_is_data_stays_data(value: object) -> None:
    arrived = carried(value)
    assert str(arrived) == str(value)
    assert repr(arrived) == repr(value)
    if isinstance(value, (int, str, Point, collections.OrderedDict)):
        assert json.dumps(arrived, default=str) == json.dumps(value, default=str)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=10,
)


@given(PLAIN)
def test_what_is_builtin_stays_what_it_is(value: object) -> None:
    assert to_shown(value) == value
    assert carried(value) == value
    assert type(carried(value)) is type(value)


def test_what_cannot_be_shown_is_told_so() -> None:
    assert str(carried(Unshowable())) == "<Unshowable whose str raised RuntimeError>"


def test_what_has_no_end_or_many_paths_has_one_here() -> None:
    loop: list[object] = []
    loop += [loop, loop]
    assert str(carried(loop)) == str(loop)
    tree: list[object] = []
    for _ in range(60):
        tree = [tree, tree]
    deep = carried({"tree": tree})["tree"]
    for _ in range(19):
        deep = deep[0]
    assert type(deep) is list
