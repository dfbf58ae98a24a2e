"""The log file and the live log: what workers log arrives whole, once, and where it belongs."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from tests.conftest import Finished, Suite

pytestmark = pytest.mark.pytest_dependent

CONFTEST = """
    import logging
    import pytest

    log = logging.getLogger("of.conftest")

    @pytest.fixture(scope="session", autouse=True)
    def whole():
        yield

    @pytest.fixture
    def talks(request):
        log.info("%s 0 setup", request.node.name)
        yield
        log.info("%s 9 teardown", request.node.name)
"""
SUITE = """
    import logging
    import pytest

    log = logging.getLogger("of.test")
    log.warning("imported %s", __name__)

    @pytest.mark.parametrize("i", range(8))
    def test_talks(i, talks, request):
        name = request.node.name
        log.debug("%s 1 debug", name)
        log.warning("%s 2 long %s", name, "x" * 30_000)
        log.error("%s 3\\n%s 4 second line", name, name)
        try:
            1 / 0
        except ZeroDivisionError:
            log.exception("%s 5", name, extra={"colour": object()})
        log.info("%s 6 umlaut ü", name)

    def test_fails(talks):
        log.critical("test_fails 2")
        assert 0
"""
#: A word, and everything after it that is not another one.
_ADDRESS = re.compile(r"0x[0-9a-f]+|\d+\.\d+")


@pytest.fixture
def talkative(suite: Suite) -> Suite:
    """A suite whose tests log on all levels, long lines and several lines at once."""
    suite.conftest(CONFTEST)
    for name in "abc":
        suite.file(f"test_{name}.py", SUITE.replace("test_talks", f"test_{name}_talks"))
    return suite


def lines_of(text: str) -> Counter[str]:
    return Counter(_ADDRESS.sub("N", line) for line in text.splitlines())


def order(text: str, name: str) -> list[str]:
    """The numbers in the lines of one test, in their order."""
    return re.findall(rf"{re.escape(name)} (\d)", text)


def log_file(suite: Suite, *args: str) -> str:
    """Run, and read the log file."""
    path = suite.path / "some" / "run.log"
    suite.run(f"--log-file={path}", *args)
    return path.read_text(encoding="utf-8")


WAYS = [
    ["-n2"],
    ["-n1"],
    ["-n2", "--isolate"],
    ["-n3", "--dist=loadfile"],
    ["-n2", "--max-tests-per-worker=4"],
]


# --- the log file -----------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_log_file_has_the_lines_of_a_plain_run(talkative: Suite, way: list[str]) -> None:
    plain = log_file(talkative, "--log-file-level=DEBUG")
    found = log_file(talkative, "--log-file-level=DEBUG", *way)
    assert lines_of(found) == lines_of(plain)
    for name in [f"test_{m}_talks[{i}]" for m in "abc" for i in range(8)]:
        assert order(found, name) == ["0", "1", "2", "3", "4", "5", "6", "9"]


@pytest.mark.parametrize(
    "options",
    [
        ["--log-file-level=ERROR"],
        ["--log-level=INFO"],
        ["--log-file-level=INFO", "--log-file-format=%(levelname)s|%(name)s|%(message)s"],
        ["--log-file-level=INFO", "--log-format=%(message)s|%(colour)s"],
        [],
    ],
)
def test_log_file_goes_by_levels_and_formats(talkative: Suite, options: list[str]) -> None:
    assert lines_of(log_file(talkative, *options, "-n2")) == lines_of(log_file(talkative, *options))


@pytest.mark.parametrize("given", [["-olog_file_mode=a"], ["--log-file-mode=a"]])
def test_log_file_is_appended_to_if_that_is_wanted(suite: Suite, given: list[str]) -> None:
    suite.tests("import logging\ndef test(): logging.warning('here')")
    (suite.path / "some").mkdir()
    path = suite.path / "some" / "run.log"
    path.write_text("before\n")
    text = log_file(suite, "-n1", *given)
    assert text.startswith("before\n")
    assert text.count("here") == 1
    assert "before" not in log_file(suite, "-n1")


def test_what_the_controller_logs_is_in_the_file_too(suite: Suite) -> None:
    suite.conftest("""
        import logging
        import pytest

        log = logging.getLogger("controller")

        @pytest.hookimpl(optionalhook=True)
        def pytest_configure_node(node): log.warning("node %s", node.gateway.id)

        def pytest_runtest_logreport(report):
            if hasattr(report, "node"):
                log.warning("report %s %s", report.nodeid, report.when)

        def pytest_sessionfinish(session):
            log.warning("finish %s", hasattr(session.config, "workerinput"))
    """)
    suite.tests("""
        import logging
        import pytest

        logging.warning("imported")

        @pytest.mark.parametrize("i", range(30))
        def test(i):
            logging.warning("test %d %s", i, "y" * 3000)
    """)
    text = log_file(suite, "-n2")
    assert "\0" not in text
    counts = Counter(re.sub(r"\d+|y+|report .* ", "N", line).partition(":")[0] for line in text.splitlines())
    assert sum(counts.values()) == len(text.splitlines())
    messages = [re.sub(r" y+$", "", m) for m in re.findall(r"\.py:\d+ (.*)", text)]
    found = Counter(m if not m.startswith("report") else m.rpartition(" ")[2] for m in messages)
    expected = Counter({"node gw0": 1, "node gw1": 1, "imported": 1, "finish True": 2, "finish False": 1})
    expected.update({"setup": 30, "call": 30, "teardown": 30})
    expected.update(f"test {i}" for i in range(30))
    assert found == expected
    assert len(text.splitlines()) == sum(expected.values())


def test_log_file_has_what_a_test_logged_before_it_crashed(suite: Suite) -> None:
    suite.tests("""
        import logging, os, signal

        def test_crashes():
            logging.warning("last words")
            os.kill(os.getpid(), signal.SIGKILL)

        def test_passes():
            logging.warning("goes on")
    """)
    for way in (["-n1"], ["-n2", "--isolate"]):
        text = log_file(suite, *way)
        assert sorted(re.findall("last words|goes on", text)) == ["goes on", "last words"]


def test_a_log_file_for_each_test_is_emptied_first(suite: Suite) -> None:
    """The recipe of pytest's documentation, `set_log_path`."""
    suite.conftest("""
        import pytest

        @pytest.hookimpl(tryfirst=True)
        def pytest_runtest_setup(item):
            item.config.pluginmanager.getplugin("logging-plugin").set_log_path(f"logs/{item.name}.log")
    """)
    suite.tests("""
        import logging

        def test_a(): logging.warning("from a")
        def test_b(): logging.warning("from b")
    """)
    for _ in range(2):
        suite.run("-n2", "--log-level=INFO").assert_summary(passed=2)
        for name in "ab":
            assert (suite.path / "logs" / f"test_{name}.log").read_text().count(f"from {name}\n") == 1


def test_a_log_file_for_each_worker(suite: Suite) -> None:
    suite.conftest("""
        import logging
        import pytest

        @pytest.fixture(scope="session", autouse=True)
        def own_log(worker_id):
            handler = logging.FileHandler(f"{worker_id}.log", mode="w")
            logging.getLogger().addHandler(handler)
            yield
            logging.getLogger().removeHandler(handler)
            handler.close()
    """)
    suite.tests("""
        import logging
        import pytest

        @pytest.mark.parametrize("i", range(10))
        def test(i, worker_id):
            logging.warning("%s runs %d", worker_id, i)
    """)
    suite.run("-n2").assert_summary(passed=10)
    texts = {name: (suite.path / f"{name}.log").read_text() for name in ("gw0", "gw1")}
    for name, text in texts.items():
        assert set(re.findall(r"gw\d", text)) == {name}
    assert sorted(map(int, re.findall(r"runs (\d)", "".join(texts.values())))) == [*range(10)]


# --- the live log -----------------------------------------------------------------------------------


def live_lines(finished: Finished) -> list[str]:
    """The part of the output that a live log can be in."""
    lines = finished.stdout.lines
    end = next(i for i, line in enumerate(lines) if re.match(r"=+ (FAILURES|.* in )", line))
    return lines[:end]


def by_heading(lines: list[str]) -> dict[str, list[str]]:
    """The lines below each heading of the live log, but for those of pytest's reporter, by phase and test."""
    found: dict[str, list[str]] = {}
    current: list[str] | None = None
    for line in lines:
        heading = re.fullmatch(r"-+ live log (.*?) -+", line)
        if heading:
            current = found.setdefault(re.sub(r"\[gw\d+\] ", "", heading[1]), [])
        elif re.match(r"\[gw\d+\] |test_\w+\.py::|created:|\d+ workers? |scheduling|$", line):
            current = None
        elif current is not None:
            current.append(line)
    return found


@pytest.mark.parametrize(
    ("asked", "way"),
    [*[(["--log-cli-level=DEBUG"], way) for way in WAYS], (["-olog_cli=true", "--log-level=INFO"], ["-n2"])],
)
def test_live_log_has_the_lines_of_a_plain_run(talkative: Suite, asked: list[str], way: list[str]) -> None:
    plain = live_lines(talkative.run(*asked))
    found = live_lines(talkative.run(*asked, *way))
    record = re.compile(r"(DEBUG|INFO|WARNING|ERROR|CRITICAL) +of\.|ZeroDivisionError|Traceback|second line")
    ours, theirs = (Counter(filter(record.search, lines)) for lines in (found, plain))
    assert ours == theirs
    text = "\n".join(found)
    for name in [f"test_{m}_talks[{i}]" for m in "abc" for i in range(8)]:
        assert [n for n in order(text, name) if n != "1"] == ["0", "2", "3", "4", "5", "6", "9"]


def test_live_log_says_whose_it_is(talkative: Suite) -> None:
    found = by_heading(live_lines(talkative.run("--log-cli-level=DEBUG", "-n2")))
    for module in "abc":
        for i in range(8):
            name = f"test_{module}_talks[{i}]"
            (setup,) = found[f"setup: test_{module}.py::{name}"]
            assert setup.endswith(f"{name} 0 setup")
            call = "\n".join(found[f"call: test_{module}.py::{name}"])
            assert order(call, name) == ["1", "2", "3", "4", "5", "6"]
            (teardown,) = found[f"teardown: test_{module}.py::{name}"]
            assert teardown.endswith(f"{name} 9 teardown")
    imported = "\n".join(found["collection"])
    assert imported.count("imported test_") == 3


def test_live_log_leaves_the_reporters_lines_whole(talkative: Suite) -> None:
    finished = talkative.run("--log-cli-level=DEBUG", "-n2")
    finished.assert_summary(passed=24, failed=3)
    results = [line for line in finished.stdout.lines if re.search(r"%\] (PASSED|FAILED) ", line)]
    assert len(results) == 27
    assert all(re.fullmatch(r"\[gw\d\] \[ *\d+%\] \w+ test_[abc]\.py::\S+ *", line) for line in results)


def test_live_log_is_live(suite: Suite) -> None:
    suite.make_barrier()
    suite.tests("""
        import logging, threading
        from recorder import block, reached

        def test():
            logging.warning("it has begun")
            reached()
            block()
    """)
    running = suite.start("-n1", "--log-cli-level=INFO")
    suite.await_reached()
    running.await_line("it has begun")
    running.signal(2)
    running.finish()


@pytest.mark.parametrize("way", [["-n1"], ["-n2", "--isolate"]])
def test_live_log_of_other_threads_and_of_a_test_that_crashes(suite: Suite, way: list[str]) -> None:
    suite.tests("""
        import logging, os, signal, threading

        def test_threads():
            def work(n):
                for i in range(50):
                    logging.warning("thread %d line %d", n, i)
            threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
            for thread in threads: thread.start()
            for i in range(50):
                logging.warning("thread %d line %d", 3, i)
            for thread in threads: thread.join()

        def test_crashes():
            logging.warning("last words")
            os.kill(os.getpid(), signal.SIGKILL)
    """)
    finished = suite.run("--log-cli-level=INFO", *way)
    found = by_heading(live_lines(finished))
    lines = found["call: test_it.py::test_threads"]
    assert sorted(re.findall(r"thread \d line \d+$", line)[0] for line in lines) == sorted(
        f"thread {n} line {i}" for n in range(4) for i in range(50)
    )
    (words,) = found["call: test_it.py::test_crashes"]
    assert words.endswith("last words")


def test_live_log_of_marked_tests_in_a_plain_run(suite: Suite) -> None:
    suite.tests("""
        import logging
        import pytest

        def test_here():
            logging.warning("from here")

        @pytest.mark.isolated
        def test_elsewhere():
            logging.warning("from elsewhere")
    """)
    finished = suite.run("--log-cli-level=INFO")
    finished.assert_summary(passed=2)
    lines = live_lines(finished)
    assert [len([ln for ln in lines if ln.endswith(w)]) for w in ("from here", "from elsewhere")] == [1, 1]
    text = log_file(suite)
    assert [text.count(word) for word in ("from here", "from elsewhere")] == [1, 1]


def test_live_log_is_coloured_where_the_rest_is(suite: Suite) -> None:
    suite.tests("import logging\ndef test(): logging.error('a record')")
    runs = [suite.run("--log-cli-level=INFO", "--color=yes", *way) for way in (["-n1"], [])]
    ours, theirs = (next(line for line in run.stdout.lines if "a record" in line) for run in runs)
    codes = re.compile(r"\x1b\[\d+m")
    assert codes.sub("", ours) == codes.sub("", theirs)
    assert sorted(codes.findall(ours)) == sorted(codes.findall(theirs)) != []  # pytest 8 has them in a set


def test_what_cannot_be_formatted_fails_the_test_as_in_a_plain_run(suite: Suite) -> None:
    suite.tests("""
        import logging

        class Odd:
            def __str__(self): raise ValueError("no")

        def test_wrong(): logging.warning("%d", "no number")
        def test_odd_extra(): logging.warning("fine", extra={"odd": Odd()})
    """)
    for way in ([], ["-n2"]):
        suite.run("--log-cli-level=INFO", *way).assert_summary(passed=1, failed=1)


def test_without_the_options_nobody_listens(suite: Suite) -> None:
    suite.tests("""
        import logging

        def test(request):
            plugins = request.config.pluginmanager
            assert not plugins.hasplugin("procpar-live-log-attribution")
            assert type(plugins.getplugin("logging-plugin").log_cli_handler).__module__ == "_pytest.logging"
            assert not any("procpar" in type(h).__module__ for h in logging.getLogger().handlers)
    """)
    suite.run("-n1").assert_summary(passed=1)


@pytest.mark.parametrize("way", [["-n1"], ["-n1", "--isolate"]])
def test_live_log_of_a_thread_does_not_wait_for_the_main_thread_to_log(suite: Suite, way: list[str]) -> None:
    suite.tests("""
        import logging, threading

        def test():
            thread = threading.Thread(target=logging.warning, args=("from a thread",))
            thread.start()
            thread.join()
    """)
    found = by_heading(live_lines(suite.run("--log-cli-level=INFO", *way)))
    (line,) = found["call: test_it.py::test"]
    assert line.endswith("from a thread")
