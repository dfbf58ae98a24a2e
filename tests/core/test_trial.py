"""Which failures are blamed on the fork: those that nothing but the fork explains."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_procpar.core.fork_trial.trial import (
    RISK,
    Group,
    Tried,
    Try,
    Verdict,
    by_chance,
    order_of_tries,
    tries,
    try_group,
)
from pytest_procpar.core.inquiry.probes import Outcome
from pytest_procpar.core.model import TestIndex

T = TestIndex(0)
U = TestIndex(1)

#: How a test ends in the n'th try, which is forked or not.
Behaviour = Callable[[int, bool], Outcome]

bad = st.sampled_from([Outcome.FAILED, Outcome.CRASHED, Outcome.HUNG])
good = st.sampled_from([Outcome.PASSED, Outcome.SKIPPED])
some_words = st.sampled_from([Outcome.PASSED, Outcome.SKIPPED, Outcome.FAILED, Outcome.CRASHED, Outcome.HUNG])


def driven(
    tests: tuple[TestIndex, ...], ends: Callable[[Try], Mapping[TestIndex, Outcome]]
) -> dict[TestIndex, Tried]:
    """What is found out about tests that end so in each try."""
    search = try_group(Group((tests,), tests))
    try:
        one = next(search)
        while True:
            one = search.send(ends(one))
    except StopIteration as stop:
        tried: dict[TestIndex, Tried] = stop.value
        return tried


def found(behaviours: Mapping[TestIndex, Behaviour]) -> tuple[dict[TestIndex, Tried], list[Try]]:
    """What is found out about tests, and what was tried."""
    made: list[Try] = []

    def ends(one: Try) -> dict[TestIndex, Outcome]:
        made.append(one)
        return {test: how(len(made) - 1, one.forked) for test, how in behaviours.items()}

    return driven(tuple(behaviours), ends), made


def verdict(how: Behaviour) -> Verdict:
    return found({T: how})[0][T].verdict


def as_drawn(*words: Outcome) -> Behaviour:
    return lambda n, forked: words[n % len(words)]


# --- how often ---------------------------------------------------------------------------------------


@given(st.floats(0, 1), st.floats(1e-9, 0.5))
def test_no_rate_of_failure_is_blamed_more_often_than_the_risk(p: float, risk: float) -> None:
    assert by_chance(p, tries(risk)) <= risk


@given(st.floats(1e-9, 0.2))
def test_no_more_is_tried_than_it_takes(risk: float) -> None:
    assert by_chance(0.5, tries(risk) - 1) > risk


def test_no_risk_at_all_cannot_be_had() -> None:
    with pytest.raises(ValueError, match="excludes chance"):
        tries(0)


@pytest.mark.parametrize("p", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_a_test_that_fails_at_random_is_blamed_as_seldom_as_said(p: float) -> None:
    draw = random.Random(f"trial-{p}")
    count = 20_000

    def flaky(n: int, forked: bool) -> Outcome:
        return Outcome.FAILED if draw.random() < p else Outcome.PASSED

    blamed = sum(verdict(flaky) is Verdict.FORK for _ in range(count))
    expected = count * by_chance(p, tries())
    assert blamed <= expected + 4 * expected**0.5 + 1


# --- in which order ----------------------------------------------------------------------------------


@given(st.integers(1, 40))
def test_there_are_as_many_tries_of_each_kind_and_the_first_is_not_forked(k: int) -> None:
    order = order_of_tries(k)
    assert [one.forked for one in order].count(True) == k
    assert len(order) == 2 * k
    assert not order[0].forked
    assert order[1].forked  # what is likeliest to end it comes first


@given(st.lists(some_words, min_size=1, max_size=tries()))
def test_no_rhythm_is_taken_for_the_fork(words: list[Outcome]) -> None:
    assert verdict(as_drawn(*words)) is not Verdict.FORK


@given(st.integers(0, 30), some_words, some_words)
def test_what_changes_once_and_for_all_is_not_the_fork(at: int, before: Outcome, after: Outcome) -> None:
    assert verdict(lambda n, forked: before if n < at else after) is not Verdict.FORK


# --- what is found -----------------------------------------------------------------------------------


@given(bad, good)
def test_the_fork_is_to_blame_for_what_fails_by_it_alone(fails: Outcome, passes: Outcome) -> None:
    (tried, made) = found({T: lambda n, forked: fails if forked else passes})
    assert tried[T] == Tried(Verdict.FORK, tries(), tries(), 0, tries())
    assert len(made) == 2 * tries()


@given(some_words, bad)
def test_what_fails_in_a_fresh_interpreter_takes_one_try(forked_word: Outcome, fails: Outcome) -> None:
    (tried, made) = found({T: lambda n, forked: forked_word if forked else fails})
    assert tried[T] == Tried(Verdict.NOT_THE_FORK, 0, 0, 1, 1)
    assert made == [Try(forked=False)]


@given(good, good)
def test_what_passes_everywhere_takes_two(forked_word: Outcome, passes: Outcome) -> None:
    (tried, made) = found({T: lambda n, forked: forked_word if forked else passes})
    assert tried[T] == Tried(Verdict.NOT_SEEN_AGAIN, 0, 1, 0, 1)
    assert len(made) == 2


@given(st.integers(0, 2 * tries() - 1), st.booleans())
def test_one_exception_is_enough(at: int, lost: bool) -> None:
    def almost(n: int, forked: bool) -> Outcome:
        if n == at:
            return Outcome.LOST if lost else (Outcome.PASSED if forked else Outcome.FAILED)
        return Outcome.FAILED if forked else Outcome.PASSED

    assert verdict(almost) in (Verdict.NOT_THE_FORK, Verdict.NOT_SEEN_AGAIN)


@given(st.integers(0, 2 * tries() - 1))
def test_what_could_not_be_tried_to_the_end_is_open(at: int) -> None:
    search = try_group(Group(((T,),), (T,)))
    one = next(search)
    for _ in range(at):
        one = search.send({T: Outcome.FAILED if one.forked else Outcome.PASSED})
    with pytest.raises(StopIteration) as stop:
        search.send(None)
    assert stop.value.value[T].verdict is Verdict.OPEN


def test_a_test_that_does_not_get_its_turn_is_open_and_the_others_go_on() -> None:
    def ends(one: Try) -> dict[TestIndex, Outcome]:
        return {T: Outcome.CRASHED} if one.forked else {T: Outcome.PASSED, U: Outcome.PASSED}

    assert {test: tried.verdict for test, tried in driven((T, U), ends).items()} == {
        T: Verdict.FORK, U: Verdict.OPEN,
    }  # fmt: skip


@given(st.dictionaries(st.integers(0, 9), st.tuples(some_words, some_words), min_size=1))
def test_tests_of_a_group_are_judged_one_by_one(ends: dict[int, tuple[Outcome, Outcome]]) -> None:
    group = {TestIndex(test): lambda n, forked, words=words: words[forked] for test, words in ends.items()}
    together, _ = found(group)
    assert together == {test: found({test: how})[0][test] for test, how in group.items()}


def test_the_risk_is_one_in_a_thousand() -> None:
    assert RISK == 0.001
    assert tries() == 5
