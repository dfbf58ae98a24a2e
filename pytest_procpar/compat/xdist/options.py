"""The options that plugins know from pytest-xdist and read from ``config.option``; told only here.

What the user has asked for is read in `config.given`. Here is what has become of it, whoever runs the tests:
our workers, those of pytest-xdist, or this process.

In the controller ``numprocesses`` is a number, ``dist`` is not ``"no"``, and ``tx`` has one entry per worker.
A worker has the values of a process that is no controller. How many workers there are is decided elsewhere.
"""

from __future__ import annotations

import pytest

__all__ = [
    "defines_workers", "hide_workers", "only_xdist_can", "show_workers", "tell_count", "tell_distribution",
    "tell_early_worker", "tell_worker", "tell_workers", "told_count", "told_dist", "told_specifications",
]  # fmt: skip

#: Options that only pytest-xdist can carry out, by the names of their values.
_THEIRS = {"looponfail": "--looponfail", "px": "--px", "rsyncdir": "--rsyncdir", "ramp": "--ramp"}


# --- before initial conftests are imported ---


def defines_workers(early_config: pytest.Config) -> bool:
    """Whether a plugin that is loaded has defined ``-n``."""
    return hasattr(early_config.known_args_namespace, "numprocesses")


def tell_early_worker(early_config: pytest.Config) -> None:
    """Say that there will be a worker though ``-n`` does not ask for one: pytest-cov, for one, asks here."""
    early_config.known_args_namespace.numprocesses = 1


# --- what is told ---


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


# --- what was told ---


def told_count(config: pytest.Config) -> object:
    """How many workers there are; until that is decided, what ``-n`` says, which may be a word."""
    return config.option.numprocesses


def told_dist(config: pytest.Config) -> str:
    """How tests are dealt to them; ``no`` if there are none."""
    return str(config.getoption("dist", "no"))


def told_specifications(config: pytest.Config) -> list[str]:
    """One entry for each worker."""
    found: list[str] = config.option.tx
    return found


def only_xdist_can(config: pytest.Config) -> str | None:
    """The option on the command line that only pytest-xdist can carry out; None if there is none."""
    return next((flag for name, flag in _THEIRS.items() if getattr(config.option, name, None)), None)


def _specifications(count: int) -> list[str]:
    return ["popen"] * count
