"""Tries the command that is about to be printed with a finding: in a fresh pytest process, as the user will.

A process forked from the collected suite differs from a fresh one: all test modules are imported there. What
holds in the one and not in the other depends on what is imported, and is said to.
"""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from math import ceil
from pathlib import Path

import pytest

from pytest_procpar.compat.invocation import (
    kept_options,
    neutral_options,
    orders_by_chance,
    program,
    quiet_options,
    replay_folder,
    stops_early_anyway,
    wants_workers_anyway,
)
from pytest_procpar.compat.reports import nodeid_from_here
from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.probes import Confirmation, Word
from pytest_procpar.core.record import record
from pytest_procpar.core.runrecord import RunRecord
from pytest_procpar.core.suspects import Finding, Kind
from pytest_procpar.process.fresh import FreshRun, run_fresh
from pytest_procpar.replayfile import write_replay, write_replay_by_index

__all__ = ["Confirmer"]

#: Of tests that just fail, so many are tried in fresh processes.
_MOST_PLAIN = 5

#: What fails beside others is tried so often, until it does.
_MOST_RUNS = 5
#: What is to run beside a test does so again and again, for so many seconds longer than that takes. A test
#: takes so much at the least.
_HEAD_START = 1.0
_LEAST_SECONDS = 0.001


@record
class _Trial:
    """What is to come out of tests in one process, the last of which is judged, with others `beside` it."""

    finding: Finding
    tests: tuple[TestIndex, ...]
    bad: bool
    beside: tuple[tuple[TestIndex, ...], ...] = ()

    @property
    def everything(self) -> tuple[TestIndex, ...]:
        return self.tests + tuple(test for side in self.beside for test in side)


#: Runs commands, so many at the same time.
_Run = Callable[[Sequence[list[str]], int], list[FreshRun | None]]


class Confirmer:
    """Makes commands, and runs them.

    :param run_record: what is known of the tests.
    """

    def __init__(self, config: pytest.Config, run_record: RunRecord) -> None:
        self._config = config
        self._ids = ids = run_record.ids
        #: The nodeids that several tests have.
        self._shared = {nodeid for nodeid, count in Counter(ids).items() if count > 1}
        self._word = run_record.word
        self._limit = run_record.limit
        self._seconds = run_record.seconds

    def confirm(
        self, findings: Sequence[Finding], lanes: int, deadline: float, ended: Callable[[], bool]
    ) -> dict[Finding, list[Confirmation]]:
        """Try every finding that can be tried, until `deadline` at most: the trials of each."""
        of_each = [_trials(finding) for finding in findings if finding.kind is not Kind.PLAIN]
        plain = [_trials(finding) for finding in findings if finding.kind is Kind.PLAIN]
        # What a finding stands or falls with comes first.
        trials = [trial for some in of_each for trial in some[:1]]
        trials += [
            trial for some in [*of_each, *plain[:_MOST_PLAIN]] for trial in some if trial not in trials
        ]
        folder = Path(tempfile.mkdtemp(prefix="procpar-"))

        def run(words: Sequence[list[str]], lanes: int) -> list[FreshRun | None]:
            tried = [self._with_report(command, Path(tempfile.mkdtemp(dir=folder))) for command in words]
            return run_fresh(tried, Path(self._config.invocation_params.dir), lanes, deadline, ended)

        try:
            single = [trial for trial in trials if not trial.beside]
            made = dict(zip(single, self._try(single, run, lanes), strict=True))
            made.update((trial, self._try_beside(trial, run)) for trial in trials if trial.beside)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        confirmed: dict[Finding, list[Confirmation]] = {}
        for trial in trials:
            confirmed.setdefault(trial.finding, []).append(made[trial])
        return confirmed

    def _try(self, trials: Sequence[_Trial], run: _Run, lanes: int) -> list[Confirmation]:
        """Try what happens in one process."""
        commands = [self._words(trial) if self._named(trial) else self._replay(trial) for trial in trials]
        runs = run(commands, lanes)
        words = list(map(self._judge, trials, runs))
        # Somebody reorders tests, adds some, or ends the run before the last one.
        lost = [at for at, word in enumerate(words) if word is None and self._named(trials[at])]
        again = [at for at in lost if len(trials[at].tests) > 1 or runs[at] is not None]
        for at in again:
            commands[at] = self._replay(trials[at])
        for at, result in zip(again, run([commands[at] for at in again], lanes), strict=True):
            words[at] = self._judge(trials[at], result)
        # What comes out otherwise beside others counts only if it does so with nothing beside it.
        doubtful = [at for at, trial in enumerate(trials) if _differs(trial, words[at])]
        if min(lanes, len(trials)) > 1:
            for at, result in zip(doubtful, run([commands[at] for at in doubtful], 1), strict=True):
                words[at] = self._judge(trials[at], result)
        return [
            Confirmation(_shown(command), trial.bad, word)
            for trial, command, word in zip(trials, commands, words, strict=True)
        ]

    def _try_beside(self, trial: _Trial, run: _Run) -> Confirmation:
        """Try what happens in several processes, with no other command beside it, until it does."""
        command = self._replay(trial)
        word, runs = None, 0
        while runs < _MOST_RUNS:
            (result,) = run([command], 1)
            seen = self._judge(trial, result)
            if seen is None:
                break
            word, runs = seen, runs + 1
            if word.bad:
                break
        return Confirmation(_shown(command), trial.bad, word, by_chance=True, runs=runs)

    def _named(self, trial: _Trial) -> bool:
        """Whether a command that names the tests may do: each runs once, and no other is called so."""
        nodeids = {self._ids[test] for test in trial.tests}
        if len(nodeids) > 1 and orders_by_chance(self._config):
            return False
        return len(nodeids) == len(trial.tests) and self._shared.isdisjoint(nodeids)

    def _with_report(self, command: list[str], folder: Path) -> tuple[list[str], Path]:
        """The whole command that a trial is run with, and where it says how its tests ended.

        :param folder: takes what it writes, and nobody else's: the cache of one run changes the next.
        """
        report = folder / "report.json"
        quiet = quiet_options(self._config, folder)
        return [*program(), *command, *quiet, f"--procpar-report={report}"], report

    def _words(self, trial: _Trial) -> list[str]:
        """The arguments that run a trial's tests in this order."""
        words = kept_options(self._config) + neutral_options(self._config)
        test = trial.finding.test
        dies = trial.finding.kind is Kind.CONTAMINATED_CRASH or self._word(test) in (Word.CRASHED, Word.HUNG)
        if dies or trial.beside:
            words += ["-n", str(1 + len(trial.beside)), "--recheck=none"]
            if self._limit(test):
                words.append(f"--hang-timeout={self._limit(test):.3g}")
        elif wants_workers_anyway(self._config):
            words += ["-n", "0"]
        if len(trial.everything) > 1 and stops_early_anyway(self._config):
            words.append("--maxfail=0")  # a test may fail itself, and matter to another one
        nodeids = dict.fromkeys(self._ids[test] for test in trial.everything)
        return words + [nodeid_from_here(self._config, nodeid) for nodeid in nodeids]

    def _replay(self, trial: _Trial) -> list[str]:
        """The same, with a file that forces the order, and lets a test run twice."""
        name = f"{trial.finding.kind.value}-{trial.finding.test}-{'fails' if trial.bad else 'passes'}.json"
        path = replay_folder(self._config) / name
        with suppress(OSError):  # then the command fails, and the finding is not told
            sequences = [trial.tests, *(self._often(side, trial) for side in trial.beside)]
            if self._shared.isdisjoint(self._ids[test] for test in trial.everything):
                write_replay(path, [(None, [self._ids[test] for test in tests]) for tests in sequences])
            else:
                write_replay_by_index(path, self._ids, sequences)
        here = os.path.relpath(path, self._config.invocation_params.dir)
        if here.startswith(os.pardir):
            here = str(path)
        return [f"--procpar-replay={here}", *self._words(trial)]

    def _often(self, side: tuple[TestIndex, ...], trial: _Trial) -> tuple[TestIndex, ...]:
        """These tests, so often that they are still running when the judged one does."""
        seconds = _HEAD_START + sum(map(self._seconds, trial.tests))
        once = sum(max(self._seconds(test), _LEAST_SECONDS) for test in side)
        return side * ceil(seconds / once)

    def _judge(self, trial: _Trial, run: FreshRun | None) -> Word | None:
        """How the judged test ended, if the tests before it ran before it, and those beside it at all."""
        wanted = [self._ids[test] for test in trial.tests]
        if run is not None and trial.beside:
            words = [word for nodeid, word in run.tests if nodeid == wanted[-1]]
            ran = {nodeid for nodeid, _ in run.tests}
            return words[0] if len(words) == 1 and ran == {self._ids[t] for t in trial.everything} else None
        if run is None or [nodeid for nodeid, _ in run.tests] != wanted:
            return None
        return run.tests[-1][1]


def _shown(command: Sequence[str]) -> str:
    """A command as it is printed."""
    return shlex.join(["pytest", *command])


def _differs(trial: _Trial, word: Word | None) -> bool:
    """Whether the judged test ended otherwise than expected."""
    return word is not None and word.bad != trial.bad


def _trials(finding: Finding) -> list[_Trial]:
    """What a finding says should come out, the most telling first."""
    test, cause = finding.test, finding.cause
    match finding.kind:
        case Kind.VICTIM | Kind.CONTAMINATED_CRASH if cause:
            return [_Trial(finding, (*cause, test), bad=True), _Trial(finding, (test,), bad=False)]
        case Kind.BRITTLE if cause:
            return [_Trial(finding, (test,), bad=True), _Trial(finding, (*cause, test), bad=False)]
        case Kind.NIO:
            return [_Trial(finding, (test, test), bad=True)]
        case Kind.PARALLEL_ONLY:
            beside = _Trial(finding, (test,), bad=True, beside=finding.sides)
            return [beside, _Trial(finding, (test,), bad=False)]
        case Kind.PLAIN:
            return [_Trial(finding, (test,), bad=True)]
        case _:
            return []
