"""A worker that begins as a fresh interpreter."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from pytest_procpar.compat.foreign_options import maxfail
from pytest_procpar.compat.pytest_private.session import ConftestImportFailure, config_from_command_line
from pytest_procpar.core.protocol.codec import decode
from pytest_procpar.core.protocol.common import Broke, Halted
from pytest_procpar.core.protocol.server import Setup, StartRoot
from pytest_procpar.core.protocol.wire import Decoder, loads
from pytest_procpar.coverage_data.measuring import join_coverage
from pytest_procpar.forking import file_positions
from pytest_procpar.ipc.board import Board
from pytest_procpar.ipc.link import Sender
from pytest_procpar.replay.file import Replay
from pytest_procpar.replay.reorder import install as install_replay
from pytest_procpar.server.fork_server import be_process
from pytest_procpar.server.loop import StartOrder
from pytest_procpar.server.session import WorkerSession
from pytest_procpar.system.calls import out_of_reach
from pytest_procpar.system.kept_files import keep_files

__all__ = ["main"]


def main(file: BinaryIO) -> None:
    """Be the worker that the file describes after its first line; never return."""
    be_process(lambda: _be_worker(file))


def _be_worker(file: BinaryIO) -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    with file:
        (body,) = Decoder().feed(file.read())
    first, second, fds = cast("tuple[object, object, tuple[int, ...]]", loads(body))
    setup, order = cast("Setup", decode(first)), cast("StartOrder", decode(second))
    *own, board, stdout = map(_adopt, fds)
    file_positions.begin()
    recipe = setup.recipe
    assert recipe is not None
    sys.argv = list(recipe.argv)
    os.chdir(recipe.folder)
    if recipe.coverage is not None:
        join_coverage(recipe.coverage)
    if isinstance(order, StartRoot):  # what it imports from here on may already write
        spared = [] if setup.basetemp is None else [setup.basetemp]
        keep_files(order.kept, list(map(Path, recipe.roots)), spared)
    try:
        config = config_from_command_line(recipe.args)
        if recipe.replay is not None:
            install_replay(config, Replay(*recipe.replay))
    except Exception as error:
        _tell(own[0], error)
        return
    memory = Board.from_descriptor(board, maxfail(config))
    WorkerSession(config, recipe.options, memory, assignment=(order, own), stdout=stdout).run(setup)


def _tell(stream: int, error: Exception) -> None:
    """Tell the controller that pytest could not even read its configuration."""
    link = Sender(stream)
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
