"""The commands that show a finding: the arguments of pytest that run certain tests, in a certain order."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from math import ceil
from pathlib import Path

import pytest

from pytest_procpar.compat.pytest_private.command_line import (
    kept_options,
    neutral_options,
    orders_by_chance,
    replay_folder,
    stops_early_anyway,
    wants_workers_anyway,
)
from pytest_procpar.compat.pytest_reports.reports import nodeid_from_here
from pytest_procpar.core.inquiry.expected import Expected
from pytest_procpar.core.inquiry.inquiry import Kind
from pytest_procpar.core.inquiry.probes import Outcome
from pytest_procpar.core.inquiry.run_record import RunRecord
from pytest_procpar.core.model import TestIndex
from pytest_procpar.core.printable import shell_command
from pytest_procpar.replay.kept import ReplayFiles, replay_by_index, replay_of
from pytest_procpar.system.shortage import in_words

__all__ = ["Commands", "shown"]

#: A test that is to run beside another runs again and again, for this many seconds longer than the other
#: takes. Each test counts as at least this many seconds.
_HEAD_START = 1.0
_LEAST_SECONDS = 0.001


class Commands:
    """Makes commands.

    :param run_record: what is known about the tests.
    """

    def __init__(self, config: pytest.Config, run_record: RunRecord) -> None:
        self._config = config
        self._ids = ids = run_record.ids
        #: The nodeids that more than one test has.
        self._shared = {nodeid for nodeid, count in Counter(ids).items() if count > 1}
        self._word = run_record.word
        self._limit = run_record.limit
        self._seconds = run_record.seconds
        self._files = ReplayFiles(lambda: replay_folder(config))
        #: Why the file of a command could not be written; empty if every file could.
        self.unwritten = ""

    def is_unique(self, test: TestIndex) -> bool:
        """Whether no other test has its nodeid."""
        return self._ids[test] not in self._shared

    def remove_private(self) -> None:
        """Remove the files that nobody is going to hear of."""
        self._files.remove_private()

    def names(self, trial: Expected) -> bool:
        """Whether a command can name the tests: each runs once, and no other test has its nodeid."""
        nodeids = {self._ids[test] for test in trial.tests}
        if len(nodeids) > 1 and orders_by_chance(self._config):
            return False
        return len(nodeids) == len(trial.tests) and self._shared.isdisjoint(nodeids)

    def words(self, trial: Expected) -> list[str]:
        """The arguments that run a trial's tests in this order."""
        words = kept_options(self._config) + neutral_options(self._config)
        test = trial.finding.test
        dies = trial.finding.kind is Kind.CONTAMINATED_CRASH or self._word(test) in (
            Outcome.CRASHED,
            Outcome.HUNG,
        )
        if dies or trial.beside:
            words += ["-n", str(1 + len(trial.beside)), "--recheck=none"]
            if self._limit(test):
                words.append(f"--hang-timeout={self._limit(test):.3g}")
        elif wants_workers_anyway(self._config):
            words += ["-n", "0"]
        if len(trial.everything) > 1 and stops_early_anyway(self._config):
            words.append("--maxfail=0")  # a test may fail itself, and still matter to another one
        nodeids = dict.fromkeys(self._ids[test] for test in trial.everything)
        return words + [nodeid_from_here(self._config, nodeid) for nodeid in nodeids]

    def replay(self, trial: Expected, only: int | None = None) -> list[str]:
        """The arguments, with a replay file that forces the order and lets a test run twice.

        :param only: the process whose tests go into the file; None: the tests of all.
        """
        name = f"{trial.finding.kind.value}-{trial.finding.test}-{'fails' if trial.bad else 'passes'}"
        sequences = self._sequences(trial)
        if only is not None:
            sequences, name = [sequences[only]], f"{name}-{only}"
        path = Path(f"{name}.json")
        try:
            path = self._files.write(name, self._replay_of(sequences))
        except OSError as error:  # then the command fails
            self.unwritten = f"its file could not be written: {in_words(error)}"
        here = os.path.relpath(path, self._config.invocation_params.dir)
        if here.startswith(os.pardir):
            here = str(path)
        return [f"--procpar-replay={here}", *self.words(trial)]

    def _sequences(self, trial: Expected) -> list[tuple[TestIndex, ...]]:
        """The tests that each process runs."""
        return [trial.tests, *(self._often(side, trial) for side in trial.beside)]

    def _replay_of(self, sequences: Sequence[Sequence[TestIndex]]) -> bytes:
        if self._shared.isdisjoint(self._ids[test] for tests in sequences for test in tests):
            return replay_of([(None, [self._ids[test] for test in tests]) for tests in sequences])
        return replay_by_index(self._ids, sequences)

    def _often(self, side: tuple[TestIndex, ...], trial: Expected) -> tuple[TestIndex, ...]:
        """Repeat these tests so often that they are still running when the judged test runs."""
        seconds = _HEAD_START + sum(map(self._seconds, trial.tests))
        once = sum(max(self._seconds(test), _LEAST_SECONDS) for test in side)
        return side * ceil(seconds / once)


def shown(command: Sequence[str]) -> str:
    """A command as it is printed."""
    return shell_command(["pytest", *command])
