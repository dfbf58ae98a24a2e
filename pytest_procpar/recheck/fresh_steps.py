"""The steps of a re-check that need fresh processes: what was found is confirmed, and what helps is tried.

Each step may end early, with `Ended` or an error that `Mishaps` notes; the next ones are taken all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pytest_procpar.core.fork_trial.candidates import followers_of, groups_of
from pytest_procpar.core.inquiry.failing_alone import affordable, on_its_own
from pytest_procpar.core.inquiry.findings import PLAINLY
from pytest_procpar.core.inquiry.inquiry import Finding, Kind, Suspect
from pytest_procpar.core.inquiry.probes import Confirmation
from pytest_procpar.core.inquiry.run_record import RunRecord
from pytest_procpar.core.model import TestIndex, WorkerInput
from pytest_procpar.core.recheck.budget import LEAST_BUDGET, LEAST_BUDGET_ASKED_FOR, Spending
from pytest_procpar.fresh.custody import Custody
from pytest_procpar.fresh.rounds import Rounds
from pytest_procpar.fresh.waiting import WaitingRoom
from pytest_procpar.recheck.casebook import POLLUTED, Casebook, cause_of, is_confirmed
from pytest_procpar.recheck.confirm import Confirmer
from pytest_procpar.recheck.fork_trial import Trial
from pytest_procpar.report.recheck_progress import Progress
from pytest_procpar.system.calls import monotonic

if TYPE_CHECKING:
    from pytest_procpar.recheck.suggesting import Suggester

__all__ = ["FreshSteps"]


class FreshSteps:
    """What one re-check does in fresh processes.

    :param inputs: the ``workerinput`` of each process that may run at the same time.
    :param custody: the folder and the warden that keep the user's files as they are.
    :param ended: says whether the user has asked for the end.
    """

    def __init__(
        self,
        run_record: RunRecord,
        time: Spending,
        casebook: Casebook,
        progress: Progress,
        confirmer: Confirmer,
        inputs: Sequence[WorkerInput],
        custody: Custody,
        ended: Callable[[], bool],
        size: int,
    ) -> None:
        self._run = run_record
        self._time = time
        self._casebook = casebook
        self._progress = progress
        self._confirmer = confirmer
        self._inputs = inputs
        self._custody = custody
        self._ended = ended
        self._room = WaitingRoom()
        #: How much memory a process takes that has collected the suite, in bytes; 0: as this one.
        self.size = size

    def get_ready(self, tests: Sequence[TestIndex]) -> None:
        """Start the process that confirms these failed tests if all of them just fail, as most do.

        It starts while they are probed, and waits for the end of that. Tests that wanted the same thing at
        the same time most likely pass alone.
        """
        contended = self._casebook.contended()
        tests = [test for test in tests if test not in contended]
        self._confirmer.begin(tests, self._casebook.first_of_roots(), self._rounds(self._time.deadline))

    def confirm(self) -> None:
        """Try the commands of the findings, as the user will."""
        if self._ended():
            return
        casebook, time = self._casebook, self._time
        self._progress.tries("what was found, in fresh processes", time.deadline)
        contended = casebook.contended()
        # The messages of parallel-only tests that wanted the same thing have shown it.
        found = [
            finding
            for finding in casebook.findings
            if time.patient or finding.kind is not Kind.PARALLEL_ONLY or finding.test not in contended
        ]
        also = followers_of(casebook.roots, casebook.findings)
        some = affordable(tuple(one.test for one in also), self._run.seconds, time.trifle)
        also = [one for one in also if one.test in some]
        casebook.tried.update(self._try(found, time.deadline, also))
        casebook.failed_again(also)

    def look_at_hung(self, hung: Sequence[Suspect]) -> list[Suspect]:
        """Run tests that hung alone, each within its own limit: those that do not hang there."""
        # Each of these tests takes its limit again, so only as many are tried as can run at once.
        hung = hung[: len(self._inputs)]
        limit = max(self._run.limit(suspect.test) for suspect in hung)
        deadline = self._time.end_of_hung(monotonic(), limit)
        self._progress.tries("what has hung, in fresh processes", deadline)
        alone = {on_its_own(suspect, self._run.preceding(suspect.test)): suspect for suspect in hung}
        began = monotonic()
        seen = self._try(list(alone), deadline)
        self._time.extend(monotonic() - began)
        passing = []
        for finding, suspect in alone.items():
            for first in seen.get(finding, ())[:1]:
                if first.holds:
                    self._casebook.settle(finding)
                    self._casebook.tried[finding] = seen[finding]
                elif first.word is not None or first.reason:
                    passing.append(suspect)
        return passing

    def confirm_of(self, suspects: Sequence[Suspect]) -> None:
        """Try the commands of what was found about these."""
        tests = {suspect.test for suspect in suspects}
        found = [finding for finding in self._casebook.findings if finding.test in tests]
        self._casebook.tried.update(self._try(found, self._time.deadline))

    def look_at_files(self) -> None:
        """Try whether files that tests have left are to blame for what just fails."""
        casebook, time = self._casebook, self._time
        sure = [
            finding
            for finding in casebook.findings
            if finding.fails_since or is_confirmed(casebook.tried.get(finding, ()))
        ]
        if not any(finding.fails_since or finding.kind in PLAINLY for finding in sure):
            return
        rounds = self._rounds(time.deadline)
        left = self._confirmer.left_files(rounds, self._custody.kept(), self._custody.warden().folder)
        found = left.look(
            sure,
            casebook.roots,
            lambda found: monotonic() < (time.deadline if found else time.end_of_cheap),
        )
        casebook.replace(found)

    def try_forks(
        self, trial: Trial, others: Sequence[TestIndex], seconds: float, *, has_budget: bool
    ) -> None:
        """Try whether the fork is to blame for what failed.

        :param others: tests that failed and were not looked into.
        :param seconds: how long the run took.
        :param has_budget: without one this takes time of its own.
        """
        try:
            folder = self._custody.warden().folder
        except OSError:  # the note about what could not be confirmed says so
            return
        casebook = self._casebook
        plan = groups_of(
            casebook.findings,
            casebook.tried,
            others,
            self._run,
            len(self._inputs),
            casebook.roots,
            spawned=trial.spawned,
        )
        begin_until, deadline = self._time.deadline, self._time.deadline
        if not has_budget:
            begin_until = max(begin_until, monotonic() + LEAST_BUDGET)
            deadline = max(begin_until, monotonic() + max(LEAST_BUDGET_ASKED_FOR, seconds))
        rounds = self._rounds(deadline)
        if plan.groups or plan.beside:
            if not has_budget:  # it comes on top of the time that was announced
                self._progress.begins("trying whether the fork is to blame", deadline - monotonic())
            self._progress.tries("whether the fork is to blame", deadline)
        casebook.blame(trial.run(plan, rounds, folder, begin_until))

    def suggest(self, *, has_budget: bool) -> None:
        """Try what would keep tests from failing because of others that run before or beside them."""
        deadline = self._time.deadline
        if not has_budget:
            deadline = max(deadline, monotonic() + LEAST_BUDGET_ASKED_FOR)
        rounds = self._rounds(deadline)
        self._progress.tries("what would help", deadline)
        suggester = self._confirmer.suggester(rounds, self._custody.warden().folder)
        self._suggest_fixtures(suggester)
        self._suggest_groups(suggester)

    def _suggest_fixtures(self, suggester: Suggester) -> None:
        casebook = self._casebook
        for cause in dict.fromkeys(map(cause_of, casebook.findings)):
            victims = [
                finding.test
                for finding in casebook.findings
                if cause_of(finding) == cause and finding.kind in POLLUTED
            ]
            if victims:
                changes = casebook.changes.get(cause, ())
                casebook.suggestions[cause] = suggester.suggest(cause[0], victims, changes)

    def _suggest_groups(self, suggester: Suggester) -> None:
        contended = self._casebook.contended()
        for finding in self._casebook.findings:
            if finding.kind is Kind.PARALLEL_ONLY and finding.beside:
                tests = dict.fromkeys((finding.test, *contended.get(finding.test, ())))
                group = suggester.group(list(tests), finding.beside, len(self._inputs))
                self._casebook.groups[finding.test] = group

    def _try(
        self, found: Sequence[Finding], deadline: float, also: Sequence[Finding] = ()
    ) -> dict[Finding, list[Confirmation]]:
        rounds, most = self._rounds(deadline), len(self._inputs)
        return self._confirmer.confirm(
            found, rounds, most, deadline,
            thorough=self._time.patient, also=also, first=self._casebook.first_of_roots(),
        )  # fmt: skip

    def _rounds(self, deadline: float) -> Rounds:
        custody = self._custody
        return self._confirmer.rounds(
            self._inputs, custody.warden, custody.kept(), deadline, self._ended, self.size, self._room
        )
