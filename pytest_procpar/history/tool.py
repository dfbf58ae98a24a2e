"""``--procpar-history=show``, ``merge`` and ``prune``: looks after the history, and runs no test."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from pytest_procpar.compat.foreign_options import place_options
from pytest_procpar.compat.pytest_private.command_line import given_paths
from pytest_procpar.core.history.durations import DurationHistory
from pytest_procpar.core.history.merging import merged
from pytest_procpar.core.history.pruning import pruned
from pytest_procpar.core.printable import printable_line
from pytest_procpar.history.keeper import no_place
from pytest_procpar.history.page import counted, page
from pytest_procpar.history.place import Place, history_place
from pytest_procpar.history.store import Store, read_file

__all__ = ["use_history"]


def use_history(config: pytest.Config, what: str) -> int:
    """Do what ``--procpar-history`` says; return the exit status.

    :raises pytest.UsageError: if it makes no sense, or cannot be done.
    """
    option = f"--procpar-history={what}"
    given = given_paths(config)
    if what == "prune" and given:
        raise pytest.UsageError(f"{option}: takes no FILE, but was given {given[0]!r}: leave it out")
    if what == "merge" and not given:
        raise pytest.UsageError(f"{option}: no FILE is given: name the histories to merge after it")
    if given:
        _check_root(config, option, given)
    if what == "show" and given:
        return _show(merged(_named(config, option, given)), ", ".join(given))
    place = history_place(config)
    if place is None:
        raise no_place(what)
    store = Store(config, place)
    if what == "show":
        known = store.read()
        _tell(store)
        return _show(known, str(place.path))
    if what == "merge":
        return _merge(store, place, option, _named(config, option, given))
    return _prune(store, place, option)


def _check_root(config: pytest.Config, option: str, given: Sequence[str]) -> None:
    """Refuse a project that pytest may have found around the files instead of around the current folder."""
    here = config.invocation_params.dir
    found = config.inipath is not None and config.inipath.parent in (here, *here.parents)
    if found or place_options(config):
        return
    outside = [word for word in given if here not in Path(os.path.abspath(here / word)).parents]
    if outside:
        raise pytest.UsageError(
            f"{option}: {outside[0]!r} is outside of the project, so pytest takes {str(config.rootpath)!r} "
            "for it: copy the files into it, or say where it is with --rootdir and -c"
        )


def _named(config: pytest.Config, option: str, given: Sequence[str]) -> list[DurationHistory]:
    """The histories in the files that are given, and in all files of the folders that are given.

    :raises pytest.UsageError: if one of them is none.
    """
    here = config.invocation_params.dir
    paths = [Path(os.path.abspath(here / word)) for word in given]
    inside = [sorted(path.glob("*.json")) if path.is_dir() else [path] for path in paths]
    return [_read(option, file, os.path.relpath(file, here)) for some in inside for file in some]


def _read(option: str, path: Path, shown: str) -> DurationHistory:
    try:
        return read_file(path)[0]
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise pytest.UsageError(
            f"{option}: {shown!r} cannot be read ({why}): give histories of durations, or folders of these"
        ) from None


def _show(history: DurationHistory, where: str) -> int:
    size = shutil.get_terminal_size()
    _say(f"history of durations: {where}")
    for line in page(history, size.columns, size.lines):
        _say(line)
    return 0


def _merge(store: Store, place: Place, option: str, histories: Sequence[DurationHistory]) -> int:
    all_of_them = store.add(lambda _known: merged(histories))
    _tell(store)
    if all_of_them is None:
        raise pytest.UsageError(f"{option}: cannot write to {str(place.path)!r}: the line above says why")
    _say(f"merged {len(histories)} into {place.path}: {_sizes(all_of_them)}")
    return 0


def _prune(store: Store, place: Place, option: str) -> int:
    before: list[DurationHistory] = []

    def change(known: DurationHistory) -> DurationHistory:
        before.append(known)
        return pruned(known)

    after = store.replace(change)
    _tell(store)
    if after is None:
        raise pytest.UsageError(f"{option}: cannot write to {str(place.path)!r}: the line above says why")
    _say(f"{place.path}: {_sizes(after)}; before: {_sizes(before[0])}")
    return 0


def _sizes(history: DurationHistory) -> str:
    sizes = (history.count, "test"), (len(history.runs), "run"), (len(history.settings), "setting")
    return ", ".join(counted(count, word) for count, word in sizes)


def _tell(store: Store) -> None:
    for note in store.notes:
        _say(note)


def _say(text: str) -> None:
    encoding = sys.stdout.encoding or "utf-8"  # which may have no character of a nodeid
    shown = printable_line(text).encode(encoding, "backslashreplace").decode(encoding)
    sys.stdout.write(f"{shown}\n")
