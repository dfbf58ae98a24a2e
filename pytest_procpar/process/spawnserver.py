"""The process that starts workers as fresh interpreters: one itself, that has imported none of their code."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from typing import Any

from pytest_procpar.core.messages import Setup, encode
from pytest_procpar.core.wire import Encoder
from pytest_procpar.process.blackbox import in_memory
from pytest_procpar.process.covdata import leave_coverage
from pytest_procpar.process.descendants import set_subreaper
from pytest_procpar.process.fork import default_signals
from pytest_procpar.process.identity import worker_environment
from pytest_procpar.process.server import Order, Server, await_setup
from pytest_procpar.process.system import adopt_socket, end_process
from pytest_procpar.process.transport import Link

__all__ = ["serve"]

#: What a worker's interpreter runs. It is given a file, whose first line says where to look for modules.
_BOOTSTRAP = (
    "import json, sys; file = open(int(sys.argv[1]), 'rb'); sys.path[:] = json.loads(file.readline()); "
    "from pytest_procpar.process.spawned import main; main(file)"
)


def serve(sock: socket.socket) -> None:
    """Serve over this socket until told to quit, and end the process."""
    os.setpgid(0, 0)
    default_signals()
    leave_coverage()  # which has a way into every interpreter that is started
    set_subreaper(True)
    link = Link(adopt_socket(sock.detach()))
    begun = await_setup(link)
    if begun is not None:
        setup, told = begun
        board, stdout = link.take_fds(2)
        Server(link, lambda order, fds: _spawn(setup, order, [*fds, board, stdout]), told=told).serve()
    end_process(0)


def _spawn(setup: Setup, order: Order, fds: list[int]) -> int:
    """Start a worker's interpreter; its pid."""
    assert setup.recipe is not None
    orders = in_memory()
    try:
        _write_orders(orders, setup, order, fds)
        for fd in fds:
            os.set_inheritable(fd, True)
        interpreter = [sys.executable, *setup.recipe["flags"]]
        return os.posix_spawn(
            sys.executable,
            [*interpreter, "-c", _BOOTSTRAP, str(orders)],
            {**setup.environ, **worker_environment(order.workerinput)},
            file_actions=_standard_streams(),
            setpgroup=0,
            setsigdef=[signal.SIGINT],  # this process ignores it
            setsigmask=[signal.SIGINT],  # until it can deal with it
        )
    finally:
        os.close(orders)


def _write_orders(file: int, setup: Setup, order: Order, fds: list[int]) -> None:
    assert setup.recipe is not None
    with open(file, "wb", closefd=False) as writer:
        writer.write(json.dumps(setup.recipe["path"]).encode() + b"\n")
        writer.write(Encoder().frame([encode(setup), encode(order), tuple(fds)]))
    os.lseek(file, 0, os.SEEK_SET)
    os.set_inheritable(file, True)


def _standard_streams() -> list[Any]:
    """Standard input and output are nothing: tests have what pytest's capture gives them."""
    null = os.devnull
    return [(os.POSIX_SPAWN_OPEN, 0, null, os.O_RDONLY, 0), (os.POSIX_SPAWN_OPEN, 1, null, os.O_WRONLY, 0)]
