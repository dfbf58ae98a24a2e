"""Where a worker's output goes after the fork: to the black box, which may explain its end, or nowhere."""

from __future__ import annotations

import faulthandler
import os
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

__all__ = ["install_instruments", "silence"]


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
