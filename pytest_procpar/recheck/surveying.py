"""Runs the searches of the re-check, and the surveys: they find what is wrong with tests that passed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from pytest_procpar.config.settings import RecheckOptions
from pytest_procpar.core.inquiry.cause_search import Search
from pytest_procpar.core.inquiry.expected import needing
from pytest_procpar.core.inquiry.failing_alone import affordable, beginning
from pytest_procpar.core.inquiry.findings import PLAINLY, Finding, Kind, Suspect
from pytest_procpar.core.inquiry.inquiry import Inquiry
from pytest_procpar.core.inquiry.probes import Outcome
from pytest_procpar.core.inquiry.run_record import RunRecord
from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.recheck.budget import Spending
from pytest_procpar.core.survey.changers import StateAfter
from pytest_procpar.core.survey.orders import shuffled
from pytest_procpar.core.survey.survey import (
    Alone,
    Placed,
    survey_after,
    survey_alone,
    survey_order,
    survey_orders,
    survey_twice,
)
from pytest_procpar.recheck.probing.prober import Ended, Prober
from pytest_procpar.report.recheck_progress import Progress
from pytest_procpar.system.calls import monotonic

__all__ = ["Driver", "Surveys"]

_T = TypeVar("_T")

#: How many times longer than in the run an order is expected to take; then the overhead of each test in an
#: order, and of each process for a single test, in seconds.
_PACE, _A_TEST, _A_FORK = 1.2, 0.0005, 0.005
#: If fewer tests than this part of an order are left in it, it is cut into stretches instead.
_WORTH_RUNNING = 0.5


class Driver:
    """Passes the probes of a search to a prober, and shows the progress.

    :param time: how long that may take.
    """

    def __init__(self, prober: Prober, progress: Progress, time: Spending) -> None:
        self._prober = prober
        self._progress = progress
        self._time = time

    @property
    def pace(self) -> float:
        """How many times longer tests take in probes than in the run, as far as is known; not less than 1."""
        return self._prober.pace

    def inquire(self, inquiry: Inquiry, known: Iterable[Finding] = (), until: float | None = None) -> None:
        """Look into all suspects of an inquiry, as far as time allows; the findings say what is left open.

        :param known: what was found before.
        :param until: when it is to end at the latest; None: no such limit.
        :raises Ended: if the run is to end.
        """
        before = needing(known)

        def deadline() -> float:
            found = inquiry.findings()
            plain = any(finding.kind in PLAINLY for finding in found)
            self._time.found(before + needing(found), plain=plain)
            end = self._time.end_of_search if inquiry.searching else self._time.end_of_cheap
            if inquiry.trying_turns:
                end = min(end, self._time.end_of_long)
            return end if until is None else min(end, until)

        self._progress.looks_into(len(inquiry.findings()), inquiry.findings)
        self._drive(inquiry.steps(), deadline)

    def drive(self, search: Search[_T], deadline: float) -> _T:
        """Run a search to its end, until `deadline` at the latest.

        :raises Ended: if there is no time for it.
        """
        return self._drive(search, lambda: deadline, insist=True)

    def try_to_drive(self, search: Search[_T], deadline: float) -> _T:
        """Run a search as `drive` does, but tell it which probes there was no time for.

        :raises Ended: if the run is to end.
        """
        return self._drive(search, lambda: deadline)

    def states(self, order: tuple[TestIndex, ...], deadline: float) -> list[StateAfter]:
        """What differs from the initial state after each test of an order, as far as time allows.

        :raises Ended: if the run is to end.
        """
        self._progress.tries("which tests change state", deadline)
        return self._prober.states(order, deadline)

    def _drive(self, search: Search[_T], deadline: Callable[[], float], *, insist: bool = False) -> _T:
        """Run a search to its end, each step until the deadline that applies at its start."""
        try:
            probes = next(search)
            while True:
                until = deadline()
                is_last = until >= self._time.end_of_search  # except for fresh processes, which come after it
                self._progress.probes(probes, max(until, self._time.deadline) if is_last else until)
                outcomes = self._prober.run(probes, until)
                if insist and not all(outcome.in_time for outcome in outcomes):
                    raise Ended
                probes = search.send(outcomes)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]


class Surveys:
    """Looks for what is wrong with tests that passed.

    :param now: the clock that `time` uses.
    """

    def __init__(
        self,
        options: RecheckOptions,
        run_record: RunRecord,
        time: Spending,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._now = now
        self._options = options
        self._run = run_record
        self._time = time
        #: By test that failed in the run and passed in another order: what ran before it there.
        self.passed_after: dict[TestIndex, tuple[TestIndex, ...]] = {}
        #: The findings about tests that cannot be run twice.
        self.findings: list[Finding] = []
        #: How each test ended in each order that was run, and how many orders there were.
        self.placed: list[Placed] = []
        self.orders = 0
        #: The slowest tests, for which there was no time: in the orders, and alone.
        self.left_out: set[TestIndex] = set()
        self.not_alone: set[TestIndex] = set()

    def surveyed(self, driver: Driver) -> list[Suspect]:
        """The suspects among tests that have not failed, by a run of each test alone or of all in an order.

        :raises Ended: if there is no time for it.
        """
        unlimited = float("inf")
        deadline = unlimited if self._options.budget is None else self._time.deadline
        suspects: dict[TestIndex, Suspect] = {}
        began = self._now()
        if self._options.surveys:
            suspects.update(self._survey_alone(driver.drive, self._passing(), deadline))
        for order in self._wanted_orders():
            for test, suspect in self._shown(driver.drive(survey_order(order), deadline), 1).items():
                suspects.setdefault(test, suspect)
        self._extend(began)
        return list(suspects.values())

    def run_orders(self, driver: Driver, concurrency: int = 1) -> None:
        """Run all tests in the first orders, as far as time allows; the results go to `placed`.

        If there is no time for all, the slowest tests are left out: the time of a few of them is enough for
        all the others. If that would leave out most tests, no few are to blame: then the processes share the
        reverse order, which the run has not begun to try, in stretches of neighbours.

        :param concurrency: how many orders run at the same time.
        :raises Ended: if the run is to end.
        """
        orders, now = self._wanted_orders(), self._now()
        if not orders:
            return
        longest = -(-len(orders) // concurrency)  # this many run one after the other
        whole = driver.pace * longest * sum(self._run.seconds(test) + _A_TEST for test in orders[0])
        seconds = self._limit(lambda: self._time.end_of_passes(now, whole)) - now
        times = driver.pace * longest * (1.0 if whole <= seconds else _PACE)
        some = self._affordable(orders[0], seconds, _A_TEST, times)
        kept = [[test for test in order if test in some] for order in orders]
        if len(some) < _WORTH_RUNNING * len(orders[0]):
            kept = self._stretches(
                sorted(orders[0], reverse=True), concurrency, seconds / (driver.pace * _PACE)
            )
        self.left_out.update(set(orders[0]).difference(*kept))
        self.placed += driver.try_to_drive(survey_orders(kept), self._limit(lambda: self._time.end_of_search))
        self.orders += len(kept)
        self._extend(now)

    def _stretches(self, order: list[TestIndex], count: int, seconds: float) -> list[list[TestIndex]]:
        """So many stretches of an order, evenly spread, each with tests for that many seconds at most."""
        size = -(-len(order) // count)
        parts = [tuple(order[start : start + size]) for start in range(0, len(order), size)]
        return [
            list(beginning(part, lambda test: self._run.seconds(test) + _A_TEST, seconds)) for part in parts
        ]

    def run_alone(self, driver: Driver, concurrency: int = 1) -> list[Suspect]:
        """The suspects among tests that have not failed, by a run of every test alone, if time allows.

        :param concurrency: how many tests run at the same time.
        :raises Ended: if the run is to end.
        """
        tests, now = self._passing(), self._now()
        end = self._limit(lambda: self._time.end_of_alone(now))
        few = self._affordable(tests, end - now, _A_FORK, driver.pace * 2 * _PACE / concurrency)
        self.not_alone.update(test for test in tests if test not in few)
        suspects = self._survey_alone(driver.try_to_drive, [test for test in tests if test in few], end)
        self._extend(now)
        return list(suspects.values())

    def _limit(self, planned: Callable[[], float]) -> float:
        """When something is to end; without a budget, only when it is done."""
        return float("inf") if self._options.budget is None else planned()

    def _extend(self, began: float) -> None:
        """Without a budget, add the time since `began`, and as much again for what has shown in it."""
        if self._options.budget is None:
            self._time.extend(2 * (self._now() - began))

    def _affordable(
        self, tests: Sequence[TestIndex], seconds: float, on_top: float, times: float
    ) -> frozenset[TestIndex]:
        """The tests that can run in `seconds`, if each takes `times` as long as in the run plus `on_top`."""

        def cost(test: TestIndex) -> float:
            return times * (self._run.seconds(test) + on_top)

        return frozenset(affordable(tuple(tests), cost, seconds))

    def _passing(self) -> list[TestIndex]:
        """The tests that have not failed in the run."""
        return [test for test in self._run.tests() if not self._run.word(test).bad]

    def _survey_alone(
        self,
        drive: Callable[[Search[list[Alone]], float], list[Alone]],
        tests: Sequence[TestIndex],
        deadline: float,
    ) -> dict[TestIndex, Suspect]:
        alone = drive(survey_alone(tests), deadline)
        twice_bad = [
            result.test for result in alone if result.non_idempotent and not self._run.is_apart(result.test)
        ]
        always = {result.test for result in drive(survey_twice(twice_bad), deadline)}
        for result in alone:
            if result.test in always:
                self.findings.append(Finding(result.test, Kind.NIO, message=result.message))
        return {
            result.test: Suspect(
                result.test,
                self._run.word(result.test),
                failed_after=(),
                passed_after=self._run.before(result.test),
            )
            for result in alone
            if result.first.bad
        }

    def _wanted_orders(self) -> list[list[TestIndex]]:
        """The orders to run all tests in: that of the collection, the reverse, and what was asked for."""
        collected, wanted = self._run.companions(), self._options.order
        orders = []
        if self._options.surveys and not self._has_run(collected):
            orders.append(collected)
        if self._options.what == "deep" or (wanted is not None and not wanted.random):
            orders.append(collected[::-1])
        if wanted is not None and wanted.random:
            companions = set(collected)
            places = shuffled(self._run.ids, wanted.seed or "")
            orders.append([TestIndex(place) for place in places if place in companions])
        return orders

    def _has_run(self, order: list[TestIndex]) -> bool:
        """Whether a process of the run has run exactly these tests in this order."""
        return not order or self._run.before(order[-1]) == tuple(order[:-1])

    def _shown(self, placed: list[Placed], orders: int) -> dict[TestIndex, Suspect]:
        """What orders show about tests that have not failed: for each, the shortest way to a failure."""
        self.placed += placed
        self.orders += orders
        placed = sorted(placed, key=lambda result: result.place)
        for result in placed:
            if result.word.good and self._run.word(result.test).bad:
                self.passed_after.setdefault(result.test, result.before)
        return {
            result.test: Suspect(
                result.test,
                result.word,
                failed_after=result.before,
                passed_after=self._run.before(result.test),
            )
            for result in reversed(placed)
            if result.word.bad and not self._run.word(result.test).bad
        }

    def hidden(
        self, driver: Driver, findings: Sequence[Finding], causes: Iterable[tuple[TestIndex, ...]]
    ) -> list[Suspect]:
        """The tests that fail after a known polluter although they have failed nowhere yet.

        :raises Ended: if there is no time for it.
        """
        known = {finding.test for finding in findings if finding.kind is not Kind.NIO}
        suspects: dict[TestIndex, Suspect] = {}
        for cause in causes:
            tests = [
                t
                for t in self._run.companions()
                if t not in known and t not in cause and not self._run.word(t).bad
            ]
            for result in driver.drive(survey_after(cause, tests), self._time.end_of_search):
                if result.word.bad:
                    suspects[result.test] = Suspect(result.test, Outcome.PASSED, failed_after=cause)
        return list(suspects.values())
