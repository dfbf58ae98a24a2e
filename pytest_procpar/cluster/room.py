"""How many workers the system has room for, and what to say where it has none."""

from __future__ import annotations

import pytest

from pytest_procpar.compat.xdist.options import tell_workers
from pytest_procpar.config.settings import Settings
from pytest_procpar.core.record import changed
from pytest_procpar.system.shortage import descriptor_limit, room_for_workers

__all__ = ["fit", "refusal"]


def fit(config: pytest.Config, settings: Settings) -> tuple[Settings, str | None]:
    """The settings with no more workers than descriptors allow, and a note if that is fewer than wanted.

    :raises pytest.UsageError: if not even one fits, or a replay needs more.
    """
    wanted, fitting = settings.workers, room_for_workers(settings.workers)
    if fitting == wanted:
        return settings, None
    if not fitting:
        raise refusal(settings, f"{descriptor_limit()} descriptors are too few (ulimit -n)")
    note = f"only {fitting} of {wanted} workers fit into {descriptor_limit()} descriptors (ulimit -n)"
    if settings.pinned:
        raise pytest.UsageError(f"--replay: every sequence needs a worker, and {note}")
    tell_workers(config, fitting)
    return changed(settings, workers=fitting), note


def refusal(settings: Settings, reason: str) -> pytest.UsageError:
    """What to raise where the system does not grant a single worker."""
    return pytest.UsageError(
        f"-n {settings.workers}: no worker could be started: {reason}: raise the limit, or run with -n 0"
    )
