"""Finds the libraries that started this process's native threads.

The kernel tells where a thread's stack is (proc_pid_syscall(5)), and the process's own memory shows what is
on it. Both may be withheld, as in some sandboxes: then OpenBLAS is asked how many threads it has.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from pytest_procpar.core.evidence.thread_owner import (
    MemoryMap,
    is_return_address,
    openblas_names,
    owner,
    parse_maps,
)
from pytest_procpar.system.descendants import read_bytes

__all__ = ["NativeThread", "identify", "is_loaded"]

#: How much of a stack is read, in bytes, from the stack pointer toward the stack's base: threads of a pool
#: have theirs within 8 KiB of that. And how much is read at the end of each mapping that may be a stack, if
#: the stack pointer is not known.
_STACK_BYTES, _TAIL_BYTES = 256 * 1024, 16 * 1024

#: The names of the function that returns the size of OpenBLAS's pool.
_POOL_SIZES = openblas_names("get_num_threads")


class NativeThread(NamedTuple):
    """A thread: its id, its name, and the file of the library that started it (None if unknown)."""

    tid: int
    name: str
    path: str | None


def identify(tids: Iterable[int]) -> list[NativeThread]:
    """Identify these threads; those that have ended meanwhile are left out."""
    with _memory() as (memory, mem):
        threads = [
            NativeThread(tid, name, None if mem is None else _owner(tid, memory, mem))
            for tid in sorted(tids)
            if (name := _read(f"/proc/self/task/{tid}/comm"))
        ]
    return threads if mem is not None else _grant_openblas(threads, memory)


def is_loaded(pattern: str) -> bool:
    """Whether a library is loaded whose file's name matches `pattern`."""
    return bool(MemoryMap(parse_maps(_read("/proc/self/maps"))).files(pattern))


@contextmanager
def _memory() -> Iterator[tuple[MemoryMap, int | None]]:
    """What is mapped, and a descriptor that reads memory safely; None if stacks cannot be read."""
    bits = 48 if os.uname().machine == "aarch64" else 64
    memory = MemoryMap(parse_maps(_read("/proc/self/maps")), bits)
    mem = None
    if _read("/proc/self/syscall"):
        with suppress(OSError):
            mem = os.open("/proc/self/mem", os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield memory, mem
    finally:
        if mem is not None:
            os.close(mem)


def _owner(tid: int, memory: MemoryMap, mem: int) -> str | None:
    machine = os.uname().machine

    def is_return(address: int) -> bool:
        before = _peek(mem, memory.plain(address) - 8, 8)
        return len(before) == 8 and is_return_address(before, machine)

    pointer = _stack_pointer(tid)
    mapping = memory.at(pointer)
    if mapping is not None:
        stack = _peek(mem, pointer, min(mapping.end - pointer, _STACK_BYTES))
        return owner(stack, pointer, None, memory, is_return)
    for address, size in memory.tails(_TAIL_BYTES):
        path = owner(_peek(mem, address, size), address, tid, memory, is_return)
        if path is not None:
            return path
    return None


def _stack_pointer(tid: int) -> int:
    """The stack pointer of a thread that waits in the kernel, rounded up to words; 0 if it is computing."""
    words = _read(f"/proc/self/task/{tid}/syscall").split()
    return int(words[-2], 16) + 7 & ~7 if len(words) > 2 else 0


def _grant_openblas(threads: list[NativeThread], memory: MemoryMap) -> list[NativeThread]:
    """Attribute the newest threads without a name to OpenBLAS, as many as it says it has."""
    name = _read("/proc/self/comm")
    pools = [path for path in memory.files("lib*openblas*") for _ in range(_pool_size(path) - 1)]
    granted = []
    for thread in reversed(threads):
        is_plain = thread.name == name and pools
        granted.append(thread._replace(path=pools.pop()) if is_plain else thread)
    return granted[::-1]


def _pool_size(path: str) -> int:
    """The number of threads an OpenBLAS computes with, including its caller's."""
    import ctypes

    with suppress(OSError):
        library = ctypes.CDLL(path, mode=os.RTLD_NOLOAD | os.RTLD_LAZY)
        for name in _POOL_SIZES:
            with suppress(AttributeError):
                return int(getattr(library, name)())
    return 1


def _peek(mem: int, address: int, size: int) -> bytes:
    """Read memory; fewer bytes if not all of it is mapped (any more)."""
    with suppress(OSError, OverflowError):
        return os.pread(mem, size, address)
    return b""


def _read(path: str) -> str:
    return read_bytes(path).decode(errors="replace").strip()
