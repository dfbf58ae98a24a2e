"""Whoever is told of a node before the run is told of its end: once, however the run goes."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable

import pytest

from tests.conftest import Finished, Suite

pytest_plugins = ["tests.xdist_env"]

NODES = """
    from recorder import note

    def pytest_configure_node(node):
        note("node", what="configured", id=node.gateway.id)

    def pytest_testnodedown(node, error):
        has_output = hasattr(node, "workeroutput")
        note("node", what="down", id=node.gateway.id, error=error, has_output=has_output)

    def pytest_unconfigure(config):
        if not hasattr(config, "workerinput"):
            note("node", what="over", id="")
"""

#: What is collected, the options, and the exit status.
SITUATIONS = {
    "one test": ("def test(): pass", ["-n3"], 0),
    "no such file": ("def test(): pass", ["-n3", "missing.py"], 4),
    "not collectable": ("import missing", ["-n3"], 2),
    "tests beside what is not collectable": ("import missing", ["-n3", "--continue-on-collection-errors"], 1),
    "dies at import": ("import os; os._exit(7)", ["-n3"], 3),
    "nothing selected": ("def test(): pass", ["-n3", "-k", "other"], 5),
    "stopped": ("def test_1(): assert 0\ndef test_2(): pass\ndef test_3(): pass", ["-n3", "-x"], 1),
    "a crash": ("import os\ndef test_1(): os._exit(7)\ndef test_2(): pass\ndef test_3(): pass", ["-n2"], 1),
    "pytest.exit": ("import pytest\ndef test_1(): pytest.exit('no', 9)\ndef test_2(): pass", ["-n2"], 9),
    "a re-check": ("def test_1(): assert 0", ["-n1", "--recheck=failed"], 1),
}


def told(finished: Finished) -> tuple[Counter[str], Counter[str]]:
    """The nodes that were configured, and those that went down: before the session was over."""
    nodes = finished.notes("node")
    nodes = [node for node in nodes if node["pid"] == nodes[0]["pid"]]  # a re-check has sessions of its own
    assert [node["what"] for node in nodes].index("over") == len(nodes) - 1
    kinds = ("configured", "down")
    configured, down = (Counter(node["id"] for node in nodes if node["what"] == kind) for kind in kinds)
    return configured, down


@pytest.mark.parametrize("situation", SITUATIONS)
def test_each_node_goes_down_once(suite: Suite, situation: str) -> None:
    text, args, status = SITUATIONS[situation]
    suite.tests(text)
    suite.conftest(NODES)
    finished = suite.run(*args)
    assert finished.ret == status
    configured, down = told(finished)
    assert configured == down
    assert set(configured.values()) == {1}


@pytest.mark.parametrize("method", ["fork", "fork-early", "spawn"])
def test_nodes_without_a_test_go_down_as_those_that_had_one(suite: Suite, method: str) -> None:
    suite.tests("def test(): pass")
    suite.conftest(NODES)
    down = [node for node in suite.run("-n3", f"--start-method={method}").notes("node") if "error" in node]
    assert sorted(node["id"] for node in down) == ["gw0", "gw1", "gw2"]
    assert {(node["error"], node["has_output"]) for node in down} == {(None, True)}


def test_nodes_go_down_after_an_interrupt(suite: Suite) -> None:
    suite.make_barrier()
    suite.tests("""
        from recorder import reached, block

        def test():
            reached()
            block()
    """)
    suite.conftest(NODES)
    running = suite.start("-n2")
    suite.await_reached()
    running.signal(signal.SIGINT)
    configured, down = told(running.finish())
    assert configured == down == {"gw0": 1, "gw1": 1}


def test_an_error_of_a_hook_for_a_node_that_never_came_up_hides_no_other(suite: Suite) -> None:
    suite.trivial(1)
    suite.conftest("""
        def pytest_testnodedown(node, error):
            print("result of", node.gateway.id, node.workeroutput["exitstatus"])
    """)
    finished = suite.run("-n2", "missing.py")
    assert finished.ret == pytest.ExitCode.USAGE_ERROR
    assert "file or directory not found: missing.py" in finished.out + finished.err
    assert finished.out.count("whose session was never finished: AttributeError") == 2


def test_plugins_that_do_not_mind_cost_no_worker_without_a_test(suite: Suite) -> None:
    suite.tests("def test(): pass")
    suite.conftest("""
        import types
        from recorder import note

        class Plugin:
            def pytest_testnodedown(self, node, error):
                note("down", id=node.gateway.id, status=node.workeroutput["exitstatus"])

        Plugin.__module__ = "flaky.flaky_pytest_plugin"

        def pytest_configure(config):
            config.pluginmanager.register(Plugin())
    """)
    finished = suite.run("-n3")
    finished.assert_summary(passed=1)
    assert finished.facts("down", "id") == ["gw0"]


def test_options_at_sessionstart_are_those_of_xdist(
    suite: Suite, install_xdist: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTEST_ADDOPTS")
    suite.trivial(2)
    suite.conftest("""
        import pytest
        from recorder import note

        def look(session):
            option = session.config.option
            tx = [str(spec) for spec in option.tx]
            note("options", tx=tx, numprocesses=option.numprocesses, dist=option.dist)

        @pytest.hookimpl(tryfirst=True)
        def pytest_sessionstart(session):
            if not hasattr(session.config, "workerinput"):
                look(session)
    """)
    install_xdist()
    seen = []
    for plugins in (["-p", "xdist"], ["-p", "xdist", "-p", "procpar"]):
        (options,) = suite.run(*plugins, "-n2").notes("options")
        seen.append([options["tx"], options["numprocesses"], options["dist"]])
    assert seen == [[["popen", "popen"], 2, "load"]] * 2


def test_the_limit_of_restarts_is_named_though_nothing_is_left_to_run(suite: Suite) -> None:
    suite.tests("""
        import os

        def test_1():
            os._exit(7)

        def test_2():
            os._exit(7)
    """)
    finished = suite.run("-n2", "--max-worker-restart=1")
    finished.assert_summary(failed=2)
    assert finished.out.count("maximum crashed workers reached: 1") == 2  # when it was, and in the summary
