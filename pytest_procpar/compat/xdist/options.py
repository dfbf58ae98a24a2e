"""The options that plugins know from pytest-xdist and read from ``config.option``; set only here.

In the controller ``numprocesses`` is a number, ``dist`` is not ``"no"``, and ``tx`` has one entry per worker.
A worker has the values of a process that is no controller. How many workers there are is decided elsewhere.
"""

from __future__ import annotations

import pytest

__all__ = ["hide_workers", "show_workers", "tell_count", "tell_distribution", "tell_worker", "tell_workers"]


def tell_count(config: pytest.Config, count: int | None) -> None:
    """Replace ``-n auto`` or ``-n logical`` by the number that it stands for."""
    config.option.numprocesses = count


def tell_distribution(config: pytest.Config, workers: int | None, dist: str) -> None:
    """Say who runs the tests.

    :param workers: the number of workers; None if nobody asked for a number, not even for 0.
    """
    config.option.dist = dist
    if workers is not None:
        tell_workers(config, workers)


def tell_workers(config: pytest.Config, count: int) -> None:
    """Say how many workers there are. May be called again."""
    config.option.numprocesses = count
    config.option.tx = _specifications(count)


def hide_workers(config: pytest.Config) -> None:
    """Keep an installed pytest-xdist from starting its own run: it looks at ``tx`` when it is configured."""
    config.option.tx = []


def show_workers(config: pytest.Config, count: int) -> None:
    """Undo `hide_workers`, after pytest-xdist has looked."""
    config.option.tx = _specifications(count)


def tell_worker(config: pytest.Config, *, loadgroup: bool) -> None:
    """Set what keeps a worker from acting as a controller, as pytest-xdist does in its own workers.

    :param loadgroup: whether to look for names of groups (``--dist=loadgroup``).
    """
    option = config.option
    option.looponfail = option.usepdb = option.distload = False
    option.dist = "no"
    option.numprocesses = option.maxprocesses = None
    option.tx = []
    option.loadgroup = loadgroup


def _specifications(count: int) -> list[str]:
    return ["popen"] * count
