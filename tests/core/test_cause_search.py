"""The search finds what a test's outcome depends on, in few probes, whatever acts on it."""

from __future__ import annotations

from itertools import product
from math import ceil, log2
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_procpar.core.inquiry.cause_search import MOST, CauseSearch
from pytest_procpar.core.inquiry.probes import Outcome, Probe, ProbeResult
from pytest_procpar.core.model import TestIndex
from tests.core.pollution import (
    ENDS,
    HEALTHY,
    Bench,
    Indices,
    Model,
    Suite,
    causes,
    flags,
    ids,
    is_cause,
    run,
    shows,
)

_FLAGS = st.frozensets(st.sampled_from("abc"), max_size=2)

#: Tests of every kind that always behave the same, few enough for a search by brute force.
MODELS = st.builds(
    Model,
    sets=_FLAGS,
    clears=_FLAGS,
    once=st.just(flags()) | _FLAGS,
    victim_of=st.just(flags()) | _FLAGS,
    brittle_for=st.just(flags()) | _FLAGS,
    how=st.sampled_from([Outcome.FAILED, Outcome.FAILED, *ENDS]),
    well=st.sampled_from([Outcome.PASSED, Outcome.SKIPPED]),
)


@given(st.lists(MODELS, min_size=2, max_size=6), st.randoms(use_true_random=False))
def test_a_found_cause_acts_and_nothing_of_it_can_be_left_out(models: list[Model], draw: Random) -> None:
    suite = Suite(models)
    order = [TestIndex(i) for i in range(len(models))]
    draw.shuffle(order)  # the victim itself is in it
    for victim, bad in product(order, [True, False]):
        if shows(suite, tuple(order), victim, bad=bad) and not shows(suite, (), victim, bad=bad):
            search = CauseSearch(tuple(order), victim, bad=bad)
            assert run(search.steps(), Bench(suite))
            assert search.need in causes(suite, tuple(order), victim, bad=bad)


@pytest.mark.parametrize("bad", [True, False])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 500])
@pytest.mark.parametrize("joint", [1, 2, 3])
@settings(deadline=None)
@given(data=st.data())
def test_joint_causes_take_few_probes_and_one_pass(
    joint: int, size: int, bad: bool, data: st.DataObject
) -> None:
    joint = min(joint, size)
    order = tuple(TestIndex(i) for i in range(size))
    planted = data.draw(st.lists(st.sampled_from(order), min_size=joint, max_size=joint, unique=True))
    names = [f"flag {i}" for i in planted]
    models = [Model(sets=flags(f"flag {i}")) if i in planted else HEALTHY for i in order]
    models.append(Model(victim_of=flags(*names)) if bad else Model(brittle_for=flags(*names)))
    bench = Bench(Suite(models))
    search = CauseSearch(order, TestIndex(size), bad=bad)

    assert run(search.steps(), bench)
    assert search.need == tuple(sorted(planted))
    minimality = joint if joint > 1 else 0
    assert len(bench.probes) <= joint * (ceil(log2(size)) + 1) + minimality
    assert bench.executed <= size + len(bench.probes) * (joint + 1)


def test_a_cause_is_found_behind_a_cleaner() -> None:
    polluter, cleaner, victim = Model(sets=flags("a")), Model(clears=flags("a")), Model(victim_of=flags("a"))
    suite = Suite([polluter, cleaner, HEALTHY, polluter, HEALTHY, victim])
    search = CauseSearch(ids(0, 1, 2, 3, 4), TestIndex(5), bad=True)

    assert run(search.steps(), Bench(suite))
    assert search.need == ids(3)


def test_a_setter_that_needs_another_one_comes_with_it() -> None:
    first, second = Model(sets=flags("a")), Model(sets=flags("b"), once=flags("a"))
    suite = Suite([HEALTHY, first, HEALTHY, second, HEALTHY, Model(brittle_for=flags("b"))])
    search = CauseSearch(ids(0, 1, 2, 3, 4), TestIndex(5), bad=False)

    assert run(search.steps(), Bench(suite))
    assert search.need == ids(1, 3)


def test_what_is_left_is_minimal_even_if_one_undoes_the_other() -> None:
    # 2 alone pollutes; 1 undoes that, unless 0 has run.
    def suite_shows(order: Indices) -> bool:
        return order in (ids(0, 1, 2), ids(0, 2), ids(2))

    class Scripted(Suite):
        def outcome(self, probe: Probe, company: frozenset[int] = frozenset()) -> ProbeResult:
            word = Outcome.FAILED if suite_shows(probe.tests[:-1]) else Outcome.PASSED
            return ProbeResult((*[Outcome.PASSED] * (len(probe.tests) - 1), word))

    suite = Scripted([])
    search = CauseSearch(ids(0, 1, 2), TestIndex(3), bad=True)
    assert run(search.try_cause(ids(0, 1, 2)), Bench(suite))
    assert is_cause(suite, search.need, TestIndex(3), bad=True)


def test_a_crash_before_the_victim_shows_nothing() -> None:
    # Without the first test, the polluter crashes.
    polluter = Model(sets=flags("b"), brittle_for=flags("a"), how=Outcome.CRASHED)
    suite = Suite([Model(sets=flags("a")), HEALTHY, polluter, HEALTHY, Model(victim_of=flags("b"))])
    search = CauseSearch(ids(0, 1, 2, 3), TestIndex(4), bad=True)

    assert run(search.steps(), Bench(suite))
    assert search.need == ids(0, 2)


def test_a_crash_before_a_brittle_test_shows_nothing() -> None:
    middle = Model(sets=flags("b"), brittle_for=flags("a"), how=Outcome.CRASHED)
    last = Model(sets=flags("c"), once=flags("b"))
    suite = Suite([Model(sets=flags("a")), middle, last, Model(brittle_for=flags("c"))])
    search = CauseSearch(ids(0, 1, 2), TestIndex(3), bad=False)

    assert run(search.steps(), Bench(suite))
    assert search.need == ids(0, 1, 2)


def test_a_test_that_renews_what_a_cleaner_took_is_left_out_again() -> None:
    # The search meets the last one first, and the first one is all it takes.
    renewer = Model(sets=flags("a"), once=flags("b"))
    first, cleaner = Model(sets=flags("a", "b")), Model(clears=flags("a"))
    suite = Suite([first, cleaner, renewer, HEALTHY, Model(victim_of=flags("a"))])
    search = CauseSearch(ids(0, 1, 2, 3), TestIndex(4), bad=True)

    assert run(search.steps(), Bench(suite))
    assert search.need == ids(0)


@pytest.mark.parametrize("count", [MOST, MOST + 1])
def test_more_tests_than_anybody_would_look_at_are_no_cause(count: int) -> None:
    names = [f"flag {i}" for i in range(count)]
    suite = Suite([*(Model(sets=flags(name)) for name in names), Model(victim_of=flags(*names))])
    search = CauseSearch(tuple(TestIndex(i) for i in range(count)), TestIndex(count), bad=True)

    assert run(search.steps(), Bench(suite)) is (count == MOST)
    assert len(search.need) == MOST


def test_a_known_cause_is_cut_to_what_acts_on_this_test() -> None:
    suite = Suite([Model(sets=flags("a")), Model(sets=flags("b")), Model(victim_of=flags("b"))])
    search = CauseSearch(ids(0, 1), TestIndex(2), bad=True)

    assert run(search.try_cause(ids(0, 1)), Bench(suite))
    assert search.need == ids(1)
    assert search.found


def test_a_cause_of_something_else_is_refused() -> None:
    suite = Suite([Model(sets=flags("a")), Model(sets=flags("b")), Model(victim_of=flags("b"))])
    search = CauseSearch(ids(0), TestIndex(2), bad=True)

    assert not run(search.try_cause(ids(0)), Bench(suite))
    assert search.need == ()
    assert not search.found


@given(st.integers(1, 2000), st.data())
def test_it_ends_soon_whatever_the_answers(size: int, data: st.DataObject) -> None:
    answers = data.draw(st.lists(st.sampled_from(list(Outcome)), min_size=1, max_size=300))

    class Adversary(Suite):
        asked = 0

        def outcome(self, probe: Probe, company: frozenset[int] = frozenset()) -> ProbeResult:
            self.asked += 1
            word = answers[self.asked % len(answers)]
            return ProbeResult((*[Outcome.PASSED] * (len(probe.tests) - 1), word))

    adversary = Adversary([])
    search = CauseSearch(tuple(TestIndex(i) for i in range(size)), TestIndex(size), bad=True)
    run(search.steps(), Bench(adversary))
    assert adversary.asked <= MOST * (ceil(log2(size)) + 1) + MOST * (MOST + 1) // 2


@given(st.integers(2, 300), st.data())
def test_what_is_known_of_the_next_one_is_true_at_every_step(size: int, data: st.DataObject) -> None:
    planted = sorted(data.draw(st.sets(st.integers(0, size - 1), min_size=1, max_size=3)))
    names = [f"flag {i}" for i in planted]
    models = [Model(sets=flags(f"flag {i}")) if i in planted else HEALTHY for i in range(size)]
    suite = Suite([*models, Model(victim_of=flags(*names))])
    search = CauseSearch(tuple(TestIndex(i) for i in range(size)), TestIndex(size), bad=True)
    steps = search.steps()
    batch = next(steps)
    while not search.found:
        missing = [i for i in planted if i not in search.need]
        assert not missing or missing[-1] in search.candidates()
        try:
            batch = steps.send([suite.outcome(probe) for probe in batch])
        except StopIteration:
            break
