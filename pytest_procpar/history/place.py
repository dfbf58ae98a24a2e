"""Where the history of durations is kept: in pytest's cache, or where the project says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_procpar.compat.pytest_private.cache import cache_entry, place_in_cache
from pytest_procpar.config.settings import history_setting
from pytest_procpar.core.record import record

__all__ = ["Place", "history_place", "make_room"]

#: The entry's name in pytest's cache.
_KEY = "procpar/durations"
#: What says that a path names a file, if nothing is there yet.
_SUFFIX = ".json"


@record
class Place:
    """A file, or a folder of files that are read together.

    ``is_cache``: whether it is in pytest's cache, where nobody else keeps anything.
    """

    path: Path
    is_folder: bool
    is_cache: bool = False


def history_place(config: pytest.Config) -> Place | None:
    """Where the history is; None if none is kept: by the ini value, or because there is no cache.

    :raises pytest.UsageError: if the ini value names nothing that can be a file.
    """
    given = history_setting(config)
    if given == "off":
        return None
    if not given:
        path = cache_entry(config, _KEY, cleared=True)
        return None if path is None else Place(path, is_folder=False, is_cache=True)
    try:
        if "\0" in given:
            raise ValueError("it has a null character")
        path = Path(os.path.abspath(config.rootpath / os.path.expanduser(os.path.expandvars(given))))
        is_folder = path.is_dir() or not (path.exists() or path.suffix == _SUFFIX)
    except (OSError, ValueError) as error:
        raise pytest.UsageError(
            f"procpar_history (ini option): invalid value {given!r} ({error}): give a file, a folder or off"
        ) from None
    return Place(path, is_folder=is_folder)


def make_room(config: pytest.Config, place: Place) -> None:
    """Make the folder that the history is in.

    :raises OSError: if that is not possible.
    """
    if place.is_cache:
        place_in_cache(config, _KEY)
    else:
        (place.path if place.is_folder else place.path.parent).mkdir(parents=True, exist_ok=True)
