"""The simulated cluster with a fork server, a clock that can be suspended, and a `Vigil` over it.

What `cluster` does at once goes through a fork server here, which may stop, answer late, or die; workers may
lose what is in their inboxes or their connection, and may be stopped. There are two clocks: the wall's, by
which processes live, and the run's, which stands still while the run is suspended.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from pytest_procpar.core.model import TestIndex, WorkerId, assert_never
from pytest_procpar.core.run.actions import (
    Action,
    BreakOff,
    DumpStacks,
    FinishCollecting,
    GiveUpCollecting,
    GiveUpServer,
    KillLost,
    LookForDeadlocks,
    LookIntoInboxes,
    PingServer,
    Say,
    ShowRunning,
    WakeRun,
)
from pytest_procpar.core.run.events import (
    Died,
    Effect,
    Event,
    Interrupt,
    ItemFinished,
    Kill,
    Refused,
    Stop,
    Stuck,
    SuiteCollected,
    Terminate,
    Tick,
)
from pytest_procpar.core.run.vigil import Vigil
from pytest_procpar.system.clock import Clock
from tests.core.cluster import Scenario, SimulatedCluster, SimulatedWorker, State, Trace

__all__ = ["Act", "Heard", "Troubles", "Watched", "watch"]

#: How often it is looked for deadlocks, of which there are none here.
_LOOKS = 1.0
#: After how long nothing will ever happen any more, if it was nothing but looks and pings, in seconds.
_FOR_EVER = 3_000.0


@dataclass(frozen=True)
class Troubles:
    """What happens to the processes besides what a `Scenario` says. Times are in seconds."""

    quiet: float = 0.0
    #: When the fork server stops, and for how long.
    server_stops: tuple[tuple[float, float], ...] = ()
    server_dies: float | None = None
    #: How late the fork server answers, and does what it is told.
    server_late: float = 0.0
    #: The chance that a test has its worker's inbox read empty from then on; that it closes the connection,
    #: after which the worker may die or not; that it writes nonsense there; and that it stops its worker.
    swallows: float = 0.0
    closes: float = 0.0
    garbles: float = 0.0
    halts: float = 0.0
    #: When all processes are suspended, and for how long: by Ctrl-Z, and unasked, as when a machine sleeps.
    suspensions: tuple[tuple[float, float], ...] = ()
    sleeps: tuple[tuple[float, float], ...] = ()
    #: When the controller alone stands still, and for how long: it is stopped while it waits, or it is at
    #: work, since a plugin takes its time there.
    controller_stops: tuple[tuple[float, float], ...] = ()
    works: tuple[tuple[float, float], ...] = ()
    #: When somebody asks what is running, and when a signal asks for the end.
    asked: tuple[float, ...] = ()
    terminated: float | None = None


@dataclass(frozen=True)
class Act:
    """What the watch had done."""

    time: float
    action: Action
    #: At which look.
    look: int
    #: Which worker ran which test then, as far as was known.
    running: dict[WorkerId, TestIndex]


@dataclass(frozen=True)
class Heard:
    """What the watch was told.

    "server", "progress", "asked", "terminated", or of a worker "lost", "garbled" or "gone".
    """

    time: float
    #: Before which look.
    look: int
    what: str
    worker: WorkerId | None = None


@dataclass
class Watched:
    """All that happened, in order."""

    trace: Trace
    troubles: Troubles
    log: list[Act | Heard] = field(default_factory=list)
    #: The workers that something was done to.
    harmed: set[WorkerId] = field(default_factory=set)
    #: The looks after which the next deadline was not in the future, and what was done before one.
    restless: list[float] = field(default_factory=list)
    hasty: list[Act] = field(default_factory=list)
    #: The most that the controller was late, by its own clock.
    latest: float = 0.0
    #: Whether the run was broken off.
    is_broken: bool = False
    #: When it was over, by the run's clock.
    ended: float = 0.0

    def acts(self, *kinds: type) -> list[Act]:
        """What of these kinds was done."""
        return [entry for entry in self.log if isinstance(entry, Act) and isinstance(entry.action, kinds)]


def watch(scenario: Scenario, troubles: Troubles) -> Watched:
    """Let a run go from its collection to its end, with a watch over it."""
    return _Cluster(scenario, troubles).watch()


class _Cluster(SimulatedCluster):
    """``now`` is the wall's time, by which processes live; `run_time` that of the run's clock."""

    def __init__(self, scenario: Scenario, troubles: Troubles) -> None:
        super().__init__(scenario)
        self.troubles = troubles
        self.clock = Clock(lambda: self.now)
        self.vigil = Vigil(self.run, 0.0, quiet=troubles.quiet)
        self.server = _Server(self)
        self.watched = Watched(self.trace, troubles)
        #: What has reached the controller and has not been read.
        self._mail: deque[Callable[[], None]] = deque()
        #: What stops the controller while it waits: when, for how long, and whether all others stop, too.
        self._naps = sorted(
            [(at, seconds, True) for at, seconds in troubles.sleeps]
            + [(at, seconds, False) for at, seconds in troubles.controller_stops]
        )
        self._time = 0.0
        self._looks = 0
        self._eventful_at = 0.0

    @property
    def run_time(self) -> float:
        return self._time

    def watch(self) -> Watched:
        troubles = self.troubles
        for at, seconds in troubles.server_stops:
            self.later(at, self.server.stop, brief=False)
            self.later(at + seconds, self.server.go_on, brief=False)
        if troubles.server_dies is not None:
            self.later(troubles.server_dies, self.server.die, brief=False)
        for at, seconds in troubles.suspensions:
            self._post_at(at, partial(self._suspend, seconds))
        for at, seconds in troubles.works:
            self._post_at(at, partial(self._work, seconds))
        for at in troubles.asked:
            self._post_at(at, self._ask)
        if troubles.terminated is not None:
            self._post_at(troubles.terminated, self._terminate)
        self.vigil.server_serves(0.0)
        started = self.scenario.options.workers if self.scenario.started else 0
        self.happened(SuiteCollected(self.scenario.tests, self.scenario.keys, self.scenario.limits, started))
        while not self._is_over:
            self._step()
            self.trace.stuck = self._time > self._eventful_at + _FOR_EVER
        self.trace.unsettled = list(self.run.unsettled())
        self.watched.ended = self._time
        return self.watched

    @property
    def _is_over(self) -> bool:
        return self.run.over or self.watched.is_broken or self.trace.endless or self.trace.stuck

    # --- the controller's loop ---

    def _step(self) -> None:
        deadline = self.vigil.deadline()
        assert deadline is not None
        wait = max(0.0, deadline - self._time)
        with self.clock.waiting(wait):
            is_late = self._live(self.now + wait)
        self._tick(deadline if is_late else 0.0)
        while self._mail and not self._is_over:
            self.brief -= 1
            self._mail.popleft()()
        self.watched.latest = max(self.watched.latest, self._time - deadline)
        if not self._is_over:
            self._look()

    def _live(self, due: float) -> bool:
        """Let the processes live until the controller has something to read; whether it is `due` by then."""
        while not self._mail:
            upto = min(due, self.agenda[0][0]) if self.agenda else due
            if self._naps and self._naps[0][0] <= upto:
                at, seconds, everybody = self._naps.pop(0)
                self.now = max(self.now, at)
                if everybody:
                    self._stand_still(seconds)
                else:
                    self._go_on(self.now + seconds)
                if self.now >= due:
                    return True
            elif upto < due:
                self._go_on(upto)
            else:
                self.now = max(self.now, due)
                return True
        return False

    def _go_on(self, until: float) -> None:
        """Let the processes live up to that time, whatever the controller does."""
        while self.agenda and self.agenda[0][0] <= until:
            at, _, brief, action = heapq.heappop(self.agenda)
            self.now = max(self.now, at)
            self.brief -= brief
            action()
        self.now = max(self.now, until)

    def _stand_still(self, seconds: float) -> None:
        """No process does anything for so long."""
        self.now += seconds
        self.agenda = [(at + seconds, *entry) for at, *entry in self.agenda]  # type: ignore[misc]
        self._naps = [(at + seconds, *nap) for at, *nap in self._naps]  # type: ignore[misc]
        self.server.stand_still(seconds)
        for worker in self.workers.values():
            worker.spoke += seconds
            worker.heard += seconds

    def _tick(self, least: float = 0.0) -> None:
        """Read the clock. What was waited for has come, though sums are rounded."""
        self._time = max(self._time, self.clock.now(), least)

    def _look(self) -> None:
        due = self.vigil.deadline()
        is_early = due is None or self._time < due
        self._looks += 1
        for action in self.vigil.due(self._time):
            act = Act(self._time, action, self._looks, self.run.running())
            self.watched.log.append(act)
            if is_early and not isinstance(action, LookIntoInboxes):
                self.watched.hasty.append(act)
            self._act(action)
            if self._is_over:
                return
        deadline = self.vigil.deadline()
        if deadline is None or deadline <= self._time:
            self.watched.restless.append(self._time)

    def _act(self, action: Action) -> None:
        match action:
            case WakeRun():
                self.happened(Tick())
            case LookForDeadlocks():
                self.vigil.look_again(self._time + _LOOKS)
            case LookIntoInboxes(workers):
                empty = [worker for worker in workers if self.workers[worker].seems_idle]
                self.vigil.found_empty(empty, self._time)
            case KillLost(worker):
                self.server.obey(self.workers[worker].die)
            case PingServer():
                self.server.obey(lambda: self.server.tell(None))
            case GiveUpServer() | BreakOff():
                self.watched.is_broken = True
            case DumpStacks() | Say() | ShowRunning() | FinishCollecting() | GiveUpCollecting():
                pass
            case _:
                assert_never(action)

    # --- what reaches the controller ---

    def post(self, hear: Callable[[], None]) -> None:
        """Something comes that the controller will read."""
        self.brief += 1
        self._mail.append(hear)

    def _post_at(self, at: float, hear: Callable[[], None]) -> None:
        self.later(at, lambda: self.post(hear), brief=False)

    def heard(self, what: str, worker: WorkerId | None = None) -> None:
        """Note what the watch is told."""
        self.watched.log.append(Heard(self._time, self._looks + 1, what, worker))

    def happened(self, event: Event) -> None:
        ends = isinstance(event, SuiteCollected | Died)
        if ends or (isinstance(event, ItemFinished) and self.run.hears(event.worker)):
            self.heard("progress")
            self.vigil.progressed(self._time)
        if not isinstance(event, Tick):
            self._eventful_at = self._time
        super().happened(event)

    def _suspend(self, seconds: float) -> None:
        with self.clock.stopped():
            self._stand_still(seconds)

    def _work(self, seconds: float) -> None:
        self._go_on(self.now + seconds)
        self._tick()

    def _ask(self) -> None:
        self.heard("asked")
        self.vigil.asked(self._time)

    def _terminate(self) -> None:
        self.heard("terminated")
        self.vigil.terminated("terminated by SIGTERM", self._time)
        self.happened(Stop(interrupt=True))

    # --- what is done to workers ---

    def spawn(self, worker: WorkerId) -> SimulatedWorker:
        return _Worker(self, worker)

    def perform(self, effect: Effect) -> None:
        match effect:
            case Kill(worker):
                self.server.obey(self.workers[worker].die)
            case Terminate(worker):
                if not self.chance(self.scenario.stubborn):
                    self.server.obey(self.workers[worker].die)
            case Interrupt(worker):
                self.server.obey(self.workers[worker].interrupt)
            case _:
                super().perform(effect)

    workers: dict[WorkerId, _Worker]  # type: ignore[assignment]


class _Server:
    """The fork server: it starts workers, sends them signals, and reaps them."""

    def __init__(self, cluster: _Cluster) -> None:
        self._cluster = cluster
        self._obeyed = self._told = 0.0
        self._is_stopped = self._is_dead = False
        self._orders: deque[Callable[[], object]] = deque()

    def obey(self, order: Callable[[], object]) -> None:
        """Have it do something: in order, when it comes to that."""
        self._obeyed = max(self._obeyed, self._cluster.now + self._delay())
        self._cluster.later(self._obeyed, lambda: self._take(order), brief=True)

    def tell(self, event: Died | Refused | None) -> None:
        """Say that a worker is dead, or (None) that it is still there."""
        cluster = self._cluster

        def hear() -> None:
            cluster.heard("server")
            cluster.vigil.server_spoke(cluster.run_time)
            if event is not None:
                cluster.heard("gone", event.worker)
                cluster.vigil.gone(event.worker)
                cluster.happened(event)

        self._told = max(self._told, cluster.now + self._delay())
        cluster.later(self._told, lambda: cluster.post(hear), brief=True)

    def stop(self) -> None:
        self._is_stopped = True

    def go_on(self) -> None:
        self._is_stopped = False
        while self._orders:
            self._cluster.brief -= 1
            self._orders.popleft()()

    def die(self) -> None:
        """Nobody is left who could start a worker: the run is broken."""
        self._is_dead = True

        def hear() -> None:
            self._cluster.watched.is_broken = True

        self._cluster.post(hear)

    def stand_still(self, seconds: float) -> None:
        self._obeyed += seconds
        self._told += seconds

    def _delay(self) -> float:
        return self._cluster.random.random() * self._cluster.troubles.server_late

    def _take(self, order: Callable[[], object]) -> None:
        if self._is_dead:
            return
        if self._is_stopped:
            self._cluster.brief += 1
            self._orders.append(order)
        else:
            order()


class _Worker(SimulatedWorker):
    """A worker that its fork server starts and reaps, and whose tests do what they should not."""

    cluster: _Cluster

    def __init__(self, cluster: _Cluster, worker: WorkerId) -> None:
        super().__init__(cluster, worker)
        self._is_unheard = self._is_stopped = self._is_swallowed = False

    @property
    def seems_idle(self) -> bool:
        """Whether it does nothing and has nothing to read, as far as can be seen from outside."""
        between = self.state in (State.STARTING, State.WAITING) or (
            self.state is State.RUNNING and self.test is None
        )
        return between and not self.inbox

    def come_up(self) -> None:
        self.cluster.server.obey(super().come_up)

    def say(self, event: Event) -> None:
        cluster = self.cluster
        self.spoke = max(self.spoke, cluster.now + cluster.delay())
        if isinstance(event, Died | Refused):
            self._lose(is_closed=True)
            cluster.later(
                self.spoke, lambda: cluster.server.obey(lambda: cluster.server.tell(event)), brief=True
            )
        elif not self._is_unheard:
            cluster.later(self.spoke, lambda: cluster.post(lambda: cluster.happened(event)), brief=True)

    def seen_stuck(self) -> None:
        def hear() -> None:
            if self.state is not State.DEAD:
                self.cluster.happened(Stuck(self.id))

        self.cluster.post(hear)

    def _lose(self, *, is_closed: bool) -> None:
        """Nothing that it says from now on is heard: there is nothing, or nothing that makes sense."""
        if self._is_unheard:
            return
        self._is_unheard = True
        cluster = self.cluster

        def hear() -> None:
            cluster.heard("lost" if is_closed else "garbled", self.id)
            cluster.vigil.lost(self.id, "it is lost", cluster.run_time, is_closed=is_closed)

        cluster.later(self.spoke, lambda: cluster.post(hear), brief=True)

    def hear(self, records: list[TestIndex | str]) -> None:
        if not self._is_swallowed:
            super().hear(records)

    def finished(self) -> None:
        """The test has ended; what it has done to its worker shows."""
        cluster, troubles = self.cluster, self.cluster.troubles
        if cluster.chance(troubles.swallows) and any(isinstance(record, int) for record in self.inbox):
            self._harm()
            self._is_swallowed = True
            self.inbox.clear()
        elif cluster.chance(troubles.closes):
            self._harm()
            self._lose(is_closed=True)
            if cluster.chance(0.5):
                self.soon(cluster.random.random(), self.die)
                return
        elif cluster.chance(troubles.garbles):
            self._harm()
            self._lose(is_closed=False)
        elif cluster.chance(troubles.halts):
            self._stop_for(cluster.random.choice((0.13, 4.3, 100.7)))
        super().finished()

    def _harm(self) -> None:
        """Others wait in vain from now on, until that is found out."""
        self.cluster.watched.harmed.add(self.id)
        self.cluster.brief += 1

    def _stop_for(self, seconds: float) -> None:
        """Do nothing for so long, whatever comes."""
        self._is_stopped = True
        self.cluster.later(self.cluster.now + seconds, self._go_on, brief=True)

    def _go_on(self) -> None:
        self._is_stopped = False
        self.wake()

    def wake(self) -> None:
        if not self._is_stopped:
            super().wake()

    def read(self) -> None:
        if self._is_stopped:
            self.state = State.WAITING
        else:
            super().read()
