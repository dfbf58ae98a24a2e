"""What was known before a run is recalled where it matters, in one line a test."""

from __future__ import annotations

import pytest

from pytest_procpar.core.inquiry.findings import Kind, Tally
from pytest_procpar.core.inquiry.probes import Outcome
from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.recheck.known_findings import KnownFinding, Ran
from pytest_procpar.core.recheck.recalling import recalled
from pytest_procpar.core.recheck.retrial import Claim, Retried
from pytest_procpar.core.record import changed

COMMAND = "pytest test_p test_v"
KNOWN = KnownFinding("test_v", Kind.VICTIM, ("test_p",), COMMAND, "2026-11-20", "2026-11-28", runs=3)
FAILED = {"test_v": Ran(Outcome.FAILED, ("test_p",))}
PASSED = {"test_v": Ran(Outcome.PASSED, ())}
NOTHING: frozenset[str] = frozenset()
VICTIM = frozenset(["test_v"])


def test_what_is_found_again_is_said_to_be_known_since() -> None:
    again = changed(KNOWN, runs=4)
    assert recalled([KNOWN], [again], [KNOWN], FAILED, NOTHING, []) == [
        "test_v is again a victim of test_p (seen in 4 runs, first seen on 2026-11-20)"
    ]


@pytest.mark.parametrize(
    ("kind", "causes", "what"),
    [
        (Kind.BRITTLE, ("test_s",), "brittle: it needs test_s"),
        (Kind.NIO, (), "an NIO: it fails when it is run a second time in the same process"),
        (Kind.FLAKY, (), "flaky"),
    ],
)
def test_whatever_is_found_again_is_said_in_the_words_of_what_is_known(
    kind: Kind, causes: tuple[str, ...], what: str
) -> None:
    known = changed(KNOWN, kind=kind, causes=causes)
    (line,) = recalled([known], [known], [known], FAILED, NOTHING, [])
    assert line == f"test_v is again {what} (seen in 3 runs, first seen on 2026-11-20)"


@pytest.mark.parametrize(("count", "names"), [(2, "t0, t1"), (7, "t0, t1, t2, t3, t4 and 2 more")])
def test_tests_that_are_again_the_same_share_a_line(count: int, names: str) -> None:
    known = [changed(KNOWN, test=f"t{number}") for number in range(count)]
    ran = {one.test: Ran(Outcome.FAILED, ("test_p",)) for one in known}
    assert recalled(known, known, known, ran, NOTHING, []) == [
        f"each of {count} tests is again a victim of test_p"
        f" (seen in 3 runs, first seen on 2026-11-20): {names}"
    ]


def test_what_fails_and_was_not_looked_into_is_recalled() -> None:
    assert recalled([KNOWN], [KNOWN], [], FAILED, NOTHING, []) == [
        "test_v failed; it is known as a victim of test_p (seen in 3 runs, first seen on 2026-11-20): "
        f"{COMMAND}"
    ]


def test_what_is_found_to_be_something_else_is_not_recalled() -> None:
    other = KnownFinding("test_v", Kind.BRITTLE, ("test_s",))
    assert recalled([KNOWN], [KNOWN, other], [other], FAILED, NOTHING, []) == []


def test_what_failed_before_and_passes_now_is_recalled_once() -> None:
    once = changed(KNOWN, runs=1)
    assert recalled([once], [once], [], PASSED, VICTIM, []) == [
        f"test_v passed; it is a victim of test_p (seen in 1 run, on 2026-11-28): {COMMAND}"
    ]
    assert recalled([KNOWN], [KNOWN], [], PASSED, NOTHING, []) == []
    assert recalled([KNOWN], [], [], PASSED, VICTIM, []) == []


def test_what_passes_after_its_polluter_is_no_victim_any_more() -> None:
    ran = {"test_v": Ran(Outcome.PASSED, ("test_p",))}
    assert recalled([KNOWN], [], [], ran, VICTIM, []) == [
        "test_v passed, and is no longer a victim of test_p: that is forgotten"
    ]


@pytest.mark.parametrize(
    ("holds", "words"),
    [
        (True, "test_v is still a victim of test_p (failures: alone 0 of 3)"),
        (False, "test_v is no longer a victim of test_p (failures: alone 0 of 3): that is forgotten"),
        (None, "test_v: whether it is still a victim of test_p could not be found out: a process was lost"),
    ],
)
def test_what_was_tried_again_says_whether_it_holds(holds: bool | None, words: str) -> None:
    claim = Claim(TestIndex(1), Kind.VICTIM, (TestIndex(0),), KNOWN)
    retried = Retried(claim, holds, (Tally("alone", 0, 3),))
    assert recalled([KNOWN], [KNOWN], [KNOWN], FAILED, VICTIM, [retried]) == [words]


def test_of_several_findings_of_a_test_the_latest_is_recalled() -> None:
    newer = KnownFinding("test_v", Kind.FLAKY, first="2026-11-28", last="2026-11-28")
    assert recalled([KNOWN, newer], [KNOWN, newer], [], PASSED, VICTIM, []) == [
        "test_v passed; it is flaky (seen in 1 run, on 2026-11-28)"
    ]
