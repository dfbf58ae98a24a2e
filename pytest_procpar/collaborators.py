"""What the parts of the controller work with: made once, and the same for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_procpar.core.record import record

if TYPE_CHECKING:
    import pytest

    from pytest_procpar.compat.nodes import Nodes
    from pytest_procpar.core.run import Run
    from pytest_procpar.core.runrecord import RunRecord
    from pytest_procpar.ending import Ending
    from pytest_procpar.process.clock import Clock
    from pytest_procpar.process.launch import Cluster
    from pytest_procpar.report.results import Results
    from pytest_procpar.report.terminal import Terminal
    from pytest_procpar.settings import Settings
    from pytest_procpar.supervision import Supervisor

__all__ = ["Collaborators"]


@record
class Collaborators:
    """Whom the loop, and what it calls, turns to. None of them knows the loop.

    ``run`` decides, and only the loop tells it what has happened; the others ask it.
    """

    config: pytest.Config
    settings: Settings
    cluster: Cluster
    run: Run
    run_record: RunRecord
    nodes: Nodes
    results: Results
    terminal: Terminal
    ending: Ending
    clock: Clock
    supervisor: Supervisor
