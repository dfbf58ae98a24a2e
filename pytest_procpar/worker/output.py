"""Where a worker's output goes after the fork: to the black box, which may explain its end, or nowhere."""

from __future__ import annotations

import faulthandler
import os
import sys
from collections.abc import Sequence

import pytest

from pytest_procpar.compat.pytest_private.output import (
    move_open_files,
    mute_log_file,
    own_capture,
    redirect_stdio,
)
from pytest_procpar.ipc.blackbox import in_memory
from pytest_procpar.system.calls import DUMP_SIGNAL, out_of_reach
from pytest_procpar.system.genuine import close

__all__ = ["RealStdout", "install_instruments", "silence"]


class RealStdout:
    """The stream that tests write to past capture; a test may put another one in its place.

    It is not captured between two phases of a test, and plain pytest flushes it there with each letter that
    it prints. What stayed in the buffer would end up in the output that a later test captures.
    """

    def __init__(self) -> None:
        self._stream = sys.__stdout__

    def flush(self) -> None:
        """Flush it, wherever it leads in this process."""
        try:
            self._stream.flush()  # type: ignore[union-attr]
        except Exception:  # a test has closed it, or its reader is gone
            return


def install_instruments(config: pytest.Config, fds: Sequence[int]) -> int:
    """Write stacks, standard error and captured output to the black box, whose descriptors are taken over.

    Fatal errors are dumped unless ``-p no:faulthandler`` was given. Stacks are always dumped on request, by a
    handler in C, which runs even if a test sits in a single C call. Return the descriptor for the stacks.
    """
    stacks, stderr, out, err = fds
    own_capture(config, {1: out, 2: err}, out_of_reach)
    redirect_stdio(config, stderr, (2,), out_of_reach)
    for fd in (stderr, out, err):
        close(fd)
    stacks = out_of_reach(stacks)
    move_open_files(config, out_of_reach)
    if config.pluginmanager.hasplugin("faulthandler"):
        faulthandler.enable(file=stacks, all_threads=True)
    faulthandler.register(DUMP_SIGNAL, file=stacks, all_threads=True, chain=False)
    return stacks


def silence(config: pytest.Config) -> None:
    """Hide everything that this process writes, and its end; tests still find their captured output."""
    files = {1: in_memory(), 2: in_memory()}
    own_capture(config, files, out_of_reach)
    null = out_of_reach(os.open(os.devnull, os.O_RDWR))
    redirect_stdio(config, null, (1, 2), out_of_reach)
    mute_log_file(config, null)
    for fd in files.values():
        close(fd)
    move_open_files(config, out_of_reach)
    if config.pluginmanager.hasplugin("faulthandler"):
        faulthandler.enable(file=null, all_threads=True)
