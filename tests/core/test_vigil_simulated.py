"""What must hold for the watch over a run, whatever its processes go through.

The invariants, before any code:

- Every run ends, by itself or with a reason, though processes fall silent for ever.
- The loop sleeps: right after a look nothing is due, and before the deadline nothing is done.
- No time-out passes while the run is suspended: it goes as if it had not been.
- The fork server is asked once in a silence, when that has lasted its time, and given up if it stays silent
  for its time though it was asked. One that answers is not given up.
- Nobody is killed for being lost but who is lost, or whose tests are lost, and not dead; who has closed its
  connection has its time to die; nobody who is lost outlives that time.
- Inboxes are looked into when it is calm, and only of workers that are heard.
- Silence is told when it has lasted its time, then ever more rarely, and not at all if nobody wants that.
- Who asks is shown what runs, with stacks that have had their time to be written.
- A run that is terminated is broken off after its time, and not before.
- What is done in one look has an order.
- The run keeps all its promises.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_procpar.core.model import Dist, WorkerId
from pytest_procpar.core.run.actions import (
    BreakOff,
    DumpStacks,
    GiveUpServer,
    KillLost,
    LookForDeadlocks,
    LookIntoInboxes,
    PingServer,
    Say,
    ShowRunning,
    WakeRun,
)
from pytest_procpar.core.run.hang_watch import DUMP_SECONDS
from pytest_procpar.core.run.vigil import (
    CALM_SECONDS,
    DEAF_SECONDS,
    LOST_SECONDS,
    PING_SECONDS,
    TERMINATED_SECONDS,
)
from tests.core.cluster import Scenario
from tests.core.test_run_simulated import PROMISES, scenarios, what_hangs_is_found_hanging
from tests.core.watched import Act, Heard, Troubles, Watched, watch

#: How many runs there are. Worth some thousands after a change of the watch.
EXAMPLES = int(os.environ.get("PROCPAR_EXAMPLES", "150"))

#: What rounding may make of a sum of times.
TINY = 1e-6

#: Moments that stay what they are if a whole number of seconds is added: rounding would let one of two that
#: are almost the same overtake the other.
EXACT = st.integers(10, 20 * 1024).map(lambda parts: parts / 1024)


@st.composite
def moments(draw: st.DrawFn, longest: float) -> tuple[tuple[float, float], ...]:
    """When something begins, and how long it lasts: mostly never."""
    if draw(st.integers(0, 2)):
        return ()
    at = st.floats(0.01, 40.0)
    return tuple(draw(st.lists(st.tuples(at, st.floats(0.01, longest)), min_size=1, max_size=2)))


@st.composite
def plights(draw: st.DrawFn) -> tuple[Scenario, Troubles]:
    """A suite, and what its processes go through."""
    scenario = draw(
        scenarios(draw(st.sampled_from([Dist.LOAD, Dist.WORKSTEAL, Dist.LOADFILE])), pinned=False)
    )
    # Words travel fast: of a second on the way nobody knows whether it is silence.
    latency = min(scenario.latency, 0.01)
    scenario = replace(scenario, latency=latency, slowest=draw(st.sampled_from([0.01, 1.0, 30.0, 200.0])))
    chances = st.sampled_from([0.0, 0.0, 0.05, 0.5])
    return scenario, Troubles(
        quiet=draw(st.sampled_from([0.0, 0.73, 7.1, 61.3])),
        server_stops=draw(moments(100.0)),
        server_dies=draw(st.sampled_from([None, None, None, 0.01, 3.3])),
        server_late=draw(st.sampled_from([0.0, 0.001, 1.0, 12.0])),
        swallows=draw(chances),
        closes=draw(chances),
        garbles=draw(chances),
        halts=draw(chances),
        suspensions=draw(moments(1000.0)),
        sleeps=draw(moments(1000.0)),
        controller_stops=draw(moments(100.0)),
        works=draw(moments(50.0)),
        asked=tuple(draw(st.lists(EXACT, max_size=2))),
        terminated=draw(st.sampled_from([None, None, None, 0.5, 9.7])),
    )


_PROMISES: list[Callable[[Watched], None]] = []


def promise(check: Callable[[Watched], None]) -> Callable[[Watched], None]:
    """Something that holds in every run that is watched."""
    _PROMISES.append(check)
    return check


WATCHED = settings(
    max_examples=EXAMPLES, deadline=None, derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip


@WATCHED
@given(plights())
def test_every_watch_keeps_every_promise(plight: tuple[Scenario, Troubles]) -> None:
    watched = watch(*plight)
    for check in _PROMISES:
        check(watched)


@WATCHED
@given(plights(), EXACT, st.sampled_from([1.0, 64.0, 4096.0]))
def test_a_run_that_is_suspended_goes_as_if_it_had_not_been(
    plight: tuple[Scenario, Troubles], at: float, seconds: float
) -> None:
    scenario, troubles = plight
    troubles = replace(troubles, suspensions=(), sleeps=(), controller_stops=(), works=())
    whole, broken = (
        watch(scenario, replace(troubles, suspensions=((at, lasting),))) for lasting in (0.0, seconds)
    )
    assert [_what(entry) for entry in broken.log] == [_what(entry) for entry in whole.log]
    assert [entry.time for entry in broken.log] == pytest.approx([entry.time for entry in whole.log])


def _what(entry: Act | Heard) -> object:
    return entry.action if isinstance(entry, Act) else (entry.what, entry.worker)


# --- the run ----------------------------------------------------------------------------------------


@promise
def every_run_comes_to_its_end(watched: Watched) -> None:
    assert not watched.trace.stuck, "nothing will happen any more, yet the run is not over"
    assert not watched.trace.endless, "the run goes on and on"


@promise
def the_run_keeps_its_promises(watched: Watched) -> None:
    if watched.is_broken:
        return
    for check in PROMISES:
        # A worker that is killed for being lost is not found hanging.
        if check is not what_hangs_is_found_hanging or not watched.acts(KillLost):
            check(watched.trace)


@promise
def the_loop_sleeps_between_two_looks(watched: Watched) -> None:
    assert not watched.restless, "something is due at once again"
    assert not watched.hasty, "something was done before the deadline"


@promise
def what_is_done_in_one_look_has_an_order(watched: Watched) -> None:
    order = (
        DumpStacks, WakeRun, LookForDeadlocks, LookIntoInboxes, ShowRunning, Say, ShowRunning, KillLost,
        GiveUpServer, PingServer, BreakOff,
    )  # fmt: skip
    for one, other in pairwise(watched.acts(object)):
        if one.look == other.look and type(one.action) is not type(other.action):
            later = [i for i, kind in enumerate(order) if kind is type(other.action)]
            assert later[-1] > order.index(type(one.action))


# --- the fork server --------------------------------------------------------------------------------


@promise
def the_fork_server_is_asked_once_in_a_silence_that_has_lasted_its_time(watched: Watched) -> None:
    heard, is_asked = 0.0, False
    for entry in watched.log:
        if isinstance(entry, Heard) and entry.what == "server":
            heard, is_asked = entry.time, False
        elif isinstance(entry, Act) and isinstance(entry.action, PingServer):
            assert not is_asked, "it was asked again"
            assert entry.time >= heard + PING_SECONDS
            is_asked = True
        if not is_asked:
            assert entry.time <= heard + PING_SECONDS + watched.latest + TINY, "it was not asked"


@promise
def only_a_fork_server_that_stays_silent_though_it_was_asked_is_given_up(watched: Watched) -> None:
    heard, asked = 0.0, None
    for entry in watched.log:
        if isinstance(entry, Heard) and entry.what == "server":
            heard, asked = entry.time, None
        elif isinstance(entry, Act) and isinstance(entry.action, PingServer):
            asked = entry.time
        elif isinstance(entry, Act) and isinstance(entry.action, GiveUpServer):
            assert asked is not None
            assert entry.time >= max(heard + PING_SECONDS, asked) + DEAF_SECONDS - PING_SECONDS - TINY
            assert entry.action.why == "the fork server has not answered for 40 s"
        assert entry.time <= heard + DEAF_SECONDS + 2 * watched.latest + TINY, "it was not given up"


@promise
def a_fork_server_that_answers_is_not_given_up(watched: Watched) -> None:
    troubles = watched.troubles
    # It does first what it was told before, and is late with each.
    answers = troubles.server_late <= 1.0 and not troubles.server_stops and troubles.server_dies is None
    if answers:
        assert not watched.acts(GiveUpServer)


# --- workers ----------------------------------------------------------------------------------------


@promise
def only_who_is_lost_is_killed(watched: Watched) -> None:
    lost: dict[WorkerId, float] = {}
    gone: set[WorkerId | None] = set()
    killed: set[WorkerId] = set()
    for entry in watched.log:
        if isinstance(entry, Heard) and entry.worker is not None:
            if entry.what == "gone":
                gone.add(entry.worker)
            else:
                lost[entry.worker] = entry.time + (LOST_SECONDS if entry.what == "lost" else 0.0)
        elif isinstance(entry, Act) and isinstance(entry.action, KillLost):
            worker = entry.action.worker
            assert worker not in gone, "it is dead"
            assert worker not in killed, "it has been killed"
            killed.add(worker)
            if entry.action.why == "it is lost":
                assert entry.time >= lost[worker], "it had time left to die"
            else:
                assert worker in watched.harmed or worker in lost, "it is in order"


@promise
def nobody_who_is_lost_outlives_its_time(watched: Watched) -> None:
    lost: dict[WorkerId, float] = {}
    killed: set[WorkerId] = set()
    for entry in watched.log:
        if isinstance(entry, Heard) and entry.worker is not None:
            if entry.what == "gone":
                lost.pop(entry.worker, None)
            elif entry.worker not in killed:
                lost[entry.worker] = entry.time + (LOST_SECONDS if entry.what == "lost" else 0.0)
        elif isinstance(entry, Act) and isinstance(entry.action, KillLost):
            lost.pop(entry.action.worker, None)
            killed.add(entry.action.worker)
        for due in lost.values():
            assert entry.time <= due + watched.latest + TINY


@promise
def inboxes_are_looked_into_when_it_is_calm_and_only_of_who_is_heard(watched: Watched) -> None:
    calm = CALM_SECONDS
    lost: set[WorkerId] = set()
    for entry in watched.log:
        if isinstance(entry, Heard) and entry.what == "progress":
            calm = entry.time + CALM_SECONDS
        elif isinstance(entry, Heard) and entry.worker is not None and entry.what != "gone":
            lost.add(entry.worker)
        elif isinstance(entry, Act) and isinstance(entry.action, KillLost):
            lost.discard(entry.action.worker)
        elif isinstance(entry, Act) and isinstance(entry.action, LookIntoInboxes):
            assert entry.time >= calm
            assert lost.isdisjoint(entry.action.workers)


# --- what is told -----------------------------------------------------------------------------------


@promise
def silence_is_told_when_it_has_lasted_its_time_and_then_ever_more_rarely(watched: Watched) -> None:
    quiet = silence = watched.troubles.quiet
    due = quiet
    for entry in watched.log:
        if isinstance(entry, Heard) and entry.what == "progress":
            due, silence = entry.time + quiet, quiet
        elif isinstance(entry, Act) and isinstance(entry.action, Say):
            assert quiet, "nobody wants to know"
            assert entry.time >= due
            assert entry.action.text == f"\nno test has ended for {silence:g} s; running:"
            due, silence = entry.time + silence, 2 * silence
        assert not quiet or entry.time <= due + watched.latest + TINY, "it was not told"


@promise
def who_asks_is_shown_what_runs(watched: Watched) -> None:
    asked: float | None = None
    for entry in watched.log:
        if isinstance(entry, Heard) and entry.what == "asked":
            asked = entry.time
        elif isinstance(entry, Act) and entry.action == ShowRunning(asked=True):
            assert asked is not None
            assert entry.time >= asked + DUMP_SECONDS - TINY
            asked = None
        if asked is not None:
            assert entry.time <= asked + 2 * DUMP_SECONDS + watched.latest + TINY, "it was not shown"


@promise
def stacks_are_written_for_who_asks_by_all_that_run_a_test(watched: Watched) -> None:
    asked = {entry.look for entry in watched.log if isinstance(entry, Heard) and entry.what == "asked"}
    dumped = defaultdict[int, list[WorkerId]](list)
    running = {act.look: act.running for act in reversed(watched.acts(object))}
    for act in watched.acts(DumpStacks):
        assert isinstance(act.action, DumpStacks)
        dumped[act.look].append(act.action.worker)
    for look, tests in running.items():
        assert dumped[look] == (list(tests) if look in asked else [])


@promise
def a_terminated_run_is_broken_off_in_time(watched: Watched) -> None:
    terminated: float | None = None
    for entry in watched.log:
        if isinstance(entry, Heard) and entry.what == "terminated":
            terminated = entry.time
        elif isinstance(entry, Act) and isinstance(entry.action, BreakOff):
            assert terminated is not None
            assert entry.time >= terminated + TERMINATED_SECONDS
            assert entry.action.why == "terminated by SIGTERM"
        if terminated is not None:
            assert entry.time <= terminated + TERMINATED_SECONDS + watched.latest + TINY
