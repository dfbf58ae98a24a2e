"""The only reader of our options, ini values and environment: one frozen `Settings`, or a usage error."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from typing import Any

import pytest

from pytest_procpar.config.parsing import checked, local_workers, parse_seconds
from pytest_procpar.core.model import Dist, RunOptions, StartMethod, WorkerOptions
from pytest_procpar.core.record import record
from pytest_procpar.core.survey.orders import SuiteOrder
from pytest_procpar.replay.file import REPLAY

__all__ = [
    "INTERPRETER", "NO_RUN", "RECHECKS", "START_METHODS", "Distribution", "Extras", "RecheckOptions",
    "Settings", "count_workers", "fork_safe", "has_pytest_forked", "isolating_marks", "read_distribution",
    "read_extras", "read_settings", "start_method", "wants_recheck",
]  # fmt: skip

#: `sys.argv` and `sys.path` from before initial conftests changed them.
INTERPRETER = pytest.StashKey[tuple[list[str], list[str]]]()

#: The values of ``--recheck``.
RECHECKS = ("failed", "known", "all", "deep", "none")

#: More workers than this are taken for a slip: each takes memory and descriptors of the controller.
_MOST_WORKERS = 10_000

#: The values of ``--start-method``.
START_METHODS = ("auto", *(method.value for method in StartMethod))

#: Options under which nothing runs in parallel, because no test runs, or none runs to its end.
NO_RUN = (
    "collectonly", "help", "version", "showfixtures", "show_fixtures_per_test", "markers", "cacheshow",
    "setupplan", "setuponly",
)  # fmt: skip


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
    #: Whether each worker has its own tests, those of its sequence (``--replay``).
    pinned: bool = False

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


@record
class Extras:
    """What can be asked for with or without workers, apart from who runs the tests: files and checks."""

    tries_suite: bool
    report: str | None
    patch: str | None
    replay: str | None
    #: "report" or "fail"; None: do not look for leaks.
    leaks: str | None
    shows_failures_at_once: bool


def read_extras(config: pytest.Config) -> Extras:
    """What is asked for at this moment: until tests run, plugins and conftests may change it."""
    option = config.option
    return Extras(
        tries_suite=bool(option.procpar_try or option.procpar_try_report),
        report=option.procpar_report,
        patch=option.recheck_suggest,
        replay=option.procpar_replay,
        leaks=option.leaks,
        shows_failures_at_once=option.failure_output == "immediate",
    )


@record
class Distribution:
    """Who is to run the tests, as all options together say.

    ``workers`` is None if no option asks for workers, and 0 if one asks for none (``-n 0``).
    """

    workers: int | None
    dist: str

    def differs_from(self, config: pytest.Config) -> bool:
        """Whether it differs from what the options say that plugins read."""
        return self.workers is not None or self.dist != config.option.dist


def read_distribution(config: pytest.Config) -> Distribution:
    """Who is to run the tests.

    :raises pytest.UsageError: naming option and value.
    """
    option = config.option
    given = count_workers(config)
    workers, dist = _workers(config, given), option.dist
    if not workers and given is not None:
        dist = Dist.NO.value
    elif getattr(option, "distload", False):
        dist = Dist.LOAD.value
    replay = config.stash.get(REPLAY, None)
    if replay is not None:
        sequences = len(replay.sequences)
        # One worker per sequence, however many were asked for; none if none were wanted, or for one sequence.
        if workers or (given is None and sequences > 1):
            workers, dist = sequences, Dist.LOAD.value
    elif not workers and given is None and wants_recheck(config):
        workers = 1
    if not workers and isolating_option(config) is not None:
        workers = 1
    if workers:
        return Distribution(workers, Dist.LOAD.value if dist == Dist.NO.value else dist)
    return Distribution(None if given is None else 0, dist)


def read_settings(config: pytest.Config, distribution: Distribution) -> Settings | None:
    """The settings of a parallel run; None if this run is not parallel.

    :raises pytest.UsageError: naming option and value.
    """
    option, workers = config.option, distribution.workers
    if not workers:
        return None
    isolation = isolating_option(config)
    if any(getattr(option, name, False) for name in NO_RUN):
        return None
    debugging = [
        name for name, dest in (("--trace", "trace"), ("--pdb", "usepdb")) if getattr(option, dest, 0)
    ]
    if debugging:
        if isolation is not None:
            raise pytest.UsageError(
                f"{isolation}: a test in a process of its own cannot be debugged with {debugging[0]}"
            )
        raise pytest.UsageError(
            f"{debugging[0]} is incompatible with distributing tests; try using -n0 or -nauto."
        )
    if not hasattr(os, "fork"):
        raise pytest.UsageError(
            f"{isolation or '-n'}: this platform cannot fork, which is the only way of starting workers yet"
        )
    return Settings(
        workers=workers,
        dist=Dist(distribution.dist),
        reorder=option.loadscopereorder,
        max_chunk=checked("--maxschedchunk", option.maxschedchunk, 1),
        max_restarts=checked("--max-worker-restart", option.maxworkerrestart, 0),
        testrunuid=option.testrunuid or os.urandom(16).hex(),
        start_method=start_method(config),
        worker=WorkerOptions(
            dist=Dist(distribution.dist),
            freeze_heap=_ini_flag(config, "procpar_freeze_heap"),
            isolate=option.isolate,
            isolating_marks=isolating_marks(),
            max_tests_per_worker=option.max_tests_per_worker,
            fork_safe=fork_safe(config),
        ),
        hang_timeout=_hang_timeout(config),
        quiet_seconds=_ini_seconds(config, "procpar_quiet_seconds"),
        recheck=_recheck(config),
        pinned=REPLAY in config.stash,
    )


def start_method(config: pytest.Config) -> StartMethod | None:
    """How to start workers; None: by the first method that is safe.

    :raises pytest.UsageError: naming option and value.
    """
    given = config.known_args_namespace.start_method
    name = given if given is not None else str(config.getini("procpar_start_method"))
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


def _is_only_process(config: pytest.Config) -> bool:
    """Whether no second process will run tests: another worker, a replacement of the first, or a re-check's.

    A second process would meet what the first one left under its name, in a database for instance.
    """
    known = config.known_args_namespace
    what = known.recheck if known.recheck is not None else config.getini("procpar_recheck")
    return known.numprocesses == 1 and not known.tx and known.maxworkerrestart == 0 and what == "none"


def isolating_marks() -> tuple[str, ...]:
    """The marks that give a test its own process; ``forked`` is left to pytest-forked where installed."""
    return ("isolated",) if has_pytest_forked() else ("isolated", "forked")


def has_pytest_forked() -> bool:
    """Whether pytest-forked is installed; if so, its option and mark are left to it."""
    return importlib.util.find_spec("pytest_forked") is not None


def isolating_option(config: pytest.Config) -> str | None:
    """The option that gives tests new processes; None if there is none."""
    if config.option.isolate:
        return "--isolate"
    return "--max-tests-per-worker" if config.option.max_tests_per_worker else None


def _workers(config: pytest.Config, given: int | None) -> int:
    """How many workers the command line asks for, in all its spellings; 0 for none.

    :param given: what ``-n`` says.
    """
    option = config.option
    wanted: Any = given
    if wanted is None and option.tx:
        wanted = sum(map(local_workers, option.tx))
    workers = checked("-n", wanted, 0) or 0
    limit = checked("--maxprocesses", option.maxprocesses, 1)
    workers = min(workers, limit) if limit else workers
    if workers > _MOST_WORKERS:
        name = "-n" if given is not None else "--tx"
        raise pytest.UsageError(
            f"{name}: invalid value: {workers} workers: give at most {_MOST_WORKERS}; "
            f"-n auto takes as many as there are processors"
        )
    return workers


def count_workers(config: pytest.Config) -> int | None:
    """How many workers ``-n`` asks for, including ``auto`` and ``logical``; None if it was not given.

    :raises pytest.UsageError: if a plugin gives something other than a number.
    """
    option = config.option
    wanted: object = option.numprocesses
    if wanted in ("auto", "logical"):
        wanted = 0
        if not getattr(option, "usepdb", False) and not getattr(option, "trace", False):
            # Without pytest-xdist's own answer, where it is installed: that ignores the cgroup quota.
            wanted = config.pluginmanager.subset_hook_caller(
                "pytest_xdist_auto_num_workers", [sys.modules.get("xdist.plugin")]
            )(config=config)
    return checked("-n", wanted, 0)


def _hang_timeout(config: pytest.Config) -> float:
    given: float | None = config.option.hang_timeout
    return given if given is not None else _ini_seconds(config, "procpar_hang_timeout")


def wants_recheck(config: pytest.Config) -> bool:
    """Whether an option asks for a re-check; that needs a fork server, and so at least one worker."""
    option = config.option
    more = (option.recheck_order, option.recheck_explain, option.recheck_cleaners, option.recheck_strict)
    asked = any(more) or option.recheck_suggest is not None
    return option.recheck != "none" and (option.recheck is not None or asked)


def _recheck(config: pytest.Config) -> RecheckOptions:
    option = config.option
    what = option.recheck if option.recheck is not None else str(config.getini("procpar_recheck"))
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
        order=_order(option.recheck_order),
        budget=option.recheck_budget,
        tests=checked("--recheck-tests", option.recheck_tests, 1) or 1,
        explain=option.recheck_explain or option.recheck_suggest is not None,
        reported=option.procpar_report is not None,
        cleaners=option.recheck_cleaners,
        strict=option.recheck_strict,
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
