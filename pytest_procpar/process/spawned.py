"""A worker that begins as a fresh interpreter."""

from __future__ import annotations

import os
import sys
import traceback
from typing import BinaryIO, cast

import pytest

from pytest_procpar.compat.internals import ConftestImportFailure, config_from_command_line
from pytest_procpar.core.messages import Broke, Halted, Setup, decode
from pytest_procpar.core.wire import Decoder, loads
from pytest_procpar.process.board import Board
from pytest_procpar.process.forkserver import be_process
from pytest_procpar.process.member import Member
from pytest_procpar.process.server import Order
from pytest_procpar.process.system import adopt_socket, out_of_reach
from pytest_procpar.process.transport import Link
from pytest_procpar.settings import WorkerOptions

__all__ = ["main"]


def main(file: BinaryIO) -> None:
    """Be the worker that the file describes, from behind its first line; never returns."""
    be_process(lambda: _be_worker(file))


def _be_worker(file: BinaryIO) -> None:
    with file:
        (body,) = Decoder().feed(file.read())
    first, second, fds = cast("tuple[object, object, tuple[int, ...]]", loads(body))
    setup, order = cast("Setup", decode(first)), cast("Order", decode(second))
    *own, board, stdout = map(_adopt, fds)
    recipe = setup.recipe or {}
    sys.argv = list(recipe["argv"])
    os.chdir(recipe["dir"])
    try:
        config = config_from_command_line(recipe["args"])
    except Exception as error:
        _tell(own[0], error)
        return
    memory = Board.from_descriptor(board, config.getoption("maxfail", 0) or 0)
    options = WorkerOptions.from_tuple(recipe["options"])
    Member(config, options, memory, role=(order, own), stdout=stdout).run(setup)


def _tell(stream: int, error: Exception) -> None:
    """Tell the controller that pytest could not even read its configuration."""
    usage = isinstance(error, (pytest.UsageError, ConftestImportFailure))
    link = Link(adopt_socket(stream))
    link.put(Halted("usage", str(error)) if usage else Broke(traceback.format_exc()))
    link.flush()


def _adopt(fd: int) -> int:
    """Take over a descriptor that was inherited on purpose."""
    os.set_inheritable(fd, False)
    return out_of_reach(fd)
