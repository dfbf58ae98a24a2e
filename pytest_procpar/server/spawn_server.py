"""The process that starts workers as fresh interpreters; it is one itself, and imports none of their code."""

from __future__ import annotations

import os
import signal
from typing import BinaryIO

from pytest_procpar.core.protocol.codec import encode
from pytest_procpar.core.protocol.server import Setup
from pytest_procpar.core.protocol.wire import Encoder
from pytest_procpar.coverage_data.measuring import leave_coverage
from pytest_procpar.forking.fork import default_signals
from pytest_procpar.forking.interpreter import start_interpreter
from pytest_procpar.ipc.link import Link
from pytest_procpar.server.loop import Server, StartOrder, await_setup
from pytest_procpar.system.calls import adopt_socket, end_process
from pytest_procpar.system.descendants import set_subreaper, wake_with_parent
from pytest_procpar.system.headroom import SECOND_TO_LAST, be_expendable
from pytest_procpar.worker.identity import worker_environment

__all__ = ["main"]


def main(file: BinaryIO) -> None:
    """Serve over the socket whose descriptor the file contains, until told to quit, and end the process."""
    with file:
        stream = int(file.read())
    os.set_inheritable(stream, False)
    default_signals()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    be_expendable(SECOND_TO_LAST)
    leave_coverage()  # it makes its way into every interpreter that is started
    set_subreaper(True)
    wake_with_parent()
    link = Link(adopt_socket(stream))
    begun = await_setup(link)
    if begun is not None:
        setup, told = begun
        board, stdout = link.take_fds(2)
        Server(link, lambda order, fds: _spawn(setup, order, [*fds, board, stdout]), told=told).serve()
    end_process(0)


def _spawn(setup: Setup, order: StartOrder, fds: list[int]) -> int:
    """Start a worker's interpreter; return its pid."""
    recipe = setup.recipe
    assert recipe is not None
    return start_interpreter(
        "pytest_procpar.server.spawned_worker",
        Encoder().frame([encode(setup), encode(order), tuple(fds)]),
        fds,
        flags=recipe.flags,
        path=recipe.path,
        environ={**setup.environ, **worker_environment(order.workerinput)},
    )
