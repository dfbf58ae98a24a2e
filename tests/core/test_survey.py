"""A survey says how every test ends alone, twice in a row, and in another order."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_procpar.core.inquiry.probes import Outcome, Probe, ProbeResult
from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.survey.survey import (
    Alone,
    survey_alone,
    survey_order,
    survey_orders,
    survey_twice,
    together,
)
from tests.core.pollution import HEALTHY, NIO, Bench, Model, Suite, flags, ids, run
from tests.core.test_cause_search import MODELS

_BRITTLE = Model(brittle_for=flags("a"))
_CRASH = Model(always=True, how=Outcome.CRASHED)


def _alone(*models: Model) -> list[Alone]:
    return run(survey_alone(ids(*range(len(models)))), Bench(Suite(models)))


def test_a_healthy_test_passes_twice() -> None:
    (found,) = _alone(HEALTHY)
    assert (found.first, found.second) == (Outcome.PASSED, Outcome.PASSED)
    assert not found.non_idempotent


def test_a_brittle_test_fails_alone_after_its_setter_passed() -> None:
    setter, brittle = _alone(Model(sets=flags("a")), _BRITTLE)
    assert setter.first is Outcome.PASSED
    assert brittle.first is Outcome.FAILED
    assert not brittle.non_idempotent
    assert brittle.message == "failed by 1"


def test_a_test_that_fails_the_second_time_is_not_idempotent() -> None:
    (found,) = _alone(NIO)
    assert found.non_idempotent


def test_a_test_that_crashes_alone_has_no_second_time() -> None:
    (found,) = _alone(_CRASH)
    assert (found.first, found.second) == (Outcome.CRASHED, None)
    assert not found.non_idempotent


def test_a_test_that_crashes_the_second_time_is_not_idempotent() -> None:
    (found,) = _alone(Model(sets=flags("own"), victim_of=flags("own"), how=Outcome.CRASHED))
    assert found.non_idempotent


def test_a_process_that_ran_nothing_says_nothing() -> None:
    search = survey_alone(ids(3))
    next(search)
    with pytest.raises(StopIteration) as end:
        search.send([ProbeResult(())])
    assert end.value.value == [Alone(TestIndex(3), Outcome.LOST, None)]


def test_what_is_not_idempotent_stays_so_twice_more() -> None:
    found = run(survey_twice(ids(0, 1, 2)), Bench(Suite([NIO, HEALTHY, NIO])))
    assert tuple(result.test for result in found) == ids(0, 2)


@pytest.mark.parametrize("pattern", ["PF", "PFPFPP", "PPPF"])
def test_what_ends_by_turns_whatever_its_process_is_idempotent(pattern: str) -> None:
    class ByTurns(Bench):
        ends = cycle(pattern)

        def answer(self, batch: Sequence[Probe]) -> list[ProbeResult]:
            words = {"P": Outcome.PASSED, "F": Outcome.FAILED}
            return [ProbeResult(tuple(words[next(self.ends)] for _ in probe.tests)) for probe in batch]

    assert run(survey_twice(ids(0)), ByTurns(Suite([HEALTHY]))) == []


@given(st.integers(0, 200), st.integers(1, 3))
def test_every_test_is_tried_once_a_round(count: int, rounds: int) -> None:
    bench = Bench(Suite([HEALTHY] * count))
    found = run(survey_alone(ids(*range(count)), range(rounds)), bench)
    assert [alone.test for alone in found] == [*range(count)] * rounds
    assert len(set(bench.probes)) == count * rounds


def test_an_order_is_run_in_one_process() -> None:
    bench = Bench(Suite([_BRITTLE, Model(sets=flags("a"))]))
    found = run(survey_order(ids(1, 0)), bench)
    assert [(placed.test, placed.word, placed.before) for placed in found] == [
        (1, Outcome.PASSED, ()),
        (0, Outcome.PASSED, ids(1)),
    ]
    assert len(bench.probes) == 1


def test_after_a_crash_an_order_goes_on_in_a_fresh_process() -> None:
    polluter, victim = Model(sets=flags("a")), Model(victim_of=flags("a"))
    found = run(survey_order(ids(0, 1, 2, 3)), Bench(Suite([polluter, _CRASH, HEALTHY, victim])))
    assert [(placed.word, placed.before) for placed in found] == [
        (Outcome.PASSED, ()),
        (Outcome.CRASHED, ids(0)),
        (Outcome.PASSED, ()),
        (Outcome.PASSED, ids(2)),
    ]
    assert found[1].message == "crashed by 1"


def test_several_orders_are_run_at_once_each_in_its_processes() -> None:
    bench = Bench(Suite([HEALTHY, _CRASH, HEALTHY]))
    found = run(survey_orders([ids(0, 1, 2), (), ids(2, 0)]), bench)
    assert [(placed.test, placed.before) for placed in found] == [
        (0, ()),
        (1, ids(0)),
        (2, ()),
        (0, ids(2)),
        (2, ()),
    ]
    assert sorted(together(found)) == [ids(0, 1), ids(2), ids(2, 0)]


def test_what_there_is_no_time_for_is_left_out_of_several_orders() -> None:
    search = survey_orders([ids(0, 1), ids(1, 0)])
    next(search)
    with pytest.raises(StopIteration) as end:
        search.send([ProbeResult((), in_time=False), ProbeResult((Outcome.PASSED, Outcome.PASSED))])
    assert [placed.order for placed in end.value.value] == [ids(1, 0)] * 2


def test_an_order_that_cannot_be_run_is_left() -> None:
    search = survey_order(ids(0, 1))
    next(search)
    with pytest.raises(StopIteration) as end:
        search.send([ProbeResult(())])
    assert end.value.value == []


@given(st.lists(MODELS, max_size=12))
def test_what_is_said_of_a_place_is_true(models: list[Model]) -> None:
    suite = Suite(models)
    found = run(survey_order(ids(*range(len(models)))), Bench(suite))
    assert [placed.test for placed in found] == [*range(len(models))]
    for placed in found:
        assert suite.outcome(Probe((*placed.before, placed.test))).words[-1] is placed.word
