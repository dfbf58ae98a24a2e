from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_procpar.core.inquiry.ddmin import find_blame

ENOUGH = 10_000


class Judge:
    """Answers the search's questions, and keeps them."""

    def __init__(self, passes: Callable[[AbstractSet[int]], bool]) -> None:
        self.passes = passes
        self.batches: list[list[frozenset[int]]] = []

    @property
    def asked(self) -> list[frozenset[int]]:
        return [wanted for batch in self.batches for wanted in batch]

    def search(self, count: int, *, probes: int = ENOUGH, batch: int = 8) -> AbstractSet[int] | None:
        search = find_blame(count, probes=probes, batch=batch)
        answers: list[bool] | None = None
        while True:
            try:
                asked = next(search) if answers is None else search.send(answers)
            except StopIteration as end:
                result: AbstractSet[int] | None = end.value
                return result
            self.batches.append(asked)
            answers = [self.passes(wanted) for wanted in asked]


def needs(*causes: set[int]) -> Judge:
    """The test passes when all of one of these sets is put back."""
    return Judge(lambda wanted: any(cause <= wanted for cause in causes))


def test_single_cause_is_found_by_itself() -> None:
    assert needs({5}).search(9) == {5}


def test_likeliest_of_several_causes_is_found() -> None:
    assert needs({7}, {2}, {4}).search(9) == {2}


def test_nothing_is_asked_after_the_batch_that_holds_the_cause() -> None:
    judge = needs({1})
    judge.search(100, batch=4)
    assert judge.batches == [[{0}, {1}, {2}, {3}]]


def test_two_causes_that_must_both_be_put_back_are_found() -> None:
    assert needs({3, 40}).search(60) == {3, 40}


def test_when_not_even_all_suffice_nothing_else_is_tried() -> None:
    judge = Judge(lambda wanted: False)
    assert judge.search(5) is None
    assert judge.asked == [*({i} for i in range(5)), {0, 1, 2, 3, 4}]


@pytest.mark.parametrize("count", [0, 1])
def test_where_there_is_no_choice_all_together_are_not_tried_again(count: int) -> None:
    judge = Judge(lambda wanted: False)
    assert judge.search(count) is None
    assert len(judge.asked) == count


def test_cause_found_by_the_last_probe_is_proven() -> None:
    assert needs({5}).search(60, probes=6) == {5}


def test_without_probes_nothing_is_asked() -> None:
    judge = needs({0})
    assert judge.search(3, probes=0) is None
    assert judge.batches == []


def test_negative_number_of_probes_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="-1 probes"):
        next(find_blame(1, probes=-1))


def test_few_of_many_need_few_probes() -> None:
    judge = needs({10, 190})
    assert judge.search(200) == {10, 190}
    assert len(judge.asked) - 200 < 80


COUNTS = st.integers(0, 24)


@st.composite
def truths(draw: st.DrawFn) -> tuple[int, list[set[int]]]:
    """How many things there are, and the sets of them that suffice."""
    count = draw(COUNTS)
    if not count:
        return 0, []
    return count, draw(st.lists(st.sets(st.integers(0, count - 1), min_size=1, max_size=5), max_size=3))


@given(truths())
def test_found_set_suffices_and_no_member_can_be_left_out(truth: tuple[int, list[set[int]]]) -> None:
    count, causes = truth
    judge = needs(*causes)
    found = judge.search(count)
    assert (found is None) == (not causes)
    if found is not None:
        assert judge.passes(found)
        assert not any(judge.passes(found - {member}) for member in found)


@given(truths())
def test_single_cause_wins_over_joint_ones(truth: tuple[int, list[set[int]]]) -> None:
    count, causes = truth
    singles = [cause for cause in causes if len(cause) == 1]
    found = needs(*causes).search(count)
    if singles:
        assert found == min(singles, key=min)


@given(truths(), st.integers(0, 60), st.integers(1, 9))
def test_probes_are_bounded_and_what_is_returned_is_proven(
    truth: tuple[int, list[set[int]]], probes: int, batch: int
) -> None:
    count, causes = truth
    judge = needs(*causes)
    found = judge.search(count, probes=probes, batch=batch)
    assert len(judge.asked) <= probes
    if found is not None:
        assert found in judge.asked
        assert not any(judge.passes(found - {member}) for member in found)


@given(truths())
def test_nothing_is_asked_twice_and_no_batch_is_empty(truth: tuple[int, list[set[int]]]) -> None:
    count, causes = truth
    judge = needs(*causes)
    judge.search(count)
    assert len(judge.asked) == len(set(judge.asked))
    assert all(judge.batches)


@given(COUNTS, st.sets(st.sets(st.integers(0, 23), min_size=1).map(frozenset)), st.data())
def test_search_ends_with_something_proven_even_where_putting_back_more_may_break_it(
    count: int, good: set[frozenset[int]], data: st.DataObject
) -> None:
    judge = Judge(lambda wanted: wanted in good or len(wanted) == count)
    found = judge.search(count)
    assert found is None or (found in judge.asked and judge.passes(found))
