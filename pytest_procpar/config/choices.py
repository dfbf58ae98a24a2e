"""The words that options take, for the parser that every pytest run makes.

Spelled out here, so that a run without workers imports none of what they stand for.
"""

from __future__ import annotations

import importlib.util

__all__ = ["DISTRIBUTIONS", "RECHECKS", "START_METHODS", "has_pytest_forked", "isolating_marks"]

#: The values of ``--dist``: those of `core.model.Dist`.
DISTRIBUTIONS = ("no", "each", "load", "worksteal", "loadscope", "loadfile", "loadgroup", "stable")

#: The values of ``--recheck``.
RECHECKS = ("failed", "known", "all", "deep", "none")

#: The values of ``--start-method``: ``auto``, and those of `core.model.StartMethod`.
START_METHODS = ("auto", "fork", "fork-early", "spawn")


def has_pytest_forked() -> bool:
    """Whether pytest-forked is installed; if so, its option and mark are left to it."""
    return importlib.util.find_spec("pytest_forked") is not None


def isolating_marks() -> tuple[str, ...]:
    """The marks that give a test its own process; ``forked`` is left to pytest-forked where installed."""
    return ("isolated",) if has_pytest_forked() else ("isolated", "forked")
