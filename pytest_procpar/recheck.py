"""What happens after the last test: suspects are run again in throw-away processes, to tell what is wrong.

Imported only when there is something to look into. Nothing that is found changes an outcome.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

from pytest_procpar.confirm import Confirmer
from pytest_procpar.core.insights import Change, Insight, Rechecked
from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.order import reversed_order, shuffled
from pytest_procpar.core.probes import Confirmation, Word
from pytest_procpar.core.runrecord import RunRecord
from pytest_procpar.core.search import Search
from pytest_procpar.core.survey import survey_after, survey_alone, survey_cleaners, survey_order
from pytest_procpar.core.suspects import Finding, Inquiry, Kind, Suspect
from pytest_procpar.process.launch import Cluster
from pytest_procpar.process.prober import Ended, Prober
from pytest_procpar.process.system import monotonic
from pytest_procpar.settings import RecheckOptions

__all__ = ["LEAST_BUDGET", "LEAST_BUDGET_ASKED_FOR", "Recheck"]

#: The least time that a re-check may take if nothing else is said, in seconds.
LEAST_BUDGET = 10.0
#: The same where more than failures is to be looked into: somebody waits for the answer.
LEAST_BUDGET_ASKED_FOR = 60.0

#: Which part of the time is kept for trying commands in fresh processes.
_RESERVED = 0.25

#: The kinds of which the cause is a polluter.
_POLLUTED = (Kind.VICTIM, Kind.CONTAMINATED_CRASH)

#: What may be spent on explanations that only go into a report, in seconds.
_CHEAP = 2.0

#: The kinds that have a cause whose doing can be looked into.
_DEPENDENT = (*_POLLUTED, Kind.BRITTLE)

#: A cause, and whether tests need it (or fail by it).
_Root: TypeAlias = tuple[tuple[TestIndex, ...], bool]

_T = TypeVar("_T")


class Recheck:
    """The inquiry that follows a run.

    :param run_record: what the run has left behind.
    :param seconds: how long the run took.
    """

    def __init__(self, options: RecheckOptions, run_record: RunRecord, seconds: float) -> None:
        self._options = options
        self._run = run_record
        asked_for = options.what == "all" or options.order is not None
        least = LEAST_BUDGET_ASKED_FOR if asked_for else LEAST_BUDGET
        self._budget = max(least, seconds) if options.budget is None else options.budget
        self._deadline = 0.0
        #: After what a test that failed in the run passed in the other order.
        self._passed_after: dict[TestIndex, tuple[TestIndex, ...]] = {}
        self._findings: list[Finding] = []
        self._left_out: list[TestIndex] = []
        self._note = ""
        #: By polluters, what undoes what they do; by cause and what it is, what it changes.
        self._cleaners: dict[tuple[TestIndex, ...], tuple[TestIndex, ...]] = {}
        self._changes: dict[_Root, tuple[Change, ...]] = {}
        #: What it has come to.
        self.result = Rechecked()

    @property
    def subject(self) -> str:
        """What is looked into, in words."""
        if self._options.what == "all":
            return f"{len(self._run.ids)} tests"
        count = self._run.failures
        failed = f"{count} failed test{'' if count == 1 else 's'}"
        order = self._options.order
        if order is None:
            return failed
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
    ) -> None:
        """Look into it: see `Prober` for what it takes. Leaves `result`, whatever happens."""
        self._deadline = monotonic() + self._budget
        prober = Prober(cluster, inputs, basetemp, self._run.seconds, self._run.limit, ended, wake)
        tried: dict[Finding, list[Confirmation]] = {}
        try:
            try:
                self._look_for_dependence(prober, len(inputs))
            finally:
                prober.let_go()  # fixtures of the session may hold what fresh processes need, such as a port
                tried = confirmer.confirm(self._findings, len(inputs), self._deadline, ended)
            self._look_for_cleaners(prober)
            self._explain(prober)
        except Ended:
            self._note = (
                "the re-check has ended early: it was interrupted, or --recheck-budget left no time for more"
            )
        finally:
            prober.close()
            self._conclude(tried)

    def _look_for_dependence(self, prober: Prober, lanes: int) -> None:
        try:
            surveyed = self._surveyed(prober)
        except Ended:
            self._findings += self._inquiry(self._failed(), lanes).findings()
            raise
        self._inquire(prober, self._failed() + surveyed, lanes)
        if self._options.what == "all":
            self._inquire(prober, self._hidden(prober), lanes)

    def _conclude(self, tried: Mapping[Finding, Sequence[Confirmation]]) -> None:
        insights = [
            Insight(
                finding,
                self._run.word(finding.test),
                tuple(tried.get(finding, ())),
                self._cleaners.get(_polluters(finding)),
                self._changes.get(_root(finding)),
            )
            for finding in self._findings
        ]
        self.result = Rechecked(tuple(insights), tuple(self._left_out), self._note)

    def _inquiry(self, suspects: list[Suspect], lanes: int) -> Inquiry:
        return Inquiry(suspects, self._run.preceding, self._run.file_of, lanes)

    def _inquire(self, prober: Prober, suspects: list[Suspect], lanes: int) -> None:
        inquiry = self._inquiry(suspects, lanes)
        try:
            self._drive(prober, inquiry.steps(), self._end_of_search())
        finally:
            self._findings += inquiry.findings()

    def _end_of_search(self) -> float:
        return self._deadline - _RESERVED * self._budget

    def _drive(self, prober: Prober, search: Search[_T], deadline: float) -> _T:
        """Run a search to its end."""
        try:
            probes = next(search)
            while True:
                probes = search.send(prober.run(probes, deadline))
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]

    # --- what there is to look into ---

    def _failed(self) -> list[Suspect]:
        if self._options.what == "none":
            return []
        failed = self._run.failed()
        self._left_out = [seen.test for seen in failed[self._options.tests :]]
        return [
            Suspect(
                seen.test,
                seen.word,
                failed_after=seen.before,
                passed_after=self._passed_after.get(seen.test),
                beside=seen.beside,
            )
            for seen in failed[: self._options.tests]
        ]

    def _surveyed(self, prober: Prober) -> list[Suspect]:
        """What a run of every test alone, or of all in another order, says of tests that have not failed."""
        unlimited = float("inf")
        deadline = unlimited if self._options.budget is None else self._deadline
        suspects: dict[TestIndex, Suspect] = {}
        began = monotonic()
        if self._options.what == "all":
            suspects.update(self._survey_alone(prober, deadline))
        if self._options.order is not None:
            suspects.update(self._survey_order(prober, deadline))
        if self._options.budget is None:
            self._deadline += 2 * (monotonic() - began)
        return list(suspects.values())

    def _survey_alone(self, prober: Prober, deadline: float) -> dict[TestIndex, Suspect]:
        tests = [test for test in self._run.tests() if not self._run.word(test).bad]
        alone = self._drive(prober, survey_alone(tests), deadline)
        twice_bad = [
            result.test for result in alone if result.non_idempotent and not self._run.is_apart(result.test)
        ]
        again = self._drive(prober, survey_alone(twice_bad, rounds=(1, 2)), deadline)
        for result in alone:
            rounds = [other for other in again if other.test == result.test]
            if rounds and all(other.non_idempotent for other in rounds):
                self._findings.append(Finding(result.test, Kind.NIO, message=result.message))
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

    def _look_for_cleaners(self, prober: Prober) -> None:
        """Find out what undoes each cause, by one of its victims."""
        if not self._options.cleaners:
            return
        for cause, victim in self._polluters().items():
            tests = [test for test in self._run.companions() if test not in (*cause, victim)]
            found = self._drive(prober, survey_cleaners(cause, victim, tests), self._deadline)
            self._cleaners[cause] = tuple(found)

    def _explain(self, prober: Prober) -> None:
        """Find out what each cause changes, and by which of it one of its tests depends on it.

        For a report that is also done without being asked for, as far as it is cheap.
        """
        options, deadline = self._options, self._deadline
        if not options.explain and not options.reported:
            return
        if not options.explain:
            deadline = min(deadline, monotonic() + _CHEAP)
        try:
            roots = {_root(f): f.test for f in reversed(self._findings) if f.cause and f.kind in _DEPENDENT}
            for root, test in roots.items():
                cause, needed = root
                self._changes[root] = prober.explain(cause, test, deadline, needed=needed)
        except Ended:
            if options.explain:
                raise

    def _polluters(self) -> dict[tuple[TestIndex, ...], TestIndex]:
        """The causes that make tests fail, with a victim each."""
        return {_polluters(f): f.test for f in reversed(self._findings) if _polluters(f)}

    def _hidden(self, prober: Prober) -> list[Suspect]:
        """What fails after a polluter that is known, though it has failed nowhere yet."""
        known = {finding.test for finding in self._findings if finding.kind is not Kind.NIO}
        suspects: dict[TestIndex, Suspect] = {}
        for cause in self._polluters():
            tests = [
                t
                for t in self._run.companions()
                if t not in known and t not in cause and not self._run.word(t).bad
            ]
            for result in self._drive(prober, survey_after(cause, tests), self._end_of_search()):
                if result.word.bad:
                    suspects[result.test] = Suspect(result.test, Word.PASSED, failed_after=cause)
        return list(suspects.values())

    def _survey_order(self, prober: Prober, deadline: float) -> dict[TestIndex, Suspect]:
        wanted = self._options.order
        assert wanted is not None
        random = wanted.random
        places = shuffled(self._run.ids, wanted.seed or "") if random else reversed_order(len(self._run.ids))
        companions = set(self._run.companions())
        order = [TestIndex(place) for place in places if place in companions]
        placed = self._drive(prober, survey_order(order), deadline)
        self._passed_after = {
            result.test: result.before
            for result in placed
            if result.word.good and self._run.word(result.test).bad
        }
        return {
            result.test: Suspect(
                result.test,
                result.word,
                failed_after=result.before,
                passed_after=self._run.before(result.test),
            )
            for result in placed
            if result.word.bad and not self._run.word(result.test).bad
        }


def _polluters(finding: Finding) -> tuple[TestIndex, ...]:
    """What makes the test fail, if other tests do."""
    return finding.cause if finding.kind in _POLLUTED else ()


def _root(finding: Finding) -> _Root:
    """What the test depends on, if it does."""
    return (finding.cause, finding.kind is Kind.BRITTLE)
