"""The hooks that pytest-xdist defines, for when it is not installed: conftests that implement them load.

All are called in the controller. Names, arguments and moments are pytest-xdist's.
"""

from __future__ import annotations

from typing import Any

import pytest


@pytest.hookspec
def pytest_xdist_setupnodes(config: pytest.Config, specs: list[Any]) -> None:
    """Called before any worker is set up."""


@pytest.hookspec
def pytest_xdist_newgateway(gateway: Any) -> None:
    """Called for every worker's gateway, before `pytest_configure_node`."""


@pytest.hookspec
def pytest_xdist_rsyncstart(source: Any, gateways: Any) -> None:
    """Never called: files are not synchronised."""


@pytest.hookspec
def pytest_xdist_rsyncfinish(source: Any, gateways: Any) -> None:
    """Never called: files are not synchronised."""


@pytest.hookspec(firstresult=True)
def pytest_xdist_getremotemodule() -> None:
    """Never called: workers are forked, and import no module of ours."""


@pytest.hookspec
def pytest_configure_node(node: Any) -> None:
    """Called for every worker before it exists; what is put into ``node.workerinput`` reaches it."""


@pytest.hookspec
def pytest_testnodeready(node: Any) -> None:
    """Called for every worker when the suite is collected, before any test is handed out."""


@pytest.hookspec
def pytest_testnodedown(node: Any, error: object | None) -> None:
    """Called when a worker is gone; `error` is None if it finished its session."""


@pytest.hookspec
def pytest_xdist_node_collection_finished(node: Any, ids: list[str]) -> None:
    """Called for every worker with the collected nodeids, after all `pytest_testnodeready`."""


@pytest.hookspec(firstresult=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Called when the test loop begins: return an object that decides who runs what, instead of ``--dist``.

    It has the methods of pytest-xdist's scheduling protocol; ``docs/options.md`` says when each is called.
    """


@pytest.hookspec(firstresult=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """How many workers ``-n auto`` and ``-n logical`` mean; 0 runs in this process."""


@pytest.hookspec(firstresult=True)
def pytest_handlecrashitem(crashitem: str, report: pytest.TestReport, sched: Any) -> None:
    """Called when a test's process has died, before `report` is shown.

    ``sched.mark_test_pending(crashitem)`` runs the test again; `report` may be changed.
    """
