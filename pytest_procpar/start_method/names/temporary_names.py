"""Candidate names for temporary files, watched while `tempfile` tries them."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from types import FrameType

__all__ = ["Candidates"]


class Candidates:
    """Candidate names: `tempfile` takes the next one until no such file exists.

    :param note: is given the call that asked for it, a name, the path that it will be part of if that is
        known, and the caller's frame.
    """

    def __init__(self, names: Iterator[str], note: Callable[[str, str, str | None, FrameType], None]) -> None:
        self._names = names
        self._note = note

    def __iter__(self) -> Candidates:
        return self

    def __next__(self) -> str:
        name: str = next(self._names)
        frame = sys._getframe(1)
        if frame.f_globals is vars(tempfile):
            path = _path_of(name, frame.f_locals)
            self._note(f"tempfile.{frame.f_code.co_name}()", name, path, frame)
        else:
            self._note("tempfile._get_candidate_names()", name, None, frame)
        return name


def _path_of(name: str, given: Mapping[str, str | bytes]) -> str:
    """The path at which a function of `tempfile` with these variables will make a file of this name."""
    prefix, suffix = given.get("prefix", given.get("pre", "")), given.get("suffix", given.get("suf", ""))
    folder = os.fsdecode(given.get("dir", ""))
    return os.path.abspath(os.path.join(folder, f"{os.fsdecode(prefix)}{name}{os.fsdecode(suffix)}"))
