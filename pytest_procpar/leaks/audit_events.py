"""Notes what the interpreter says is happening: temporary files that are made, processes that are started.

By functions bound against mocks like those of `process/system.py`.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from pytest_procpar.leaks.resources import Leak

__all__ = ["AuditEvents", "left_paths", "take_notes"]

#: The folder that ``multiprocessing`` keeps for its process's life, and removes at its end.
_MULTIPROCESSING_FOLDER = "pymp-"


@dataclass(slots=True)
class AuditEvents:
    """What happened since they were cleared."""

    #: Of everything that `tempfile` made.
    paths: list[str] = field(default_factory=list)
    #: How many processes were started by other means than `subprocess`.
    forks: int = 0

    def clear(self) -> None:
        """Begin anew."""
        self.paths.clear()
        self.forks = 0


_listeners: list[AuditEvents] = []


def _bind_listener(
    listeners: list[AuditEvents] = _listeners,
    temporary: frozenset[str] = frozenset({"tempfile.mkdtemp", "tempfile.mkstemp"}),
    forks: frozenset[str] = frozenset({"os.fork", "os.forkpty", "os.posix_spawn"}),
    absolute: Callable[[str], str] = os.path.abspath,
    decode: Callable[[Any], str] = os.fsdecode,
    frame: Callable[[int], FrameType] = sys._getframe,
    by_subprocess: str = subprocess.Popen.__init__.__code__.co_filename,
) -> Callable[[str, tuple[Any, ...]], None]:
    def listen(event: str, arguments: tuple[Any, ...]) -> None:
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
    """Notes that are taken from here on, and what ends that.

    By an audit hook, which stays in the process for good.
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


#: Those of the paths that are still there, unless they lie in another of them or in a folder that is kept.
left_paths = _bind_left()
