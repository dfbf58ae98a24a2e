"""What a parallel-only test fails beside is narrowed down to what matters, or told as what ran beside it."""

from __future__ import annotations

import pytest

from pytest_procpar.core.inquiry.findings import Case, Finding, Kind, Suspect, Tally
from pytest_procpar.core.inquiry.inquiry import Inquiry
from pytest_procpar.core.inquiry.parallel_only import narrow
from pytest_procpar.core.inquiry.probes import Outcome
from pytest_procpar.core.model import TestIndex
from tests.core.pollution import HEALTHY, Bench, Indices, Model, Stopped, Suite, ids, run


def _narrowed(model: Model, *beside: Indices, seed: int = 0, steps: int = 100_000) -> tuple[Finding, Bench]:
    """What an inquiry says of test 0, which fails beside others, of which there are a hundred."""
    bench = Bench(Suite([model, *[HEALTHY] * 100], seed=seed))
    suspect = Suspect(TestIndex(0), Outcome.FAILED, failed_after=(), beside=beside)
    inquiry = Inquiry([suspect], lambda test: ids(*range(test)), lambda test: 0)
    try:
        run(inquiry.steps(), bench, steps=steps)
    except Stopped:
        pass
    (finding,) = inquiry.findings()
    return finding, bench


def _collides(*partners: int, jointly: bool = False, chance: float = float("inf")) -> Model:
    return Model(collides=frozenset(partners), jointly=jointly, chance=chance)


@pytest.mark.parametrize("partner", [1, 2, 24, 50, 51, 77, 100])
def test_the_one_partner_of_many_is_named(partner: int) -> None:
    finding, bench = _narrowed(_collides(partner), ids(*range(1, 51)), ids(*range(51, 101)))
    assert (finding.kind, finding.beside) == (Kind.PARALLEL_ONLY, ids(partner))
    assert finding.note == ""
    assert Tally("beside these", 3, 3) in finding.tallies
    known, search, confirmation = 2 + 3 + 5 + 5, 7 * 5 + 1, 3
    assert len(bench.probes) <= known + search + confirmation


def test_partners_that_act_together_are_all_named_where_they_ran() -> None:
    finding, _ = _narrowed(_collides(7, 60, jointly=True), ids(*range(1, 51)), ids(*range(51, 101)))
    assert finding.sides == (ids(7), ids(60))


def test_of_several_partners_each_of_which_is_enough_one_is_named() -> None:
    finding, _ = _narrowed(_collides(7, 60, 99), ids(*range(1, 51)), ids(*range(51, 101)))
    assert finding.beside in (ids(7), ids(60), ids(99))


def test_a_single_partner_needs_no_search() -> None:
    finding, bench = _narrowed(_collides(3), ids(3))
    assert (finding.kind, finding.beside, finding.note) == (Kind.PARALLEL_ONLY, ids(3), "")
    assert len(bench.probes) == 2 + 3 + 5 + 5


def test_a_partner_that_is_seldom_met_is_named_or_not_and_nobody_else_ever_is() -> None:
    named = 0
    for seed in range(100):
        finding, _ = _narrowed(_collides(5, chance=6), ids(*range(1, 9)), seed=seed)
        if finding.kind is Kind.PARALLEL_ONLY:
            assert finding.beside in (ids(5), ids(*range(1, 9)))
            named += finding.beside == ids(5)
    assert named > 80


def test_what_could_not_be_narrowed_down_is_said_to_be_so() -> None:
    partners = range(1, 11)
    finding, _ = _narrowed(_collides(*partners, jointly=True), ids(*partners))
    assert (finding.kind, finding.beside) == (Kind.PARALLEL_ONLY, ids(*partners))
    assert finding.note == "which of these matter could not be found out"


def test_a_narrowing_that_is_stopped_keeps_what_is_known() -> None:
    everything, bench = _narrowed(_collides(5), ids(*range(1, 9)))
    for steps in range(len(bench.probes)):
        finding, _ = _narrowed(_collides(5), ids(*range(1, 9)), steps=steps)
        if finding.kind is Kind.PARALLEL_ONLY:
            assert finding.beside == ids(*range(1, 9))
            assert finding.note == "time ran out before it was found out which of these matter"
    assert everything.beside == ids(5)


def test_a_partner_that_shows_no_more_in_the_end_is_not_named() -> None:
    case = Case(Suspect(TestIndex(0), Outcome.FAILED, beside=(ids(1, 2, 3, 4),)))
    suite = Suite([Model(pattern="F" * 4 + "P" * 60), *[HEALTHY] * 4])
    run(narrow(case), Bench(suite))
    assert case.finding().beside == ids(1, 2, 3, 4)
    assert case.note == "which of these matter could not be found out"
