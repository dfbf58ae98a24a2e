from __future__ import annotations

import enum
import pickle
import re
import struct
import tracemalloc
import zlib
from collections import OrderedDict, namedtuple
from typing import Any
from unittest.mock import NonCallableMock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_procpar.core.protocol import vetting
from pytest_procpar.core.protocol.wire import Decoder, Encoder, WireError, loads

# --- values -----------------------------------------------------------------------------------------

_TEXT = st.text() | st.text(st.characters(categories=["Cs", "Ll"]))  # lone surrogates among them
_HASHABLE_LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | _TEXT | st.binary()
_HASHABLE = st.recursive(
    _HASHABLE_LEAVES,
    lambda inner: st.lists(inner, max_size=4).map(tuple) | st.frozensets(inner, max_size=4),
    max_leaves=6,
)
VALUES = st.recursive(
    _HASHABLE | st.binary().map(bytearray),
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.lists(inner, max_size=5).map(tuple),
        st.dictionaries(_HASHABLE, inner, max_size=5),
        st.sets(_HASHABLE, max_size=5),
    ),
    max_leaves=15,
)


def shape(value: Any) -> str:
    """A text that is the same for values that are the same, with the same types all the way down."""
    name = type(value).__name__
    if isinstance(value, dict):
        return f"{name}({', '.join(f'{shape(k)}: {shape(v)}' for k, v in value.items())})"
    if isinstance(value, set | frozenset):
        return f"{name}({', '.join(sorted(map(shape, value)))})"
    if isinstance(value, list | tuple):
        return f"{name}({', '.join(map(shape, value))})"
    return f"{name}({value!r})"


def same(a: object, b: object) -> bool:
    return shape(a) == shape(b)


def carried(value: object, encoder: Encoder | None = None) -> Any:
    """What arrives."""
    (body,) = Decoder().feed((encoder or Encoder()).frame(value))
    return loads(body)


@given(VALUES)
@settings(deadline=None)
def test_builtin_values_arrive_with_their_exact_types(value: object) -> None:
    encoder = Encoder()
    assert same(carried(value, encoder), value)
    assert not encoder.lost


def test_shared_and_cyclic_builtins_arrive_as_they_are() -> None:
    ring: list[object] = [1]
    ring.append(ring)
    arrived = carried(ring)
    assert arrived[1] is arrived


class Color(enum.Enum):
    RED = "red"


class Size(enum.IntEnum):
    BIG = 7


class Word(str):
    def __str__(self) -> str:
        return "something else"


class Odd(int):
    def __int__(self) -> int:
        return 0


class Ratio(float):
    pass


class Blob(bytes):
    def __getitem__(self, at: Any) -> Any:
        raise AssertionError


class Buffer(bytearray):
    pass


Point = namedtuple("Point", "x y")


class Liar(list):  # type: ignore[type-arg]
    def __iter__(self) -> Any:
        raise AssertionError


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Size.BIG, 7),
        (Odd(3), 3),
        (Ratio(0.5), 0.5),
        (Word("w"), "w"),
        (Blob(b"b"), b"b"),
        (Buffer(b"b"), bytearray(b"b")),
        (Point(1, 2), (1, 2)),
        (Liar([1, Liar()]), [1, []]),
        (OrderedDict(a=OrderedDict()), {"a": {}}),
        ({Word("k"): {Size.BIG}, (Size.BIG,): frozenset({Odd(1)})}, {"k": {7}, (7,): frozenset({1})}),
    ],
    ids=repr,
)
def test_subclasses_of_builtins_arrive_plain_and_count_as_carried(value: object, plain: object) -> None:
    encoder = Encoder()
    assert same(carried(value, encoder), plain)
    assert not encoder.lost


@pytest.mark.parametrize("value", [object(), Color.RED, len, int, 1j, ..., range(3), Encoder], ids=repr)
def test_other_values_arrive_as_their_repr_and_are_noted_as_lost(value: object) -> None:
    encoder = Encoder()
    assert carried({"a": [1, value], 2: (3,)}, encoder) == {"a": [1, repr(value)], 2: (3,)}
    assert len(encoder.lost) == 1
    assert type(value).__qualname__ in encoder.lost[0]


def test_a_lost_value_says_its_module() -> None:
    encoder = Encoder()
    encoder.frame(Color.RED)
    assert encoder.lost == [f"a value of type {__name__}.Color"]


def test_an_encoder_goes_on_after_a_value_was_lost() -> None:
    encoder = Encoder()
    encoder.frame([b"x" * 100_000, object()])
    encoder.lost.clear()
    assert carried((1, "a"), encoder) == (1, "a")
    assert not encoder.lost


class Unprintable:
    def __repr__(self) -> str:
        raise ZeroDivisionError


class Skipping:
    def __repr__(self) -> str:
        pytest.skip("in a repr")


class PrintsWord:
    def __repr__(self) -> str:
        return Word("text")


class _Nameless(type):
    def __getattribute__(cls, name: str) -> Any:
        raise RuntimeError(name)


class Nameless(metaclass=_Nameless):
    def __repr__(self) -> str:
        return "nameless"


def test_a_repr_that_raises_is_named_in_its_place() -> None:
    assert carried([Unprintable()]) == [f"<{__name__}.Unprintable whose repr raised ZeroDivisionError>"]
    assert "Skipped" in carried(Skipping())


def test_a_repr_that_is_no_plain_str_is_made_one() -> None:
    assert same(carried([PrintsWord()]), ["text"])


def test_a_type_that_hides_its_name_is_carried_like_any() -> None:
    assert carried([Nameless()]) == ["nameless"]


def test_a_mock_that_passes_for_a_builtin_arrives_as_its_repr() -> None:
    posing = NonCallableMock(spec=int)
    assert isinstance(posing, int)
    assert carried([posing]) == [repr(posing)]


def test_an_unhashable_stand_in_goes_as_its_repr() -> None:
    class Hashed(list):  # type: ignore[type-arg]
        def __hash__(self) -> int:  # type: ignore[override]
            return 1

    assert carried({Hashed([1]), 2}) == {"[1]", 2}
    assert carried({Hashed([1]): 2}) == {"[1]": 2}


def nested(depth: int, leaf: object) -> object:
    for _ in range(depth):
        leaf = [leaf]
    return leaf


@pytest.mark.parametrize("leaf", [0, object()])
@pytest.mark.parametrize("depth", [99, 101, 100_000])
def test_a_value_of_any_depth_makes_a_frame(depth: int, leaf: object) -> None:
    value = carried(nested(depth, leaf))
    for _ in range(99):
        (value,) = value


def test_a_cycle_around_a_foreign_value_is_cut() -> None:
    ring: list[object] = [object()]
    ring.append(ring)
    arrived = carried(ring)
    assert arrived == [repr(ring[0]), repr(ring)]


def test_links_from_children_to_parents_cost_no_time() -> None:
    root: dict[str, Any] = {"parent": None, "foreign": object(), "children": []}
    root["children"] = [{"parent": root, "children": [{"root": root}] * 9} for _ in range(9)]
    assert len(carried(root)["children"]) == 9


def test_a_shared_foreign_value_costs_no_time_however_often_it_is_reached() -> None:
    value: object = object()
    for _ in range(90):
        value = [value, value]
    carried(value)


# --- what is too long -------------------------------------------------------------------------------

PLENTY, MOST = 6400, 20_000


def report(**values: object) -> list[object]:
    """A batch with one message, as a report travels: what tests have made is in a dict."""
    return [(2, 7, {"nodeid": "test_it.py::test", **values})]


def test_texts_that_are_too_long_are_left_their_beginning_and_their_end() -> None:
    encoder = Encoder(PLENTY, MOST)
    text = "first" + "\N{SNOWMAN}" * 100_000 + "last"
    sent = report(sections=[("Captured stdout call", text), ("Captured stderr call", "short")], longrepr=text)
    ((_, _, data),) = carried(sent, encoder)
    (_, cut_text), short = data["sections"]
    assert short == ("Captured stderr call", "short")
    assert cut_text == data["longrepr"]
    assert cut_text.startswith("first\N{SNOWMAN}")
    assert cut_text.endswith("\N{SNOWMAN}last")
    assert re.search(r"\n\[pytest-procpar: \d+ of 100009 characters are left out here\]\n", cut_text)
    assert not encoder.lost


def test_nothing_is_cut_of_texts_that_are_long_only_together() -> None:
    encoder = Encoder(PLENTY, MOST)
    sections = [("out", "x" * PLENTY), ("err", "y" * PLENTY)]
    sent = report(sections=sections, user_properties=[("a", b"z" * PLENTY)])
    assert same(carried(sent, encoder), sent)
    assert not encoder.lost


def test_text_of_the_length_that_may_be_is_carried_whole() -> None:
    text = "x" * PLENTY
    assert carried(report(longrepr=text), Encoder(PLENTY, MOST)) == report(longrepr=text)
    assert shortest(text + "x").startswith("x" * (PLENTY // 2) + "\n[pytest-procpar: 1 of 6401 characters")


def shortest(text: str) -> str:
    ((_, _, data),) = carried(report(longrepr=text), Encoder(PLENTY, MOST))
    assert isinstance(data["longrepr"], str)
    return data["longrepr"]


@pytest.mark.parametrize(
    ("value", "note"),
    [
        (b"x" * 2 * MOST, "a value of type bytes and length 40000"),
        (bytearray(2 * MOST), "a value of type bytearray and length 40000"),
        (list(range(2 * MOST)), "a value of type list and length 40000"),
        ({str(i): i for i in range(MOST)}, "a value of type dict and length 20000"),
    ],
    ids=["bytes", "bytearray", "list", "dict"],
)
def test_what_cannot_be_cut_is_replaced_and_lost(value: object, note: str) -> None:
    encoder = Encoder(PLENTY, MOST)
    ((_, _, data),) = carried(report(user_properties=[("mine", value), ("other", 1)]), encoder)
    kind = type(value).__name__
    assert data["user_properties"][0][1].startswith(f"<{kind} of length ")
    assert data["user_properties"][1] == ("other", 1)
    assert data["nodeid"] == "test_it.py::test"
    assert encoder.lost == [note]


def test_many_long_texts_are_cut_further_until_they_can_be_carried() -> None:
    encoder = Encoder(PLENTY, MOST)
    sent = report(sections=[(f"section {i}", "x" * PLENTY) for i in range(40)])
    ((_, _, data),) = carried(sent, encoder)
    assert [name for name, _ in data["sections"]] == [f"section {i}" for i in range(40)]
    assert all("characters are left out here" in text for _, text in data["sections"])


def test_long_text_beside_a_value_that_is_lost_anyway_is_cut() -> None:
    encoder = Encoder(PLENTY, MOST)
    ((_, _, data),) = carried(report(longrepr="x" * 3 * MOST, mine=Color.RED), encoder)
    assert "characters are left out here" in data["longrepr"]
    assert data["mine"] == repr(Color.RED)
    assert encoder.lost == [f"a value of type {__name__}.Color ('mine')"]


def test_nodeids_are_never_cut() -> None:
    ids = [f"test_it.py::test[{i}]" for i in range(MOST)]
    encoder = Encoder(PLENTY, MOST)
    with pytest.raises(WireError, match="a message of more than 20000 bytes cannot be carried"):
        encoder.frame([(3, ids)])
    assert carried(report(), encoder) == report()


def test_values_of_any_kind_fit_or_are_refused() -> None:
    @given(VALUES)
    @settings(deadline=None)
    def check(value: object) -> None:
        try:
            frame = Encoder(plenty=64, most=512).frame(value)
        except WireError:
            return
        (body,) = Decoder().feed(frame)
        assert len(body) <= 512
        loads(body)

    check()


# --- streams ----------------------------------------------------------------------------------------

FRAMES = st.lists(VALUES, max_size=4).map(lambda values: [Encoder().frame(value) for value in values])


def bodies(stream: bytes, decoder: Decoder | None = None) -> tuple[list[bytes], str | None]:
    """What a decoder makes of a stream: the bodies, and the error that ended it."""
    out: list[bytes] = []
    try:
        for body in (decoder or Decoder()).feed(stream):
            out.append(body)  # noqa: PERF402 - what came before the error counts
    except WireError as error:
        return out, str(error)
    return out, None


@given(FRAMES)
@settings(deadline=None)
def test_frames_fed_whole_or_byte_by_byte_give_the_same_bodies(frames: list[bytes]) -> None:
    stream = b"".join(frames)
    whole = Decoder()
    expected, error = bodies(stream, whole)
    assert error is None
    assert len(expected) == len(frames)
    bytewise = Decoder()
    assert [body for i in range(len(stream)) for body in bytewise.feed(stream[i : i + 1])] == expected
    assert not whole.inside_frame
    assert not bytewise.inside_frame


@given(FRAMES, st.binary(min_size=10))
@settings(deadline=None)
def test_junk_after_frames_breaks_the_stream_behind_them(frames: list[bytes], junk: bytes) -> None:
    decoder = Decoder()
    out, error = bodies(b"".join(frames) + b"junk" + junk, decoder)
    assert len(out) == len(frames)
    assert error is not None
    with pytest.raises(WireError):
        list(decoder.feed(Encoder().frame(1)))


@given(VALUES, st.data())
@settings(deadline=None)
def test_a_flipped_bit_breaks_the_stream_before_the_next_frame(value: object, data: st.DataObject) -> None:
    frame = bytearray(Encoder().frame(value))
    header = st.integers(0, 79)
    bit = data.draw(header | st.integers(0, 8 * len(frame) - 1))
    frame[bit // 8] ^= 1 << bit % 8
    out, error = bodies(bytes(frame) + Encoder().frame(2))
    assert out == []
    assert error is not None


@given(VALUES, st.data())
@settings(deadline=None)
def test_a_torn_frame_gives_nothing_and_shows(value: object, data: st.DataObject) -> None:
    frame = Encoder().frame(value)
    torn = frame[: data.draw(st.integers(1, len(frame) - 1))]
    decoder = Decoder()
    assert bodies(torn, decoder) == ([], None)
    assert decoder.inside_frame
    assert len(bodies(frame[len(torn) :], decoder)[0]) == 1
    assert not decoder.inside_frame


def test_a_decoder_is_dead_after_an_error() -> None:
    decoder = Decoder()
    _, first = bodies(b"this is no frame", decoder)
    assert bodies(b"", decoder) == ([], first)
    assert bodies(Encoder().frame(1), decoder) == ([], first)


def test_a_consumer_that_stops_early_gets_the_rest_later() -> None:
    decoder = Decoder()
    for body in decoder.feed(Encoder().frame(1) + Encoder().frame(2)):
        assert loads(body) == 1
        break
    assert [loads(body) for body in decoder.feed(b"")] == [2]


def test_a_length_beyond_all_reason_is_refused_at_once() -> None:
    length = (1 << 30) + 1
    mark = struct.unpack_from("<H", Encoder().frame(None))[0]
    own = len(Encoder().frame(None)) - 10
    mark ^= own ^ (length & 0xFFFF) ^ (length >> 16)
    assert bodies(struct.pack("<HII", mark, length, 0))[1] is not None


# --- bodies -----------------------------------------------------------------------------------------


class Called(Exception):
    """Something was called that must not be."""


def explode() -> None:
    raise Called


class Bomb:
    def __reduce__(self) -> Any:
        return explode, ()


@pytest.mark.parametrize(
    "value", [Bomb(), Color.RED, OrderedDict(), explode, Bomb], ids=lambda v: type(v).__name__
)
@pytest.mark.parametrize("protocol", range(6))
def test_a_body_that_asks_for_a_global_is_refused(value: object, protocol: int) -> None:
    with pytest.raises(WireError, match="asks for"):
        loads(pickle.dumps(value, protocol))


def test_a_valid_frame_does_not_make_its_body_trusted() -> None:
    body = pickle.dumps(Bomb())
    head = Encoder().frame(None)
    mark = struct.unpack_from("<H", head)[0] ^ (len(head) - 10) ^ len(body)
    (same_body,) = Decoder().feed(struct.pack("<HII", mark, len(body), zlib.crc32(body)) + body)
    with pytest.raises(WireError, match="asks for"):
        loads(same_body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"N",  # no STOP
        b".",  # nothing to stop with
        b"garbage",
        b"Ppersistent\n.",
        b"\x80\x05N\x88R.",  # call True
        b"\x80\x05]]s.",  # a list that is asked to take an item as a dict does
        b"\x80\x05}]Ns.",  # a list as a key
        b"\x80\x05\x97.",  # a buffer out of band
        b"\x82\x01.",  # an extension
    ],
    ids=repr,
)
def test_a_body_that_is_not_one_of_ours_is_refused(body: bytes) -> None:
    with pytest.raises(WireError):
        loads(body)


def deep_key(depth: int) -> bytes:
    """A set of one tuple, nested that deep."""
    return b"\x80\x05\x8f(" + b")" + b"\x85" * depth + b"\x90."


def wide_key(doublings: int) -> bytes:
    """A set of one tuple of twice the same tuple of twice the same tuple..."""
    twice = b"".join(b"\x94h%c\x86" % number for number in range(doublings))
    return b"\x80\x05\x8f(" + b")" + twice + b"\x90."


def many_times(levels: int, parts: int) -> bytes:
    """A value that is a tuple of so many times a tuple of so many times a tuple..., in few operations."""
    around = b"".join(b"(" + b"h%c" % level * parts + b"t\x94" for level in range(levels))
    return b"\x80\x05)\x94" + around


def texts(length: int, count: int) -> bytes:
    """Texts of that length on the stack, which hold what would be operations elsewhere."""
    return (b"\x8c" + bytes([length]) + b"rpt\x96s\x90"[: length % 6] + b"u" * (length - length % 6)) * count


@pytest.mark.parametrize(
    "body",
    [
        b"\x80\x05Nr\xff\xff\xff\x7f.",  # a memo of 2**31 slots
        b"\x80\x05Np999999999999\n.",
        b"\x80\x05N20r\xff\xff\xff\x7f.",
        b"\x80\x05\x8f()2\x852\x86" + b"2\x86" * 60 + b"\x90.",
        deep_key(50_000),
        wide_key(60),
        b"\x80\x05}" + wide_key(60)[4:-2] + b"Ns.",
        many_times(6, 60) + b"}h\x06Ns.",
        many_times(6, 60) + b"}(h\x06Nu.",
        many_times(6, 60) + b"\x8f(h\x06\x90.",
        many_times(6, 60) + b"(h\x06\x91.",
        many_times(2, 200) + b"}(" + b"h\x02N" * 10_000 + b"u.",  # large only together
        *(b"\x80\x05" + texts(length, 1000) + b"Nr\xff\xff\xff\x7f." for length in (0, 5, 31, 32, 255)),
        b"\x80\x05\x96" + (1 << 60).to_bytes(8, "little") + b".",  # more bytes than there are
        b"\x80\x05\x96" + (1 << 31).to_bytes(8, "little") + b".",
        b"\x80\x05\x8e" + (1 << 40).to_bytes(8, "little") + b".",
        b"\x80\x05\x8b" + (1 << 30).to_bytes(4, "little") + b".",
    ],
    ids=lambda body: repr(body[:12]),
)
def test_a_short_body_costs_little(body: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(WireError):
            loads(body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000 + 600 * len(body)


def test_keys_that_are_large_but_in_proportion_are_carried() -> None:
    value = {(i, (i, (str(i), frozenset({(i, "rpq")})))): {(i,) * 20} for i in range(500)}
    assert carried(value) == value
    arrays = [bytearray(b"\x96" * i * 100) for i in range(50)]
    assert carried(arrays) == arrays


_PICKLED = st.sampled_from(
    [bytes([op]) for op in b"NK(t)]}\x85\x86\x87\x8f\x90\x91\x94hsuae.rpq02\x8c\x96\x8e"]
)


_BODIES = st.binary() | st.lists(_PICKLED | st.binary(max_size=3), max_size=60).map(
    lambda p: b"\x80\x05" + b"".join(p)
)


@given(_BODIES)
@settings(deadline=None)
def test_loading_any_bytes_gives_a_value_or_a_wire_error(body: bytes) -> None:
    try:
        loads(body)
    except WireError:
        pass


@given(_BODIES)
@settings(deadline=None)
def test_bodies_are_walked_through_alike_with_patterns_and_without(body: bytes) -> None:
    assert vetting._walked(body, None) == vetting._walked(body, vetting._patterns())
