"""A cluster that exists only in memory: it performs a run's effects, and time jumps to what comes next.

A `Scenario` says what the suite is and what goes wrong; the same scenario always gives the same `Trace`.
The workers keep to what the real ones do: a record is claimed by reading it, a worker that has run a test
needs a further record to know what to tear down, and everything it says takes its time to arrive.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import cached_property

from pytest_procpar.core.model import Dist, RunOptions, TestIndex, Took, WorkerId, assert_never
from pytest_procpar.core.run.crew import START_TIMEOUT
from pytest_procpar.core.run.events import (
    Allotted,
    Assign,
    Consult,
    Crashed,
    Decided,
    Died,
    Dump,
    Effect,
    Event,
    Fewer,
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
    SuiteCollected,
    Terminate,
    Tick,
    WorkerReady,
)
from pytest_procpar.core.run.run import Run
from pytest_procpar.core.run.scheduler import HORIZON
from pytest_procpar.core.run.sharing.wide_fixtures import Known
from pytest_procpar.core.run.stable.assignment import divide

__all__ = [
    "Books", "Moment", "Scenario", "Sight", "SimulatedCluster", "SimulatedWorker", "State", "Trace",
    "simulate",
]  # fmt: skip

#: No scenario needs more events than this.
_ENDLESS = 10_000


@dataclass(frozen=True)
class Scenario:
    """A suite, and what its workers go through. Chances are between 0 and 1, times in seconds."""

    options: RunOptions
    tests: int
    #: How long a test may take.
    slowest: float = 1.0
    #: How many groups there are, under the modes that have groups.
    groups: int = 1
    in_hand: int = 64
    seed: int = 0
    #: Words to a worker travel, and Revoke is one of them; else its inbox can be emptied at once.
    remote: bool = False
    latency: float = 0.0
    #: The chance that a worker never comes up, that it comes up too late, and that it dies at any step.
    start_failures: float = 0.0
    late_starts: float = 0.0
    deaths: float = 0.0
    #: The chance that the system grants no process for a worker, and a quarter of that: none for its test.
    refusals: float = 0.0
    #: The tests that always kill their worker.
    deadly: int = 0
    #: The tests that never end, and which tests have a time limit of their own, in seconds.
    endless: int = 0
    limits: tuple[tuple[int, float], ...] = ()
    #: The chance that a worker does not end its session, and that one takes no notice of SIGTERM.
    endless_ends: float = 0.0
    stubborn: float = 0.0
    #: How many times a worker gets stuck, which is seen after a while, and the chance of that at any step.
    stucks: int = 0
    sticky: float = 0.0
    #: How many crashed tests a plugin puts back.
    put_backs: int = 0
    #: Whether the workers collect for themselves: they are up when the suite is known.
    started: bool = False
    #: What is known of the tests.
    known: Known | None = None
    #: After which event the run is stopped, and whether that interrupts.
    stops: tuple[tuple[int, bool], ...] = ()
    #: How many workers are started at most at first, and after which events so many may run tests.
    at_first: int | None = None
    allotted: tuple[tuple[int, int], ...] = ()

    @cached_property
    def keys(self) -> tuple[str, ...] | None:
        """The key of every test; neighbours are likely to share one, and do where tests are pinned."""
        shuffle = random.Random(self.seed)
        if self.options.pinned:
            return tuple(map(str, sorted(shuffle.randrange(self.options.workers) for _ in range(self.tests))))
        if not self.options.dist.grouped:
            return None
        homes = sorted(shuffle.randrange(self.groups) for _ in range(self.tests))
        return tuple(str(shuffle.choice((home, home, shuffle.randrange(self.groups)))) for home in homes)

    @cached_property
    def killers(self) -> frozenset[int]:
        """The tests that always kill their worker, by their place in the collected order."""
        return frozenset(random.Random(self.seed).sample(range(self.tests), min(self.deadly, self.tests)))

    @cached_property
    def hangers(self) -> frozenset[int]:
        """The tests that never end, by their place in the collected order, if somebody would notice."""
        picked = random.Random(self.seed + 1).sample(range(self.tests), min(self.endless, self.tests))
        return frozenset(place for place in picked if self.limit(place))

    def limit(self, place: int) -> float:
        """How long a test may take."""
        return dict(self.limits).get(place, self.options.hang_timeout)

    @property
    def partitions(self) -> int:
        return self.options.workers if self.options.divided else 1

    @property
    def total(self) -> int:
        return self.tests * (self.options.workers if self.options.dist is Dist.EACH else 1)

    def partition(self, test: TestIndex) -> int:
        if self.options.pinned:
            assert self.keys is not None
            return int(self.keys[test])
        return self.homes.get(test, test // self.tests)

    @cached_property
    def homes(self) -> dict[int, int]:
        """Where tests belong under ``stable``."""
        if self.options.dist is not Dist.STABLE or self.options.pinned:
            return {}
        shares = divide(self.keys or (), self.options.workers)
        return {test: worker for worker, tests in enumerate(shares) for test in tests}

    def key(self, test: TestIndex) -> str:
        """The name of the unit a test is dealt in."""
        grouped = self.keys is not None and not self.options.pinned
        key = self.keys[test % self.tests] if self.keys is not None and grouped else str(test % self.tests)
        return f"{self.partition(test)}/{key}"


@dataclass(frozen=True)
class Sight:
    """A worker as it really is at one moment."""

    worker: WorkerId
    waits: bool
    #: It has run a test and does not know what comes next.
    stalled: bool
    inbox: tuple[TestIndex, ...]


@dataclass(frozen=True)
class Moment:
    """One event and what the run made of it."""

    time: float
    event: Event
    effects: tuple[Effect, ...]
    #: The workers that are up, if nothing is on its way, every worker has done what it can, and time changes
    #: nothing.
    quiet: tuple[Sight, ...] | None


@dataclass
class Trace:
    """All that happened."""

    scenario: Scenario
    moments: list[Moment] = field(default_factory=list)
    #: Which test each worker took from its inbox, after how many moments.
    claims: list[tuple[int, WorkerId, TestIndex]] = field(default_factory=list)
    unsettled: list[TestIndex] = field(default_factory=list)
    stuck: bool = False
    endless: bool = False

    @property
    def stopped_at(self) -> int | None:
        """The place of the first Stop among the moments."""
        return next((i for i, m in enumerate(self.moments) if isinstance(m.event, Stop)), None)

    def effects(self) -> Iterator[Effect]:
        for moment in self.moments:
            yield from moment.effects

    def walk(self) -> Iterator[tuple[Books, Moment, Effect | None]]:
        """Every event (with None) and every effect (not yet in the books), and the books at that point."""
        books = Books(self.scenario)
        for moment in self.moments:
            books.note_event(moment.event)
            yield books, moment, None
            for effect in moment.effects:
                yield books, moment, effect
                books.note_effect(effect)

    def rests(self) -> Iterator[tuple[Books, tuple[Sight, ...]]]:
        """The moments at which nothing is on its way and every worker has done what it can.

        Without the workers that are being ended.
        """
        books = Books(self.scenario)
        for moment in self.moments:
            books.note_event(moment.event)
            for effect in moment.effects:
                books.note_effect(effect)
            if moment.quiet is not None:
                yield books, tuple(s for s in moment.quiet if s.worker not in books.condemned)


class Books:
    """What an onlooker knows who sees the events and the effects."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.spawned: dict[WorkerId, Spawn] = {}
        self.partition_of: dict[WorkerId, int] = {}
        self.ready: set[WorkerId] = set()
        self.finishing: set[WorkerId] = set()
        self.dead: set[WorkerId] = set()
        self.stopped = False
        #: What a worker was assigned, has not given back and has not begun.
        self.outstanding: dict[WorkerId, list[TestIndex]] = {}
        #: What is known to have been claimed, since it was missing from an answer to a Revoke.
        self.claimed: dict[WorkerId, set[TestIndex]] = {}
        #: What a worker was told last of the time after its last test.
        self.told: dict[WorkerId, str | None] = {}
        self.running: dict[WorkerId, TestIndex] = {}
        self.unbegun: set[TestIndex] = {TestIndex(i) for i in range(scenario.total)}
        self.settled: Counter[TestIndex] = Counter()
        self.put_back: set[TestIndex] = set()
        self._put_back_last: TestIndex | None = None
        #: The workers that are being ended: what they say is not heard.
        self.condemned: set[WorkerId] = set()
        #: The workers that are stuck, and the tests that run again for that.
        self.stuck: set[WorkerId] = set()
        self.rescued: set[TestIndex] = set()
        #: The live workers that began a test of a unit.
        self.hosts: dict[str, set[WorkerId]] = {}

    def live(self) -> list[WorkerId]:
        return [worker for worker in self.spawned if worker not in self.dead]

    def note_event(self, event: Event) -> None:
        match event:
            case WorkerReady(worker):
                self.ready.add(worker)
            case ItemBegan(worker) | ItemFinished(worker) if worker in self.condemned:
                pass
            case ItemBegan(worker, test):
                self.outstanding[worker].remove(test)
                self.unbegun.remove(test)
                self.running[worker] = test
                self.hosts.setdefault(self.scenario.key(test), set()).add(worker)
            case ItemFinished(worker, test):
                assert self.running.pop(worker) == test
                self.settled[test] += 1
            case Revoked(worker, tests):
                self.outstanding[worker] = [t for t in self.outstanding.get(worker, []) if t not in tests]
                self.claimed[worker] = set(self.outstanding[worker])
                self.told[worker] = None
            case Stuck(worker):
                if worker not in self.condemned and worker not in self.finishing:
                    self.stuck.add(worker)
                    if worker in self.ready:
                        self.condemned.add(worker)
            case Died(worker) | Refused(worker):
                self.dead.add(worker)
                if worker in self.stuck and worker in self.running:
                    test = self.running.pop(worker)
                    self.unbegun.add(test)
                    self.rescued.add(test)
                self.outstanding.pop(worker, None)
                for hosts in self.hosts.values():
                    hosts.discard(worker)
            case ItemPutBack(test):
                if not self.stopped:
                    self.settled[test] -= 1
                    self.unbegun.add(test)
                    self.put_back.add(test)
                    self._put_back_last = test
            case Stop():
                self.stopped = True
            case SuiteCollected() | Tick() | Decided() | Allotted():
                pass
            case _:
                assert_never(event)

    def note_effect(self, effect: Effect) -> None:
        match effect:
            case Spawn(worker, replaces):
                self.spawned[worker] = effect
                if replaces is not None:
                    self.partition_of[worker] = self.partition_of[replaces]
                elif self._put_back_last is not None:
                    self.partition_of[worker] = self.scenario.partition(self._put_back_last)
                else:
                    self.partition_of[worker] = worker % self.scenario.partitions
            case Assign(worker, tests, then):
                self.told[worker] = then
                self.outstanding.setdefault(worker, []).extend(tests)
            case Crashed(worker, test) | Hung(worker, test):
                del self.running[worker]
                self.settled[test] += 1
            case Dump(worker, test):
                if test is not None:
                    self.condemned.add(worker)
            case NotRun(tests):
                self.settled.update(tests)
                self.unbegun.difference_update(tests)
            case Finish(worker):
                self.finishing.add(worker)
            case Revoke() | Interrupt() | Terminate() | Kill() | GiveUp() | Fewer() | Consult():
                pass
            case _:
                assert_never(effect)


def simulate(scenario: Scenario, scheduler: Callable[[Consult], Decided] | None = None) -> Trace:
    """Let a run go from its collection to its end.

    :param scheduler: a plugin's scheduler, which decides instead of `Dist`.
    """
    return SimulatedCluster(scenario, scheduler).go()


class State(Enum):
    """What a worker does."""

    STARTING = auto()
    #: With an empty inbox, between two tests.
    WAITING = auto()
    RUNNING = auto()
    #: With an empty inbox, after a test: what is to be torn down hangs on the next record.
    LOOKING_AHEAD = auto()
    ENDING = auto()
    DEAD = auto()


class SimulatedCluster:
    """The controller's surroundings, and a `Run`. Processes live by ``now``, in seconds."""

    def __init__(self, scenario: Scenario, scheduler: Callable[[Consult], Decided] | None = None) -> None:
        self.scenario = scenario
        self.random = random.Random(scenario.seed)
        self.run = Run(scenario.options, in_hand=scenario.in_hand)
        self.run.at_first = scenario.at_first
        self._scheduler = scheduler
        if scheduler is not None:
            self.run.deal_by("the scheduler")
        self.trace = Trace(scenario)
        self.now = 0.0
        self.agenda: list[tuple[float, int, bool, Callable[[], None]]] = []
        self._entries = 0
        self.brief = 0
        self.workers: dict[WorkerId, SimulatedWorker] = {}
        self._put_backs = scenario.put_backs
        self._stucks = scenario.stucks
        self._next: deque[Event] = deque()

    def go(self) -> Trace:
        started = self.scenario.options.workers if self.scenario.started else 0
        scenario = self.scenario
        self.happened(SuiteCollected(scenario.tests, scenario.keys, scenario.limits, started, scenario.known))
        while not self.run.over:
            deadline = self.run.deadline()
            if deadline is not None and (not self.agenda or deadline < self.agenda[0][0]):
                self.now = max(self.now, deadline)
                self.happened(Tick())
            elif self.agenda:
                self.now, _, brief, action = heapq.heappop(self.agenda)
                self.brief -= brief
                action()
            else:
                self.trace.stuck = True
                break
            if self.trace.endless:
                break
        self.trace.unsettled = list(self.run.unsettled())
        return self.trace

    @property
    def run_time(self) -> float:
        """The time of the controller's clock."""
        return self.now

    def _waits(self) -> bool:
        """Whether the run may be about to see if a worker was quick, and to take what it has not begun."""
        deadline = self.run.deadline()
        return deadline is not None and deadline <= self.run_time + HORIZON

    def later(self, time: float, action: Callable[[], None], *, brief: bool) -> None:
        """Do something later; `brief` says that until then things are not as they will stay."""
        self._entries += 1
        self.brief += brief
        heapq.heappush(self.agenda, (time, self._entries, brief, action))

    def chance(self, probability: float) -> bool:
        return probability > 0 and self.random.random() < probability

    def gets_stuck(self) -> bool:
        """Whether a worker stands still for good now."""
        if self._stucks and self.chance(self.scenario.sticky):
            self._stucks -= 1
            return True
        return False

    def delay(self) -> float:
        """How long something takes to arrive."""
        return self.random.choice((0.0, self.random.random())) * self.scenario.latency

    def happened(self, event: Event) -> None:
        self._next.append(event)
        while self._next:
            if len(self.trace.moments) > _ENDLESS:
                self.trace.endless = True
                return
            event = self._next.popleft()
            effects = self._handle(event)
            for effect in effects:
                self.perform(effect)
            self._next.extend(
                Stop(interrupt)
                for after, interrupt in self.scenario.stops
                if after == len(self.trace.moments)
            )
            self._next.extend(
                Allotted(count) for after, count in self.scenario.allotted if after == len(self.trace.moments)
            )
            quiet = None if self._next or self.brief or self._waits() else tuple(self._sights())
            self.trace.moments.append(Moment(self.run_time, event, effects, quiet))

    def _handle(self, event: Event) -> tuple[Effect, ...]:
        """What follows from an event, once the scheduler has said all that it has to say to it."""
        effects = self.run.handle(event, self.run_time)
        while any(isinstance(effect, Consult) for effect in effects):
            (consult,) = effects
            assert self._scheduler is not None
            assert isinstance(consult, Consult)
            effects = self.run.handle(self._scheduler(consult), self.run_time)
        return tuple(effects)

    def _sights(self) -> Iterator[Sight]:
        for worker in self.workers.values():
            if worker.state not in (State.STARTING, State.DEAD):
                yield worker.sight()

    def spawn(self, worker: WorkerId) -> SimulatedWorker:
        """Make the worker that is to be started now."""
        return SimulatedWorker(self, worker)

    def perform(self, effect: Effect) -> None:
        """Do what the run wants done."""
        match effect:
            case Spawn(worker):
                self.workers[worker] = self.spawn(worker)
                if self.scenario.started and worker < self.scenario.options.workers:
                    self.workers[worker].state = State.WAITING
                    self._next.append(WorkerReady(worker))
                else:
                    self.workers[worker].come_up()
            case Assign(worker, tests, then):
                self.workers[worker].tell([*tests, *([then] if then else [])])
            case Finish(worker):
                self.workers[worker].tell(["finish"])
            case Revoke(worker):
                taken = self.workers[worker].take_back()
                if taken is not None:
                    self._next.append(Revoked(worker, taken))
            case Interrupt(worker):
                self.workers[worker].interrupt()
            case Terminate(worker):
                if not self.chance(self.scenario.stubborn):
                    self.later(self.now + self.delay(), self.workers[worker].die, brief=True)
            case Kill(worker):
                self.later(self.now + self.delay(), self.workers[worker].die, brief=True)
            case Crashed(_, test):
                if self._put_backs and self.chance(0.7):
                    self._put_backs -= 1
                    self._next.append(ItemPutBack(test))
            case NotRun() | GiveUp() | Hung() | Dump() | Fewer() | Consult():
                pass
            case _:
                assert_never(effect)


class SimulatedWorker:
    """A worker's process."""

    def __init__(self, cluster: SimulatedCluster, worker: WorkerId) -> None:
        self.id = worker
        self.state = State.STARTING
        self.test: TestIndex | None = None
        self.inbox: deque[TestIndex | str] = deque()
        self.cluster = cluster
        self.spoke = self.heard = 0.0
        self.began = 0.0
        #: Changes whenever what was planned for the worker is void.
        self._plan = 0

    def sight(self) -> Sight:
        tests = tuple(record for record in self.inbox if not isinstance(record, str))
        return Sight(self.id, self.state is State.WAITING, self.state is State.LOOKING_AHEAD, tests)

    # --- what the controller does to it ---

    def come_up(self) -> None:
        if self.cluster.chance(self.cluster.scenario.refusals):
            self.refuse()
        else:
            self.start()

    def start(self) -> None:
        cluster, scenario = self.cluster, self.cluster.scenario
        if cluster.gets_stuck():
            self._stick()
            return
        takes = cluster.random.choice((0.0, 0.0, 0.01, 0.3, 5.0)) * cluster.random.random()
        if cluster.chance(scenario.start_failures):
            self.soon(takes, self.die)
        elif cluster.chance(scenario.late_starts):
            self.soon(START_TIMEOUT + cluster.random.choice((-1, 0, 0.5, 1000)), self._up)
        else:
            self.soon(takes, self._up)
        if cluster.chance(scenario.deaths):
            cluster.later(cluster.now + cluster.random.random(), self.die, brief=False)

    def tell(self, records: list[TestIndex | str]) -> None:
        if self.cluster.scenario.remote:
            self._travel(lambda: self.hear(records))
        else:
            self.hear(records)

    def take_back(self) -> tuple[TestIndex, ...] | None:
        """Empty the inbox; None if the answer comes later."""
        if not self.cluster.scenario.remote:
            return self._drain()
        self._travel(lambda: self.say(Revoked(self.id, self._drain())))
        return None

    def interrupt(self) -> None:
        if self.state is State.RUNNING and self.test is not None:
            self.soon(0.001, self.ran)

    def _travel(self, arrive: Callable[[], None]) -> None:
        self.heard = max(self.heard, self.cluster.now + self.cluster.delay())
        self.cluster.later(self.heard, lambda: None if self.state is State.DEAD else arrive(), brief=True)

    def hear(self, records: list[TestIndex | str]) -> None:
        self.inbox.extend(records)
        wake = self.cluster.now + self.cluster.delay() / 4
        self.cluster.later(wake, self.wake, brief=True)

    def _drain(self) -> tuple[TestIndex, ...]:
        tests = tuple(record for record in self.inbox if not isinstance(record, str))
        self.inbox.clear()
        return tests

    # --- what it does itself ---

    def die(self) -> None:
        if self.state is not State.DEAD:
            self.state = State.DEAD
            self.say(Died(self.id))

    def refuse(self) -> None:
        """The system does not grant what it needs."""
        self.state = State.DEAD
        self.say(Refused(self.id, "no room"))

    def _stick(self) -> None:
        """Do nothing from now on, until somebody has seen that."""
        self._plan += 1
        wait = 5.0 + 4 * self.cluster.scenario.latency  # nothing is on its way by then
        self.cluster.later(self.cluster.now + wait, self.seen_stuck, brief=False)

    def seen_stuck(self) -> None:
        if self.state is not State.DEAD:
            self.cluster.happened(Stuck(self.id))

    def say(self, event: Event) -> None:
        cluster = self.cluster
        self.spoke = max(self.spoke, cluster.now + cluster.delay())
        cluster.later(self.spoke, lambda: cluster.happened(event), brief=True)

    def soon(self, takes: float, action: Callable[[], None], *, brief: bool = False) -> None:
        self._plan += 1
        plan = self._plan

        def act() -> None:
            if self._plan == plan and self.state is not State.DEAD:
                action()

        self.cluster.later(self.cluster.now + takes, act, brief=brief)

    def _up(self) -> None:
        self.say(WorkerReady(self.id))
        self.read()

    def wake(self) -> None:
        if self.inbox and self.state is State.WAITING:
            self.read()
        elif self.inbox and self.state is State.LOOKING_AHEAD:
            self.finished()

    def read(self) -> None:
        while self.inbox:
            record = self.inbox.popleft()
            if record == "finish":
                self.state = State.ENDING
                if self.cluster.gets_stuck():
                    self._stick()
                    return
                if self.cluster.scenario.options.hang_timeout and self.cluster.chance(
                    self.cluster.scenario.endless_ends
                ):
                    return
                self.soon(0.01, self.die)
                return
            if not isinstance(record, str):
                self._claim(record)
                return
        self.state = State.WAITING

    def _claim(self, test: TestIndex) -> None:
        cluster = self.cluster
        cluster.trace.claims.append((len(cluster.trace.moments), self.id, test))
        self.state = State.RUNNING
        gap = cluster.delay() / 4
        if cluster.chance(cluster.scenario.refusals / 4):
            self.soon(gap, self.refuse, brief=True)
            return
        self.soon(gap, self.die if self._doomed() else lambda: self.begin(test), brief=True)

    def begin(self, test: TestIndex) -> None:
        cluster = self.cluster
        self.test, self.began = test, cluster.now
        self.say(ItemBegan(self.id, test))
        if cluster.gets_stuck():
            self._stick()
            return
        takes = cluster.random.choice((0.0, 0.1, 1.0)) * cluster.random.random() * cluster.scenario.slowest
        deadly = test % cluster.scenario.tests in cluster.scenario.killers
        if test % cluster.scenario.tests in cluster.scenario.hangers:
            takes = 1000.0 * cluster.random.choice(
                (1, 1, 0.001, 0.003)
            )  # some end while they are being ended
        self.soon(takes, self.die if deadly or self._doomed() else self.ran)

    def ran(self) -> None:
        if self.inbox:
            self.finished()
        else:
            self.state = State.LOOKING_AHEAD

    def finished(self) -> None:
        assert self.test is not None
        self.say(ItemFinished(self.id, self.test, self._took()))
        self.test = None
        if self._doomed():
            self.die()
        else:
            self.read()

    def _took(self) -> Took | None:
        """How long the test took, in all and to set up, where that counts."""
        if self.cluster.scenario.known is None:
            return None
        seconds = self.cluster.now - self.began
        set_up = self.cluster.random.choice((0.0, 0.1, 0.9, None))
        return seconds, None if set_up is None else seconds * set_up

    def _doomed(self) -> bool:
        return self.cluster.chance(self.cluster.scenario.deaths)
