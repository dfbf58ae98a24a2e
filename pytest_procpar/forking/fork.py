"""Forking, and what a forked child must forget about its parent.

This is what both of our forks (controller to fork server, fork server to worker) share. It does not use
`os.register_at_fork`, which would also act in forks that users make.
"""

from __future__ import annotations

import atexit
import logging
import os
import signal
import sys
import threading
import warnings
import weakref
from collections.abc import Callable
from contextlib import suppress
from types import FrameType, ModuleType
from typing import TYPE_CHECKING, Protocol

from pytest_procpar.compat.plugins.file_locks import carry_locks
from pytest_procpar.compat.plugins.gevent_hubs import renew_loops
from pytest_procpar.coverage_data.measuring import (
    coverage_looks_away,
    keep_coverage_of_terminated,
    own_coverage,
)
from pytest_procpar.forking import file_positions
from pytest_procpar.forking.inherited_processes import carry_processes
from pytest_procpar.forking.left_open import settle_left_open
from pytest_procpar.forking.random_state import carry_generator
from pytest_procpar.system import genuine
from pytest_procpar.system.calls import monotonic

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

    class _Finalized(Protocol):
        """What `weakref` knows of a finalizer that has not run."""

        weakref: Callable[[], object]


__all__ = [
    "default_signals", "disregard_interrupts", "flush_stdio", "forget_exit_handlers", "fork",
    "let_setsid_work", "let_setsid_work_again", "run_exit_handlers",
]  # fmt: skip


def fork(do_fork: Callable[[], int] = genuine.fork, *, has_started: bool | None = None) -> int:
    """`os.fork`, without Python 3.12's warning about threads.

    Before workers are forked, we count and judge the threads, and warn about those that are not known to be
    harmless (`thread_warning`). As an error, the warning would hide the child.

    :param has_started: see `carry_processes`.
    """
    flush_stdio()
    carried = (carry_locks(), carry_generator(), carry_processes(has_started=has_started))
    with coverage_looks_away(), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = do_fork()
    if pid == 0:
        file_positions.renew()
        renew_loops()
        own_coverage()
        for carry in carried:
            carry()
        _forget_fork_server_of_multiprocessing()
        _renew_native_id()
    return pid


def _renew_native_id() -> None:
    """Let the main thread know the system's id of the thread that it is now, as `multiprocessing` does."""
    renew = getattr(threading.main_thread(), "_set_native_id", None)
    if renew is not None:  # neither on every system, nor where gevent has put a class of its own
        renew()


def _forget_fork_server_of_multiprocessing() -> None:
    """Let `multiprocessing` start another process that it forks from (its default since Python 3.14).

    Before it uses the one that it has, it asks whether that one has ended; only its parent can ask.
    """
    server = getattr(sys.modules.get("multiprocessing.forkserver"), "_forkserver", None)
    if getattr(server, "_forkserver_pid", None) is not None:
        for name in ("pid", "alive_fd", "address", "authkey"):
            setattr(server, f"_forkserver_{name}", None)


def flush_stdio() -> None:
    """Write out what is buffered: a fork would copy it, and both sides would write it."""
    for name in ("stdout", "stderr", "__stdout__", "__stderr__"):
        stream = getattr(sys, name, None)  # a test may have deleted it
        if stream is not None:
            with suppress(Exception):
                stream.flush()


class _Disregard:
    """A handler that does nothing, and remembers the one in whose place it is."""

    def __init__(self, replaced: object) -> None:
        self.replaced: object = replaced.replaced if isinstance(replaced, _Disregard) else replaced

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        """Do nothing."""


def default_signals(*, wakes: bool = False) -> None:
    """Drop our own handlers: what the suite has not set is as in a fresh interpreter.

    The two signals that stop a background process for using the terminal are ignored: our workers are in
    process groups of their own, so a test that runs ``stty`` would stop for good.

    :param wakes: whether the descriptor that signals are written to was set in this process, and is kept.
    """
    signal.signal(signal.SIGINT, _of_suite(signal.SIGINT) or signal.default_int_handler)
    terminates = _of_suite(signal.SIGTERM)
    signal.signal(signal.SIGTERM, terminates or signal.SIG_DFL)
    if terminates is None:
        keep_coverage_of_terminated()
    if not wakes:
        signal.set_wakeup_fd(-1)
    for name in ("SIGTTIN", "SIGTTOU"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)


def _of_suite(signum: int) -> Callable[[int, FrameType | None], object] | None:
    """The handler of a signal that conftests, plugins or test modules have set; None if there is none.

    Coverage's is not counted: each process has that of the measurement that runs in it.
    """
    handler: object = signal.getsignal(signum)
    if isinstance(handler, _Disregard):
        handler = handler.replaced
    package = str(getattr(handler, "__module__", "")).partition(".")[0]
    return handler if callable(handler) and package not in _NOT_OF_SUITE else None


def let_setsid_work() -> None:
    """Let this process call `os.setsid`, although it leads a process group, which forbids that.

    Plain pytest, started by a program, leads none. So before the call the process moves to the group of a
    child that lives only that long.
    """
    os.setsid = _Setsid(os.setsid)


def let_setsid_work_again() -> None:
    """Do the same in a child forked from such a process, unless a test has put something else there."""
    if isinstance(os.setsid, _Setsid):
        os.setsid.owner = os.getpid()


class _Setsid:
    def __init__(self, setsid: Callable[[], None]) -> None:
        self._setsid = setsid
        self.owner = os.getpid()

    def __call__(self) -> None:
        if os.getpid() == self.owner == os.getpgrp():
            self._move()
        self._setsid()

    def _move(self) -> None:
        reader, writer = os.pipe()
        child = fork()
        if child == 0:
            genuine.close(writer)
            os.setpgid(0, 0)
            genuine.read(reader, 1)
            os._exit(0)
        genuine.close(reader)
        with suppress(OSError):  # the child does it too: whichever comes first
            os.setpgid(child, child)
        os.setpgid(0, child)
        genuine.close(writer)
        genuine.waitpid(child, 0)


def disregard_interrupts(
    set_handler: Callable[..., object] = signal.signal,
    get_handler: Callable[[int], object] = signal.getsignal,
) -> None:
    """Let no SIGINT interrupt what this process still has to do.

    The handler does nothing: an ignored signal would stay ignored in the programs that it starts.
    """
    set_handler(signal.SIGINT, _Disregard(get_handler(signal.SIGINT)))


#: The packages whose handlers of signals are not the suite's: ours, Coverage's, and Python's default.
_NOT_OF_SUITE = ("pytest_procpar", "coverage", "_signal")
#: The handlers that plugins register on import for what they start later, in `pytest_configure`.
_HANDLERS_OF_PLUGINS = (("pytest_xvfb", "shutdown_xvfb"),)
#: The handlers that libraries register on import, and that end only processes started by this one.
_HANDLERS_OF_LIBRARIES = (("pebble.pool.process", "interpreter_shutdown"),)
#: Packages whose ``util`` ends processes at exit. The second is a copy of the first, made for dill.
_STARTS_PROCESSES = ("multiprocessing", "multiprocess")
_PATIENCE = 30.0  # seconds, for all processes that a test has left
_GRACE = 1.0  # seconds from SIGTERM to SIGKILL


def forget_exit_handlers(*, configures: bool = False) -> None:
    """Drop the exit handlers inherited from the parent, which runs them itself; keep the machinery alive.

    Without this the first worker to end would delete the temporary directories that the others use.

    :param configures: whether this process calls `pytest_configure`, where plugins start what they need.
    """
    atexit._clear()
    if configures:
        _register_again(_HANDLERS_OF_PLUGINS)
    inherited = list(logging._handlerList)  # type: ignore[attr-defined]
    atexit.register(_close_log_handlers, inherited)
    registry: dict[weakref.finalize[..., object], _Finalized] = weakref.finalize._registry  # type: ignore[attr-defined]
    for finalizer, info in list(registry.items()):
        finalizer.atexit = False
        thing = info.weakref()
        if thing is not None:  # code that holds the finalizer can still call it
            info.weakref = weakref.ref(thing)
    atexit.register(weakref.finalize._exitfunc)  # type: ignore[attr-defined]
    for package in _STARTS_PROCESSES:
        util, process = sys.modules.get(f"{package}.util"), sys.modules.get(f"{package}.process")
        if process is not None:
            process._children.clear()
        if util is not None:
            util._finalizer_registry.clear()
            atexit.register(util._exit_function)
            atexit.register(_end_processes, util)
    _register_again(_HANDLERS_OF_LIBRARIES)


def _register_again(handlers: tuple[tuple[str, str], ...]) -> None:
    for module, name in handlers:
        handler = getattr(sys.modules.get(module), name, None)
        if handler is not None:
            atexit.register(handler)


def _end_processes(util: ModuleType) -> None:
    """End the processes that a test has left and that do not end by themselves.

    `multiprocessing` waits forever for those that are no daemons. What would have stopped them may be an exit
    handler that was registered on import: that one is the parent's, and does not run here.
    """
    util._run_finalizers(0)  # these end some processes, for example a manager's server
    left = util.process.active_children()
    for child in left:
        if child.daemon:
            child.terminate()
    left = _still_running(left, _PATIENCE)
    for child in left:
        child.terminate()
    for child in _still_running(left, _GRACE):
        child.kill()
    for child in left:
        sys.stderr.write(
            f"procpar: ended the process {child.name!r} (pid {child.pid}), which a test has left and which"
            f" went on for {_PATIENCE:g} s: end it in the test or in a fixture\n"
        )


def _still_running(children: list[BaseProcess], seconds: float) -> list[BaseProcess]:
    until = monotonic() + seconds
    for child in children:
        child.join(max(0.0, until - monotonic()))
    return [child for child in children if child.exitcode is None]


def _close_log_handlers(inherited: list[object]) -> None:
    """Shut down, as `logging` does at exit, the handlers that were made in this process."""
    known = set(map(id, inherited))
    handlers = logging._handlerList  # type: ignore[attr-defined]
    logging.shutdown([handler for handler in handlers if id(handler) not in known])


def run_exit_handlers(run: Callable[[], None] = atexit._run_exitfuncs) -> None:
    """Run the exit handlers registered in this process, as a normal exit would, and write what is buffered.

    Those of `threading` come first (thread and process pools have theirs there), but no thread is waited for.
    """
    for handler in reversed(getattr(threading, "_threading_atexits", [])):
        handler()
    run()
    settle_left_open()
    flush_stdio()
