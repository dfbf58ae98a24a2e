"""A value that was made is recognised in a text, whole or in part; other texts are not taken for it."""

from __future__ import annotations

import base64
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_procpar.core.evidence.made_values import (
    bytes_value,
    drawn_value,
    number_value,
    text_value,
    uuid_value,
)

#: What stands before and after a value in a name.
around = st.text(st.sampled_from("gz_-./: "), max_size=5)
uuids = st.uuids(version=4)


@given(uuids, around, around)
@pytest.mark.parametrize(
    "form",
    [
        str,
        lambda made: made.hex,
        lambda made: made.hex.upper(),
        lambda made: made.urn,
        lambda made: str(made.int),
        lambda made: made.hex[:8],
        lambda made: str(made)[:8],
        lambda made: str(made)[:13],
        lambda made: made.hex[-12:],
        lambda made: made.hex[:6] + "!",
        lambda made: f"_{made.hex[-5:]}",
        lambda made: f"-{made.hex[:4]}-",
    ],
)
def test_a_uuid_is_recognised(form: object, made: uuid.UUID, before: str, after: str) -> None:
    assert callable(form)
    text = f"{before}{form(made)}"
    end = "" if len(form(made)) < 8 else after
    assert uuid_value(made.hex).is_in(text + end)


@given(uuids, uuids)
def test_another_uuid_is_not(made: uuid.UUID, other: uuid.UUID) -> None:
    shares_a_part = made.hex[:4] in str(other) or made.hex[-4:] in str(other)
    assert shares_a_part or not uuid_value(made.hex).is_in(str(other))


@given(st.uuids(version=1))
def test_the_end_of_a_uuid_that_tells_the_machine_is_not_it(made: uuid.UUID) -> None:
    value = uuid_value(made.hex, is_random=False)
    assert value.is_in(str(made))
    assert value.is_in(made.hex[:8])
    assert made.hex[-12:].startswith(made.hex[:4]) or not value.is_in(made.hex[-12:])


@given(st.binary(min_size=2, max_size=64), around)
def test_bytes_are_recognised_in_the_usual_alphabets(made: bytes, before: str) -> None:
    value = bytes_value(made)
    if len(made) >= 6:
        assert value.is_in(f"{before}{made.hex()}")
        assert value.is_in(f"{before}{base64.urlsafe_b64encode(made).decode().rstrip('=')}")
    assert value.is_in(f"{before}-{made.hex()}")


@given(st.binary(min_size=65, max_size=99))
def test_many_bytes_are_data(made: bytes) -> None:
    assert not bytes_value(made).is_in(made.hex())


@given(st.integers(min_value=100, max_value=10**12), around, around)
def test_a_number_is_recognised(number: int, before: str, after: str) -> None:
    value = number_value(number)
    assert value.is_in(f"{before}{number}{after}")
    assert value.is_wholly_in(f"{before}{number}{after}")
    assert value.number == number


@given(st.integers(min_value=100, max_value=10**12), st.integers(min_value=0, max_value=10**6))
def test_a_number_in_a_longer_one_is_not(number: int, digits: int) -> None:
    assert not number_value(number).is_wholly_in(f"x{digits}{number}")
    assert not number_value(number).is_wholly_in(f"x{number}{digits}")


@pytest.mark.parametrize("number", [-5, 0, 7, 99])
def test_a_small_number_stands_anywhere_by_accident(number: int) -> None:
    assert not number_value(number).is_in(f"item {number}")
    assert number_value(number, least=7).is_in(f"item {number}") is (number >= 7)


@given(
    st.text(st.characters(categories=["Lu", "Ll", "Nd"], max_codepoint=127), min_size=8, max_size=64),
    around,
    around,
)
def test_drawn_characters_are_recognised(made: str, before: str, after: str) -> None:
    assert text_value(made).is_in(f"{before}{made}{after}")
    assert drawn_value(list(made)).is_in(f"{before}{made}{after}")


@given(st.text(st.sampled_from("abcdefgh12345"), min_size=4, max_size=7))
def test_few_characters_are_recognised_as_a_word(made: str) -> None:
    assert text_value(made).is_in(f"db_{made}")
    assert text_value(made).is_in(made.upper())
    assert not text_value(made).is_in(f"{made}zzz")


@given(st.lists(st.text(st.sampled_from("abcdefgh12345"), min_size=6, max_size=9), min_size=2, max_size=20))
def test_several_names_of_one_loop_are_recognised(made: list[str]) -> None:
    together = text_value("".join(made))
    assert all(together.is_in(f"db_{name}") for name in made)


@pytest.mark.parametrize(
    "drawn", [True, None, "green", ["green", "red"], [1, 2, 3, 4], (), "x", ["x", "y"], -4]
)
def test_words_from_a_list_and_what_is_short_are_data(drawn: object) -> None:
    assert not drawn_value(drawn).is_in("green red 1234 True xy x -4")


@given(st.floats(min_value=0.001, max_value=0.999))
def test_a_random_fraction_is_recognised_by_its_digits(made: float) -> None:
    digits = repr(made)[2:]
    assert drawn_value(made).is_in(f"db_{digits}") or len(digits) < 4
