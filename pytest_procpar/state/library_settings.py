"""Settings that modules of the standard library keep to themselves: of signals, `csv`, `asyncio`.

The functions are bound when this module is imported, or when the module that they belong to is first found
loaded: nothing is imported for a snapshot.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final, TypeAlias

__all__ = ["library_switches"]

_NONE: Final = -1

#: The name of a setting, how to read it, and how to set it.
_Switch = tuple[str, Callable[[], object], Callable[..., object]]


#: A thread's event loop, whether one was ever set (then none is made), and whether it is closed.
_Loop: TypeAlias = tuple[object, bool, bool]
_NO_LOOP: Final[_Loop] = (None, False, False)


def _wakeup(put: Callable[..., int] = signal.set_wakeup_fd) -> _Switch:
    """The descriptor that signals are written to. It can only be read by setting another one."""

    def read() -> int | None:
        try:
            found = put(_NONE)
        except ValueError:  # only the main thread may ask
            return None
        if found != _NONE:
            with suppress(OSError, ValueError):  # it was closed
                # Whether a full buffer is to be told cannot be read. Without it, nothing is written anywhere.
                put(found, warn_on_full_buffer=False)
        return found

    return "signal.set_wakeup_fd()", read, put


def _niceness(
    get: Callable[[int, int], int] = os.getpriority,
    put: Callable[[int, int, int], None] = os.setpriority,
    which: int = os.PRIO_PROCESS,
) -> _Switch:
    return "os.getpriority(os.PRIO_PROCESS, 0)", lambda: get(which, 0), lambda value: put(which, 0, value)


def _is_closed(loop: object) -> bool:
    return loop is not None and bool(loop.is_closed())  # type: ignore[attr-defined]


def _event_loop() -> Iterator[_Switch]:
    """The event loop that `asyncio.get_event_loop` returns in this thread, and whether it can be used.

    Until something has asked for one, there is nothing to read: the policy that makes it is no object yet.
    """
    values = vars(sys.modules.get("asyncio.events", object))
    policy = values.get("_event_loop_policy")
    make = values.get("BaseDefaultEventLoopPolicy") or values.get("_BaseDefaultEventLoopPolicy")
    if make is None or not isinstance(policy, make):
        return

    def of_thread() -> dict[str, object]:
        local: dict[str, object] = vars(policy)["_local"].__dict__
        return local

    def read() -> _Loop:
        with suppress(Exception):  # a policy or a loop of the suite's own
            local = of_thread()
            loop = local.get("_loop")
            return loop, bool(local.get("_set_called")), _is_closed(loop)
        return _NO_LOOP

    def write(state: _Loop) -> None:
        loop, is_set, was_closed = state
        if _is_closed(loop) != was_closed:
            raise ValueError("it was closed")
        of_thread().update(_loop=loop, _set_called=is_set)

    yield "asyncio.get_event_loop()", read, write


def library_switches() -> Iterator[_Switch]:
    """The settings that can be read in this process as it is."""
    yield _wakeup()
    yield _niceness()
    yield from _event_loop()
    csv = sys.modules.get("_csv")
    if csv is not None:
        yield "csv.field_size_limit()", csv.field_size_limit, csv.field_size_limit
