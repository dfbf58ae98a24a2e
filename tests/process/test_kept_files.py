"""What a process changes of a project's files is put back, however it ends."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_procpar.system.kept_files import PutBack, put_back

pytestmark = pytest.mark.python_dependent

#: A process that is watched, and does what it is told; then it is killed.
_WATCHED = """
import os, pathlib, shutil, signal, sqlite3, sys
from pytest_procpar.system import kept_files as keeping
keeping._LARGEST = 10_000
root, kept = map(pathlib.Path, sys.argv[1:3])
keeping.keep_files(str(kept), [root], [root / "spared"])
os.chdir(root)
{}
os.kill(os.getpid(), signal.SIGKILL)
"""


def tree(root: Path) -> dict[str, tuple[str, bytes | str, int]]:
    """What is in a folder: kind, content and mode."""
    found: dict[str, tuple[str, bytes | str, int]] = {}
    for path in sorted(root.rglob("*")):
        mode = path.lstat().st_mode
        if path.is_symlink():
            found[str(path.relative_to(root))] = ("link", os.readlink(path), 0)
        elif path.is_dir():
            found[str(path.relative_to(root))] = ("folder", "", mode)
        else:
            found[str(path.relative_to(root))] = ("file", path.read_bytes(), mode)
    return found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project."""
    made = tmp_path / "root"
    for name in ("a.txt", "b.txt", "sub/c.txt", "sub/deep/d.txt", "spared/e.txt"):
        path = made / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"this is {name}")
    (made / "empty").mkdir()
    (made / "link").symlink_to("a.txt")
    (made / "large").write_bytes(b"x" * 20_000)
    database = sqlite3.connect(made / "data.db")
    database.execute("create table t (x int)")
    database.close()
    return made


def change(root: Path, what: str) -> PutBack:
    """Have a process change the project, and put it back."""
    kept = root.parent / "kept"
    kept.mkdir()
    done = subprocess.run([sys.executable, "-c", _WATCHED.format(what), str(root), str(kept)], check=False)
    assert done.returncode == -signal.SIGKILL
    return put_back(kept)


@pytest.mark.parametrize(
    "what",
    [
        "open('a.txt', 'w').write('new'); open(b'b.txt', 'a').write('more')",
        "pathlib.Path('sub/c.txt').write_text('new'); pathlib.Path('sub/new').touch()",
        "os.close(os.open('a.txt', os.O_RDWR | os.O_TRUNC))",
        "os.remove('a.txt'); pathlib.Path('b.txt').unlink(); os.unlink('link')",
        "open('link', 'w').write('through a link')",
        "open('x', 'w').write('new'); os.replace('x', 'a.txt')",
        "os.rename('a.txt', 'z.txt'); os.rename('sub', 'moved')",
        "shutil.rmtree('sub'); os.rmdir('empty')",
        "os.makedirs('new/folder'); open('new/folder/f', 'w').write('new')",
        "os.symlink('a.txt', 'another'); os.link('a.txt', 'hard')",
        "os.truncate('a.txt', 1); os.chmod('b.txt', 0o700)",
        "os.remove('b.txt', dir_fd=os.open('.', os.O_RDONLY))",
        "d = sqlite3.connect('data.db'); d.execute('insert into t values (1)'); d.commit()",
        "d = sqlite3.connect('new.db'); d.execute('create table t (x int)'); d.commit()",
        "[open('a.txt', 'w').write(str(n)) for n in range(3)]; os.remove('a.txt'); os.mkdir('a.txt')",
        "if os.fork() == 0: open('a.txt', 'w').write('of a child')\nelse: os.wait()",
    ],
)
def test_what_is_changed_is_put_back(root: Path, what: str) -> None:
    before = tree(root)
    assert change(root, what).lost == ()
    assert tree(root) == before


def test_only_what_has_really_changed_is_told(root: Path) -> None:
    told = change(root, "open('a.txt', 'a').close(); open('b.txt', 'w').write('x'); open('new', 'w')")
    assert told == PutBack((str(root / "b.txt"),))


def test_what_is_too_large_is_told_if_it_has_changed(root: Path) -> None:
    assert change(root, "open('large', 'a').close()") == PutBack()
    assert change(root, "open('large', 'a').write('more')") == PutBack((), (str(root / "large"),))


def test_files_of_others_are_left_alone(root: Path) -> None:
    (root / "data.db-journal").write_text("somebody is at work")
    outside = root.parent / "outside"
    what = (
        f"open({str(outside)!r}, 'w').write('new'); open('spared/e.txt', 'w').write('new');"
        "os.mkdir('__pycache__'); open('__pycache__/a.pyc', 'w').write('new'); sqlite3.connect('data.db')"
    )
    assert change(root, what) == PutBack()
    assert outside.read_text() == "new"
    assert (root / "spared" / "e.txt").read_text() == "new"
    assert not (root.parent / "kept" / "data.db").exists()


def test_of_several_processes_the_first_copy_counts(root: Path) -> None:
    kept = root.parent / "kept"
    kept.mkdir()
    for text in ("first", "second"):
        program = _WATCHED.format(f"open('a.txt', 'w').write({text!r}); open('a.txt').read()")
        subprocess.run([sys.executable, "-c", program, str(root), str(kept)], check=False)
    put_back(kept)
    assert (root / "a.txt").read_text() == "this is a.txt"
