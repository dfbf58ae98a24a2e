"""Lets forked processes use filelock's locks, which belong to the process that made them.

From 3.30 on, a lock refuses to be used in a process that was forked after the lock was made. By then the
library has reset it: if it was held, the parent holds it, and the child does not. Written against filelock
3.30 to 4.3.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    class _Lock(Protocol):
        """A lock of filelock's; some versions or kinds have only the first of these."""

        _creator_pid: int
        _executor: ThreadPoolExecutor
        _fork_invalidated: bool
        _instances: ClassVar[dict[object, object]]


__all__ = ["carry_locks", "renew_locks"]

# Bound here, since tests replace the original.
_getpid = os.getpid

#: The modules in which the locks are registered: from 4.3 on, and before.
_REGISTRIES = ("filelock._core._fork", "filelock._api")
#: Where the same versions note which databases were open when the process was forked.
_DATABASES = (("filelock._sqlite._fork", "FORKED_DATABASES"), ("filelock._read_write", "_FORKED_DATABASES"))


def carry_locks() -> Callable[[], None]:
    """Return what a process that will be forked from this one has to call to keep this one's locks.

    It does nothing where that is not possible; `renew_locks` raises an error then.
    """
    if "filelock" not in sys.modules:
        return _do_nothing
    known: dict[type[_Lock], dict[object, object]] = {}
    with suppress(Exception):
        known.update({type(lock): dict(getattr(lock, "_instances", {})) for lock in _locks()})

    def carry() -> None:
        with suppress(Exception):
            renew_locks()
            for kind, instances in known.items():  # the library forgets which lock it gave out for a path
                kind._instances.update(instances)

    return carry


def _do_nothing() -> None:
    pass


def renew_locks() -> None:
    """Let this process use the locks that were made before it was forked.

    Except locks on an SQLite database that was open then: SQLite does not survive a fork.
    """
    for lock in _locks():
        if lock._creator_pid == _getpid() or _was_open(lock):
            continue
        lock._creator_pid = _getpid()
        if getattr(lock, "_owns_executor", False):  # the old one's thread does not exist here
            lock._executor = type(lock._executor)(max_workers=1)
        if hasattr(lock, "_fork_invalidated"):
            lock._fork_invalidated = False


def _locks() -> list[_Lock]:
    """All locks; none before 3.30, where a lock does not check its process."""
    for name in _REGISTRIES:
        registry = getattr(sys.modules.get(name), "_FORK_OBJECTS", None)
        if registry is not None:
            return [each for each in list(registry.values()) if hasattr(each, "_creator_pid")]
    return []


def _was_open(lock: _Lock) -> bool:
    path = getattr(lock, "_canonical_path", None)
    for module, name in _DATABASES:
        databases = getattr(sys.modules.get(module), name, None)
        if path is not None and databases is not None:
            try:
                databases.raise_if_poisoned(path)
            except RuntimeError:
                return True
    return False
