"""The hooks that pytest-xdist defines, for when it is not installed: conftests that implement them load.

All are called in the controller. Names, arguments and moments are pytest-xdist's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_procpar.compat.xdist.objects import Gateway, Node, Spec
    from pytest_procpar.compat.xdist.plugin_scheduler import XdistScheduler
    from pytest_procpar.compat.xdist.scheduling import Log


@pytest.hookspec
def pytest_xdist_setupnodes(config: pytest.Config, specs: list[Spec]) -> None:
    """Called before any worker is set up."""


@pytest.hookspec
def pytest_xdist_newgateway(gateway: Gateway) -> None:
    """Called for every worker's gateway, before `pytest_configure_node`."""


@pytest.hookspec
def pytest_xdist_rsyncstart(source: object, gateways: Sequence[Gateway]) -> None:
    """Never called: files are not synchronised."""


@pytest.hookspec
def pytest_xdist_rsyncfinish(source: object, gateways: Sequence[Gateway]) -> None:
    """Never called: files are not synchronised."""


@pytest.hookspec(firstresult=True)
def pytest_xdist_getremotemodule() -> None:
    """Never called: workers are forked, and import no module of ours."""


@pytest.hookspec
def pytest_configure_node(node: Node) -> None:
    """Called for every worker before it exists; what is put into ``node.workerinput`` reaches it."""


@pytest.hookspec
def pytest_testnodeready(node: Node) -> None:
    """Called for every worker when the suite is collected, before any test is handed out."""


@pytest.hookspec
def pytest_testnodedown(node: Node, error: object | None) -> None:
    """Called when a worker is gone; `error` is None if it finished its session."""


@pytest.hookspec
def pytest_xdist_node_collection_finished(node: Node, ids: list[str]) -> None:
    """Called for every worker with the collected nodeids, after all `pytest_testnodeready`."""


@pytest.hookspec(firstresult=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Log) -> XdistScheduler | None:
    """Called when the test loop begins: return an object that decides who runs what, instead of ``--dist``.

    It has the methods of pytest-xdist's scheduling protocol; ``docs/options.md`` says when each is called.
    """


@pytest.hookspec(firstresult=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """How many workers ``-n auto`` and ``-n logical`` mean; 0 runs in this process."""


@pytest.hookspec(firstresult=True)
def pytest_handlecrashitem(crashitem: str, report: pytest.TestReport, sched: object) -> None:
    """Called when a test's process has died, before `report` is shown.

    ``sched.mark_test_pending(crashitem)`` runs the test again; `report` may be changed.
    """
