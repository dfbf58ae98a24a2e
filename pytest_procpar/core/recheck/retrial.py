"""Tries findings of earlier runs again: the test alone, and after its causes. Cheap: there is no search."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from pytest_procpar.core.inquiry.cause_search import Search
from pytest_procpar.core.inquiry.findings import Finding, Kind, Tally
from pytest_procpar.core.inquiry.probes import Outcome, Probe, ProbeResult
from pytest_procpar.core.inquiry.trials import ALONE, REPEATS
from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.recheck.known_findings import KnownFinding
from pytest_procpar.core.record import record

__all__ = ["Claim", "Retried", "claims_of", "retry"]

#: The kinds that can be tried, and the names of their causes.
_ROLES = {Kind.VICTIM: "polluter", Kind.CONTAMINATED_CRASH: "polluter", Kind.BRITTLE: "state-setter"}


@record
class Claim:
    """What earlier runs found out about a test, in the indices of this run."""

    test: TestIndex
    kind: Kind
    cause: tuple[TestIndex, ...]
    known: KnownFinding


@record
class Retried:
    """What came of a claim; ``holds`` is None if a process was lost before that was known."""

    claim: Claim
    holds: bool | None
    tallies: tuple[Tally, ...] = ()
    message: str = ""

    @property
    def finding(self) -> Finding:
        """The claim as a finding of this run."""
        return Finding(self.claim.test, self.claim.kind, self.claim.cause, self.tallies, self.message)


def claims_of(known: Iterable[KnownFinding], ids: Sequence[str]) -> list[Claim]:
    """The findings that can be tried in a suite with these nodeids: each of their tests is there once."""
    places: dict[str, list[int]] = {}
    for place, nodeid in enumerate(ids):
        places.setdefault(nodeid, []).append(place)
    claims = []
    for finding in known:
        found = [places.get(nodeid, []) for nodeid in (finding.test, *finding.causes)]
        if all(len(some) == 1 for some in found) and (finding.causes or finding.kind is Kind.NIO):
            test, *cause = (TestIndex(some[0]) for some in found)
            claims.append(
                Claim(test, finding.kind, (test,) if finding.kind is Kind.NIO else tuple(cause), finding)
            )
    return claims


def retry(claims: Iterable[Claim], heed: Callable[[Retried], None]) -> Search[None]:
    """Try claims one after the other, and call `heed` with the result of each."""
    for claim in claims:
        heed((yield from _retry(claim)))


def _retry(claim: Claim) -> Search[Retried]:
    if claim.kind is Kind.NIO:
        return (yield from _retry_twice(claim))
    brittle = claim.kind is Kind.BRITTLE
    role = f"after its {_ROLES[claim.kind]}"
    counts: dict[str, list[bool]] = {}
    message = ""
    for number in range(REPEATS):
        for under, probe, bad in (
            (ALONE, Probe((claim.test,), round=number), brittle),
            (role, Probe((*claim.cause, claim.test), round=number, fresh=True), not brittle),
        ):
            (outcome,) = yield [probe]
            word = outcome.of(probe)
            message = outcome.message or message
            if word is not Outcome.LOST:
                counts.setdefault(under, []).append(word.bad)
            if word is Outcome.LOST or word.bad is not bad:
                return Retried(claim, None if word is Outcome.LOST else False, _tallies(counts), message)
    return Retried(claim, True, _tallies(counts), message)


def _retry_twice(claim: Claim) -> Search[Retried]:
    """Try again a test that fails when it is run a second time."""
    message = ""
    for number in range(REPEATS):
        outcomes: list[ProbeResult] = yield [Probe((claim.test, claim.test), round=number)]
        words, message = outcomes[0].words, outcomes[0].message or message
        if len(words) < 2 and not (words and words[0].bad):
            return Retried(claim, None)
        if words[0].bad or not words[1].bad:
            return Retried(claim, False, message=message)
    return Retried(claim, True, message=message)


def _tallies(counts: dict[str, list[bool]]) -> tuple[Tally, ...]:
    return tuple(Tally(under, sum(bad), len(bad)) for under, bad in counts.items())
