"""Our own hooks. Those of pytest-xdist keep their names: see `pytest_procpar.compat.xdist.hookspecs`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_procpar.core.inquiry.finding_record import FindingRecord


def pytest_procpar_worker_forked(config: pytest.Config, session: pytest.Session) -> None:
    """Called in every worker, before anything else, once it was forked from the collected suite.

    Here a plugin lets go of what processes must not share: open connections, open files, threads that did not
    survive the fork, names made from the process id. ``config.workerinput`` and the environment already have
    this worker's identity, and ``session.items`` has the collected tests. The hook runs in each worker,
    replacements included, and never in the controller.
    """


def pytest_procpar_findings(config: pytest.Config, findings: list[FindingRecord]) -> None:
    """Called in the controller after the re-check, if there was one, and before the session finishes.

    Each finding says what is known of one test; ``docs/report.md`` explains its entries.
    """
