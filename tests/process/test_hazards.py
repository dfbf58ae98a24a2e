"""What makes forking unsafe is found and named; what the project vouches for, and what was there, is not."""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import pytest

from pytest_procpar.process import hazards
from pytest_procpar.process.hazards import (
    EARLY_PLUGINS,
    SPAWN_PLUGINS,
    Hazards,
    UnsafeFork,
    hazard_before_configure,
    is_vouched,
    known_plugin,
)
from pytest_procpar.process.tripwire import Tripwire

ROOT = Path("/there")


class Config:
    """As much of pytest's as is looked at."""

    rootpath = ROOT

    def __init__(self, *plugins: str, ini: dict[str, object] | None = None, **options: object) -> None:
        self.pluginmanager = pytest.PytestPluginManager()
        for name in plugins:
            self.pluginmanager.register(ModuleType(name), name)
        self.option = SimpleNamespace(**options)
        self._ini = ini or {}

    def getini(self, name: str) -> object:
        if name not in self._ini:
            raise ValueError(name)
        return self._ini[name]


def as_config(config: Config) -> pytest.Config:
    return cast("pytest.Config", config)


def found(*vouched: str, adapted: frozenset[int] = frozenset()) -> HazardsAt:
    return HazardsAt(vouched, adapted)


class HazardsAt:
    """Looks from when it is entered; `reason` is what it finds."""

    def __init__(self, vouched: tuple[str, ...], adapted: frozenset[int]) -> None:
        self.wire = Tripwire()
        self.hazards = Hazards(as_config(Config()), self.wire, vouched, lambda config: adapted)

    def __enter__(self) -> HazardsAt:
        self.hazards.begin()
        return self

    def __exit__(self, *error: object) -> None:
        self.wire.cut()

    @property
    def reason(self) -> str | None:
        data = os.environ._data  # type: ignore[attr-defined]
        try:
            self.hazards.finish()
        except UnsafeFork as unsafe:
            return str(unsafe)
        finally:
            assert os.environ._data is not data  # type: ignore[attr-defined] # it is cut
            self.hazards.begin()
        return None


@pytest.fixture
def pump() -> Iterator[threading.Thread]:
    """A thread that runs."""
    end = threading.Event()
    thread = threading.Thread(target=end.wait, name="pump-7")
    thread.start()
    yield thread
    end.set()
    thread.join()


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


def test_nothing_is_found_where_nothing_is() -> None:
    with found() as at:
        assert at.reason is None


def test_who_has_asked_for_the_identity_is_found_at_once() -> None:
    with found() as at:
        at.hazards.check()
        exec(
            compile("\nos.getenv('PYTEST_XDIST_WORKER')", "/there/db.py", "exec"),
            {"os": os, "__name__": "db"},
        )
        with pytest.raises(UnsafeFork, match=r"^db\.py:2 reads PYTEST_XDIST_WORKER$"):
            at.hazards.check()


# --- threads ---


def test_a_thread_is_found_by_name_and_place(pump: threading.Thread) -> None:
    with found() as at:
        reason = at.reason or ""
        assert reason.startswith("thread 'pump-7' is running, which runs ")
        assert f"{threading.__file__}:" in reason


@pytest.mark.parametrize("vouched", ["pump-7", "pump*", "*-[0-9]"])
def test_a_thread_that_is_vouched_for_is_not(pump: threading.Thread, vouched: str) -> None:
    with found("nothing", vouched) as at:
        assert at.reason is None


def test_a_thread_of_a_debugger_is_not(pump: threading.Thread) -> None:
    pump.name = "pydevd.Writer"
    with found() as at:
        assert at.reason is None


def test_a_thread_that_has_ended_is_not() -> None:
    with found() as at:
        thread = threading.Thread(target=int)
        thread.start()
        thread.join()
        assert at.reason is None


def test_a_thread_with_a_run_of_its_own_is_shown_there() -> None:
    end = threading.Event()

    class Poller(threading.Thread):
        def run(self) -> None:
            end.wait()

    thread = Poller()
    thread.start()
    with found() as at:
        reason = at.reason
    end.set()
    thread.join()
    assert reason is not None
    assert f"{__file__}:{Poller.run.__code__.co_firstlineno}" in reason


@pytest.mark.parametrize(
    ("maps", "is_safe"), [("/usr/lib/libfoo.so\n", False), ("/x/libopenblas.so.0\n", True)]
)
def test_threads_that_python_does_not_know(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, maps: str, is_safe: bool
) -> None:
    tasks = ["1"] * threading.active_count()
    listdir = os.listdir
    (tmp_path / "maps").write_text(maps)

    def list_tasks(path: Any) -> list[str]:
        return tasks if path == "/proc/self/task" else listdir(path)

    def open_maps(path: object, *args: Any, **kwargs: Any) -> Any:
        return open(tmp_path / "maps" if path == "/proc/self/maps" else cast("str", path), *args, **kwargs)

    monkeypatch.setattr(hazards, "open", open_maps, raising=False)
    monkeypatch.setattr(os, "listdir", list_tasks)
    with found() as at:
        assert at.reason is None
        tasks.append("2")
        unknown = "threads have been started that Python does not know of"
        assert at.reason == (None if is_safe else unknown)
        assert at.reason is None  # it was there when it began to look again


def test_a_thread_that_the_kernel_is_about_to_let_go_of_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = [0, 1, 1, 1]  # before, and while it is looked at

    def native_threads() -> int:
        return counts.pop(0) if counts else 0

    monkeypatch.setattr(hazards, "_native_threads", native_threads)
    with found() as at:
        assert at.reason is None
        assert not counts


# --- sockets ---


def test_a_socket_is_found_with_its_address_and_who_holds_it() -> None:
    with found() as at, socket.create_server(("127.0.0.1", 0)) as server:
        assert at.reason == f"a socket was opened: bound to {server.getsockname()!r}"


def test_a_connection_is_found_with_its_peer(server: socket.socket) -> None:
    with found() as at, socket.create_connection(server.getsockname()):
        assert at.reason == f"a socket was opened: connected to {server.getsockname()!r}"


def test_the_module_that_holds_a_socket_is_named() -> None:
    module = ModuleType("database")
    with found() as at, socket.create_server(("127.0.0.1", 0)) as module.server:  # type: ignore[attr-defined]
        assert (at.reason or "").endswith(", held by module database")


def test_a_socket_that_was_there_before_is_not(server: socket.socket) -> None:
    with found() as at:
        assert at.reason is None


def test_a_socket_that_is_closed_again_is_not() -> None:
    with found() as at:
        socket.create_server(("127.0.0.1", 0)).close()
        assert at.reason is None


def test_sockets_that_are_vouched_for_are_not() -> None:
    with found("sockets") as at, socket.create_server(("127.0.0.1", 0)):
        assert at.reason is None


def test_a_socket_that_is_renewed_in_each_worker_is_not() -> None:
    adapted: set[int] = set()
    wire = Tripwire()
    looks = Hazards(as_config(Config()), wire, (), lambda config: frozenset(adapted))
    looks.begin()
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_server(("127.0.0.1", 0)) as other:
        adapted.update([server.fileno(), other.fileno()])
        looks.finish()
        looks.wire.lay()
        adapted.remove(other.fileno())
        with pytest.raises(UnsafeFork, match="a socket was opened"):
            looks.finish()


def test_other_descriptors_are_nothing() -> None:
    with found() as at:
        reader, writer = os.pipe()
        file = os.open("/dev/null", os.O_RDONLY)
        assert at.reason is None
        for fd in (reader, writer, file):
            os.close(fd)


# --- what is vouched for ---


@pytest.mark.parametrize(
    ("name", "pattern", "vouched"),
    [
        ("/there/tests/db.py", "db.py", True),
        ("/there/tests/db.py", "tests/db.py", True),
        ("/there/tests/db.py", "tests/*", True),
        ("/there/tests/db.py", "/there/tests/db.py", True),
        ("/there/tests/db.py", "*.py", True),
        ("/there/tests/db.py", "there/tests/db.py", False),
        ("/there/tests/db.py", "b.py", False),
        ("/there/tests/db.py", "tests", False),
        ("/elsewhere/db.py", "elsewhere/db.py", False),
        ("/elsewhere/db.py", "db.py", True),
        ("xvfb", "xvfb", True),
        ("xvfb", "xv", False),
    ],
)
def test_patterns_that_vouch(name: str, pattern: str, vouched: bool) -> None:
    assert is_vouched(name, [pattern], ROOT) is vouched
    assert is_vouched(name, ["nothing", pattern], ROOT) is vouched
    assert not is_vouched(name, [], ROOT)


# --- plugins ---


@pytest.mark.parametrize("name", ["xvfb", "pytest_opentelemetry", "monitor"])
def test_a_plugin_that_is_loaded_is_active(name: str) -> None:
    assert known_plugin(as_config(Config(name)), EARLY_PLUGINS, ()) == EARLY_PLUGINS[name]
    assert known_plugin(as_config(Config(name)), EARLY_PLUGINS, [name]) is None
    assert known_plugin(as_config(Config("other")), EARLY_PLUGINS, ()) is None


@pytest.mark.parametrize(
    ("name", "options", "ini", "active"),
    [
        ("pytest_reportportal", {}, {}, False),
        ("pytest_reportportal", {"rp_enabled": True}, {}, True),
        ("logfire", {}, {}, False),
        ("logfire", {"logfire": True}, {}, True),
        ("logfire", {"logfire": False}, {"logfire": True}, True),
        ("monitor", {"mtr_none": True}, {}, False),
        ("monitor", {"mtr_none": False}, {}, True),
        ("ddtrace", {}, {}, False),
        ("ddtrace", {"ddtrace": False}, {"ddtrace": False}, False),
        ("ddtrace", {"ddtrace": True}, {}, True),
        ("ddtrace", {}, {"ddtrace": True}, True),
    ],
)
def test_a_plugin_that_is_loaded_may_be_inactive(
    name: str, options: dict[str, object], ini: dict[str, object], active: bool
) -> None:
    known = {**EARLY_PLUGINS, **SPAWN_PLUGINS}
    config = as_config(Config(name, ini=ini, **options))
    assert (known_plugin(config, known, ()) is not None) is active


def test_every_reason_names_its_plugin() -> None:
    for name, reason in {**EARLY_PLUGINS, **SPAWN_PLUGINS}.items():
        assert name.removeprefix("pytest_") in reason


# --- before anything is configured ---


def test_before_configure_nothing_is_found_where_nothing_is() -> None:
    assert hazard_before_configure(as_config(Config()), None, ()) is None
    assert hazard_before_configure(as_config(Config("xvfb")), Tripwire(), ()) is None


def test_before_configure_the_first_of_the_evidence_counts(pump: threading.Thread) -> None:
    config = as_config(Config("ddtrace", ddtrace=True))
    wire = Tripwire()
    wire.lay()
    exec(compile("os.getenv('PYTEST_XDIST_WORKER')", "/there/db.py", "exec"), {"os": os, "__name__": "db"})
    wire.cut()
    reason = hazard_before_configure(config, wire, ())
    assert reason == "db.py:1 reads PYTEST_XDIST_WORKER while it is imported"
    assert hazard_before_configure(config, None, ()) == SPAWN_PLUGINS["ddtrace"]
    assert "thread 'pump-7'" in (hazard_before_configure(config, None, ["ddtrace"]) or "")
    assert hazard_before_configure(config, None, ["ddtrace", "pump-*"]) is None


def test_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    used = False
    torch = SimpleNamespace(cuda=SimpleNamespace(is_initialized=lambda: used))
    monkeypatch.setitem(sys.modules, "torch", cast("ModuleType", torch))
    assert hazard_before_configure(as_config(Config()), None, ()) is None
    used = True
    assert hazard_before_configure(as_config(Config()), None, ()) == "CUDA was initialised"
    monkeypatch.setitem(sys.modules, "torch", ModuleType("torch"))  # half imported
    assert hazard_before_configure(as_config(Config()), None, ()) is None
