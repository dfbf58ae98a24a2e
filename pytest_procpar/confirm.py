"""Tries the command that is about to be printed with a finding: in a fresh pytest process, as the user will.

A process forked from the collected suite differs from a fresh one: all test modules are imported there. What
holds in the one and not in the other depends on what is imported, and is said to.
"""

from __future__ import annotations

import shlex
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from pytest_procpar.compat.invocation import kept_options, program, quiet_options, wants_workers_anyway
from pytest_procpar.compat.reports import nodeid_from_here
from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.probes import Confirmation, Word
from pytest_procpar.core.record import record
from pytest_procpar.core.suspects import Finding, Kind
from pytest_procpar.process.fresh import FreshRun, run_fresh

__all__ = ["Confirmer"]

#: Of tests that just fail, so many are tried in fresh processes.
_MOST_PLAIN = 5


@record
class _Trial:
    finding: Finding
    tests: tuple[TestIndex, ...]
    bad: bool


class Confirmer:
    """Makes commands, and runs them.

    :param nodeid: gives a test's nodeid.
    :param word: how a test ended in the run.
    :param limit: how long a test may take that has hung, in seconds; 0 for others.
    """

    def __init__(
        self,
        config: pytest.Config,
        nodeid: Callable[[TestIndex], str],
        word: Callable[[TestIndex], Word],
        limit: Callable[[TestIndex], float],
    ) -> None:
        self._config = config
        self._nodeid = nodeid
        self._word = word
        self._limit = limit

    def confirm(
        self, findings: Sequence[Finding], lanes: int, deadline: float, ended: Callable[[], bool]
    ) -> dict[TestIndex, list[Confirmation]]:
        """Try every finding that can be tried, until `deadline` at most: the trials of each test."""
        trials = [trial for finding in findings for trial in _trials(finding)]
        plain = [trial for trial in trials if trial.finding.kind is Kind.PLAIN]
        trials = [trial for trial in trials if trial not in plain] + plain[:_MOST_PLAIN]
        folder = Path(tempfile.mkdtemp(prefix="procpar-"))
        try:
            commands = []
            for number, trial in enumerate(trials):
                report = folder / f"{number}.json"
                quiet = [*quiet_options(self._config, folder), f"--procpar-report={report}"]
                commands.append(([*program(), *self._words(trial), *quiet], report))
            where = Path(self._config.invocation_params.dir)
            runs = run_fresh(commands, where, lanes, deadline, ended)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        confirmed: dict[TestIndex, list[Confirmation]] = {}
        for trial, run in zip(trials, runs, strict=True):
            word = None if run is None else self._judge(trial, run)
            command = shlex.join(["pytest", *self._words(trial)])
            confirmed.setdefault(trial.finding.test, []).append(Confirmation(command, trial.bad, word))
        return confirmed

    def _words(self, trial: _Trial) -> list[str]:
        """The arguments that run a trial's tests in this order."""
        words = kept_options(self._config)
        test = trial.finding.test
        if trial.finding.kind is Kind.CONTAMINATED_CRASH or self._word(test) in (Word.CRASHED, Word.HUNG):
            words += ["-n", "1", "--recheck=none"]
            if self._limit(test):
                words.append(f"--hang-timeout={self._limit(test):.3g}")
        elif wants_workers_anyway(self._config):
            words += ["-n", "0"]
        return words + [nodeid_from_here(self._config, self._nodeid(test)) for test in trial.tests]

    def _judge(self, trial: _Trial, run: FreshRun) -> Word | None:
        """How the judged test ended, if the tests before it ran before it."""
        wanted = [self._nodeid(test) for test in trial.tests]
        if [nodeid for nodeid, _ in run.tests] != wanted:
            return None
        return run.tests[-1][1]


def _trials(finding: Finding) -> list[_Trial]:
    """What a finding says should come out, the most telling first."""
    test, cause = finding.test, finding.cause
    match finding.kind:
        case Kind.VICTIM | Kind.CONTAMINATED_CRASH if cause:
            return [_Trial(finding, (*cause, test), bad=True), _Trial(finding, (test,), bad=False)]
        case Kind.BRITTLE if cause:
            return [_Trial(finding, (test,), bad=True), _Trial(finding, (*cause, test), bad=False)]
        case Kind.PLAIN:
            return [_Trial(finding, (test,), bad=True)]
        case _:
            return []
