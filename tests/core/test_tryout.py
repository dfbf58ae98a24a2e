"""What runs in different ways have come to: where they differ, and what follows for whoever may switch."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_procpar.core.inquiry.finding_record import FindingRecord
from pytest_procpar.core.inquiry.findings import Kind
from pytest_procpar.core.switching.plugin_notes import plugin_notes
from pytest_procpar.core.switching.tryout import (  # fmt: skip
    Advice,
    Dependence,
    RunFacts,
    advise,
    dependences,
    differences,
    fails_only_in,
    saved,
    ungrouped,
)

OUTCOMES = st.dictionaries(
    st.sampled_from("abcde"),
    st.lists(st.sampled_from(["passed", "failed"]), min_size=1, max_size=3).map(tuple),
)
NAMES = st.lists(st.sampled_from("abcde"), max_size=3, unique=True).map(tuple)
FOUND = st.lists(
    st.builds(Dependence, st.sampled_from("vwxyz"), st.sampled_from([k.value for k in Kind]), NAMES, NAMES)
)


def facts(outcomes: dict[str, tuple[str, ...]], wall: float = 1.0) -> RunFacts:
    return RunFacts(0, wall, 1.0, outcomes)


@given(OUTCOMES)
def test_a_run_does_not_differ_from_itself(outcomes: dict[str, tuple[str, ...]]) -> None:
    assert differences(facts(outcomes), facts({test: outcomes[test][::-1] for test in outcomes})) == []


@given(OUTCOMES, OUTCOMES)
def test_what_differs_for_one_differs_for_the_other(
    one: dict[str, tuple[str, ...]], two: dict[str, tuple[str, ...]]
) -> None:
    there = {(d.test, d.plain, d.other) for d in differences(facts(one), facts(two))}
    back = {(d.test, d.other, d.plain) for d in differences(facts(two), facts(one))}
    assert there == back
    assert {test for test, _, _ in there} <= one.keys() | two.keys()
    assert all(before != after for _, before, after in there)


def test_tests_that_only_one_run_has_are_named_last() -> None:
    found = differences(
        facts({"a": ("passed",), "b": ("passed",)}), facts({"c": ("failed",), "b": ("passed",)})
    )
    assert [(one.test, one.plain, one.other) for one in found] == [
        ("a", "passed", "not there"),
        ("c", "not there", "failed"),
    ]


@pytest.mark.parametrize(("plain", "other", "part"), [(2.0, 1.0, 0.5), (1.0, 2.0, -1.0), (0.0, 1.0, 0.0)])
def test_what_is_saved_is_a_part_of_the_plain_time(plain: float, other: float, part: float) -> None:
    assert saved(facts({}, plain), facts({}, other)) == part


@given(FOUND, st.sampled_from(["", "spawn"]))
def test_each_dependence_that_can_be_helped_is_advised_on(found: list[Dependence], method: str) -> None:
    advice = advise(found, method, "it holds a socket")
    named = {test for one in advice for test in one.tests}
    for one in found:
        if one.kind in (
            Kind.PARALLEL_ONLY.value,
            Kind.FLAKY.value,
            Kind.NIO.value,
            Kind.FORK_DEPENDENT.value,
        ):
            assert one.test in named
        if one.kind in (Kind.VICTIM.value, Kind.BRITTLE.value) and one.causes:
            assert one.causes[0] in named
    options = [one.option for one in advice if one.option is not None]
    assert len(options) <= 1
    assert bool(options) == (bool(method) or any(one.kind == Kind.FORK_DEPENDENT.value for one in found))


def test_one_polluter_of_many_is_marked_once() -> None:
    victims = [Dependence(f"t.py::test_{number}", "victim", ("t.py::test_p",)) for number in range(5)]
    (one,) = advise(victims, "", "")
    assert (one.tests, one.mark) == (("t.py::test_p",), "isolated")
    assert one.text == (
        "mark t.py::test_p with @pytest.mark.isolated, or let it undo what it changes: "
        "t.py::test_0, t.py::test_1, t.py::test_2 and 2 more fail after it"
    )


@pytest.mark.parametrize(
    ("found", "tests", "mark"),
    [
        (Dependence("t.py::b", "brittle", ("t.py::s[1]",)), ("t.py::s[1]", "t.py::b"), 'xdist_group("s")'),
        (
            Dependence("t.py::T::p", "parallel-only", (), ("u.py::q",)),
            ("t.py::T::p", "u.py::q"),
            'xdist_group("p")',
        ),
    ],
)
def test_what_must_share_a_worker_gets_a_group(found: Dependence, tests: tuple[str, ...], mark: str) -> None:
    (one,) = advise([found], "", "")
    assert (one.tests, one.mark) == (tests, mark)
    assert "--dist=loadgroup" in one.text


def test_a_method_that_is_needed_is_pinned_with_its_reason() -> None:
    (one,) = advise([], "spawn", "conftest.py:3 opens a socket")
    assert one.option == ("procpar_start_method", "spawn")
    assert "conftest.py:3 opens a socket" in one.text
    (one,) = advise([Dependence("t.py::f", "fork-dependent")], "fork-early", "so")
    assert one == Advice(
        'pin procpar_start_method = "spawn": t.py::f fails in forked workers only',
        ("t.py::f",),
        option=("procpar_start_method", "spawn"),
    )


def finding(kind: str, *, flagged: bool = True, collection: bool = False) -> FindingRecord:
    return {
        "kind": kind, "flagged": flagged, "collection_dependent": collection,
        "test": {"nodeid": "t", "index": 0},
        "causes": [{"nodeid": "c", "index": 1}], "beside": [],
        "message": "", "note": "", "tallies": [],
        "commands": [
            {"command": "pytest c t", "expected": "failed", "outcome": "failed"},
            {"command": "pytest t", "expected": "passed", "outcome": "passed"},
        ],
    }  # fmt: skip


def test_only_what_is_flagged_is_a_dependence() -> None:
    assert dependences([finding("plain"), finding("unknown"), finding("victim", flagged=False)]) == []
    assert dependences([finding("victim")]) == [Dependence("t", "victim", ("c",), (), "pytest c t")]
    (one,) = dependences([finding("plain", collection=True)])
    assert advise([one], "", "")[0].tests == ("t",)


def test_plugins_are_known_however_their_names_are_written() -> None:
    names = [
        name for name, _ in plugin_notes(["Pytest_Benchmark", "pytest.order", "pytest-cov", "pytest-order"])
    ]
    assert names == ["pytest-benchmark", "pytest-order"]


@pytest.mark.parametrize(
    ("one", "other", "only"),
    [
        ("failed", "passed", True),
        ("error", "skipped", True),
        ("passed", "failed", False),
        ("failed", "failed", False),
        ("failed", None, False),
        ("xfailed", "passed", False),
    ],
)
def test_a_failure_of_one_run_alone_tells_where_to_look(one: str, other: str | None, only: bool) -> None:
    there: dict[str, tuple[str, ...]] = {"t": (other,)} if other is not None else {}
    assert fails_only_in(facts({"t": (one,)}), facts(there)) is only


def test_groups_in_nodeids_are_no_difference() -> None:
    plain = facts({"t.py::a": ("passed",), "t.py::b[x@y]": ("passed",), "t.py::c": ("passed",)})
    other = facts({"t.py::a@one": ("passed",), "t.py::b[x@y]@two": ("passed",), "t.py::d@e": ("passed",)})
    assert dict(ungrouped(other, plain).outcomes) == {
        "t.py::a": ("passed",),
        "t.py::b[x@y]": ("passed",),
        "t.py::d@e": ("passed",),
    }
