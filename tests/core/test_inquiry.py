"""An inquiry names what is wrong with every suspect, blames nobody else, and ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from math import ceil, log2
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_procpar.core.inquiry.findings import Finding, Kind, Suspect, Tally
from pytest_procpar.core.inquiry.inquiry import Inquiry
from pytest_procpar.core.inquiry.probes import Outcome, Probe, ProbeResult
from pytest_procpar.core.inquiry.trials import REPEATS
from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.record import changed
from pytest_procpar.core.survey.survey import survey_alone, survey_order
from tests.core.pollution import (
    HEALTHY,
    NIO,
    Bench,
    Indices,
    Model,
    Run,
    Stopped,
    Suite,
    flags,
    ids,
    is_cause,
    run,
    shows,
    simulate,
)

_A = flags("a")
_SETS = Model(sets=_A)
_VICTIM = Model(victim_of=_A)
_BRITTLE = Model(brittle_for=_A)
_FAILS = Model(always=True)
_CRASHES = Model(always=True, how=Outcome.CRASHED)


def _inquiry(
    suspects: Sequence[Suspect],
    concurrency: int = 1,
    preceding: Callable[[TestIndex], Indices] = lambda test: ids(*range(test)),
) -> Inquiry:
    return Inquiry(suspects, preceding, lambda test: test // 10, concurrency)


def _findings(suite: Suite, suspects: Sequence[Suspect], concurrency: int = 1) -> list[Finding]:
    inquiry = _inquiry(suspects, concurrency)
    run(inquiry.steps(), Bench(suite, concurrency))
    return inquiry.findings()


def _finding(models: Iterable[Model], suspect: Suspect, concurrency: int = 1) -> Finding:
    (finding,) = _findings(Suite([*models]), [suspect], concurrency)
    return finding


def _failed(test: int, after: Indices | None = (), beside: tuple[Indices, ...] = ()) -> Suspect:
    return Suspect(TestIndex(test), Outcome.FAILED, failed_after=after, beside=beside)


# --- one suspect of a kind ---


def test_a_victim_is_named_with_its_polluter() -> None:
    finding = _finding([HEALTHY, _SETS, HEALTHY, _VICTIM], _failed(3, ids(0, 1, 2)))
    assert (finding.kind, finding.cause) == (Kind.VICTIM, ids(1))
    assert finding.message == "failed by 3"
    assert Tally("after its polluter", 3, 3) in finding.tallies
    assert {tally.bad for tally in finding.tallies if tally.under == "alone"} == {0}
    assert finding.note == ""


def test_a_test_that_crashes_after_others_only_is_a_contaminated_crash() -> None:
    finding = _finding([_SETS, replace(_VICTIM, how=Outcome.CRASHED)], _failed(1, ids(0)))
    assert (finding.kind, finding.cause) == (Kind.CONTAMINATED_CRASH, ids(0))


def test_a_test_that_hangs_after_others_only_is_a_victim() -> None:
    finding = _finding([_SETS, replace(_VICTIM, how=Outcome.HUNG)], _failed(1, ids(0)))
    assert (finding.kind, finding.cause) == (Kind.VICTIM, ids(0))


def test_a_brittle_test_is_named_with_its_setter() -> None:
    finding = _finding([HEALTHY, _SETS, HEALTHY, _BRITTLE], _failed(3))
    assert (finding.kind, finding.cause) == (Kind.BRITTLE, ids(1))
    assert Tally("after its state-setter", 0, 3) in finding.tallies


def test_a_setter_is_found_in_another_file() -> None:
    models = [_SETS, *[HEALTHY] * 24, _BRITTLE]
    assert _finding(models, _failed(25)).cause == ids(0)


def test_a_setter_in_the_same_file_spares_the_others() -> None:
    bench = Bench(Suite([*[HEALTHY] * 100, _SETS, HEALTHY, _BRITTLE]))
    inquiry = _inquiry([_failed(102)])
    run(inquiry.steps(), bench)
    assert inquiry.findings()[0].cause == ids(100)
    assert not any(0 in probe.tests for probe in bench.probes)


def test_a_setter_is_found_in_the_order_of_the_run() -> None:
    # In the order of the collection, its setter comes behind it.
    suspect = Suspect(TestIndex(0), Outcome.PASSED, passed_after=ids(1, 2))
    finding = _finding([_BRITTLE, HEALTHY, _SETS], suspect)
    assert (finding.kind, finding.cause) == (Kind.BRITTLE, ids(2))


def test_a_test_that_passed_in_the_run_and_never_again_is_flaky() -> None:
    suspect = Suspect(TestIndex(1), Outcome.PASSED, passed_after=ids(0))
    assert _finding([HEALTHY, _FAILS], suspect).kind is Kind.FLAKY


def test_a_test_that_fails_the_second_time_is_nio() -> None:
    finding = _finding([NIO], Suspect(TestIndex(0), Outcome.PASSED, failed_after=ids(0)))
    assert (finding.kind, finding.cause) == (Kind.NIO, ids(0))


@pytest.mark.parametrize("model", [_FAILS, _CRASHES, replace(_FAILS, how=Outcome.HUNG)])
@pytest.mark.parametrize("place", [0, 15])
def test_what_always_fails_is_plain(model: Model, place: int) -> None:
    finding = _finding([*[HEALTHY] * place, model], _failed(place, ids(*range(place // 2))))
    assert (finding.kind, finding.cause) == (Kind.PLAIN, ())
    assert sum(tally.bad for tally in finding.tallies) == sum(tally.total for tally in finding.tallies) >= 2


@pytest.mark.parametrize("concurrency", [1, 2])
def test_a_test_that_fails_beside_others_only_is_parallel_only(concurrency: int) -> None:
    suspect = _failed(1, ids(0), beside=(ids(2, 3),))
    finding = _finding([HEALTHY, Model(collides=frozenset({3})), HEALTHY, HEALTHY], suspect, concurrency)
    assert (finding.kind, finding.cause) == (Kind.PARALLEL_ONLY, ())
    assert Tally("beside others", 3, 3) in finding.tallies


def test_tests_that_use_the_same_port_are_parallel_only_though_they_are_rechecked_together() -> None:
    # Each fails beside the other one, and beside a second run of itself.
    models = [HEALTHY, Model(collides=frozenset({1, 2})), Model(collides=frozenset({1, 2}))]
    suspects = [_failed(1, ids(0), beside=(ids(2),)), _failed(2, (), beside=(ids(0, 1),))]
    found = _findings(Suite(models), suspects, concurrency=4)
    assert [finding.kind for finding in found] == [Kind.PARALLEL_ONLY] * 2
    assert Tally("beside other suspects", 1, 1) in found[0].tallies


def test_victims_that_use_the_same_port_are_victims() -> None:
    port = frozenset({40, 41})
    models = [*[HEALTHY] * 20, _SETS, *[HEALTHY] * 19, *[replace(_VICTIM, collides=port)] * 2]
    before = ids(*range(40))
    found = _findings(Suite(models), [_failed(40, before), _failed(41, before)], concurrency=4)
    assert [(finding.kind, finding.cause) for finding in found] == [(Kind.VICTIM, ids(20))] * 2


@pytest.mark.parametrize("failing", ["F" + "P" * 8, "PPPPF"])
def test_a_test_that_fails_seldom_beside_others_is_only_flaky(failing: str) -> None:
    suspect = _failed(1, ids(0), beside=(ids(2),))
    assert _finding([HEALTHY, Model(pattern=failing), HEALTHY], suspect).kind is Kind.FLAKY


def test_a_failure_that_does_not_come_back_is_flaky_with_the_counts() -> None:
    finding = _finding([HEALTHY, HEALTHY], _failed(1, ids(0), beside=(ids(0),)))
    assert (finding.kind, finding.cause) == (Kind.FLAKY, ())
    assert {tally.under: tally.bad for tally in finding.tallies} == {
        "alone": 0, "after the tests before it": 0, "beside others": 0,
    }  # fmt: skip


def test_a_test_that_failed_first_of_all_and_passes_alone_is_flaky() -> None:
    assert _finding([HEALTHY], _failed(0)).kind is Kind.FLAKY


def test_a_test_that_failed_nobody_knows_where_is_no_healthy_one() -> None:
    assert _finding([HEALTHY], _failed(0, None)).kind is Kind.FLAKY


def test_a_test_that_passed_and_passes_alone_is_left_alone() -> None:
    bench = Bench(Suite([HEALTHY]))
    inquiry = _inquiry([Suspect(TestIndex(0), Outcome.PASSED)])
    run(inquiry.steps(), bench)
    (finding,) = inquiry.findings()
    assert (finding.kind, len(bench.probes)) == (Kind.UNKNOWN, 1)
    assert finding.note


def test_a_test_that_only_a_crowd_made_fail_after_a_known_polluter_is_left_alone() -> None:
    finding = _finding([_SETS, HEALTHY], Suspect(TestIndex(1), Outcome.PASSED, failed_after=ids(0)))
    assert finding.kind is Kind.UNKNOWN
    assert "nothing is known against it" in finding.note


def test_no_suspects_take_no_probes() -> None:
    assert list(_inquiry([]).steps()) == []


# --- what gets in the way ---


def test_a_crash_on_the_way_to_a_brittle_test_is_gone_round() -> None:
    # The first test crashes what comes third, in the order of the collection.
    contaminated = Model(victim_of=flags("b"), how=Outcome.CRASHED)
    models = [Model(sets=flags("b")), HEALTHY, contaminated, _SETS, _BRITTLE, _FAILS]
    found = _findings(Suite(models), [_failed(4), _failed(5)])
    assert [(finding.kind, finding.cause) for finding in found] == [
        (Kind.BRITTLE, ids(3)), (Kind.PLAIN, ()),
    ]  # fmt: skip


def test_a_test_that_cannot_be_reached_is_not_called_plain() -> None:
    contaminated = Model(victim_of=flags("b"), how=Outcome.CRASHED)
    models = [Model(sets=flags("b")), *[contaminated] * 12, _FAILS]
    finding = _finding(models, _failed(13))
    assert finding.kind is Kind.UNKNOWN
    assert finding.note == "it fails alone; what precedes it could not be run to its end"


def test_what_ran_before_and_now_ends_the_process_makes_nothing_flaky() -> None:
    finding = _finding([_CRASHES, HEALTHY], _failed(1, ids(0)))
    assert finding.kind is Kind.UNKNOWN
    assert finding.note == "it passes alone; what ran before it could not be run to its end"


@pytest.mark.parametrize("concurrency", [1, 2])
def test_joint_polluters_in_both_halves_of_an_order_are_found(concurrency: int) -> None:
    models = [HEALTHY] * 64
    models[3], models[60] = _SETS, Model(sets=flags("b"))
    finding = _finding([*models, Model(victim_of=flags("a", "b"))], _failed(64, ids(*range(64))), concurrency)
    assert (finding.kind, finding.cause) == (Kind.VICTIM, ids(3, 60))


def test_a_polluter_that_is_a_victim_comes_with_its_own_polluter() -> None:
    middle = Model(victim_of=_A, sets=flags("b"), once=_A)
    models = [_SETS, HEALTHY, middle, HEALTHY, Model(victim_of=flags("b"))]
    found = _findings(Suite(models), [_failed(2, ids(0, 1)), _failed(4, ids(0, 1, 2, 3))])
    assert [finding.cause for finding in found] == [ids(0), ids(0, 2)]


def test_a_victim_after_a_cleaner_keeps_its_own_polluter() -> None:
    models = [_SETS, Model(clears=_A), Model(sets=_A), _VICTIM, _VICTIM]
    found = _findings(Suite(models), [_failed(3, ids(0)), _failed(4, ids(1, 2))])
    assert [finding.cause for finding in found] == [ids(0), ids(2)]


def test_a_cause_that_did_not_run_before_a_test_is_not_its_cause() -> None:
    models = [_SETS, Model(sets=_A), _VICTIM, _VICTIM]
    found = _findings(Suite(models), [_failed(2, ids(0)), _failed(3, ids(1))])
    assert [finding.cause for finding in found] == [ids(0), ids(1)]


def test_a_polluter_that_acts_at_times_makes_its_victim_flaky() -> None:
    finding = _finding([replace(_SETS, sets_by="PPPPPFF"), _VICTIM], _failed(1, ids(0)))
    assert (finding.kind, finding.cause) == (Kind.FLAKY, ())


def test_a_test_that_wavers_after_the_same_tests_is_not_asked_further() -> None:
    bench = Bench(Suite([HEALTHY, Model(pattern="PPFP")]))
    inquiry = _inquiry([_failed(1, ids(0))])
    run(inquiry.steps(), bench)
    assert inquiry.findings()[0].kind is Kind.FLAKY
    assert len(bench.probes) == 4


def test_a_cause_is_not_confirmed_by_processes_that_are_lost() -> None:
    class Exhausted(Suite):
        left = 7  # the test alone twice, after its order thrice, and the search

        def outcome(self, probe: Probe, company: frozenset[int] = frozenset()) -> ProbeResult:
            self.left -= 1
            return ProbeResult(()) if self.left < 0 else super().outcome(probe, company)

    (finding,) = _findings(Exhausted([_SETS, _VICTIM]), [_failed(1, ids(0))])
    assert (finding.kind, finding.cause) == (Kind.UNKNOWN, ())
    assert finding.note == "its polluter could not be confirmed: a process was lost"


class _Losing(Suite):
    """Loses so many of the processes that run more than the test itself, from a certain one on."""

    def __init__(self, models: Sequence[Model], first: int, count: int) -> None:
        super().__init__(models)
        self._lost = range(first, first + count)
        self._asked = 0

    def outcome(self, probe: Probe, company: frozenset[int] = frozenset()) -> ProbeResult:
        if len(probe.tests) > 1:
            self._asked += 1
            if self._asked - 1 in self._lost:
                return ProbeResult(())
        return super().outcome(probe, company)


@pytest.mark.parametrize("first", [0, 1, 2])
def test_a_victim_is_searched_though_a_process_was_lost_before(first: int) -> None:
    suite = _Losing([HEALTHY, _SETS, HEALTHY, _VICTIM], first, 1)
    (finding,) = _findings(suite, [_failed(3, ids(0, 1, 2), beside=(ids(0),))])
    assert (finding.kind, finding.cause) == (Kind.VICTIM, ids(1))


def test_a_search_that_loses_processes_does_not_make_a_victim_flaky() -> None:
    suite = _Losing([HEALTHY, _SETS, HEALTHY, _VICTIM], 3, 9)
    (finding,) = _findings(suite, [_failed(3, ids(0, 1, 2))])
    assert (finding.kind, finding.cause) == (Kind.UNKNOWN, ())
    assert finding.note == "the search for its polluter was stopped: a process was lost"


@pytest.mark.parametrize(("pattern", "kind"), [("P", Kind.UNKNOWN), ("PPPF", Kind.FLAKY)])
def test_a_test_that_failed_alone_once_is_flaky_only_if_it_fails_again(pattern: str, kind: Kind) -> None:
    # It did so in a survey, in which others ran beside it.
    suspect = Suspect(TestIndex(0), Outcome.PASSED, failed_after=())
    finding = _finding([Model(pattern=pattern)], suspect, concurrency=2)
    assert finding.kind is kind
    assert Tally("alone", sum(t.bad for t in finding.tallies), 7) in finding.tallies


def test_a_shared_cause_is_cut_to_what_acts_on_each() -> None:
    both, one = Model(victim_of=flags("a", "b")), Model(victim_of=flags("b"))
    suite = Suite([_SETS, Model(sets=flags("b")), both, one])
    found = _findings(suite, [_failed(2, ids(0, 1)), _failed(3, ids(0, 1))])
    assert [finding.cause for finding in found] == [ids(0, 1), ids(1)]


def test_too_many_polluters_are_no_flakiness() -> None:
    names = [f"flag {i}" for i in range(9)]
    models = [Model(sets=flags(name)) for name in names]
    finding = _finding([*models, Model(victim_of=flags(*names))], _failed(9, ids(*range(9))))
    assert finding.kind is Kind.UNKNOWN
    assert finding.note == "its outcome depends on more than 8 tests before it together"


@given(st.text("PF", min_size=2, max_size=9), st.integers(0, 8), st.booleans(), st.sampled_from([1, 3]))
def test_a_flaky_test_gets_no_cause(pattern: str, shift: int, beside: bool, concurrency: int) -> None:
    pattern = pattern.replace("FFF", "FFP").replace(
        "FFF", "FFP"
    )  # what fails thrice in a row may fool anybody
    turned = pattern[shift % len(pattern) :] + pattern[: shift % len(pattern)]
    if len({*turned}) == 1 or "FFF" in turned * 2:
        turned = "PPF"
    models = [*[HEALTHY] * 12, Model(pattern=turned), HEALTHY]
    suspect = _failed(12, ids(*range(12)), beside=(ids(13),) if beside else ())
    finding = _finding(models, suspect, concurrency)
    assert finding.cause == ()
    assert finding.kind in (Kind.FLAKY, Kind.PLAIN)
    if finding.kind is Kind.PLAIN:  # it has not been seen to pass
        assert all(tally.bad == tally.total for tally in finding.tallies)


# --- what it costs ---


@pytest.mark.parametrize("joint", [1, 2, 3])
@pytest.mark.parametrize("size", [10, 500])
def test_a_victim_takes_one_pass_and_few_probes(size: int, joint: int) -> None:
    planted = [size * (i + 1) // (joint + 1) for i in range(joint)]
    models = [Model(sets=flags(f"flag {i}")) if i in planted else HEALTHY for i in range(size)]
    victim = Model(victim_of=flags(*(f"flag {i}" for i in planted)))
    bench = Bench(Suite([*models, victim]))
    inquiry = _inquiry([_failed(size, ids(*range(size)))])
    run(inquiry.steps(), bench)

    assert inquiry.findings()[0].cause == ids(*planted)
    fixed = 2 + REPEATS + 2 * REPEATS  # alone, after all, and the cause confirmed
    assert len(bench.probes) <= joint * (ceil(log2(size)) + 1) + (joint if joint > 1 else 0) + fixed
    assert bench.executed <= size + len(bench.probes) * (joint + 1)


@pytest.mark.parametrize("bad", [True, False])
def test_tests_of_one_root_need_one_search(bad: bool) -> None:
    count = 15
    models = [*[HEALTHY] * 150, _SETS, *[HEALTHY] * 149, *[_VICTIM if bad else _BRITTLE] * count]
    suspects = [_failed(300 + i, ids(*range(300)) if bad else ()) for i in range(count)]
    bench = Bench(Suite(models))
    inquiry = _inquiry(suspects)
    run(inquiry.steps(), bench)

    assert {finding.cause for finding in inquiry.findings()} == {ids(150)}
    # What is brittle has also been tried after the tests before it, before the search.
    alone, search, each = 1 if bad else 2, ceil(log2(300)) + 3 + REPEATS, 2 + 2 * REPEATS
    assert len(bench.probes) <= count * (alone + each) + search + count
    assert bench.executed <= 300 + 3 * len(bench.probes)


def test_the_root_of_many_is_searched_where_the_way_is_shortest() -> None:
    bench = Bench(Suite([*[HEALTHY] * 3, _SETS, *[HEALTHY] * 6, _VICTIM, *[HEALTHY] * 89, _VICTIM]))
    inquiry = _inquiry([_failed(100, ids(*range(100))), _failed(10, ids(*range(10)))])
    run(inquiry.steps(), bench)
    assert [finding.cause for finding in inquiry.findings()] == [ids(3)] * 2
    assert max(len(probe.tests) for probe in bench.probes) == 11


@pytest.mark.parametrize("place", [0, 31, 32, 55, 56, 63])
def test_with_two_probes_at_a_time_parts_of_an_order_are_enough_the_last_ones_first(place: int) -> None:
    models = [HEALTHY] * 64
    models[place] = _SETS
    bench = Bench(Suite([*models, _VICTIM]), concurrency=2)
    inquiry = _inquiry([_failed(64, ids(*range(64)))], concurrency=2)
    run(inquiry.steps(), bench)
    assert inquiry.findings()[0].cause == ids(place)
    assert max(len(probe.tests) for probe in bench.probes) == 9
    searched = {test for probe in bench.probes for test in probe.tests[:-1]}
    assert min(searched) == place - place % 16  # two parts are tried at once


def test_an_order_that_was_just_run_is_not_parted() -> None:
    """Any beginning of it is kept: a part that begins elsewhere would have to be run."""
    models = [HEALTHY] * 64
    models[40] = _SETS
    bench = Bench(Suite([*models, _VICTIM]), concurrency=2)
    order = ids(*range(64))
    inquiry = _inquiry([changed(_failed(64, order), kept=True)], concurrency=2)
    run(inquiry.steps(), bench)
    assert inquiry.findings()[0].cause == ids(40)
    long = [probe.tests[:-1] for probe in bench.probes if len(probe.tests) > 3]
    assert all(tests == order[: len(tests)] for tests in long)


def test_victims_of_different_polluters_share_what_was_run_for_the_first() -> None:
    models = [HEALTHY] * 1000
    for i in range(10):
        models[40 * i] = Model(sets=flags(f"flag {i}"))
        models[550 + 49 * i] = Model(victim_of=flags(f"flag {i}"))
    suspects = [_failed(550 + 49 * i, ids(*range(550 + 49 * i))) for i in range(10)]
    bench = Bench(Suite(models), concurrency=2)
    inquiry = _inquiry(suspects, concurrency=2)
    run(inquiry.steps(), bench)
    assert [finding.cause for finding in inquiry.findings()] == [ids(40 * i) for i in range(10)]
    assert bench.executed < 2000


# --- whole suites ---

_KINDS = {
    "victim": Kind.VICTIM, "hang": Kind.VICTIM, "crash": Kind.CONTAMINATED_CRASH, "brittle": Kind.BRITTLE,
    "nio": Kind.NIO, "plain": Kind.PLAIN, "deadly": Kind.PLAIN, "parallel": Kind.PARALLEL_ONLY,
}  # fmt: skip


def _plant(draw: Random, size: int, joint: int) -> tuple[Suite, dict[TestIndex, str]]:
    """A suite with all that can be wrong in it, at random places, and which test is what."""
    models = [HEALTHY] * size
    free = draw.sample(range(size), size)
    planted: dict[TestIndex, str] = {}

    def put(*those: tuple[Model, str]) -> list[int]:
        """Put tests at random places, in this order."""
        places = sorted(free.pop() for _ in those)
        for place, (model, what) in zip(places, those, strict=True):
            models[place] = model
            if what:
                planted[TestIndex(place)] = what
        return places

    for what, how in (("victim", Outcome.FAILED), ("crash", Outcome.CRASHED), ("hang", Outcome.HUNG)):
        names = [f"{what} {i}" for i in range(joint)]
        polluters = [(Model(sets=flags(name)), "") for name in names]
        victims = [(Model(victim_of=flags(*names), how=how), what)] * draw.randint(1, 3)
        put((Model(clears=flags(names[0])), ""), *polluters, *victims)
        put((Model(clears=flags(names[-1])), ""))
    first = (Model(sets=flags("first")), "")
    second = (Model(sets=flags("second"), once=flags("first") if joint > 1 else flags()), "")
    brittle = (Model(brittle_for=flags("second")), "brittle")
    put(*draw.choice([[first, second, brittle, brittle], [brittle, first, second, brittle]]))
    put((NIO, "nio"))
    put((_FAILS, "plain"))
    put((_CRASHES, "deadly"))
    (partner,) = put((HEALTHY, ""))
    put((Model(collides=frozenset({partner, free[-1]})), "parallel"))
    put((Model(pattern=draw.choice(["PF", "PPF", "FPPF"])), "flaky"))
    return Suite(models, seed=draw.randint(0, 99)), planted


def _expected(suite: Suite, seen: Run, suspect: Suspect, what: str, concurrency: int) -> set[Kind]:
    """What may be said of a suspect, by what really makes it fail."""
    if what == "flaky":  # what has passed in the run may not be seen to fail again
        return {Kind.FLAKY, Kind.PLAIN, *([Kind.UNKNOWN] if suspect.word.good else [])}
    if what == "brittle" and suspect.word.bad:
        before = [t for t in seen.preceding(suspect.test) if suite.models[t].how is Outcome.FAILED]
        near = [t for t in before if t // 10 == suspect.test // 10]
        passes = any(shows(suite, tuple(order), suspect.test, bad=False) for order in (before, near))
        return {Kind.BRITTLE} if passes else {Kind.PLAIN}
    if what == "parallel":
        met = suite.models[suspect.test].collides & {t for order in suspect.beside for t in order}
        crowded = suspect.word.good and concurrency > 1  # beside what it failed in a survey was not noted
        return {Kind.PARALLEL_ONLY} if met else {Kind.UNKNOWN if crowded else Kind.FLAKY}
    return {_KINDS[what]}


def _judge(
    suite: Suite, planted: dict[TestIndex, str], workers: int, concurrency: int, seed: int
) -> set[str]:
    """Run, survey and look into a suite; what was found of what was planted, all of it rightly."""
    seen = simulate(suite, workers, seed)
    bench = Bench(suite, concurrency)
    survey = run(survey_alone(ids(*range(len(suite.models)))), bench)
    placed = run(survey_order(ids(*reversed(range(len(suite.models))))), bench)
    every = [*seen.suspects(), *seen.changed(survey), *seen.displaced(placed)]
    suspects = list({suspect.test: suspect for suspect in reversed(every)}.values())
    inquiry = _inquiry(suspects, concurrency, seen.preceding)
    run(inquiry.steps(), bench)
    for suspect, finding in zip(suspects, inquiry.findings(), strict=True):
        assert suspect.test in planted, "a healthy test is suspected"
        what = planted[suspect.test]
        assert finding.kind in _expected(suite, seen, suspect, what, concurrency), what
        if finding.kind in (Kind.VICTIM, Kind.CONTAMINATED_CRASH, Kind.BRITTLE, Kind.NIO):
            assert is_cause(suite, finding.cause, suspect.test, bad=finding.kind is not Kind.BRITTLE)
        else:
            assert finding.cause == ()
    return {planted[suspect.test] for suspect in suspects}


@settings(deadline=None, max_examples=200)
@given(
    st.integers(0, 2**16),
    st.integers(45, 120),
    st.sampled_from([1, 2, 3]),
    st.integers(1, 4),
    st.sampled_from([1, 2, 8]),
)
def test_all_that_is_planted_is_named_rightly_and_nothing_else(
    seed: int, size: int, joint: int, workers: int, concurrency: int
) -> None:
    suite, planted = _plant(Random(seed), size, joint)
    _judge(suite, planted, workers, concurrency, seed)


@pytest.mark.parametrize("joint", [1, 2, 3])
def test_twenty_suites_of_five_hundred_tests_are_named_rightly(joint: int) -> None:
    found: set[str] = set()
    for seed in range(20):
        suite, planted = _plant(Random(seed), 500, joint)
        found |= _judge(suite, planted, workers=1 + seed % 2, concurrency=2, seed=seed)
    assert found == {*_KINDS, "flaky"}


def test_a_suite_of_five_thousand_tests_is_named_rightly() -> None:
    suite, planted = _plant(Random(4), 5000, 2)
    assert _judge(suite, planted, workers=1, concurrency=2, seed=4) >= {"victim", "brittle", "nio", "plain"}


def test_random_flakiness_is_never_given_a_cause_in_two_hundred_suites() -> None:
    for seed in range(200):
        models = [*[HEALTHY] * 20, Model(luck=0.1 + 0.8 * (seed % 9) / 8), HEALTHY]
        suspect = _failed(20, ids(*range(20)), beside=(ids(21),))
        (finding,) = _findings(Suite(models, seed=seed), [suspect])
        assert finding.cause == ()
        assert finding.kind in (Kind.FLAKY, Kind.PLAIN)


# --- its end ---


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**16), st.integers(1, 200), st.sampled_from([1, 4]))
def test_an_inquiry_that_is_stopped_says_where_it_stood(seed: int, steps: int, concurrency: int) -> None:
    suite, _ = _plant(Random(seed), 60, 2)
    seen = simulate(suite, 2, seed)
    suspects = seen.suspects()
    inquiry = _inquiry(suspects, concurrency, seen.preceding)
    try:
        run(inquiry.steps(), Bench(suite, concurrency), steps=steps)
    except Stopped:
        pass
    findings = inquiry.findings()
    assert [finding.test for finding in findings] == [suspect.test for suspect in suspects]
    assert all(finding.note for finding in findings if finding.kind is Kind.UNKNOWN)
    assert all(finding.cause == () for finding in findings if finding.kind is Kind.UNKNOWN)


@pytest.mark.parametrize(
    ("steps", "note"),
    [
        (0, "it was not re-checked: time ran out"),
        (1, "time ran out before it was tried after other tests"),
        (6, "time ran out; a polluter is among 16 tests that ran before it"),
        (9, "time ran out; a polluter is among 2 tests that ran before it"),
        (10, "time ran out; a polluter is among 16 tests that ran before it, beside 1 that are known"),
        (11, "time ran out before its polluter was confirmed"),
    ],
)
def test_where_a_search_stood_is_told(steps: int, note: str) -> None:
    suite = Suite([*[HEALTHY] * 16, *[_SETS], *[HEALTHY] * 15, _VICTIM])
    inquiry = _inquiry([_failed(32, ids(*range(32)))])
    with pytest.raises(Stopped):
        run(inquiry.steps(), Bench(suite), steps=steps)
    assert inquiry.findings()[0].note == note


_MOST_PROBES = 2 * (2 + 8 * 11 + 36 + 6) + 60

_WORDS = st.sampled_from(list(Outcome))


@settings(deadline=None)
@given(
    st.lists(st.tuples(_WORDS, st.integers(0, 3)), min_size=1, max_size=200),
    st.integers(1, 8),
    st.integers(1, 3),
)
def test_an_inquiry_ends_whatever_the_outcomes(
    answers: list[tuple[Outcome, int]], count: int, concurrency: int
) -> None:
    class Adversary(Suite):
        asked = 0

        def outcome(self, probe: Probe, company: frozenset[int] = frozenset()) -> ProbeResult:
            self.asked += 1
            word, missing = answers[self.asked % len(answers)]
            words = (*[Outcome.PASSED] * (len(probe.tests) - 1), word)
            return ProbeResult(words[: max(0, len(words) - missing)])

    adversary = Adversary([])
    suspects = [
        Suspect(
            TestIndex(100 + i),
            Outcome.FAILED if i % 3 else Outcome.PASSED,
            failed_after=[None, (), ids(*range(70))][i % 3 - 1],
            passed_after=[None, None, ids(3, 4)][i // 3],
            beside=(ids(1),) if i % 2 else (),
        )
        for i in range(count)
    ]
    inquiry = _inquiry(suspects, concurrency)
    run(inquiry.steps(), Bench(adversary, concurrency))

    assert adversary.asked <= _MOST_PROBES * count + 9 * count * count
    assert [finding.test for finding in inquiry.findings()] == [suspect.test for suspect in suspects]
    for finding in inquiry.findings():
        assert finding.note or finding.kind is not Kind.UNKNOWN
        known = finding.kind in (Kind.VICTIM, Kind.CONTAMINATED_CRASH, Kind.BRITTLE, Kind.NIO)
        assert bool(finding.cause) == known
