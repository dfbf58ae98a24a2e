"""A test that fails by files that tests have left is told from one that just fails."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_procpar.core.inquiry.findings import Finding, Kind, Tally
from pytest_procpar.core.inquiry.left_files import (
    FileAttempt,
    FileUse,
    Left,
    by_nodeid,
    candidates,
    find_left,
    told,
)
from pytest_procpar.core.inquiry.probes import Outcome
from pytest_procpar.core.model import TestIndex
from tests.core.pollution import Indices, ids

TEST, OTHER, WRITER = ids(0, 1, 2)
FILES = ("/a", "/b", "/c")
USES = [FileUse(file, test, writes=True) for file in FILES for test in (TEST, OTHER, WRITER)]

_World = Callable[[Indices, frozenset[str]], "Outcome | None"]


def answered(world: _World, files: tuple[str, ...] = FILES, uses: list[FileUse] = USES) -> Left | None:
    """What comes of a search; `world` says how the test ends after others, while these files are there."""
    search = find_left(TEST, files, uses)
    try:
        attempt: FileAttempt = next(search)
        for _ in range(20):
            attempt = search.send(world(attempt.tests[:-1], frozenset(files).difference(attempt.without)))
    except StopIteration as stop:
        left: Left | None = stop.value
        return left
    raise AssertionError("it tries without end")


def fails_by(guilty: set[str], leaves: TestIndex | None = None) -> _World:
    def world(before: Indices, there: frozenset[str]) -> Outcome:
        return Outcome.FAILED if guilty & there or leaves in before else Outcome.PASSED

    return world


@given(st.sets(st.sampled_from(FILES), min_size=1), st.sampled_from([None, OTHER, WRITER]))
def test_what_is_blamed_is_enough_and_who_leaves_it_was_tried(
    guilty: set[str], leaves: TestIndex | None
) -> None:
    left = answered(fails_by(guilty, leaves))
    assert left is not None
    assert guilty <= set(left.files)
    assert len(left.files) == 1 or len(guilty) > 1
    assert left.by == leaves


@given(
    st.lists(
        st.sampled_from(
            [Outcome.PASSED, Outcome.FAILED, Outcome.CRASHED, Outcome.SKIPPED, Outcome.LOST, None]
        )
    )
)
def test_nothing_is_blamed_but_on_two_passes_without_and_a_failure_with_it(
    words: list[Outcome | None],
) -> None:
    numbers = count()
    seen: list[tuple[bool, Outcome | None]] = []

    def world(before: Indices, there: frozenset[str]) -> Outcome | None:
        at = next(numbers)
        word = words[at] if at < len(words) else Outcome.FAILED
        if not before:
            seen.append((not there, word))
        return word

    left = answered(world, FILES[:1])
    proven = [(True, Outcome.PASSED), (False, Outcome.FAILED), (True, Outcome.PASSED)]
    crashed = [(True, Outcome.PASSED), (False, Outcome.CRASHED), (True, Outcome.PASSED)]
    assert (left is not None) == (seen in (proven, crashed))


def test_what_fails_without_them_costs_one_try() -> None:
    search = find_left(TEST, FILES, USES)
    assert next(search) == FileAttempt((TEST,), FILES)
    with pytest.raises(StopIteration) as end:
        search.send(Outcome.FAILED)
    assert end.value.value is None


@pytest.mark.parametrize("kind", list(Kind))
def test_only_what_just_fails_is_tried(kind: Kind) -> None:
    wanted = FILES if kind in (Kind.PLAIN, Kind.FAILS_ALONE) else ()
    assert candidates(Finding(TEST, kind), USES) == wanted


def _flaky(*failures: tuple[int, int]) -> Finding:
    return Finding(TEST, Kind.FLAKY, tallies=tuple(Tally("alone", bad, total) for bad, total in failures))


@pytest.mark.parametrize(
    ("finding", "uses", "files"),
    [
        (_flaky((2, 2), (1, 1)), USES, FILES),
        (_flaky((2, 2)), [FileUse("/a", OTHER, writes=True), FileUse("/b", OTHER, writes=False)], ("/a",)),
        (_flaky((2, 2)), [FileUse("/a", OTHER, writes=True), FileUse("/b", TEST, writes=True)], ("/b",)),
        (_flaky((2, 2), (0, 1)), USES, ()),
        (_flaky((0, 3)), USES, ()),
        (_flaky(), USES, ()),
    ],
)
def test_what_has_passed_the_run_and_fails_since_may_do_so_by_any_file(
    finding: Finding, uses: list[FileUse], files: tuple[str, ...]
) -> None:
    assert candidates(finding, uses) == files


@pytest.mark.parametrize(
    ("uses", "files"),
    [
        ([FileUse("/a", TEST, writes=False)], ()),
        ([FileUse("/a", OTHER, writes=True)], ()),
        ([FileUse("/a", TEST, writes=True)], ("/a",)),
        ([FileUse("/a", TEST, writes=False), FileUse("/a", OTHER, writes=True)], ("/a",)),
    ],
    ids=["nobody writes it", "it does not use it", "it writes it itself", "another writes it"],
)
def test_candidates_are_files_that_it_uses_and_tests_write(
    uses: list[FileUse], files: tuple[str, ...]
) -> None:
    assert candidates(Finding(TEST, Kind.PLAIN), uses) == files


def test_what_is_told_has_the_file_and_who_leaves_it() -> None:
    old = Finding(TEST, Kind.FAILS_ALONE, message="assert 1 == 0", note="not tried after 3 tests before it")
    new = told(old, Left(("/a",), WRITER))
    assert (new.test, new.kind, new.cause, new.files) == (TEST, Kind.FILE_DEPENDENT, (WRITER,), ("/a",))
    assert (new.message, new.note) == ("assert 1 == 0", "")


def test_a_nodeid_of_several_tests_is_of_none() -> None:
    assert by_nodeid(["t::a", "t::b", "t::a"]) == {"t::b": TestIndex(1)}
