"""What makes it unsafe to fork workers from a process: evidence, not guesses.

Each finding names its culprit in words that complete "the start method is not fork, since"
"""

from __future__ import annotations

import fnmatch
import gc
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

import pytest

from pytest_procpar.process.system import pause
from pytest_procpar.process.tripwire import Tripwire

#: Where the tripwire is, in a run that may have workers.
WIRE = pytest.StashKey[Tripwire]()

__all__ = [
    "EARLY_PLUGINS",
    "SPAWN_PLUGINS",
    "WIRE",
    "Hazards",
    "UnsafeFork",
    "hazard_before_configure",
    "known_plugin",
    "tripwire",
]

#: Plugins that fix a worker's identity, or start what does not survive a fork, when they are configured, by
#: the names under which they register (their code was read; see docs/start-methods.md).
EARLY_PLUGINS = {
    "xvfb": "pytest-xvfb starts one display server for all",
    "pytest_opentelemetry": "pytest-opentelemetry begins a span that every worker would end",
    "pytest_reportportal": "pytest-reportportal starts threads for what it sends",
    "monitor": "pytest-monitor holds an SQLite connection, which must not cross a fork",
    "logfire": "logfire begins a span that every worker would end",
}

#: Plugins that take a role before anything can be forked.
SPAWN_PLUGINS = {
    "ddtrace": "ddtrace fixes its role in the session when it is loaded",
}

#: Threads of debuggers and of what runs pytest: they have no part in a test.
_OUTSIDE_THREADS = ("pydevd.*", "IPython*", "MainThread")

#: How often it is looked whether a thread stays, and at what distance, in seconds.
_LOOKS, _LOOK_SECONDS = 20, 0.005

#: Libraries whose thread pools are made anew, or not used, in a forked process.
_FORK_SAFE_POOLS = ("openblas", "mkl", "gomp", "libomp", "libiomp", "blis", "tbb")


class UnsafeFork(Exception):
    """Workers must not be forked from this process; the reason names the culprit."""


class Hazards:
    """Looks, in the process that collects, for what has come up since it was made.

    :param vouched: patterns of what the project says is safe: files, thread names, plugins.
    :param adapted: the descriptors of sockets that are renewed in each worker.
    """

    def __init__(
        self,
        config: pytest.Config,
        wire: Tripwire,
        vouched: Iterable[str],
        adapted: Callable[[pytest.Config], frozenset[int]] = lambda config: frozenset(),
    ) -> None:
        self._config = config
        self._vouched = tuple(vouched)
        self._adapted = adapted
        self.wire = wire
        self._sockets: frozenset[str] = frozenset()
        self._tasks = 0

    def begin(self) -> None:
        """Note what is there already, in the process that will be looked at."""
        self.wire.lay()
        self._sockets = frozenset(_sockets().values())
        self._tasks = _native_threads()

    def check(self) -> None:
        """See whether somebody has asked for a worker's identity.

        :raises UnsafeFork: if so.
        """
        read = self.wire.first
        if read is not None:
            self._found(f"{read.place(self._config.rootpath)} reads {read.what}")

    def finish(self) -> None:
        """Look at everything, and note nothing more.

        :raises UnsafeFork: if workers must not be forked from here.
        """
        self.check()
        found = next(self._findings(), None)
        if found is not None:
            self._found(found)
        self.wire.cut()

    def _found(self, reason: str) -> NoReturn:
        self.wire.cut()
        raise UnsafeFork(reason)

    def _findings(self) -> Iterator[str]:
        yield from _threads(self._vouched)
        more = _native_threads() > self._tasks and not _has_fork_safe_pool()
        if more and _has_more_threads(self._tasks):  # which takes its time, so it comes last
            yield "threads have been started that Python does not know of"
        adapted = self._adapted(self._config)
        for fd, name in _sockets().items():
            if name not in self._sockets and fd not in adapted and "sockets" not in self._vouched:
                yield f"a socket was opened: {_describe_socket(fd)}"
        if _uses_cuda():
            yield "CUDA was initialised"


@contextmanager
def tripwire(config: pytest.Config) -> Iterator[None]:
    """Meanwhile, note who asks which worker this is: there is none yet."""
    vouched = tuple(config.getini("procpar_fork_safe"))
    config.stash[WIRE] = wire = Tripwire(lambda file: is_vouched(file, vouched, config.rootpath))
    wire.lay()
    try:
        yield
    finally:
        wire.cut()


def is_vouched(name: str, vouched: Iterable[str], root: Path) -> bool:
    """Whether the project says that something is safe: by its name or, for a file, its path."""
    path = Path(name)
    names = {name, path.name}
    if path.is_relative_to(root):
        names.add(path.relative_to(root).as_posix())
    return any(fnmatch.fnmatch(n, pattern) for n in names for pattern in vouched)


def known_plugin(config: pytest.Config, known: dict[str, str], vouched: Iterable[str]) -> str | None:
    """What is known against a plugin that is registered and not vouched for."""
    for name, reason in known.items():
        plugin = config.pluginmanager.getplugin(name)
        if plugin is not None and not is_vouched(name, vouched, config.rootpath) and _is_active(config, name):
            return reason
    return None


def _is_active(config: pytest.Config, name: str) -> bool:
    """Whether a plugin that is loaded does anything."""
    option = config.option
    match name:
        case "ddtrace":
            return bool(getattr(option, "ddtrace", False) or _ini(config, "ddtrace"))
        case "pytest_reportportal":
            return bool(getattr(option, "rp_enabled", False))
        case "logfire":
            return bool(getattr(option, "logfire", False) or _ini(config, "logfire"))
        case "monitor":
            return not getattr(option, "mtr_none", False)
        case _:
            return True


def _ini(config: pytest.Config, name: str) -> Any:
    try:
        return config.getini(name)
    except ValueError:  # nobody has defined it
        return None


def hazard_before_configure(
    config: pytest.Config, wire: Tripwire | None, vouched: Iterable[str]
) -> str | None:
    """Why nothing may be forked from the controller's process as it is."""
    vouched = tuple(vouched)
    read = wire.first if wire is not None else None
    if read is not None:
        return f"{read.place(config.rootpath)} reads {read.what} while it is imported"
    plugin = known_plugin(config, SPAWN_PLUGINS, vouched)
    if plugin is not None:
        return plugin
    thread = next(_threads(vouched), None)
    if thread is not None:
        return thread
    return "CUDA was initialised" if _uses_cuda() else None


# --- threads -----------------------------------------------------------------------------------------


def _threads(vouched: Iterable[str]) -> Iterator[str]:
    """The threads that would be missing in a forked process."""
    known = (*_OUTSIDE_THREADS, *vouched)
    for thread in threading.enumerate():
        outside = any(fnmatch.fnmatch(thread.name, pattern) for pattern in known)
        if thread is threading.current_thread() or outside or thread is threading.main_thread():
            continue
        target = getattr(thread, "_target", None) or type(thread).run
        code = getattr(getattr(target, "__func__", target), "__code__", None)
        where = f", which runs {code.co_filename}:{code.co_firstlineno}" if code is not None else ""
        yield f"thread {thread.name!r} is running{where}"


def _has_more_threads(count: int) -> bool:
    """Whether there are more threads that Python did not start, and they stay.

    One that Python has joined is known to the kernel for a moment more.
    """
    for _ in range(_LOOKS):
        if _native_threads() <= count:
            return False
        pause(_LOOK_SECONDS)
    return True


def _native_threads() -> int:
    """How many threads this process has that Python did not start; 0 where that cannot be told."""
    with suppress(OSError):
        return max(0, len(os.listdir("/proc/self/task")) - len(threading.enumerate()))
    return 0


def _has_fork_safe_pool() -> bool:
    with suppress(OSError), open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
        text = file.read()
        return any(name in text for name in _FORK_SAFE_POOLS)
    return False


# --- descriptors ---------------------------------------------------------------------------------------


def _sockets() -> dict[int, str]:
    """The open sockets: descriptor and the kernel's name (Linux; elsewhere none are seen)."""
    return {fd: target for fd, target in _open_files() if target.startswith("socket:")}


def _open_files() -> Iterator[tuple[int, str]]:
    """This process's descriptors, and what the kernel calls what is behind them (Linux; elsewhere none)."""
    with suppress(OSError):
        for name in os.listdir("/proc/self/fd"):
            with suppress(OSError):
                yield int(name), os.readlink(f"/proc/self/fd/{name}")


def _describe_socket(fd: int) -> str:
    """A socket's ends, and what holds it, as far as can be told."""
    words = f"descriptor {fd}"
    with suppress(OSError), closing(socket.socket(fileno=os.dup(fd))) as copy:
        words = f"bound to {copy.getsockname()!r}"
        with suppress(OSError):
            words = f"connected to {copy.getpeername()!r}"
    for thing in gc.get_objects():
        if isinstance(thing, socket.socket) and thing.fileno() == fd:
            owner = next((name for name in map(_owner, gc.get_referrers(thing)) if name), "")
            return f"{words}{owner}"
    return words


def _owner(thing: Any) -> str:
    if isinstance(thing, dict):
        name = thing.get("__name__")
        return f", held by module {name}" if isinstance(name, str) and "__spec__" in thing else ""
    module = type(thing).__module__
    return f", held by a {type(thing).__name__} of {module}" if module not in ("builtins", __name__) else ""


def _uses_cuda() -> bool:
    torch = sys.modules.get("torch")
    with suppress(Exception):
        if torch is not None and torch.cuda.is_initialized():
            return True
    return any(target.startswith("/dev/nvidia") for _, target in _open_files())
