"""What orders show that neither the run nor the inquiry has shown."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_procpar.core.inquiry.findings import NOTHING_KNOWN, PLAINLY, Finding, Kind, Suspect
from pytest_procpar.core.inquiry.probes import Outcome
from pytest_procpar.core.inquiry.run_record import RunRecord
from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.survey.survey import Placed

__all__ = ["merged", "new_suspects"]

#: The kinds of findings on tests that may still be found to depend on something.
_OPEN = (Kind.FLAKY, Kind.UNKNOWN)


def new_suspects(placed: Iterable[Placed], run: RunRecord, known: Iterable[Finding]) -> list[Suspect]:
    """Tests that failed though nothing explains it, and tests that passed though they seemed to fail always.

    Of several results for one test, the one with fewer tests before it counts. That a test fails when it runs
    a second time in one process explains nothing: here it ran once, so others have done what it does to
    itself.

    :param known: what is known of tests by now.
    """
    explained = {finding.test: finding for finding in known if finding.kind is not Kind.NIO}
    found: dict[TestIndex, Suspect] = {}
    for result in sorted(placed, key=lambda result: result.place):
        test = result.test
        if test not in found and _is_new(result, explained.get(test)):
            before, word = run.before(test), run.word(test)
            good, bad = (before, result.before) if result.word.bad else (result.before, before)
            kept = result.word.bad
            if word.bad and result.word.bad:
                found[test] = Suspect(test, word, failed_after=bad, kept=kept)
            else:
                found[test] = Suspect(test, word, failed_after=bad, passed_after=good, kept=kept)
    return list(found.values())


def _is_new(result: Placed, known: Finding | None) -> bool:
    if known is not None and known.kind in PLAINLY:
        return result.word is Outcome.PASSED
    is_open = known is None or (known.kind in _OPEN and not any(tally.bad for tally in known.tallies))
    return is_open and result.word.bad


def merged(old: Iterable[Finding], new: Iterable[Finding]) -> list[Finding]:
    """What is known once suspects were looked into; open findings are left out where there is an answer.

    So are tests that failed beside other probes only: that is the re-check's doing.
    """
    known = list(old)
    there = {finding.test for finding in known}
    fresh = [
        finding
        for finding in new
        if finding.kind is not Kind.UNKNOWN
        or not (finding.test in there or finding.note.endswith(NOTHING_KNOWN))
    ]
    answered = {finding.test for finding in fresh}
    undecided = (*PLAINLY, *_OPEN)
    kept = [finding for finding in known if finding.test not in answered or finding.kind not in undecided]
    return kept + fresh
