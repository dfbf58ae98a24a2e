"""The history of durations on disk: processes that write at the same time, and disks that refuse."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import select
import signal
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from pytest_procpar.core.history.durations import EMPTY, DurationHistory
from pytest_procpar.core.history.merging import merged
from pytest_procpar.core.history.recording import history_of, seen_in
from pytest_procpar.core.history.run_log import Ending, Timed
from pytest_procpar.core.history.schema import parsed, written
from pytest_procpar.history import locking
from pytest_procpar.history.place import Place
from pytest_procpar.history.store import Store

CONFIG = cast("pytest.Config", None)  # which only pytest's cache needs


def store_at(path: Path, *, is_folder: bool = False, is_cache: bool = False) -> Store:
    return Store(CONFIG, Place(path, is_folder=is_folder, is_cache=is_cache))


def run_of(name: str) -> Callable[[DurationHistory], DurationHistory]:
    """A run that has run one test, as it adds to what is known."""
    processes = [[Timed(f"{name}.py::test", Ending.RAN, 0.0, 1.0, 0.0)]]
    return lambda known: history_of(seen_in(processes, known), known, name, 1_000.0)


def names(history: DurationHistory) -> set[str]:
    """The runs that a history knows, all of them with their test."""
    runs = {past.ident for past in history.runs.values()}
    assert {f"{name}.py" for name in runs} == set(history.tests)
    return runs


class Child:
    """A forked process that adds a run, and says where it is; it goes on when it is told to."""

    def __init__(self, store: Store, name: str, *, stops: bool) -> None:
        heard, says = os.pipe()
        told, tells = os.pipe()
        self.pid = os.fork()
        if self.pid:
            os.close(says)
            os.close(told)
            self._heard, self._tells = heard, tells
            return
        status = 1
        try:
            wait = locking._wait

            def waiting() -> float:
                os.write(says, b"w")
                return wait()

            def more(known: DurationHistory) -> DurationHistory:
                os.write(says, b"i")
                if stops:
                    os.read(told, 1)
                return run_of(name)(known)

            locking._wait = waiting
            os.close(tells)
            status = 0 if store.add(more) is not None else 2
        finally:
            os._exit(status)

    def hear(self) -> bytes:
        """What the process says next: that it is inside, or waits; nothing if it has ended."""
        assert select.select([self._heard], [], [], 60.0)[0]
        return os.read(self._heard, 1)

    def go_on(self) -> None:
        os.write(self._tells, b"x")

    def end(self) -> int:
        """Its exit status."""
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self._heard)
        os.close(self._tells)
        return status


def test_a_run_waits_for_another_one_that_is_adding_and_loses_nothing(tmp_path: Path) -> None:
    store = store_at(tmp_path / "history.json")
    one = Child(store, "one", stops=True)
    assert one.hear() == b"i"
    other = Child(store, "other", stops=False)
    assert other.hear() == b"w", "it waits"
    one.go_on()
    assert (one.end(), other.end()) == (0, 0)
    assert names(store.read()) == {"one", "other"}
    assert os.listdir(tmp_path) == ["history.json"], "no lock remains"


def test_a_process_that_dies_while_it_adds_holds_up_nobody(tmp_path: Path) -> None:
    store = store_at(tmp_path / "history.json")
    one = Child(store, "one", stops=True)
    assert one.hear() == b"i"
    os.kill(one.pid, signal.SIGKILL)
    assert one.end() == -signal.SIGKILL
    assert store.add(run_of("other")) is not None
    assert names(store.read()) == {"other"}


def test_who_waits_for_too_long_gives_up_with_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_at(tmp_path / "history.json")
    one = Child(store, "one", stops=True)
    assert one.hear() == b"i"
    moments = iter([5.0, 5.0 + locking._PATIENCE, 5.1 + locking._PATIENCE])
    monkeypatch.setattr(locking, "_wait", lambda: next(moments))
    assert store.add(run_of("other")) is None
    assert store.notes == ["the history of durations is not written: another process holds its lock"]
    one.go_on()
    assert one.end() == 0
    assert names(store.read()) == {"one"}


@pytest.mark.parametrize("is_folder", [False, True], ids=["file", "folder"])
def test_many_runs_at_once_lose_none(tmp_path: Path, is_folder: bool) -> None:
    """In a folder so many that its files become one meanwhile."""
    store = store_at(tmp_path / "history", is_folder=is_folder)
    wanted = set()
    for turn in range(4):
        children = [Child(store, f"{turn}-{number}", stops=True) for number in range(6)]
        for child in children:
            child.go_on()
        assert [child.end() for child in children] == [0] * 6
        wanted |= {f"{turn}-{number}" for number in range(6)}
        assert names(store.read()) == wanted
    if is_folder:
        assert store.add(run_of("last")) is not None
        assert len(os.listdir(tmp_path / "history")) < 24


def test_without_locks_a_file_is_still_replaced_in_one_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows."""
    monkeypatch.setattr(locking, "fcntl", None)
    store = store_at(tmp_path / "history.json")
    assert store.add(run_of("one")) is not None
    assert store.add(run_of("other")) is not None
    assert names(store.read()) == {"one", "other"}


def test_a_folder_that_cannot_be_locked_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(fd: int, how: int) -> None:
        raise OSError(errno.EBADF, "as some network drives answer")

    monkeypatch.setattr(fcntl, "flock", refuse)
    store = store_at(tmp_path / "history.json")
    assert store.add(run_of("one")) is not None
    assert store.notes == []


# --- folders ---


def test_folders_of_several_machines_can_be_put_together(tmp_path: Path) -> None:
    shared = store_at(tmp_path / "a", is_folder=True)
    shared.add(run_of("first"))
    os.mkdir(tmp_path / "b")
    for file in os.listdir(tmp_path / "a"):
        (tmp_path / "b" / file).write_bytes((tmp_path / "a" / file).read_bytes())
    shared.add(run_of("here"))
    store_at(tmp_path / "b", is_folder=True).add(run_of("there"))
    for file in os.listdir(tmp_path / "b"):
        (tmp_path / "a" / file).write_bytes((tmp_path / "b" / file).read_bytes())
    assert names(shared.read()) == {"first", "here", "there"}
    assert len(os.listdir(tmp_path / "a")) == 3


def test_other_files_in_a_folder_stay_and_damaged_ones_are_set_aside(tmp_path: Path) -> None:
    store = store_at(tmp_path, is_folder=True)
    for number in range(20):
        store.add(run_of(str(number)))
    (tmp_path / "other.json").write_text("{}")
    (tmp_path / "README.md").write_text("Durations.")
    (tmp_path / "0-x.json").write_bytes(written(EMPTY)[:50])
    assert len(names(store.read())) == 20
    for number in range(20):
        store.add(run_of(f"more {number}"))
    assert len(names(store.read())) == 40
    assert {"other.json", "README.md", "0-x.json.damaged"} <= set(os.listdir(tmp_path))
    assert store.notes == [
        f"the history of durations begins anew: {tmp_path}/0-x.json is damaged, and is 0-x.json.damaged now",
        f"the history of durations is incomplete: {tmp_path}/other.json is no history",
    ]


def test_pruning_a_folder_leaves_one_file(tmp_path: Path) -> None:
    store = store_at(tmp_path, is_folder=True)
    for number in range(5):
        store.add(run_of(str(number)))
    after = store.replace(lambda known: known)
    assert after is not None
    assert len(names(after)) == 5
    (file,) = os.listdir(tmp_path)
    assert len(names(parsed((tmp_path / file).read_bytes()).history)) == 5


# --- files that are something else, and disks that refuse ---


def test_a_damaged_file_is_set_aside_once(tmp_path: Path) -> None:
    path = tmp_path / "history.json"
    store = store_at(path)
    store.add(run_of("one"))
    path.write_bytes(path.read_bytes()[:-20])
    assert store.read() == EMPTY
    assert store.add(run_of("other")) is not None
    assert names(store_at(path).read()) == {"other"}
    assert store.notes == [
        f"the history of durations begins anew: {path} is damaged, and is history.json.damaged now"
    ]
    assert (tmp_path / "history.json.damaged").is_file()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"name": "a package"}', "is no history"),
        ("# A page", "is no history"),
        ('{"format":"procpar-history","version":7}', "has version 7 of the schema"),
    ],
)
def test_a_file_of_the_users_stays_as_it_is(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "package.json"
    path.write_text(text)
    store = store_at(path)
    assert store.read() == EMPTY
    assert store.add(run_of("one")) is None
    assert path.read_text() == text
    assert os.listdir(tmp_path) == ["package.json"]
    assert store.notes == [
        f"the history of durations is not read: {path} {why}",
        f"the history of durations is not written: {path} {why}",
    ]


@pytest.mark.parametrize(
    ("text", "left"),
    [("[]", set()), ('{"format":"procpar-history","version":7}', {"durations"})],
)
def test_in_the_cache_only_a_history_of_another_version_stays(
    tmp_path: Path, text: str, left: set[str]
) -> None:
    path = tmp_path / "durations"
    path.write_text(text)
    store_at(path, is_cache=True).read()
    assert set(os.listdir(tmp_path)) == (left or {"durations.damaged"})


def test_entries_that_make_no_sense_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "history.json"
    path.write_bytes(
        b'{"format":"procpar-history","version":1,"runs":{"1":["a",1,2]},"settings":{},'
        b'"tests":{"a.py":{"t":[1,1,1,1],"u":[1,-1,1,1],"v":[1,NaN,1,1]}}}'
    )
    store = store_at(path)
    assert store.read().count == 1
    assert store.notes == [f"the history of durations is incomplete: 2 entries of {path} make no sense"]


def test_an_empty_file_is_where_to_begin(tmp_path: Path) -> None:
    path = tmp_path / "history.json"
    path.touch()
    store = store_at(path)
    assert store.add(run_of("one")) is not None
    assert names(store.read()) == {"one"}


def test_a_place_that_cannot_be_made_is_a_note(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for is_folder in (False, True):
        store = store_at(tmp_path / "file" / "history", is_folder=is_folder)
        assert store.add(run_of("one")) is None
        assert len(store.notes) == 1
        assert store.notes[0].startswith("the history of durations is not written: ")


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "history.json").symlink_to(tmp_path / "elsewhere" / "real.json")
    store = store_at(tmp_path / "history.json")
    assert store.add(run_of("one")) is not None
    assert names(store_at(tmp_path / "elsewhere" / "real.json").read()) == {"one"}
    assert (tmp_path / "history.json").is_symlink()


@pytest.mark.parametrize("is_folder", [False, True], ids=["file", "folder"])
def test_a_full_disk_leaves_what_was_there(tmp_path: Path, is_folder: bool) -> None:
    path = tmp_path / "history"
    store = store_at(path, is_folder=is_folder)
    store.add(run_of("one"))
    before = sorted(os.listdir(path)) if is_folder else path.read_bytes()
    pid = os.fork()
    if not pid:
        status = 1
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            failed = store.add(run_of("other")) is None
            told = [note.partition(": ")[0] for note in store.notes]
            status = 0 if failed and told == ["the history of durations is not written"] else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert (sorted(os.listdir(path)) if is_folder else path.read_bytes()) == before
    assert names(store.read()) == {"one"}


def test_replacing_changes_all_that_is_known(tmp_path: Path) -> None:
    store = store_at(tmp_path / "history.json")
    store.add(run_of("one"))
    assert store.replace(lambda known: merged([known, run_of("two")(known)])) is not None
    assert names(store.read()) == {"one", "two"}
    assert store.replace(lambda known: EMPTY) == EMPTY
    assert store.read() == EMPTY


@pytest.mark.parametrize("is_folder", [False, True], ids=["file", "folder"])
def test_where_nothing_is_nothing_is_made_of_it(tmp_path: Path, is_folder: bool) -> None:
    assert store_at(tmp_path / "history", is_folder=is_folder).replace(lambda known: known) == EMPTY
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
