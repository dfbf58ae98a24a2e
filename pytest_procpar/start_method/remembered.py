"""What the project's cache knows of its start method: which one a run has turned out to need, and why.

Does not know what is a reason, nor when to ask: see `choose_method`.
"""

from __future__ import annotations

import json
import time
import warnings
from typing import Any

import pytest

from pytest_procpar.compat.pytest_private.cache import cache_entry, set_aside
from pytest_procpar.core.model import StartMethod
from pytest_procpar.core.record import record

__all__ = ["Remembered", "remember", "remembered"]

#: Where it is in the cache.
_KEY = "procpar/start-method"
#: No reason is longer, in characters: it stands in one line.
_LONGEST = 500


@record
class Remembered:
    """A start method that an earlier run has found to be needed: why, and on which day (ISO 8601)."""

    method: StartMethod
    reason: str
    day: str

    def __str__(self) -> str:
        """The reason, in words that follow "since"."""
        return f"{self.reason} on {self.day} (pytest --cache-clear forgets it)"


def remember(config: pytest.Config, method: StartMethod, reason: str) -> bool:
    """Let the next runs of the project under ``auto`` take `method`; False if there is no cache to write to.

    :param reason: what has happened, in words that follow "since": "test_x.py::test_y failed only in forked
        workers". The day is added.
    """
    cache = getattr(config, "cache", None)
    if cache is None:
        return False
    entry = {"method": method.value, "reason": reason[:_LONGEST], "day": time.strftime("%Y-%m-%d")}
    with warnings.catch_warnings():  # that it cannot be written our own line says
        warnings.simplefilter("ignore")
        cache.set(_KEY, entry)
    return bool(cache.get(_KEY, None) == entry)


def remembered(config: pytest.Config) -> Remembered | None:
    """What an earlier run has found out; None if nothing, or if there is no cache.

    To be asked before configure.

    :raises pytest.UsageError: if the entry is damaged and the warning of that is an error (``-W error``).
    """
    path = cache_entry(config, _KEY)
    if path is None:
        return None
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        if isinstance(error, OSError):  # most often there is none
            return None
        text = ""
    known = _parsed(text)
    if known is None:
        set_aside(config, path, "the start method that was remembered for this project cannot")
    return known


def _parsed(text: str) -> Remembered | None:
    try:
        entry: Any = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(entry, dict):
        return None
    method, reason, day = (entry.get(name) for name in ("method", "reason", "day"))
    methods = {known.value: known for known in StartMethod}
    if not isinstance(method, str) or method not in methods:
        return None
    if not isinstance(reason, str) or not isinstance(day, str) or not reason:
        return None
    return Remembered(methods[method], " ".join(reason.split())[:_LONGEST], " ".join(day.split())[:_LONGEST])
