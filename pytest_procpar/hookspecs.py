"""The hooks that are ours. Those of pytest-xdist keep their names: see `procpar.compat.xdist.hookspecs`."""

from __future__ import annotations

from typing import Any

import pytest


def pytest_procpar_worker_forked(config: pytest.Config, session: pytest.Session) -> None:
    """Called in every worker, first thing after it was forked from the collected suite.

    Here a plugin lets go of what must not be shared between processes: open connections, file handles,
    threads that did not survive the fork, names made from the process id. ``config.workerinput`` and the
    environment already hold this worker's identity, ``session.items`` the collected tests. The hook runs
    in each worker, replacements included, and never in the controller.
    """


def pytest_procpar_findings(config: pytest.Config, findings: list[dict[str, Any]]) -> None:
    """Called in the controller when the re-check is over, if there was one, before the session finishes.

    Each finding says of one test what is known: ``docs/report.md`` explains its entries.
    """
