"""Notes what the interpreter reports: temporary files that are made, processes that are started.

Functions are bound against mocks as in `system/calls.py`.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import FrameType

from pytest_procpar.leaks.resources import Leak

__all__ = ["AuditEvents", "left_paths", "take_notes"]

#: The prefix of the folder that ``multiprocessing`` keeps while its process lives, and removes at the end.
_MULTIPROCESSING_FOLDER = "pymp-"


@dataclass(slots=True)
class AuditEvents:
    """What has happened since the last `clear`."""

    #: The paths of everything that `tempfile` made.
    paths: list[str] = field(default_factory=list)
    #: How many processes were started by other means than `subprocess`.
    forks: int = 0

    def clear(self) -> None:
        """Forget what happened."""
        self.paths.clear()
        self.forks = 0


_listeners: list[AuditEvents] = []


def _bind_listener(
    listeners: list[AuditEvents] = _listeners,
    temporary: frozenset[str] = frozenset({"tempfile.mkdtemp", "tempfile.mkstemp"}),
    forks: frozenset[str] = frozenset({"os.fork", "os.forkpty", "os.posix_spawn"}),
    absolute: Callable[[str], str] = os.path.abspath,
    decode: Callable[[str | bytes | os.PathLike[str]], str] = os.fsdecode,
    frame: Callable[[int], FrameType] = sys._getframe,
    by_subprocess: str = subprocess.Popen.__init__.__code__.co_filename,
) -> Callable[[str, tuple[str, ...]], None]:
    def listen(event: str, arguments: tuple[str, ...]) -> None:
        if event in temporary:
            try:
                path = absolute(decode(arguments[0]))
            except Exception:  # the working directory is gone, or mocked
                return
            for notes in listeners:
                notes.paths.append(path)
        elif event in forks and frame(1).f_code.co_filename != by_subprocess:
            for notes in listeners:
                notes.forks += 1

    return listen


_listen = _bind_listener()
_is_listening: list[bool] = []


def take_notes() -> tuple[AuditEvents, Callable[[], None]]:
    """Start to take notes; return them, and a function that ends it.

    The notes come from an audit hook, which stays in the process for good.
    """
    notes = AuditEvents()
    if not _is_listening:
        sys.addaudithook(_listen)
        _is_listening.append(True)
    _listeners.append(notes)

    def stop() -> None:
        _listeners[:] = [each for each in _listeners if each is not notes]

    return notes, stop


def _bind_left(
    lstat: Callable[[str], os.stat_result] = os.lstat,
    realpath: Callable[[str], str] = os.path.realpath,
    basename: Callable[[str], str] = os.path.basename,
    is_directory: Callable[[int], bool] = stat.S_ISDIR,
) -> Callable[[Iterable[str], Callable[[], Iterable[str]]], list[Leak]]:
    def left_paths(paths: Iterable[str], kept: Callable[[], Iterable[str]]) -> list[Leak]:
        found: dict[str, bool] = {}
        for path in paths:
            if not basename(path).startswith(_MULTIPROCESSING_FOLDER):
                try:
                    found[path] = is_directory(lstat(path).st_mode)
                except OSError:  # it is gone
                    pass
        if not found:
            return []
        folders = [realpath(path) for path in (*kept(), *(path for path in found if found[path]))]
        return [
            Leak("path", path, None, f"{'directory' if is_folder else 'file'} {path} is still there")
            for path, is_folder in found.items()
            if not any(realpath(path).startswith(f"{folder}/") for folder in folders)
        ]

    return left_paths


#: Returns a leak for each path that still exists, unless it is inside another one or a folder to be kept.
left_paths = _bind_left()
