"""The options that plugins know from pytest-xdist and read from ``config.option``: all that is written there.

In the controller ``numprocesses`` is a number, ``dist`` is not ``"no"``, and ``tx`` has one entry a worker; a
worker is no controller. Does not know why there are so many workers.
"""

from __future__ import annotations

import pytest

__all__ = ["hide_workers", "show_workers", "tell_count", "tell_distribution", "tell_worker", "tell_workers"]


def tell_count(config: pytest.Config, count: int | None) -> None:
    """Put a number into the place of ``-n auto`` and ``-n logical``."""
    config.option.numprocesses = count


def tell_distribution(config: pytest.Config, workers: int | None, dist: str) -> None:
    """Say who runs the tests.

    :param workers: how many there are to be; None: nobody has asked for a number, not even for none.
    """
    config.option.dist = dist
    if workers is not None:
        tell_workers(config, workers)


def tell_workers(config: pytest.Config, count: int) -> None:
    """Say how many workers there are; may be said again."""
    config.option.numprocesses = count
    config.option.tx = _specifications(count)


def hide_workers(config: pytest.Config) -> None:
    """Keep an installed pytest-xdist from starting a run of its own: configured, it looks at ``tx``."""
    config.option.tx = []


def show_workers(config: pytest.Config, count: int) -> None:
    """Undo `hide_workers`: pytest-xdist has looked."""
    config.option.tx = _specifications(count)


def tell_worker(config: pytest.Config, *, loadgroup: bool) -> None:
    """Say what keeps a worker from acting as a controller, as pytest-xdist does in its own.

    :param loadgroup: whether the names of groups are looked for (``--dist=loadgroup``).
    """
    option = config.option
    option.looponfail = option.usepdb = option.distload = False
    option.dist = "no"
    option.numprocesses = option.maxprocesses = None
    option.tx = []
    option.loadgroup = loadgroup


def _specifications(count: int) -> list[str]:
    return ["popen"] * count
