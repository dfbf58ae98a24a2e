"""What a run says of what was known before it, and only where that matters: one line for what is alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pytest_procpar.core.inquiry.findings import Kind, Tally
from pytest_procpar.core.recheck.known_findings import KnownFinding, Ran, is_refuted_by
from pytest_procpar.core.recheck.retrial import Retried

__all__ = ["recalled"]

#: How many tests of one line are named.
_MOST_NAMES = 5

_ALIKE = {
    Kind.VICTIM: "a victim of",
    Kind.CONTAMINATED_CRASH: "a victim, which crashes, of",
    Kind.BRITTLE: "brittle: it needs",
    Kind.NIO: "an NIO: it fails when it is run a second time in the same process",
    Kind.PARALLEL_ONLY: "parallel-only: it fails by what runs beside it",
    Kind.FLAKY: "flaky",
}


def recalled(
    before: Sequence[KnownFinding],
    after: Sequence[KnownFinding],
    found: Iterable[KnownFinding],
    ran: Mapping[str, Ran],
    failed_before: frozenset[str],
    retried: Iterable[Retried],
) -> list[str]:
    """The lines to show.

    :param before: what was known before the run.
    :param after: what is known with what was `found` in it.
    :param ran: the tests that have run, by nodeid.
    :param failed_before: the nodeids that failed in the run before.
    """
    again = list(retried)
    tried = {one.claim.known.key for one in again}
    keys, tests = {finding.key for finding in found}, {finding.test for finding in found}
    of_retried = [_of_retried(one) for one in again]
    alike: dict[str, list[str]] = {}
    lines = []
    kept = {finding.key: finding for finding in after}
    for finding in _latest(before):
        outcome = ran.get(finding.test)
        if outcome is None or finding.key in tried:
            continue
        if finding.key in keys and finding.key in kept:
            again_so = f"is again {_what(finding)} (seen in {_runs(kept[finding.key])})"
            alike.setdefault(again_so, []).append(finding.test)
        elif is_refuted_by(finding, outcome) and finding.test in failed_before:
            lines.append(f"{finding.test} passed, and is no longer {_what(finding)}: that is forgotten")
        elif finding.key not in kept:  # a cause is gone
            continue
        elif outcome.word.bad and finding.test not in tests:
            lines.append(f"{finding.test} failed; it is known as {_known_as(finding)}")
        elif outcome.word.good and finding.test in failed_before:
            lines.append(f"{finding.test} passed; it is {_known_as(finding)}")
    return [*of_retried, *(_of_alike(so, tests) for so, tests in alike.items()), *lines]


def _of_alike(so: str, tests: Sequence[str]) -> str:
    """One line for tests of which the same is known."""
    if len(tests) == 1:
        return f"{tests[0]} {so}"
    shown, rest = ", ".join(tests[:_MOST_NAMES]), len(tests) - _MOST_NAMES
    return f"each of {len(tests)} tests {so}: {shown}{f' and {rest} more' if rest > 0 else ''}"


def _latest(known: Sequence[KnownFinding]) -> list[KnownFinding]:
    """For each test, what was found last."""
    return list({finding.test: finding for finding in known}.values())


def _known_as(finding: KnownFinding) -> str:
    command = f": {finding.command}" if finding.command else ""
    return f"{_what(finding)} (seen in {_runs(finding)}){command}"


def _runs(finding: KnownFinding) -> str:
    if finding.runs == 1:
        return f"1 run, on {finding.last}"
    return f"{finding.runs} runs, first seen on {finding.first}"


def _what(finding: KnownFinding) -> str:
    return " ".join([_ALIKE[finding.kind], " and ".join(finding.causes)]).strip()


def _of_retried(retried: Retried) -> str:
    known = retried.claim.known
    counts = ", ".join(map(_of, retried.tallies))
    seen = f" (failures: {counts})" if counts else ""
    if retried.holds is None:
        return f"{known.test}: whether it is still {_what(known)} could not be found out: a process was lost"
    if retried.holds:
        return f"{known.test} is still {_what(known)}{seen}"
    return f"{known.test} is no longer {_what(known)}{seen}: that is forgotten"


def _of(tally: Tally) -> str:
    return f"{tally.under} {tally.bad} of {tally.total}"
