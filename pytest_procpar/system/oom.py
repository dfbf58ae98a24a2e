"""Tells from the kernel's counters whether it killed a process because memory ran out.

The counters name no process. If one has gone up between two looks, and a worker was killed by SIGKILL in
between, that is evidence and not proof; messages are worded accordingly.
"""

from __future__ import annotations

from pathlib import Path

from pytest_procpar.system.cgroups import own_directories, read_text
from pytest_procpar.system.headroom import is_limited

__all__ = ["OutOfMemory"]


class OutOfMemory:
    """The kernel's counters of out-of-memory kills: of this process's control group, or else of the machine.

    ``oom_kill`` in ``memory.events`` (kernel documentation, cgroup-v2), in ``memory.oom_control`` (version 1)
    and in ``/proc/vmstat``. The kernel counts a kill in the group of the killed process, whichever limit was
    reached. So if our own group has a counter, kills in other containers and groups do not affect it.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        directories = dict(own_directories(root, "memory"))  # of each version the innermost, which comes last
        own = [
            directory / name
            for directory in directories.values()
            for name in ("memory.events", "memory.oom_control")
            if _kills(directory / name) is not None
        ]
        self._is_own = bool(own)
        limited = self._is_own and is_limited(root)
        which = "the memory limit of its control group" if limited else "the memory of the machine"
        self._counters = [_Counter(file, which) for file in own or [root / "proc/vmstat"]]

    def seen(self, *, killed: bool = True) -> str:
        """Which memory was exhausted when the kernel killed a process, one kill per call; empty if none was.

        :param killed: whether a process of ours was killed. If not, only counters of our own group are used.
        """
        if not killed and not self._is_own:
            return ""
        more = [counter.which for counter in self._counters if counter.goes_up()]
        return more[0] if more else ""


class _Counter:
    """One file's count, and `which` memory it is about."""

    def __init__(self, file: Path, which: str) -> None:
        self.which = which
        self._file = file
        self._known = _kills(file) or 0

    def goes_up(self) -> bool:
        """Whether it counted more kills than were asked about: two killed workers need two kills."""
        now, before = _kills(self._file) or 0, self._known
        self._known = min(before + 1, now)
        return now > before


def _kills(file: Path) -> int | None:
    """The number of kills that a file counts; None if it has no such counter."""
    for line in read_text(file).splitlines():
        name, _, value = line.partition(" ")
        if name == "oom_kill" and value.isdecimal():
            return int(value)
    return None
