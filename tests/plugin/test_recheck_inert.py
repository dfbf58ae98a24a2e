"""What is run again is inert: nobody hears of it, and it changes nothing."""

from __future__ import annotations

import json
import signal
import sqlite3
from collections import Counter
from contextlib import closing
from typing import Any

import pytest
from hypothesis.database import DirectoryBasedExampleDatabase

from pytest_procpar.compat.pytest_private.command_line import inert_arguments
from tests.conftest import Suite
from tests.plugin.rechecking import POLLUTED, rechecked, section, told

pytestmark = pytest.mark.pytest_dependent

#: They tell what they hear: an editor's plugin, and a conftest that asks whether it is in a worker.
EDITOR = """
    import pytest
    from recorder import note
    def pytest_report_teststatus(report):
        note("editor", what="status", nodeid=report.nodeid, when=report.when, outcome=report.outcome)
    def pytest_exception_interact(node):
        note("editor", what="failure", nodeid=node.nodeid)
    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(item):
        note("editor", what="begins", nodeid=item.nodeid)
        return (yield)
    def pytest_sessionfinish():
        note("editor", what="end")
"""
CONFTEST = """
    import os
    from recorder import note

    def act(config, what):
        if not hasattr(config, "workerinput"):
            note("outside", what=what)

    def pytest_configure(config): act(config, "configure")
    def pytest_sessionstart(session): act(session.config, "start")
    def pytest_sessionfinish(session): act(session.config, "finish")
    def pytest_unconfigure(config): act(config, "unconfigure")
    def pytest_configure_node(node): note("outside", what="node")
    def pytest_testnodedown(node): note("outside", what="down")

    def pytest_runtest_logreport(report):
        note("heard", nodeid=report.nodeid, when=report.when, outcome=report.outcome)
    def pytest_warning_recorded(nodeid, when):
        if when == "runtest":
            note("heard", nodeid=nodeid, when="warning")
    def pytest_terminal_summary(config):
        act(config, "summary")

    note("imported", worker_then=os.environ.get("PYTEST_XDIST_WORKER"))
"""
#: A victim, and a test that dies in company.
SUITE = """
    import os, warnings
    from recorder import note
    STATE = []
    def seen(config):
        input = getattr(config, "workerinput", {})
        note("ran", test=input.get("workerid"), count=config.option.numprocesses, key=repr(input.get("key")))
    def test_polluter(): STATE.append(1)
    def test_victim(pytestconfig):
        seen(pytestconfig)
        warnings.warn("careful")
        assert not STATE
    def test_crasher(pytestconfig):
        seen(pytestconfig)
        if STATE:
            os.abort()
"""


def heard(suite: Suite, kinds: tuple[str, ...]) -> Counter[str]:
    """What was noted of these kinds in the latest run, whoever heard it."""
    found: Counter[str] = Counter()
    for record in suite.records():
        if record["kind"] in kinds:
            facts = {name: value for name, value in record.items() if name not in ("pid", "worker")}
            found[json.dumps(facts, sort_keys=True)] += 1
    return found


@pytest.mark.parametrize("method", ["fork", "fork-early", "spawn"])
def test_nobody_hears_of_it(suite: Suite, method: str) -> None:
    suite.file("vscode_pytest.py", EDITOR)
    suite.conftest(CONFTEST)
    suite.file("more.py", "def pytest_configure_node(node): node.workerinput['key'] = (1, b'x')")
    suite.tests(SUITE)
    args = ("-n1", f"--start-method={method}", "-p", "vscode_pytest", "-p", "more", "--max-worker-restart=9")
    suite.run("--recheck=none", *args)
    kinds = ("editor", "outside", "heard")
    before = heard(suite, kinds)
    assert {"editor", "outside", "heard"} <= {json.loads(fact)["kind"] for fact in before}
    finished, findings = rechecked(suite, "--recheck-budget=200", *args)
    assert heard(suite, kinds) == before
    assert told(findings) == {
        "test_victim": ("victim", ["test_polluter"]),
        "test_crasher": ("contaminated-crash", ["test_polluter"]),
    }
    # What ran in a fresh process did so as one of the workers: it has imported the conftest as such.
    fresh = {record["pid"] for record in finished.notes("imported") if record["worker_then"]}
    runs = [record for record in finished.notes("ran") if record["pid"] in fresh]
    assert len(runs) >= 4
    assert {(run["test"], run["count"], run["key"]) for run in runs} == {("gw0", None, "(1, b'x')")}
    assert not any("vscode" in line for line in section(finished))


#: A project of which everything is written to: by plugins, by tests, and by pytest.
WRITING = """
    import os, pathlib, sqlite3
    import pytest
    HERE = pathlib.Path(__file__).parent

    @pytest.fixture(autouse=True)
    def history(request):
        (HERE / "history.txt").open("a").write(f"{request.node.name}\\n")
        yield
        database = sqlite3.connect(HERE / "history.db")
        with database:
            database.execute("insert into t values (?)", [request.node.name])
        database.close()

    def pytest_sessionfinish(session):
        with (HERE / "sessions.txt").open("a") as file:
            file.write("a session\\n")
        if session.testscollected < 4:
            source = (HERE / "test_it.py").read_text()
            (HERE / "test_it.py.new").write_text(source.replace("not STATE", "STATE"))
            os.replace(HERE / "test_it.py.new", HERE / "test_it.py")
            (HERE / "reports").mkdir()
            (HERE / "reports" / f"{os.getpid()}.xml").touch()
"""
DYING = """
    import logging, os, pathlib
    from hypothesis import given, settings, strategies
    from hypothesis.database import DirectoryBasedExampleDatabase
    HERE = pathlib.Path(__file__).parent
    #: Outside of the project, where nothing is put back.
    EXAMPLES = DirectoryBasedExampleDatabase(HERE.with_name(f"{HERE.name}-examples"))
    STATE = []
    def test_before(): logging.warning("before")
    def test_polluter():
        STATE.append(1)
        EXAMPLES.save(b"pids", str(os.getpid()).encode())
    @settings(deadline=None, derandomize=False, database=EXAMPLES)
    @given(strategies.integers())
    def test_victim(number):
        logging.warning("victim")
        assert not STATE
    def test_crasher():
        open("crashes.txt", "a").write("once more\\n")
        if STATE:
            os.abort()
"""


def files(suite: Suite) -> dict[str, Any]:
    """What is in the project, but for what every run writes anew."""
    found: dict[str, Any] = {}
    for path in sorted(suite.path.rglob("*")):
        name = str(path.relative_to(suite.path))
        spared = name.startswith(("basetemp", ".pytest_cache", "report.json", ".hypothesis/tmp"))
        if path.is_file() and not spared and "__pycache__" not in name:
            found[name] = path.read_bytes()
    return found


def test_nothing_is_changed_by_it(suite: Suite) -> None:
    database = sqlite3.connect(suite.path / "history.db")
    database.execute("create table t (name text)")
    database.close()
    (suite.path / "history.txt").touch()
    suite.conftest(WRITING)
    suite.tests(DYING)
    suite.file(
        "pytest.ini", "[pytest]\nlog_file = log.txt\nlog_file_format = %(message)s\nlog_file_level = 20"
    )
    suite.conftest(WRITING + "    def pytest_procpar_findings():\n        (HERE / 'findings').touch()\n")
    _, findings = rechecked(suite, "-n1", "--recheck-budget=200")
    assert told(findings)["test_victim"] == ("victim", ["test_polluter"])
    assert told(findings)["test_crasher"] == ("contaminated-crash", ["test_polluter"])
    after = files(suite)
    assert b"assert not STATE" in after["test_it.py"]
    assert after["history.txt"].decode().split() == [
        "test_before",
        "test_polluter",
        "test_victim",
        "test_crasher",
    ]
    assert after["crashes.txt"] == b"once more\n"
    assert b"victim" in after["log.txt"]
    assert not any(name.startswith("reports") for name in after)
    with closing(sqlite3.connect(suite.path / "history.db")) as database:
        rows = database.execute("select name from t").fetchall()
    assert [name for (name,) in rows] == ["test_before", "test_polluter", "test_victim"]
    examples = DirectoryBasedExampleDatabase(suite.path.with_name(f"{suite.path.name}-examples"))
    assert len(list(examples.fetch(b"pids"))) == 1


def test_what_an_interpreter_writes_before_it_knows_what_it_is_does_not_last(suite: Suite) -> None:
    suite.conftest("""
        import pathlib
        pathlib.Path(__file__).with_name("imports.txt").open("a").write("imported\\n")
    """)
    suite.tests(POLLUTED)
    _, findings = rechecked(suite, "-n1", "--start-method=spawn", "--recheck-budget=200")
    assert told(findings)
    assert (suite.path / "imports.txt").read_text().split() == ["imported"] * 2  # the controller, a worker


def test_a_run_that_is_killed_meanwhile_leaves_files_as_they_were(suite: Suite) -> None:
    suite.make_barrier()
    suite.file("data.txt", "before")
    suite.tests("""
        import sys
        from recorder import block, reached
        def test_fails():
            if any("::" in word for word in sys.argv):  # in a fresh process
                open("data.txt", "w").write("again")
                reached()
                block()
            assert False
    """)
    running = suite.start("-n1", "--recheck=failed", "--recheck-budget=200")
    suite.await_reached()
    running.signal(signal.SIGKILL)
    running.finish()
    assert not suite.await_gone()
    assert (suite.path / "data.txt").read_text() == "before\n"


# --- whatever the configuration ---------------------------------------------------------------------


def test_a_fresh_process_says_why_it_runs_no_test(suite: Suite) -> None:
    suite.conftest("""
        import pytest
        def pytest_configure(config):
            if any("::" in word for word in config.args):
                raise pytest.UsageError("no single tests, please")
    """)
    suite.tests(POLLUTED)
    finished, findings = rechecked(suite, "-n1", "--recheck-budget=200")
    (line,) = [line for line in section(finished) if line.startswith("not settled")]
    assert line.endswith("in a fresh process: it ended with exit status 4: ERROR: no single tests, please")
    assert [tried["reason"] for tried in findings[0]["commands"]] == [line.split("fresh process: ")[1]] * 2
    assert finished.ret == 1


def test_a_fresh_process_says_what_it_cannot_collect(suite: Suite) -> None:
    suite.tests("""
        import sys
        if any("::" in word for word in sys.argv):
            raise RuntimeError("all or nothing")
        STATE = []
        def test_polluter(): STATE.append(1)
        def test_victim(): assert not STATE
    """)
    finished, _ = rechecked(suite, "-n1", "--recheck-budget=200")
    (line,) = [line for line in section(finished) if line.startswith("not settled")]
    assert line.endswith("in a fresh process: test_it.py cannot be collected: RuntimeError: all or nothing")


@pytest.mark.parametrize(
    "config",
    [
        "strict = true\nconsole_output_style = classic",
        "addopts = -p no:logging -p no:junitxml -p no:tmpdir -p no:terminalreporter -p no:faulthandler",
        "log_file = log.txt\njunit_family = xunit1\naddopts = --junitxml=j.xml --pastebin=all -x --debug",
        "addopts = --basetemp=given --cache-clear --log-file=log.txt",
    ],
)
def test_a_fresh_process_begins_under_every_configuration(
    suite: Suite, monkeypatch: pytest.MonkeyPatch, config: str
) -> None:
    monkeypatch.setenv("TMPDIR", str(suite.path))  # where a command's file stays if there is no cache
    suite.give_basetemp = "basetemp" not in config and "tmpdir" not in config
    suite.file("pytest.ini", f"[pytest]\n{config}")
    suite.tests(POLLUTED)
    uncached = ["-p", "no:cacheprovider"] if "strict" in config else []
    _, findings = rechecked(suite, "-n1", "--recheck-budget=200", "--maxfail=0", *uncached)
    assert told(findings) == {"test_victim": ("victim", ["test_polluter"])}
    assert [tried["outcome"] for tried in findings[0]["commands"]] == ["failed", "passed"]


# --- arguments --------------------------------------------------------------------------------------


def test_what_writes_or_has_workers_is_left_out_of_the_arguments() -> None:
    class Action:
        def __init__(self, dest: str, nargs: object = None) -> None:
            self.dest, self.nargs = dest, nargs

    actions = {
        "-n": Action("numprocesses"), "--tx": Action("tx"), "-q": Action("verbose", 0),
        "-s": Action("capture", 0), "--cov": Action("cov_source", "?"), "--metadata": Action("metadata", 2),
        "-k": Action("keyword"), "--allure-features": Action("features", "*"),
        "--junitxml": Action("xmlpath"), "-p": Action("plugins"),
    }  # fmt: skip
    args = [
        "-n", "2", "-qs", "-n4", "--tx=popen", "--cov", "--cov=lib", "--metadata", "a", "b", "-k", "x or y",
        "--allure-features", "a", "b", "--unknown", "value", "--junitxml", "j.xml", "a.py::b", "--", "-n",
    ]  # fmt: skip
    kept = ["-q", "-s", "-k", "x or y", "--unknown", "value", "a.py::b", "--", "-n"]
    assert inert_arguments(args, actions) == kept


def test_no_traceback_is_written_of_what_is_run_again(suite: Suite) -> None:
    suite.tests("""
        import pytest
        from recorder import note
        class Shown:
            def __repr__(self):
                note("shown")
                return "Shown()"
        def test(shown): note("ran"); assert 1 + 1 == 3
        @pytest.fixture
        def shown(): return Shown()
    """)
    finished, (finding,) = rechecked(suite, "-n2")
    assert finding["kind"] == "plain"
    assert len(finished.notes("ran")) > 2
    assert {note["pid"] for note in finished.notes("shown")} == {finished.notes("ran")[0]["pid"]}


def test_a_fresh_process_that_starts_early_imports_nothing_before_the_probes_have_ended(suite: Suite) -> None:
    suite.file("pytest.ini", "[pytest]\naddopts = --strict-markers\n")
    suite.conftest("""
        import os, sys
        from recorder import note
        note("imported", argv=sys.argv[1:])
        def pytest_configure(config):
            note("configured", args=list(config.invocation_params.args), tests=config.args)
    """)
    suite.tests("""
        from recorder import note
        STATE = []
        def test_polluter(): STATE.append(1)
        def test_victim(): note("ran"); assert not STATE
        def test_bug(): note("ran"); assert 1 + 1 == 3
        def test_other_bug(): note("ran"); assert 1 + 1 == 4
    """)
    finished = suite.run("-n1", "--recheck=failed", "-p", "no:randomly")
    kinds = [(record["kind"], record["pid"]) for record in finished.records]
    fresh = [pid for kind, pid in kinds if kind == "imported"][1:]
    first = kinds.index(("imported", fresh[0]))
    probes = {pid for kind, pid in kinds[:first] if kind == "ran"}
    assert len(probes) > 2
    assert not probes.intersection(pid for kind, pid in kinds[first:] if kind == "ran")
    for pid in fresh:
        (imported,) = [record for record in finished.notes("imported") if record["pid"] == pid]
        (configured,) = [record for record in finished.notes("configured") if record["pid"] == pid]
        assert configured["args"] == imported["argv"]
        assert configured["tests"] == [word for word in configured["args"] if "::" in word]
