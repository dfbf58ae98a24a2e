"""Who a worker is, what plugins are told of it, and what must not be shared."""

from __future__ import annotations

import os

import pytest

from tests.conftest import Suite

#: Notes what the controller's hooks are called with.
HOOKS = """
    import os
    import pytest
    from recorder import note

    def controller():
        return "PYTEST_XDIST_WORKER" not in os.environ

    def pytest_xdist_setupnodes(config, specs):
        note("hook", name="setupnodes", specs=[spec.id for spec in specs])

    def pytest_xdist_newgateway(gateway):
        note("hook", name="newgateway", node=gateway.id)

    def pytest_configure_node(node):
        note("hook", name="configure_node", node=node.gateway.id)
        node.workerinput["gift"] = f"for {node.gateway.id}"

    def pytest_testnodeready(node):
        note("hook", name="testnodeready", node=node.gateway.id, info=node.workerinfo["id"])

    def pytest_xdist_node_collection_finished(node, ids):
        note("hook", name="node_collection_finished", node=node.gateway.id, ids=list(ids))

    def pytest_testnodedown(node, error):
        output = getattr(node, "workeroutput", None)
        note("hook", name="testnodedown", node=node.gateway.id, error=error, output=output)

    def pytest_sessionfinish(session):
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput["thanks"] = session.config.workerinput["gift"]
        else:
            note("hook", name="sessionfinish")
"""


def test_fixtures_environment_and_workerinput_agree(suite: Suite) -> None:
    suite.tests("""
        import os
        import pytest
        from recorder import note

        @pytest.mark.parametrize("i", range(6))
        def test(i, worker_id, testrun_uid, request):
            given = request.config.workerinput
            assert given["workerid"] == worker_id == os.environ["PYTEST_XDIST_WORKER"]
            assert given["testrunuid"] == testrun_uid == os.environ["PYTEST_XDIST_TESTRUNUID"]
            assert given["workercount"] == int(os.environ["PYTEST_XDIST_WORKER_COUNT"]) == 3
            assert given["mainargv"]
            note("ran", test=i, uid=testrun_uid)
    """)
    finished = suite.run("-n3")
    finished.assert_summary(passed=6)
    assert set(finished.facts("ran", "worker")) == {"gw0", "gw1", "gw2"}
    assert len(set(finished.facts("ran", "uid"))) == 1


def test_the_worker_count_is_that_of_the_workers_made(suite: Suite) -> None:
    suite.tests("""
        import os

        def test(request):
            assert request.config.workerinput["workercount"] == 1
            assert os.environ["PYTEST_XDIST_WORKER_COUNT"] == "1"
    """)
    suite.run("-n4").assert_summary(passed=1)


def test_without_workers_the_fixtures_say_master(suite: Suite) -> None:
    suite.tests("""
        import os

        def test(worker_id, testrun_uid, request):
            assert worker_id == "master"
            assert len(testrun_uid) == 32
            assert not hasattr(request.config, "workerinput")
            assert "PYTEST_XDIST_WORKER" not in os.environ
    """)
    suite.run("-n0").assert_summary(passed=1)


def test_options_in_a_worker_are_those_of_a_worker(suite: Suite) -> None:
    suite.tests("""
        def test(request):
            option = request.config.option
            assert (option.dist, option.numprocesses, option.usepdb) == ("no", None, False)
            assert request.config.pluginmanager.hasplugin("xdist")
            assert not request.config.pluginmanager.hasplugin("dsession")
    """)
    suite.run("-n1").assert_summary(passed=1)


def test_the_controller_looks_like_one(suite: Suite) -> None:
    suite.trivial(4)
    suite.conftest("""
        from recorder import note

        def pytest_configure(config):
            if not hasattr(config, "workerinput"):
                option = config.option
                note("option", dist=option.dist, numprocesses=option.numprocesses)
                note("plugins", there=[config.pluginmanager.hasplugin(p) for p in ("xdist", "dsession")])
    """)
    finished = suite.run("-n2")
    (option,) = finished.notes("option")
    assert (option["dist"], option["numprocesses"]) == ("load", 2)
    assert finished.facts("plugins", "there") == [[True, True]]


def test_workerinput_is_there_at_configure(suite: Suite) -> None:
    suite.trivial(4)
    suite.conftest(
        HOOKS
        + """
    def pytest_configure(config):
        if not controller():
            note("at_configure", gift=config.workerinput["gift"])
            config.seen = config.workerinput

    def pytest_procpar_worker_forked(config, session):
        assert config.seen is config.workerinput
        note("forked", gift=config.workerinput["gift"], items=len(session.items))
    """
    )
    finished = suite.run("-n2", "--start-method=fork")
    finished.assert_summary(passed=4)
    assert finished.facts("at_configure", "gift") == ["for gw0"]
    assert sorted(finished.facts("forked", "gift")) == ["for gw0", "for gw1"]
    assert finished.facts("forked", "items") == [4, 4]


# --- hooks in the controller ----------------------------------------------------------------------


def test_hooks_tell_of_workers_in_the_order_plugins_know(suite: Suite) -> None:
    suite.trivial(4)
    suite.conftest(HOOKS)
    finished = suite.run("-n2")
    hooks = finished.notes("hook")
    assert {hook["worker"] for hook in hooks} == {"main"}
    names = [(hook["name"], hook.get("node")) for hook in hooks]
    assert names[:9] == [
        ("setupnodes", None),
        ("newgateway", "gw0"),
        ("configure_node", "gw0"),
        ("newgateway", "gw1"),
        ("configure_node", "gw1"),
        ("testnodeready", "gw0"),
        ("testnodeready", "gw1"),
        ("node_collection_finished", "gw0"),
        ("node_collection_finished", "gw1"),
    ]
    assert sorted(names[9:11]) == [("testnodedown", "gw0"), ("testnodedown", "gw1")]
    assert names[11:] == [("sessionfinish", None)]
    assert hooks[0]["specs"] == ["gw0", "gw1"]
    assert hooks[7]["ids"] == [f"test_it.py::test[{i}]" for i in range(4)]


def test_workeroutput_reaches_the_controller(suite: Suite) -> None:
    suite.trivial(4)
    suite.conftest(HOOKS)
    finished = suite.run("-n2")
    downs = {hook["node"]: hook for hook in finished.notes("hook") if hook["name"] == "testnodedown"}
    for node, down in downs.items():
        assert down["error"] is None
        assert down["output"]["thanks"] == f"for {node}"
        assert down["output"]["exitstatus"] == 0


def test_workeroutput_tells_of_failures(suite: Suite) -> None:
    suite.tests("def test(): assert 0")
    suite.conftest(HOOKS)
    finished = suite.run("-n1")
    (down,) = [hook for hook in finished.notes("hook") if hook["name"] == "testnodedown"]
    assert down["output"]["exitstatus"] == 1
    assert not down["output"]["shouldfail"]


def test_a_dead_worker_goes_down_with_an_error_and_a_new_one_comes(suite: Suite) -> None:
    suite.tests("""
        import os

        def test_dies():
            os._exit(1)

        def test_fine():
            pass
    """)
    suite.conftest(HOOKS)
    finished = suite.run("-n1")
    names = [(hook["name"], hook.get("node")) for hook in finished.notes("hook")]
    assert names[5:] == [
        ("testnodedown", "gw0"),
        ("newgateway", "gw1"),
        ("configure_node", "gw1"),
        ("testnodeready", "gw1"),
        ("node_collection_finished", "gw1"),
        ("testnodedown", "gw1"),
        ("sessionfinish", None),
    ]
    downs = {hook["node"]: hook for hook in finished.notes("hook") if hook["name"] == "testnodedown"}
    assert downs["gw0"]["error"] is not None
    assert downs["gw0"]["output"] is None
    assert downs["gw1"]["output"]["thanks"] == "for gw1"


def test_reports_name_their_worker_and_their_item(suite: Suite) -> None:
    suite.trivial(6)
    suite.conftest("""
        import os
        from recorder import note

        def pytest_runtest_logreport(report):
            if "PYTEST_XDIST_WORKER" not in os.environ and report.when == "call":
                note(
                    "seen", node=report.node.gateway.id, by=report.worker_id, uid=report.testrun_uid,
                    index=report.item_index, nodeid=report.nodeid,
                )
    """)
    finished = suite.run("-n2", "--testrunuid=u")
    for seen in finished.notes("seen"):
        assert seen["node"] == seen["by"]
        assert seen["uid"] == "u"
        assert seen["nodeid"] == f"test_it.py::test[{seen['index']}]"
    assert len(finished.notes("seen")) == 6


def test_a_plugin_may_have_a_crashed_test_run_again(suite: Suite) -> None:
    suite.tests("""
        import os
        from pathlib import Path

        def test_dies_once():
            mark = Path("died")
            if not mark.exists():
                mark.touch()
                os._exit(1)

        def test_other():
            pass
    """)
    suite.conftest("""
        def pytest_handlecrashitem(crashitem, report, sched):
            assert crashitem == "test_it.py::test_dies_once"
            sched.mark_test_pending(crashitem)
            report.outcome = "rerun"
    """)
    finished = suite.run("-n2")
    assert finished.ret == 0
    assert finished.summary["passed"] == 2
    assert finished.outcomes["test_it.py::test_dies_once"] == [
        "??? rerun",
        "setup passed",
        "call passed",
        "teardown passed",
    ]


# --- what a process has of its own ----------------------------------------------------------------


@pytest.mark.parametrize("args", [["-n2"], ["-n1"]], ids=["n2", "n1"])
def test_temporary_folders_are_below_a_shared_one(suite: Suite, args: list[str]) -> None:
    suite.tests("""
        import pytest
        from recorder import note

        @pytest.mark.parametrize("i", range(6))
        def test(i, tmp_path, tmp_path_factory, worker_id):
            base = tmp_path_factory.getbasetemp()
            assert base.name == f"popen-{worker_id}"
            assert base in tmp_path.parents
            note("base", parent=str(base.parent))
    """)
    finished = suite.run(*args)
    finished.assert_summary(passed=6)
    assert set(finished.facts("base", "parent")) == {str(suite.path / "basetemp")}


def test_temporary_folders_are_numbered_without_a_given_one(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite.tests("""
        def test_a(tmp_path_factory, tmp_path):
            assert tmp_path_factory.getbasetemp().name == "popen-gw0"
            assert tmp_path_factory.getbasetemp().parent.name == "pytest-0"

        def test_b(tmp_path_factory, tmp_path):
            assert tmp_path_factory.getbasetemp().name == "popen-gw1"
            assert tmp_path_factory.getbasetemp().parent.name == "pytest-0"
    """)
    monkeypatch.setenv("PYTEST_DEBUG_TEMPROOT", str(suite.file("temproot/x", "").parent))
    suite.give_basetemp = False
    suite.run("-n2").assert_summary(passed=2)


def test_exit_handlers_run_in_the_process_that_made_them(suite: Suite) -> None:
    suite.tests("""
        import atexit
        import os
        import tempfile
        import pytest
        from recorder import note

        SHARED = tempfile.TemporaryDirectory()
        atexit.register(note, "exit", of=os.getpid(), what="module")

        @pytest.fixture(scope="session")
        def own():
            atexit.register(note, "exit", of=os.getpid(), what="fixture")
            return tempfile.TemporaryDirectory()

        @pytest.mark.parametrize("i", range(4))
        def test(i, own):
            assert os.path.isdir(SHARED.name)
            note("folders", shared=SHARED.name, own=own.name)
    """)
    finished = suite.run("-n2", "--start-method=fork")
    finished.assert_summary(passed=4)
    exits = finished.notes("exit")
    assert all(note["of"] == note["pid"] for note in exits)
    assert sorted(note["what"] for note in exits) == ["fixture", "fixture", "module"]
    (shared,) = set(finished.facts("folders", "shared"))
    assert not os.path.exists(shared)
    assert not any(os.path.exists(own) for own in finished.facts("folders", "own"))


def test_every_worker_finishes_and_unconfigures_once(suite: Suite) -> None:
    suite.trivial(6)
    finished = suite.run("-n2")
    sessions = [(note["worker"], note["pid"]) for note in finished.notes("sessionfinish")]
    assert sorted(worker for worker, _ in sessions) == ["gw0", "gw1", "main"]
    # and the fork server, which has configured, unconfigures too
    assert len(set(finished.facts("unconfigure", "pid"))) == len(finished.notes("unconfigure")) == 4


def test_no_worker_finishes_its_session_before_all_tests_are_done(suite: Suite) -> None:
    suite.make_barrier()
    suite.tests("""
        import subprocess
        import sys
        from recorder import note, reached

        def test_short():
            note("ran", test="short")
            reached()

        def test_long():
            with open("reached.fifo") as fifo:
                assert fifo.readline()
            subprocess.run([sys.executable, "-c", "pass"], check=True)
            note("ran", test="long")
    """)
    finished = suite.run("-n2")
    kinds = [n["kind"] for n in finished.records if n["kind"] in ("ran", "sessionfinish")]
    assert kinds == ["ran", "ran", "sessionfinish", "sessionfinish", "sessionfinish"]


def test_signal_handlers_are_those_of_a_fresh_interpreter(suite: Suite) -> None:
    suite.tests("""
        import signal

        def test():
            assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
            assert signal.getsignal(signal.SIGIO) is signal.SIG_DFL
    """)
    suite.run("-n1").assert_summary(passed=1)


def test_the_folder_and_the_command_line_are_those_of_the_user(suite: Suite) -> None:
    suite.tests("""
        import os
        import pathlib

        def test(request):
            assert os.getcwd() == str(request.config.rootpath) == str(pathlib.Path(__file__).parent)
            assert "--color=no" in request.config.invocation_params.args
    """)
    suite.run("-n1", "--color=no").assert_summary(passed=1)


def test_nodes_are_configured_when_the_header_is_complete(suite: Suite) -> None:
    suite.trivial(1)
    suite.conftest("""
        import pytest
        from recorder import note

        @pytest.hookimpl(trylast=True)
        def pytest_report_header():  # pytest-testmon opens its database for writing here
            note("step", name="header")

        def pytest_configure_node():
            note("step", name="node")
    """)
    run = suite.run("-n", "1")
    assert [note["name"] for note in run.notes("step") if note["worker"] == "main"] == ["header", "node"]
