"""Files that tests use are noted, in whatever process; files that were set aside come back as they were."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_procpar.system.file_uses import uses_in, without
from pytest_procpar.system.kept_files import put_back

pytestmark = pytest.mark.python_dependent

_WATCHED = """
import os, sqlite3, sys
from pytest_procpar.system.file_uses import note_uses
folder, kept = sys.argv[1:3]
os.environ.pop("PYTEST_CURRENT_TEST", None)
note_uses(kept, [os.path.join(folder, "spared")])
os.chdir(folder)
open("before.txt", "w").close()
os.environ["PYTEST_CURRENT_TEST"] = "test_it.py::test_a[x y] (call)"
{}
"""


def used(folder: Path, what: str) -> set[tuple[str, str, bool]]:
    kept = folder / "kept"
    kept.mkdir()
    subprocess.run([sys.executable, "-c", _WATCHED.format(what), folder, kept], check=True)
    return {(os.path.relpath(path, folder.resolve()), test, writes) for path, test, writes in uses_in(kept)}


@pytest.mark.parametrize(
    ("what", "name", "writes"),
    [
        ("open('a.txt', 'w').close()", "a.txt", True),
        ("open('a.txt', 'a').close()", "a.txt", True),
        ("open('there.txt').close()", "there.txt", False),
        ("open('link').close()", "there.txt", False),
        ("sqlite3.connect('data.db').close()", "data.db", True),
        ("sqlite3.connect('file:data.db?mode=rwc', uri=True).close()", "data.db", True),
        ("if os.fork(): os.wait()\nelse: open('a.txt', 'w').close()", "a.txt", True),
    ],
)
def test_what_a_test_opens_is_noted_with_its_nodeid(
    tmp_path: Path, what: str, name: str, writes: bool
) -> None:
    (tmp_path / "there.txt").write_text("x")
    (tmp_path / "link").symlink_to("there.txt")
    assert used(tmp_path, what) == {(name, "test_it.py::test_a[x y]", writes)}


@pytest.mark.parametrize(
    "what",
    [
        "open('spared/a.txt', 'w').close()",
        "open(os.devnull).close()",
        "open('module.py', 'w').close()",
        "open(os.__file__).close()",
        "os.environ.clear()\nopen('a.txt', 'w').close()",
        "os.environ = None\nsqlite3.connect(':memory:').close()",
    ],
)
def test_what_is_nobodys_or_not_there_for_others_is_not_noted(tmp_path: Path, what: str) -> None:
    (tmp_path / "spared").mkdir()
    assert used(tmp_path, what) == set()


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    folder = tmp_path / "kept"
    folder.mkdir()
    return folder


def test_a_file_that_was_set_aside_comes_back_as_it_was_whatever_stands_there_by_then(
    tmp_path: Path, kept: Path
) -> None:
    file = tmp_path / "data.db"
    file.write_text("old")
    before = file.stat()
    with without([str(file)], kept) as is_gone:
        assert is_gone
        assert not file.exists()
        file.write_text("new")
        (tmp_path / "data.db-journal").write_text("new")
    assert file.read_text() == "old"
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.db", "kept"]
    assert list(kept.iterdir()) == []


def test_who_puts_files_back_after_a_death_finds_it(tmp_path: Path, kept: Path) -> None:
    file = tmp_path / "data.db"
    file.write_text("old")
    with without([str(file)], kept):
        put_back(kept)
        assert file.read_text() == "old"
        assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("what", ["folder", "link", "hard link", "in use", "absent"])
def test_what_could_not_be_put_back_as_it_was_is_left_alone(tmp_path: Path, kept: Path, what: str) -> None:
    file, other = tmp_path / "data.db", tmp_path / "other.db"
    other.write_text("other")
    match what:
        case "folder":
            file.mkdir()
        case "link":
            file.symlink_to(other)
        case "hard link":
            os.link(other, file)
        case "in use":
            file.write_text("data")
            (tmp_path / "data.db-wal").write_text("more")
        case _:
            pass
    there = sorted(tmp_path.iterdir())
    with without([str(other), str(file)] if what != "hard link" else [str(file)], kept) as is_gone:
        assert not is_gone
        assert sorted(tmp_path.iterdir()) == there
    assert sorted(tmp_path.iterdir()) == there
