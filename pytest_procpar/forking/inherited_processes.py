"""Lets a forked process know whether a program still runs that was started before the fork.

`subprocess.Popen` asks with waitpid(2), which answers for the caller's own children only. What it makes of
the refusal (ECHILD) is "ended, with status 0": a fixture that asks whether the suite's server runs would skip
or fail every test. So an object that was inherited asks /proc instead; where there is none, Python's answer
stays.

Such a program serves all workers, so a worker does not end it: a signal that usually ends a program is not
sent, and from then on the object says that the program has ended, as Python does. `inherited_workers` does
the same for processes of `multiprocessing`.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FunctionType
from typing import Protocol

from pytest_procpar.forking.inherited_workers import adopt_workers
from pytest_procpar.system.calls import getpid, pause
from pytest_procpar.system.descendants import is_childless, open_pidfd, read_bytes
from pytest_procpar.system.genuine import READ, close, make_poll

__all__ = ["carry_processes", "give_up"]

#: The signals that are sent to end a program.
_ENDS = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGKILL, signal.SIGQUIT, signal.SIGABRT})
#: How often to look whether a program has ended where the kernel cannot tell (no pidfd), in seconds.
_LOOK_SECONDS = 0.02
#: Where proc_pid_stat(5) has the parent, the start (in clock ticks) and the exit status, behind the name.
_STATE, _PARENT, _START, _STATUS = 0, 1, 19, 49
#: The states of a process that has ended.
_ENDED = (b"Z", b"X", b"x")


class _Started(Protocol):
    """What we use of a `subprocess.Popen`."""

    pid: int
    returncode: int | None

    def _handle_exitstatus(self, sts: int) -> None: ...


class _Here:
    """When this process was started, in clock ticks; None while nothing counts as inherited."""

    started: int | None = None


def carry_processes(*, has_started: bool | None = None) -> Callable[[], None]:
    """Return what a process that is about to be forked from this one has to call.

    :param has_started: whether this one may have started programs; None: if it has any child.
    """
    if has_started is None:
        has_started = not is_childless()
    return _adopt if has_started or _Here.started is not None else _do_nothing


def give_up() -> None:
    """From now on, let what was inherited count as ended, as for Python itself.

    The end of a session asks it, in order to end it: others may still need it.
    """
    _Here.started = None


def _do_nothing() -> None:
    pass


def _adopt() -> None:
    fields = _stat(getpid())
    if fields is not None:
        adopt_workers(_status_of_pid, _wait_for_end)
    popen = getattr(sys.modules.get("subprocess"), "Popen", None)
    if fields is not None and isinstance(popen, type):
        _Here.started = int(fields[_START])
        with suppress(KeyError):  # something else has taken its place
            _replace(popen)


def _stat(pid: int) -> list[bytes] | None:
    """The fields of /proc/PID/stat behind the name; None if there is no such process, or no /proc."""
    fields = read_bytes(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    return fields if len(fields) > _START else None


def _status_of(process: _Started) -> int | str | None:
    """The wait status of a program that was inherited, or "runs"; None if nothing is known about it.

    A process that was started after this one is not inherited: its number was given away anew.
    """
    return None if process.returncode is not None else _status_of_pid(process.pid)


def _status_of_pid(pid: int) -> int | str | None:
    """The same for a process of which nobody has said yet how it has ended."""
    if _Here.started is None:
        return None
    fields = _stat(pid)
    if fields is None or int(fields[_PARENT]) == getpid() or int(fields[_START]) > _Here.started:
        return None
    if fields[_STATE] not in _ENDED:
        return "runs"
    return int(fields[_STATUS]) if len(fields) > _STATUS else 0


def _replace(popen: type) -> None:
    old = {name: vars(popen)[name] for name in ("_internal_poll", "_try_wait", "send_signal")}
    if any(
        not isinstance(function, FunctionType) or hasattr(function, "_procpar") for function in old.values()
    ):
        return  # a test double's, or ours already

    def _internal_poll(
        self: _Started, _deadstate: int | None = None, *more: object, **others: object
    ) -> int | None:
        status = _status_of(self) if _deadstate is None else None  # otherwise nobody uses the object any more
        if status == "runs":
            return None
        if isinstance(status, int):
            self._handle_exitstatus(status)
            return self.returncode
        known: int | None = old["_internal_poll"](self, _deadstate, *more, **others)
        return known

    def _try_wait(self: _Started, wait_flags: int) -> tuple[int, int]:
        status = _status_of(self)
        if status == "runs":
            if wait_flags & os.WNOHANG:
                return 0, 0
            _wait_for_end(self.pid)
            status = _status_of(self)
        if status == "runs":
            return 0, 0
        if isinstance(status, int):
            return self.pid, status
        waited: tuple[int, int] = old["_try_wait"](self, wait_flags)
        return waited

    def send_signal(self: _Started, sig: int) -> None:
        if sig in _ENDS and _status_of(self) == "runs":
            self.returncode = 0
            return
        old["send_signal"](self, sig)

    for function in (_internal_poll, _try_wait, send_signal):
        vars(function)["_procpar"] = True
        setattr(popen, function.__name__, function)


def _wait_for_end(pid: int, seconds: float | None = None) -> None:
    """Wait until a process has ended, or for some time, for this many seconds at most."""
    fd = open_pidfd(pid)
    if fd is None:
        pause(_LOOK_SECONDS if seconds is None else min(seconds, _LOOK_SECONDS))
        return
    try:
        poll = make_poll()
        poll.register(fd, READ)
        poll.poll(None if seconds is None else max(1, round(seconds * 1000)))
    finally:
        close(fd)
