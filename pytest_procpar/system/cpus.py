"""How many workers ``-n auto`` and ``-n logical`` mean.

What the user asked for comes first, then what the machine grants: the CPUs that this process may be scheduled
on, limited by the CPU quota of its control groups, which no count of CPUs shows (a container given 2 CPUs of
a 64-core host still sees 64). Knows nothing of pytest's options, ``--maxprocesses``, memory or the number of
tests. A limit that cannot be read counts as none.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from pytest_procpar.system.cgroups import own_directories, read_text

__all__ = [
    "available_cpus", "cgroup_quota", "machine_cpus", "processors", "quota_group",
    "requested_count", "requested_workers", "smallest_limit",
]  # fmt: skip


def requested_workers(environ: Mapping[str, str], warn: Callable[[str], None]) -> int | None:
    """Return the count that the user has set for this process, or None: see `requested_count`."""
    return requested_count(environ, sys._xoptions, warn)


def machine_cpus(*, logical: bool, root: Path = Path("/")) -> int:
    """Return what the machine grants, whatever the user has asked for, at least 1.

    `logical` matters only where psutil is installed and knows the physical cores. ``proc`` and the cgroup
    mounts are looked for below `root`.
    """
    return smallest_limit(
        usable=_usable_cpus(),
        physical=None if logical else _physical_cores(),
        quota=cgroup_quota(root),
    )


def available_cpus(root: Path = Path("/")) -> int:
    """Return how many processors this process and its children may keep busy, whatever was asked for."""
    return smallest_limit(usable=_usable_cpus(), physical=None, quota=cgroup_quota(root))


def requested_count(
    environ: Mapping[str, str], xoptions: Mapping[str, str | bool], warn: Callable[[str], None]
) -> int | None:
    """Return the count that the user has set, or None if it is left to the machine.

    First ``PYTEST_XDIST_AUTO_NUM_WORKERS`` (0 or more), as in pytest-xdist; then ``-X cpu_count``
    (`xoptions` is `sys._xoptions`) and ``PYTHON_CPU_COUNT`` (1 or more, or ``default``), which mean
    on every version what they mean since Python 3.13: ``-X cpu_count=default`` hides the variable.
    An empty value counts as unset, as it does for xdist and for Python. An invalid value is reported to
    `warn` and skipped.
    """
    name = "PYTEST_XDIST_AUTO_NUM_WORKERS"
    count = _parse_count(name, environ.get(name), 0, warn)
    if count is not None:
        return count
    name = "PYTHON_CPU_COUNT"
    for source, value in (("-X cpu_count", xoptions.get("cpu_count")), (name, environ.get(name))):
        if value == "default":
            return None
        count = _parse_count(source, value, 1, warn)
        if count is not None:
            return count
    return None


def smallest_limit(*, usable: int, physical: int | None, quota: int | None) -> int:
    """Return how many of the `usable` CPUs to use, at least 1; None means not known, or no limit.

    `physical` counts the cores of the whole machine, so it may exceed what this process can use.
    """
    return max(1, min(limit for limit in (usable, physical, quota) if limit is not None))


def cgroup_quota(root: Path = Path("/")) -> int | None:
    """Return the CPU quota of this process in whole CPUs, rounded up, or None if it has none.

    The quotas of a group's ancestors apply to it, too, so the smallest of them counts, as far up as they are
    mounted. Both versions are read, since hybrid hosts mount both: ``cpu.max`` (kernel
    documentation, cgroup-v2) and ``cpu.cfs_quota_us``, ``cpu.cfs_period_us`` (sched-bwc).
    """
    found = quota_group(root)
    return None if found is None else found[0]


def quota_group(root: Path = Path("/")) -> tuple[int, int] | None:
    """Return that quota, and a number that tells the control group that has it from others; None if none has.

    Processes that find the same number share the quota.
    """
    found = []
    for version, directory in own_directories(root, "cpu"):
        quota = _quota_in(directory, version)
        if quota is not None:
            try:
                found.append((quota, directory.stat().st_ino))
            except OSError:  # it was there a moment ago
                found.append((quota, 0))
    return min(found, default=None)


def processors() -> int:
    """Return a number with a bit for each processor that this process may be scheduled on."""
    if hasattr(os, "sched_getaffinity"):
        return sum(1 << number for number in os.sched_getaffinity(0))
    return (1 << (os.cpu_count() or 1)) - 1


def _parse_count(name: str, value: str | bool | None, least: int, warn: Callable[[str], None]) -> int | None:
    if value is None or value == "":
        return None
    try:
        count = int(str(value))  # through str: a bare `-X cpu_count` is True, which is not 1
    except ValueError:
        count = least - 1
    if count < least:
        warn(f"ignoring {name}={value!r}: expected a whole number, {least} or more")
        return None
    return count


def _usable_cpus() -> int:
    counts = [os.cpu_count()]
    if sys.version_info >= (3, 13):
        counts.append(os.process_cpu_count())
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        counts.append(len(os.sched_getaffinity(0)))
    return min((count for count in counts if count is not None), default=1)


def _physical_cores() -> int | None:
    # By name, so that type checking does not depend on psutil or its stubs being installed.
    try:
        count: object = importlib.import_module("psutil").cpu_count(logical=False)
    except (ImportError, OSError):  # psutil itself raises OSError where /proc is not mounted
        return None
    return count if isinstance(count, int) else None


def _quota_in(directory: Path, version: int) -> int | None:
    names = ["cpu.max"] if version == 2 else ["cpu.cfs_quota_us", "cpu.cfs_period_us"]
    try:
        quota, period = (int(field) for name in names for field in read_text(directory / name).split())
    except ValueError:  # "max", nothing, what no kernel writes, or a NUL in the directory's name
        return None
    return -(-quota // period) if quota > 0 and period > 0 else None  # -1 is "none" in version 1
