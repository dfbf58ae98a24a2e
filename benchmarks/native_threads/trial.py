"""One trial, in a process of its own: a recipe comes from standard input, the result goes to standard output.

What the library did in this process is done again in forked ones: in a child, in a child and its own child,
and with what the library keeps given up before it or after it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pytest_procpar.start_method.threads.native_threads import NativeThreads
from pytest_procpar.start_method.threads.thread_owners import identify

__all__ = ["trial"]

#: How long a child may take, in seconds, and how long the library has to come to rest before the fork.
_LIMIT, _SETTLE = 30.0, 0.3


def trial(recipe: dict[str, Any], *, is_used: bool) -> dict[str, Any]:
    """What threads there were at the fork, what is said of them, how children ended until one failed."""
    space: dict[str, Any] = {"__name__": "recipe"}
    exec(recipe["setup"], space)
    want = eval(recipe["use"], space) if is_used else None
    time.sleep(_SETTLE)
    threads = [f"{thread.name}@{Path(thread.path or '?').name}" for thread in identify(_native_threads())]
    reasons = list(NativeThreads().findings())

    def use() -> None:
        got = eval(recipe["use"], space)
        assert got == want or not is_used, f"{got!r} is not {want!r}"

    def drop() -> None:
        exec(recipe.get("drop", ""), space)

    def nest() -> None:
        ended = child(use, _LIMIT / 2)
        use()
        assert ended == "works", ended

    def use_and_drop() -> None:
        use()
        drop()

    ways = [use, nest, drop, use_and_drop] if is_used else [use]
    ended: list[str] = []
    while ways and set(ended) <= {"works"}:
        ended.append(child(ways.pop(0)))
    return {"threads": threads, "reasons": reasons, "ended": ended}


def _native_threads() -> list[int]:
    return [int(tid) for tid in os.listdir("/proc/self/task") if int(tid) != os.getpid()]


def child(body: Callable[[], object], limit: float = _LIMIT) -> str:
    """How a forked process ends that does this, in so many seconds."""
    pid = os.fork()
    if not pid:
        status = 1
        try:
            body()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            return "works" if not code else signal.Signals(-code).name if code < 0 else "fails"
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return "hangs"


if __name__ == "__main__":
    given = json.load(sys.stdin)
    print("\n" + json.dumps(trial(given["recipe"], is_used=given["is_used"])), flush=True)
    os._exit(0)  # what the library would do at the end is not the question
