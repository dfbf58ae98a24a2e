"""Copies the files of a project that a process is about to change, so that they can be put back.

An audit hook (PEP 578) sees what Python itself opens, removes or renames, and the databases of `sqlite3`, in
any thread. It does not see what programs do that tests start, nor what libraries open by themselves. A copy
is complete before its file is touched, so it is good however the process ends. Why tests run again, and which
of them write, is not known here.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import BinaryIO, TypedDict

from pytest_procpar.core.record import record
from pytest_procpar.system.genuine import close, read, write

__all__ = ["BESIDE", "WRITES", "PutBack", "keep_files", "keep_one", "put_back"]

#: A file with more bytes than this is not copied.
_LARGEST = 64 << 20
#: No more files than this are copied from a folder that is removed or renamed.
_MOST = 1000
#: If a file is opened with one of these flags, it may be changed.
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
#: The suffixes of the files of an SQLite database: its own, and those beside it.
BESIDE = ("", "-journal", "-wal", "-shm")
#: The folders into which any import may write.
_BYTE_CODE = f"{os.sep}__pycache__{os.sep}"

#: Bound here, out of reach of tests that fake files.
_real = SimpleNamespace(
    lstat=os.lstat, open=os.open, read=read, write=write, close=close, link=os.link, unlink=os.unlink,
    readlink=os.readlink, rename=os.rename, exists=os.path.lexists, walk=os.walk,
    realpath=os.path.realpath, getpid=os.getpid, fsdecode=os.fsdecode, join=os.path.join,
    split=os.path.split, dumps=json.dumps, digest=hashlib.sha256,
)  # fmt: skip

#: The folders into which this process, or one that it was forked from, puts copies.
_kept_in: set[str] = set()


class _Facts(TypedDict, total=False):  # what a copy says of its file
    path: str
    kind: str
    mode: int
    time: int
    size: int
    target: str


@record
class PutBack:
    """The files that were put back as they were, and those that could not be put back.

    New files, which are removed, are in neither list.
    """

    changed: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


# --- in the process that is watched -----------------------------------------------------------------


def keep_files(folder: str, roots: Sequence[Path], but: Sequence[Path | str] = ()) -> None:
    """From now on, copy into `folder` what this process, or a fork of it, is about to change below `roots`.

    What is below `but` is left out, and so is the folder for temporary files if that is below a root. A
    second call with the same folder does nothing.
    """
    if folder in _kept_in:
        return
    _kept_in.add(folder)
    below = tuple({os.path.join(os.path.realpath(root), "") for root in roots})
    inside = os.path.join(os.path.realpath(tempfile.gettempdir()), "")
    spared = [os.path.join(os.path.realpath(path), "") for path in (folder, *but)]
    if any(inside.startswith(root) and inside != root for root in below):
        spared.append(inside)
    sys.addaudithook(_Keeper(folder, below, tuple(spared)).hear)


def keep_one(folder: Path, path: str) -> Path | None:
    """Copy what is at `path` into `folder`, as `keep_files` does; return the copy, or None if there was one.

    :raises OSError: if that is not possible.
    """
    above = os.path.join(os.path.dirname(path), "")
    before = set(folder.iterdir())
    _Keeper(str(folder), (above,), ()).keep_one(path)
    return next(iter(set(folder.iterdir()) - before), None)


class _Keeper:
    """The audit hook: keeps a copy of what is about to be changed."""

    def __init__(self, folder: str, roots: tuple[str, ...], spared: tuple[str, ...]) -> None:
        self._folder = folder
        self._roots = roots
        self._spared = spared
        self._known: set[str] = set()
        self._number = 0
        self._events: dict[str, Callable[..., None]] = {
            "open": self._open,
            "os.remove": self._keep,
            "os.truncate": lambda path, length: self._keep(path),
            "os.chmod": lambda path, mode, folder=-1: self._keep(path, folder),
            "os.rmdir": self._keep,
            "os.mkdir": lambda path, mode, folder=-1: self._keep(path, folder),
            "os.rename": self._rename,
            "os.link": lambda source, target, here=-1, there=-1: self._keep(target, there),
            "os.symlink": lambda source, target, folder=-1: self._keep(target, folder),
            "shutil.rmtree": self._tree,
            "sqlite3.connect": self._database,
        }

    def hear(self, event: str, args: tuple[object, ...]) -> None:
        """Handle an audit event. An error here must not reach the test."""
        handle = self._events.get(event)
        if handle is not None:
            with suppress(OSError, ValueError, TypeError):
                handle(*args)

    def _open(self, path: object, mode: object, flags: int) -> None:
        if flags & WRITES:
            self._keep(path)

    def _database(self, path: object) -> None:
        name = _real.fsdecode(path)
        if name.startswith("file:"):
            name = name[len("file:") :].split("?")[0]
        if not name or name == ":memory:":
            return
        # If one of these exists, the database is in use: putting it back would damage what others write.
        if not any(_real.exists(name + more) for more in BESIDE[1:]):
            for more in BESIDE:
                self._keep(name + more)

    def _rename(self, source: object, target: object, here: int = -1, there: int = -1) -> None:
        old, new = self._path(source, here), self._path(target, there)
        if old is not None and new is not None:
            for path in _files(old):
                self._keep(new + path[len(old) :])
        self._keep(target, there)
        self._tree(source, here)

    def _tree(self, path: object, folder: int | None = -1) -> None:
        top = self._path(path, folder)
        for each in _files(top) if top is not None else ():
            self._keep(each)

    def _path(self, path: object, folder: int | None = -1) -> str | None:
        """The absolute path, with links resolved in all but the last part; None for a descriptor."""
        if isinstance(path, int) or path is None:  # its file was seen when the descriptor was opened
            return None
        name = _real.fsdecode(path)
        if folder is not None and folder >= 0 and not name.startswith(os.sep):
            name = _real.join(_real.readlink(f"/proc/self/fd/{folder}"), name)
        above, last = _real.split(name)
        return str(_real.join(_real.realpath(above), last)) if last else str(_real.realpath(name))

    def _keep(self, path: object, folder: int = -1) -> None:
        found = self._path(path, folder)
        if found is None:
            return
        self.keep_one(found)
        target = _real.realpath(found)
        if target != found:  # a link: the file that is written is behind it
            self.keep_one(target)

    def keep_one(self, path: str) -> None:
        """Make the entry of a file if the file is below a root and has none."""
        if path in self._known or not path.startswith(self._roots):
            return
        if path.startswith(self._spared) or _BYTE_CODE in path:
            return
        self._known.add(path)
        name = _real.join(self._folder, _real.digest(path.encode(errors="surrogateescape")).hexdigest())
        if not _real.exists(name):
            self._write(path, name)

    def _write(self, path: str, name: str) -> None:
        """Make an entry. If several processes do so, the first one wins, before it changes anything."""
        self._number += 1
        part = f"{name}.{_real.getpid()}.{self._number}"
        file = _real.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            _fill(file, path)
        finally:
            _real.close(file)
        try:
            _real.link(part, name)
        except FileExistsError:
            pass
        except OSError:  # the file system has no hard links
            _real.rename(part, name)
            return
        _real.unlink(part)


def _files(top: str) -> Iterator[str]:
    """Yield a path and, if it is a folder, everything below it."""
    yield top
    for count, (folder, folders, files) in enumerate(_real.walk(top)):
        for name in (*folders, *files):
            yield _real.join(folder, name)
        if count > _MOST:
            return


def _fill(file: int, path: str) -> None:
    """Write what is at `path`: a line that describes it and, for a file, its bytes."""
    try:
        status = _real.lstat(path)
    except OSError:
        _write_all(file, _head(path, "absent"))
        return
    facts = {"mode": status.st_mode, "time": status.st_mtime_ns, "size": status.st_size}
    if stat.S_ISLNK(status.st_mode):
        _write_all(file, _head(path, "link", target=_real.readlink(path), **facts))
    elif stat.S_ISDIR(status.st_mode):
        _write_all(file, _head(path, "folder", **facts))
    elif not stat.S_ISREG(status.st_mode):
        _write_all(file, _head(path, "other"))
    elif status.st_size > _LARGEST:
        _write_all(file, _head(path, "large", **facts))
    else:
        source = _real.open(path, os.O_RDONLY)
        try:
            _write_all(file, _head(path, "file", **facts))
            while data := _real.read(source, 1 << 20):
                _write_all(file, data)
        finally:
            _real.close(source)


def _head(path: str, kind: str, **facts: object) -> bytes:
    return f"{_real.dumps({'path': path, 'kind': kind, **facts})}\n".encode()


def _write_all(file: int, data: bytes) -> None:
    while data:
        data = data[_real.write(file, data) :]


# --- in the process that puts it back ---------------------------------------------------------------


def put_back(folder: Path) -> PutBack:
    """Restore what was changed from the copies in `folder`, then remove the folder.

    The processes must have ended. A file that cannot be restored raises nothing: see `PutBack`.
    """
    changed, lost, absent = [], [], []
    for entry in sorted(folder.iterdir()) if folder.is_dir() else ():  # a test may have removed the folder
        if entry.suffix:  # an incomplete copy: its file was not touched
            continue
        with suppress(OSError, ValueError), entry.open("rb") as file:
            facts: _Facts = json.loads(file.readline())
            if facts["kind"] == "absent":
                absent.append(Path(facts["path"]))
                continue
            try:
                if _restore(facts, file):
                    changed.append(facts["path"])
            except OSError:
                lost.append(facts["path"])
    for path in sorted(absent, key=lambda path: len(path.parts), reverse=True):
        with suppress(OSError):
            _remove(path)
        if path.exists() and not path.is_dir():
            lost.append(str(path))
    shutil.rmtree(folder, ignore_errors=True)  # what is written later is not by a process that was run again
    return PutBack(tuple(sorted(changed)), tuple(sorted(lost)))


def _restore(facts: _Facts, copy: BinaryIO) -> bool:
    """Restore one entry; return whether anything had to be changed."""
    path, kind = Path(facts["path"]), facts["kind"]
    if kind == "other":
        return False
    if kind == "folder":
        missing = not path.is_dir()
        path.mkdir(parents=True, exist_ok=True)
        return missing
    if kind == "link":
        if path.is_symlink() and os.readlink(path) == facts["target"]:
            return False
        path.unlink(missing_ok=True)
        path.symlink_to(facts["target"])
        return True
    if kind == "file":
        return _rewrite(path, copy, facts)
    status = path.lstat()
    if (status.st_mtime_ns, status.st_size) != (facts["time"], facts["size"]):
        raise OSError(f"{path} was not copied")
    return False


def _rewrite(path: Path, copy: BinaryIO, facts: _Facts) -> bool:
    old = copy.read()
    same = path.is_file() and not path.is_symlink() and path.read_bytes() == old
    if not same:
        if path.is_symlink() or (path.exists() and not path.is_file()):
            _remove(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(old)  # into the same file, so that links to it, its owner and its watchers stay
    os.chmod(path, stat.S_IMODE(facts["mode"]))
    os.utime(path, ns=(facts["time"], facts["time"]))
    return not same


def _remove(path: Path) -> None:
    """Remove something new; a folder only if nothing but byte code is left in it."""
    if path.is_dir() and not path.is_symlink():
        caches = path / "__pycache__"
        if [each.name for each in path.iterdir()] == [caches.name]:
            shutil.rmtree(caches, ignore_errors=True)
        path.rmdir()
    else:
        path.unlink()
