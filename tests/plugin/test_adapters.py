"""What plugins hold that workers must not share.

The plugins here are fakes, with the attributes that the adapters use and what those do. The real ones are run
by ``python -m benchmarks.compatibility``.
"""

from __future__ import annotations

import pytest

from tests.conftest import Suite

# --- pytest-rerunfailures ---

#: As pytest-rerunfailures 16.7: a server in the controller, which answers each client on its connection.
RERUNFAILURES = """
    import secrets, socket, threading
    from contextlib import suppress

    HAS_PYTEST_HANDLECRASHITEM = False

    def works_with_current_xdist():
        return None

    class StatusDB:
        def _get(self, i, k):
            return 0

    class SocketDB(StatusDB):
        def __init__(self):
            self.sock = socket.socket()

        def _recv(self, conn):
            buf = b""
            while (b := conn.recv(1)) != b"\\n":
                if not b:
                    raise ConnectionError
                buf += b
            return buf.decode()

        def _send(self, conn, msg):
            conn.send(msg.encode() + b"\\n")

    class ServerStatusDB(SocketDB):
        def __init__(self):
            super().__init__()
            self.token = secrets.token_hex(8)
            self.sock.bind(("127.0.0.1", 0))
            self.sock.listen()
            self.sock_port = self.sock.getsockname()[1]
            threading.Thread(target=self.serve, daemon=True).start()

        def serve(self):
            while True:
                conn, _ = self.sock.accept()
                threading.Thread(target=self.answer, args=(conn,), daemon=True).start()

        def answer(self, conn):
            with conn, suppress(ConnectionError):
                assert self._recv(conn) == self.token
                while True:
                    self._send(conn, self._recv(conn))

    class ClientStatusDB(SocketDB):
        def __init__(self, port, token):
            super().__init__()
            self.sock.connect(("127.0.0.1", port))
            self._send(self.sock, token)

        def _get(self, i, k):
            self._send(self.sock, f"{i}|{k}")
            return self._recv(self.sock)

    class XDistHooks:
        def pytest_configure_node(self, node):
            node.workerinput["sock_port"] = node.config.failures_db.sock_port
            node.workerinput["statusdb_token"] = node.config.failures_db.token

    def pytest_configure(config):
        if not HAS_PYTEST_HANDLECRASHITEM:
            config.failures_db = StatusDB()
        elif hasattr(config, "workerinput"):
            given = config.workerinput
            config.failures_db = ClientStatusDB(given["sock_port"], given["statusdb_token"])
        else:
            config.pluginmanager.register(XDistHooks())
            config.failures_db = ServerStatusDB()
"""


def test_rerunfailures_answers_come_to_the_worker_that_has_asked(suite: Suite) -> None:
    suite.file("pytest_rerunfailures.py", RERUNFAILURES)
    suite.tests("""
        import pytest

        @pytest.mark.parametrize("i", range(200))
        def test(i, request):
            database = request.config.failures_db
            for k in range(20):
                assert database._get(str(i), str(k)) == f"{i}|{k}"
    """)
    run = suite.run("-p", "pytest_rerunfailures", "-n", "4")
    run.assert_summary(passed=200)
    assert "start method" not in run.out  # the socket is one that is seen to


def test_rerunfailures_is_told_that_no_report_is_lost_here(suite: Suite) -> None:
    suite.file("pytest_rerunfailures.py", RERUNFAILURES)
    suite.tests("""
        import pytest_rerunfailures

        def test_with_workers(request):
            assert pytest_rerunfailures.works_with_current_xdist()
            assert pytest_rerunfailures.HAS_PYTEST_HANDLECRASHITEM
            assert isinstance(request.config.failures_db, pytest_rerunfailures.ClientStatusDB)

        def test_without(request):
            assert pytest_rerunfailures.works_with_current_xdist() is None
            assert not pytest_rerunfailures.HAS_PYTEST_HANDLECRASHITEM
    """)
    suite.run("-p", "pytest_rerunfailures", "-n", "1", "-k", "with_workers").assert_summary(
        passed=1, deselected=1
    )
    suite.run("-p", "pytest_rerunfailures", "-k", "without").assert_summary(passed=1, deselected=1)


def test_a_recheck_does_not_ask_the_database_of_the_run(suite: Suite) -> None:
    suite.file("pytest_rerunfailures.py", RERUNFAILURES)
    suite.tests("""
        from recorder import note

        def test_fails(request):
            note("database", kind_of=type(request.config.failures_db).__name__)
            assert False
    """)
    run = suite.run("-p", "pytest_rerunfailures", "-n", "1", "-o", "procpar_recheck=failed")
    kinds = run.facts("database", "kind_of")
    assert kinds[0] == "ClientStatusDB"
    assert "StatusDB" in kinds[1:]
    assert kinds.count("ClientStatusDB") == 1


def test_the_real_rerunfailures_reports_all_tests_and_reruns(suite: Suite) -> None:
    pytest.importorskip("pytest_rerunfailures")
    suite.tests("""
        import os, pytest
        attempts = set()

        @pytest.mark.parametrize("i", range(300))
        def test(i):
            if i % 50 == 7 and i not in attempts:
                attempts.add(i)
                assert False

        def test_crashes_once(tmp_path_factory):
            mark = tmp_path_factory.getbasetemp().parent / "mark"
            if not mark.exists():
                mark.touch()
                os._exit(3)
    """)
    run = suite.run("-p", "pytest_rerunfailures", "-n", "4", "--reruns", "2")
    run.assert_summary(passed=301, rerun=7)


# --- pytest-retry ---

#: As pytest-retry 1.7: its server reads one connection to its end before it takes the next.
RETRY = """
    import socket, threading

    class OfflineReporter:
        def record_attempt(self, lines):
            pass

    class ReportServer:
        def __init__(self):
            self.text = ""
            self.sock = socket.socket()
            self.sock.bind(("localhost", 0))
            self.sock.listen()
            self.thread = threading.Thread(target=self.serve, daemon=True)
            self.thread.start()

        def serve(self):
            conn, _ = self.sock.accept()
            with conn:
                while chunk := conn.recv(4096):
                    self.text += chunk.decode()

    class ClientReporter:
        def __init__(self, port):
            self.sock = socket.create_connection(("localhost", port))

        def record_attempt(self, lines):
            self.sock.sendall("".join(lines).encode())

    class Manager:
        reporter = OfflineReporter()

    retry_manager = Manager()

    class XdistHook:
        def pytest_configure_node(self, node):
            node.workerinput["server_port"] = retry_manager.reporter.sock.getsockname()[1]

    def pytest_configure(config):
        if hasattr(config, "workerinput"):
            retry_manager.reporter = ClientReporter(config.workerinput["server_port"])
        elif config.getoption("numprocesses", False):
            config.pluginmanager.register(XdistHook())
            retry_manager.reporter = ReportServer()

    def pytest_terminal_summary(terminalreporter):
        if not hasattr(retry_manager.reporter, "thread"):
            return  # in a worker
        retry_manager.reporter.thread.join()
        for line in retry_manager.reporter.text.splitlines():
            assert len(set(line)) == 1, "torn"
            terminalreporter.write_line(f"attempt of {line[0]}: {len(line)}")
"""


def test_retry_attempts_come_whole_from_all_workers(suite: Suite) -> None:
    suite.file("pytest_retry/retry_plugin.py", RETRY)
    suite.tests("""
        import pytest
        from pytest_retry.retry_plugin import retry_manager

        @pytest.mark.parametrize("letter", "abcd")
        def test(letter):
            retry_manager.reporter.record_attempt([letter * 2_000_000, chr(10)])
    """)
    run = suite.run("-p", "pytest_retry.retry_plugin", "-n", "4")
    run.assert_summary(passed=4)
    run.stdout.fnmatch_lines_random([f"attempt of {letter}: 2000000" for letter in "abcd"])


def test_a_recheck_adds_no_attempts_to_the_report_of_the_run(suite: Suite) -> None:
    suite.file("pytest_retry/retry_plugin.py", RETRY)
    suite.tests("""
        from pytest_retry.retry_plugin import retry_manager
        from recorder import note

        def test():
            note("ran", test="test")
            retry_manager.reporter.record_attempt(["a" * 10, chr(10)])
            assert False
    """)
    run = suite.run("-p", "pytest_retry.retry_plugin", "-n", "1", "-o", "procpar_recheck=failed")
    assert run.ran["test"] > 1
    assert run.out.count("attempt of a") == 1


# --- pytest-testmon ---


def test_testmon_has_a_connection_of_its_own_in_every_worker(suite: Suite) -> None:
    suite.file("testmon/__init__.py", "")
    suite.file(
        "testmon/db.py",
        """
        import os

        class DB:
            def __init__(self, datafile, readonly=False):
                self.datafile, self.readonly, self.pid = datafile, readonly, os.getpid()
                self.con = object()
        """,
    )
    suite.file("testmon/testmon_core.py", "def get_data_file_path():\n    return '.testmondata'\n")
    suite.conftest("""
        from testmon import db, testmon_core

        class Data:
            rootdir = "/project"
            db = db.DB("/project/.testmondata")

        def pytest_configure(config):
            config.testmon_data = Data()
    """)
    suite.tests("""
        import os

        def test(request):
            database = request.config.testmon_data.db
            assert database.pid == os.getpid()
            assert (database.datafile, database.readonly) == ("/project/.testmondata", True)
    """)
    suite.run("-n", "1").assert_summary(passed=1)


# --- allure-pytest ---

ALLURE = """
    import os

    def thread_tag():
        return f"{os.getpid()}-MainThread"
"""


def allure(suite: Suite, utils: str = ALLURE) -> None:
    suite.file("allure_commons/__init__.py", "import pluggy\nplugin_manager = pluggy.PluginManager('allure')")
    suite.file("allure_commons/utils.py", utils)
    suite.file("allure_commons/logger.py", "class AllureFileLogger:\n    pass\n")
    suite.conftest("""
        import allure_commons
        from allure_commons import logger, utils

        class Listener:
            _thread = "of the controller"

        def pytest_configure(config):
            config.pluginmanager.register(Listener(), "allure_listener")
            allure_commons.plugin_manager.register(logger.AllureFileLogger())
    """)


def test_allure_tells_a_worker_from_another(suite: Suite) -> None:
    allure(suite)
    suite.tests("""
        import allure_commons, os

        def test(request):
            listener = request.config.pluginmanager.getplugin("allure_listener")
            assert listener._thread == f"{os.getpid()}-MainThread"
            assert allure_commons.plugin_manager.get_plugins()
    """)
    suite.run("-n", "1").assert_summary(passed=1)


def test_allure_has_one_row_for_the_processes_of_a_worker(suite: Suite) -> None:
    allure(suite)
    suite.tests("""
        import os, pytest
        from recorder import note

        @pytest.mark.parametrize("i", range(4))
        def test(i, request):
            note("row", row=request.config.pluginmanager.getplugin("allure_listener")._thread)
    """)
    run = suite.run("-n", "2", "--isolate")
    assert len(set(run.facts("row", "row"))) == len(set(run.facts("row", "worker")))


def test_a_recheck_writes_no_results_of_allure(suite: Suite) -> None:
    allure(suite)
    suite.tests("""
        import allure_commons
        from recorder import note

        def test():
            note("writers", count=len(allure_commons.plugin_manager.get_plugins()))
            assert False
    """)
    run = suite.run("-n", "1", "-o", "procpar_recheck=failed")
    counts = run.facts("writers", "count")
    assert counts[0] == 1
    assert 0 in counts[1:]


@pytest.mark.parametrize("options", [(), ("-W", "error")], ids=["", "errors"])
def test_an_adapter_that_fails_costs_a_warning_that_names_plugin_and_error(
    suite: Suite, options: tuple[str, ...]
) -> None:
    allure(suite, "def thread_tag(): raise RuntimeError('has changed')")
    suite.trivial(2)
    run = suite.run("-n", "1", *options)
    run.assert_summary(passed=2, **{"errors" if options else "warnings": 1})
    assert run.ret == bool(options)
    assert "allure-pytest could not be adapted to a forked worker: RuntimeError: has changed" in run.out


# --- pytest-monitor ---

MONITOR = """
    import os

    class Handler:
        def __init__(self, path):
            self.__db, self.pid = path, os.getpid()

    class Measured:
        def __init__(self):
            self.pid = os.getpid()

    class Session:
        def __init__(self, path):
            self.__db, self.__process, self.__remote = Handler(path), Measured(), "http://remote"

        @property
        def parts(self):
            return self.__db, self.__process, self.__remote
"""


def monitor(suite: Suite) -> None:
    suite.file("pytest_monitor/__init__.py", "")
    suite.file("pytest_monitor/session.py", MONITOR)
    suite.conftest("""
        from pytest_monitor.session import Session

        def pytest_sessionstart(session):
            session.pytest_monitor = Session("some.db")
    """)


def test_monitor_has_a_connection_of_its_own_in_every_worker(suite: Suite) -> None:
    monitor(suite)
    suite.tests("""
        import os

        def test(request):
            database, process, remote = request.session.pytest_monitor.parts
            assert database.pid == process.pid == os.getpid()
            assert database._Handler__db == "some.db"
            assert remote
    """)
    suite.run("-n", "1", "--start-method", "fork").assert_summary(passed=1)


def test_a_recheck_adds_no_rows_of_monitor(suite: Suite) -> None:
    monitor(suite)
    suite.tests("""
        from recorder import note

        def test(request):
            database, process, remote = request.session.pytest_monitor.parts
            note("parts", writes=bool(database or remote))
            assert False
    """)
    run = suite.run("-n", "1", "--start-method", "fork", "-o", "procpar_recheck=failed")
    writes = run.facts("parts", "writes")
    assert writes[0]
    assert False in writes[1:]


# --- OpenTelemetry ---


def test_a_recheck_exports_no_spans(suite: Suite) -> None:
    suite.file("opentelemetry/__init__.py", "")
    suite.file("opentelemetry/sdk/__init__.py", "")
    suite.file(
        "opentelemetry/sdk/trace.py",
        """
        class Processors:
            _span_processors = ("an exporter",)

        class Provider:
            _active_span_processor = Processors()
        """,
    )
    suite.file(
        "opentelemetry/trace.py",
        """
        from opentelemetry.sdk.trace import Provider

        def get_tracer_provider(made=Provider()):
            return made
        """,
    )
    suite.tests("""
        from opentelemetry import trace
        from recorder import note

        def test():
            processors = trace.get_tracer_provider()._active_span_processor._span_processors
            note("exporters", count=len(processors))
            assert False
    """)
    counts = suite.run("-n", "1", "-o", "procpar_recheck=failed").facts("exporters", "count")
    assert counts[0] == 1
    assert 0 in counts[1:]


# --- testcontainers ---


def test_containers_of_a_worker_have_its_own_session_id(suite: Suite) -> None:
    suite.file("testcontainers/__init__.py", "")
    suite.file("testcontainers/core/__init__.py", "")
    suite.file("testcontainers/core/labels.py", "SESSION_ID = 'of the controller'\n")
    suite.file("testcontainers/core/docker_client.py", "from testcontainers.core.labels import SESSION_ID\n")
    suite.file(
        "testcontainers/core/container.py",
        """
        import socket
        from testcontainers.core.labels import SESSION_ID

        class Reaper:
            _instance, _container, _socket = "reaper", "container", socket.socket()
        """,
    )
    suite.conftest("""
        from pytest_procpar.compat.plugins.after_fork import adapted_sockets
        from recorder import note

        def pytest_collection_finish(session):
            from testcontainers.core import container, docker_client

            fd = container.Reaper._socket.fileno()
            note("sockets", right=adapted_sockets(session.config) == {fd})
    """)
    suite.tests("""
        import pytest
        from recorder import note
        from testcontainers.core import container, docker_client, labels

        @pytest.mark.parametrize("i", range(2))
        def test(i):
            assert labels.SESSION_ID == container.SESSION_ID == docker_client.SESSION_ID
            assert container.Reaper._instance is container.Reaper._socket is None
            note("id", id=labels.SESSION_ID)
    """)
    run = suite.run("-n", "2", "--dist", "each")
    run.assert_summary(passed=4)
    assert len(set(run.facts("id", "id"))) == 2
    assert run.facts("sockets", "right") == [True]


# --- Django ---


def django(suite: Suite) -> None:
    suite.file("django/__init__.py", "")
    suite.file("django/conf.py", "class settings:\n    configured = True\n")
    suite.file(
        "django/db.py",
        """
        import socket

        class Raw:
            def __init__(self):
                self.sock, self.peer = socket.socketpair()

            def fileno(self):
                return self.sock.fileno()

            def __del__(self):
                self.sock.send(b"good-bye")

        class Wrapper:
            def __init__(self, vendor, in_memory=False):
                self.connection, self.vendor, self.in_memory = Raw(), vendor, in_memory

            def is_in_memory_db(self):
                return self.in_memory

        class Handler:
            wrappers = {
                "server": Wrapper("postgresql"), "file": Wrapper("sqlite"), "memory": Wrapper("sqlite", True),
            }

            def all(self, initialized_only=False):
                assert initialized_only
                return list(self.wrappers.values())

        connections = Handler()
        peer = connections.wrappers["server"].connection.peer
        """,
    )


def test_open_connections_of_django_are_let_go_of_but_not_closed(suite: Suite) -> None:
    django(suite)
    suite.conftest("""
        from pytest_procpar.compat.plugins.after_fork import adapted_sockets
        from recorder import note

        def pytest_collection_finish(session):
            from django import conf, db

            wrappers = db.connections.wrappers
            fds = {wrappers[name].connection.fileno() for name in ("server", "file")}
            note("sockets", right=adapted_sockets(session.config) == fds)
    """)
    suite.tests("""
        import gc
        import pytest
        from django.db import connections, peer

        def test():
            gc.collect()
            assert connections.wrappers["server"].connection is None
            assert connections.wrappers["file"].connection is None
            assert connections.wrappers["memory"].connection is not None
            peer.setblocking(False)
            with pytest.raises(BlockingIOError):
                peer.recv(10)
    """)
    run = suite.run("-n", "1", "--start-method", "fork")  # here is the server's end, too
    run.assert_summary(passed=1)
    assert run.facts("sockets", "right") == [True]


@pytest.mark.parametrize(
    ("method", "imported", "kept"),
    [
        ("fork", "in the conftest", False),
        ("fork", "in the test module", False),
        ("fork-early", "in the conftest", False),
        ("fork-early", "in the test module", True),
        ("spawn", "in the conftest", True),
    ],
)
def test_only_connections_that_were_opened_before_a_fork_are_let_go_of(
    suite: Suite, method: str, imported: str, kept: bool
) -> None:
    django(suite)
    suite.conftest("from django import conf, db" if imported == "in the conftest" else "")
    suite.tests(f"""
        from django import conf
        from django.db import connections

        def test():
            assert (connections.wrappers["server"].connection is not None) == {kept}
    """)
    suite.run("-n", "1", "--start-method", method).assert_summary(passed=1)


# --- pytest-benchmark ---

#: As pytest-benchmark 5.3: whoever is the first worker while it collects says at its end what it does not do.
BENCHMARK = """
    import os

    from recorder import note

    class Session:
        def __init__(self):
            self.worker = os.environ.get("PYTEST_XDIST_WORKER")
            self.xdist_benchmark_found = False

    def pytest_configure(config):
        config._benchmarksession = Session()

    def pytest_collection_modifyitems(config):
        session = config._benchmarksession
        session.xdist_benchmark_found = session.worker in (None, "gw0")

    def pytest_unconfigure(config):
        if config._benchmarksession.xdist_benchmark_found:
            note("notice")
"""


@pytest.mark.parametrize("method", ["fork", "fork-early", "spawn"])
def test_benchmark_says_once_that_it_does_not_measure(suite: Suite, method: str) -> None:
    suite.file("pytest_benchmark/__init__.py", "")
    suite.file("pytest_benchmark/session.py", BENCHMARK)
    suite.trivial(6)
    suite.conftest('pytest_plugins = ["pytest_benchmark.session"]')
    run = suite.run("-n3", f"--start-method={method}")
    run.assert_summary(passed=6)
    assert len(run.notes("notice")) == 1


# --- pytest-harvest ---


@pytest.mark.parametrize("installed", [False, True])
def test_harvest_without_xdist_is_warned_of_once(suite: Suite, installed: bool) -> None:
    suite.file("pytest_harvest/__init__.py", "")
    suite.file("pytest_harvest/xdist_api.py", "xdist_version = '3.8.0'" if installed else "")
    suite.trivial(2)
    warned = suite.run("-p", "pytest_harvest.xdist_api", "-n2").facts("warning", "text")
    assert [text.partition(" brings")[0] for text in warned] == ["pytest-harvest"] * (not installed)
    assert suite.run("-p", "pytest_harvest.xdist_api", "-n0").facts("warning", "text") == []


# --- filelock ---

#: As filelock 4.3: locks are registered, know who has made them, and forget when they are forked.
FILELOCK = """
    import os
    from weakref import WeakValueDictionary

    _FORK_OBJECTS = WeakValueDictionary()

    class Lock:
        _instances = WeakValueDictionary()

        def __init__(self):
            self._creator_pid = os.getpid()
            _FORK_OBJECTS[id(self)] = self

        @classmethod
        def get(cls):
            return cls._instances.get("it") or cls._instances.setdefault("it", cls())

        def use(self):
            assert self._creator_pid == os.getpid(), "inherited across a fork"

    os.register_at_fork(after_in_child=Lock._instances.clear)
"""


def use_filelock(suite: Suite) -> None:
    suite.file("filelock/__init__.py", "from filelock._core._fork import Lock")
    suite.file("filelock/_core/__init__.py", "")
    suite.file("filelock/_core/_fork.py", FILELOCK)
    suite.conftest("import filelock\nLOCK = filelock.Lock.get()")
    suite.tests("""
        import filelock
        import pytest
        from conftest import LOCK

        OWN = filelock.Lock()

        @pytest.mark.parametrize("i", range(4))
        def test_uses(i):
            OWN.use()
            LOCK.use()
            assert filelock.Lock.get() is LOCK
    """)


@pytest.mark.parametrize("method", ["fork", "fork-early", "spawn"])
@pytest.mark.parametrize("more", [[], ["--isolate"], ["--recheck=all"]])
def test_filelock_is_told_of_its_process(suite: Suite, method: str, more: list[str]) -> None:
    use_filelock(suite)
    finished = suite.run("-n2", "-W", "error", f"--start-method={method}", *more)
    finished.assert_summary(passed=4)
    assert "test_uses" not in finished.out


def test_filelock_that_has_changed_costs_a_warning(suite: Suite) -> None:
    use_filelock(suite)
    suite.file("filelock/_core/_fork.py", "_FORK_OBJECTS = []\nclass Lock: pass")
    suite.conftest("")
    suite.tests("import filelock\ndef test(): pass")
    finished = suite.run("-n1")
    finished.assert_summary(passed=1, warnings=1)
    assert "filelock could not be adapted to a forked worker: AttributeError: 'list'" in finished.out
