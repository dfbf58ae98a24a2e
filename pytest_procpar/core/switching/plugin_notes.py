"""Plugins that behave differently with workers, by the names of their packages, and what to do about each.

Only what was tried: see docs/compatibility.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["plugin_notes"]

_KEEPS_ORDER = "the order holds within a worker only: --dist=loadfile keeps the tests of a file together"
_EARLY = "workers are forked before anything is configured (start method fork-early): it fixes who it is then"
_NOTES = {
    "ddtrace": "workers are fresh interpreters (start method spawn) while it traces",
    "inline-snapshot": "it makes and changes no snapshots with workers: use -n 0 for --inline-snapshot=fix",
    "logfire": _EARLY,
    "pytest-benchmark": "it does not measure with workers: give benchmarks a run of their own with -n 0",
    "pytest-dependency": "tests that depend on another must be in its worker: --dist=loadfile or loadgroup",
    "pytest-forked": "its --forked is its own; --isolate does the same from the collected suite",
    "pytest-harvest": "what workers have harvested is not brought together",
    "pytest-monitor": _EARLY,
    "pytest-opentelemetry": _EARLY,
    "pytest-order": _KEEPS_ORDER,
    "pytest-ordering": _KEEPS_ORDER,
    "pytest-parallel": "it is a runner of its own: uninstall it",
    "pytest-reportportal": _EARLY,
    "pytest-split": "how many tests are in the group is not told with workers",
    "pytest-timeout": "with timeout_method=thread a time-out ends the process: here that is one crashed test",
    "pytest-xvfb": _EARLY,
}  # fmt: skip


def plugin_notes(packages: Iterable[str]) -> list[tuple[str, str]]:
    """Those of these packages that need attention, and what to say about each."""
    names = sorted({re.sub(r"[-_.]+", "-", name).lower() for name in packages})
    return [(name, _NOTES[name]) for name in names if name in _NOTES]
