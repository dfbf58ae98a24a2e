"""What orders show that is new: of whom something is known already is left alone."""

from __future__ import annotations

import pytest

from pytest_procpar.core.inquiry.findings import Finding, Kind, Suspect, Tally
from pytest_procpar.core.inquiry.inquiry import Inquiry
from pytest_procpar.core.inquiry.probes import Outcome
from pytest_procpar.core.inquiry.run_record import RunRecord
from pytest_procpar.core.model import TestIndex, WorkerId
from pytest_procpar.core.survey.comparing import merged, new_suspects
from pytest_procpar.core.survey.survey import Placed
from tests.core.pollution import HEALTHY, Bench, Suite, ids
from tests.core.pollution import run as run_search

TEST = TestIndex(2)
NEVER, TWICE = Tally("alone", 0, 3), Tally("alone", 2, 3)


def _run(word: Outcome = Outcome.PASSED) -> RunRecord:
    """Test 0, and then test 2, ran in one worker."""
    run = RunRecord(None)
    run.collected([f"t.py::test_{number}" for number in range(4)])
    run.finished(WorkerId(0), TestIndex(0), 0.0, 1.0)
    run.finished(WorkerId(0), TEST, 1.0, 2.0)
    if word is Outcome.FAILED:
        run.reported(TEST, {"outcome": "failed"})
    return run


def _placed(word: Outcome, *order: int) -> Placed:
    return Placed(TEST, word, ids(*order, TEST), len(order))


def _found(placed: list[Placed], run: RunRecord, *known: Finding) -> list[Suspect]:
    return new_suspects(placed, run, known)


def test_what_passed_in_the_run_is_suspected_if_it_fails_by_its_shortest_order() -> None:
    placed = [_placed(Outcome.FAILED, 3, 1), _placed(Outcome.FAILED, 1), _placed(Outcome.PASSED)]
    expected = Suspect(TEST, Outcome.PASSED, failed_after=ids(1), passed_after=ids(0), kept=True)
    assert _found(placed, _run()) == [expected]


def test_what_always_failed_is_suspected_if_it_passes() -> None:
    placed = [_placed(Outcome.FAILED), _placed(Outcome.PASSED, 3, 1)]
    known = Finding(TEST, Kind.PLAIN, tallies=(TWICE,))
    expected = Suspect(TEST, Outcome.FAILED, failed_after=ids(0), passed_after=ids(3, 1))
    assert _found(placed, _run(Outcome.FAILED), known) == [expected]


@pytest.mark.parametrize("kind", [Kind.FLAKY, Kind.UNKNOWN])
def test_what_failed_once_and_never_again_is_suspected_if_it_fails(kind: Kind) -> None:
    found = _found([_placed(Outcome.FAILED, 1)], _run(Outcome.FAILED), Finding(TEST, kind, tallies=(NEVER,)))
    assert found == [Suspect(TEST, Outcome.FAILED, failed_after=ids(1), kept=True)]


@pytest.mark.parametrize(
    "others", [(), (Finding(TEST, Kind.UNKNOWN, tallies=(NEVER,)),)], ids=["nothing", "open"]
)
def test_what_harms_itself_is_suspected_if_it_fails_after_others(others: tuple[Finding, ...]) -> None:
    nio = Finding(TEST, Kind.NIO)
    for known in ((*others, nio), (nio, *others)):
        assert _found([_placed(Outcome.FAILED, 1)], _run(), *known)


def test_what_harms_itself_and_is_a_known_victim_is_suspected_no_more() -> None:
    nio, victim = Finding(TEST, Kind.NIO), Finding(TEST, Kind.VICTIM, ids(1))
    for known in ((victim, nio), (nio, victim)):
        assert _found([_placed(Outcome.FAILED, 1)], _run(), *known) == []


@pytest.mark.parametrize(
    ("known", "word"),
    [
        (Finding(TEST, Kind.VICTIM, ids(1)), Outcome.FAILED),
        (Finding(TEST, Kind.BRITTLE, ids(1)), Outcome.PASSED),
        (Finding(TEST, Kind.FLAKY, tallies=(TWICE,)), Outcome.FAILED),
        (Finding(TEST, Kind.PLAIN), Outcome.FAILED),
        (Finding(TEST, Kind.PLAIN), Outcome.SKIPPED),
    ],
)
def test_what_is_explained_is_suspected_no_more(known: Finding, word: Outcome) -> None:
    assert _found([_placed(word, 1)], _run(), known) == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ([], Kind.VICTIM, [Kind.VICTIM]),
        ([], Kind.UNKNOWN, [Kind.UNKNOWN]),
        ([Kind.PLAIN], Kind.BRITTLE, [Kind.BRITTLE]),
        ([Kind.UNKNOWN], Kind.VICTIM, [Kind.VICTIM]),
        ([Kind.PLAIN], Kind.UNKNOWN, [Kind.PLAIN]),
        ([Kind.NIO], Kind.VICTIM, [Kind.NIO, Kind.VICTIM]),
    ],
)
def test_the_better_answer_is_kept(old: list[Kind], new: Kind, expected: list[Kind]) -> None:
    found = merged([Finding(TEST, kind) for kind in old], [Finding(TEST, new)])
    assert [finding.kind for finding in found] == expected


def test_what_fails_beside_other_probes_only_is_no_finding() -> None:
    inquiry = Inquiry(
        [Suspect(TEST, Outcome.PASSED, failed_after=ids(0))], lambda _: (), lambda _: 0, concurrency=2
    )
    run_search(inquiry.steps(), Bench(Suite([HEALTHY] * 3), concurrency=2))
    assert [finding.kind for finding in inquiry.findings()] == [Kind.UNKNOWN]
    assert merged([], inquiry.findings()) == []
