"""Fresh interpreters, started by execnet: the only module that imports it."""

from __future__ import annotations

import os
import re
import socket
import sys
import tempfile
from typing import Any

__all__ = ["Interpreter", "parse_spec"]

#: How long an interpreter may take to say that it is there, in seconds.
_START_SECONDS = 60.0

#: Not on every platform.
_UNIX: int = getattr(socket, "AF_UNIX", -1)

#: What the new interpreter runs: it finds our modules where this process does, and calls one of them.
_BOOTSTRAP = """
import sys
path, address, module, function = channel.receive()
sys.path[:] = path
import importlib, os, socket
sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
sock.connect(address)
channel.send(os.getpid())
getattr(importlib.import_module(module), function)(sock)
"""


class Interpreter:
    """A fresh interpreter that runs a function of ours, which is given a socket; its other end is `socket`.

    It is execnet's ``popen`` gateway. What goes over the socket are messages and descriptors, which
    execnet's channels cannot carry.
    """

    def __init__(self, module: str, function: str) -> None:
        from execnet import Group

        self._group: Any = Group()
        with tempfile.TemporaryDirectory(prefix="procpar-") as folder:
            address = os.path.join(folder, "s")
            with socket.socket(_UNIX, socket.SOCK_STREAM) as listener:
                listener.bind(address)
                listener.listen(1)
                listener.settimeout(_START_SECONDS)
                gateway = self._group.makegateway("popen//execmodel=main_thread_only")
                channel = gateway.remote_exec(_BOOTSTRAP)
                channel.send(([str(entry) for entry in sys.path], address, module, function))
                self.pid: int = channel.receive(timeout=_START_SECONDS)
                self.socket, _ = listener.accept()
        self.socket.set_inheritable(False)

    def close(self) -> None:
        """Let go of the gateway, whose process has ended."""
        self._group.terminate(timeout=1.0)


def parse_spec(text: str) -> tuple[int, dict[str, Any]]:
    """An execnet specification such as ``4*popen//python=python3``: how many, and its parts.

    :raises ValueError: if it cannot be understood.
    """
    from execnet import XSpec

    match = re.fullmatch(r"(?:(\d+)\*)?(.+)", text)
    if match is None or match[1] == "0":
        raise ValueError("an empty specification")
    try:
        spec = XSpec(match[2])
    except (AttributeError, AssertionError) as error:
        raise ValueError(str(error)) from None
    return int(match[1] or 1), {k: v for k, v in vars(spec).items() if k not in ("_spec", "env", "execmodel")}
