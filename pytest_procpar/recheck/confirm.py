"""Tries the command that is about to be printed with a finding: in a fresh pytest process, as the user will.

That process is inert (see `fresh.rerun`): plugins see a worker, and it changes nothing of the user's. If the
command has workers, because tests die or run at the same time, each of them is such a process.

A process forked from the collected suite differs from a fresh one: all test modules are imported there. What
holds in one of them but not in the other depends on what is imported, and the finding says so.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_procpar.compat.pytest_private.session import unusable_basetemp
from pytest_procpar.core.inquiry.expected import Expected, expected_of
from pytest_procpar.core.inquiry.failing_alone import affordable
from pytest_procpar.core.inquiry.findings import PLAINLY
from pytest_procpar.core.inquiry.inquiry import Finding, Kind
from pytest_procpar.core.inquiry.probes import Confirmation, Outcome
from pytest_procpar.core.inquiry.run_record import RunRecord
from pytest_procpar.core.model import TestIndex, WorkerInput
from pytest_procpar.fresh.fresh_run import FreshRun, NotSeen
from pytest_procpar.fresh.rounds import Rounds
from pytest_procpar.fresh.waiting import WaitingRoom
from pytest_procpar.fresh.warden import Warden
from pytest_procpar.recheck.commands import Commands, shown
from pytest_procpar.system.calls import monotonic

if TYPE_CHECKING:
    from pytest_procpar.recheck.left_files import LeftFiles
    from pytest_procpar.recheck.suggesting import Suggester

__all__ = ["Confirmer"]

#: How many tests that just fail are tried together in one fresh process, and how many of those that do not
#: fail there are tried in a process each. The first may take at most this part of the time.
_MOST_TOGETHER = 100
_MOST_PLAIN = 5
_TOGETHER_PART = 0.5

#: How often at most a test that fails beside others is tried, until it fails.
_MOST_RUNS = 5


class Confirmer:
    """Makes commands, and runs them.

    :param run_record: what is known about the tests.
    """

    def __init__(self, config: pytest.Config, run_record: RunRecord) -> None:
        self._config = config
        self._record = run_record
        self._ids = run_record.ids
        self._word = run_record.word
        self._limit = run_record.limit
        self._seconds = run_record.seconds
        self._commands = Commands(config, run_record)

    def confirm(
        self,
        findings: Sequence[Finding],
        run: Rounds,
        most: int,
        deadline: float,
        *,
        thorough: bool = True,
        also: Sequence[Finding] = (),
        first: Container[TestIndex] = (),
    ) -> dict[Finding, list[Confirmation]]:
        """Try every finding that can be tried, until `deadline`; return the trials of each.

        :param run: runs the commands, until `deadline` as well: see `rounds`.
        :param most: how many processes may run at the same time.
        :param thorough: whether tests of different files that just fail run in different processes.
        :param also: tests to run with those that just fail, in the same process, if these share one.
        :param first: of the tests that share a process, those that run first.
        """
        of_each = [expected_of(finding) for finding in findings if finding.kind not in PLAINLY]
        plain = [one for finding in findings if finding.kind in PLAINLY for one in expected_of(finding)]
        # The trial that proves or refutes a finding comes first.
        trials = [trial for some in of_each for trial in some[:1]]
        trials += [trial for some in of_each for trial in some if trial not in trials]
        single = [trial for trial in trials if not trial.beside]
        confirmed: dict[Finding, list[Confirmation]] = {}
        try:
            made = dict(zip(single, self._try(single, run, most), strict=True))
            left = _TOGETHER_PART * (deadline - monotonic())
            others = [Expected(finding, (finding.test,), bad=True) for finding in also]
            together = self._try_together([*plain, *others], first, run, left, thorough=thorough)
            made.update(together)
            single = [trial for trial in plain if trial not in together][:_MOST_PLAIN]
            made.update(zip(single, self._try(single, run, most), strict=True))
            made.update((trial, self._try_beside(trial, run)) for trial in trials if trial.beside)
        except BaseException:
            self._commands.remove_private()
            raise
        for trial in [*trials, *together, *single]:
            confirmed.setdefault(trial.finding, []).append(made[trial])
        return confirmed

    def rounds(
        self,
        inputs: Sequence[WorkerInput],
        warden: Callable[[], Warden],
        kept: Path,
        deadline: float,
        ended: Callable[[], bool],
        size: int,
        room: WaitingRoom,
    ) -> Rounds:
        """Make the `Rounds` that run this run's commands in fresh processes.

        :param inputs: the ``workerinput`` of each process that may run at the same time.
        :param warden: returns the warden that starts them; raises OSError.
        :param kept: the folder for copies of the files that they change, see `system.kept_files`.
        :param size: the memory of a process that has collected the suite, in bytes; 0: as much as this one.
        :param room: has the process that was begun already, if there is one.
        """
        cwd = Path(self._config.invocation_params.dir)
        unusable = unusable_basetemp(self._config)
        return Rounds(warden, inputs, kept, cwd, deadline, ended, size, room, unusable)

    def begin(self, tests: Iterable[TestIndex], first: Container[TestIndex], run: Rounds) -> None:
        """Start the process with which `confirm` will begin if all these tests just fail.

        :param first: see `confirm`.
        """
        known = [test for test in tests if self._is_known_by_name(test)]
        if known:
            run.begin(self._words_of_plain(_in_order(known, first)[:_MOST_TOGETHER]), 0.0)

    def suggester(self, run: Rounds, folder: Path) -> Suggester:
        """Make the `Suggester`, which tries fixtures with `run`; its files in `folder` may go afterwards."""
        from pytest_procpar.recheck.suggesting import Suggester  # only if something is proven

        return Suggester(self._config, self._record, run, folder)

    def left_files(self, run: Rounds, kept: Path, folder: Path) -> LeftFiles:
        """Make the `LeftFiles`, which tries whether files that tests left are to blame."""
        from pytest_procpar.recheck.left_files import LeftFiles  # only if something just fails

        return LeftFiles(self._config, self._record, run, kept, folder)

    def _try_together(
        self,
        plain: Sequence[Expected],
        first: Container[TestIndex],
        run: Rounds,
        seconds: float,
        *,
        thorough: bool,
    ) -> dict[Expected, Confirmation]:
        """Try the tests that just fail in one process, for `seconds`: those that fail there are confirmed.

        :param thorough: use one process for each file: one file's imports could make another's tests fail.
        """
        failed = {one.tests[0]: one for one in plain if self._is_known_by_name(one.finding.test)}
        groups: dict[str, list[TestIndex]] = {}
        some = affordable(tuple(_in_order(failed, first)), self._seconds, seconds)
        for test in some[:_MOST_TOGETHER]:
            groups.setdefault(self._ids[test].split("::")[0] if thorough else "", []).append(test)
        several = [tests for tests in groups.values() if len(tests) > 1]
        commands = list(map(self._words_of_plain, several))
        confirmed = {}
        for tests, command, result in zip(
            several, commands, run(commands, [0.0] * len(commands)), strict=True
        ):
            words = dict(result.tests) if isinstance(result, FreshRun) else {}
            for test in tests:
                word = words.get(self._ids[test])
                if word is not None and word.bad:
                    confirmed[failed[test]] = Confirmation(shown(command), True, word)
        return confirmed

    def _words_of_plain(self, tests: Sequence[TestIndex]) -> list[str]:
        return self._commands.words(Expected(Finding(tests[-1], Kind.PLAIN), tuple(tests), bad=True))

    def _is_known_by_name(self, test: TestIndex) -> bool:
        """Whether a failed test can be told from the others in a process that runs several."""
        return self._word(test) is Outcome.FAILED and self._commands.is_unique(test)

    def _try(self, trials: Sequence[Expected], run: Rounds, concurrency: int) -> list[Confirmation]:
        """Try what happens in one process."""
        commands = [
            self._commands.words(trial) if self._commands.names(trial) else self._commands.replay(trial)
            for trial in trials
        ]
        limits = [self._limit(trial.finding.test) for trial in trials]
        runs = run(commands, limits)
        words = list(map(self._judge, trials, runs))

        def again(which: Sequence[int], *, alone: bool = False) -> None:
            results = run([commands[at] for at in which], [limits[at] for at in which], alone=alone)
            for at, result in zip(which, results, strict=True):
                runs[at], words[at] = result, self._judge(trials[at], result)

        # Something reorders tests, adds some, or ends the run before the last one.
        lost = [at for at, word in enumerate(words) if word is None and self._commands.names(trials[at])]
        lost = [at for at in lost if len(trials[at].tests) > 1 or isinstance(runs[at], FreshRun)]
        for at in lost:
            commands[at] = self._commands.replay(trials[at])
        again(lost)
        # A different result counts only if it comes out the same with nothing running beside it.
        if min(concurrency, len(trials)) > 1:
            again([at for at, trial in enumerate(trials) if _differs(trial, words[at])], alone=True)
        return [
            Confirmation(shown(command), trial.bad, word, reason=self._reason(command, word, result))
            for trial, command, word, result in zip(trials, commands, words, runs, strict=True)
        ]

    def _try_beside(self, trial: Expected, run: Rounds) -> Confirmation:
        """Try what happens in several processes, with no other command beside them, until it happens."""
        command = self._commands.replay(trial)
        # The user's command has a worker for each sequence; here each has a process, and all start together.
        commands = [self._commands.replay(trial, number) for number in range(1 + len(trial.beside))]
        limits = [self._limit(trial.finding.test)] * len(commands)
        word, runs, reason = None, 0, ""
        while runs < _MOST_RUNS:
            result = _joined(run(commands, limits, together=True))
            seen = self._judge(trial, result)
            if seen is None:
                reason = self._reason(command, word, result)
                break
            word, runs = seen, runs + 1
            if word.bad:
                break
        return Confirmation(shown(command), trial.bad, word, by_chance=True, runs=runs, reason=reason)

    def _reason(self, command: list[str], word: Outcome | None, run: FreshRun | NotSeen) -> str:
        """Why a command could not be judged; empty if it was, or if it was not to run any more."""
        if word is not None:
            return ""
        if isinstance(run, FreshRun):
            return run.trouble or "other tests ran than these, or in another order"
        has_file = command[0].startswith("--procpar-replay=")
        return (has_file and run.why and self._commands.unwritten) or run.why

    def _judge(self, trial: Expected, run: FreshRun | NotSeen) -> Outcome | None:
        """How the judged test ended; None unless the tests before it ran first, and those beside it ran."""
        wanted = [self._ids[test] for test in trial.tests]
        if isinstance(run, NotSeen):
            return None
        if trial.beside:
            words = [word for nodeid, word in run.tests if nodeid == wanted[-1]]
            ran = {nodeid for nodeid, _ in run.tests}
            return words[0] if len(words) == 1 and ran == {self._ids[t] for t in trial.everything} else None
        return run.tests[-1][1] if [nodeid for nodeid, _ in run.tests] == wanted else None


def _in_order(tests: Iterable[TestIndex], first: Container[TestIndex]) -> list[TestIndex]:
    """The tests in collected order, but those of `first` before the others."""
    return sorted(tests, key=lambda test: (test not in first, test))


def _joined(runs: Sequence[FreshRun | NotSeen]) -> FreshRun | NotSeen:
    """Join the runs of several processes that started together into one run."""
    done = [run for run in runs if isinstance(run, FreshRun)]
    if len(done) < len(runs):
        unseen = [run for run in runs if isinstance(run, NotSeen)]
        return next((run for run in unseen if run.why), unseen[0])
    trouble = next((run.trouble for run in done if run.trouble), "")
    return FreshRun(tuple(test for run in done for test in run.tests), trouble)


def _differs(trial: Expected, word: Outcome | None) -> bool:
    """Whether the judged test ended differently from what was expected."""
    return word is not None and word.bad != trial.bad
