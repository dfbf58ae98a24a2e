"""How each plugin and library lets go of what processes must not share: with stand-ins for them."""

from __future__ import annotations

import random
import socket
import sys
from itertools import count
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar
from unittest.mock import MagicMock

import pytest

from pytest_procpar.compat.plugins import renewal, renewed_libraries, renewed_plugins
from pytest_procpar.compat.plugins.renewal import Adapter
from pytest_procpar.compat.plugins.renewed_libraries import LIBRARIES
from pytest_procpar.compat.plugins.renewed_plugins import PLUGINS

ALL = {adapter.name: adapter for adapter in (*PLUGINS, *LIBRARIES)}


class Loaded:
    """Modules that are loaded for a test, and what was kept from being freed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.kept: list[object] = []
        for module in (renewed_plugins, renewed_libraries, renewal):
            monkeypatch.setattr(module, "KEPT", self.kept)

    def __call__(self, name: str, **names: Any) -> Any:
        module: Any = ModuleType(name)
        vars(module).update(names)
        self._monkeypatch.setitem(sys.modules, name, module)
        return module


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> Loaded:
    return Loaded(monkeypatch)


def renew(name: str, config: Any = None, *, throw_away: bool = False) -> None:
    ALL[name].renew(MagicMock() if config is None else config, throw_away)


def sockets(name: str, config: Any = None) -> list[Any]:
    return list(ALL[name].sockets(MagicMock() if config is None else config))


# --- plugins of pytest ---


class Database:
    def __init__(self, *address: object) -> None:
        self.address, self.sock = address, MagicMock()


def rerunfailures(loaded: Loaded) -> Any:
    class StatusDB:
        """Serves: it has no connection."""

    loaded("pytest_rerunfailures", StatusDB=StatusDB, ClientStatusDB=Database)
    return SimpleNamespace(failures_db=Database(), workerinput={"sock_port": 7, "statusdb_token": "t"})


def test_rerunfailures_of_a_worker_connects_anew_to_the_same_server(loaded: Loaded) -> None:
    config = rerunfailures(loaded)
    old = config.failures_db
    assert sockets("pytest-rerunfailures", config) == [old.sock]
    renew("pytest-rerunfailures", config)
    old.sock.close.assert_called_once_with()
    assert (config.failures_db is old, config.failures_db.address) == (False, (7, "t"))
    config.failures_db.sock.setsockopt.assert_called_once_with(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def test_rerunfailures_of_a_throw_away_process_counts_for_itself(loaded: Loaded) -> None:
    config = rerunfailures(loaded)
    renew("pytest-rerunfailures", config, throw_away=True)
    assert type(config.failures_db).__name__ == "StatusDB"
    renew("pytest-rerunfailures", config)  # it has no connection
    assert type(config.failures_db).__name__ == "StatusDB"
    assert sockets("pytest-rerunfailures", config) == sockets("pytest-rerunfailures", SimpleNamespace()) == []


def test_retry_of_a_worker_speaks_in_turns_and_is_wrapped_once(loaded: Loaded) -> None:
    reporter = SimpleNamespace(sock=MagicMock())
    plugin = loaded(
        "pytest_retry.retry_plugin", retry_manager=SimpleNamespace(reporter=reporter), OfflineReporter=object
    )
    old = reporter.sock
    assert sockets("pytest-retry") == [old]
    renew("pytest-retry")
    wrapped = reporter.sock
    renew("pytest-retry")
    assert (plugin.retry_manager.reporter is reporter, reporter.sock is wrapped) == (True, True)
    reporter.sock.close()
    old.close.assert_called_once_with()
    old.fileno.return_value = 7
    assert reporter.sock.fileno() == 7


def test_what_retry_sends_is_all_sent_with_the_socket_locked(loaded: Loaded) -> None:
    done: list[object] = []
    loaded("fcntl", LOCK_EX="lock", LOCK_UN="unlock", lockf=lambda fd, how: done.append(how))
    file = MagicMock()
    file.sendall.side_effect = done.append
    shared = renewed_plugins._SharedSocket(file)
    shared.sendall(b"x")
    file.sendall.side_effect = OSError
    with pytest.raises(OSError):
        shared.sendall(b"y")
    assert done == ["lock", b"x", "unlock", "lock", "unlock"]


def test_retry_of_a_throw_away_process_tells_nobody(loaded: Loaded) -> None:
    reporter = SimpleNamespace(sock=MagicMock())
    plugin = loaded(
        "pytest_retry.retry_plugin",
        retry_manager=SimpleNamespace(reporter=reporter),
        OfflineReporter=Database,
    )
    renew("pytest-retry", throw_away=True)
    assert isinstance(plugin.retry_manager.reporter, Database)
    assert loaded.kept == [reporter]
    reporter.sock.close.assert_not_called()


def test_testmon_opens_its_file_anew_and_only_to_read(loaded: Loaded) -> None:
    class DB:
        def __init__(self, path: str, readonly: bool = False) -> None:
            self.path, self.readonly = path, readonly

    loaded("testmon.db", DB=DB)
    loaded("testmon.testmon_core", get_data_file_path=lambda: ".testmondata")
    old = DB("x")
    config = SimpleNamespace(testmon_data=SimpleNamespace(db=old, rootdir="/suite"))
    renew("pytest-testmon", config)
    new = config.testmon_data.db
    assert (new is old, new.path, new.readonly) == (False, "/suite/.testmondata", True)
    assert loaded.kept == [old]  # its file stays open: closing it would let go of the others' locks
    for inactive in (SimpleNamespace(), SimpleNamespace(testmon_data=SimpleNamespace(db=object()))):
        renew("pytest-testmon", inactive)
    assert loaded.kept == [old]


def test_all_processes_of_a_worker_have_one_row_in_allures_timeline(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renewed_plugins, "_ROWS", {})
    rows = count()
    loaded("allure_commons.utils", thread_tag=lambda: f"row {next(rows)}")

    class FileLogger:
        pass

    loaded("allure_commons.logger", AllureFileLogger=FileLogger)
    writer, other = FileLogger(), object()
    manager = MagicMock()
    manager.get_plugins.return_value = [writer, other]
    loaded("allure_commons", plugin_manager=manager)
    listener, config = SimpleNamespace(_thread=None), MagicMock()
    config.pluginmanager.getplugin.return_value = listener
    threads = []
    for worker in ("gw0", "gw0", "gw1"):
        config.workerinput = {"workerid": worker}
        renew("allure-pytest", config)
        threads.append(listener._thread)
    assert threads[0] == threads[1] != threads[2]
    manager.unregister.assert_not_called()
    renew("allure-pytest", config, throw_away=True)
    manager.unregister.assert_called_once_with(writer)
    config.pluginmanager.getplugin.return_value = None
    renew("allure-pytest", config)  # it is not active


class Monitor:
    def __init__(self, db: Any) -> None:
        self.__db, self.__remote = db, "http://"
        self.__process: Any = Database()

    def parts(self) -> tuple[Any, Any, Any]:
        return self.__process, self.__db, self.__remote


class Handler:
    def __init__(self, path: str) -> None:
        self.__db = path

    @property
    def path(self) -> str:
        return self.__db


@pytest.mark.parametrize("throw_away", [False, True])
def test_monitor_measures_the_new_process_and_a_throw_away_one_adds_no_rows(
    loaded: Loaded, throw_away: bool
) -> None:
    old = Handler("x.db")
    monitor, config = Monitor(old), MagicMock()
    process = monitor.parts()[0]
    config.pluginmanager.getplugin.return_value = SimpleNamespace(pytest_monitor=monitor)
    renew("pytest-monitor", config, throw_away=throw_away)
    new, database, remote = monitor.parts()
    assert new is not process
    assert loaded.kept == [old]
    if throw_away:
        assert (database, remote) == (None, None)
    else:
        assert (database is old, database.path, remote) == (False, "x.db", "http://")
    config.pluginmanager.getplugin.return_value = None
    renew("pytest-monitor", config)


def test_monitor_without_a_database_gets_none(loaded: Loaded) -> None:
    monitor, config = Monitor(None), MagicMock()
    config.pluginmanager.getplugin.return_value = SimpleNamespace(pytest_monitor=monitor)
    renew("pytest-monitor", config)
    assert (monitor.parts()[1], loaded.kept) == (None, [])


def test_only_who_has_collected_says_that_benchmark_does_not_measure() -> None:
    session = SimpleNamespace(xdist_benchmark_found=True)
    renew("pytest-benchmark", SimpleNamespace(_benchmarksession=session))
    assert session.xdist_benchmark_found is False
    renew("pytest-benchmark", SimpleNamespace())


# --- libraries ---


def test_testcontainers_names_its_containers_anew_and_lets_the_old_ones_be_watched(loaded: Loaded) -> None:
    sock = MagicMock()
    reaper = SimpleNamespace(_instance="instance", _container="container", _socket=sock)
    loaded("testcontainers.core.container", Reaper=reaper)
    labels = loaded("testcontainers.core.labels", SESSION_ID="old")
    user = loaded("testcontainers.postgres", SESSION_ID="old")
    other = loaded("testcontainers.own", SESSION_ID="of its own")
    foreign = loaded("elsewhere", SESSION_ID="old")
    assert sockets("testcontainers") == [sock]
    renew("testcontainers")
    assert labels.SESSION_ID == user.SESSION_ID != "old"
    assert (other.SESSION_ID, foreign.SESSION_ID) == ("of its own", "old")
    sock.close.assert_called_once_with()
    assert loaded.kept == ["instance", "container"]
    assert (reaper._instance, reaper._container, reaper._socket) == (None, None, None)
    assert sockets("testcontainers") == []
    renew("testcontainers")  # nothing is watched now


class Connection:
    _connection_pools: ClassVar[dict[str, object]] = {}

    def __init__(self, connection: Any, vendor: str = "postgresql", in_memory: bool = False) -> None:
        self.connection, self.vendor = connection, vendor
        self.is_in_memory_db = lambda: in_memory


def django(loaded: Loaded, *connections: Connection, configured: bool = True) -> None:
    loaded("django.conf", settings=SimpleNamespace(configured=configured))
    loaded("django.db", connections=SimpleNamespace(all=lambda initialized_only: list(connections)))


def test_django_forgets_open_connections_and_pools_without_closing_them(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    pools: dict[str, object] = {"default": object()}
    monkeypatch.setattr(Connection, "_connection_pools", pools)
    raw = MagicMock(_sock="socket")
    opened, closed = Connection(raw), Connection(None)
    file, memory = Connection("file", "sqlite"), Connection("memory", "sqlite", in_memory=True)
    django(loaded, opened, closed, file, memory)
    assert sockets("Django") == ["socket", "file"]
    renew("Django")
    assert [each.connection for each in (opened, closed, file, memory)] == [None, None, None, "memory"]
    assert pools == {}
    assert raw in loaded.kept
    assert "file" in loaded.kept
    raw.close.assert_not_called()


def test_django_that_is_not_configured_is_not_asked_for_connections(loaded: Loaded) -> None:
    opened = Connection("x")
    django(loaded, opened, configured=False)
    renew("Django")
    assert (opened.connection, sockets("Django")) == ("x", [])


@pytest.mark.parametrize("behind", [False, True])
def test_spans_of_a_throw_away_process_go_nowhere(loaded: Loaded, behind: bool) -> None:
    processor = SimpleNamespace(_span_processors=("exporter",))
    provider = SimpleNamespace(_active_span_processor=processor)
    given = SimpleNamespace(provider=provider) if behind else provider
    loaded("opentelemetry.trace", get_tracer_provider=lambda: given)
    renew("OpenTelemetry")
    assert processor._span_processors == ("exporter",)
    renew("OpenTelemetry", throw_away=True)
    assert processor._span_processors == ()


def test_a_throw_away_process_changes_no_database_of_examples(loaded: Loaded) -> None:
    class ExampleDatabase:
        saved: ClassVar[list[str]] = []

        def save(self, key: str) -> None:
            self.saved.append(f"{type(self).__name__} {key}")

        def fetch(self, key: str) -> str:
            return key

    class Directory(ExampleDatabase):
        def save(self, key: str) -> None:
            self.saved.append(f"directory {key}")

    class Deep(Directory):
        def delete(self, key: str) -> None:
            self.saved.append(f"delete {key}")

    class InMemoryExamples(ExampleDatabase):
        def save(self, key: str) -> None:
            self.saved.append(f"memory {key}")

    loaded("hypothesis.database", ExampleDatabase=ExampleDatabase)
    renew("Hypothesis")
    Directory().save("0")
    renew("Hypothesis", throw_away=True)
    for kind in (ExampleDatabase, Directory, Deep, InMemoryExamples):
        kind().save("1")
    Deep().delete("1")
    assert ExampleDatabase.saved == ["directory 0", "memory 1"]
    assert Directory().fetch("k") == "k"


# --- random generators ---


@pytest.mark.parametrize(
    ("seeded", "throw_away", "renewed"), [(False, False, True), (True, False, False), (False, True, False)]
)
def test_generators_that_nobody_has_seeded_are_seeded_anew_in_workers(
    loaded: Loaded, seeded: bool, throw_away: bool, renewed: bool
) -> None:
    faker = loaded("faker.generator", random=MagicMock(), Generator=SimpleNamespace(_is_seeded=seeded))
    factory = loaded("factory.random", randgen=MagicMock(state_set=seeded))
    torch = loaded("torch", default_generator=MagicMock())
    torch.default_generator.initial_seed.return_value = 7 if seeded else 1 << 40
    for name, generator in (
        ("Faker", faker.random), ("factory_boy", factory.randgen), ("PyTorch", torch.default_generator),
    ):  # fmt: skip
        renew(name, throw_away=throw_away)
        assert generator.seed.called is renewed, name


def test_a_faker_that_does_not_tell_whether_it_was_seeded_is_left_alone(loaded: Loaded) -> None:
    faker = loaded("faker.generator", random=MagicMock(), Generator=SimpleNamespace())
    renew("Faker")
    faker.random.seed.assert_not_called()


class Words(list):  # type: ignore[type-arg]
    """Numbers that are compared and cut as numpy's arrays are, as far as this is needed."""

    def __eq__(self, other: object) -> Any:
        others = other if isinstance(other, list) else [other] * len(self)
        return Words(one == another for one, another in zip(self, others, strict=True))

    __hash__ = None

    def __and__(self, other: Words) -> Words:
        return Words(one and another for one, another in zip(self, other, strict=True))

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        return Words(found) if isinstance(key, slice) else found

    def all(self) -> bool:
        return all(self)

    def any(self) -> bool:
        return any(self)


class MT19937:
    """numpy's bit generator by the one of Python, which is the same, with fewer words at once."""

    def __init__(self, seed: Any) -> None:
        self._seed_seq = seed
        self._random = random.Random(seed)

    @property
    def state(self) -> dict[str, Any]:
        *key, place = self._random.getstate()[1]
        return {"state": {"key": Words(key), "pos": place}}

    @state.setter
    def state(self, state: dict[str, Any]) -> None:
        inner = state["state"]
        self._random.setstate((3, (*inner["key"], inner["pos"]), None))

    def random_raw(self, count: int) -> Words:
        return Words(self._random.getrandbits(32) for _ in range(count))


class Numpy:
    """Its global generator."""

    def __init__(self, loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(renewed_libraries, "_UNSEEDED", {})
        monkeypatch.setattr(renewed_libraries, "_BLOCKS", 4)
        monkeypatch.setattr(renewed_libraries, "_PARTS", 2)
        self.seeds = iter(range(100, 200))
        self.generator = MT19937(1)
        state = SimpleNamespace(_bit_generator=self.generator, set_state=self._set_state)
        loaded(
            "numpy.random.mtrand",
            _rand=state,
            RandomState=lambda: SimpleNamespace(get_state=lambda: MT19937(next(self.seeds)).state),
        )

    def _set_state(self, state: dict[str, Any]) -> None:
        self.generator.state = state

    def renewed(self, *, throw_away: bool = False) -> bool:
        before = self.generator.state["state"]
        renew("numpy", throw_away=throw_away)
        after = self.generator.state["state"]
        return not (before["key"] == after["key"]).all()


@pytest.fixture
def numpy(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> Numpy:
    return Numpy(loaded, monkeypatch)


@pytest.mark.parametrize("drawn", [0, 1, 623, 624, 625, 4000])
def test_numpys_generator_is_renewed_however_much_was_drawn_from_it(numpy: Numpy, drawn: int) -> None:
    numpy.generator.random_raw(drawn)
    assert numpy.renewed()


def test_numpys_generator_is_renewed_again_in_each_further_process(numpy: Numpy) -> None:
    assert numpy.renewed()
    numpy.generator.random_raw(1000)
    assert numpy.renewed()


def test_numpys_generator_is_left_alone_if_it_was_seeded_or_was_given_a_state(numpy: Numpy) -> None:
    numpy.generator.state = MT19937(7).state
    assert not numpy.renewed()  # a state of somebody's
    numpy.generator.random_raw(700)
    assert not numpy.renewed()
    numpy.generator._seed_seq = None
    assert not numpy.renewed()  # `seed` was called


def test_numpys_generator_counts_as_seeded_if_more_was_drawn_than_is_followed(numpy: Numpy) -> None:
    numpy.generator.random_raw(624 * 4 * 2 * 2)
    assert not numpy.renewed()


def test_numpys_generator_stays_what_it_is_in_a_throw_away_process(numpy: Numpy) -> None:
    assert not numpy.renewed(throw_away=True)


def test_each_adapter_is_found_by_a_module_of_what_it_is_for() -> None:
    names = [adapter.module for adapter in ALL.values()]
    assert len(set(names)) == len(names) == len(PLUGINS) + len(LIBRARIES)
    assert all(isinstance(adapter, Adapter) for adapter in ALL.values())
