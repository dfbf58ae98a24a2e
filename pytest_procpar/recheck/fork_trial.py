"""Tries whether the fork is to blame for failures: in fresh interpreters that fork, and in some that do not.

Each is an inert pytest process with the arguments of this run (see `fresh.rerun`), so it collects what was
collected here, and runs what it is told to replay. `core.fork_trial` decides which tries are made, and what
follows from them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from pytest_procpar.compat.pytest_private.command_line import (
    given_paths,
    kept_options,
    neutral_options,
    replay_folder,
    same_arguments,
)
from pytest_procpar.core.fork_trial.candidates import Plan
from pytest_procpar.core.fork_trial.trial import Group, Tried, Try, Verdict, try_group
from pytest_procpar.core.inquiry.findings import Finding, Kind, Tally
from pytest_procpar.core.inquiry.probes import Confirmation, Outcome
from pytest_procpar.core.inquiry.run_record import RunRecord, manner_of
from pytest_procpar.core.model import ReportData, StartMethod, TestIndex
from pytest_procpar.core.printable import shell_command
from pytest_procpar.core.record import changed, record
from pytest_procpar.fresh.fresh_run import FreshRun, NotSeen
from pytest_procpar.fresh.rounds import Forking, Rounds
from pytest_procpar.replay.kept import ReplayFiles, replay_by_index
from pytest_procpar.system.calls import monotonic

__all__ = ["Blamed", "TrialResult", "Trial"]

#: The note for a test that could not be tried often enough.
_OPEN = (
    "it fails in forked workers and passes in a fresh interpreter, but could not be tried often enough: "
    "{why}; to see whether the fork is to blame, run with --start-method=spawn"
)

#: A test may take this many times as long as it has taken, plus this many seconds.
_PATIENCE, _GRACE = 10.0, 5.0
#: How much longer than in the run a test that hung there may take, in seconds.
_HUNG_GRACE = 1.0


@record
class Blamed:
    """A test that fails only because of the fork: what was tried, and what a fresh interpreter reports.

    ``likely`` is the object that may be the cause; empty if none was found. ``commands`` show both outcomes.
    No start method helps a test that is ``forked_anyway``: its worker forks a process for it, in which it
    fails as well.
    """

    test: TestIndex
    tried: Tried
    reports: list[ReportData]
    likely: str
    commands: tuple[Confirmation, ...]
    forked_anyway: bool = False

    def finding(self, message: str) -> Finding:
        """The finding about the test; `message` is the first line of its failure."""
        tried = self.tried
        tallies = (
            Tally("in forked processes", tried.forked_bad, tried.forked),
            Tally("in fresh interpreters", tried.fresh_bad, tried.fresh),
        )
        note = f"likely: {self.likely} was inherited by the fork" if self.likely else ""
        return Finding(self.test, Kind.FORK_DEPENDENT, (), tallies, message, note)


@record
class TrialResult:
    """The result of a trial: the tests that the fork is to blame for, and a note for each undecided test."""

    blamed: tuple[Blamed, ...] = ()
    notes: tuple[tuple[TestIndex, str], ...] = ()

    @property
    def tests(self) -> set[TestIndex]:
        """The tests that the result says something about."""
        return {blamed.test for blamed in self.blamed} | {test for test, _ in self.notes}

    def told(self, findings: Sequence[Finding], tried: dict[Finding, list[Confirmation]]) -> list[Finding]:
        """The findings, changed to say what is caused by the fork, or may be.

        :param tried: the confirmations of each finding; those of new findings are added.
        """
        notes = dict(self.notes)
        old = {one.test: one for one in findings if one.test in self.tests and one.kind is not Kind.NIO}
        kept = [one for one in findings if old.get(one.test) is not one]
        for blamed in self.blamed:
            known = old.get(blamed.test)
            finding = blamed.finding("" if known is None else known.message)
            tried[finding] = list(blamed.commands)
            kept.append(finding)
        for test, note in notes.items():
            known = old.get(test, Finding(test, Kind.UNKNOWN))
            kept.append(changed(known, kind=Kind.UNKNOWN, cause=(), note=note))
        return kept


class Trial:
    """Makes the tries.

    :param run_record: what is known about the tests.
    :param method: how the workers were started; if not by a fork, they have forked processes for tests.
    :param freeze_heap: whether the heap of the workers was frozen.
    """

    def __init__(
        self, config: pytest.Config, run_record: RunRecord, method: StartMethod, *, freeze_heap: bool
    ) -> None:
        self._config = config
        self._run = run_record
        self._method = method
        self._freeze_heap = freeze_heap
        self._files = ReplayFiles(lambda: replay_folder(config))
        #: The latest reports of each test by a fresh interpreter, and the likely cause.
        self._reports: dict[TestIndex, list[ReportData]] = {}
        self._likely: dict[TestIndex, str] = {}
        self._folder = Path()
        self._why = ""
        self._blamed: list[Blamed] = []
        self._notes: list[tuple[TestIndex, str]] = []

    @property
    def spawned(self) -> bool:
        """Whether the workers themselves were not forked."""
        return self._method is StartMethod.SPAWN

    def run(self, plan: Plan, run: Rounds, folder: Path, begin_until: float) -> TrialResult:
        """Try all that is planned.

        :param run: runs commands in fresh processes.
        :param folder: for files that may be deleted afterwards.
        :param begin_until: no group is begun after this moment, on the clock of `monotonic`.
        """
        self._folder = folder
        for group in (*plan.groups, *plan.beside):
            known = {blamed.test for blamed in self._blamed}
            if monotonic() < begin_until and known.isdisjoint(group.judged):
                self._try(group, run)
        known = {blamed.test for blamed in self._blamed}
        notes = {test: note for test, note in self._notes if test not in known}
        return TrialResult(tuple(self._blamed), tuple(notes.items()))

    def _try(self, group: Group, run: Rounds) -> None:
        """Try one group to the end."""
        search = try_group(group)
        self._why = "time ran out"
        try:
            one = next(search)
            while True:
                one = search.send(self._run_one(group, one, run))
        except StopIteration as stop:
            self._conclude(group, stop.value, run)

    def _conclude(self, group: Group, found: dict[TestIndex, Tried], run: Rounds) -> None:
        blamed = [test for test, tried in found.items() if tried.verdict is Verdict.FORK]
        hopeless = self._without_help(group, blamed, run)
        for test, tried in found.items():
            if tried.verdict is Verdict.FORK:
                likely = self._likely.get(test, "")
                commands = self._commands(group, test)
                anyway = test in hopeless
                self._blamed.append(Blamed(test, tried, self._reports[test], likely, commands, anyway))
            elif tried.verdict is Verdict.OPEN and tried.fresh and tried.forked:
                self._notes.append((test, _OPEN.format(why=self._why)))

    def _without_help(self, group: Group, blamed: Sequence[TestIndex], run: Rounds) -> set[TestIndex]:
        """Which blamed tests also fail in a process that a fresh interpreter forks as a worker does.

        If spawned workers ran the tests, the run has shown that. Otherwise they are tried once, which is
        enough because all tries of either kind ended alike.
        """
        if self.spawned:
            return set(blamed)
        if not blamed or not self._run.forks_anyway or len(group.sequences) > 1:
            return set()
        limits = [max(self._limit(test, forked=True) for test in group.judged)]
        fork = Forking(StartMethod.SPAWN, 1, self._freeze_heap)
        result, *_ = run([self._words(group.sequences)], limits, alone=True, fork=fork, reports=True)
        if isinstance(result, NotSeen):
            return set(blamed)
        words = dict(result.tests)
        return {test for test in blamed if not words.get(self._run.ids[test], Outcome.LOST).good}

    # --- one try ---

    def _run_one(self, group: Group, one: Try, run: Rounds) -> dict[TestIndex, Outcome] | None:
        """How the judged tests ended in one try; None if the try could not be made."""
        limits = [max(self._limit(test, forked=one.forked) for test in group.judged)]
        if one.forked:
            fork = Forking(self._method, len(group.sequences), self._freeze_heap)
            words = [self._words(group.sequences)]
            result, *_ = run(words, limits, alone=True, fork=fork, reports=True)
        else:
            words = [self._words([sequence]) for sequence in group.sequences]
            together = len(words) > 1
            result, *_ = run(words, limits * len(words), alone=not together, together=together, reports=True)
        if isinstance(result, NotSeen):
            self._why = result.why or self._why
            return None
        return self._judge(group, one, result)

    def _judge(self, group: Group, one: Try, run: FreshRun) -> dict[TestIndex, Outcome]:
        """The outcomes of the judged tests, up to the place where a test ran that was not to run there."""
        order = group.sequences[0]
        words: dict[TestIndex, Outcome] = {}
        for at, (nodeid, word) in enumerate(run.tests):
            if at >= len(order) or nodeid != self._run.ids[order[at]]:
                self._why = "other tests ran than these, or in another order"
                break
            test, reports = order[at], run.reports[at] if at < len(run.reports) else []
            if test not in group.judged:
                continue
            words[test] = word if not one.forked or self._is_alike(test, word, reports) else Outcome.LOST
            if one.forked:
                self._likely.setdefault(test, run.likely.get(nodeid, ""))
            else:
                self._reports[test] = reports
        return words

    def _is_alike(self, test: TestIndex, word: Outcome, reports: Sequence[ReportData]) -> bool:
        """Whether a test ended as it did in the run; if it failed, in the same manner."""
        if word.good or word is not self._run.word(test):
            return word.good
        manners = [manner for manner in map(manner_of, reports) if manner is not None]
        return word is not Outcome.FAILED or manners[:1] == [self._run.manner(test)]

    def _limit(self, test: TestIndex, *, forked: bool) -> float:
        """How long a test may take, in seconds: whatever passes in the run's time must be able to pass here.

        For a test that hung in the run, the wait is shorter once a fresh interpreter has shown how long it
        takes.
        """
        limit = self._run.limit(test)
        if not limit:
            return _GRACE + _PATIENCE * self._run.seconds(test)
        if forked and test in self._reports:
            seconds = sum(map(_duration, self._reports[test]))
            return min(limit, _GRACE + _PATIENCE * seconds) + _HUNG_GRACE
        return limit + _HUNG_GRACE

    # --- commands ---

    def _words(self, sequences: Sequence[Sequence[TestIndex]]) -> list[str]:
        path = ReplayFiles(lambda: self._folder).write("trial", replay_by_index(self._run.ids, sequences))
        return same_arguments(self._config, ["--maxfail=0", f"--procpar-replay={path}"])

    def _commands(self, group: Group, test: TestIndex) -> tuple[Confirmation, ...]:
        """The commands that show it to the user: the same run with either kind of worker.

        A test with the mark `isolated` has no second command: either kind of worker forks a process for it.
        """
        content = replay_by_index(self._run.ids, group.sequences)
        path = str(self._files.write("fork-dependent", content))
        here = os.path.relpath(path, self._config.invocation_params.dir)
        path = path if here.startswith(os.pardir) else here
        words = [*kept_options(self._config), *neutral_options(self._config), "--recheck=none"]
        words += ["-n", str(len(group.sequences)), f"--procpar-replay={path}"]
        fails, passes = (
            shell_command(["pytest", *words, f"--start-method={method.value}", *given_paths(self._config)])
            for method in (StartMethod.FORK if self.spawned else self._method, StartMethod.SPAWN)
        )
        failed = Confirmation(fails, True, self._run.word(group.judged[0]))
        if self._run.is_apart(test):
            return (failed,)
        return failed, Confirmation(passes, False, Outcome.PASSED)


def _duration(report: ReportData) -> float:
    duration = report.get("duration")
    return duration if isinstance(duration, (int, float)) else 0.0
