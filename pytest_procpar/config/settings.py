"""What is made of the options and the ini values, read once: one frozen `Settings`, or a usage error."""

from __future__ import annotations

import argparse
import os

import pytest

from pytest_procpar.compat.foreign_options import debugger, maxfail, runs_no_tests
from pytest_procpar.config.choices import RECHECKS, START_METHODS, isolating_marks
from pytest_procpar.config.given import Given, read_early
from pytest_procpar.config.parsing import checked, parse_seconds
from pytest_procpar.config.workers import Distribution, host_budget
from pytest_procpar.core.model import Dist, RunOptions, StartMethod, WorkerOptions
from pytest_procpar.core.record import record
from pytest_procpar.core.survey.orders import SuiteOrder
from pytest_procpar.replay.file import REPLAY
from pytest_procpar.system.cpus import available_cpus

__all__ = [
    "INTERPRETER", "RecheckOptions", "Settings", "fork_safe", "history_setting", "read_settings",
    "shared_cpus", "start_method",
]  # fmt: skip

#: `sys.argv` and `sys.path` from before initial conftests changed them.
INTERPRETER = pytest.StashKey[tuple[list[str], list[str]]]()


@record
class RecheckOptions:
    """What to run again after the run, and how long that may take.

    ``budget`` is in seconds; None: as long as the run took.
    """

    what: str = "failed"
    order: SuiteOrder | None = None
    budget: float | None = None
    tests: int = 20
    explain: bool = False
    #: Whether there is a report; it also holds explanations that were not asked for.
    reported: bool = False
    cleaners: bool = False
    strict: bool = False

    @property
    def surveys(self) -> bool:
        """Whether to look into every test, even if it has not failed."""
        return self.what in ("all", "deep")

    def wanted(self, failures: int) -> bool:
        """Whether there is anything to run again after this many failures."""
        asked_for = self.surveys or self.what == "known" or self.order is not None
        return asked_for or (self.what == "failed" and failures > 0)


@record
class Settings:
    """What one run was asked to do."""

    workers: int
    dist: Dist
    reorder: bool
    max_chunk: int | None
    max_restarts: int | None
    testrunuid: str
    #: How workers are started (None: by the first method that is safe).
    start_method: StartMethod | None
    worker: WorkerOptions
    #: How many seconds a test may run, and how many may pass without a result before we say so; 0: no limit.
    hang_timeout: float
    quiet_seconds: float
    recheck: RecheckOptions
    #: After how many failures the run stops; 0: never.
    maxfail: int = 0
    #: Whether each worker has its own tests, those of its sequence (``--replay``).
    pinned: bool = False
    #: Whether the reports of passed tests that nobody looks at are made only when somebody does.
    compact_reports: bool = True
    #: How many workers ``-n auto`` stands for, so that there may be fewer; 0: the user has given a number.
    elastic: int = 0
    #: Whether to share processors with other runs.
    shares_host: bool = False

    @property
    def tests_a_process(self) -> int | None:
        """After how many tests a worker goes on in a fresh process; None: never."""
        return 1 if self.worker.isolate else self.worker.max_tests_per_worker

    def run_options(self) -> RunOptions:
        """The part that the core needs."""
        return RunOptions(
            workers=self.workers,
            dist=self.dist,
            reorder=self.reorder,
            max_chunk=self.max_chunk,
            max_restarts=self.max_restarts,
            hang_timeout=self.hang_timeout,
            pinned=self.pinned,
        )


def read_settings(config: pytest.Config, asked: Given, distribution: Distribution) -> Settings | None:
    """The settings of a parallel run; None if this run is not parallel.

    :raises pytest.UsageError: naming option and value.
    """
    workers, isolation, debugging = distribution.workers, asked.isolating_option, debugger(config)
    if not workers or runs_no_tests(config):
        return None
    if debugging is not None:
        if isolation is not None:
            raise pytest.UsageError(
                f"{isolation}: a test in a process of its own cannot be debugged with {debugging}"
            )
        raise pytest.UsageError(
            f"{debugging} is incompatible with distributing tests; try using -n0 or -nauto."
        )
    if not hasattr(os, "fork"):
        raise pytest.UsageError(
            f"{isolation or '-n'}: this platform cannot fork, which is the only way of starting workers yet"
        )
    return Settings(
        workers=workers,
        dist=Dist(distribution.dist),
        reorder=asked.loadscopereorder,
        max_chunk=checked("--maxschedchunk", asked.maxschedchunk, 1),
        max_restarts=checked("--max-worker-restart", asked.maxworkerrestart, 0),
        testrunuid=asked.testrunuid or os.urandom(16).hex(),
        start_method=start_method(config),
        worker=WorkerOptions(
            dist=Dist(distribution.dist),
            freeze_heap=_ini_flag(config, "procpar_freeze_heap"),
            isolate=asked.isolate,
            isolating_marks=isolating_marks(),
            max_tests_per_worker=asked.max_tests_per_worker,
            lean_tests=_ini_flag(config, "procpar_lean_tests"),
            fork_safe=fork_safe(config),
            cpus=shared_cpus(config, workers),
        ),
        hang_timeout=_hang_timeout(config, asked),
        quiet_seconds=_ini_seconds(config, "procpar_quiet_seconds"),
        recheck=_recheck(config, asked),
        maxfail=maxfail(config),
        pinned=REPLAY in config.stash,
        compact_reports=_ini_flag(config, "procpar_compact_reports"),
        elastic=distribution.elastic,
        shares_host=host_budget(),
    )


def start_method(config: pytest.Config) -> StartMethod | None:
    """How to start workers; None: by the first method that is safe.

    :raises pytest.UsageError: naming option and value.
    """
    name = read_early(config).start_method or str(config.getini("procpar_start_method"))
    if name not in START_METHODS:
        raise pytest.UsageError(
            f"procpar_start_method (ini option): invalid value {name!r}: "
            f"give one of {', '.join(START_METHODS)}"
        )
    return None if name == "auto" else StartMethod(name)


def fork_safe(config: pytest.Config) -> tuple[str, ...]:
    """What is safe to fork though it looks otherwise: the project says so, or no other process shares it."""
    given = tuple(config.getini("procpar_fork_safe"))
    return (*given, "names") if _is_only_process(config) else given


def shared_cpus(config: pytest.Config, workers: int) -> int | None:
    """How many processors these workers share for native thread pools; None: the pools stay as they are."""
    is_wanted = _ini_flag(config, "procpar_limit_thread_pools") and workers > 1
    return available_cpus() if is_wanted else None


def history_setting(config: pytest.Config) -> str:
    """Where the history of durations is kept: a path, ``off``, or nothing for pytest's cache."""
    return str(config.getini("procpar_history")).strip()


def _is_only_process(config: pytest.Config) -> bool:
    """Whether no second process will run tests: another worker, a replacement of the first, or a re-check's.

    A second process would meet what the first one left under its name, in a database for instance.
    """
    early = read_early(config)
    what = early.recheck if early.recheck is not None else config.getini("procpar_recheck")
    is_one = early.numprocesses == 1 or (not early.numprocesses and early.isolating_option is not None)
    return is_one and not early.tx and early.maxworkerrestart == 0 and what == "none"


def _hang_timeout(config: pytest.Config, asked: Given) -> float:
    given = asked.hang_timeout
    return given if given is not None else _ini_seconds(config, "procpar_hang_timeout")


def _recheck(config: pytest.Config, asked: Given) -> RecheckOptions:
    what = asked.recheck if asked.recheck is not None else str(config.getini("procpar_recheck"))
    if what not in RECHECKS:
        raise pytest.UsageError(
            f"procpar_recheck (ini option): invalid value {what!r}: give one of {', '.join(RECHECKS)}"
        )
    if what == "known" and not config.pluginmanager.hasplugin("cacheprovider"):
        raise pytest.UsageError(
            "--recheck=known: what is known of tests is kept in pytest's cache, which is turned off: leave "
            "-p no:cacheprovider out, or give another --recheck"
        )
    return RecheckOptions(
        what=what,
        order=_order(asked.recheck_order),
        budget=asked.recheck_budget,
        tests=checked("--recheck-tests", asked.recheck_tests, 1) or 1,
        explain=asked.recheck_explain or asked.recheck_suggest is not None,
        reported=asked.procpar_report is not None,
        cleaners=asked.recheck_cleaners,
        strict=asked.recheck_strict,
    )


def _order(order: SuiteOrder | None) -> SuiteOrder | None:
    """The order, with a seed drawn for it if it is random and has none."""
    return SuiteOrder(random=True, seed=os.urandom(4).hex()) if order == SuiteOrder(random=True) else order


def _ini_seconds(config: pytest.Config, name: str) -> float:
    try:
        return parse_seconds(str(config.getini(name)))
    except argparse.ArgumentTypeError as error:
        raise pytest.UsageError(f"{name} (ini option): {error}") from None


def _ini_flag(config: pytest.Config, name: str) -> bool:
    try:
        return bool(config.getini(name))
    except (ValueError, TypeError, pytest.UsageError) as error:
        raise pytest.UsageError(f"{name} (ini option): {error}: give true or false") from None
