"""The start method that an earlier run found the project to need, and why, in the project's cache.

What counts as a reason, and when to ask, is decided elsewhere: see `choose_method`.
"""

from __future__ import annotations

import json
import time
import warnings

import pytest

from pytest_procpar.compat.pytest_private.cache import cache_entry, set_aside
from pytest_procpar.core.model import StartMethod
from pytest_procpar.core.record import record

__all__ = ["Remembered", "remember", "remembered"]

#: The name of the entry in the cache.
_KEY = "procpar/start-method"
#: The longest reason, in characters: it stands on one line.
_LONGEST = 500


@record
class Remembered:
    """A start method that an earlier run found necessary, why, and on which day (ISO 8601)."""

    method: StartMethod
    reason: str
    day: str

    def __str__(self) -> str:
        """The reason, in words that follow "since"."""
        return f"{self.reason} on {self.day} (pytest --cache-clear forgets it)"


def remember(config: pytest.Config, method: StartMethod, reason: str) -> bool:
    """Let the next runs of the project under ``auto`` take `method`; False if there is no cache to write to.

    :param reason: what happened, in words that follow "since": "test_x.py::test_y failed only in forked
        workers". The day is added.
    """
    cache = getattr(config, "cache", None)
    if cache is None:
        return False
    entry = {"method": method.value, "reason": reason[:_LONGEST], "day": time.strftime("%Y-%m-%d")}
    with warnings.catch_warnings():  # a line of ours says it if the entry cannot be written
        warnings.simplefilter("ignore")
        cache.set(_KEY, entry)
    return bool(cache.get(_KEY, None) == entry)


def remembered(config: pytest.Config) -> Remembered | None:
    """The start method that an earlier run found necessary; None if there is none, or no cache.

    Call it before configure.

    :raises pytest.UsageError: if the entry is damaged and the warning about that is an error (``-W error``).
    """
    path = cache_entry(config, _KEY)
    if path is None:
        return None
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        if isinstance(error, OSError):  # usually there is no entry
            return None
        text = ""
    known = _parsed(text)
    if known is None:
        set_aside(config, path, "the start method that was remembered for this project cannot")
    return known


def _parsed(text: str) -> Remembered | None:
    try:
        entry = json.loads(text)
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
