"""Which library a native thread belongs to, as its stack shows.

A thread's stack begins (at its highest addresses) with glibc's record of the thread, which holds the function
that the thread was started with. Then come the frames of the code that started it. So the library nearest to
the base is the one that made the thread, apart from libraries that start all threads, such as libc.
"""

from __future__ import annotations

import fnmatch
import struct
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

__all__ = ["Mapping", "MemoryMap", "is_return_address", "openblas_names", "owner", "parse_maps"]

#: Libraries through which any library starts a thread: the beginnings of their file names.
_BETWEEN = (
    "ld-",
    "libc-",
    "libc.",
    "libpthread",
    "libdl",
    "libm-",
    "libm.",
    "librt",
    "libgcc_s",
    "libstdc++",
    "libc++",
    "libasan",
    "liblsan",
    "libmsan",
    "libtsan",
    "libubsan",
)

#: A pointer: its size in bytes, and `struct`'s letter for it.
_WORD = struct.calcsize("P")
_LETTER = "Q" if _WORD == 8 else "I"

#: The size of glibc's record of a thread in words. It has been 2,240 to 2,432 bytes since 2.17 (x86-64).
_RECORD_WORDS = 304


class Mapping(NamedTuple):
    """A line of ``/proc/self/maps``: a range of addresses, and the file behind it ("" if none).

    It is private to a process unless other processes that have it mapped see what is written there.
    """

    start: int
    end: int
    is_executable: bool
    is_private: bool
    path: str


def openblas_names(function: str) -> list[str]:
    """The names that a function of OpenBLAS has in its builds.

    Those with 64-bit integers have a suffix, those of SciPy's packages a prefix.
    """
    return [
        f"{prefix}openblas_{function}{suffix}" for prefix in ("", "scipy_") for suffix in ("", "64_", "_64_")
    ]


def parse_maps(text: str) -> list[Mapping]:
    """The mappings of a process, sorted by address (proc_pid_maps(5)); other lines are left out."""
    mappings = []
    for line in text.splitlines():
        words = line.split(None, 5)
        start, dash, end = words[0].partition("-") if len(words) > 4 else ("", "", "")
        if dash:
            path = words[5].rstrip() if len(words) > 5 else ""
            access = words[1]
            mappings.append(Mapping(int(start, 16), int(end, 16), "x" in access, access.endswith("p"), path))
    return sorted(mappings)


class MemoryMap:
    """What is mapped at which address.

    :param bits: how many bits an address has: ARM64 signs return addresses in the bits above.
    """

    def __init__(self, mappings: Sequence[Mapping], bits: int = 64) -> None:
        self._mappings = mappings
        self._mask = (1 << bits) - 1
        self._starts = [mapping.start for mapping in mappings]

    def plain(self, address: int) -> int:
        """An address without a signature."""
        return address & self._mask

    def tails(self, size: int) -> Iterator[tuple[int, int]]:
        """The ends of what may be stacks: address and size, in bytes, of each."""
        for mapping in self._mappings:
            if not mapping.path and not mapping.is_executable and mapping.end - mapping.start >= size:
                yield mapping.end - size, size

    def at(self, address: int) -> Mapping | None:
        """The mapping that holds an address."""
        index = bisect_right(self._starts, address) - 1
        if index < 0 or address >= self._mappings[index].end:
            return None
        return self._mappings[index]

    def files(self, pattern: str) -> list[str]:
        """The mapped files whose names match a shell pattern."""
        paths = dict.fromkeys(mapping.path for mapping in self._mappings)
        return [path for path in paths if fnmatch.fnmatchcase(path.rpartition("/")[2], pattern)]

    def code(self, address: int) -> str | None:
        """The file whose code is at an address; None if there is none."""
        mapping = self.at(self.plain(address))
        return mapping.path if mapping is not None and mapping.is_executable and mapping.path else None


def owner(
    stack: bytes, address: int, tid: int | None, memory: MemoryMap, is_return: Callable[[int], bool]
) -> str | None:
    """The file of the library that a thread belongs to; None if that cannot be told.

    :param stack: the thread's stack, from some place near its top down to its base or beyond.
    :param address: where in memory `stack` begins.
    :param tid: the kernel's id of the thread, if it is not certain that the stack is that thread's.
    :param is_return: whether a call may return to this address in code.
    """
    if tid is not None and struct.pack("=I", tid) not in stack:
        return None
    words = struct.unpack_from(f"{len(stack) // _WORD}{_LETTER}", stack)
    record = _record(words, address)
    if record is not None:
        about = words[record : record + _RECORD_WORDS]
        if tid is not None and not any(word & 0xFFFFFFFF == tid for word in about):
            return None
        for word in about:
            path = memory.code(word)
            if path is not None and not _is_between(path):
                return path
    elif tid is not None:
        return None
    for word in reversed(words[:record]):
        path = memory.code(word)
        if path is not None and not _is_between(path) and is_return(word):
            return path
    return None


def _record(words: Sequence[int], address: int) -> int | None:
    """Where glibc's record of the thread is: it holds its own address twice (x86-64)."""
    for index in range(len(words) - 2):
        here = address + _WORD * index
        if words[index] == here and words[index + 2] == here:
            return index
    return None


def _is_between(path: str) -> bool:
    return path.startswith("[") or path.rpartition("/")[2].startswith(_BETWEEN)


def is_return_address(before: bytes, machine: str) -> bool:
    """Whether the eight bytes of code before an address may end in a call; otherwise it is a mere pointer.

    :param machine: the processor, as `platform.machine` names it. On processors other than x86-64 and ARM64
        (Intel's Software Developer's Manual, CALL; Arm's Architecture Reference Manual, BL and BLR) any
        address is accepted.
    """
    if machine == "x86_64":
        indirect = any(before[-n] == 0xFF and before[1 - n] & 0x38 == 0x10 for n in (2, 3, 4, 6, 7))
        return before[-5] == 0xE8 or indirect
    if machine == "aarch64":
        word = int.from_bytes(before[-4:], "little")
        return word & 0xFC000000 == 0x94000000 or word & 0xFFFFFC1F == 0xD63F0000
    return True
