"""Files that are still open when a process ends: their content is written, and temporary ones are removed.

The end of an interpreter does so, by closing all objects. Ours end without that, since it waits for threads.
"""

from __future__ import annotations

import _io
import io
import tempfile
from collections.abc import Callable
from typing import Final

from pytest_procpar.forking.file_positions import WRITERS, WrittenFiles, settle, written_files
from pytest_procpar.system.frozen_heap import every_object

__all__ = ["settle_left_open"]

#: What is returned by `tempfile.NamedTemporaryFile`, and what all files of Python's come from.
_TEMPORARY: Final = tempfile._TemporaryFileWrapper
_FILE: Final = _io._IOBase


def settle_left_open(find: Callable[[], WrittenFiles] = written_files) -> None:
    """Write what is buffered for open files, and close those that write an end or remove their file.

    What was opened before this process was forked is not closed: others use it. It looks at every object (30
    ms for a million), but only if a file is open for writing.
    """
    every, own = find()
    if not every:
        return
    things = [thing for thing in every_object() if issubclass(type(thing), (_FILE, _TEMPORARY))]
    # From the outside in: what a file holds back goes to the one below it.
    settle((thing for thing in things if isinstance(thing, io.TextIOWrapper)), every, "flush")
    settle((thing for thing in things if _compresses(thing)), own, "close")
    settle((thing for thing in things if isinstance(thing, WRITERS)), every, "flush")
    settle((thing for thing in things if issubclass(type(thing), _TEMPORARY)), own, "__exit__")


def _compresses(thing: object) -> bool:
    """Whether a file's class is written in Python, as those of `gzip` are: its `close` may write an end."""
    return issubclass(type(thing), _FILE) and type(thing).__module__ not in ("_io", "io")
