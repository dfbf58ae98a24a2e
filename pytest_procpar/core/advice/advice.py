"""What one run tells about the next: where its time went, what bounds it, and what to change first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from pytest_procpar.core.advice.makespan import Batch, schedule, shortest
from pytest_procpar.core.history.durations import SETTING_OF_ALL, function_of, median, settings_of
from pytest_procpar.core.history.fixture_costs import Step
from pytest_procpar.core.history.own_times import own_times
from pytest_procpar.core.history.run_log import Ending, Timed
from pytest_procpar.core.record import record

__all__ = ["Advice", "DearSetting", "RanTest", "RunFacts", "advise"]

#: A setting whose fixtures take less than this many seconds is not worth a word.
_DEAR = 0.05
#: A number of workers is enough if no larger one is faster by more than this part.
_ENOUGH = 0.05
#: A gap between two tests is idle as far as it is longer than the usual one, and than this many seconds.
_GAP = 0.05
#: So many counts of workers are looked at beyond the processors that there are.
_BEYOND = 2


@record
class RanTest:
    """A test that a worker ran: its phases' seconds, and from when to when, on one clock for all workers."""

    nodeid: str
    ending: Ending
    setup: float
    call: float
    teardown: float
    start: float
    stop: float


@record
class RunFacts:
    """What a run did.

    ``began`` is when its process began to work, on the clock of the tests. ``workers`` have their tests in
    the order in which they ran. ``cpus`` is how many processors there are.
    """

    began: float
    workers: Mapping[str, Sequence[RanTest]]
    cpus: int


@record
class DearSetting:
    """A module or class whose fixtures take long: its key, what one set-up costs, how often it was set up.

    ``needed`` is how often a good schedule for as many workers would set it up.
    """

    key: str
    cost: float
    set_ups: int
    needed: int

    @property
    def wasted(self) -> float:
        """How many seconds of workers went into set-ups that were not needed."""
        return self.cost * max(0, self.set_ups - self.needed)


@record
class Advice:
    """What came of it, in seconds.

    ``before`` passed until the first test began; ``tests`` is from then until the last one ended; ``work`` is
    what all tests and fixtures took in sum. ``idle`` is the share of ``tests`` in which each worker ran
    nothing. ``best`` is what a good schedule with as many workers would have taken instead of ``tests``, and
    ``bound`` is what no schedule can undercut. ``expected`` is ``best`` for other numbers of workers, of
    which ``worth`` is the smallest that is about as fast as any.
    """

    count: int
    before: float
    tests: float
    work: float
    longest: tuple[str, float]
    longest_of_file: tuple[str, float]
    idle: Mapping[str, float]
    dear: Sequence[DearSetting]
    best: float
    bound: float
    expected: Mapping[int, float]
    worth: int

    @property
    def idle_share(self) -> float:
        """The share of all workers' time in which they ran nothing."""
        return sum(self.idle.values()) / len(self.idle)

    @property
    def is_bound_by_one_test(self) -> bool:
        """Whether the longest test keeps the run from being faster, not the sum of all."""
        return self.bound > 1.01 * self.work / len(self.idle)


def advise(facts: RunFacts) -> Advice | None:
    """What the run tells; None if no test ran."""
    workers = {name: tests for name, tests in facts.workers.items() if tests}
    if not workers:
        return None
    first = min(tests[0].start for tests in workers.values())
    last = max(test.stop for tests in workers.values() for test in tests)
    window = max(last - first, 1e-9)
    costs, own, set_ups = _fixtures(list(workers.values()))
    batches = _batches(own, costs)
    count = len(workers)
    places = {key: place for place, key in enumerate(batches)}
    good = schedule(list(batches.values()), count)
    dear = [
        DearSetting(key, cost, set_ups[key], good.parts.get(places.get(key, -1), 1))
        for key, cost in costs.items()
        if cost >= _DEAR
    ]
    counts = sorted({*range(1, facts.cpus + 1), count, _BEYOND * facts.cpus})
    expected = {number: schedule(list(batches.values()), number).seconds for number in counts}
    fastest = min(expected[number] for number in counts if number <= facts.cpus)
    of_files: dict[str, float] = {}
    for nodeid, seconds in own:
        file = nodeid.partition("::")[0]
        of_files[file] = of_files.get(file, 0.0) + seconds
    return Advice(
        count=len(own),
        before=max(0.0, first - facts.began),
        tests=window,
        work=sum(seconds for _, seconds in own) + sum(cost * set_ups[key] for key, cost in costs.items()),
        longest=max(own, key=lambda one: one[1]),
        longest_of_file=max(of_files.items(), key=lambda one: one[1]),
        idle={name: _idle(tests, first, last) / window for name, tests in _by_number(workers)},
        dear=sorted(dear, key=lambda one: (-one.wasted, -one.cost, one.key)),
        best=expected[count],
        bound=shortest(list(batches.values()), count),
        expected=expected,
        worth=next(number for number in counts if expected[number] <= (1 + _ENOUGH) * fastest),
    )


def _fixtures(
    processes: Sequence[Sequence[RanTest]],
) -> tuple[dict[str, float], list[tuple[str, float]], dict[str, int]]:
    """What each setting costs, what each test takes without that, and how often each setting was set up."""
    timed = [
        [Timed(test.nodeid, test.ending, test.setup, test.call, test.teardown) for test in process]
        for process in processes
    ]
    apart = own_times(timed, {}, {})
    costs = {
        key: up + down
        for key, (up, down) in apart.costs.items()
        if key != SETTING_OF_ALL  # every worker sets that up, whoever runs what
    }
    own = [
        (test.nodeid, sum(times))
        for process, some in zip(timed, apart.tests, strict=True)
        for test, times in zip(process, some, strict=True)
    ]
    return costs, own, _set_ups(apart.steps)


def _set_ups(processes: Sequence[Sequence[Step]]) -> dict[str, int]:
    """How often each setting was entered."""
    counts: dict[str, int] = {}
    for steps in processes:
        there: tuple[str, ...] = ()
        for settings, *_ in steps:
            for place, key in enumerate(settings):
                if there[: place + 1] != settings[: place + 1]:
                    counts[key] = counts.get(key, 0) + 1
            there = settings
    return counts


def _batches(own: Sequence[tuple[str, float]], costs: Mapping[str, float]) -> dict[str, Batch]:
    """The tests that share a dear setting, by its key, and each other test by its nodeid and place."""
    tests: dict[str, list[float]] = {}
    inner: set[str] = set()
    for place, (nodeid, seconds) in enumerate(own):
        keys = [key for key in settings_of(function_of(nodeid))[1:] if costs.get(key, 0.0) >= _DEAR]
        some = tests.setdefault(keys[0] if keys else f"{nodeid} {place}", [])
        some.append(seconds)
        for key in keys[1:]:  # a dear class in a dear module is set up once more
            if key not in inner:
                inner.add(key)
                some.append(costs[key])
    return {key: Batch(tuple(some), costs.get(key, 0.0)) for key, some in tests.items()}


def _by_number(workers: Mapping[str, Sequence[RanTest]]) -> list[tuple[str, Sequence[RanTest]]]:
    """The workers in the order of the numbers in their names."""
    return sorted(workers.items(), key=lambda one: (len(one[0]), one[0]))


def _idle(tests: Sequence[RanTest], first: float, last: float) -> float:
    """How many seconds a worker had nothing to do between the run's first test and its last."""
    gaps = [max(0.0, after.start - before.stop) for before, after in pairwise(tests)]
    usual = median(gaps) if gaps else 0.0
    waits = sum(gap - usual for gap in gaps if gap > max(_GAP, 2 * usual))
    return max(0.0, tests[0].start - first) + waits + max(0.0, last - tests[-1].stop)
