"""What a red run asks first, what it does not ask, and what is said if there is no time for more."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_procpar.core.inquiry.failing_alone import affordable, on_its_own
from pytest_procpar.core.inquiry.findings import NOT_RECHECKED, Finding, Kind, Suspect, Tally
from pytest_procpar.core.inquiry.inquiry import Inquiry
from pytest_procpar.core.inquiry.probes import Outcome, Probe, ProbeResult
from pytest_procpar.core.inquiry.trials import ALONE, IN_TURN
from pytest_procpar.core.model import TestIndex
from tests.core.pollution import HEALTHY, Bench, Indices, Model, Stopped, Suite, flags, ids, run

_A = flags("a")
_SETS = Model(sets=_A)
_VICTIM = Model(victim_of=_A)
_BRITTLE = Model(brittle_for=_A)
_FAILS = Model(always=True)
_HANGS = Model(always=True, how=Outcome.HUNG)


class Clocked(Bench):
    """Gives no time for some probes, and for none any more after one that takes all that is left."""

    def __init__(self, suite: Suite, has_time: Callable[[Probe], bool], concurrency: int = 1) -> None:
        super().__init__(suite, concurrency)
        self._has_time = has_time

    def answer(self, batch: Sequence[Probe]) -> list[ProbeResult]:
        begun = [probe for probe in batch if self._has_time(probe)]
        outcomes = dict(zip(begun, super().answer(begun), strict=True))
        return [outcomes.get(probe, ProbeResult((), in_time=False)) for probe in batch]


def look_into(
    models: Iterable[Model],
    suspects: Sequence[Suspect],
    has_time: Callable[[Probe], bool] = lambda probe: True,
    *,
    kept: Callable[[Indices], Indices] = lambda tests: tests,
    thorough: int = 0,
    concurrency: int = 1,
) -> tuple[list[Finding], Clocked]:
    bench = Clocked(Suite([*models]), has_time, concurrency)
    inquiry = Inquiry(
        suspects,
        lambda test: ids(*range(test)),
        lambda test: test // 10,
        concurrency,
        affordable=kept,
        thorough=thorough,
    )
    run(inquiry.steps(), bench)
    return inquiry.findings(), bench


def failed(
    test: int,
    root: int | None = None,
    after: Indices = (),
    *,
    beside: tuple[Indices, ...] = (),
    alike: bool = False,
    contention: bool = False,
) -> Suspect:
    return Suspect(TestIndex(test), Outcome.FAILED, after, None, beside, root, alike, contention)


def hung(test: int) -> Suspect:
    return Suspect(TestIndex(test), Outcome.HUNG, failed_after=())


def is_short(probe: Probe) -> bool:
    return len(probe.tests) <= 10


# --- what there is no time for ---


@pytest.mark.parametrize("model", [_FAILS, _BRITTLE])
def test_what_fails_alone_is_not_called_plain_if_it_was_not_tried_after_all(model: Model) -> None:
    models = [_SETS, *[HEALTHY] * 30, model]
    (finding,), _ = look_into(models, [failed(31, after=ids(5, 30))], is_short)
    assert (finding.kind, finding.note) == (Kind.FAILS_ALONE, "not tried after 29 tests before it")


def test_what_has_failed_in_the_run_after_all_that_precede_it_is_plain_after_no_long_probe() -> None:
    (finding,), bench = look_into(
        [*[HEALTHY] * 30, _FAILS], [failed(30, after=ids(*range(30)))], lambda probe: len(probe.tests) == 1
    )
    assert (finding.kind, finding.note) == (Kind.PLAIN, "")
    assert all(len(probe.tests) == 1 for probe in bench.probes)


def test_what_is_seen_in_the_run_and_in_probes_counts_together() -> None:
    models = [*[HEALTHY] * 25, _FAILS]
    (finding,), _ = look_into(
        models, [failed(25, after=ids(*range(20)))], is_short
    )  # the other five are of its file
    assert finding.kind is Kind.PLAIN


def test_a_setter_is_found_among_those_for_which_there_is_time() -> None:
    models = [*[HEALTHY] * 12, _SETS, *[HEALTHY] * 27, _BRITTLE]
    (finding,), bench = look_into(
        models, [failed(40)], kept=lambda tests: tuple(t for t in tests if t % 3 == 0)
    )
    assert (finding.kind, finding.cause) == (Kind.BRITTLE, ids(12))
    assert {test for probe in bench.probes for test in probe.tests if test % 3} == {40}


def test_if_there_is_no_time_for_all_it_is_tried_after_what_it_has_not_failed_after() -> None:
    models = [*[HEALTHY] * 30, _FAILS]
    (finding,), bench = look_into(
        models, [failed(30, after=ids(*range(0, 30, 2)))], kept=lambda tests: tests if len(tests) < 20 else ()
    )
    assert finding.kind is Kind.PLAIN
    assert max((probe.tests for probe in bench.probes), key=len) == ids(*range(1, 30, 2), 30)


def test_what_could_not_be_run_at_all_says_so() -> None:
    findings, _ = look_into([HEALTHY, _FAILS], [failed(1)], lambda probe: False)
    assert [(finding.kind, finding.note) for finding in findings] == [(Kind.UNKNOWN, NOT_RECHECKED)]


def test_one_suspect_for_which_there_is_no_time_leaves_no_other_unsettled() -> None:
    models = [_SETS, *[HEALTHY] * 5, _FAILS, _VICTIM, _FAILS]
    suspects = [failed(8), failed(7, after=ids(*range(6))), failed(6)]
    findings, _ = look_into(models, suspects, lambda probe: probe.tests != ids(8))
    assert [finding.kind for finding in findings] == [Kind.UNKNOWN, Kind.VICTIM, Kind.PLAIN]


@given(st.integers(0, 30), st.integers(0, 40))
def test_nothing_is_said_that_was_not_seen_however_early_the_time_is_over(place: int, most: int) -> None:
    asked = 0

    def has_time(probe: Probe) -> bool:
        nonlocal asked
        asked += 1
        return asked <= most

    models = [*[HEALTHY] * 31, _BRITTLE, _VICTIM]
    models[place] = _SETS
    brittle, victim = look_into(models, [failed(31), failed(32, after=ids(*range(31)))], has_time)[0]
    assert brittle.kind in (Kind.BRITTLE, Kind.FAILS_ALONE, Kind.UNKNOWN)
    assert victim.kind in (Kind.VICTIM, Kind.UNKNOWN)
    assert brittle.note or brittle.cause == ids(place)
    assert victim.note or victim.cause == ids(place)


def test_what_is_known_is_said_however_early_the_inquiry_is_left() -> None:
    models = [*[HEALTHY] * 3, _FAILS, _SETS, HEALTHY, _VICTIM]
    kinds = []
    for steps in range(1, 6):
        inquiry = Inquiry(
            [failed(6, after=ids(4, 5)), failed(3)], lambda test: ids(*range(test)), lambda test: test // 2
        )
        with pytest.raises(Stopped):
            run(inquiry.steps(), Bench(Suite(models)), steps=steps)
        kinds.append([finding.kind for finding in inquiry.findings()])
    assert kinds[0] == [Kind.UNKNOWN, Kind.FAILS_ALONE]
    assert kinds[-1] == [Kind.UNKNOWN, Kind.PLAIN]


# --- what hangs ---


def test_what_hung_comes_last_and_takes_nothing_from_the_others() -> None:
    models = [_HANGS, _SETS, HEALTHY, _VICTIM, _FAILS]
    suspects = [hung(0), failed(3, after=ids(1, 2)), failed(4)]
    findings, bench = look_into(models, suspects, concurrency=2)
    assert [finding.kind for finding in findings] == [Kind.PLAIN, Kind.VICTIM, Kind.PLAIN]
    of_hung = [at for at, probe in enumerate(bench.probes) if probe.tests[-1] == 0]
    assert of_hung == list(range(len(bench.probes) - len(of_hung), len(bench.probes)))


def test_what_hangs_alone_is_waited_for_once_unless_there_is_time_for_all() -> None:
    models = [*[HEALTHY] * 30, _HANGS]
    (finding,), bench = look_into(models, [hung(30)])
    assert (finding.kind, len(bench.probes)) == (Kind.FAILS_ALONE, 1)
    (finding,), bench = look_into(models, [hung(30)], thorough=1)
    assert finding.kind is Kind.PLAIN
    assert len(bench.probes) > 1


# --- roots ---


def test_of_the_errors_of_one_fixture_one_is_tried() -> None:
    models = [HEALTHY, *[_FAILS] * 30]
    findings, bench = look_into(models, [failed(i, 7, alike=True) for i in range(1, 31)])
    assert {finding.kind for finding in findings} == {Kind.PLAIN}
    assert {probe.tests[-1] for probe in bench.probes} == {1}


@pytest.mark.parametrize("concurrency", [1, 4])
def test_of_other_failures_of_a_root_each_is_tried_once(concurrency: int) -> None:
    models = [HEALTHY, *[_FAILS] * 60]
    findings, bench = look_into(models, [failed(i, i % 3) for i in range(1, 61)], concurrency=concurrency)
    assert {finding.kind for finding in findings} == {Kind.PLAIN}
    assert all(sum(probe.tests[-1] == test for probe in bench.probes) == 1 for test in range(4, 61))


def test_what_does_not_agree_with_its_root_is_looked_into_by_itself() -> None:
    models = [_SETS, HEALTHY, _FAILS, _VICTIM, _FAILS]
    findings, _ = look_into(models, [failed(2, 0), failed(3, 0, ids(0, 1)), failed(4, 0)])
    assert [finding.kind for finding in findings] == [Kind.PLAIN, Kind.VICTIM, Kind.PLAIN]
    assert findings[1].cause == ids(0)


def test_a_fixture_that_fails_after_a_polluter_makes_all_its_tests_victims() -> None:
    models = [_SETS, *[_VICTIM] * 4]
    suspects = [failed(i, 0, ids(*range(i)), alike=True) for i in range(1, 5)]
    findings, _ = look_into(models, suspects)
    assert {(finding.kind, finding.cause) for finding in findings} == {(Kind.VICTIM, ids(0))}


def test_a_root_that_is_brittle_settles_no_other_without_a_look() -> None:
    models = [_SETS, HEALTHY, _BRITTLE, _FAILS]
    findings, _ = look_into(models, [failed(2, 0), failed(3, 0)])
    assert [finding.kind for finding in findings] == [Kind.BRITTLE, Kind.PLAIN]


def test_with_time_enough_brittle_tests_hide_behind_no_root() -> None:
    models = [_SETS, HEALTHY, _FAILS, _BRITTLE]
    findings, _ = look_into(models, [failed(2, 0), failed(3, 0)], thorough=2)
    assert [finding.kind for finding in findings] == [Kind.PLAIN, Kind.BRITTLE]


def test_of_tests_that_want_one_port_one_is_seen_to_fail_beside_others() -> None:
    port = frozenset(range(1, 6))
    models = [HEALTHY, *[Model(collides=port)] * 5]
    suspects = [failed(i, 0, beside=(ids(*sorted(port - {i})),), contention=True) for i in sorted(port)]
    findings, bench = look_into(models, suspects, concurrency=2)
    assert {finding.kind for finding in findings} == {Kind.PARALLEL_ONLY}
    assert [bool(finding.beside) for finding in findings] == [True, *[False] * 4]
    assert [probe.tests for probe in bench.probes] == [ids(1), ids(1), ids(1, 2, 3, 4, 5)]
    assert all(Tally(IN_TURN, 0, 1) in finding.tallies for finding in findings)


def test_with_time_enough_too_one_is_seen_of_tests_that_want_one_port() -> None:
    models = [HEALTHY, *[Model(collides=frozenset(range(1, 6)))] * 5]
    suspects = [failed(i, 0, beside=(ids(6 - i),), contention=True) for i in (1, 2, 4, 5)]
    _, bench = look_into(models, suspects, concurrency=2, thorough=4)
    assert [probe.tests for probe in bench.probes] == [ids(1), ids(1), ids(1, 2, 4, 5)]


def test_of_tests_that_want_one_port_those_are_told_to_pass_in_turn_that_have_done_so_in_time() -> None:
    class Cut(Clocked):
        def answer(self, batch: Sequence[Probe]) -> list[ProbeResult]:
            outcomes = super().answer(batch)
            return [
                outcome if len(outcome.words) < 4 else ProbeResult(outcome.words[:2], in_time=False)
                for outcome in outcomes
            ]

    models = [HEALTHY, *[Model(collides=frozenset(range(1, 6)))] * 5]
    suspects = [failed(i, 0, beside=(ids(6 - i),), contention=True) for i in (1, 2, 4, 5)]
    bench = Cut(Suite(models), lambda probe: True, 2)
    inquiry = Inquiry(suspects, lambda test: (), lambda test: 0, 2)
    run(inquiry.steps(), bench)
    findings = inquiry.findings()
    assert {finding.kind for finding in findings} == {Kind.PARALLEL_ONLY}
    assert [Tally(IN_TURN, 0, 1) in finding.tallies for finding in findings] == [True, True, False, False]


@pytest.mark.parametrize(("odd", "kind"), [(_FAILS, Kind.PLAIN), (_VICTIM, Kind.VICTIM)])
def test_what_fails_in_turn_with_those_of_its_port_is_looked_into_by_itself(odd: Model, kind: Kind) -> None:
    port = frozenset(range(1, 5))
    meets = Model(collides=port)
    models = [HEALTHY, meets, Model(collides=port, sets=_A), odd, meets]
    suspects = [failed(i, 0, ids(*range(i)), beside=(ids(i % 4 + 1),), contention=True) for i in (1, 2, 3, 4)]
    findings, _ = look_into(models, suspects, concurrency=2)
    assert [finding.kind for finding in findings] == [
        Kind.PARALLEL_ONLY,
        Kind.PARALLEL_ONLY,
        kind,
        Kind.PARALLEL_ONLY,
    ]


def test_of_what_ran_beside_the_only_one_that_failed_so_it_is_told_who_has_what_it_wants() -> None:
    models = [HEALTHY, Model(collides=frozenset(ids(3))), HEALTHY, Model(collides=frozenset(ids(1)))]
    suspect = failed(3, 0, beside=(ids(0, 1, 2),), contention=True)
    (finding,), _ = look_into(models, [suspect], concurrency=2)
    assert (finding.kind, finding.beside) == (Kind.PARALLEL_ONLY, ids(1))


def test_cheap_probes_of_other_roots_come_before_company() -> None:
    models = [HEALTHY, *[Model(collides=frozenset(range(1, 3)))] * 2, *[_FAILS] * 4]
    suspects = [failed(i, 0, beside=(ids(3 - i),), contention=True) for i in (1, 2)]
    _, bench = look_into(models, [*suspects, *(failed(i, 1) for i in range(3, 7))], concurrency=2)
    (first, *_) = (at for at, probe in enumerate(bench.probes) if probe.beside)
    assert {probe.tests[-1] for probe in bench.probes[:first]} == {1, 3, 4, 5, 6}


def test_what_is_settled_or_searched_is_not_compared_with_all_tests_at_each_step() -> None:
    """A search asks for the findings before each probe: that would take the square of the tests."""
    asked: list[int] = []

    def preceding(test: TestIndex) -> Indices:
        asked.append(test)
        return ids(*range(test))

    models = [_SETS, *[HEALTHY] * 60, _BRITTLE, _FAILS]
    bench = Clocked(Suite(models), lambda probe: True, 1)
    inquiry = Inquiry([failed(61), failed(62)], preceding, lambda test: 0)
    steps = inquiry.steps()
    probes = next(steps)
    with suppress(StopIteration):
        while True:
            probes = steps.send(bench.answer(probes))
            if inquiry.searching:
                before = len(asked)
                inquiry.findings()
                assert len(asked) == before
    assert [finding.kind for finding in inquiry.findings()] == [Kind.BRITTLE, Kind.PLAIN]


# --- what was run alone by others ---


@pytest.mark.parametrize(
    ("after", "kind", "note"),
    [(ids(0, 1, 2), Kind.PLAIN, ""), (ids(1), Kind.FAILS_ALONE, "not tried after 2 tests before it")],
)
def test_what_a_fresh_process_has_run_alone_is_told_as_far_as_the_run_has_tried_it(
    after: Indices, kind: Kind, note: str
) -> None:
    suspect = Suspect(TestIndex(3), Outcome.HUNG, failed_after=after)
    expected = Finding(TestIndex(3), kind, tallies=(Tally(ALONE, 1, 1),), note=note)
    assert on_its_own(suspect, ids(0, 1, 2)) == expected


# --- what is affordable ---


@given(st.lists(st.floats(0, 10), max_size=30), st.floats(-1, 100))
def test_the_slowest_are_left_out_and_the_others_keep_their_order(took: list[float], budget: float) -> None:
    tests = ids(*range(len(took)))
    kept = affordable(tests, lambda test: took[test], budget)
    assert list(kept) == sorted(kept)
    assert sum(took[test] for test in kept) <= max(0.0, budget) + 1e-6
    left_out = [took[test] for test in tests if test not in kept]
    assert all(took[test] <= least for test in kept for least in left_out)
