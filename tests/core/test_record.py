"""Records behave as frozen dataclasses do, as far as the core relies on it."""

from __future__ import annotations

import pytest

from pytest_procpar.core.record import fields, record


@record
class Point:
    """A point, and how it is drawn."""

    x: int
    y: int
    colour: str = "black"

    @property
    def flat(self) -> bool:
        return self.y == 0


@record
class Place:
    x: int
    y: int
    colour: str = "black"


@record
class Nothing:
    pass


def test_a_record_is_made_by_position_and_by_name_with_defaults() -> None:
    assert Point(1, y=2) == Point(1, 2, "black")
    assert Point(1, 0, colour="red").colour == "red"
    assert Point(1, 0).flat
    with pytest.raises(TypeError):
        Point(1)  # type: ignore[call-arg]


def test_records_are_equal_only_within_their_class() -> None:
    others: list[object] = [Point(1, 3), Place(1, 2), (1, 2, "black"), None]
    for other in others:
        assert Point(1, 2) != other
    assert Nothing() == Nothing()


def test_equal_records_have_equal_hashes() -> None:
    assert len({Point(1, 2), Point(1, 2), Point(1, 3), Place(1, 2), Nothing(), Nothing()}) == 4


def test_a_record_is_matched_by_position() -> None:
    match Point(1, 2):
        case Point(x, y):
            assert (x, y) == (1, 2)
    assert fields(Point) == ("x", "y", "colour")


def test_a_record_takes_no_other_attributes() -> None:
    with pytest.raises(AttributeError):
        Point(1, 2).z = 3  # type: ignore[attr-defined]


def test_a_record_shows_its_fields_and_keeps_its_docstring() -> None:
    assert repr(Point(1, 2)) == "Point(x=1, y=2, colour='black')"
    assert Point.__doc__ == "A point, and how it is drawn."
    assert (Point.__module__, Point.__qualname__) == (__name__, "Point")
