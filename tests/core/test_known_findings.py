"""What is known of tests from run to run: it grows by what is found, and shrinks by what contradicts it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_procpar.core.inquiry.findings import Kind
from pytest_procpar.core.inquiry.probes import Outcome
from pytest_procpar.core.recheck.known_findings import (  # fmt: skip
    KEPT,
    KnownFinding,
    Ran,
    from_data,
    is_refuted_by,
    merged,
    retained,
    to_data,
)

NAMES = st.sampled_from(["test_a", "test_b", "test_c", "test_d"])
CAUSES = st.lists(NAMES, unique=True, max_size=3).map(tuple)
DAYS = st.sampled_from(["2026-11-28", "2026-11-29"])
FINDINGS = st.builds(
    KnownFinding, NAMES, st.sampled_from(KEPT), CAUSES, st.text(max_size=9), DAYS, DAYS,
    st.integers(1, 9), st.integers(0, 9),
)  # fmt: skip
MANY = st.lists(FINDINGS, max_size=9, unique_by=lambda finding: finding.key).map(tuple)
RAN = st.builds(Ran, st.sampled_from([w for w in Outcome if w is not Outcome.LOST]), st.none() | CAUSES)
VICTIM = KnownFinding("test_v", Kind.VICTIM, ("test_p",), "pytest test_p test_v", "2026-11-28", "2026-11-28")


def never_gone(nodeid: str) -> bool:
    return False


@given(MANY)
def test_it_comes_back_from_a_file_as_it_was(known: tuple[KnownFinding, ...]) -> None:
    assert from_data(json.loads(json.dumps(to_data(known)))) == known


#: Whatever may stand in a file, some of it nearly right.
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(["version", "findings", "test", "kind", "causes", "runs", "x"]), inner, max_size=4
    ),
    max_leaves=15,
)  # fmt: skip


@given(JSON)
def test_what_is_damaged_is_told_from_what_is_not(data: Any) -> None:
    known = from_data(data)
    assert known is None or from_data(to_data(known)) == known


@pytest.mark.parametrize(
    ("name", "value"),
    [("test", 3), ("kind", "plain"), ("kind", []), ("causes", "x"), ("causes", [3]), ("runs", True),
     ("runs", -1), ("quiet", None), ("command", None), ("last", 2026), ("test", "x" * 5000)],
)  # fmt: skip
def test_an_entry_with_a_wrong_part_is_damaged(name: str, value: object) -> None:
    data = json.loads(json.dumps(to_data([VICTIM])))
    assert from_data(data) == (VICTIM,)
    data["findings"][0][name] = value
    assert from_data(data) is None


@given(MANY, MANY)
def test_what_was_found_again_is_known_since_it_was_found_first(
    known: tuple[KnownFinding, ...], found: tuple[KnownFinding, ...]
) -> None:
    old = {finding.key: finding for finding in known}
    after = {finding.key: finding for finding in merged(known, found)}
    last = {finding.test: finding for finding in found}
    for finding in last.values():
        now = after[finding.key]
        before = old.get(finding.key)
        assert now.last == finding.last
        assert now.quiet == finding.quiet
        if before is not None and now.kind not in (Kind.FLAKY, Kind.PARALLEL_ONLY):
            assert (now.first, now.runs) == (before.first, before.runs + 1)
    assert after.keys() <= old.keys() | {finding.key for finding in found}


def test_a_cause_that_is_found_supersedes_what_had_none() -> None:
    flaky = KnownFinding("test_v", Kind.FLAKY)
    other = KnownFinding("test_o", Kind.FLAKY)
    assert merged([flaky, other], [VICTIM]) == (other, VICTIM)


@given(MANY, st.dictionaries(NAMES, RAN), MANY)
def test_only_what_is_contradicted_or_gone_is_dropped(
    known: tuple[KnownFinding, ...], ran: dict[str, Ran], found: tuple[KnownFinding, ...]
) -> None:
    keys = {finding.key for finding in found}
    left = {finding.key: finding for finding in retained(known, ran, lambda name: name == "test_d", found)}
    for finding in known:
        gone = "test_d" in (finding.test, *finding.causes)
        refuted = finding.test in ran and is_refuted_by(finding, ran[finding.test])
        assert (finding.key in left) == (not gone and (finding.key in keys or not refuted))


@pytest.mark.parametrize(
    ("kind", "causes", "word", "before", "refuted"),
    [
        (Kind.VICTIM, ("p",), Outcome.PASSED, ("a", "p", "b"), True),
        (Kind.VICTIM, ("p",), Outcome.PASSED, ("a", "b"), False),
        (Kind.VICTIM, ("p",), Outcome.PASSED, None, False),
        (Kind.VICTIM, ("p",), Outcome.FAILED, ("p",), False),
        (Kind.VICTIM, ("p",), Outcome.SKIPPED, ("p",), False),
        (Kind.VICTIM, ("p", "q"), Outcome.PASSED, ("p", "a", "q"), True),
        (Kind.VICTIM, ("p", "q"), Outcome.PASSED, ("q", "p"), False),
        (Kind.VICTIM, (), Outcome.PASSED, ("q",), False),
        (Kind.CONTAMINATED_CRASH, ("p",), Outcome.PASSED, ("p",), True),
        (Kind.BRITTLE, ("s",), Outcome.PASSED, (), True),
        (Kind.BRITTLE, ("s",), Outcome.PASSED, ("a",), False),
        (Kind.BRITTLE, ("s",), Outcome.PASSED, None, False),
        (Kind.NIO, (), Outcome.PASSED, (), False),
        (Kind.FLAKY, (), Outcome.PASSED, (), False),
    ],
)
def test_a_run_contradicts_what_it_shows_to_be_otherwise(
    kind: Kind, causes: tuple[str, ...], word: Outcome, before: tuple[str, ...] | None, refuted: bool
) -> None:
    assert is_refuted_by(KnownFinding("v", kind, causes), Ran(word, before)) is refuted


def test_what_has_not_been_seen_in_a_hundred_runs_is_forgotten() -> None:
    known: tuple[KnownFinding, ...] = (KnownFinding("test_v", Kind.FLAKY),)
    ran = {"test_v": Ran(Outcome.PASSED, ())}
    for _ in range(99):
        known = retained(known, ran, never_gone)
    assert known[0].quiet == 99
    assert retained(known, {}, never_gone) == known
    assert retained(known, ran, never_gone) == ()


def test_the_oldest_go_where_there_are_too_many() -> None:
    many = [KnownFinding(f"test_{number}", Kind.FLAKY) for number in range(600)]
    assert retained(many, {}, never_gone) == tuple(many[100:])
