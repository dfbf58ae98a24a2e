"""The operating system's functions, bound where no user's mock can reach them.

Tests patch `os.write`, `time.time` and the like, in the module that defines them and in every module that
imported them (freezegun and pyfakefs go through `sys.modules`). What we need while a test runs is bound here
once, in default arguments and closures, before any test module is imported.
"""

from __future__ import annotations

import _socket
import fcntl
import os
import resource
import signal
from collections.abc import Callable
from typing import NoReturn

from pytest_procpar.system import genuine

__all__ = [
    "DUMP_SIGNAL",
    "KILLED",
    "Socket",
    "adopt_socket",
    "change_directory",
    "describe_status",
    "end_process",
    "far_places",
    "file_behind",
    "getpid",
    "is_foreign",
    "kernel_state",
    "make_pipe",
    "monotonic",
    "out_of_reach",
    "pause",
    "socket_pair",
]


#: The signal that makes a worker write down its stacks. Hardly any test uses it.
DUMP_SIGNAL = int(getattr(signal, "SIGRTMAX", signal.SIGUSR2 + 4)) - 4


def _bind_monotonic(clock: Callable[[], float] = genuine.monotonic) -> Callable[[], float]:
    return lambda: clock()


#: Returns seconds on a clock that does not jump back.
monotonic = _bind_monotonic()


def _bind_getpid(pid: Callable[[], int] = os.getpid) -> Callable[[], int]:
    return lambda: pid()


#: Returns the id of the calling process.
getpid = _bind_getpid()


def _bind_end(end: Callable[[int], NoReturn] = os._exit) -> Callable[[int], NoReturn]:
    return lambda status: end(status)


#: Ends this process at once.
end_process = _bind_end()


def _bind_chdir(chdir: Callable[..., None] = os.chdir) -> Callable[[object], None]:
    return lambda path: chdir(path)


#: Makes a folder the working directory.
change_directory = _bind_chdir()


def _bind_pause(sleep: Callable[[float], None] = genuine.sleep) -> Callable[[float], None]:
    return lambda seconds: sleep(seconds)


#: Waits for a number of seconds.
pause = _bind_pause()


#: Programs close descriptors up to a number of their choice, which is hardly ever higher than this.
_FAR = 8192
#: A process's descriptor table reaches up to its highest descriptor, and every fork copies it (8 bytes each).
_TOO_FAR = 1 << 16
#: How many numbers above the soft limit to use: the first value that the system grants counts (macOS has a
#: limit of its own that cannot be asked for).
_ROOMS = (1 << 16, 1 << 12)


def far_places(soft: int, hard: int, unlimited: int = resource.RLIM_INFINITY) -> list[tuple[int, int]]:
    """Where to put descriptors so that tests do not meet them, for these limits: the best place first.

    Each place is the lowest number to take, and the soft limit that allows it. Programs close descriptors up
    to a number of their choice (`os.closerange(3, 4096)`) or up to the soft limit (`SC_OPEN_MAX`). A
    descriptor above the soft limit stays open and usable, and takes no number from tests; only `os.dup2` onto
    it is refused. So ours go there if the hard limit allows it, above the usual numbers if possible.
    Otherwise they go as far up as is cheap (containers often have a limit of a million, or a billion).
    """
    places = []
    if soft != unlimited and soft <= _TOO_FAR:
        tops = (
            (lowest, lowest + room if hard == unlimited else min(lowest + room, hard))
            for lowest in (max(soft, _FAR), soft)
            for room in _ROOMS
        )
        places = [(lowest, top) for lowest, top in dict.fromkeys(tops) if top > lowest]
    below = _FAR if soft == unlimited else min(_FAR, soft // 2)
    return [*places, (max(3, below), soft)]


def _bind_out_of_reach(
    control: Callable[..., int] = fcntl.fcntl,
    close: Callable[[int], None] = genuine.close,
    get_limits: Callable[[int], tuple[int, int]] = resource.getrlimit,
    set_limits: Callable[[int, tuple[int, int]], None] = resource.setrlimit,
    which: int = resource.RLIMIT_NOFILE,
    move: int = fcntl.F_DUPFD_CLOEXEC,
    mark: tuple[int, int] = (fcntl.F_SETFD, fcntl.FD_CLOEXEC),
) -> Callable[[int], int]:
    def duplicate(fd: int, lowest: int, needed: int, limits: tuple[int, int]) -> int:
        if needed == limits[0]:
            return control(fd, move, lowest)
        set_limits(which, (needed, limits[1]))
        try:
            return control(fd, move, lowest)
        finally:
            set_limits(which, limits)

    def out_of_reach(fd: int) -> int:
        """Move a descriptor to a number that tests do not use, and return that number; `fd` is closed.

        If no such number is left, or the system refuses it, the descriptor keeps its number. It is closed on
        exec in any case.
        """
        limits = get_limits(which)
        for lowest, needed in far_places(*limits):
            try:
                moved = duplicate(fd, lowest, needed, limits)
            except (OSError, ValueError):
                continue
            close(fd)
            return moved
        control(fd, *mark)
        return fd

    return out_of_reach


out_of_reach = _bind_out_of_reach()


class Socket(_socket.socket):
    """The socket class of the C module, for ``with``. Unlike `socket.socket`, nothing replaces it."""

    __slots__ = ()

    def __enter__(self) -> Socket:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def adopt_socket(fd: int) -> Socket:
    """Make a blocking socket of a descriptor, out of reach, closed on exec; `fd` is closed.

    It is affected neither by a replacement of `socket.socket` nor by a default timeout.
    """
    sock = Socket(fileno=out_of_reach(fd))
    sock.setblocking(True)
    return sock


def socket_pair(
    make: Callable[..., tuple[_socket.socket, _socket.socket]] = _socket.socketpair,
) -> tuple[Socket, Socket]:
    """Make two connected stream sockets, as `adopt_socket` does."""
    left, right = make(_socket.AF_UNIX, _socket.SOCK_STREAM)
    return adopt_socket(left.detach()), adopt_socket(right.detach())


def make_pipe(make: Callable[[], tuple[int, int]] = os.pipe) -> tuple[int, int]:
    """Make a pipe, out of reach, closed on exec; return its reading and its writing end.

    :raises OSError: if there are no descriptors for it. Then neither end is open.
    """
    reader, writer = make()
    return out_of_reach(reader), out_of_reach(writer)


def _bind_file(status: Callable[[int], os.stat_result] = os.fstat) -> Callable[[int], tuple[int, int]]:
    def file_behind(fd: int) -> tuple[int, int]:
        found = status(fd)
        return found.st_dev, found.st_ino

    return file_behind


#: Identifies the file, pipe or socket behind a descriptor: returns device and inode.
file_behind = _bind_file()


#: What `describe_status` says of a process that was killed, by the kernel for instance.
KILLED = "killed by SIGKILL"


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


def _bind_foreign(readlink: Callable[[str], str] = os.readlink) -> Callable[[str], bool]:
    def is_foreign(proc: str) -> bool:
        try:
            return readlink(f"{proc}/self") != str(getpid())
        except OSError:
            return False

    return is_foreign


#: Whether a ``/proc`` belongs to another process namespace than this process: our pids are other processes
#: there.
is_foreign = _bind_foreign()


def kernel_state(pid: int) -> str:
    """What the kernel says a process is doing, for one that cannot be asked (Linux; empty elsewhere)."""
    facts: dict[str, str] = {}
    if is_foreign("/proc"):
        return ""
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
