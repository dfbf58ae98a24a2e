"""With pytest-xdist installed, loaded or not: who runs the tests, and what is said of it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable

import pytest

from tests.conftest import Finished, Suite

pytest_plugins = ["tests.xdist_env"]

OURS = "procpar: runs the tests of -n in place of pytest-xdist 3.*; -p no:* gives them back"

#: Notes in the controller who is in charge, and in every test where it runs.
CONFTEST = """
    import pytest
    from recorder import note

    def pytest_sessionfinish(session):
        config = session.config
        if not hasattr(config, "workerinput"):
            manager = config.pluginmanager
            note(
                "charge",
                who=type(manager.getplugin("dsession")).__module__.split(".")[0],
                name=manager.hasplugin("xdist"),
                dist=config.option.dist,
            )

    @pytest.fixture(autouse=True)
    def noted(worker_id):
        note("ran", test=worker_id)
"""

#: The ways of having both loaded, as arguments of `install_xdist` and of pytest.
BOTH = {
    "autoload, xdist first": ({"first": "xdist", "autoload": True}, []),
    "autoload, procpar first": ({"first": "procpar", "autoload": True}, []),
    "-p xdist -p procpar": ({}, ["-p", "xdist", "-p", "procpar"]),
    "-p procpar -p xdist": ({}, ["-p", "procpar", "-p", "xdist"]),
    "modules, xdist first": ({}, ["-p", "xdist.plugin", "-p", "pytest_procpar.plugin"]),
    "modules, procpar first": ({}, ["-p", "pytest_procpar.plugin", "-p", "xdist.plugin"]),
}


def in_charge(finished: Finished) -> str:
    """Whose the controller's session was."""
    (charge,) = finished.notes("charge")
    return str(charge["who"])


def headline(finished: Finished) -> list[str]:
    """What the header says of us."""
    return [line for line in finished.stdout.lines if line.startswith("procpar: ")]


def write(suite: Suite) -> None:
    suite.conftest(CONFTEST)
    suite.tests("""
        import pytest

        @pytest.mark.parametrize("i", range(6))
        def test(i):
            pass
    """)


@pytest.mark.parametrize("way", BOTH)
def test_the_tests_of_n_are_ours(suite: Suite, install_xdist: Callable[..., None], way: str) -> None:
    options, args = BOTH[way]
    install_xdist(**options)
    write(suite)
    finished = suite.run(*args, "-n2")
    finished.assert_summary(passed=6)
    assert in_charge(finished) == "pytest_procpar"
    finished.stdout.fnmatch_lines([OURS])
    assert len(headline(finished)) == 1
    assert set(finished.ran) <= {"gw0", "gw1"}
    assert finished.facts("charge", "dist") == ["load"]
    assert finished.facts("charge", "name") == ["modules" not in way]  # as under pytest-xdist alone


def test_the_way_back_that_the_header_names_is_one(suite: Suite, install_xdist: Callable[..., None]) -> None:
    install_xdist()
    write(suite)
    for plugin in ("procpar", "pytest_procpar.plugin"):
        (line,) = headline(suite.run("-p", "xdist", "-p", plugin, "-n2"))
        assert f"; -p no:{plugin} gives" in line


@pytest.mark.parametrize("first", ["xdist", "procpar"])
def test_without_us_the_tests_are_xdists(
    suite: Suite, install_xdist: Callable[..., None], monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    install_xdist(first=first, autoload=True)
    monkeypatch.delenv("PYTEST_ADDOPTS")  # it sets an option of ours
    write(suite)
    finished = suite.run("-p", "no:procpar", "-n2")
    finished.assert_summary(passed=6)
    assert in_charge(finished) == "xdist"
    assert not headline(finished)


@pytest.mark.parametrize("first", ["xdist", "procpar"])
@pytest.mark.parametrize("blocked", [True, False], ids=["blocked", "not loaded"])
def test_without_xdist_the_options_are_ours(
    suite: Suite, install_xdist: Callable[..., None], first: str, blocked: bool
) -> None:
    install_xdist(first=first, autoload=blocked)
    write(suite)
    finished = suite.run(*(["-p", "no:xdist"] if blocked else ["-p", "procpar"]), "-n2")
    finished.assert_summary(passed=6)
    assert in_charge(finished) == "pytest_procpar"
    assert not headline(finished)
    assert finished.facts("charge", "name") == [not blocked]


def test_a_conftest_may_ask_for_what_is_there_already(
    suite: Suite, install_xdist: Callable[..., None]
) -> None:
    install_xdist()
    write(suite)
    suite.conftest('    pytest_plugins = ["xdist", "xdist.plugin"]\n' + CONFTEST)
    finished = suite.run("-p", "procpar", "-n2")
    finished.assert_summary(passed=6)
    assert in_charge(finished) == "pytest_procpar"


def test_without_n_nothing_is_distributed_and_nothing_said(
    suite: Suite, install_xdist: Callable[..., None]
) -> None:
    install_xdist()
    write(suite)
    for args in ([], ["-n0"], ["-n0", "--dist=load", "--tx=popen"]):
        finished = suite.run("-p", "procpar", "-p", "xdist", *args)
        finished.assert_summary(passed=6)
        assert set(finished.ran) == {"master"}
        assert not headline(finished)


@pytest.mark.parametrize("way", ["autoload, procpar first", "-p procpar"])
def test_addopts_and_what_only_shows_something(
    suite: Suite, install_xdist: Callable[..., None], way: str
) -> None:
    options, args = BOTH.get(way, ({}, ["-p", "procpar"]))
    install_xdist(**options)
    write(suite)
    suite.file("pytest.ini", "[pytest]\naddopts = -n 2\n")
    for what, shown in {
        # As argparse writes it: since Python 3.13 without the value behind the short name.
        "--help": "*-n, --numprocesses *" if sys.version_info >= (3, 13) else "*-n *--numprocesses*",
        "--version": "*",
        "--fixtures": "worker_id *",
        "--markers": "@pytest.mark.xdist_group*",
        "--collect-only": "*6 tests collected*",
    }.items():
        finished = suite.run(*args, what)
        assert (what, finished.ret) == (what, 0)
        finished_lines = pytest.LineMatcher((finished.out + finished.err).splitlines())
        finished_lines.fnmatch_lines([shown])
    finished = suite.run(*args)
    finished.assert_summary(passed=6)
    assert set(finished.ran) <= {"gw0", "gw1"}


def test_each_marker_and_fixture_is_listed_once(suite: Suite, install_xdist: Callable[..., None]) -> None:
    install_xdist()
    marks = suite.run("-p", "procpar", "-p", "xdist", "--markers").out
    assert marks.count("@pytest.mark.xdist_group") == 1


@pytest.mark.parametrize("way", ["-p xdist -p procpar", "-p procpar -p xdist"])
def test_auto_is_what_a_plugin_says_and_else_what_we_count(
    suite: Suite, install_xdist: Callable[..., None], way: str
) -> None:
    options, args = BOTH[way]
    install_xdist(**options)
    write(suite)
    suite.conftest(
        CONFTEST
        + """
    def pytest_xdist_auto_num_workers(config):
        note("asked", option=config.option.numprocesses)
        return 3

    def pytest_xdist_setupnodes(config, specs):
        note("nodes", count=len(specs))
    """
    )
    finished = suite.run(*args, "-nauto")
    assert finished.facts("asked", "option") == ["auto"]
    assert finished.facts("nodes", "count") == [3]


@pytest.mark.parametrize("way", ["-p xdist -p procpar", "-p procpar -p xdist"])
def test_auto_is_not_what_xdist_counts(suite: Suite, install_xdist: Callable[..., None], way: str) -> None:
    options, args = BOTH[way]
    install_xdist(**options)
    write(suite)
    suite.file(
        "asked.py",
        """
        import xdist.plugin

        def count(config):
            raise AssertionError("pytest-xdist was asked, which knows no quota")

        xdist.plugin.pytest_xdist_auto_num_workers = count
    """,
    )
    finished = suite.run("-p", "asked", *args, "-nauto")
    assert finished.summary["passed"] == 6
    assert in_charge(finished) == "pytest_procpar"


# --- what is left to pytest-xdist -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("way", "args", "what"),
    [
        ("-p xdist -p procpar", ["-n2", "--px=id=proxy//popen"], "--px"),
        ("-p procpar -p xdist", ["-n2", "--rsyncdir=."], "--rsyncdir"),
        ("autoload, procpar first", ["-d", f"--tx=2*popen//python={sys.executable}"], "--tx=2*popen//*"),
    ],
    ids=["px", "rsyncdir", "tx"],
)
def test_what_only_xdist_can_do_it_does(
    suite: Suite, install_xdist: Callable[..., None], way: str, args: list[str], what: str
) -> None:
    options, loading = BOTH[way]
    install_xdist(**options)
    write(suite)
    finished = suite.run(*loading, *args, "-Wignore")
    finished.assert_summary(passed=6)
    assert in_charge(finished) == "xdist"
    finished.stdout.fnmatch_lines([f"procpar: leaves this run to pytest-xdist 3.*, which alone has {what}"])
    assert len(headline(finished)) == 1
    assert set(finished.ran) <= {"gw0", "gw1"}


def test_n_goes_before_a_remote_worker(suite: Suite, install_xdist: Callable[..., None]) -> None:
    install_xdist()
    write(suite)
    finished = suite.run("-p", "xdist", "-p", "procpar", "-n2", "--tx=ssh=nowhere")
    finished.assert_summary(passed=6)
    assert in_charge(finished) == "pytest_procpar"


def test_a_version_that_nobody_knows_runs_its_tests_itself(
    suite: Suite, install_xdist: Callable[..., None]
) -> None:
    install_xdist()
    write(suite)
    suite.file("newer.py", 'import xdist\nxdist.__version__ = "4.0.0"\n')
    finished = suite.run("-p", "newer", "-p", "procpar", "-p", "xdist", "-n2")
    assert finished.summary["passed"] == 6
    assert in_charge(finished) == "xdist"
    finished.stdout.fnmatch_lines(
        ["procpar: leaves this run to pytest-xdist 4.0.0, which alone has *version*"]
    )


def test_looping_is_xdists(suite: Suite, install_xdist: Callable[..., None]) -> None:
    install_xdist(autoload=True)  # what it starts gets no -p
    suite.tests("def test(): assert 0\n")
    running = suite.start("-f", "-n2", "-Wignore", process_group=0)
    running.await_line("waiting for changes")
    running.signal(signal.SIGINT)
    finished = running.finish()
    assert finished.ret == 2
    finished.stdout.fnmatch_lines(["procpar: leaves this run to *--looponfail", "*1 failed*"])


@pytest.mark.parametrize("option", ["--isolate", "--max-tests-per-worker=2", "--hang-timeout=9", "--leaks"])
def test_what_needs_workers_of_ours_cannot_be_had_then(
    suite: Suite, install_xdist: Callable[..., None], option: str
) -> None:
    install_xdist()
    write(suite)
    finished = suite.run("-p", "xdist", "-p", "procpar", "-n2", "--px=id=proxy//popen", option)
    assert finished.ret == pytest.ExitCode.USAGE_ERROR
    name = option.split("=")[0]
    assert f"{name}: this run is left to pytest-xdist, which alone has --px" in finished.err


# --- what plugins and conftests import ------------------------------------------------------------


def test_what_is_imported_from_xdist_works_in_our_workers(
    suite: Suite, install_xdist: Callable[..., None]
) -> None:
    install_xdist()
    suite.file("pytest.ini", "[pytest]\nrequired_plugins = pytest-xdist>=3\n")
    suite.conftest("""
        import xdist
        from xdist.newhooks import pytest_handlecrashitem
        from xdist.scheduler import LoadScopeScheduling
        from xdist.workermanage import WorkerController
        from recorder import note

        def pytest_sessionstart(session):
            controller, worker = xdist.is_xdist_controller(session), xdist.is_xdist_worker(session)
            note("role", controller=controller, worker=worker, id=xdist.get_xdist_worker_id(session))
    """)
    suite.tests("""
        import pytest
        import xdist
        from xdist import get_xdist_worker_id, is_xdist_controller, is_xdist_worker

        @pytest.mark.parametrize("i", range(4))
        def test(i, request, worker_id, testrun_uid):
            assert is_xdist_worker(request) and not is_xdist_controller(request)
            assert get_xdist_worker_id(request) == worker_id == request.config.workerinput["workerid"]
            assert testrun_uid == request.config.workerinput["testrunuid"]
            assert request.config.pluginmanager.hasplugin("xdist")
            assert request.config.pluginmanager.getplugin("xdist").__name__ == "xdist.plugin"
    """)
    finished = suite.run("-p", "procpar", "-p", "xdist", "-n2", "--start-method=fork")
    finished.assert_summary(passed=4)
    roles = [(note["controller"], note["worker"], note["id"]) for note in finished.notes("role")]
    assert sorted(roles) == [(False, True, "gw0"), (True, False, "master")]


# --- without it -----------------------------------------------------------------------------------

FRAIL = """
    def pytest_configure(config):
        if config.pluginmanager.hasplugin("xdist"):
            config.pluginmanager.register(Prepare())
        if hasattr(config, "workerinput"):
            assert config.workerinput["seed"] == 1

    class Prepare:
        def pytest_configure_node(self, node):
            node.workerinput["seed"] = 1
"""


@pytest.mark.parametrize("name", ["randomly", "random_order", "mypy", "pytest_mpl", "pytest-retry"])
def test_plugins_that_go_by_the_name_xdist(suite: Suite, name: str) -> None:
    suite.trivial(4)
    options = (
        ""
        if name != "pytest_mpl"
        else """
    def pytest_addoption(parser):
        for option in ("--mpl", "--mpl-generate-path", "--mpl-generate-hash-library"):
            parser.addoption(option, action="store_true")
    """
    )
    suite.file("frail.py", FRAIL + options)
    suite.file(
        "register.py",
        f"""
        import frail

        def pytest_addoption(parser, pluginmanager):
            pluginmanager.register(frail, {name!r})
    """,
    )
    args = ["-p", "register", "-n2", *(["--mpl"] if name == "pytest_mpl" else [])]
    suite.run(*args).assert_summary(passed=4)
    finished = suite.run(*args, "-p", "no:xdist")
    assert finished.ret == pytest.ExitCode.USAGE_ERROR
    assert f"-p no:xdist: the plugin {name} would fail in every worker" in finished.err
    assert suite.run(*args, "-p", "no:xdist", "-n0").ret == 0


def test_a_frail_plugin_whose_option_is_not_given_does_no_harm(suite: Suite) -> None:
    suite.trivial(4)
    suite.file(
        "register.py",
        """
        class Mpl:
            pass

        def pytest_addoption(parser, pluginmanager):
            for option in ("--mpl", "--mpl-generate-path", "--mpl-generate-hash-library"):
                parser.addoption(option, action="store_true")
            pluginmanager.register(Mpl(), "pytest_mpl")
    """,
    )
    suite.run("-p", "register", "-n2", "-p", "no:xdist").assert_summary(passed=4)


def test_the_controllers_session_can_be_looked_at(suite: Suite) -> None:
    suite.trivial(4)
    suite.conftest("""
        import queue
        import pytest
        from recorder import note

        def look(config, when):
            session = config.pluginmanager.getplugin("dsession")
            if session is None:
                return
            sched, manager = session.sched, session.nodemanager
            with pytest.raises(queue.Empty):
                session.queue.get_nowait()
            assert manager.config is config and sched.config is config
            note(
                "seen", when=when, uid=manager.testrunuid, roots=manager.roots,
                specs=list(map(str, manager.specs)),
                nodes=[node.gateway.id for node in sched.nodes], collection=sched.collection,
                flags=[sched.collection_is_completed, sched.has_pending, sched.tests_finished],
            )

        def pytest_configure(config):
            config.add_cleanup(lambda: look(config, "unconfigure"))

        def pytest_runtest_logreport(report):
            if report.when == "call" and hasattr(report, "node"):
                look(report.node.config, "report")

        def pytest_sessionfinish(session):
            look(session.config, "finish")
    """)
    finished = suite.run("-n2", "--testrunuid=u")
    finished.assert_summary(passed=4)
    during, finish = finished.notes("seen")[0], finished.notes("seen")[4]
    assert (during["uid"], during["roots"], during["specs"]) == ("u", [], ["popen", "popen"])
    assert during["nodes"] == ["gw0", "gw1"]
    assert during["collection"] == [f"test_it.py::test[{i}]" for i in range(4)]
    assert during["flags"] == [True, True, False]
    assert (finish["nodes"], finish["flags"]) == ([], [True, False, True])
