"""The rounds of one case: who runs when, and what becomes of a failed run.

Knows no table and no command line; says what it does through ``progress``.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contenders import CONTENDERS
from benchmarks.environments import Environment, clean_environ
from benchmarks.measure import Measured, ProbeError, measure, problem_with
from benchmarks.stats import Series, rotated
from benchmarks.suites import Case, write_suite

MEMORY_ROUNDS = 3  # the peak varies far less than a time does
SAMPLE_PAUSE_S = 0.01


@dataclass(frozen=True)
class Plan:
    """How to measure, for all cases alike.

    Attributes:
        rounds: Number of timed rounds.
        timeout: Seconds after which a run has failed.
        work: Folder for suites, caches and logs.
    """

    rounds: int
    timeout: float
    work: Path


class CaseRun:
    """Measures one case for several contenders."""

    def __init__(
        self,
        case: Case,
        environments: Mapping[str, Environment],
        plan: Plan,
        progress: Callable[[str], None],
    ) -> None:
        self._case = case
        self._environments = environments
        self._plan = plan
        self._progress = progress
        self._suite = plan.work / "suites" / case.name
        self.series = {name: Series() for name in environments}

    def run(self) -> dict[str, Series]:
        """One warm-up, the timed rounds, then the memory rounds: every contender once in each."""
        write_suite(self._case, self._suite)
        caches = self._plan.work / "caches" / self._case.name
        shutil.rmtree(caches, ignore_errors=True)
        caches.mkdir(parents=True)
        self._round("warm-up", 0, self._warm_up)
        for number in range(1, self._plan.rounds + 1):
            self._round(f"round {number}", number, self._timed)
        for number in range(1, min(self._plan.rounds, MEMORY_ROUNDS) + 1):
            self._round(f"memory {number}", number, self._memory)
        return self.series

    def _round(self, label: str, number: int, step: Callable[[str, str, int], None]) -> None:
        for name in rotated(list(self.series), number):
            if not self.series[name].failure:
                step(name, label, number)

    def _warm_up(self, name: str, label: str, _number: int) -> None:
        self._once(name, label, self._case.workers, pause=0)

    def _timed(self, name: str, label: str, number: int) -> None:
        if measured := self._once(name, label, self._case.workers, pause=0):
            self.series[name].add("wall", number, measured.wall)
            self.series[name].add("cpu", number, measured.cpu)
            self.series[name].others[number] = measured.others

    def _memory(self, name: str, label: str, number: int) -> None:
        workers = self._case.memory_workers
        if measured := self._once(name, label, workers, pause=SAMPLE_PAUSE_S):
            self.series[name].add("pss", number, measured.pss)

    def _once(self, name: str, label: str, workers: int, pause: float) -> Measured | None:
        """One run; None, with the failure noted, if it does not count."""
        log = self._plan.work / "logs" / f"{self._case.name}-{name}.txt"
        timeout = self._plan.timeout
        try:
            measured = measure(
                self.command(name, workers),
                cwd=self._suite,
                env=clean_environ(os.environ),
                log=log,
                timeout=timeout,
                pause=pause,
            )
            output = log.read_text(encoding="utf-8", errors="replace")
            problem = problem_with(measured, output, self._case.tests, timeout)
        except ProbeError as error:
            problem = str(error)
        if problem:
            self.series[name].failure = f"{problem} ({label})"
            self._progress(f"{self._case.name}: {label}: {name}: FAILED: {problem}, see {log}")
            return None
        self._progress(f"{self._case.name}: {label}: {name}: {described(measured)}")
        return measured

    def command(self, name: str, workers: int) -> list[str]:
        """What is measured: pytest as a user starts it, with a cache folder of the contender's."""
        cache = self._plan.work / "caches" / self._case.name / name
        contender = CONTENDERS[name]
        launcher = contender.launcher(self._environments[name].python)
        return [*launcher, "-o", f"cache_dir={cache}", *contender.arguments(workers, cache)]


def described(measured: Measured) -> str:
    """A run in a few words, for the progress line."""
    if measured.pss:
        return f"{measured.pss / 2**20:.0f} MiB"
    own = f"wall {measured.wall:.2f} s, cpu {measured.cpu:.2f} s"
    return f"{own}, others kept {measured.others:.1f} cores busy"
