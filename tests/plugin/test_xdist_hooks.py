"""pytest-xdist's hooks: the same calls with the same arguments as under pytest-xdist itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import Suite

pytestmark = pytest.mark.pytest_dependent

pytest_plugins = ["tests.xdist_env"]

#: Notes every hook of pytest-xdist that the controller calls, with what its arguments are.
RECORDER = """
    import os
    import pytest
    from recorder import note

    if "PYTEST_XDIST_WORKER" not in os.environ:

        def hook(name, node=None, **facts):
            note("hook", name=name, node=node, facts=facts)

        def describe(node):
            manager = node.nodemanager
            return {
                "config": node.config is CONFIG[0],
                "input": sorted(node.workerinput),
                "identity": [node.workerinput["workerid"], node.workerinput["workercount"]],
                "uid": node.workerinput["testrunuid"] == manager.testrunuid,
                "argv": bool(node.workerinput["mainargv"]),
                "spec": [node.gateway.spec.popen, node.gateway.spec.chdir, node.gateway.spec.id],
                "manager": [manager.roots, len(manager.specs)],
                "info": hasattr(node, "workerinfo"),
                "output": hasattr(node, "workeroutput"),
                "shutting_down": node.shutting_down,
                "key": {node: 1}[node],
                "repr": repr(node),
            }

        CONFIG = []

        def pytest_configure(config):
            CONFIG.append(config)

        def pytest_xdist_auto_num_workers(config):
            hook("auto_num_workers", option=config.option.numprocesses)
            return 2

        def pytest_xdist_setupnodes(config, specs):
            tx = [str(spec).split("//")[-1] for spec in config.option.tx]
            told = [[spec.id, spec.popen, spec.chdir] for spec in specs]
            hook("setupnodes", same=config is CONFIG[0], specs=told, tx=tx)

        def pytest_xdist_newgateway(gateway):
            info = gateway._rinfo()
            hook(
                "newgateway", gateway.id, spec=[gateway.spec.id, gateway.spec.popen],
                info=[info.executable, info.platform, list(info.version_info)[:2], info.cwd],
            )

        def pytest_configure_node(node):
            hook("configure_node", node.gateway.id, **describe(node))
            node.workerinput["gift"] = node.gateway.id

        def pytest_xdist_make_scheduler(config, log):
            log("heard", 1)
            log.part("heard")
            option = config.option
            hook("make_scheduler", same=config is CONFIG[0], tx=len(option.tx), dist=option.dist)

        def pytest_testnodeready(node):
            info = node.workerinfo
            platform = info["platform"]
            hook(
                "testnodeready", node.gateway.id, names=sorted(info),
                told=[info["id"], info["executable"], platform],
                own=info["spec"] is node.gateway.spec, **describe(node),
            )

        def pytest_xdist_node_collection_finished(node, ids):
            hook("node_collection_finished", node.gateway.id, ids=list(ids))

        def pytest_testnodedown(node, error):
            output = getattr(node, "workeroutput", {})
            hook(
                "testnodedown", node.gateway.id, failed=error is not None, output=sorted(output),
                thanks=output.get("thanks"), down=node.shutting_down,
            )

        def pytest_handlecrashitem(crashitem, report, sched):
            hook(
                "handlecrashitem", report.node.gateway.id, item=crashitem, when=report.when,
                outcome=report.outcome, nodeid=report.nodeid, location=list(report.location),
                keywords=dict(report.keywords), text=str(report.longrepr).partition(":")[0],
                config=sched.config is CONFIG[0],
                pending=callable(sched.mark_test_pending), nodes=[n.gateway.id for n in sched.nodes],
            )

        def pytest_xdist_getremotemodule():
            note("getremotemodule")

    def pytest_sessionfinish(session):
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput["thanks"] = session.config.workerinput["gift"]
"""

PRELUDE = ("auto_num_workers", "setupnodes", "newgateway", "configure_node", "make_scheduler")


def calls(suite: Suite, *args: str) -> list[tuple[str, str | None, dict[str, Any]]]:
    """The calls of a run: hook, node and arguments."""
    finished = suite.run(*args, "--testrunuid=u", "-Wignore")
    return [(note["name"], note["node"], note["facts"]) for note in finished.notes("hook")]


def both(suite: Suite, install: Callable[..., None], *args: str) -> Any:
    """The calls under pytest-xdist, and under us beside it."""
    install()
    suite.conftest(RECORDER)
    theirs = calls(suite, "-p", "xdist", *args)
    assert "testnodedown" in [name for name, _, _ in theirs]
    return theirs, calls(suite, "-p", "xdist", "-p", "procpar", "--recheck=none", *args)


def test_calls_before_any_test_runs(
    suite: Suite, install_xdist: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTEST_ADDOPTS")
    suite.trivial(8)
    theirs, ours = both(suite, install_xdist, "-n", "auto")
    assert [call for call in ours if call[0] in PRELUDE] == [call for call in theirs if call[0] in PRELUDE]
    names = [name for name, _, _ in ours]
    # Under pytest-xdist the nodes are ready and finish in any order; some plugins count on this one.
    assert names[: len(names) - 2] == [
        "auto_num_workers", "setupnodes", "newgateway", "configure_node", "newgateway", "configure_node",
        "make_scheduler", "testnodeready", "testnodeready", "node_collection_finished",
        "node_collection_finished",
    ]  # fmt: skip
    assert names[-2:] == ["testnodedown", "testnodedown"]


def test_calls_for_each_node(
    suite: Suite, install_xdist: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTEST_ADDOPTS")
    suite.trivial(8)
    theirs, ours = both(suite, install_xdist, "-n2")
    for node in ("gw0", "gw1"):
        assert [call for call in ours if call[1] == node] == [call for call in theirs if call[1] == node]


def test_calls_when_a_worker_dies(
    suite: Suite, install_xdist: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTEST_ADDOPTS")
    suite.tests("""
        import os
        import pytest

        @pytest.mark.parametrize("i", range(6))
        def test(i):
            if i == 2:
                os._exit(1)
    """)
    # With one worker there is one order.
    theirs, ours = both(suite, install_xdist, "-n1")
    assert [call[:2] for call in ours] == [call[:2] for call in theirs]
    assert ours == theirs


def test_hooks_of_transport_are_never_called(suite: Suite) -> None:
    suite.trivial(4)
    suite.conftest("""
        import pytest

        def pytest_xdist_getremotemodule():
            raise AssertionError("no module is executed in a worker")

        def pytest_xdist_rsyncstart(source, gateways):
            raise AssertionError("nothing is synchronised")

        def pytest_xdist_rsyncfinish(source, gateways):
            raise AssertionError("nothing is synchronised")
    """)
    suite.run("-n2").assert_summary(passed=4)


def test_all_hooks_are_known_without_xdist(suite: Suite) -> None:
    suite.trivial(4)
    suite.conftest(RECORDER)
    assert {name for name, _, _ in calls(suite, "-nauto")} == {
        *PRELUDE, "testnodeready", "node_collection_finished", "testnodedown",
    }  # fmt: skip


def test_a_replacement_is_announced_as_the_first_workers_are(suite: Suite) -> None:
    suite.tests("""
        import os
        import pytest

        @pytest.mark.parametrize("i", range(4))
        def test(i):
            if i == 1:
                os._exit(1)
    """)
    suite.conftest(RECORDER)
    replacement = [(name, facts) for name, node, facts in calls(suite, "-n1") if node == "gw1"]
    assert [name for name, _ in replacement] == [
        "newgateway", "configure_node", "testnodeready", "node_collection_finished", "testnodedown",
    ]  # fmt: skip
    assert replacement[3][1]["ids"] == [f"test_it.py::test[{i}]" for i in range(4)]
