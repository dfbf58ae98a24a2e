"""The deep survey: the suite in one order after another, as long as there is time (``--recheck=deep``)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from pytest_procpar.core.comparing import new_suspects
from pytest_procpar.core.covering import orders_by_file, orders_by_test
from pytest_procpar.core.failing_alone import affordable
from pytest_procpar.core.findings import Finding, Suspect
from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.pairs import Coverage, Pairs
from pytest_procpar.core.runrecord import RunRecord
from pytest_procpar.core.spending import Spending
from pytest_procpar.core.survey import Placed, survey_orders, together
from pytest_procpar.process.system import monotonic
from pytest_procpar.surveying import Driver

__all__ = ["DeepSurvey"]

_Tests = tuple[TestIndex, ...]

#: How long an order is thought to take before one of its kind has run, in multiples of what its tests took.
_FIRST_PACE = 2.0
#: What comes on top of each test, and of each order, in seconds.
_A_TEST, _AN_ORDER = 0.0005, 0.05
#: An order of which less than this part fits into the time that is left is not begun.
_WORTH_RUNNING = 0.5

#: A test that was suspected so often without a result is not looked into again.
_MOST_OFTEN = 2


class _Way:
    """Orders of one kind, and what they have taken so far, in seconds."""

    def __init__(self, orders: Iterator[_Tests]) -> None:
        self._orders = orders
        self.pace = _FIRST_PACE
        self.spent = 0.0

    def take(self, count: int) -> list[_Tests]:
        """The next orders: so many, or those that are left."""
        return list(islice(self._orders, count))


class DeepSurvey:
    """Runs orders that bring each test after each other one, and takes note of what they have tried.

    Half of the time is for orders in which the tests of a file stay together, the other half for those in
    which they do not: the latter have more to show, but may make what a file shares again and again.

    :param lanes: how many orders run at the same time.
    :param seed: with the same one the same suite is run in the same orders.
    """

    def __init__(self, run_record: RunRecord, time: Spending, lanes: int, seed: str) -> None:
        self._run = run_record
        self._time = time
        self._lanes = lanes
        tests = run_record.companions()
        names = [run_record.ids[test] for test in tests]
        by_file = orders_by_file(tests, names, run_record.file_of, seed)
        self._ways = [_Way(orders_by_test(tests, names, seed)), _Way(by_file)]
        self._pairs = Pairs(tests)
        self._orders = 0
        self._left_out: set[TestIndex] = set()
        self._suspected: Counter[TestIndex] = Counter()

    @property
    def coverage(self) -> Coverage:
        """What has been tried by now."""
        return self._pairs.coverage(self._orders, len(self._left_out))

    def ran(self, placed: Iterable[Placed], orders: int = 1) -> None:
        """So many orders were run."""
        self._orders += orders
        for tests in together(placed):
            self._pairs.ran(tests)

    def suspects(self, driver: Driver, findings: Iterable[Finding]) -> list[Suspect] | None:
        """Run the next orders; what has shown itself in them, beside what is found. None: there are no more.

        :raises Ended: if the run is to end.
        """
        orders: list[_Tests] = []
        while self._ways and not orders:
            way = min(self._ways, key=lambda way: way.spent)
            orders = way.take(self._lanes)
            if not orders:
                self._ways.remove(way)
        began = monotonic()
        orders = self._fitting(orders, way.pace, self._time.end_of_orders - began) if orders else []
        if not orders:
            return None
        placed = driver.try_to_drive(survey_orders(orders), self._time.end_of_search)
        way.spent += monotonic() - began
        way.pace = (monotonic() - began) / max(map(self._seconds, orders))
        self.ran(placed, len(orders))
        found = new_suspects(placed, self._run, {finding.test: finding for finding in findings})
        found = [suspect for suspect in found if self._suspected[suspect.test] < _MOST_OFTEN]
        self._suspected.update(suspect.test for suspect in found)
        return found

    def _seconds(self, order: Sequence[TestIndex]) -> float:
        return _AN_ORDER + sum(self._run.seconds(test) + _A_TEST for test in order)

    def _fitting(self, orders: Sequence[_Tests], pace: float, seconds: float) -> list[_Tests]:
        """These orders without the slowest tests, if there is no time for them; none if it is too much."""
        budget = seconds / pace - _AN_ORDER
        kept = [affordable(order, lambda test: self._run.seconds(test) + _A_TEST, budget) for order in orders]
        if any(len(rest) < _WORTH_RUNNING * len(order) for rest, order in zip(kept, orders, strict=True)):
            return []
        for rest, order in zip(kept, orders, strict=True):
            self._left_out.update(set(order).difference(rest))
        return kept
