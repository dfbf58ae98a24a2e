"""What makes forking unsafe is found and named; what the project vouches for, and what was there, is not."""

from __future__ import annotations

import _thread
import importlib
import mmap
import os
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import cast

import pytest

from pytest_procpar.start_method.hazards import Hazards, UnsafeFork
from pytest_procpar.start_method.known_plugins import EARLY_PLUGINS, SPAWN_PLUGINS, known_plugin
from pytest_procpar.start_method.objects.contexts import Contexts
from pytest_procpar.start_method.threads.python_threads import PythonThreads, unknown_to_threading
from pytest_procpar.start_method.vouching import is_vouched

pytestmark = pytest.mark.python_dependent

ROOT = Path("/there")


class Config:
    """As much of pytest's as is looked at."""

    rootpath = ROOT
    invocation_params = known_args_namespace = SimpleNamespace(dir=ROOT)

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
        self.hazards = Hazards(as_config(Config()), vouched)
        self.hazards.excuse(lambda: adapted)

    def __enter__(self) -> HazardsAt:
        self.hazards.begin()
        return self

    def __exit__(self, *error: object) -> None:
        self.hazards.end()

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


@pytest.mark.parametrize("when", ["begin", "findings"])
def test_who_fails_to_look_breaks_nothing(
    pump: threading.Thread, server: socket.socket, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    def fail(self: object) -> Iterator[str]:
        raise OSError

    monkeypatch.setattr(Contexts, when, fail)
    with found() as at, socket.socket():
        assert "pump-7" in (at.reason or "")
    monkeypatch.setattr(PythonThreads, when, fail)
    if when == "findings":
        with found() as at, socket.socket():
            assert "a socket was opened" in (at.reason or "")


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


@pytest.mark.parametrize("name", ["tqdm_monitor", "sentry.monitor", "sentry-sdk.BackgroundWorker"])
def test_a_thread_that_is_not_missed_is_not(pump: threading.Thread, name: str) -> None:
    pump.name = name
    with found() as at:
        assert at.reason is None


def test_a_thread_that_threading_does_not_know_is_found_by_place_unless_it_was_there() -> None:
    locks: list[_thread.LockType] = []

    def pump_on() -> None:
        locks[-1].acquire()

    def start() -> None:
        locks.append(_thread.allocate_lock())
        locks[-1].acquire()
        _thread.start_new_thread(pump_on, ())
        while len(unknown_to_threading()) < len(locks):
            os.sched_yield()

    try:
        start()
        with found() as at:
            assert at.reason is None
            start()
            place = f"{__file__}:{pump_on.__code__.co_firstlineno}"
            assert at.reason == f"a thread without a name is running, which runs {place}"
    finally:
        for lock in locks:
            lock.release()
        while unknown_to_threading():
            os.sched_yield()


# --- descriptors and memory ---


def test_a_socket_that_is_renewed_in_each_worker_is_not() -> None:
    adapted: set[int] = set()
    looks = Hazards(as_config(Config()))
    looks.excuse(lambda: frozenset(adapted))
    looks.begin()
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_server(("127.0.0.1", 0)) as other:
        adapted.update([server.fileno(), other.fileno()])
        looks.finish()
        looks.wire.lay()
        adapted.remove(other.fileno())
        with pytest.raises(UnsafeFork, match="a socket was opened"):
            looks.finish()


@pytest.mark.parametrize("vouched", ["sockets", "soc*"])
def test_the_word_for_a_kind_vouches_for_it(vouched: str) -> None:
    with found(vouched) as at, socket.create_server(("127.0.0.1", 0)):
        assert at.reason is None


def test_memory_that_processes_would_share_is_found() -> None:
    with found() as at, mmap.mmap(-1, 4096):
        assert (at.reason or "").startswith("memory was made that processes would share")
    with found("shared-memory") as at, mmap.mmap(-1, 4096):
        assert at.reason is None


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


# --- while conftests are loaded ---


def while_imported(*vouched: str) -> str | None:
    with found(*vouched) as at:
        return at.hazards.while_imported()


def test_while_conftests_are_loaded_nothing_is_found_where_nothing_is() -> None:
    assert while_imported() is None


def test_while_conftests_are_loaded_the_first_of_the_evidence_counts(
    pump: threading.Thread,
) -> None:
    with found() as at:
        exec(
            compile("os.getenv('PYTEST_XDIST_WORKER')", "/there/db.py", "exec"), {"os": os, "__name__": "db"}
        )
        reason = at.hazards.while_imported()
    assert reason == "db.py:1 reads PYTEST_XDIST_WORKER while it is imported"
    assert "thread 'pump-7'" in (while_imported() or "")
    assert while_imported("pump-*") is None


def test_a_connection_of_a_conftest_is_found(server: socket.socket) -> None:
    with found() as at, socket.create_connection(server.getsockname()):
        reason = at.hazards.while_imported() or ""
        assert reason.startswith(f"a socket was opened: connected to {server.getsockname()!r}")


def test_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    used = False
    torch = SimpleNamespace(cuda=SimpleNamespace(is_initialized=lambda: used))
    monkeypatch.setitem(sys.modules, "torch", cast("ModuleType", torch))
    assert while_imported() is None
    used = True
    assert while_imported() == "CUDA was initialised"
    monkeypatch.setitem(sys.modules, "torch", ModuleType("torch"))  # half imported
    assert while_imported() is None


def test_an_interpreter_beside_the_main_one_is_found_until_it_is_gone() -> None:
    name = "_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters"
    interpreters = importlib.import_module(name)
    reason = "an interpreter was created beside the main one"
    with found() as hazards:
        assert hazards.reason is None
    made = interpreters.create()
    with found() as hazards:
        assert hazards.reason == reason
    assert while_imported() == reason
    interpreters.destroy(made)
    assert while_imported() is None
