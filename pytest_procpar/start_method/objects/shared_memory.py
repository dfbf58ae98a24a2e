"""Memory that forked processes would share and write to: semaphores, values, arrays, anonymous maps."""

from __future__ import annotations

import gc
import mmap
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pytest_procpar.start_method.objects.holders import Holder

__all__ = ["SharedMemory"]

#: The kernel's names for memory without a file, and for memory with a name. (Memory that `mmap.mmap` makes
#: without a file is shared unless the caller says otherwise.)
_SHARED: Final = ("/dev/zero (deleted)", "/dev/shm/", "/memfd:", "/SYSV")
_SEMAPHORE: Final = "/dev/shm/sem."
#: The part of a map's line after the permissions: offset, device, inode, name.
_WRITTEN: Final = re.compile(rb" rw-s (.*/.*)")
#: Memory of libraries that generate code: they write to it before they run it.
_CODE: Final = ("/memfd:libffi", "/memfd:doublemapper", "/memfd:procpar")
#: Libraries that lock what several of their processes write: at worst one waits for another.
_LOCKING: Final = frozenset({"tqdm", "numba", "joblib"})


class SharedMemory:
    """Memory made since `begin` that processes would share (Linux; elsewhere none is seen).

    :param is_vouched: whether a kind is safe, or what a module holds.
    """

    def __init__(self, is_vouched: Callable[[str], bool]) -> None:
        self._is_vouched = is_vouched
        self._before: frozenset[str] = frozenset()

    def begin(self) -> None:
        """Note which shared memory there is."""
        self._before = frozenset(_maps())

    def findings(self) -> Iterator[str]:
        """Yield a reason for semaphores, and one for other memory, each with what holds it."""
        if self._is_vouched("shared-memory"):
            return
        new = set(_maps()) - self._before
        if not new:
            return
        from pytest_procpar.start_method.objects.holders import find_holder, held_by

        gc.collect()  # it may be garbage
        new &= set(_maps())
        semaphores = {name for name in new if _SEMAPHORE in name}
        if new - semaphores:
            holder = find_holder(_is_memory)
            if holder is None or not self._is_vouched(holder.module):
                name = min(new - semaphores).partition(" ")[2]
                yield f"memory was made that processes would share{held_by(holder) or f' ({name})'}"
        if semaphores:
            holder = find_holder(_is_semaphore)
            if not self._is_excused(holder):
                yield f"a semaphore was made that processes would share{held_by(holder)}"

    def _is_excused(self, holder: Holder | None) -> bool:
        return holder is not None and (
            holder.module.partition(".")[0] in _LOCKING or self._is_vouched(holder.module)
        )


def _maps() -> Iterable[str]:
    """The memory that is shared and writable: inode and name of each map."""
    with suppress(OSError), open("/proc/self/maps", "rb", buffering=0) as file:
        for line in _WRITTEN.findall(file.readall()):
            *_, inode, name = os.fsdecode(line).split(None, 3)
            if name.startswith(_SHARED) and not name.startswith(_CODE):
                yield f"{inode} {name}"


def _is_memory(thing: object) -> bool:
    return issubclass(type(thing), mmap.mmap)


def _is_semaphore(thing: object) -> bool:
    return type(thing).__name__ == "SemLock"
