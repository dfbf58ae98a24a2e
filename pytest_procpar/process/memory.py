"""Whether the kernel has killed for want of memory, as far as it says so.

Its counters name no process. So one that has gone up between two looks, with a worker killed by SIGKILL in
between, is evidence and no proof; it is worded like that.
"""

from __future__ import annotations

from pathlib import Path

from pytest_procpar.process.cgroups import own_directories, read_text

__all__ = ["OutOfMemory"]


class OutOfMemory:
    """The kernel's counters of out-of-memory kills: of this process's control groups, and of the machine.

    ``oom_kill`` in ``memory.events`` (kernel documentation, cgroup-v2), in ``memory.oom_control`` (version 1)
    and in ``/proc/vmstat``.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._files = [
            (directory / name, "the memory limit of its control group")
            for _, directory in own_directories(root, "memory")
            for name in ("memory.events", "memory.oom_control")
        ]
        self._files.append((root / "proc/vmstat", "the memory of the machine"))
        self._known = [_kills(file) for file, _ in self._files]

    def seen(self) -> str:
        """Which memory the kernel has killed a process for, since the last call; else nothing."""
        known, self._known = self._known, [_kills(file) for file, _ in self._files]
        for before, after, (_, which) in zip(known, self._known, self._files, strict=True):
            if after > before:
                return which
        return ""


def _kills(file: Path) -> int:
    for line in read_text(file).splitlines():
        name, _, value = line.partition(" ")
        if name == "oom_kill" and value.isdecimal():
            return int(value)
    return 0
