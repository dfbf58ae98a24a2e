"""How much memory is left before the kernel kills processes, and which ones it then kills first.

A limit that the kernel does not tell counts as none. For descriptors and processes, see `shortage`.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from pytest_procpar.system.cgroups import own_directories, read_text

__all__ = [
    "FIRST_TO_GO", "REPLACEABLE", "SECOND_TO_LAST", "be_expendable", "fitting", "headroom", "is_limited",
    "private", "resident",
]  # fmt: skip

#: What is added to a process's ``oom_score_adj``, in thousandths of the available memory: for a process that
#: runs tests again, for a worker, and for the fork server. The controller is to be killed last: without it
#: nobody would see a result.
FIRST_TO_GO = 700
REPLACEABLE = 400
SECOND_TO_LAST = 100

#: What is left for the processes that exist, in bytes: all of them grow a little, page by page.
_RESERVE = 8 << 20
#: A higher limit than this is none (version 1 writes the highest number there is).
_UNLIMITED = 1 << 60


def headroom(root: Path = Path("/")) -> int | None:
    """How many more bytes processes of this control group may take; None if nothing limits that.

    The limits of a control group's ancestors apply to it, too, and so does the memory of the machine: the
    smallest of these counts. Kernel documentation: cgroup-v2, cgroup-v1/memory, ``/proc/meminfo``.
    """
    rooms = [_room_in(directory, version) for version, directory in own_directories(root, "memory")]
    rooms.append(_available(root))
    return min((room for room in rooms if room is not None), default=None)


def _room_in(directory: Path, version: int) -> int | None:
    if version == 2:
        limits = [_number(directory / name) for name in ("memory.max", "memory.high")]
        limit = min((limit for limit in limits if limit is not None), default=None)
        used, prefix = _number(directory / "memory.current"), ""
    else:
        limit, prefix = _number(directory / "memory.limit_in_bytes"), "total_"
        used = _number(directory / "memory.usage_in_bytes")
    if limit is None or limit >= _UNLIMITED or used is None:
        return None
    facts = _facts(directory / "memory.stat")
    # The kernel drops cached files before it kills processes; of those in active use, half count as free.
    files = facts.get(f"{prefix}inactive_file", 0) + facts.get(f"{prefix}active_file", 0) // 2
    return max(0, limit - used + files)


def is_limited(root: Path = Path("/")) -> bool:
    """Whether a control group limits the memory of this process."""
    return any(_room_in(place, version) is not None for version, place in own_directories(root, "memory"))


def _available(root: Path) -> int | None:
    facts = _facts(root / "proc/meminfo")
    kilobytes = facts.get("MemAvailable:")
    return None if kilobytes is None else kilobytes + facts.get("SwapFree:", 0) << 10


def _number(file: Path) -> int | None:
    """The number in a file; None if it says that there is no limit, or does not exist."""
    text = read_text(file).strip()
    return int(text) if text.isdecimal() else None


def _facts(file: Path) -> dict[str, int]:
    lines = (line.split() for line in read_text(file).splitlines())
    return {fields[0]: int(fields[1]) for fields in lines if len(fields) >= 2 and fields[1].isdecimal()}


def fitting(wanted: int, room: int | None, size: int) -> int:
    """How many of the `wanted` processes, of `size` bytes each, fit into `room`. None means room for all."""
    if room is None:
        return wanted
    return max(0, min(wanted, (room - _RESERVE) // max(1, size)))


def no_room(room: int | None, needed: int) -> str:
    """The message for the user if `needed` bytes do not fit into `room`."""
    return f"{(room or 0) >> 20} MB of memory are left, and it takes about {needed >> 20} MB"


def resident(pid: int | str = "self", root: Path = Path("/")) -> int:
    """How much memory a process takes, in bytes, including shared memory; 0 if that is not known."""
    kilobytes = _facts(root / f"proc/{pid}/status").get("VmRSS:", 0)
    return kilobytes << 10


def private(pid: int, root: Path = Path("/")) -> int:
    """How much memory a process had at its peak that it shares with no other, in bytes; 0 if not known.

    Kernel documentation: ``/proc/PID/smaps_rollup``. What it had at its peak and has no more was its own.
    """
    now = _facts(root / f"proc/{pid}/smaps_rollup")
    own = now.get("Private_Clean:", 0) + now.get("Private_Dirty:", 0)
    status = _facts(root / f"proc/{pid}/status")
    given_back = max(0, status.get("VmHWM:", 0) - status.get("VmRSS:", 0))
    return own + given_back << 10 if own else 0


def be_expendable(points: int, file: Path = Path("/proc/self/oom_score_adj")) -> None:
    """Let the kernel kill this process, and those that it starts, before others if memory runs out.

    Raising the score needs no privilege.

    :param points: see `FIRST_TO_GO`. They are added to the process's score.
    """
    with suppress(OSError, ValueError):  # no such file, or not ours to write
        before = int(file.read_text(encoding="ascii"))
        file.write_text(str(min(1000, before + points)), encoding="ascii")
