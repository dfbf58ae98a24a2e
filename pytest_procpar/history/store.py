"""Reads the history of durations, and adds to it. Nothing here raises because of what is on the disk.

A file is read, merged and replaced under a lock. In a folder each run writes a file of its own, which is
never changed, so that folders of several machines can be put together; from time to time they become one
file.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import pytest

import pytest_procpar.system.files as files
from pytest_procpar.core.history.durations import EMPTY, DurationHistory
from pytest_procpar.core.history.merging import merged
from pytest_procpar.core.history.pruning import pruned
from pytest_procpar.core.history.schema import OtherVersion, UnreadableHistory, parsed, written
from pytest_procpar.history.locking import locked
from pytest_procpar.history.place import Place, make_room

__all__ = ["Store", "read_file"]

#: A file with more bytes than this is not ours.
_LARGEST = 64 << 20
#: How many files a folder may have before they become one.
_MOST_FILES = 16


class _Unusable(Exception):
    """A file is neither a history nor may it be replaced by one."""


def read_file(path: Path) -> tuple[DurationHistory, int]:
    """The history that a file has, and how many of its entries make no sense.

    :raises OSError: if it cannot be read.
    :raises UnreadableHistory: if it is none.
    """
    found = parsed(files.read(path, _LARGEST))
    return found.history, found.left_out


class Store:
    """The history at a place.

    :param place: where it is.
    """

    def __init__(self, config: pytest.Config, place: Place) -> None:
        self._config = config
        self._place = place
        #: What was wrong, a line each.
        self.notes: list[str] = []
        #: The file that was read last, as far as the system tells it from others, and what it has.
        self._latest: tuple[object, DurationHistory] | None = None

    def read(self) -> DurationHistory:
        """What is known; nothing, with a note, if it cannot be read."""
        try:
            return self._read_folder()[0] if self._place.is_folder else self._read(self._place.path)
        except (OSError, _Unusable) as error:
            self._note(f"is not read: {_reason(error)}")
            return EMPTY

    def add(self, more: Callable[[DurationHistory], DurationHistory]) -> DurationHistory | None:
        """Add what `more` makes of what is known; return all of it; None, with a note, if that fails.

        :param more: called while no other run can add anything, unless the place is a folder.
        """
        try:
            if self._place.is_folder:
                return self._add_to_folder(more)
            make_room(self._config, self._place)
            with locked(self._place.path.parent):
                return self._add_to_file(more)
        except (OSError, _Unusable) as error:
            self._note(f"is not written: {_reason(error)}")
            return None

    def replace(self, change: Callable[[DurationHistory], DurationHistory]) -> DurationHistory | None:
        """Let all that is known be what `change` makes of it; None, with a note, if it fails."""
        try:
            make_room(self._config, self._place)
            with locked(self._place.path if self._place.is_folder else self._place.path.parent):
                paths = [self._place.path]
                known, paths = self._read_folder() if self._place.is_folder else (self._read(*paths), paths)
                after = change(known)
                if not known.runs:
                    return after
                if self._place.is_folder:
                    return self._compact(after, paths)
                self._write(after)
                return after
        except (OSError, _Unusable) as error:
            self._note(f"is not written: {_reason(error)}")
            return None

    # --- a file ---

    def _add_to_file(self, more: Callable[[DurationHistory], DurationHistory]) -> DurationHistory:
        known = self._read(self._place.path)
        new = more(known)
        if not new.runs:
            return known
        known = pruned(merged([known, new]))
        self._write(known)
        return known

    def _write(self, history: DurationHistory) -> None:
        write = files.replace if self._place.is_cache else files.write  # a user's link is followed
        write(self._place.path, written(history))

    def _read(self, path: Path) -> DurationHistory:
        """What a file has; a damaged one is set aside.

        :raises OSError: if it cannot be read.
        :raises _Unusable: if it is something else, and the user's.
        """
        try:
            found = os.stat(path)
            state = path, found.st_ino, found.st_mtime_ns, found.st_size
            if self._latest is not None and self._latest[0] == state:  # a run reads it twice: first and last
                return self._latest[1]
            history, left_out = read_file(path)
        except FileNotFoundError:
            return EMPTY
        except UnreadableHistory as error:
            if not (error.ours or (self._place.is_cache and not isinstance(error, OtherVersion))):
                raise _Unusable(f"{path} {error}") from None
            aside = path.with_name(f"{path.name}.damaged")
            os.replace(path, aside)
            self._note(f"begins anew: {path} {error}, and is {aside.name} now")
            return EMPTY
        if left_out:
            self._note(f"is incomplete: {left_out} entries of {path} make no sense")
        self._latest = state, history
        return history

    # --- a folder ---

    def _read_folder(self) -> tuple[DurationHistory, list[Path]]:
        """What all files of the folder have, and which of them are histories."""
        paths = sorted(self._place.path.glob("*.json"))
        found = {path: history for path in paths if (history := self._tried(path)) is not None}
        histories = list(found.values())
        return (histories[0] if len(histories) == 1 else merged(histories)), list(found)

    def _tried(self, path: Path) -> DurationHistory | None:
        """What a file has; None, with a note, if it cannot be read, or is something else."""
        try:
            return self._read(path)
        except (OSError, _Unusable) as error:
            self._note(f"is incomplete: {_reason(error)}")
            return None

    def _add_to_folder(self, more: Callable[[DurationHistory], DurationHistory]) -> DurationHistory:
        known, paths = self._read_folder()
        new = more(known)
        if not new.runs:
            return known
        make_room(self._config, self._place)
        known = merged([known, new])
        if len(paths) < _MOST_FILES:
            self._write_beside(new)
            return known
        return self._compact(known, paths)

    def _compact(self, history: DurationHistory, paths: Iterable[Path]) -> DurationHistory:
        """Let one new file have what these have. They are removed when it is there."""
        known = pruned(history)
        new = self._write_beside(known)
        for path in paths:
            if path != new:
                with suppress(OSError):
                    path.unlink()
        return known

    def _write_beside(self, history: DurationHistory) -> Path:
        """Write a file under a name that no other run uses."""
        latest = max(history.runs.values(), key=lambda past: past.place, default=None)
        time = 0 if latest is None else latest.time
        path = self._place.path / f"{time}-{os.urandom(4).hex()}.json"
        files.replace(path, written(history))
        return path

    def _note(self, what: str) -> None:
        note = f"the history of durations {what}"
        if note not in self.notes:
            self.notes.append(note)


def _reason(error: Exception) -> str:
    """What went wrong, with the file if the system names it."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error.strerror if isinstance(error, OSError) and error.strerror else error)
