"""What a run has measured of tests and of the fixtures that they share, and what is expected of the next."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_procpar.core.history.durations import EMPTY, OF_TEST, DurationHistory, settings_of, smoothed
from pytest_procpar.core.history.fixture_costs import Step, paid
from pytest_procpar.core.history.forecast import Forecast, expected
from pytest_procpar.core.history.merging import merged
from pytest_procpar.core.history.recording import history_of, seen_in
from pytest_procpar.core.history.run_log import DurationLog, Ending, Timed

RAN, SKIPPED = Ending.RAN, Ending.SKIPPED


def step(nodeid: str, seconds: float, ending: Ending = RAN) -> Step:
    function = nodeid.partition("[")[0]
    return settings_of(function), function, ending, seconds


def costs(*processes: Sequence[Step], **known: float) -> dict[str, float]:
    found = paid(processes, {key.replace("_", "."): cost for key, cost in known.items()}).costs
    return {key: round(cost, 6) for key, cost in found.items()}


# --- who pays for fixtures ---


def test_the_first_test_of_a_module_pays_for_it() -> None:
    assert costs([
        step("x.py::a", 0.1), step("x.py::b", 0.1),
        step("m.py::a", 1.2), step("m.py::b", 0.2), step("m.py::c", 0.1), step("m.py::d", 0.3),
    ]) == {"x.py": 0.0, "m.py": 1.0}  # fmt: skip


def test_what_a_fixture_of_the_session_costs_is_known_once_the_module_is_seen_elsewhere() -> None:
    first = [step("m.py::a", 3.1), step("m.py::b", 0.1), step("n.py::a", 0.1), step("n.py::b", 0.1)]
    other = [step("n.py::c", 2.1), step("n.py::d", 0.1), step("m.py::c", 1.1), step("m.py::d", 0.1)]
    assert costs(first, other) == {"m.py": 1.0, "n.py": 0.0, "": 2.0}


def test_a_module_that_only_ever_came_first_is_thought_to_have_cost_it_all() -> None:
    """As in the first run of six modules with a fixture of a second each in four workers."""
    run = [[step(f"m{n}.py::{x}", 1.1 if x == "a" else 0.1) for x in "abc"] for n in range(4)]
    assert costs(*run) == {f"m{n}.py": 1.0 for n in range(4)}


def test_a_class_pays_for_itself_and_its_module_for_the_rest() -> None:
    process = [
        step("x.py::a", 0.0), step("x.py::b", 0.0),
        step("m.py::A::a", 3.0), step("m.py::A::b", 0.0), step("m.py::B::a", 1.0), step("m.py::B::b", 0.0),
    ]  # fmt: skip
    other = [step("x.py::a", 0.0), step("m.py::c", 2.0), step("m.py::A::c", 1.0), step("m.py::A::d", 0.0)]
    assert costs(process, other) == {"x.py": 0.0, "m.py": 2.0, "m.py::A": 1.0, "m.py::B": 1.0}


def test_a_module_that_is_left_is_paid_for_again() -> None:
    found = paid(
        [[step("x.py::a", 0.0), step("x.py::b", 0.0), step("m.py::a", 1.0), step("x.py::c", 0.0),
          step("m.py::b", 2.0), step("m.py::c", 0.0)]], {},
    )  # fmt: skip
    assert found.costs["m.py"] == 1.5
    assert {payment.place: payment.own for payment in found.payments}[4] == 0.0


@pytest.mark.parametrize("ending", [Ending.SKIPPED_LATE, Ending.FAILED_ODDLY, Ending.RAN_AGAIN])
def test_what_tells_nothing_of_a_set_up_is_no_payment_but_it_sets_up(ending: Ending) -> None:
    others = [step("x.py::a", 0.0), step("x.py::b", 0.0)]
    assert "m.py" not in costs(
        [*others, step("m.py::a", 5.0, ending), step("m.py::b", 0.0), step("m.py::c", 0.0)]
    )


def test_a_skipped_test_pays_nothing_but_makes_the_process_leave() -> None:
    others = [step("x.py::a", 0.0), step("x.py::b", 0.0)]
    skipped = step("m.py::a", 0.0, SKIPPED)
    assert costs([*others, skipped, step("m.py::b", 1.0), step("m.py::c", 0.0)])["m.py"] == 1.0
    left = [
        *others,
        step("m.py::a", 1.0),
        step("n.py::a", 0.0, SKIPPED),
        step("m.py::b", 3.0),
        step("m.py::c", 0.0),
    ]
    assert costs(left)["m.py"] == 2.0


def test_a_test_that_needs_more_than_others_is_compared_with_its_own_function() -> None:
    process = [
        step("x.py::a", 0.0),
        step("x.py::b", 0.0),
        step("m.py::slow[0]", 6.0),
        step("m.py::slow[1]", 5.0),
    ]
    process += [step(f"m.py::quick[{n}]", 0.0) for n in range(9)]
    assert costs(process)["m.py"] == 1.0


def test_a_class_whose_tests_all_came_first_is_compared_with_its_module() -> None:
    process = [step("m.py::a", 0.1), step("m.py::b", 0.1), step("m.py::c", 0.1), step("m.py::A::a", 1.1)]
    assert costs(process)["m.py::A"] == 1.0


def test_what_cannot_be_told_apart_is_divided_as_before() -> None:
    process = [step("m.py::a", 8.0), step("m.py::b", 0.0)]
    assert costs(process, m_py=1.0, **{"": 3.0}) == {"m.py": 2.0, "": 6.0}
    assert costs(process, **{"": 3.0}) == {"m.py": 5.0}, "the session's share is known"
    assert costs(process, m_py=1.0) == {"": 7.0}, "the module's is"
    assert costs(process, m_py=0.0, **{"": 0.0}) == {"m.py": 8.0}
    assert costs(process, **{"": 9.0}) == {"m.py": 0.0}


def test_without_others_to_compare_with_only_what_is_known_is_taken_off() -> None:
    found = paid([[step("m.py::a", 8.0)], [step("n.py::a", 8.0)]], {"m.py": 3.0, "": 1.0})
    assert found.costs == {}
    assert [payment.own for payment in found.payments] == [4.0, 7.0]


NODEIDS = st.sampled_from(
    ["a.py::t", "a.py::u[1]", "a.py::A::t", "a.py::A::B::t", "b.py::t", "b.py::A::t", "c"]
)
PROCESSES = st.lists(
    st.lists(st.builds(step, NODEIDS, st.floats(0, 100), st.sampled_from(list(Ending)))), max_size=4
)


@given(PROCESSES, st.dictionaries(st.sampled_from(["", "a.py", "a.py::A", "b.py"]), st.floats(0, 100)))
def test_no_cost_is_negative_and_nobody_pays_more_than_it_took(
    processes: list[list[Step]], known: dict[str, float]
) -> None:
    found = paid(processes, known)
    longest = max((seconds for process in processes for *_, seconds in process), default=0.0)
    assert all(0 <= cost <= longest * 1.000001 for cost in found.costs.values())
    for payment in found.payments:
        assert 0 <= payment.own <= processes[payment.process][payment.place][3]
    assert found == paid(processes, known)


@given(st.data())
def test_costs_are_found_whatever_the_order_of_modules(data: st.DataObject) -> None:
    """With tests that all take the same, and each module seen apart from the session, they are exact."""
    true = {"m0.py": 0.0, "m1.py": 2.0, "m2.py": 5.0, "m3.py": 1.0}
    orders = [data.draw(st.permutations(sorted(true))) for _ in range(3)]
    processes = [
        [
            step(f"{module}::t{n}", 0.5 + (0.0 if n else true[module]) + (0.0 if n or place else 7.0))
            for place, module in enumerate(order)
            for n in range(3)
        ]
        for order in orders
    ]
    firsts = {order[0] for order in orders}
    found = costs(*processes)
    for module, cost in true.items():
        if any(module in order[1:] for order in orders):
            assert found[module] == pytest.approx(cost)
        else:
            assert firsts == {module}
            assert found[module] == pytest.approx(cost + 7.0)


# --- the log of a run ---


def data(when: str, outcome: str = "passed", seconds: float = 1.0, **more: object) -> dict[str, object]:
    return {"$report_type": "TestReport", "when": when, "outcome": outcome, "duration": seconds, **more}


PASSED = ((0.0, 0.0, 1.0), (0.0, 0.0, 2.0), (0.0, 0.0, 3.0))


@pytest.mark.parametrize(
    ("reports", "ending", "times"),
    [
        ([], RAN, (1, 2, 3)),
        ([data("setup"), data("call", seconds=2.0), data("teardown", seconds=3.0)], RAN, (1, 2, 3)),
        ([data("setup"), data("call", "failed", 2.0), data("teardown")], Ending.FAILED, (1, 2, 1)),
        ([data("setup"), data("call"), data("teardown", "failed")], Ending.FAILED, (1, 1, 1)),
        ([data("setup", "failed"), data("teardown")], Ending.FAILED_ODDLY, (1, 0, 1)),
        ([data("setup", "skipped"), data("teardown")], SKIPPED, (1, 0, 1)),
        ([data("setup", "skipped", wasxfail="[NOTRUN]"), data("teardown")], SKIPPED, (1, 0, 1)),
        ([data("setup"), data("call", "skipped"), data("teardown")], Ending.SKIPPED_LATE, (1, 1, 1)),
        ([data("setup"), data("call", "skipped", wasxfail=""), data("teardown")], RAN, (1, 1, 1)),
        ([data("setup"), data("call", "skipped"), data("teardown", "failed")], Ending.FAILED, (1, 1, 1)),
        (
            [data("setup", seconds=9.0), data("call", "rerun"), data("teardown"),
             data("setup"), data("call", seconds=5.0), data("teardown")],
            Ending.RAN_AGAIN, (1, 5, 1),
        ),
        (
            [data("setup"), data("call", "rerun"), data("teardown"), data("setup"), data("call", "failed"),
             data("teardown")],
            Ending.FAILED_ODDLY, (1, 1, 1),
        ),
        (
            [data("setup"), {**data("call", "failed"), "$report_type": "SubtestReport"},
             data("call", seconds=4.0), data("teardown")],
            RAN, (1, 4, 1),
        ),
        ([data("setup"), data("call", seconds="x"), data("teardown")], RAN, (1, 0, 1)),  # type: ignore[arg-type]
    ],
)  # fmt: skip
def test_what_the_reports_of_a_test_tell(
    reports: list[dict[str, object]], ending: Ending, times: tuple[float, ...]
) -> None:
    log = DurationLog()
    for report in reports:
        log.reported(0, report)
    log.ended("gw0", 0, None if reports else PASSED)
    assert log.processes(["a"], None, ()) == [[Timed("a", ending, *times)]]


def test_a_test_that_began_again_in_another_worker_and_then_passed() -> None:
    log = DurationLog()
    log.reported(0, data("setup", seconds=9.0))
    log.ended("gw1", 0, PASSED)
    assert log.processes(["a"], None, ()) == [[Timed("a", Ending.RAN_AGAIN, 1, 2, 3)]]


def test_what_never_ended_is_not_there() -> None:
    log = DurationLog()
    log.reported(0, data("setup"))
    log.ended("gw0", 1, None)  # which nothing was reported of
    log.reported(2, data("setup"))
    log.reported(2, data("teardown"))
    log.ended("gw0", 2, None)  # it was interrupted
    assert log.processes(["a", "b", "c"], None, ()) == []


def test_processes_are_those_of_workers_of_renewed_ones_and_of_tests_with_their_own() -> None:
    log = DurationLog()
    for worker, test in [(0, 0), (1, 1), (0, 2), (0, 3), (0, 4), (0, 6)]:
        log.ended(worker, test, PASSED)

    def names(a_process: int | None, apart: Sequence[int]) -> list[list[str]]:
        found = log.processes(["a", "b", "c", "d", "e"], a_process, apart)
        return sorted([test.nodeid for test in process] for process in found)

    assert names(None, ()) == [["a", "c", "d", "e", "b"], ["b"]]
    assert names(2, ()) == [["a", "c"], ["b"], ["b"], ["d", "e"]]
    assert names(2, [2]) == [["a", "d"], ["b"], ["c"], ["e", "b"]]


# --- what is recorded ---


def record(known: DurationHistory, *tests: Timed, ident: str = "", now: float = 0.0) -> DurationHistory:
    """The history after a run of one process."""
    new = history_of(seen_in([tests], known), known, ident or f"run {len(known.runs)}", now)
    return merged([known, new])


def test_a_run_is_later_than_all_it_knows_whatever_the_clock_says() -> None:
    known = record(EMPTY, Timed("a.py::t", RAN, 0, 1, 0), now=5_000.7)
    after = record(known, Timed("a.py::t", RAN, 0, 2, 0), now=100.0)
    assert [past.time for past in after.runs.values()] == [5_000, 5_001]
    assert after.row("a.py::t") == [2, 0, 2_000_000, 0, 1, 0, 1_000_000, 0]


@pytest.mark.parametrize("ending", [Ending.FAILED, Ending.FAILED_ODDLY])
def test_a_test_that_failed_counts_only_if_it_took_longer(ending: Ending) -> None:
    known = record(EMPTY, Timed("a.py::t", RAN, 0, 10, 0))
    assert record(known, Timed("a.py::t", ending, 0, 9, 0)).row("a.py::t") == known.row("a.py::t")
    assert record(known, Timed("a.py::t", ending, 0, 20, 0)).row("a.py::t") != known.row("a.py::t")
    assert record(EMPTY, Timed("a.py::t", ending, 0, 9, 0)).row("a.py::t") == [1, 0, 9_000_000, 0]


@pytest.mark.parametrize("ending", [SKIPPED, Ending.SKIPPED_LATE])
def test_a_skipped_test_takes_nothing_only_as_long_as_it_never_ran(ending: Ending) -> None:
    skipped = record(EMPTY, Timed("a.py::t", ending, 0, 0, 0))
    assert skipped.row("a.py::t") == [1]
    assert record(skipped, Timed("a.py::t", ending, 0, 0, 0)).row("a.py::t") == [2]
    ran = record(skipped, Timed("a.py::t", RAN, 0, 10, 0))
    assert ran.row("a.py::t") == [2, 0, 10_000_000, 0]
    assert record(ran, Timed("a.py::t", ending, 0, 0, 0)).row("a.py::t") == ran.row("a.py::t")


def test_several_times_of_one_nodeid_are_their_mean() -> None:
    known = record(
        EMPTY,
        Timed("a.py::t", RAN, 0, 1, 0),
        Timed("a.py::t", RAN, 0, 3, 0),
        Timed("a.py::t", SKIPPED, 0, 0, 0),
    )
    assert known.row("a.py::t") == [1, 0, 2_000_000, 0]
    known = record(EMPTY, Timed("a.py::t", SKIPPED, 0, 0, 0), Timed("a.py::t", RAN, 0, 3, 0))
    assert known.row("a.py::t") == [1, 0, 3_000_000, 0]


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -1.0, 1e8])
def test_what_is_no_time_is_not_recorded(seconds: float) -> None:
    known = record(EMPTY, Timed("a.py::t", RAN, 0, seconds, 0), Timed("a.py::u", RAN, seconds, 0, 0))
    assert known.count == 0
    assert known.runs == {}


def test_endless_nodeids_are_not_recorded() -> None:
    assert record(EMPTY, Timed(f"a.py::t[{'x' * 5_000}]", RAN, 0, 1, 0)).count == 0


def test_fixtures_that_tests_share_are_recorded_apart() -> None:
    tests = [
        Timed("x.py::t", RAN, 0.5, 1.0, 0.0), Timed("x.py::u", RAN, 0.5, 1.0, 0.0),
        Timed("m.py::t", RAN, 3.5, 1.0, 0.1), Timed("m.py::u", RAN, 0.5, 1.0, 0.1),
        Timed("m.py::v", RAN, 0.5, 1.0, 0.6), Timed("y.py::u", RAN, 0.0, 1.0, 0.0),
        Timed("y.py::v", RAN, 0.0, 1.0, 0.0),
    ]  # fmt: skip
    known = record(EMPTY, *tests)
    assert known.settings == {"m.py": [1, 3_000_000, 500_000]}
    assert (
        known.row("m.py::t")
        == known.row("m.py::u")
        == known.row("m.py::v")
        == [1, 500_000, 1_000_000, 100_000]
    )
    forecast = Forecast(known)
    assert forecast.settings() == {"m.py": 3.5}
    assert forecast.durations(["m.py::t", "x.py::t"]) == [1.6, 1.5]
    cheap = record(known, *(Timed(t.nodeid, RAN, 0.0, 1.0, 0.0) for t in tests))
    assert cheap.settings["m.py"] == [2, 0, 0, 1, 3_000_000, 500_000], "that it has become cheap is noted"


# --- what the next run is to expect ---


def test_unknown_tests_take_the_median_of_their_function_their_module_or_the_suite() -> None:
    known = record(
        EMPTY,
        *(Timed(f"a.py::f[{n}]", RAN, 0, float(n), 0) for n in (1, 2, 30)),
        *(Timed(f"a.py::{name}", RAN, 0, 100.0, 0) for name in "ghij"),
        *(Timed(f"b.py::{name}", RAN, 0, 7.0, 0) for name in "abcdefghi"),
        *(Timed(f"s.py::{name}", SKIPPED, 0, 0.0, 0) for name in "abc"),
    )
    wanted = [
        "a.py::f[1]",
        "a.py::f[new]",
        "a.py::new",
        "a.py::A::f[1]",
        "c.py::f[1]",
        "s.py::a",
        "s.py::new",
    ]
    assert Forecast(known).durations(wanted) == [1.0, 2.0, 100.0, 100.0, 7.0, 0.0, 7.0]


@given(st.lists(st.lists(st.integers(0, 10**13), min_size=3, max_size=3), max_size=3))
def test_what_is_expected_is_what_is_smoothed(times: list[list[int]]) -> None:
    row = [number for run, some in enumerate(times, 1) for number in (4 - run, *some)] or [1]
    assert expected(row) == pytest.approx(sum(smoothed(row, OF_TEST)))


def test_nothing_is_expected_where_nothing_is_known() -> None:
    assert Forecast(EMPTY).durations(["a.py::t", "b.py::t"]) == [None, None]
    skipped = record(EMPTY, Timed("a.py::t", SKIPPED, 0, 0, 0))
    assert Forecast(skipped).durations(["a.py::t", "a.py::u"]) == [0.0, None]
    assert Forecast(EMPTY).settings() == {}
