"""Finds the control groups of this process in the file system."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

__all__ = ["own_directories", "read_text"]


def own_directories(root: Path, controller: str) -> Iterator[tuple[int, Path]]:
    """Yield version and directory of every group that may limit what `controller` (such as ``cpu``) manages.

    The limits of a group's ancestors apply to it, too, as far up as they are mounted. Both versions are
    looked for, since hybrid hosts mount both.
    """
    mounts = list(_mounts(read_text(root / "proc/self/mountinfo"), root, controller))
    for version, group in _own_groups(read_text(root / "proc/self/cgroup"), controller):
        for directory in _directories(group, [m for m in mounts if m.version == version]):
            yield version, directory


class _Mount(NamedTuple):
    """A mounted cgroup hierarchy: the group `group` and all below it are visible at `point`."""

    version: int
    group: PurePosixPath
    point: Path


def _own_groups(text: str, controller: str) -> Iterator[tuple[int, PurePosixPath]]:
    """Yield version and path of the groups that `controller` can limit (cgroups(7))."""
    for line in text.split("\n"):
        hierarchy, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if hierarchy == "0":
            yield 2, PurePosixPath(group)
        elif controller in controllers.split(","):
            yield 1, PurePosixPath(group)


# proc_pid_mountinfo(5). The fields before " - " vary in number.
_MOUNT = re.compile(r"\d+ \d+ \S+ (?P<group>\S+) (?P<point>\S+) .*? - cgroup(?P<two>2?) \S+ (?P<options>\S+)")


def _mounts(text: str, root: Path, controller: str) -> Iterator[_Mount]:
    for line in text.split("\n"):
        mount = _MOUNT.fullmatch(line)
        if mount is not None and (mount["two"] or controller in mount["options"].split(",")):
            yield _Mount(
                version=2 if mount["two"] else 1,
                group=PurePosixPath(_unescape(mount["group"])),
                point=root / _unescape(mount["point"]).lstrip("/"),
            )


def _unescape(field: str) -> str:
    # Matters: systemd names units like `a\x2db.slice`, and the kernel writes that backslash `\134`.
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), field)


def _directories(group: PurePosixPath, mounts: list[_Mount]) -> Iterator[Path]:
    """Yield the directories of `group` and its ancestors, as far as they are mounted.

    Where no mount holds the group under its name, yield the tops of the mounts: a container has its
    own group mounted there, but the two files may name it from different namespaces.
    """
    found = False
    for mount in mounts:
        if group.is_relative_to(mount.group):
            below = group.relative_to(mount.group).parts
            if ".." not in below:  # otherwise outside this cgroup namespace (cgroup_namespaces(7))
                found = True
                yield from (mount.point.joinpath(*below[:n]) for n in range(len(below) + 1))
    if not found:
        yield from (mount.point for mount in mounts)


def read_text(file: Path) -> str:
    """The text of a file; empty if it cannot be read."""
    try:
        return file.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""
