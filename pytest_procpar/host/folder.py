"""The folder that the runs of one user share, which nobody else may write to."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Mapping

__all__ = ["UnsafeFolder", "open_folder"]

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
_NAME = "pytest-procpar"


class UnsafeFolder(OSError):
    """What should be the folder is none, belongs to somebody else, or others may write to it."""


def open_folder(environ: Mapping[str, str]) -> int:
    """Open the folder, which is made if it is not there; return its descriptor, closed on exec.

    It is in ``XDG_RUNTIME_DIR`` (XDG Base Directory Specification: the user's alone, mode 0700, gone when
    the machine is restarted), or, without that, in the folder for temporary files, under a name with the
    user's id. No link is followed.

    :raises OSError: if there is no such folder, or it cannot be made.
    :raises UnsafeFolder: if it is not the user's alone.
    """
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(runtime):
        try:
            parent = os.open(runtime, _FLAGS)
        except OSError:
            parent = None
        if parent is not None:
            try:
                _check(parent, runtime)
                return _open(_NAME, parent)
            except OSError:
                pass  # read-only, or not what the specification says: /tmp does as well
            finally:
                os.close(parent)
    return _open(os.path.join(tempfile.gettempdir(), f"{_NAME}-{os.geteuid()}"), None)


def _open(path: str, parent: int | None) -> int:
    try:
        os.mkdir(path, 0o700, dir_fd=parent)
    except FileExistsError:
        pass
    fd = os.open(path, _FLAGS, dir_fd=parent)
    try:
        _check(fd, path)
    except OSError:
        os.close(fd)
        raise
    return fd


def _check(fd: int, path: str) -> None:
    found = os.fstat(fd)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise UnsafeFolder(f"{path} is not a folder that only this user can use (mode 0700)")
