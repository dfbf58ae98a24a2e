"""Notes which files tests use, by an audit hook (PEP 578), and moves files away for a while.

It notes what is opened while a test runs, including its fixtures. Files of Python and its packages are left
out, and so is what is in the process's folder for temporary files.
"""

from __future__ import annotations

import hashlib
import json
import os
import site
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

from pytest_procpar.system.genuine import close, write
from pytest_procpar.system.kept_files import BESIDE, WRITES, keep_one

__all__ = ["note_uses", "uses_in", "without"]

_CURRENT = "PYTEST_CURRENT_TEST"
_SUFFIX = ".used"
_IGNORED = (".py", ".pyc", ".pyo", ".so")
#: A process notes no more files than this, so that a test that makes files all the time is not slowed down.
_MOST = 200
#: A larger file, in bytes, is not moved away, since it would have to be copied first.
_LARGEST = 64 << 20

#: Bound here, out of reach of tests that fake files.
_real = SimpleNamespace(
    environ=os.environ, fsdecode=os.fsdecode, realpath=os.path.realpath, open=os.open, write=write,
    close=close, join=os.path.join, dumps=json.dumps, digest=hashlib.sha256,
)  # fmt: skip

_noted_in: set[str] = set()


def note_uses(folder: str, but: Iterable[Path | str] = ()) -> None:
    """From now on, note in `folder` which files are used while tests run, in this process or a fork of it.

    :param but: files below these are left out.
    """
    if folder in _noted_in:
        return
    _noted_in.add(folder)
    spared = {"/proc", "/dev", "/sys", sys.prefix, sys.base_prefix, *site.getsitepackages(), folder, *but}
    below = tuple(os.path.join(os.path.realpath(path), "") for path in spared)
    sys.addaudithook(_Noting(folder, below).hear)


class _Noting:
    """The audit hook: notes files that are opened."""

    def __init__(self, folder: str, spared: tuple[str, ...]) -> None:
        self._folder = folder
        self._spared = spared
        self._known: set[tuple[object, str, bool]] = set()

    def hear(self, event: str, args: tuple[object, ...]) -> None:
        """Handle an audit event. An error here must not reach the test."""
        if event == "open":
            path, _, flags = args
        elif event == "sqlite3.connect":
            path, flags = _file_of(args[0]), WRITES
        else:
            return
        if isinstance(path, int) or len(self._known) >= _MOST:
            return
        with suppress(Exception):  # a test may have put anything in place of the environment
            test = _real.environ.get(_CURRENT)
            if test:
                self._note(
                    _real.fsdecode(path),
                    test.rsplit(" ", 1)[0],
                    writes=isinstance(flags, int) and bool(flags & WRITES),
                )

    def _note(self, path: str, test: str, *, writes: bool) -> None:
        if (path, test, writes) in self._known or path in ("", ":memory:"):
            return
        self._known.add((path, test, writes))
        whole = _real.realpath(path)
        if whole.startswith(self._spared) or whole.endswith(_IGNORED):
            return
        line = _real.dumps([whole, test, writes]).encode()
        name = _real.digest(line).hexdigest()
        with suppress(FileExistsError):  # another process has noted the same
            file = _real.open(
                _real.join(self._folder, name + _SUFFIX), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600
            )
            try:
                _real.write(file, line)
            finally:
                _real.close(file)


def _file_of(database: object) -> object:
    """The file of a database, which may be given as a URI."""
    if isinstance(database, str) and database.startswith("file:"):
        return database[len("file:") :].split("?")[0]
    return database


def uses_in(folder: Path) -> Iterator[tuple[str, str, bool]]:
    """Yield what was noted in `folder`: a file, a test's nodeid, and whether the test may have written it."""
    for entry in sorted(folder.glob(f"*{_SUFFIX}")):
        with suppress(OSError, ValueError):
            path, test, writes = json.loads(entry.read_bytes())
            yield path, test, writes


# --- running without files --------------------------------------------------------------------------


@contextmanager
def without(paths: Sequence[str], folder: Path) -> Iterator[bool]:
    """Move these files away for as long as the context lasts; yield whether all of them are gone.

    Only regular files are moved that belong to this user and have one name, and no databases that are in use.
    If this process is killed meanwhile, they are put back from `folder`, like all that is kept there (see
    `kept_files`).
    """
    if not all(map(_is_movable, paths)):
        yield False
        return
    aside = {path: f"{path}.procpar-{os.getpid()}" for path in paths}
    moved: list[str] = []
    copies: list[Path | None] = []
    try:
        for path, other in aside.items():
            copies += [keep_one(folder, path), keep_one(folder, other)]
            os.rename(path, other)
            moved.append(path)
    except OSError:
        pass
    try:
        yield len(moved) == len(paths)
    finally:
        for path in moved:
            for more in BESIDE[1:]:  # it did not exist before
                with suppress(OSError):
                    os.unlink(path + more)
            with suppress(OSError):
                os.replace(aside[path], path)
        for copy in copies:  # what others write there later is not to be undone
            if copy is not None:
                copy.unlink(missing_ok=True)


def _is_movable(path: str) -> bool:
    if any(os.path.lexists(path + more) for more in BESIDE[1:]):
        return False
    try:
        status = os.lstat(path)
    except OSError:
        return False
    is_own = status.st_uid == os.geteuid() and status.st_nlink == 1
    return stat.S_ISREG(status.st_mode) and is_own and status.st_size <= _LARGEST
