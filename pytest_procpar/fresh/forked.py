"""Processes in which a fresh interpreter goes on, forked from it as workers are from a fork server."""

from __future__ import annotations

import os
import signal
from typing import NoReturn

from pytest_procpar.forking import file_positions
from pytest_procpar.forking.child_runner import die_of
from pytest_procpar.forking.fork import default_signals, forget_exit_handlers, fork
from pytest_procpar.system.calls import end_process, monotonic, pause
from pytest_procpar.system.genuine import close, read, waitpid

__all__ = ["go_on_forked"]

#: How long the other processes may take to end by themselves once the first has ended, and how long once they
#: are interrupted, in seconds. (The process that has started all this waits for little longer.)
_FINISH_SECONDS, _TEARDOWN_SECONDS = 1.0, 0.8
_PAUSE = 0.01


def go_on_forked(count: int, *, configures: bool) -> int:
    """Fork `count` processes, which go on at the same moment; return in each its number, from 0.

    This process does not return: when the first of them has ended and the others are gone, it ends as the
    first did.

    :param configures: whether `pytest_configure` is still to come in them.
    """
    file_positions.note()
    gate, opener = os.pipe()
    pids: list[int] = []
    for number in range(count):
        pid = fork()
        if pid == 0:
            close(opener)
            read(gate, 1)
            close(gate)
            forget_exit_handlers(configures=configures)
            default_signals()
            return number
        pids.append(pid)
    close(gate)
    close(opener)
    return _end_with(pids)


def _end(pids: list[int]) -> None:
    """Make these processes end; they may tear down what they have set up if that does not take long."""
    left = _await(pids, _FINISH_SECONDS)
    for signum in (signal.SIGINT, signal.SIGKILL):
        for pid in left:
            os.kill(pid, signum)
        left = _await(left, _TEARDOWN_SECONDS)


def _await(pids: list[int], seconds: float) -> list[int]:
    """Wait up to `seconds` until these processes have ended; return those that have not."""
    deadline = monotonic() + seconds
    left = list(pids)
    while left and monotonic() < deadline:
        left = [pid for pid in left if not waitpid(pid, os.WNOHANG)[0]]
        if left:
            pause(_PAUSE)
    return left


def _end_with(pids: list[int]) -> NoReturn:
    first, *others = pids
    status = 1 << 8
    try:
        status = waitpid(first, 0)[1]
        _end(others)
    except ChildProcessError:  # something ignores the ends of children
        status = 0
    if os.waitstatus_to_exitcode(status) < 0:
        die_of(status)
    end_process(os.waitstatus_to_exitcode(status))
