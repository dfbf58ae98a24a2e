"""What must hold in every run, whatever its workers go through."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_procpar.core.model import Dist, RunOptions, TestIndex, WorkerId
from pytest_procpar.core.run.batching import Backlog, group_tests
from pytest_procpar.core.run.crew import START_TIMEOUT
from pytest_procpar.core.run.events import (
    Assign,
    Crashed,
    Died,
    Dump,
    Finish,
    GiveUp,
    Hung,
    Interrupt,
    ItemBegan,
    ItemFinished,
    ItemPutBack,
    Kill,
    NotRun,
    Refused,
    Revoke,
    Revoked,
    Spawn,
    Stop,
    Stuck,
    Terminate,
    WorkerReady,
)
from pytest_procpar.core.run.hang_watch import DUMP_SECONDS, TERM_SECONDS
from pytest_procpar.core.run.run import Run
from pytest_procpar.core.run.sharing.expectations import Expectations
from pytest_procpar.core.run.sharing.shelf import Shelf
from pytest_procpar.core.run.sharing.wide_fixtures import NOTHING, Known, Use, WideFixtures
from tests.core.cluster import Books, Moment, Scenario, Sight, Trace, simulate

#: The chances that a worker never comes up, comes up too late, and dies at any step.
_WEATHER = [
    (0.0, 0.0, 0.0), (0.0, 0.0, 0.02), (0.1, 0.0, 0.05), (0.0, 0.0, 0.5), (0.1, 0.1, 0.2), (0.0, 0.3, 0.02),
    (0.5, 0.0, 0.0), (0.9, 0.3, 0.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0),
]  # fmt: skip

#: Every mode, and whether tests are pinned to workers, which no mode changes.
_MODES = [*((mode, False) for mode in Dist if mode is not Dist.NO), (Dist.LOAD, True)]

_STOPS = st.lists(st.tuples(st.integers(1, 120), st.booleans()), min_size=1, max_size=2).map(tuple)


@st.composite
def scenarios(draw: st.DrawFn, dist: Dist, pinned: bool) -> Scenario:
    calm = draw(st.booleans())
    options = RunOptions(
        workers=draw(st.integers(1, 6)),
        dist=dist,
        reorder=draw(st.booleans()),
        max_chunk=draw(st.none() | st.integers(1, 10)),
        max_restarts=None if calm else draw(st.none() | st.integers(0, 5)),
        hang_timeout=draw(st.sampled_from([0.0, 0.0, 0.4, 3.0])),
        pinned=pinned,
    )
    start_failures, late_starts, deaths = _WEATHER[0] if calm else draw(st.sampled_from(_WEATHER))
    return Scenario(
        options,
        tests=draw(st.integers(0, 15 if dist is Dist.EACH else 60)),
        slowest=draw(st.sampled_from([1.0, 0.0, 0.01])),
        groups=draw(st.integers(1, 30)),
        in_hand=draw(st.sampled_from([64, 1, 2, 4])),
        seed=draw(st.integers(0, 2**16)),
        remote=draw(st.booleans()),
        latency=draw(st.sampled_from([0.0, 0.0001, 0.01, 1.0])),
        start_failures=start_failures,
        late_starts=late_starts,
        deaths=deaths,
        refusals=0.0 if calm else draw(st.sampled_from([0.0, 0.0, 0.3, 1.0])),
        deadly=0 if calm else draw(st.integers(0, 3)),
        endless=0 if calm else draw(st.sampled_from([0, 0, 1, 3])),
        limits=tuple(
            draw(st.dictionaries(st.integers(0, 20), st.sampled_from([0.0, 0.5, 30.0]), max_size=3)).items()
        ),
        endless_ends=0.0 if calm else draw(st.sampled_from([0.0, 0.0, 0.3])),
        stubborn=draw(st.sampled_from([0.0, 0.5, 1.0])),
        stucks=draw(st.sampled_from([0, 0, 0, 1, 2, 5])),
        sticky=draw(st.sampled_from([0.1, 0.5, 1.0])),
        put_backs=0 if calm else draw(st.integers(0, 4)),
        started=draw(st.booleans()),
        stops=() if calm else draw(st.just(()) | st.just(()) | _STOPS),
    )


def _knowledge(tests: int, seed: int) -> Known:
    """What may be known of a suite: neighbours share modules, some of them classes, and fixtures there."""
    made_up = random.Random(seed)
    uses: list[Use] = [NOTHING]
    homes: list[int] = []  # of each fixture: every home has two
    use_of: list[int] = []
    while len(use_of) < tests:
        if made_up.random() < 0.3 or len(uses) == 1:
            above = () if made_up.random() < 0.5 else uses[-1][0][:1]
            home = len(homes) // 2
            homes += [home, home]
            uses.append(((*above, home), ()))
        of = made_up.choice((NOTHING[0], uses[-1][0], uses[-1][0]))
        use = (of, tuple(f for f, home in enumerate(homes) if home in of and made_up.random() < 0.7))
        if use not in uses:
            uses.append(use)
        use_of += [uses.index(use)] * made_up.choice((1, 1, 2, 7))
    labels = tuple(f"fixture {number}" for number in range(len(homes)))
    names = tuple(made_up.choice("abc") for _ in homes)
    wide = WideFixtures(tuple(use_of[:tests]), tuple(uses), names, labels, tuple(homes))
    durations = [made_up.choice((None, 0.0, 0.01, 1.0, 10.0)) for _ in range(tests)]
    costs = {label: made_up.choice((0.0, 0.01, 5.0)) for label in labels if made_up.random() < 0.3}
    return Known(
        wide if made_up.random() < 0.9 else None,
        tuple(durations) if made_up.random() < 0.3 else None,
        costs if made_up.random() < 0.3 else None,
    )


#: How many runs there are in each mode. Worth some thousands after a change of the dealer.
EXAMPLES = int(os.environ.get("PROCPAR_EXAMPLES", "150"))

PROMISES: list[Callable[[Trace], None]] = []


def promise(check: Callable[[Trace], None]) -> Callable[[Trace], None]:
    """Something that holds in every run."""
    PROMISES.append(check)
    return check


@pytest.mark.parametrize(
    ("dist", "pinned"), _MODES, ids=[f"{mode.value}{'-pinned' * pinned}" for mode, pinned in _MODES]
)
@settings(
    max_examples=EXAMPLES, deadline=None, derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
@given(data=st.data())
def test_every_run_keeps_every_promise(dist: Dist, pinned: bool, data: st.DataObject) -> None:
    trace = simulate(data.draw(scenarios(dist, pinned)))
    for check in PROMISES:
        check(trace)


@pytest.mark.parametrize("dist", [Dist.LOAD, Dist.WORKSTEAL])
@settings(
    max_examples=EXAMPLES, deadline=None, derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
@given(data=st.data())
def test_what_is_known_of_tests_breaks_no_promise(dist: Dist, data: st.DataObject) -> None:
    scenario = data.draw(scenarios(dist, pinned=False))
    trace = simulate(replace(scenario, known=_knowledge(scenario.tests, scenario.seed)))
    for check in PROMISES:
        check(trace)


# --- the run as a whole -----------------------------------------------------------------------------


@promise
def every_run_comes_to_its_end(trace: Trace) -> None:
    assert not trace.stuck, "nothing will happen any more, yet the run is not over"
    assert not trace.endless, "the run goes on and on"


@promise
def every_test_is_settled_exactly_once(trace: Trace) -> None:
    books = _books_at_the_end(trace)
    for test in range(trace.scenario.total):
        times = books.settled[TestIndex(test)]
        if trace.stopped_at is None:
            assert times == 1, f"test {test} was settled {times} times"
        else:
            assert times == (test not in trace.unsettled), f"test {test} was settled {times} times"


@promise
def only_a_stopped_run_leaves_tests_without_an_outcome(trace: Trace) -> None:
    assert trace.stopped_at is not None or not trace.unsettled


@promise
def the_same_events_always_have_the_same_effects(trace: Trace) -> None:
    run = Run(trace.scenario.options, in_hand=trace.scenario.in_hand)
    run.at_first = trace.scenario.at_first
    for moment in trace.moments:
        assert tuple(run.handle(moment.event, moment.time)) == moment.effects


@promise
def a_test_crashed_or_hung_if_and_only_if_its_worker_died_while_it_ran(trace: Trace) -> None:
    running: dict[WorkerId, TestIndex] = {}
    condemned: set[WorkerId] = set()
    for books, moment, effect in trace.walk():
        if effect is not None:
            continue
        crashes = [e for e in moment.effects if isinstance(e, Crashed | Hung)]
        match moment.event:
            case ItemBegan(worker) | ItemFinished(worker) if worker in condemned:
                pass
            case ItemBegan(worker, test):
                running[worker] = test
            case ItemFinished(worker):
                del running[worker]
            case Died(worker) | Refused(worker) if worker in books.stuck:
                running.pop(worker, None)
            case Died(worker) | Refused(worker) if worker in running:
                verdict = Hung if worker in condemned else Crashed
                assert crashes == [verdict(worker, running.pop(worker))]
                continue
            case _:
                pass
        assert not crashes
        condemned |= _condemned(moment) | (books.stuck & books.condemned)


@promise
def what_is_not_run_has_a_reason_and_no_worker_left(trace: Trace) -> None:
    given_up = False
    for books, _, effect in trace.walk():
        given_up = given_up or isinstance(effect, GiveUp)
        if isinstance(effect, NotRun):
            assert given_up
            assert effect.reason
            assert effect.tests
            (partition,) = {trace.scenario.partition(test) for test in effect.tests}
            assert not [
                w for w in books.live() if books.partition_of[w] == partition and w not in books.finishing
            ]


# --- workers ----------------------------------------------------------------------------------------


@promise
def no_effect_addresses_a_worker_that_is_gone_or_let_go(trace: Trace) -> None:
    for books, _, effect in trace.walk():
        if isinstance(effect, Assign | Revoke | Interrupt | Dump | Terminate | Kill | Finish):
            assert effect.worker in books.live(), f"{effect} after its death"
        if isinstance(effect, Assign | Revoke | Interrupt | Finish):
            assert effect.worker not in books.finishing, f"{effect} after Finish"
        if isinstance(effect, Assign):
            assert effect.worker not in books.condemned, f"{effect} to a worker that is being ended"
        if isinstance(effect, Assign | Revoke | Finish):
            assert effect.worker in books.ready, f"{effect} before it is ready"


@promise
def workers_are_numbered_in_the_order_of_their_birth(trace: Trace) -> None:
    spawned = [effect.worker for effect in trace.effects() if isinstance(effect, Spawn)]
    assert spawned == list(range(len(spawned)))


@promise
def no_more_workers_live_than_asked_for_and_no_more_than_tests(trace: Trace) -> None:
    options, count = trace.scenario.options, trace.scenario.tests
    if options.dist is Dist.STABLE:
        count = len(set(trace.scenario.keys or ()))
    everyone = options.dist is Dist.EACH or options.pinned or trace.scenario.started
    most = options.workers if everyone else min(options.workers, max(1, count))
    for books, _, _ in trace.walk():
        assert len([w for w in books.live() if w not in books.finishing]) <= most


@promise
def a_worker_is_spawned_at_the_start_or_for_a_dead_one_or_for_a_test_put_back(trace: Trace) -> None:
    restarts = 0
    stuck = _books_at_the_end(trace).stuck
    for i, moment in enumerate(trace.moments):
        spawns = [effect for effect in moment.effects if isinstance(effect, Spawn)]
        if i > 0 and spawns:
            assert len(spawns) == 1
            restarts += getattr(moment.event, "worker", None) not in stuck
            if isinstance(moment.event, ItemPutBack):
                assert spawns[0].replaces is None
            else:
                assert isinstance(moment.event, Died | Refused)
                assert spawns[0].replaces == moment.event.worker
    limit = trace.scenario.options.max_restarts
    assert limit is None or restarts <= limit


@promise
def a_dead_worker_is_replaced_if_its_partition_has_tests_that_have_not_begun(trace: Trace) -> None:
    options, in_a_row = trace.scenario.options, 0
    for books, moment, effect in trace.walk():
        if (
            effect is None
            and isinstance(moment.event, ItemBegan)
            and moment.event.worker not in books.condemned
        ):
            in_a_row = 0
        if effect is None and isinstance(moment.event, Died) and not books.stopped:
            worker = moment.event.worker
            in_a_row += worker not in books.stuck
            replaced = any(isinstance(e, Spawn) for e in moment.effects)
            if worker in books.finishing or not _unbegun_in(books, books.partition_of[worker]):
                assert not replaced
            elif options.max_restarts is None and in_a_row <= 2 + options.workers:
                assert replaced


@promise
def only_workers_that_did_not_come_up_or_end_in_time_are_killed(trace: Trace) -> None:
    born: dict[WorkerId, float] = {}
    asked: dict[WorkerId, float] = {}
    for books, moment, effect in trace.walk():
        if isinstance(effect, Spawn):
            born[effect.worker] = moment.time
        if isinstance(effect, Terminate):
            asked[effect.worker] = moment.time
        if isinstance(effect, Kill) and isinstance(moment.event, Stuck):
            assert effect.worker == moment.event.worker
        elif isinstance(effect, Kill) and effect.worker in asked:
            assert moment.time >= asked[effect.worker] + TERM_SECONDS
        elif isinstance(effect, Kill):
            assert effect.worker not in books.ready
            assert moment.time >= born[effect.worker] + START_TIMEOUT


@promise
def only_what_exceeds_its_limit_is_ended_and_its_stacks_are_asked_for_before(trace: Trace) -> None:
    began: dict[WorkerId, tuple[TestIndex | None, float]] = {}
    dumped: dict[WorkerId, float] = {}
    for books, moment, effect in trace.walk():
        if (
            effect is None
            and isinstance(moment.event, ItemBegan)
            and moment.event.worker not in books.condemned
        ):
            began[moment.event.worker] = moment.event.test, moment.time
            dumped.pop(moment.event.worker, None)
        if isinstance(effect, Finish):
            began[effect.worker] = None, moment.time
            dumped.pop(effect.worker, None)
        if isinstance(effect, Dump):
            test, since = began[effect.worker]
            assert effect.test == test
            assert test is None or books.running[effect.worker] == test
            scenario = trace.scenario
            limit = scenario.options.hang_timeout if test is None else scenario.limit(test % scenario.tests)
            assert limit
            assert moment.time >= since + limit
            assert effect.worker not in dumped
            dumped[effect.worker] = moment.time
        if isinstance(effect, Terminate):
            assert moment.time >= dumped[effect.worker] + DUMP_SECONDS


@promise
def what_hangs_is_found_hanging(trace: Trace) -> None:
    hung = {effect.test % trace.scenario.tests for effect in trace.effects() if isinstance(effect, Hung)}
    weather = (trace.scenario.deaths, trace.scenario.start_failures, trace.scenario.late_starts)
    fine = not any((*weather, trace.scenario.refusals))
    ended = {
        moment.event.test % trace.scenario.tests
        for moment in trace.moments
        if isinstance(moment.event, ItemFinished)
    }
    if fine and trace.stopped_at is None and trace.scenario.options.max_restarts is None:
        assert trace.scenario.hangers - trace.scenario.killers <= hung | ended


@promise
def workers_finish_when_all_is_settled_and_not_before(trace: Trace) -> None:
    for books, moment, effect in trace.walk():
        if isinstance(effect, Finish):
            assert not books.running
            if books.stopped:
                assert not any(books.outstanding.get(worker) for worker in books.live())
            else:
                assert all(books.settled[TestIndex(t)] == 1 for t in range(trace.scenario.total))
        elif effect is None and isinstance(moment.event, ItemFinished | WorkerReady):
            done = not books.running and sum(books.settled.values()) == trace.scenario.total
            let_go = {e.worker for e in moment.effects if isinstance(e, Finish)} | books.finishing
            assert not done or let_go.issuperset(w for w in books.live() if w in books.ready)


# --- tests and workers ------------------------------------------------------------------------------


@promise
def a_test_is_with_one_worker_at_a_time_and_not_again_once_it_began(trace: Trace) -> None:
    for books, _, effect in trace.walk():
        if isinstance(effect, Assign):
            for test in effect.tests:
                assert test in books.unbegun, f"test {test} is handed out, but it has begun"
                holders = [w for w, tests in books.outstanding.items() if test in tests]
                assert not holders, f"test {test} is handed out, but it is with {holders}"


@promise
def nobody_takes_what_is_reserved_for_a_worker_that_is_coming_up(trace: Trace) -> None:
    reserved = _reserved(trace.scenario)
    for books, _, effect in trace.walk():
        if isinstance(effect, Assign):
            for test in effect.tests:
                worker = reserved.get(test, effect.worker)
                assert worker == effect.worker or worker in books.ready or worker in books.dead


@promise
def a_test_stays_in_its_partition(trace: Trace) -> None:
    for books, _, effect in trace.walk():
        if isinstance(effect, Assign):
            assert all(trace.scenario.partition(t) == books.partition_of[effect.worker] for t in effect.tests)


@promise
def only_tests_in_hand_are_taken_back_and_once_at_a_time(trace: Trace) -> None:
    asked: set[WorkerId] = set()
    for books, moment, effect in trace.walk():
        if effect is None and isinstance(moment.event, Revoked):
            asked.discard(moment.event.worker)
        if isinstance(effect, Revoke):
            assert books.outstanding.get(effect.worker), "there is nothing to take back"
            known = books.claimed.get(effect.worker, set())
            if not isinstance(moment.event, Stop) and effect.worker not in _condemned(moment):
                assert known.isdisjoint(books.outstanding[effect.worker][-1:]), (
                    "all of them have been claimed"
                )
            assert effect.worker not in asked, "the answer to the last Revoke is still out"
            asked.add(effect.worker)


@promise
def no_worker_waits_while_another_holds_units_that_it_has_not_begun(trace: Trace) -> None:
    if trace.scenario.known is not None:
        return  # it may not be worth another set-up: see test_sharing_simulated
    for books, sights in trace.rests():
        if books.rescued:  # the others wait for who is to run that
            return
        for idle in (sight for sight in sights if sight.waits and not books.stopped):
            mates = [
                sight
                for sight in sights
                if books.partition_of[sight.worker] == books.partition_of[idle.worker]
            ]
            for mate in mates:
                spare = _spare(books, mate)
                assert not spare, f"gw{idle.worker} waits while gw{mate.worker} holds {spare}"


@promise
def no_worker_waits_while_the_controller_keeps_units_back(trace: Trace) -> None:
    if trace.scenario.known is not None:
        return  # another worker may have them, and it may not be worth another set-up
    for books, sights in trace.rests():
        if books.rescued:
            return
        for idle in (sight for sight in sights if sight.waits and not books.stopped):
            partition = books.partition_of[idle.worker]
            if not any(books.partition_of[w] == partition for w in books.live() if w not in books.ready):
                kept = _unbegun_in(books, partition).difference(*(sight.inbox for sight in sights))
                kept -= _bound_to_the_condemned(books)
                assert not kept, f"gw{idle.worker} waits while {kept} are with nobody"


@promise
def a_test_that_has_not_begun_is_with_a_worker_that_is_busy_or_coming_up(trace: Trace) -> None:
    for books, sights in trace.rests():
        partitions = {books.partition_of[sight.worker] for sight in sights if not sight.waits}
        partitions |= {books.partition_of[worker] for worker in books.live() if worker not in books.ready}
        partitions |= {books.partition_of[worker] for worker in books.live() if worker in books.condemned}
        for test in books.unbegun if not books.stopped else ():
            assert trace.scenario.partition(test) in partitions, f"nobody will run test {test}"


@promise
def a_worker_knows_its_next_test_or_that_there_is_none(trace: Trace) -> None:
    for _, sights in trace.rests():
        for sight in sights:
            assert not sight.stalled, f"gw{sight.worker} has not been told what comes next"


@promise
def last_is_only_said_when_nothing_is_left_that_others_could_run(trace: Trace) -> None:
    for books, _, effect in trace.walk():
        if isinstance(effect, Assign) and effect.then == "last" and not books.stopped:
            own = {*books.outstanding.get(effect.worker, []), *effect.tests}
            others = _unbegun_in(books, books.partition_of[effect.worker]) - own
            assert not others, f"{others} have not begun and may still come"


@promise
def a_worker_knows_when_nothing_more_will_come(trace: Trace) -> None:
    for books, sights in trace.rests():
        for sight in sights:
            through = not books.outstanding.get(sight.worker) and sight.worker not in books.finishing
            if through and (books.stopped or not _unbegun_in(books, books.partition_of[sight.worker])):
                assert books.told.get(sight.worker) == "last", f"gw{sight.worker} waits for more"


@promise
def hold_is_only_said_while_something_may_still_come(trace: Trace) -> None:
    for books, _, effect in trace.walk():
        if isinstance(effect, Assign) and effect.then == "hold":
            assert not books.stopped
            assert _unbegun_in(books, books.partition_of[effect.worker])


@promise
def nothing_is_said_twice_unless_it_was_taken_back(trace: Trace) -> None:
    said: dict[WorkerId, str | None] = {}
    for _, moment, effect in trace.walk():
        if effect is None and isinstance(moment.event, Revoked):
            said[moment.event.worker] = None
        if isinstance(effect, Assign):
            assert effect.tests or effect.then, "an Assign without anything"
            assert effect.tests or said.get(effect.worker) != effect.then, f"{effect} again"
            said[effect.worker] = effect.then


@promise
def a_group_is_in_one_worker_at_a_time(trace: Trace) -> None:
    scenario = trace.scenario
    for books, _, effect in trace.walk():
        if isinstance(effect, Assign) and scenario.options.dist.grouped:
            for test in effect.tests:
                key = scenario.key(test)
                # A test that was put back has left its group.
                if test in books.put_back or books.put_back & _members(scenario, key):
                    continue
                others = {w for w in books.hosts.get(key, set()) if w != effect.worker}
                for worker, tests in books.outstanding.items():
                    if worker != effect.worker and any(scenario.key(t) == key for t in tests):
                        others.add(worker)
                assert not others, f"group {key} is with {others} and with gw{effect.worker}"


@promise
def the_tests_of_a_group_begin_in_collected_order(trace: Trace) -> None:
    if not trace.scenario.options.dist.grouped:
        return
    latest: dict[str, TestIndex] = {}
    for books, moment, effect in trace.walk():
        event = moment.event
        if effect is not None or not isinstance(event, ItemBegan) or event.worker in books.condemned:
            continue
        if event.test not in books.put_back | books.rescued:
            key = trace.scenario.key(event.test)
            assert latest.get(key, -1) < event.test
            latest[key] = event.test


@promise
def what_a_worker_has_for_itself_begins_in_collected_order_one_at_a_time_there_or_in_its_replacement(
    trace: Trace,
) -> None:
    if not trace.scenario.options.pinned and trace.scenario.options.dist is not Dist.STABLE:
        return
    latest: dict[int, TestIndex] = {}
    for books, moment, effect in trace.walk():
        event = moment.event
        if effect is not None or not isinstance(event, ItemBegan) or event.worker in books.condemned:
            continue
        partition = trace.scenario.partition(event.test)
        assert books.partition_of[event.worker] == partition
        assert [w for w in books.running if books.partition_of[w] == partition] == [event.worker]
        if event.test not in books.put_back | books.rescued:
            assert latest.get(partition, -1) < event.test
            latest[partition] = event.test


@promise
def a_crashed_test_runs_again_only_if_it_is_put_back(trace: Trace) -> None:
    crashed: set[TestIndex] = set()
    for books, moment, effect in trace.walk():
        if isinstance(effect, Crashed):
            crashed.add(effect.test)
        if effect is None and isinstance(moment.event, ItemBegan):
            assert moment.event.test not in crashed or moment.event.test in books.put_back


# --- a stopped run ----------------------------------------------------------------------------------


@promise
def a_stopped_run_hands_out_nothing_and_starts_nobody(trace: Trace) -> None:
    for books, _, effect in trace.walk():
        if books.stopped and effect is not None:
            assert not isinstance(effect, Spawn | NotRun | GiveUp)
            assert not isinstance(effect, Assign) or not effect.tests


@promise
def a_stopped_run_runs_only_what_was_claimed_before(trace: Trace) -> None:
    stopped = trace.stopped_at
    if stopped is None or trace.scenario.remote:
        # A remote worker goes on until the word reaches it.
        return
    late = [claim for claim in trace.claims if claim[0] > stopped]
    assert not late


@promise
def an_interrupt_reaches_everyone_who_is_not_finishing(trace: Trace) -> None:
    for books, moment, effect in trace.walk():
        if effect is None and isinstance(moment.event, Stop):
            hit = {e.worker for e in moment.effects if isinstance(e, Interrupt)}
            expected = {w for w in books.live() if w not in books.finishing}
            assert hit == (expected if moment.event.interrupt else set())


# --- helpers ----------------------------------------------------------------------------------------


def _books_at_the_end(trace: Trace) -> Books:
    books = Books(trace.scenario)
    for moment in trace.moments:
        books.note_event(moment.event)
        for effect in moment.effects:
            books.note_effect(effect)
    return books


def _bound_to_the_condemned(books: Books) -> set[TestIndex]:
    """What waits for a worker's death: what it has claimed, and the rest of a group that it has begun."""
    key, hosts = books.scenario.key, books.hosts
    claimed = {key(test) for worker in books.condemned for test in books.outstanding.get(worker, [])}
    begun = {unit for unit, workers in hosts.items() if books.condemned & workers}
    return {test for test in books.unbegun if key(test) in claimed | begun}


def _condemned(moment: Moment) -> set[WorkerId]:
    """Whom a moment's effects condemn."""
    return {e.worker for e in moment.effects if isinstance(e, Dump) and e.test is not None}


def _reserved(scenario: Scenario) -> dict[TestIndex, WorkerId]:
    """Whose first batch a test is in, where all workers draw from one pool."""
    if scenario.partitions > 1:
        return {}
    options = scenario.options
    pool = Backlog(group_tests(scenario.tests, scenario.keys, options), options)
    if scenario.known is not None and (scenario.known.wide or scenario.known.durations):
        wide = scenario.known.wide or WideFixtures.none(scenario.tests)
        expected = Expectations(wide, scenario.known.durations, scenario.known.costs)
        pool = Shelf(map(TestIndex, range(scenario.tests)), expected, options)
    workers = options.workers_for(scenario.tests)
    reserved: dict[TestIndex, WorkerId] = {}
    for worker in range(workers):
        batch = pool.first_batch(workers - worker, workers)
        reserved |= {test: WorkerId(worker) for unit in batch for test in unit}
    return reserved


def _members(scenario: Scenario, key: str) -> set[TestIndex]:
    return {t for t in map(TestIndex, range(scenario.total)) if scenario.key(t) == key}


def _unbegun_in(books: Books, partition: int) -> set[TestIndex]:
    return {test for test in books.unbegun if books.scenario.partition(test) == partition}


def _spare(books: Books, sight: Sight) -> list[TestIndex]:
    """What is with a worker and is no part of a group that it has begun."""
    hosts, key = books.hosts, books.scenario.key
    return [test for test in sight.inbox if sight.worker not in hosts.get(key(test), ())]
