"""How a question about a test is asked, and how its answer is noted."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_procpar.core.inquiry.cause_search import Search, put
from pytest_procpar.core.inquiry.findings import Case
from pytest_procpar.core.inquiry.probes import Outcome, Probe, ProbeResult
from pytest_procpar.core.model import TestIndex

__all__ = [
    "AFTER", "AFTER_MOST", "AFTER_SOME", "ALONE", "BESIDE", "BESIDE_SOME", "BESIDE_SUSPECTS", "IN_TURN",
    "REPEATS", "ROUNDS", "ask", "ask_often", "failed_elsewhere", "note",
]  # fmt: skip

#: How often a cause is tried before it is believed, and the test without it, too.
REPEATS = 3
#: How often a test that passes alone and in company is run beside others, and again without them.
ROUNDS = 5

ALONE = "alone"
AFTER = "after the tests before it"
AFTER_SOME = "after some of the tests before it"
AFTER_MOST = "after most of the tests before it"
BESIDE = "beside others"
BESIDE_SOME = "beside these"
BESIDE_SUSPECTS = "beside other suspects"
IN_TURN = "one after the other"


def ask(
    case: Case,
    under: str,
    tests: tuple[TestIndex, ...] = (),
    *,
    number: int,
    beside: tuple[tuple[TestIndex, ...], ...] = (),
    fresh: bool = False,
) -> Search[Outcome]:
    """How the suspect ends after these tests, with nothing running beside it but what `beside` says."""
    probe = Probe((*tests, case.test), beside, number, fresh)
    return note(case, under, probe, (yield from put(probe)))


def note(case: Case, under: str, probe: Probe, outcome: ProbeResult) -> Outcome:
    """Note how the suspect ended; without conditions (an empty `under`), it is not counted."""
    word = outcome.of(probe)
    case.ended_by = None
    if word is Outcome.LOST and 0 < len(outcome.words) < len(probe.tests):
        case.ended_by = probe.tests[len(outcome.words) - 1]
    if word.bad and outcome.message:
        case.message = outcome.message
    if under:
        case.count(under, word)
    return word


def ask_often(case: Case, order: tuple[TestIndex, ...], rounds: Iterable[int]) -> Search[None]:
    """Run the suspect alone, or after all of `order`, again and again, until a process is lost."""
    for i in rounds:
        if (yield from ask(case, AFTER if order else ALONE, order, number=i)) is Outcome.LOST:
            break


def failed_elsewhere(case: Case) -> bool:
    """Whether it has failed with nothing beside it."""
    return any(bad for under in (ALONE, AFTER, AFTER_SOME, AFTER_MOST) for bad in case.counted(under))
