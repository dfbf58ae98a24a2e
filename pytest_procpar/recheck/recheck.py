"""What happens after the last test: suspects run again in throw-away processes, to find out what is wrong.

Imported only when there is something to look into. It changes no outcome itself: others do, on the basis of
`blamed`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import ceil
from typing import TYPE_CHECKING, Any, TypeAlias

from pytest_procpar.cluster.cluster import Cluster
from pytest_procpar.config.settings import RecheckOptions
from pytest_procpar.core.fork_trial.candidates import followers_of, groups_of
from pytest_procpar.core.inquiry.expected import needing
from pytest_procpar.core.inquiry.failing_alone import affordable, on_its_own
from pytest_procpar.core.inquiry.findings import FAILED_AGAIN, NOT_RECHECKED, OUT_OF_TIME, PLAINLY
from pytest_procpar.core.inquiry.inquiry import Finding, Inquiry, Kind, Suspect
from pytest_procpar.core.inquiry.probes import Confirmation, Outcome
from pytest_procpar.core.inquiry.roots import Failure, Root, roots_of
from pytest_procpar.core.inquiry.run_record import RunRecord
from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.recheck.budget import LEAST_BUDGET, LEAST_BUDGET_ASKED_FOR, Spending, of_a_search
from pytest_procpar.core.recheck.known_findings import KnownFinding
from pytest_procpar.core.recheck.result import RecheckFinding, RecheckResult, StateChange, Suggestion
from pytest_procpar.core.recheck.retrial import Retried, claims_of, retry
from pytest_procpar.core.record import changed
from pytest_procpar.core.survey.comparing import merged, new_suspects
from pytest_procpar.core.survey.survey import survey_cleaners
from pytest_procpar.fresh.custody import Custody
from pytest_procpar.recheck.confirm import Confirmer
from pytest_procpar.recheck.conversations import ProbeContext
from pytest_procpar.recheck.deep import DeepSurvey
from pytest_procpar.recheck.fork_trial import Blamed, Trial, TrialResult
from pytest_procpar.recheck.mishaps import Mishaps
from pytest_procpar.recheck.prober import Ended, Prober
from pytest_procpar.recheck.surveying import Driver, Surveys
from pytest_procpar.report.recheck_progress import Progress
from pytest_procpar.system.calls import monotonic
from pytest_procpar.system.kept_files import PutBack

if TYPE_CHECKING:
    from pytest_procpar.recheck.suggesting import Suggester

__all__ = ["Recheck"]

#: Something that may take all the remaining time is begun only if it needs no more than this part of it.
_CAUTION = 0.7
#: A lower bound for the time of tests in probes, as a part of their time in the run, where others ran beside
#: them.
_OPTIMISM = 0.6

#: The kinds whose cause is a polluter.
_POLLUTED = (Kind.VICTIM, Kind.CONTAMINATED_CRASH)

#: How long explanations that only go into a report may take, in seconds.
_CHEAP = 2.0

#: The kinds whose cause has an effect that can be looked into.
_DEPENDENT = (*_POLLUTED, Kind.BRITTLE, Kind.NIO)

#: A cause, and whether tests need it (or fail because of it).
_Cause: TypeAlias = tuple[tuple[TestIndex, ...], bool]


class Recheck:
    """The inquiry that follows a run.

    :param run_record: what the run has left behind.
    :param seconds: how long the run took.
    :param progress: shows what is being tried.
    :param trial: finds out whether the fork is to blame; None: this is not asked.
    :param known: the findings of earlier runs, which are tried again if the options ask for that.
    :param fresh: about how long it takes until a fresh process runs a test, in seconds.
    """

    def __init__(
        self,
        options: RecheckOptions,
        run_record: RunRecord,
        seconds: float,
        progress: Progress,
        trial: Trial | None = None,
        known: Sequence[KnownFinding] = (),
        *,
        fresh: float = 0.0,
    ) -> None:
        self._options = options
        self._progress = progress
        self._trial = trial
        self._seconds = seconds
        self._run = run_record
        self._time = Spending(options.budget, seconds, asked_for=self._asks_for_more, fresh=fresh)
        self._roots: tuple[Root, ...] = ()
        self._surveys = Surveys(options, run_record, self._time)
        self._deep: DeepSurvey | None = None
        self._findings: list[Finding] = []
        self._left_out: list[TestIndex] = []
        #: Tests that hung: they come last.
        self._hung: list[Suspect] = []
        self._mishaps = Mishaps()
        #: How many times longer tests have taken in probes than in the run.
        self._pace = 1.0
        #: By polluters: what undoes their effect. By cause, and whether it is needed: what it changes.
        self._cleaners: dict[tuple[TestIndex, ...], tuple[TestIndex, ...]] = {}
        self._changes: dict[_Cause, tuple[StateChange, ...]] = {}
        self._suggestions: dict[_Cause, Suggestion | None] = {}
        #: By parallel-only test: what keeps it from running beside the others.
        self._groups: dict[TestIndex, Suggestion | None] = {}
        self._claims = claims_of(known, run_record.ids) if options.what == "known" else []
        #: What became of findings of earlier runs.
        self.retried: list[Retried] = []
        #: The result, and the tests that the fork is to blame for.
        self.result = RecheckResult()
        self.blamed: tuple[Blamed, ...] = ()

    @property
    def seconds(self) -> float | None:
        """How long it may take, in seconds, without the trial of the fork; None if that is not known."""
        is_known = self._options.budget is not None or not self._asks_for_more
        return self._time.budget if is_known else None

    @property
    def _asks_for_more(self) -> bool:
        """Whether more than failures is looked into."""
        return self._options.surveys or self._options.order is not None

    @property
    def subject(self) -> str:
        """What is looked into, in words; empty if there is nothing."""
        if self._options.surveys:
            return f"{len(self._run.ids)} tests"
        if self._options.what == "known":
            count = len(self._claims)
            failed = f"{count} known finding{'' if count == 1 else 's'}"
        else:
            count = self._run.failures - len(self._run.starved())
            failed = f"{count} failed test{'' if count == 1 else 's'}"
        order = self._options.order
        if order is None:
            return failed if count else ""
        other = f"all tests in order random:{order.seed}" if order.random else "all tests in reverse order"
        return f"{failed} and {other}" if count else other

    def run(
        self,
        cluster: Cluster,
        inputs: Sequence[dict[str, Any]],
        basetemp: str | None,
        ended: Callable[[], bool],
        wake: int,
        confirmer: Confirmer,
        size: int,
    ) -> None:
        """Run the re-check; see `Prober` for the parameters. Sets `result`, and raises nothing."""
        self._mishaps.interrupted = ended
        self._time.begin(monotonic())
        tried: dict[Finding, list[Confirmation]] = {}
        files = PutBack()
        custody = Custody()
        prober: Prober | None = None

        def look() -> None:
            nonlocal prober
            context = ProbeContext(self._run.seconds, self._run.limit, ended, wake)
            prober = Prober(cluster, inputs, basetemp, context, size, str(custody.kept()))
            try:
                self._look_for_dependence(prober, len(inputs))
            finally:
                self._pace = prober.pace

        def try_fresh(
            found: Sequence[Finding], deadline: float, also: Sequence[Finding] = ()
        ) -> dict[Finding, list[Confirmation]]:
            known = size if prober is None else prober.size
            return confirmer.confirm(
                found,
                inputs,
                custody.warden,
                custody.kept(),
                deadline,
                ended,
                known,
                thorough=self._time.patient,
                also=also,
            )

        def confirm() -> None:
            if not ended():
                self._progress.tries("what was found, in fresh processes", self._time.deadline)
                found = self._worth_a_process()
                also = followers_of(self._roots, self._findings)
                some = affordable(tuple(one.test for one in also), self._run.seconds, self._time.trifle)
                also = [one for one in also if one.test in some]
                tried.update(try_fresh(found, self._time.deadline, also))
                self._heed(also, tried)

        def look_at_hung() -> None:
            # Each of these tests takes its limit again, so only as many are tried as can run at once.
            hung = self._hung[: len(inputs)]
            limit = max(self._run.limit(suspect.test) for suspect in hung)
            deadline = self._time.end_of_hung(monotonic(), limit)
            self._progress.tries("what has hung, in fresh processes", deadline)
            alone = {on_its_own(suspect, self._run.preceding(suspect.test)): suspect for suspect in hung}
            began = monotonic()
            seen = try_fresh(list(alone), deadline)
            self._time.extend(monotonic() - began)
            passing = []
            for finding, suspect in alone.items():
                for first in seen.get(finding, ())[:1]:
                    if first.holds:
                        self._settle(finding)
                        tried[finding] = seen[finding]
                    elif first.word is not None or first.reason:
                        passing.append(suspect)
            if not passing or prober is None or ended():
                return
            self._inquire(Driver(prober, self._progress, self._time), passing, len(inputs))
            prober.end_trees()
            tests = {suspect.test for suspect in passing}
            found = [finding for finding in self._findings if finding.test in tests]
            tried.update(try_fresh(found, self._time.deadline))

        def look_at_files() -> None:
            sure = [
                finding
                for finding in self._findings
                if finding.fails_since or _is_confirmed(tried.get(finding, ()))
            ]
            if not any(finding.fails_since or finding.kind in PLAINLY for finding in sure):
                return
            rounds = confirmer.rounds(
                inputs, custody.warden, custody.kept(), self._time.deadline, ended, size
            )
            left = confirmer.left_files(rounds, custody.kept(), custody.warden().folder)
            found = left.look(
                sure,
                self._roots,
                lambda found: monotonic() < (self._time.deadline if found else self._time.end_of_cheap),
            )
            for old, new in found.items():
                tried[new] = tried.pop(old, [])
            self._findings = [found.get(finding, finding) for finding in self._findings]

        def try_forks() -> None:
            assert self._trial is not None
            try:
                folder = custody.warden().folder
            except OSError:  # the note about what could not be confirmed says so
                return
            others = self._not_looked_into()
            plan = groups_of(
                self._findings,
                tried,
                others,
                self._run,
                len(inputs),
                self._roots,
                spawned=self._trial.spawned,
            )
            known = size if prober is None else prober.size
            begin_until, deadline = self._time.deadline, self._time.deadline
            if self._options.budget is None:
                begin_until = max(begin_until, monotonic() + LEAST_BUDGET)
                deadline = max(begin_until, monotonic() + max(LEAST_BUDGET_ASKED_FOR, self._seconds))
            rounds = confirmer.rounds(inputs, custody.warden, custody.kept(), deadline, ended, known)
            if plan.groups or plan.beside:
                if self._options.budget is None:  # it comes on top of the time that was announced
                    self._progress.begins("trying whether the fork is to blame", deadline - monotonic())
                self._progress.tries("whether the fork is to blame", deadline)
            outcome = self._trial.run(plan, rounds, folder, begin_until)
            self._blame(outcome, tried)

        def look_further() -> None:
            assert prober is not None
            self._look_for_cleaners(prober)
            self._explain(prober)

        def suggest() -> None:
            deadline = self._time.deadline
            if self._options.budget is None:
                deadline = max(deadline, monotonic() + LEAST_BUDGET_ASKED_FOR)
            rounds = confirmer.rounds(inputs, custody.warden, custody.kept(), deadline, ended, size)
            self._progress.tries("what would help", deadline)
            self._suggest(confirmer.suggester(rounds, custody.warden().folder), len(inputs))

        def clean() -> None:
            nonlocal files
            files = custody.close()

        attempt = self._mishaps.attempt
        has_looked = attempt(look)
        if prober is not None:
            attempt(prober.end_trees)  # fresh processes may need what they hold: a port, or memory
        confirmed = attempt(confirm)
        if confirmed and has_looked and self._hung and not ended():
            attempt(look_at_hung)
        if confirmed and not ended():
            attempt(look_at_files)
        if self._trial is not None and not self._mishaps.is_broken and not ended():
            attempt(try_forks)
        if confirmed and has_looked:
            attempt(look_further)
        if self._options.explain and any(map(_is_helped, self._findings)) and not ended():
            if prober is not None:
                attempt(prober.end_trees)
            attempt(suggest)
        if prober is not None:
            attempt(prober.close)
        attempt(clean)
        self._conclude(tried, files)

    def _worth_a_process(self) -> list[Finding]:
        """The findings to try in fresh processes.

        Parallel-only tests that wanted the same thing are left out unless there is time: their messages have
        shown it.
        """
        contended = self._contended()
        return [
            finding
            for finding in self._findings
            if self._time.patient or finding.kind is not Kind.PARALLEL_ONLY or finding.test not in contended
        ]

    def _contended(self) -> dict[TestIndex, tuple[TestIndex, ...]]:
        """By test that wanted something at the same time as others: all tests that wanted it."""
        return {test: root.tests for root in self._roots if root.contention for test in root.tests}

    def _settle(self, finding: Finding) -> None:
        """Replace what is said about a test by this finding."""
        self._findings = [finding if one.test == finding.test else one for one in self._findings]

    def _heed(self, also: Sequence[Finding], tried: dict[Finding, list[Confirmation]]) -> None:
        """Note which tests failed again with others of their root; there was no time for them alone."""
        again = {one: changed(one, note=FAILED_AGAIN) for one in also if _is_confirmed(tried.get(one, ()))}
        tried.update({new: tried.pop(old) for old, new in again.items()})
        self._findings = [again.get(finding, finding) for finding in self._findings]

    def _blame(self, outcome: TrialResult, tried: dict[Finding, list[Confirmation]]) -> None:
        self._findings = outcome.told(self._findings, tried)
        self._left_out = [test for test in self._left_out if test not in outcome.tests]
        self.blamed = outcome.blamed

    def _look_for_dependence(self, prober: Prober, lanes: int) -> None:
        driver = Driver(prober, self._progress, self._time)
        if self._options.what == "known":
            driver.drive(retry(self._claims, self.retried.append), self._time.end_of_search)
            self._findings += [retried.finding for retried in self.retried if retried.holds]
            if self._options.order is None:
                return
        is_deep = self._options.what == "deep"
        try:
            prober.prepare(self._time.end_of_search)
            self._time.ready(monotonic())
            surveyed = [] if is_deep else self._surveys.surveyed(driver)
        except Exception:
            self._findings += self._inquiry(self._failed(), lanes).findings()
            raise
        finally:
            self._findings += self._surveys.findings
        if is_deep:
            self._look_deep(driver, lanes)
            return
        suspects = self._failed() + surveyed
        if not self._time.patient:  # in a fork it would take its limit again, and tell less
            self._hung = [suspect for suspect in suspects if suspect.word is Outcome.HUNG]
            suspects = [suspect for suspect in suspects if suspect.word is not Outcome.HUNG]
            self._findings = merged(self._findings, self._inquiry(self._hung, lanes).findings())
        self._inquire(driver, suspects, lanes)
        if self._options.what == "all":
            hidden = self._surveys.hidden(driver, self._findings, self._polluters())
            self._inquire(driver, hidden, lanes)

    def _look_deep(self, driver: Driver, lanes: int) -> None:
        """Look into what failed, run the tests in other orders, and look into what shows in each.

        What has shown is looked into before the next orders run, but not at the cost of all of them. What is
        still open then is looked into once more in the remaining time.
        """
        surveys, time = self._surveys, self._time
        shown = self._failed()
        seen = {suspect.test: suspect for suspect in shown}
        self._inquire(driver, shown, lanes, time.end_of_shown(monotonic()))
        order = self._options.order
        self._deep = deep = DeepSurvey(self._run, time, lanes, order.seed or "" if order else "")
        try:
            surveys.run_orders(driver, lanes)
            deep.ran(surveys.placed, surveys.orders)
            shown = new_suspects(surveys.placed, self._run, self._findings)
            seen.update((suspect.test, suspect) for suspect in shown)
            self._inquire(driver, shown, lanes, time.end_of_shown(monotonic()))
            known = {finding.test for finding in self._findings}
            shown = [one for one in surveys.run_alone(driver, lanes) if one.test not in known]
        finally:
            deep.left_out(surveys.left_out, surveys.not_alone)
            self._findings += surveys.findings
        seen.update((suspect.test, suspect) for suspect in shown)
        self._inquire(driver, shown, lanes, time.end_of_shown(monotonic()))
        while (following := deep.suspects(driver, self._findings)) is not None:
            seen.update((suspect.test, suspect) for suspect in following)
            self._inquire(driver, following, lanes)
        if again := [seen[finding.test] for finding in self._findings if _is_cut_off(finding)]:
            self._inquire(driver, again, lanes)

    def _inquire(
        self, driver: Driver, suspects: list[Suspect], lanes: int, until: float | None = None
    ) -> None:
        """Look into suspects, until `until` at the latest."""
        inquiry = self._inquiry(suspects, lanes, until)
        try:
            driver.inquire(inquiry, self._findings, until)
        finally:
            self._findings = merged(self._findings, inquiry.findings())
            plain = any(finding.kind in PLAINLY for finding in self._findings)
            self._time.found(needing(self._findings), plain=plain)

    def _conclude(self, tried: Mapping[Finding, Sequence[Confirmation]], files: PutBack) -> None:
        insights = [
            RecheckFinding(
                self._mishaps.told(finding),
                self._run.word(finding.test),
                tuple(tried.get(finding, ())),
                self._cleaners.get(_polluters(finding)),
                self._changes.get(_cause(finding)),
                self._suggestions.get(_cause(finding)) or self._groups.get(finding.test),
            )
            for finding in self._findings
        ]
        self.result = RecheckResult(
            tuple(insights),
            tuple(self._left_out),
            self._mishaps.note,
            self._run.starved(),
            put_back=files.changed,
            altered=files.lost,
            roots=self._roots,
            budget=self._budget_that_would_do(),
            coverage=None if self._deep is None else self._deep.coverage,
        )

    def _budget_that_would_do(self) -> int:
        """The budget, in seconds, that would leave time for what was missed; 0 if time was not the reason."""
        missed = [finding.test for finding in self._findings if finding.note == NOT_RECHECKED]
        open_ = [f.test for f in self._findings if _is_cut_off(f) and f.note != NOT_RECHECKED]
        if self._mishaps.interrupted() or not (open_ or missed):
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

    def _inquiry(self, suspects: list[Suspect], lanes: int, until: float | None = None) -> Inquiry:
        return Inquiry(
            suspects,
            self._run.preceding,
            self._run.file_of,
            lanes,
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

    # --- what there is to look into ---

    def _failed(self) -> list[Suspect]:
        if self._options.what in ("none", "known"):
            return []
        failed = self._run.failed()
        failures = [(seen.test, self._run.failure(seen.test)) for seen in failed]
        self._roots = roots_of(failure or Failure(test) for test, failure in failures)
        looked_into = self._roots[: self._options.tests]
        roots = {test: (number, root) for number, root in enumerate(looked_into) for test in root.tests}
        self._left_out = [seen.test for seen in failed if seen.test not in roots]
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

    def _not_looked_into(self) -> list[TestIndex]:
        """The tests that failed in the run and are not known to depend on anything: the fork may be to blame.

        If only known findings are tried, these are the other failed tests, except slow ones: the fork may
        change their outcomes, whatever else was asked for.
        """
        if self._options.what != "known":
            return self._left_out
        found = {finding.test for finding in self._findings}
        failed = [seen.test for seen in self._run.failed() if seen.test not in found]
        return [test for test in failed if self._run.seconds(test) <= self._time.cheap]

    def _look_for_cleaners(self, prober: Prober) -> None:
        """Find out what undoes each cause, with the help of one of its victims."""
        if not self._options.cleaners:
            return
        for cause, victim in self._polluters().items():
            tests = [test for test in self._run.companions() if test not in (*cause, victim)]
            found = Driver(prober, self._progress, self._time).drive(
                survey_cleaners(cause, victim, tests), self._time.deadline
            )
            self._cleaners[cause] = tuple(found)

    def _explain(self, prober: Prober) -> None:
        """Find out what each cause changes, and through which of it one of its tests depends on it.

        A report gets this without being asked for, as far as it is cheap.
        """
        options, deadline = self._options, self._time.deadline
        if not options.explain and not options.reported:
            return
        if not options.explain:
            deadline = min(deadline, monotonic() + _CHEAP)
        try:
            self._progress.tries("what state has changed", deadline)
            explicable = [f for f in self._findings if _cause(f)[0] and f.kind in _DEPENDENT]
            causes = {_cause(f): f.test for f in reversed(explicable)}
            for dependence, test in causes.items():
                cause, needed = dependence
                self._changes[dependence] = prober.explain(cause, test, deadline, needed=needed)
        except Ended:
            if options.explain:
                raise

    def _suggest(self, suggester: Suggester, lanes: int) -> None:
        """Try what would keep tests from failing because of others that run before or beside them."""
        for dependence in dict.fromkeys(map(_cause, self._findings)):
            changes = self._changes.get(dependence, ())
            victims = [f.test for f in self._findings if _cause(f) == dependence and f.kind in _POLLUTED]
            if victims:
                self._suggestions[dependence] = suggester.suggest(dependence[0], victims, changes)
        contended = self._contended()
        for finding in self._findings:
            if finding.kind is Kind.PARALLEL_ONLY and finding.beside:
                tests = dict.fromkeys((finding.test, *contended.get(finding.test, ())))
                self._groups[finding.test] = suggester.group(list(tests), finding.beside, lanes)

    def _polluters(self) -> dict[tuple[TestIndex, ...], TestIndex]:
        """The causes that make tests fail, with one victim each."""
        return {_polluters(f): f.test for f in reversed(self._findings) if _polluters(f)}


def _is_helped(finding: Finding) -> bool:
    """Whether there may be something to suggest that makes the test pass."""
    return bool(_polluters(finding)) or (finding.kind is Kind.PARALLEL_ONLY and bool(finding.beside))


def _is_confirmed(confirmations: Sequence[Confirmation]) -> bool:
    """Whether a fresh process has shown what a finding says."""
    return any(tried.holds for tried in confirmations[:1])


def _is_cut_off(finding: Finding) -> bool:
    """Whether there was no time to find out more about it."""
    return finding.kind is Kind.FAILS_ALONE or (finding.kind is Kind.UNKNOWN and OUT_OF_TIME in finding.note)


def _polluters(finding: Finding) -> tuple[TestIndex, ...]:
    """The tests that make this one fail, if there are any."""
    return finding.cause if finding.kind in _POLLUTED else ()


def _cause(finding: Finding) -> _Cause:
    """What the test depends on; an empty cause if nothing."""
    if finding.kind is Kind.NIO:
        return ((finding.test,), False)
    return (finding.cause, finding.kind is Kind.BRITTLE)
