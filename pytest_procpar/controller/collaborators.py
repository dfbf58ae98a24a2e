"""What the parts of the controller work with: made once, and shared by all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_procpar.compat.xdist.scheduling import OwnScheduling
from pytest_procpar.controller.supervision import Supervisor
from pytest_procpar.core.inquiry.run_record import RunRecord
from pytest_procpar.core.record import record
from pytest_procpar.core.run.run import Run
from pytest_procpar.report.results import Results
from pytest_procpar.report.terminal import Terminal
from pytest_procpar.system.clock import Clock

if TYPE_CHECKING:
    import pytest

    from pytest_procpar.cluster.cluster import Cluster
    from pytest_procpar.compat.xdist.nodes import Nodes
    from pytest_procpar.config.settings import Settings
    from pytest_procpar.controller.run_end import Ending

__all__ = ["Collaborators", "make_collaborators"]


@record
class Collaborators:
    """The objects that the loop, and what it calls, work with. None of them knows the loop.

    ``run`` decides, and only the loop sends it events; the others ask it. Each part takes what it works with
    when it is made, so its first lines say what that is.
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


def make_collaborators(
    config: pytest.Config, settings: Settings, cluster: Cluster, nodes: Nodes, ending: Ending
) -> Collaborators:
    """Make those that are not there yet. The supervision begins now."""
    run, terminal, clock = Run(settings.run_options()), Terminal(config), Clock()
    results = Results(config, OwnScheduling(config, nodes), compact=settings.compact_reports)
    folders = str(config.rootpath), str(config.invocation_params.dir)
    supervisor = Supervisor(run, cluster, terminal, results.nodeid, clock.now(), settings.quiet_seconds)
    return Collaborators(
        config, settings, cluster, run, RunRecord(settings.tests_a_process, *folders), nodes, results,
        terminal, ending, clock, supervisor,
    )  # fmt: skip
