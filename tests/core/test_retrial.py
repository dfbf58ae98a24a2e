"""What was found in earlier runs is tried again: what still holds is told from what does not."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_procpar.core.inquiry.findings import Kind, Tally
from pytest_procpar.core.inquiry.probes import Outcome, ProbeResult
from pytest_procpar.core.recheck.known_findings import KnownFinding
from pytest_procpar.core.recheck.retrial import Retried, claims_of, retry
from tests.core.pollution import HEALTHY, NIO, Bench, Model, Suite, flags, run

POLLUTER = Model(sets=flags("a"))
VICTIM = Model(victim_of=flags("a"))
BRITTLE = Model(brittle_for=flags("a"))


def tried(kind: Kind, *models: Model) -> Retried:
    """What comes of the claim that the last of these tests depends on the others."""
    ids = [f"test_{number}" for number in range(len(models))]
    found: list[Retried] = []
    claims = claims_of([KnownFinding(ids[-1], kind, tuple(ids[:-1]))], ids)
    run(retry(claims, found.append), Bench(Suite(models)))
    (only,) = found
    return only


@pytest.mark.parametrize(
    ("kind", "models", "holds"),
    [
        (Kind.VICTIM, (POLLUTER, VICTIM), True),
        (Kind.VICTIM, (HEALTHY, VICTIM), False),
        (Kind.VICTIM, (POLLUTER, HEALTHY), False),
        (Kind.VICTIM, (POLLUTER, Model(always=True)), False),
        (Kind.VICTIM, (POLLUTER, Model(victim_of=flags("a"), pattern="PPPPF")), False),
        (Kind.VICTIM, (Model(always=True, how=Outcome.CRASHED), VICTIM), None),
        (Kind.CONTAMINATED_CRASH, (POLLUTER, Model(victim_of=flags("a"), how=Outcome.CRASHED)), True),
        (Kind.BRITTLE, (POLLUTER, BRITTLE), True),
        (Kind.BRITTLE, (HEALTHY, BRITTLE), False),
        (Kind.BRITTLE, (POLLUTER, HEALTHY), False),
        (Kind.NIO, (NIO,), True),
        (Kind.NIO, (HEALTHY,), False),
        (Kind.NIO, (Model(always=True),), False),
    ],
)
def test_it_holds_if_it_shows_each_time(kind: Kind, models: Sequence[Model], holds: bool | None) -> None:
    assert tried(kind, *models).holds is holds


def test_what_holds_is_a_finding_of_this_run() -> None:
    finding = tried(Kind.VICTIM, POLLUTER, VICTIM).finding
    assert (finding.kind, finding.test, finding.cause) == (Kind.VICTIM, 1, (0,))
    assert finding.tallies == (Tally("alone", 0, 3), Tally("after its polluter", 3, 3))
    assert finding.message


def test_it_costs_six_probes_and_less_if_it_does_not_hold() -> None:
    for models, most in (((POLLUTER, VICTIM), 6), ((POLLUTER, HEALTHY), 2)):
        ids = ["test_0", "test_1"]
        found: list[Retried] = []
        search = retry(claims_of([KnownFinding(ids[1], Kind.VICTIM, (ids[0],))], ids), found.append)
        count, bench = 0, Suite(models)
        probes = next(search)
        while not found:
            assert len(probes) == 1
            count += 1
            with suppress(StopIteration):
                probes = search.send([ProbeResult(tuple(bench.process(probes[0].tests)))])
        assert count == most


@given(st.lists(st.sampled_from("abcd"), max_size=6))
def test_only_what_is_there_once_can_be_tried(ids: list[str]) -> None:
    known = [
        KnownFinding("a", Kind.VICTIM, ("b",)),
        KnownFinding("c", Kind.FLAKY),
        KnownFinding("d", Kind.NIO),
    ]
    claims = claims_of(known, ids)
    expected = [Kind.VICTIM] * (ids.count("a") == ids.count("b") == 1) + [Kind.NIO] * (ids.count("d") == 1)
    assert [claim.kind for claim in claims] == expected
    for claim in claims:
        assert ids[claim.test] == claim.known.test
