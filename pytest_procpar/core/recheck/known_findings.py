"""What is kept of findings from run to run: what is known of tests, since when, and what of it still holds.

A test is identified by its nodeid here, since indices change from run to run. This module knows neither where
the findings are kept nor what day it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

from pytest_procpar.core.inquiry.findings import Kind
from pytest_procpar.core.inquiry.probes import Outcome
from pytest_procpar.core.record import changed, record

__all__ = ["KEPT", "KnownFinding", "Ran", "from_data", "is_refuted_by", "merged", "retained", "to_data"]

#: The kinds that are kept.
KEPT = (
    Kind.VICTIM, Kind.CONTAMINATED_CRASH, Kind.BRITTLE, Kind.NIO, Kind.PARALLEL_ONLY, Kind.FLAKY
)  # fmt: skip
#: The kinds without a known cause; a finding with a cause supersedes them.
_CAUSELESS = (Kind.PARALLEL_ONLY, Kind.FLAKY)
#: A finding is forgotten after this many runs in which its test passed. At most this many findings are kept,
#: the latest ones.
_PATIENCE = 100
_MOST = 500
#: No text that is kept is longer than this, in characters.
_LONGEST = 4000
_VERSION = 1

_Key: TypeAlias = tuple[str, Kind, tuple[str, ...]]


@record
class KnownFinding:
    """A finding of earlier runs: the nodeids of the test and of its causes, and a command that has shown it.

    ``first`` and ``last`` are the days on which it was first and last found (ISO 8601), and ``runs`` is the
    number of runs that found it. ``quiet`` is the number of runs since then in which the test passed and the
    finding was not made again.
    """

    test: str
    kind: Kind
    causes: tuple[str, ...] = ()
    command: str = ""
    first: str = ""
    last: str = ""
    runs: int = 1
    quiet: int = 0

    @property
    def key(self) -> _Key:
        """What makes two of them the same finding."""
        return self.test, self.kind, self.causes


@record
class Ran:
    """How a test ended in a run, and what its process had run before it (None: that is not known).

    Skipped tests are left out.
    """

    word: Outcome
    before: tuple[str, ...] | None = None


# --- from run to run ---


def merged(known: Sequence[KnownFinding], found: Iterable[KnownFinding]) -> tuple[KnownFinding, ...]:
    """What is known after a run that has found these, the latest last.

    In `found`, ``runs``, ``first`` and ``quiet`` are those of a finding that is made for the first time.
    """
    after = {finding.key: finding for finding in known}
    for new in found:
        old = after.pop(new.key, None)
        if new.causes:
            after = {key: finding for key, finding in after.items() if not _is_superseded(finding, new)}
        after[new.key] = new if old is None else changed(new, first=old.first, runs=old.runs + 1)
    return tuple(after.values())


def _is_superseded(finding: KnownFinding, new: KnownFinding) -> bool:
    return finding.test == new.test and finding.kind in _CAUSELESS


def retained(
    known: Iterable[KnownFinding],
    ran: Mapping[str, Ran],
    is_gone: Callable[[str], bool],
    found: Iterable[KnownFinding] = (),
) -> tuple[KnownFinding, ...]:
    """What remains known after a run: without what no longer holds, or was not seen for long.

    :param ran: the tests that have run, by nodeid.
    :param is_gone: whether a test is no longer part of the suite.
    :param found: what this run has found.
    """
    fresh = {finding.key for finding in found}
    left = []
    for finding in known:
        outcome = ran.get(finding.test)
        if any(map(is_gone, (finding.test, *finding.causes))):
            continue
        if finding.key not in fresh and outcome is not None:
            if is_refuted_by(finding, outcome):
                continue
            finding = changed(finding, quiet=finding.quiet + outcome.word.good)
        if finding.quiet < _PATIENCE:
            left.append(finding)
    return tuple(left[-_MOST:])


def is_refuted_by(finding: KnownFinding, ran: Ran) -> bool:
    """Whether a run contradicts a finding: a victim passed after its polluters, a brittle test alone."""
    if ran.word is not Outcome.PASSED or ran.before is None:
        return False
    if finding.kind in (Kind.VICTIM, Kind.CONTAMINATED_CRASH):
        before = iter(ran.before)
        return bool(finding.causes) and all(cause in before for cause in finding.causes)
    return finding.kind is Kind.BRITTLE and not ran.before


# --- as plain data ---


def to_data(known: Iterable[KnownFinding]) -> dict[str, object]:
    """Findings as plain data, for a file."""
    return {"version": _VERSION, "findings": [_entry(finding) for finding in known]}


def _entry(finding: KnownFinding) -> dict[str, object]:
    return {
        "test": finding.test,
        "kind": finding.kind.value,
        "causes": list(finding.causes),
        "command": finding.command if len(finding.command) <= _LONGEST else "",
        "first": finding.first,
        "last": finding.last,
        "runs": finding.runs,
        "quiet": finding.quiet,
    }


def from_data(data: object) -> tuple[KnownFinding, ...] | None:
    """Findings from plain data, the inverse of `to_data`; None if the data are not that."""
    if not isinstance(data, dict) or data.get("version") != _VERSION:
        return None
    entries = data.get("findings")
    if not isinstance(entries, list):
        return None
    found = [_parsed(entry) for entry in entries]
    whole = [finding for finding in found if finding is not None]
    return tuple(whole) if len(whole) == len(found) else None


def _parsed(entry: object) -> KnownFinding | None:
    if not isinstance(entry, dict):
        return None
    texts = [entry.get(name) for name in ("test", "command", "first", "last")]
    causes, counts = entry.get("causes"), [entry.get(name) for name in ("runs", "quiet")]
    kinds = {kind.value: kind for kind in KEPT}
    kind = entry.get("kind")
    if not isinstance(causes, list) or not isinstance(kind, str) or kind not in kinds:
        return None
    if not all(isinstance(text, str) and len(text) <= _LONGEST for text in [*texts, *causes]):
        return None
    if not all(type(count) is int and count >= 0 for count in counts):
        return None
    test, command, first, last = map(str, texts)
    runs, quiet = (int(str(count)) for count in counts)
    return KnownFinding(test, kinds[kind], tuple(causes), command, first, last, runs, quiet)
