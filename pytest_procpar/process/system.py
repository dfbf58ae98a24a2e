"""The operating system's functions, bound where no user's mock can reach them.

Tests patch `os.write`, `time.time` and the like, in the module that defines them and in every module
that imported them (freezegun and pyfakefs walk `sys.modules`). What we need while a test runs is bound
here once, in default arguments and closures, before any test module is imported.
"""

from __future__ import annotations

import _socket
import fcntl
import os
import resource
import signal
import socket
import time
from collections.abc import Callable
from typing import NoReturn

__all__ = [
    "DUMP_SIGNAL",
    "adopt_socket",
    "change_directory",
    "describe_status",
    "end_process",
    "getpid",
    "kernel_state",
    "monotonic",
    "out_of_reach",
    "pause",
    "socket_pair",
]


#: What makes a worker write down its stacks: a signal that hardly any test uses.
DUMP_SIGNAL = int(getattr(signal, "SIGRTMAX", signal.SIGUSR2 + 4)) - 4


def _bind_monotonic(clock: Callable[[], float] = time.monotonic) -> Callable[[], float]:
    return lambda: clock()


#: Seconds on a clock that does not jump back.
monotonic = _bind_monotonic()


def _bind_getpid(pid: Callable[[], int] = os.getpid) -> Callable[[], int]:
    return lambda: pid()


#: The calling process's id.
getpid = _bind_getpid()


def _bind_end(end: Callable[[int], NoReturn] = os._exit) -> Callable[[int], NoReturn]:
    return lambda status: end(status)


#: End this process at once.
end_process = _bind_end()


def _bind_chdir(chdir: Callable[..., None] = os.chdir) -> Callable[[object], None]:
    return lambda path: chdir(path)


#: Make a folder the working directory.
change_directory = _bind_chdir()


def _bind_pause(sleep: Callable[[float], None] = time.sleep) -> Callable[[float], None]:
    return lambda seconds: sleep(seconds)


#: Wait, in seconds.
pause = _bind_pause()


#: Programs close descriptors up to a number they chose, which is hardly ever higher than this.
_FAR = 8192
#: A process's table of descriptors reaches up to its highest one, and every fork copies it (8 bytes each).
_TOO_FAR = 1 << 16
_ROOM = 4096


def out_of_reach(fd: int) -> int:
    """Move a descriptor to where tests do not go, and return its new number; `fd` is closed.

    Programs close descriptors up to a number they chose (`os.closerange(3, 256)`) or up to the soft limit
    (`SC_OPEN_MAX`). A descriptor above the soft limit stays open and usable, so where the hard limit
    allows it ours goes there; otherwise as far up as is cheap (containers often have a limit of a million,
    or a billion).
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    if soft != unlimited and soft <= _TOO_FAR and (hard == unlimited or hard >= soft + _ROOM):
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft + _ROOM, hard))
        try:
            moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, soft)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    else:
        lowest = _FAR if soft == unlimited else min(_FAR, soft // 2)
        moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, max(3, lowest))
    os.close(fd)
    return moved


def adopt_socket(fd: int, make: Callable[..., socket.socket] = socket.socket) -> socket.socket:
    """The blocking socket behind a descriptor, out of reach, closed on exec; `fd` is closed.

    Neither a class that a plugin has put in the place of `socket.socket` nor a default timeout changes it.
    """
    sock = make(fileno=out_of_reach(fd))
    sock.setblocking(True)
    return sock


def socket_pair(
    make: Callable[..., tuple[_socket.socket, _socket.socket]] = _socket.socketpair,
) -> tuple[socket.socket, socket.socket]:
    """Two connected stream sockets, as `adopt_socket` makes them."""
    left, right = make(socket.AF_UNIX, socket.SOCK_STREAM)
    return adopt_socket(left.detach()), adopt_socket(right.detach())


def describe_status(status: int) -> str:
    """A wait status in words: ``killed by SIGSEGV``, ``exited with code 3``."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"exited with code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"killed by {name}"


def kernel_state(pid: int) -> str:
    """What the kernel says that a process is doing: for one that cannot be asked (Linux; else nothing)."""
    facts = {}
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
            facts = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
        with open(f"/proc/{pid}/wchan", encoding="utf-8", errors="replace") as file:
            facts["wchan"] = file.read()
    except OSError:
        pass
    words = [f"state {facts['State']}"] if "State" in facts else []
    if facts.get("wchan", "0") not in ("", "0"):
        words.append(f"waiting in {facts['wchan']}")
    if facts.get("SigBlk", "0").strip("0"):
        words.append("some of its signals are blocked")
    return "The kernel says: " + ", ".join(words) if words else ""
