"""What happens after the last test: suspects run again in throw-away processes, to find out what is wrong.

Imported only when there is something to look into. It changes no outcome itself: others do, on the basis of
`blamed`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pytest_procpar.cluster.cluster import Cluster
from pytest_procpar.config.settings import RecheckOptions
from pytest_procpar.core.inquiry.run_record import RunRecord
from pytest_procpar.core.model import WorkerInput
from pytest_procpar.core.recheck.budget import Spending
from pytest_procpar.core.recheck.known_findings import KnownFinding
from pytest_procpar.core.recheck.result import RecheckResult
from pytest_procpar.core.recheck.retrial import Retried
from pytest_procpar.fresh.custody import Custody
from pytest_procpar.recheck.casebook import Casebook
from pytest_procpar.recheck.confirm import Confirmer
from pytest_procpar.recheck.dependence import DependenceSearch
from pytest_procpar.recheck.fork_trial import Blamed, Trial
from pytest_procpar.recheck.fresh_steps import FreshSteps
from pytest_procpar.recheck.mishaps import Mishaps
from pytest_procpar.recheck.probing.conversations import ProbeContext
from pytest_procpar.recheck.probing.prober import Prober
from pytest_procpar.report.recheck_progress import Progress
from pytest_procpar.system.calls import monotonic
from pytest_procpar.system.kept_files import PutBack

__all__ = ["Recheck"]


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
        self._run = run_record
        self._seconds = seconds
        self._progress = progress
        self._trial = trial
        self._time = Spending(
            options.budget,
            seconds,
            asked_for=self._asks_for_more,
            fresh=fresh,
            explained=options.explain,
        )
        self._casebook = Casebook(run_record)
        self._search = DependenceSearch(options, run_record, self._time, self._casebook, progress, known)
        self._mishaps = Mishaps()
        #: The result, empty until `run` ends.
        self.result = RecheckResult()

    @property
    def retried(self) -> list[Retried]:
        """What became of findings of earlier runs."""
        return self._casebook.retried

    @property
    def blamed(self) -> tuple[Blamed, ...]:
        """The tests that the fork is to blame for."""
        return self._casebook.blamed

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
            count = self._search.claims
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
        inputs: Sequence[WorkerInput],
        basetemp: str | None,
        ended: Callable[[], bool],
        wake: int,
        confirmer: Confirmer,
        custody: Custody,
        size: int,
    ) -> None:
        """Run the re-check; see `Prober` for the parameters. Sets `result`, and raises nothing.

        If a step ends early, that is noted, and the steps that need its result are left out.

        :param custody: keeps the user's files as they are; closed at the end.
        """
        attempt, search = self._mishaps.attempt, self._search
        self._mishaps.interrupted = ended
        self._time.begin(monotonic())
        concurrency = len(inputs)
        has_budget = self._options.budget is not None
        steps = FreshSteps(
            self._run, self._time, self._casebook, self._progress, confirmer, inputs, custody, ended, size
        )
        prober: Prober | None = None

        def begin() -> None:
            nonlocal prober
            context = ProbeContext(self._run.seconds, self._run.limit, ended, wake)
            prober = Prober(cluster, inputs, basetemp, context, size, str(custody.kept()))

        has_looked = attempt(begin)
        if prober is not None:
            if not self._time.patient:
                attempt(lambda: steps.get_ready(search.failed()))
            has_looked = attempt(lambda: search.look(prober, concurrency))
            steps.size = prober.size
            attempt(prober.end_trees)  # fresh processes may need what they hold: a port, or memory
        confirmed = attempt(steps.confirm)
        if confirmed and has_looked and search.hung and not ended():
            attempt(lambda: self._look_at_hung(steps, prober, concurrency, ended))
        if confirmed and not ended():
            attempt(steps.look_at_files)
        trial = self._trial
        if trial is not None and not self._mishaps.is_broken and not ended():
            others = search.not_looked_into()
            attempt(lambda: steps.try_forks(trial, others, self._seconds, has_budget=has_budget))
        if confirmed and has_looked and prober is not None:
            attempt(lambda: self._look_further(prober))
        if self._options.explain and self._casebook.could_be_helped() and not ended():
            if prober is not None:
                attempt(prober.end_trees)
            attempt(lambda: steps.suggest(has_budget=has_budget))
        if prober is not None:
            attempt(prober.close)
        files = PutBack()

        def put_back() -> None:
            nonlocal files
            files = custody.close()

        attempt(put_back)
        budget = 0 if ended() else search.budget_that_would_do()
        self.result = self._casebook.result(self._mishaps, files, budget, search.coverage)

    def _look_at_hung(
        self, steps: FreshSteps, prober: Prober | None, concurrency: int, ended: Callable[[], bool]
    ) -> None:
        passing = steps.look_at_hung(self._search.hung)
        if not passing or prober is None or ended():
            return
        self._search.look_at_hung(prober, passing, concurrency)
        prober.end_trees()
        steps.confirm_of(passing)

    def _look_further(self, prober: Prober) -> None:
        self._search.look_for_cleaners(prober)
        self._search.explain(prober)
