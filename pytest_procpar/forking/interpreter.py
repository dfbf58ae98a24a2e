"""Starts fresh interpreters like that of this process, which find our modules where this process does.

They inherit descriptors for everything that they are given: no other process can connect, and no folder is
needed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence

from pytest_procpar.ipc.blackbox import in_memory
from pytest_procpar.system.genuine import close, posix_spawn

__all__ = ["start_interpreter"]

#: The code that an interpreter runs: it reads the path for modules from the first line of a file, and calls a
#: function with the rest. The current folder, which ``-c`` puts first, is removed before anything is
#: imported: there may be a json.py in it.
_BOOTSTRAP = (
    "import sys; sys.path[:] = filter(None, sys.path); import json; file = open(int(sys.argv[1]), 'rb'); "
    "sys.path[:] = json.loads(file.readline()); import importlib; "
    "getattr(importlib.import_module(sys.argv[2]), 'main')(file)"
)


def start_interpreter(
    module: str,
    body: bytes,
    fds: Iterable[int],
    *,
    flags: Sequence[str],
    path: Sequence[str],
    environ: Mapping[str, str],
    spawn: Callable[..., int] = posix_spawn,
) -> int:
    """Start an interpreter that calls ``main`` of our `module` with a file that holds `body`; return its pid.

    Its standard input and output are the null device, and it has a process group of its own. SIGINT has its
    default effect, and is blocked until ``main`` unblocks it.

    :param fds: descriptors that stay open there. They stay inheritable here.
    :param flags: options of the interpreter.
    :param path: where it looks for modules.
    :raises OSError: if it cannot be started.
    """
    orders = in_memory()
    try:
        with open(orders, "wb", closefd=False) as writer:
            writer.write(json.dumps(list(path)).encode() + b"\n" + body)
        os.lseek(orders, 0, os.SEEK_SET)
        for fd in (orders, *fds):
            os.set_inheritable(fd, True)
        return spawn(
            sys.executable,
            [sys.executable, *flags, "-c", _BOOTSTRAP, str(orders), module],
            environ,
            file_actions=_standard_streams(),
            setpgroup=0,
            setsigdef=[signal.SIGINT],  # the process that starts it may ignore it
            setsigmask=[signal.SIGINT],
        )
    finally:
        close(orders)


def _standard_streams() -> list[tuple[int, int, str, int, int]]:
    null = os.devnull
    return [(os.POSIX_SPAWN_OPEN, 0, null, os.O_RDONLY, 0), (os.POSIX_SPAWN_OPEN, 1, null, os.O_WRONLY, 0)]
