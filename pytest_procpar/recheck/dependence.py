"""Looks for what tests depend on: what failed is probed, then other tests as far as that was asked for.

Chooses which question comes next and how long it may take. A `Driver` runs the probes, and what they show is
written into the `Casebook`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import ceil
from typing import TYPE_CHECKING

from pytest_procpar.config.settings import RecheckOptions
from pytest_procpar.core.inquiry.expected import needing
from pytest_procpar.core.inquiry.failing_alone import affordable
from pytest_procpar.core.inquiry.findings import NOT_RECHECKED, PLAINLY
from pytest_procpar.core.inquiry.inquiry import Inquiry, Suspect
from pytest_procpar.core.inquiry.probes import Outcome
from pytest_procpar.core.inquiry.roots import Failure, roots_of
from pytest_procpar.core.inquiry.run_record import RunRecord
from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.recheck.budget import Spending, of_a_search
from pytest_procpar.core.recheck.known_findings import KnownFinding
from pytest_procpar.core.recheck.retrial import claims_of, retry
from pytest_procpar.recheck.casebook import Casebook, is_cut_off
from pytest_procpar.recheck.probing.prober import Ended, Prober
from pytest_procpar.recheck.surveying import Driver, Surveys
from pytest_procpar.report.recheck_progress import Progress
from pytest_procpar.system.calls import monotonic

if TYPE_CHECKING:
    from pytest_procpar.core.survey.pairs import Coverage
    from pytest_procpar.recheck.deep import DeepSurvey

__all__ = ["DependenceSearch"]

#: Something that may take all the remaining time is begun only if it needs no more than this part of it.
_CAUTION = 0.7
#: A lower bound for the time of tests in probes, as a part of their time in the run, where others ran beside
#: them.
_OPTIMISM = 0.6

#: How long explanations that only go into a report may take, in seconds.
_CHEAP = 2.0


class DependenceSearch:
    """The searches of one re-check.

    :param run_record: what the run has left behind.
    :param known: what earlier runs found, which is tried again if that was asked for.
    """

    def __init__(
        self,
        options: RecheckOptions,
        run_record: RunRecord,
        time: Spending,
        casebook: Casebook,
        progress: Progress,
        known: Sequence[KnownFinding] = (),
    ) -> None:
        self._options = options
        self._run = run_record
        self._time = time
        self._casebook = casebook
        self._progress = progress
        self._surveys = Surveys(options, run_record, time)
        self._deep: DeepSurvey | None = None
        self._claims = claims_of(known, run_record.ids) if options.what == "known" else []
        #: The failed tests, if they were asked for beforehand.
        self._suspects: list[Suspect] | None = None
        #: Tests that hung: they come last.
        self.hung: list[Suspect] = []
        #: How many times longer tests took in probes than in the run.
        self._pace = 1.0

    @property
    def claims(self) -> int:
        """How many findings of earlier runs are tried again."""
        return len(self._claims)

    @property
    def coverage(self) -> Coverage | None:
        """Which pairs of tests a deep survey has tried; None if there was none."""
        return None if self._deep is None else self._deep.coverage

    def look(self, prober: Prober, concurrency: int) -> None:
        """Look into what failed, and into other tests as far as that was asked for.

        :param concurrency: how many probes run at the same time.
        """
        try:
            self._look(Driver(prober, self._progress, self._time), prober, concurrency)
        finally:
            self._pace = prober.pace

    def _look(self, driver: Driver, prober: Prober, concurrency: int) -> None:
        casebook = self._casebook
        if self._options.what == "known":
            driver.drive(retry(self._claims, casebook.retried.append), self._time.end_of_search)
            casebook.findings += [retried.finding for retried in casebook.retried if retried.holds]
            if self._options.order is None:
                return
        is_deep = self._options.what == "deep"
        try:
            prober.prepare(self._time.end_of_search)
            self._time.ready(monotonic())
            surveyed = [] if is_deep else self._surveys.surveyed(driver)
        except Exception:
            casebook.findings += self._inquiry(self._failed(), concurrency).findings()
            raise
        finally:
            casebook.findings += self._surveys.findings
        if is_deep:
            self._look_deep(driver, concurrency)
            return
        suspects = self._failed() + surveyed
        if not self._time.patient:  # in a fork it would take its limit again, and tell less
            self.hung = [suspect for suspect in suspects if suspect.word is Outcome.HUNG]
            suspects = [suspect for suspect in suspects if suspect.word is not Outcome.HUNG]
            casebook.merge(self._inquiry(self.hung, concurrency).findings())
        self._inquire(driver, suspects, concurrency)
        if self._options.what == "all":
            hidden = self._surveys.hidden(driver, casebook.findings, casebook.polluters())
            self._inquire(driver, hidden, concurrency)

    def _look_deep(self, driver: Driver, concurrency: int) -> None:
        """Look into what failed, run the tests in other orders, and look into what shows in each.

        What has shown is looked into before the next orders run, but not at the cost of all of them. What is
        still open then is looked into once more in the remaining time.
        """
        from pytest_procpar.core.survey.comparing import new_suspects
        from pytest_procpar.recheck.deep import DeepSurvey

        surveys, time, casebook = self._surveys, self._time, self._casebook
        shown = self._failed()
        seen = {suspect.test: suspect for suspect in shown}
        self._inquire(driver, shown, concurrency, time.end_of_shown(monotonic()))
        order = self._options.order
        self._deep = deep = DeepSurvey(self._run, time, concurrency, order.seed or "" if order else "")
        try:
            surveys.run_orders(driver, concurrency)
            deep.ran(surveys.placed, surveys.orders)
            shown = new_suspects(surveys.placed, self._run, casebook.findings)
            seen.update((suspect.test, suspect) for suspect in shown)
            self._inquire(driver, shown, concurrency, time.end_of_shown(monotonic()))
            known = {finding.test for finding in casebook.findings}
            shown = [one for one in surveys.run_alone(driver, concurrency) if one.test not in known]
        finally:
            deep.left_out(surveys.left_out, surveys.not_alone)
            casebook.findings += surveys.findings
        seen.update((suspect.test, suspect) for suspect in shown)
        self._inquire(driver, shown, concurrency, time.end_of_shown(monotonic()))
        while (following := deep.suspects(driver, casebook.findings)) is not None:
            seen.update((suspect.test, suspect) for suspect in following)
            self._inquire(driver, following, concurrency)
        if again := [seen[finding.test] for finding in casebook.findings if is_cut_off(finding)]:
            self._inquire(driver, again, concurrency)

    def look_at_hung(self, prober: Prober, suspects: list[Suspect], concurrency: int) -> None:
        """Look into tests that hung in the run, and passed in a fresh process."""
        self._inquire(Driver(prober, self._progress, self._time), suspects, concurrency)

    def look_for_cleaners(self, prober: Prober) -> None:
        """Find out what undoes each cause, with the help of one of its victims, if that was asked for."""
        if not self._options.cleaners:
            return
        from pytest_procpar.core.survey.survey import survey_cleaners

        for cause, victim in self._casebook.polluters().items():
            tests = [test for test in self._run.companions() if test not in (*cause, victim)]
            found = Driver(prober, self._progress, self._time).drive(
                survey_cleaners(cause, victim, tests), self._time.deadline
            )
            self._casebook.cleaners[cause] = tuple(found)

    def explain(self, prober: Prober) -> None:
        """Find out what each cause changes, and which of the changes one of its tests depends on.

        A report gets this without being asked for, as far as it is cheap.
        """
        options, deadline = self._options, self._time.deadline
        if not options.explain and not options.reported:
            return
        if not options.explain:
            deadline = min(deadline, monotonic() + _CHEAP)
        try:
            self._progress.tries("what state has changed", deadline)
            for cause, test in self._casebook.causes().items():
                tests, needed = cause
                self._casebook.changes[cause] = prober.explain(tests, test, deadline, needed=needed)
        except Ended:
            if options.explain:
                raise

    # --- what there is to look into ---

    def not_looked_into(self) -> list[TestIndex]:
        """The tests that failed in the run and are not known to depend on anything: the fork may be to blame.

        If only known findings are tried, these are the other failed tests, except slow ones: the fork may
        change their outcomes, whatever else was asked for.
        """
        if self._options.what != "known":
            return self._casebook.left_out
        found = {finding.test for finding in self._casebook.findings}
        failed = [seen.test for seen in self._run.failed() if seen.test not in found]
        return [test for test in failed if self._run.seconds(test) <= self._time.cheap]

    def failed(self) -> list[TestIndex]:
        """The failed tests that are looked into; call this only if no survey comes before that."""
        self._suspects = self._failed()
        return [suspect.test for suspect in self._suspects]

    def _failed(self) -> list[Suspect]:
        if self._options.what in ("none", "known"):
            return []
        if self._suspects is not None:
            return self._suspects
        casebook, failed = self._casebook, self._run.failed()
        failures = [(seen.test, self._run.failure(seen.test)) for seen in failed]
        casebook.roots = roots_of(failure or Failure(test) for test, failure in failures)
        looked_into = casebook.roots[: self._options.tests]
        roots = {test: (number, root) for number, root in enumerate(looked_into) for test in root.tests}
        casebook.left_out = [seen.test for seen in failed if seen.test not in roots]
        return [
            Suspect(
                seen.test,
                seen.word,
                failed_after=seen.before,
                passed_after=self._surveys.passed_after.get(seen.test),
                beside=seen.beside,
                root=roots[seen.test][0],
                alike=roots[seen.test][1].alike,
                contention=roots[seen.test][1].contention,
            )
            for seen in failed
            if seen.test in roots
        ]

    # --- asking, and what that costs ---

    def _inquire(
        self, driver: Driver, suspects: list[Suspect], concurrency: int, until: float | None = None
    ) -> None:
        """Look into suspects, until `until` at the latest."""
        inquiry = self._inquiry(suspects, concurrency, until)
        try:
            driver.inquire(inquiry, self._casebook.findings, until)
        finally:
            self._casebook.merge(inquiry.findings())
            plain = any(finding.kind in PLAINLY for finding in self._casebook.findings)
            self._time.found(needing(self._casebook.findings), plain=plain)

    def _inquiry(self, suspects: list[Suspect], concurrency: int, until: float | None = None) -> Inquiry:
        return Inquiry(
            suspects,
            self._run.preceding,
            self._run.file_of,
            concurrency,
            affordable=partial(self._affordable, until=until),
            thorough=self._options.tests if self._time.patient else 0,
        )

    def _affordable(self, tests: tuple[TestIndex, ...], until: float | None) -> tuple[TestIndex, ...]:
        """The tests, in this order, for which there is time until `until`."""
        end = self._time.end_of_long
        left = (end if until is None else min(end, until)) - monotonic()
        # If other orders follow, trying against the odds would only cost these their time.
        pace = _OPTIMISM if until is None else 1 / _CAUTION
        if self._time.patient and pace * sum(map(self._run.seconds, tests)) < left:
            return tests
        return affordable(tests, self._run.seconds, _CAUTION * left)

    def budget_that_would_do(self) -> int:
        """The budget, in seconds, that would leave time for what was missed; 0 if nothing is open."""
        findings = self._casebook.findings
        missed = [finding.test for finding in findings if finding.note == NOT_RECHECKED]
        open_ = [one.test for one in findings if is_cut_off(one) and one.note != NOT_RECHECKED]
        if not (open_ or missed):
            return 0
        run, is_deep = self._run, self._options.what == "deep"
        # What an order has shown may be searched for among all tests, after that order has run once more.
        shown = [test for test in open_ if not run.word(test).bad]
        before = {test for other in open_ for test in run.preceding(other)}
        before.update(run.companions() if shown else ())
        # A fixture of the session may have been what took long: then the first test was the slowest.
        seconds = sum(map(run.seconds, before)) + (2 * run.longest() if missed else 0.0)
        seconds += sum(2 * run.seconds(test) for test in (*open_, *missed))
        if is_deep and before:
            longest = max(map(run.seconds, before))
            seconds += len(open_) * of_a_search(len(before), longest)
        seconds = self._pace * seconds + sum(4 * run.limit(test) for test in (*open_, *missed))
        return (ceil(self._time.budget) if shown else 0) + self._time.needed(seconds, more=is_deep)
