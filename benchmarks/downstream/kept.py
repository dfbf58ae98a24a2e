"""What a run has come to, kept in the work folder: a command that was broken off goes on where it was.

A run is that of its suite's definition, its options, and the requirements of pytest and, unless it was
a plain one, the plugin. When one of these changes it is run again.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.downstream.run import Cost, Logs, is_parallel
from benchmarks.downstream.suites import Suite

__all__ = ["Key", "key_of", "load", "save"]

#: Of a `Suite`: they say something of the outcome, and change nothing about the run.
_REMARKS = ("varying_warnings", "differs", "notes", "no_spawn", "quick")


@dataclass(frozen=True)
class Key:
    """What a run was one of.

    Attributes:
        options: Of pytest; empty for a plain run.
        digest: Of all that the outcome depends on.
    """

    options: str
    digest: str


def key_of(suite: Suite, options: str, pytest: str, plugin: str, again: bool = False) -> Key:
    """The key of a run. ``plugin``: a requirement, or a wheel's path. ``again``: the second of its kind."""
    definition = {name: value for name, value in asdict(suite).items() if name not in _REMARKS}
    digest = hashlib.sha256(json.dumps([definition, options, pytest, again]).encode())
    if is_parallel(options):
        digest.update(Path(plugin).read_bytes() if os.path.isfile(plugin) else plugin.encode())
    return Key(options, digest.hexdigest())


def save(logs: Logs, key: Key, cost: Cost) -> None:
    """Note, beside the logs of a run that has ended, what it was and cost."""
    logs.kept.write_text(json.dumps({**asdict(key), "cost": asdict(cost)}), encoding="utf-8")


def load(logs: Logs, key: Key) -> Cost | None:
    """What the run whose logs these are has cost; None if it was another, or has not ended."""
    try:
        found = json.loads(logs.kept.read_text(encoding="utf-8"))
        return Cost(**found["cost"]) if found["digest"] == key.digest else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
