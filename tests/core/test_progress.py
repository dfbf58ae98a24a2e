"""The line that shows what a re-check is doing."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_procpar.core.inquiry.probes import Probe
from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.printable import printable_line
from pytest_procpar.core.recheck.progress import ProgressStep, columns, progress_line, subject

STEP = ProgressStep("test_it.py::test", settled=1, total=3, until=18.2)


def probe(*tests: int, beside: tuple[int, ...] = ()) -> Probe:
    return Probe(tuple(map(TestIndex, tests)), beside=(tuple(map(TestIndex, beside)),) if beside else ())


def test_the_line_tells_how_far_it_is_how_long_it_may_take_and_of_which_test() -> None:
    assert progress_line(STEP, 10.0, 80) == "1 of 3 settled, at most 9 s left: test_it.py::test"


def test_what_is_not_known_is_left_out() -> None:
    assert progress_line(ProgressStep("tests", settled=0, total=2), 10.0, 80) == "0 of 2 settled: tests"
    assert progress_line(ProgressStep("tests", until=11.0), 10.0, 80) == "at most 1 s left: tests"
    assert progress_line(ProgressStep("tests"), 10.0, 80) == "tests"


def test_when_the_time_is_over_no_less_than_nothing_is_left() -> None:
    assert progress_line(STEP, 30.0, 80).startswith("1 of 3 settled, at most 0 s left: ")


def test_of_a_name_that_is_too_long_the_end_stays() -> None:
    assert progress_line(STEP, 10.0, 43) == "1 of 3 settled, at most 9 s left: ...::test"


@given(
    st.text(),
    st.integers(0, 99),
    st.integers(0, 99),
    st.floats(0, 1e6) | st.just(math.inf),
    st.integers(0, 99),
)
def test_it_is_one_line_that_fits(what: str, settled: int, total: int, until: float, width: int) -> None:
    line = progress_line(ProgressStep(what, settled, total, until), 10.0, width)
    assert columns(line) <= width
    assert len(line.splitlines()) <= 1
    assert printable_line(line) == line


def test_wide_characters_take_two_columns_and_combining_ones_none() -> None:
    assert columns("a\u4e2d\u0301") == 3


@pytest.mark.parametrize(
    ("probes", "words"),
    [
        ([probe(7)], "t7 alone"),
        ([probe(1, 7)], "t7 after 1 test"),
        ([probe(7), probe(1, 2, 7)], "t7 after 2 tests"),
        ([probe(7), probe(8)], "2 tests alone"),
        ([probe(7), probe(1, 8)], "2 tests"),
        ([probe(7, beside=(1,))], "t7 beside others"),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
def test_probes_are_told_by_the_test_that_they_are_about(probes: list[Probe], words: str) -> None:
    assert subject(probes, lambda test: f"t{test}") == words
