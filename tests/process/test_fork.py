"""Forking, in programs of their own: what both sides print, and which exit handlers run where."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from pytest_procpar.controller.signals import Signals
from pytest_procpar.forking.fork import default_signals, disregard_interrupts, flush_stdio, fork
from tests.process.helpers import child

pytestmark = pytest.mark.python_dependent

START = """
import atexit, multiprocessing, os, sys, tempfile, threading, weakref
from pytest_procpar.forking.fork import fork, forget_exit_handlers, run_exit_handlers

def in_child(body):
    "Run `body` in a child that ends as a worker does, and wait for it."
    pid = fork()
    if pid == 0:
        forget_exit_handlers()
        body()
        run_exit_handlers()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
"""


def run(code: str, *options: str, cwd: Path | None = None) -> list[str]:
    """The lines that a program prints, which imports no more than it needs."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    finished = subprocess.run(
        [sys.executable, "-W", "error", *options, "-c", START + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert (finished.returncode, finished.stderr) == (0, "")
    return finished.stdout.splitlines()


# --- streams ----------------------------------------------------------------------------------------


def test_what_was_printed_before_the_fork_is_printed_once() -> None:
    assert run("print('before'); in_child(lambda: print('child')); print('parent')") == [
        "before",
        "child",
        "parent",
    ]


def test_stream_that_cannot_be_flushed_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with open(os.devnull, "w") as closed:
        closed.close()
        monkeypatch.setattr(sys, "stdout", closed)
        monkeypatch.setattr(sys, "stderr", None)
        flush_stdio()


def test_fork_beside_a_thread_warns_of_nothing() -> None:
    code = """
    go_on = threading.Event()
    thread = threading.Thread(target=go_on.wait)
    thread.start()
    in_child(lambda: print("child"))
    go_on.set()
    thread.join()
    """
    assert run(code) == ["child"]


# --- exit handlers ----------------------------------------------------------------------------------


def test_exit_handler_runs_in_the_process_that_registered_it() -> None:
    code = """
    atexit.register(print, "of the parent")
    in_child(lambda: atexit.register(print, "of the child"))
    """
    assert run(code) == ["of the child", "of the parent"]


@pytest.mark.parametrize("used_before", [True, False])
def test_finalizer_runs_in_the_process_that_made_it(used_before: bool) -> None:
    code = f"""
    class Thing: pass
    mine, yours = Thing(), Thing()
    if {used_before}:
        weakref.finalize(mine, print, "of the parent")
    in_child(lambda: weakref.finalize(yours, print, "of the child"))
    """
    assert run(code) == ["of the child", "of the parent"][: 1 + used_before]


def test_finalizer_of_the_parent_does_not_run_when_the_child_drops_the_object() -> None:
    code = """
    class Thing: pass
    things = [Thing()]
    weakref.finalize(things[0], print, "dropped")
    in_child(things.clear)
    print("waited")
    """
    assert run(code) == ["waited", "dropped"]


def test_finalizer_of_the_parent_can_be_called_in_the_child() -> None:
    code = """
    class Thing: pass
    thing = Thing()
    finalizer = weakref.finalize(thing, print, "finalized")
    def use():
        print(finalizer.alive, finalizer.peek()[0] is thing)
        finalizer()
        print(finalizer.alive)
    in_child(use)
    finalizer.detach()
    """
    assert run(code) == ["True True", "finalized", "False"]


def test_temporary_directory_of_the_parent_outlives_its_children() -> None:
    code = """
    folder = tempfile.TemporaryDirectory()
    in_child(lambda: print(os.path.isdir(folder.name)))
    in_child(lambda: None)
    print(os.path.isdir(folder.name))
    folder.cleanup()
    print(os.path.isdir(folder.name))
    """
    assert run(code) == ["True", "True", "False"]


def test_temporary_directory_of_the_child_goes_with_it() -> None:
    code = """
    import warnings
    warnings.simplefilter("ignore", ResourceWarning)  # that it is left to the end is the point
    def make():
        global folder
        folder = tempfile.TemporaryDirectory()
        print(folder.name)
    in_child(make)
    """
    (name,) = run(code)
    assert not os.path.exists(name)


def test_child_does_not_wait_for_the_processes_of_its_parent() -> None:
    code = """
    context = multiprocessing.get_context("fork")
    mine, yours = context.Pipe()
    process = context.Process(target=yours.recv)
    process.start()
    in_child(lambda: print(multiprocessing.active_children()))
    mine.send(None)
    process.join()
    print(process.exitcode)
    """
    assert run(code) == ["[]", "0"]


def test_processes_of_the_child_are_joined_when_it_ends() -> None:
    code = """
    context = multiprocessing.get_context("fork")
    def start():
        mine, yours = context.Pipe()
        context.Process(target=lambda: print("process", yours.recv())).start()
        atexit.register(mine.send, "that was told to end at exit")
    in_child(start)
    print("waited")
    """
    assert run(code) == ["process that was told to end at exit", "waited"]


@pytest.mark.parametrize("package", ["multiprocessing", "multiprocess"])
def test_process_that_only_a_handler_of_the_parent_would_have_stopped_is_ended_and_told_of(
    package: str,
) -> None:
    code = f"""
    import contextlib, importlib, io, signal
    sys.modules.update({{f"{package}{{end}}": importlib.import_module(f"multiprocessing{{end}}") for end in
                        ("", ".util", ".process")}})
    if {package!r} != "multiprocessing":
        del sys.modules["multiprocessing.util"]
    from pytest_procpar.forking import fork as tried
    tried._PATIENCE = 0.01
    context = multiprocessing.get_context("fork")
    started = []
    atexit.register(lambda: [process.terminate() for process in multiprocessing.active_children()])
    said = io.StringIO()
    def start():
        sys.stderr = said
        started.append(context.Process(target=signal.pause, name="server"))
        started[0].start()
        atexit._run_exitfuncs()
        print(started[0].exitcode == -signal.SIGTERM, "ended the process 'server'" in said.getvalue())
    in_child(start)
    """
    assert run(code) == ["True True"]


def test_manager_that_the_child_has_left_ends_without_being_waited_for() -> None:
    code = """
    from multiprocessing.managers import SyncManager
    from pytest_procpar.forking import fork as tried
    tried._PATIENCE = float("inf")
    managers = []
    def start():
        managers.append(SyncManager(ctx=multiprocessing.get_context("fork")))
        managers[0].start()
    in_child(start)
    """
    assert run(code) == []


def test_handler_that_a_library_has_registered_for_what_it_starts_runs_in_the_child_too() -> None:
    code = """
    import types
    library = sys.modules["pebble.pool.process"] = types.ModuleType("pebble.pool.process")
    library.interpreter_shutdown = lambda: print("stopped in child") if os.getpid() != parent else None
    parent = os.getpid()
    atexit.register(library.interpreter_shutdown)
    in_child(lambda: None)
    """
    assert run(code) == ["stopped in child"]


@pytest.mark.parametrize(("configures", "expected"), [(True, ["stopped in child"]), (False, [])])
def test_handler_that_a_plugin_has_registered_at_import_runs_where_it_is_configured(
    configures: bool, expected: list[str]
) -> None:
    code = f"""
    import types
    plugin = sys.modules["pytest_xvfb"] = types.ModuleType("pytest_xvfb")
    plugin.shutdown_xvfb = lambda: print("stopped in child") if os.getpid() != parent else None
    parent = os.getpid()
    atexit.register(plugin.shutdown_xvfb)
    pid = fork()
    if pid == 0:
        forget_exit_handlers(configures={configures})
        run_exit_handlers()
        os._exit(0)
    os.waitpid(pid, 0)
    """
    assert run(code) == expected


# --- coverage ---------------------------------------------------------------------------------------


@pytest.mark.skipif(importlib.util.find_spec("coverage") is None, reason="needs coverage")
@pytest.mark.parametrize("patch", ["fork", "fork, subprocess", ""])
def test_measurement_goes_on_in_the_child_and_is_not_started_again(tmp_path: Path, patch: str) -> None:
    (tmp_path / ".coveragerc").write_text(f"[run]\nparallel = true\npatch = {patch}\n")
    code = """
    import coverage
    measurement = coverage.Coverage()
    measurement.start()
    variables = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE")}
    def look():
        print(coverage.Coverage.current() is measurement, measurement._started)
        print(variables == {n: v for n, v in os.environ.items() if n.startswith("COVERAGE")})
    in_child(look)
    look()
    measurement.stop()
    """
    assert run(code, cwd=tmp_path) == ["True True", "True"] * 2


# --- signals ----------------------------------------------------------------------------------------


def test_handlers_are_those_of_a_fresh_interpreter() -> None:
    def check() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        default_signals()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL

    with child(check):
        pass


def test_handlers_of_the_suite_stay() -> None:
    def of_suite(signum: int, frame: object) -> None:
        raise AssertionError

    def check() -> None:
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, of_suite)
        disregard_interrupts()
        disregard_interrupts()
        os.kill(os.getpid(), signal.SIGINT)
        default_signals()
        assert signal.getsignal(signal.SIGINT) is of_suite
        assert signal.getsignal(signal.SIGTERM) is of_suite

    with child(check):
        pass


def test_handlers_of_ours_go() -> None:
    def check() -> None:
        assert callable(signal.getsignal(signal.SIGTERM))
        disregard_interrupts()
        default_signals()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL

    def ours(signum: int, frame: object) -> None:
        pass

    ours.__module__ = Signals.__module__
    previous = signal.signal(signal.SIGTERM, ours)
    try:
        with child(check):
            pass
    finally:
        signal.signal(signal.SIGTERM, previous)


def test_the_main_thread_knows_its_native_id() -> None:
    pid = fork()
    if pid == 0:
        os._exit(threading.main_thread().native_id != threading.get_native_id())
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_signals_of_a_child_do_not_wake_its_parent() -> None:
    def check() -> None:
        default_signals()
        assert signal.set_wakeup_fd(-1) == -1

    with Signals(), child(check):
        pass


def test_process_in_the_background_may_use_the_terminal() -> None:
    def check() -> None:
        default_signals()
        for signum in (signal.SIGTTIN, signal.SIGTTOU):
            os.kill(os.getpid(), signum)  # would stop it

    with child(check):
        pass


# --- multiprocessing --------------------------------------------------------------------------------


def test_process_from_which_multiprocessing_forks_is_the_parents_and_the_child_starts_its_own() -> None:
    assert run("""
        from multiprocessing import forkserver

        def start(who):
            process = multiprocessing.get_context("forkserver").Process(target=os.getpid)
            process.start()
            process.join()
            print(who, process.exitcode, forkserver._forkserver._forkserver_pid not in seen)
            seen.add(forkserver._forkserver._forkserver_pid)

        seen = set()
        start("parent")
        in_child(lambda: [start("child"), start("child"), in_child(lambda: start("grandchild"))])
        start("parent")
    """) == ["parent 0 True", "child 0 True", "child 0 False", "grandchild 0 True", "parent 0 False"]


# --- the garbage collector --------------------------------------------------------------------------


def test_who_holds_the_random_numbers_of_hypothesis_is_seen_in_a_frozen_heap() -> None:
    assert run("""
        import gc, random
        import hypothesis.core
        from pytest_procpar.forking.heap import Heap

        holder = hypothesis.core.threadlocal
        assert holder._hypothesis_global_random is None
        Heap(freeze=True).settle()
        holder._hypothesis_global_random = random.Random()
        print(len(gc.get_referrers(holder._hypothesis_global_random)))
        given = holder._hypothesis_global_random
        Heap(freeze=True).settle()
        print(holder._hypothesis_global_random is given)
    """) == ["1", "True"]
