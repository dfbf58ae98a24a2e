"""A cluster in which tests take the time that they say, and wide fixtures are set up as pytest does it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property

from pytest_procpar.core.model import Dist, RunOptions, TestIndex, WorkerId
from pytest_procpar.core.run.events import ItemBegan, ItemFinished
from pytest_procpar.core.run.sharing.wide_fixtures import NOTHING, Known, Use, WideFixtures
from tests.core.cluster import Scenario, SimulatedCluster, SimulatedWorker, Trace

__all__ = ["Result", "Suite", "perform"]


@dataclass
class Suite:
    """Tests and the wide fixtures that they need; times in seconds."""

    durations: list[float] = field(default_factory=list)
    uses: list[Use] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)
    homes: list[int] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    _homes: int = 0

    def home(self) -> int:
        """Another module or class."""
        self._homes += 1
        return self._homes - 1

    def fixture(self, home: int, cost: float, name: str = "slow") -> int:
        """Another fixture of a module or class."""
        self.costs.append(cost)
        self.homes.append(home)
        self.names.append(name)
        return len(self.costs) - 1

    def tests(self, count: int, seconds: float, use: Use = NOTHING) -> None:
        """More tests that use the same."""
        self.durations += [seconds] * count
        self.uses += [use] * count

    def module(self, count: int, seconds: float, cost: float, name: str = "slow") -> None:
        """A module of tests that all need its fixture."""
        home = self.home()
        self.tests(count, seconds, ((home,), (self.fixture(home, cost, name),)))

    @cached_property
    def wide(self) -> WideFixtures:
        places = {use: place for place, use in enumerate(dict.fromkeys([NOTHING, *self.uses]))}
        labels = tuple(f"{home}::slow{number}" for number, home in enumerate(self.homes))
        numbers = tuple(places[use] for use in self.uses)
        return WideFixtures(numbers, tuple(places), tuple(self.names), labels, tuple(self.homes))

    def known(self, *, durations: bool = False, costs: bool = False) -> Known:
        """What the run is told."""
        return Known(
            self.wide if self.costs else None,
            tuple(self.durations) if durations else None,
            dict(zip(self.wide.labels, self.costs, strict=True)) if costs else None,
        )

    @property
    def total(self) -> float:
        """How long one worker takes, each fixture set up once."""
        return sum(self.durations) + sum(self.costs)


@dataclass(frozen=True)
class Result:
    """What came of a run."""

    seconds: float
    set_ups: int
    trace: Trace
    #: Which tests each worker ran, in order.
    ran: dict[WorkerId, list[TestIndex]]
    #: How often each fixture was set up.
    by_fixture: Counter[int]


class _Cluster(SimulatedCluster):
    def __init__(self, scenario: Scenario, suite: Suite, latency: float) -> None:
        super().__init__(scenario)
        self.suite = suite
        self.latency = latency
        self.set_ups: Counter[int] = Counter()
        self.ran: dict[WorkerId, list[TestIndex]] = {}
        self.ended = 0.0

    def spawn(self, worker: WorkerId) -> SimulatedWorker:
        return _Worker(self, worker)

    def delay(self) -> float:
        return self.latency


class _Worker(SimulatedWorker):
    def __init__(self, cluster: _Cluster, worker: WorkerId) -> None:
        super().__init__(cluster, worker)
        self.at_work = cluster
        self.homes: tuple[int, ...] = ()
        self.standing: set[int] = set()
        self.took = (0.0, 0.0)

    def start(self) -> None:
        self.soon(0.0, self._up)

    def begin(self, test: TestIndex) -> None:
        suite = self.at_work.suite
        self.test = test
        self.say(ItemBegan(self.id, test))
        self.at_work.ran.setdefault(self.id, []).append(test)
        self.homes, fixtures = suite.uses[test]
        self.standing = {fixture for fixture in self.standing if suite.homes[fixture] in self.homes}
        new = [fixture for fixture in fixtures if fixture not in self.standing]
        self.standing.update(new)
        self.at_work.set_ups.update(new)
        set_up = sum(suite.costs[fixture] for fixture in new)
        self.took = (set_up + suite.durations[test], set_up)
        self.soon(self.took[0], self.ran)

    def ran(self) -> None:
        self.at_work.ended = self.at_work.now
        super().ran()

    def finished(self) -> None:
        assert self.test is not None
        if isinstance(self.inbox[0], str):  # nothing follows, for now: all is torn down
            self.homes, self.standing = (), set()
        self.say(ItemFinished(self.id, self.test, self.took))
        self.test = None
        self.read()


def perform(
    suite: Suite,
    workers: int,
    dist: Dist = Dist.LOAD,
    *,
    durations: bool = False,
    costs: bool = False,
    latency: float = 0.0,
) -> Result:
    """Run a suite; say beforehand how long tests take, or what fixtures cost, only if asked to."""
    known = suite.known(durations=durations, costs=costs)
    scenario = Scenario(RunOptions(workers, dist), len(suite.durations), in_hand=128, known=known)
    cluster = _Cluster(scenario, suite, latency)
    trace = cluster.go()
    assert not trace.stuck
    assert not trace.endless
    assert sorted(test for ran in cluster.ran.values() for test in ran) == [*range(len(suite.durations))]
    return Result(cluster.ended, sum(cluster.set_ups.values()), trace, cluster.ran, cluster.set_ups)
