"""A worker that begins as a fresh interpreter."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from pytest_procpar.compat.internals import ConftestImportFailure, config_from_command_line
from pytest_procpar.core.messages import Broke, Halted, Plant, Setup, decode
from pytest_procpar.core.wire import Decoder, loads
from pytest_procpar.process import positions
from pytest_procpar.process.board import Board
from pytest_procpar.process.covdata import join_coverage
from pytest_procpar.process.forkserver import be_process
from pytest_procpar.process.keeping import keep_files
from pytest_procpar.process.member import Member
from pytest_procpar.process.replay import install as install_replay
from pytest_procpar.process.server import Order
from pytest_procpar.process.system import out_of_reach
from pytest_procpar.process.transport import Mouth
from pytest_procpar.replayfile import Replay

__all__ = ["main"]


def main(file: BinaryIO) -> None:
    """Be the worker that the file describes, from behind its first line; never returns."""
    be_process(lambda: _be_worker(file))


def _be_worker(file: BinaryIO) -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    with file:
        (body,) = Decoder().feed(file.read())
    first, second, fds = cast("tuple[object, object, tuple[int, ...]]", loads(body))
    setup, order = cast("Setup", decode(first)), cast("Order", decode(second))
    *own, board, stdout = map(_adopt, fds)
    positions.begin()
    recipe = setup.recipe
    assert recipe is not None
    sys.argv = list(recipe.argv)
    os.chdir(recipe.folder)
    if recipe.coverage is not None:
        join_coverage(recipe.coverage)
    if isinstance(order, Plant):  # what it imports from here on may write already
        spared = [] if setup.basetemp is None else [setup.basetemp]
        keep_files(order.kept, list(map(Path, recipe.roots)), spared)
    try:
        config = config_from_command_line(recipe.args)
        if recipe.replay is not None:
            install_replay(config, Replay(*recipe.replay))
    except Exception as error:
        _tell(own[0], error)
        return
    memory = Board.from_descriptor(board, config.getoption("maxfail", 0) or 0)
    Member(config, recipe.options, memory, assignment=(order, own), stdout=stdout).run(setup)


def _tell(stream: int, error: Exception) -> None:
    """Tell the controller that pytest could not even read its configuration."""
    link = Mouth(stream)
    if isinstance(error, (pytest.UsageError, ConftestImportFailure)):
        link.put(Halted("usage", str(error)))
    elif isinstance(error, pytest.exit.Exception):
        link.put(Halted("exit", str(error.msg), error.returncode))
    else:
        link.put(Broke(traceback.format_exc()))
    link.flush()


def _adopt(fd: int) -> int:
    """Take over a descriptor that was inherited on purpose."""
    os.set_inheritable(fd, False)
    return out_of_reach(fd)
