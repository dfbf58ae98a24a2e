"""How many workers the options ask for, in all their spellings, and who may have fewer."""

from __future__ import annotations

import os
import sys

import pytest

from pytest_procpar.compat.foreign_options import debugger
from pytest_procpar.compat.xdist.options import told_count
from pytest_procpar.config.given import Given
from pytest_procpar.config.parsing import checked, local_workers
from pytest_procpar.core.model import Dist
from pytest_procpar.core.record import record
from pytest_procpar.replay.file import REPLAY
from pytest_procpar.system.cpus import machine_cpus, requested_workers

__all__ = ["Distribution", "count_workers", "host_budget", "machine_count", "read_distribution"]

#: More workers than this are taken for a slip: each takes memory and descriptors of the controller.
_MOST_WORKERS = 10_000

#: The number that ``-n auto`` stands for, if nobody has set it: it is what the machine grants.
_COUNTED = pytest.StashKey[int]()


@record
class Distribution:
    """Who is to run the tests, as all options together say.

    ``workers`` is None if no option asks for workers, and 0 if one asks for none (``-n 0``). ``elastic``
    is what the machine grants under ``-n auto``, so that fewer may be started, and more later; otherwise 0.
    """

    workers: int | None
    dist: str
    elastic: int = 0

    def differs_from(self, asked: Given) -> bool:
        """Whether it differs from what the options say that plugins read."""
        return self.workers is not None or self.dist != asked.dist


def read_distribution(config: pytest.Config, asked: Given) -> Distribution:
    """Who is to run the tests.

    :raises pytest.UsageError: naming option and value.
    """
    given = count_workers(config, asked)
    workers, dist = _workers(asked, given), asked.dist
    if not workers and given is not None:
        dist = Dist.NO.value
    elif asked.distload:
        dist = Dist.LOAD.value
    replay = config.stash.get(REPLAY, None)
    if replay is not None:
        sequences = len(replay.sequences)
        # One worker per sequence, however many were asked for; none if none were wanted, or for one sequence.
        if workers or (given is None and sequences > 1):
            workers, dist = sequences, Dist.LOAD.value
    elif not workers and given is None and asked.wants_recheck:
        workers = 1
    if not workers and asked.isolating_option is not None:
        workers = 1
    if workers:
        counted = config.stash.get(_COUNTED, 0) if replay is None else 0
        elastic = counted if counted == given else 0
        return Distribution(workers, Dist.LOAD.value if dist == Dist.NO.value else dist, elastic)
    return Distribution(None if given is None else 0, dist)


def machine_count(config: pytest.Config) -> int:
    """How many workers ``-n auto`` and ``-n logical`` mean if no plugin says otherwise.

    :raises pytest.UsageError: for a setting that makes no sense, under ``-W error``.
    """

    def warn(message: str) -> None:
        try:
            config.issue_config_time_warning(pytest.PytestWarning(message), stacklevel=2)
        except pytest.PytestWarning:  # raised under -W error
            raise pytest.UsageError(message) from None

    requested = requested_workers(os.environ, warn)
    if requested is not None:
        return requested
    is_logical = told_count(config) == "logical"
    count = machine_cpus(logical=is_logical)
    if not is_logical:
        config.stash[_COUNTED] = count
    return count


def host_budget() -> bool:
    """Whether to share the machine's processors with other runs: not if this run is part of one.

    :raises pytest.UsageError: if the environment variable makes no sense.
    """
    value = os.environ.get("PROCPAR_HOST_BUDGET", "")
    if value not in ("", "on", "off"):
        raise pytest.UsageError(
            f"PROCPAR_HOST_BUDGET (environment variable): invalid value {value!r}: give on or off"
        )
    return value != "off" and "PYTEST_XDIST_WORKER" not in os.environ


def _workers(asked: Given, given: int | None) -> int:
    """How many workers the command line asks for, in all its spellings; 0 for none.

    :param given: what ``-n`` says.
    """
    wanted = given
    if wanted is None and asked.tx:
        wanted = sum(map(local_workers, asked.tx))
    workers = checked("-n", wanted, 0) or 0
    limit = checked("--maxprocesses", asked.maxprocesses, 1)
    workers = min(workers, limit) if limit else workers
    if workers > _MOST_WORKERS:
        name = "-n" if given is not None else "--tx"
        raise pytest.UsageError(
            f"{name}: invalid value: {workers} workers: give at most {_MOST_WORKERS}; "
            f"-n auto takes at most one for each processor"
        )
    return workers


def count_workers(config: pytest.Config, asked: Given) -> int | None:
    """How many workers ``-n`` asks for, including ``auto`` and ``logical``; None if it was not given.

    :raises pytest.UsageError: if a plugin gives something other than a number.
    """
    wanted = asked.numprocesses
    if wanted in ("auto", "logical"):
        wanted = 0
        if debugger(config) is None:
            # Without pytest-xdist's own answer, where it is installed: that ignores the cgroup quota.
            wanted = config.pluginmanager.subset_hook_caller(
                "pytest_xdist_auto_num_workers", [sys.modules.get("xdist.plugin")]
            )(config=config)
    return checked("-n", wanted, 0)
