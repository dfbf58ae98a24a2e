"""Takes snapshots of this process, and waits for what is about to end.

Functions are bound against mocks as in `system/calls.py`.
"""

from __future__ import annotations

import os
import resource
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType

from pytest_procpar.leaks.resources import Descriptor, Leak, ResourceSnapshot
from pytest_procpar.system import frozen_heap
from pytest_procpar.system.calls import getpid, pause
from pytest_procpar.system.descendants import (
    Process,
    descendants,
    is_childless,
    line_of,
    list_names,
    read_bytes,
    reap,
)
from pytest_procpar.system.genuine import READ, Handler, close, make_poll

__all__ = ["await_end", "children_by_objects", "collect_garbage", "take"]

#: Variables that test runners set for each test.
_RUNNERS_VARIABLES = ("PYTEST_CURRENT_TEST", "PYTEST_XDIST_")
#: The name of memory that ``multiprocessing`` shares, and keeps while its process lives.
_MULTIPROCESSING_MEMORY = "/pym-"
#: How often to look if the kernel does not wake us, in seconds.
_PAUSE = 0.005


def _multiprocessings_own(modules: Mapping[str, object]) -> tuple[set[object], set[object]]:
    """The processes and descriptors that ``multiprocessing`` starts once and keeps."""
    tracker = getattr(modules.get("multiprocessing.resource_tracker"), "_resource_tracker", None)
    server = getattr(modules.get("multiprocessing.forkserver"), "_forkserver", None)
    pids = {getattr(tracker, "_pid", None), getattr(server, "_forkserver_pid", None)}
    fds = {getattr(tracker, "_fd", None), getattr(server, "_forkserver_alive_fd", None)}
    return pids, fds


def _bind_processes(
    getsid: Callable[[int], int] = os.getsid,
    getpgid: Callable[[int], int] = os.getpgid,
    modules: Mapping[str, object] = sys.modules,
) -> Callable[[], dict[tuple[int, int], Process]]:
    def take_processes() -> dict[tuple[int, int], Process]:
        """Return the processes that run, and those that have ended and only this process can wait for.

        A subreaper cannot tell its children from those it has inherited. As long as a child has not become
        the leader of a session or a group, it is in ours; an inherited one may be in another.
        """
        if is_childless():
            return {}
        me, session, group = getpid(), getsid(0), getpgid(0)
        below = descendants(me)
        own, _ = _multiprocessings_own(modules)
        found = {}
        for process in below.values():
            if process.ended and process.session not in (session, process.pid):
                if process.parent == me:
                    reap(process.pid)  # a daemon has ended
            elif process.ended and (process.parent != me or process.group not in (group, process.pid)):
                continue
            elif not own.intersection(line_of(process, below)):
                found[process.pid, process.started] = process
        return found

    return take_processes


def _bind_threads(
    known: Callable[[], list[threading.Thread]] = threading.enumerate,
) -> Callable[[], tuple[dict[int, threading.Thread], dict[int, str]]]:
    def take_threads() -> tuple[dict[int, threading.Thread], dict[int, str]]:
        tasks = list_names("/proc/self/task")
        threads = {id(thread): thread for thread in known()}
        known_ids = {str(thread.native_id) for thread in threads.values()}
        foreign = [task for task in tasks if task not in known_ids]
        names = (read_bytes(f"/proc/self/task/{task}/comm").decode(errors="replace") for task in foreign)
        return threads, {int(task): name.strip() for task, name in zip(foreign, names, strict=True) if name}

    return take_threads


def _bind_descriptors(
    readlink: Callable[[str], str] = os.readlink,
    fstat: Callable[[int], os.stat_result] = os.fstat,
    limits: Callable[[int], tuple[int, int]] = resource.getrlimit,
    which: int = resource.RLIMIT_NOFILE,
    unlimited: int = resource.RLIM_INFINITY,
    modules: Mapping[str, object] = sys.modules,
) -> Callable[[], dict[int, Descriptor]]:
    known: list[int] = []

    def take_descriptors() -> dict[int, Descriptor]:
        """All descriptors except the runner's own, which stay out of reach if a test raises the limit."""
        known[1:] = [limits(which)[0]]  # the first value stays
        end = min((soft for soft in known if soft != unlimited), default=unlimited)
        _, own = _multiprocessings_own(modules)
        found = {}
        for name in list_names("/proc/self/fd"):
            fd = int(name)
            if (end != unlimited and fd >= end) or fd in own:
                continue
            try:
                target, about = readlink(f"/proc/self/fd/{fd}"), fstat(fd)
            except OSError:  # the one with which the folder was listed
                continue
            if _MULTIPROCESSING_MEMORY in target:
                continue
            found[fd] = Descriptor(target.removesuffix(" (deleted)"), about.st_dev, about.st_ino)
        return found

    return take_descriptors


def _bind_settings(
    system: ModuleType = os,
    interpreter: ModuleType = sys,
    getcwd: Callable[[], str] = os.getcwd,
    getsignal: Callable[[int], Handler] = signal.getsignal,
    signals: Iterable[int] = tuple(sorted(signal.valid_signals())),
) -> Callable[[], ResourceSnapshot]:
    def take_settings() -> ResourceSnapshot:
        environment = {
            name: value
            for name, value in system.environ.items()
            if not str(name).startswith(_RUNNERS_VARIABLES)
        }
        try:
            directory = getcwd()
        except OSError:
            directory = "one that is gone"
        return ResourceSnapshot(
            environment=environment,
            directory=directory,
            handlers={signum: getsignal(signum) for signum in signals},
            path=list(interpreter.path),
        )

    return take_settings


_take_processes = _bind_processes()
_take_threads = _bind_threads()
_take_descriptors = _bind_descriptors()
_take_settings = _bind_settings()


def take() -> ResourceSnapshot:
    """The state of this process now."""
    taken = _take_settings()
    taken.descriptors = _take_descriptors()
    taken.threads, taken.foreign_threads = _take_threads()
    taken.processes = _take_processes()
    return taken


def _bind_children_by_objects(
    get_objects: Callable[[], list[object]] = frozen_heap.get_objects,
    popen: type = subprocess.Popen,
    modules: Mapping[str, object] = sys.modules,
) -> Callable[[], set[int]]:
    def children_by_objects() -> set[int]:
        another = getattr(modules.get("multiprocessing.popen_fork"), "Popen", popen)
        # Not with isinstance, which asks proxies for what they stand for.
        found = (each for each in get_objects() if issubclass(type(each), (popen, another)))
        return {getattr(each, "pid", 0) for each in found}

    return children_by_objects


#: Returns the pids of children that `subprocess` or `multiprocessing` started and has an object for.
children_by_objects = _bind_children_by_objects()


# --- waiting --------------------------------------------------------------------------------------


def _bind_await_end(
    pidfd_open: Callable[[int], int] | None,
    close: Callable[[int], None] = close,
    poll: Callable[[], select.poll] = make_poll,
    readable: int = READ,
    thread: type[threading.Thread] = threading.Thread,
    join: Callable[[threading.Thread, float], None] = threading.Thread.join,
) -> Callable[[Leak, float], None]:
    def await_process(process: Process, seconds: float) -> bool:
        if pidfd_open is None:
            return False
        try:
            fd = pidfd_open(process.pid)
        except ProcessLookupError:
            return True
        except OSError:
            return False
        poller = poll()
        poller.register(fd, readable)
        poller.poll(seconds * 1000)
        close(fd)
        return True

    def await_end(change: Leak, seconds: float) -> None:
        subject = change.subject
        if isinstance(subject, Process) and not subject.ended and await_process(subject, seconds):
            return
        if isinstance(subject, thread):
            try:
                join(subject, seconds)
                return
            except (RuntimeError, AssertionError):  # a thread that Python did not start cannot be joined
                pass
        pause(_PAUSE)

    return await_end


#: Waits for the end of the process or thread that a change is about, for a number of seconds at most. If
#: nothing tells of the end, it waits only for a moment.
await_end = _bind_await_end(getattr(os, "pidfd_open", None))


def _bind_collect(collect: Callable[[], int] = frozen_heap.collect) -> Callable[[], int]:
    return lambda: collect()


#: Collects garbage.
collect_garbage = _bind_collect()
