"""The deep survey: the suite in one order after another, as long as there is time (``--recheck=deep``)."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from pytest_procpar.core.inquiry.failing_alone import affordable, beginning
from pytest_procpar.core.inquiry.findings import Finding, Suspect
from pytest_procpar.core.inquiry.probes import Outcome
from pytest_procpar.core.inquiry.run_record import RunRecord
from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.recheck.budget import Spending
from pytest_procpar.core.survey.changers import changers
from pytest_procpar.core.survey.comparing import new_suspects
from pytest_procpar.core.survey.pair_cover import orders_by_file, orders_by_test
from pytest_procpar.core.survey.pairs import Coverage, Pairs
from pytest_procpar.core.survey.survey import Placed, survey_after, survey_orders, together
from pytest_procpar.recheck.surveying import Driver
from pytest_procpar.system.calls import monotonic

__all__ = ["DeepSurvey"]

_Tests = tuple[TestIndex, ...]

#: How long an order is expected to take before one of its kind has run, as a multiple of its tests' times.
_FIRST_PACE = 2.0
#: The overhead of each test, and of each order, in seconds.
_A_TEST, _AN_ORDER = 0.0005, 0.05
#: Tests are left out of an order for being slow if at least this part of it is left. Otherwise only its
#: beginning runs, if that has at least this part of it.
_WORTH_RUNNING, _WORTH_BEGINNING = 0.5, 0.05

#: Once this part of all pairs has been tried, time goes to the tests that change state; then the part of the
#: remaining time that may be spent on finding these; then how long the fork for one test takes, in seconds.
_NEARLY_ALL, _TO_KNOW, _A_FORK = 0.99, 0.25, 0.005

#: A test that was suspected this many times without a result is not looked into again.
_MOST_OFTEN = 2


class _Way:
    """Orders of one kind, and how long they have taken so far, in seconds."""

    def __init__(self, orders: Iterator[_Tests]) -> None:
        self._orders = orders
        self.pace = _FIRST_PACE
        self.spent = 0.0

    def took(self, seconds: float, expected: float) -> None:
        """Note that orders took `seconds`; at the usual pace they were expected to take `expected`."""
        self.spent += seconds
        self.pace = seconds / expected if expected else self.pace

    def take(self, count: int) -> list[_Tests]:
        """The next `count` orders, or those that are left."""
        return list(islice(self._orders, count))


class DeepSurvey:
    """Runs orders that bring each test after each other one, and notes which pairs they have tried.

    Half of the time is for orders that keep the tests of a file together, the other half for orders that do
    not: the latter can show more, but may set up what a file shares again and again. When nearly all pairs
    are tried, a part of the time goes to tests that change state: all other tests run right after each of
    them, in processes of their own. This also shows changes that several tests undo.

    :param concurrency: how many orders run at the same time.
    :param seed: the same seed runs the same suite in the same orders.
    :param now: the clock that `time` uses.
    """

    def __init__(
        self,
        run_record: RunRecord,
        time: Spending,
        concurrency: int,
        seed: str,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._now = now
        self._run = run_record
        self._time = time
        self._concurrency = concurrency
        tests = run_record.companions()
        names = [run_record.ids[test] for test in tests]
        by_file = orders_by_file(tests, names, run_record.file_of, seed)
        self._ways = [_Way(orders_by_test(tests, names, seed)), _Way(by_file)]
        self._tests = tuple(tests)
        self._pairs = Pairs(tests)
        #: The tests that change state and after which others have yet to run; None: not known yet.
        self._changers: deque[TestIndex] | None = None
        self._after = _Way(iter(()))
        self._followed = 0
        self._orders = 0
        self._left_out: set[TestIndex] = set()
        self._not_alone: set[TestIndex] = set()
        self._suspected: Counter[TestIndex] = Counter()

    @property
    def coverage(self) -> Coverage:
        """What has been tried so far."""
        left_out, not_alone = len(self._left_out), len(self._not_alone)
        return self._pairs.coverage(self._orders, left_out, self._followed, not_alone)

    def ran(self, placed: Iterable[Placed], orders: int = 1) -> None:
        """Note that `orders` orders were run."""
        self._orders += orders
        for tests in together(placed):
            self._pairs.ran(tests)

    def left_out(self, of_orders: Iterable[TestIndex], alone: Iterable[TestIndex]) -> None:
        """Note the tests that were left out of orders or not run alone, because there was no time."""
        self._left_out.update(of_orders)
        self._not_alone.update(alone)

    def suspects(self, driver: Driver, findings: Iterable[Finding]) -> list[Suspect] | None:
        """Run the next orders; return what they show beyond `findings`, or None if there are no more.

        :raises Ended: if the run is to end.
        """
        known = tuple(findings)
        while (way := self._next_way()) is not None:
            placed = self._follow(driver) if way is self._after else self._run_orders(driver, way)
            if placed is not None:
                found = new_suspects(placed, self._run, known)
                found = [suspect for suspect in found if self._suspected[suspect.test] < _MOST_OFTEN]
                self._suspected.update(suspect.test for suspect in found)
                return found
        return None

    def _next_way(self) -> _Way | None:
        """The kind of orders with work left that has taken the least time so far; None if there is none."""
        ways = list(self._ways)
        if (
            self._changers != deque()
            and not self._pairs.complete
            and (not ways or self._pairs.tried >= _NEARLY_ALL)
        ):
            ways.append(self._after)
        return min(ways, key=lambda way: way.spent) if ways else None

    def _run_orders(self, driver: Driver, way: _Way) -> list[Placed] | None:
        """Run the next orders of a kind; return None if there are no more, or no time for them."""
        began = self._now()
        taken = way.take(self._concurrency)
        if not taken:
            self._ways.remove(way)
            return None
        orders = self._fitting(taken, way.pace, self._time.end_of_orders - began)
        if not orders:  # nor is there time for a pass that finds the tests that change state
            self._ways.clear()
            self._changers = self._changers or deque()
            return None
        placed = driver.try_to_drive(survey_orders(orders), self._time.end_of_search)
        way.took(self._now() - began, max(map(self._seconds, orders)))
        self.ran(placed, len(orders))
        return placed

    def _follow(self, driver: Driver) -> list[Placed] | None:
        """Run all others after the next test that changes state; return None if there is none, or no time."""
        began, end = self._now(), self._time.end_of_orders
        if self._changers is None:
            states = driver.states(self._tests, began + _TO_KNOW * max(0.0, end - began))
            self._changers = deque(changers(states))
            self._after.spent += self._now() - began
            return None
        one = self._changers.popleft()
        others = tuple(t for t in self._tests if t != one and not self._pairs.is_adjacent(one, t))
        began = self._now()
        budget = (end - began) * self._concurrency / self._after.pace
        kept = affordable(others, self._cost, budget)
        if len(kept) < _WORTH_RUNNING * len(others):
            self._changers.clear()
            return None
        placed = driver.try_to_drive(survey_after((one,), kept), self._time.end_of_search)
        self._after.took(self._now() - began, sum(map(self._cost, kept)) / self._concurrency)
        for result in placed:
            if result.word is not Outcome.LOST:
                self._pairs.ran((one, result.test))
        self._followed += 1
        return placed

    def _cost(self, test: TestIndex) -> float:
        """How long it takes to run a test in a process of its own, in seconds."""
        return self._run.seconds(test) + _A_FORK

    def _seconds(self, order: Sequence[TestIndex]) -> float:
        return _AN_ORDER + sum(map(self._cost_in_order, order))

    def _cost_in_order(self, test: TestIndex) -> float:
        return self._run.seconds(test) + _A_TEST

    def _fitting(self, orders: Sequence[_Tests], pace: float, seconds: float) -> list[_Tests]:
        """These orders without the slowest tests if time is short; no orders if too many tests have to go.

        If a few slow tests are not to blame, the orders are cut short: they differ in what they begin with.
        """
        budget = seconds / pace - _AN_ORDER
        kept = [affordable(order, self._cost_in_order, budget) for order in orders]
        if any(len(rest) < _WORTH_RUNNING * len(order) for rest, order in zip(kept, orders, strict=True)):
            kept = [beginning(order, self._cost_in_order, budget) for order in orders]
        if any(len(rest) < _WORTH_BEGINNING * len(order) for rest, order in zip(kept, orders, strict=True)):
            return []
        for rest, order in zip(kept, orders, strict=True):
            self._left_out.update(set(order).difference(rest))
        return kept
