"""The system's functions as Python has them, even if gevent or eventlet has replaced them.

The two replace functions that wait (`os.waitpid`, `time.sleep`, `select.poll`) by ones that run other
greenlets meanwhile, and `os.close` by one that closes later. They do so for good, and often before this
package is imported, in a conftest or in a launcher. Our workers have no other greenlets, and in a process
that has just been forked nothing would wake them up. Where plugins' greenlets should go on running, the main
thread of the controller waits with the replaced functions.

The functions of `os` come from `posix`, and those of `signal` from `_signal`, which both stay as they are.
The others are replaced in the only module that has them, so they are taken from a second copy of that module.
"""

from __future__ import annotations

import importlib
import importlib.util
import posix
import select
import time
from collections.abc import Callable
from types import FrameType, ModuleType
from typing import TypeAlias

__all__ = [
    "HANGUP", "Handler", "READ", "WRITE", "close", "fork", "get_handler", "make_poll", "monotonic",
    "posix_spawn", "read", "set_handler", "sleep", "wait4", "waitid", "waitpid", "write",
]  # fmt: skip

#: What `signal.signal` takes and returns.
Handler: TypeAlias = "Callable[[int, FrameType | None], object] | int | None"

close, fork, posix_spawn, read, write = posix.close, posix.fork, posix.posix_spawn, posix.read, posix.write
wait4, waitpid = posix.wait4, posix.waitpid
#: None on macOS.
waitid = getattr(posix, "waitid", None)


def _copy_of(module: ModuleType) -> ModuleType:
    """Make a second copy of a module that is written in C. Takes 20 µs."""
    spec = module.__spec__
    assert spec is not None
    assert spec.loader is not None
    copy = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(copy)
    return copy


_time, _select = _copy_of(time), _copy_of(select)

#: Like `signal.signal` and `signal.getsignal`, but SIG_DFL is 0 and SIG_IGN is 1.
set_handler, get_handler = (
    getattr(importlib.import_module("_signal"), name) for name in ("signal", "getsignal")
)

monotonic, sleep = _time.monotonic, _time.sleep

#: A function that makes an empty `select.poll` object, and the events to ask it for.
make_poll: Callable[[], select.poll] = _select.poll
READ, WRITE, HANGUP = int(_select.POLLIN), int(_select.POLLOUT), int(_select.POLLHUP)
