"""A forked process reads on from positions of its own in files that were open before the fork."""

from __future__ import annotations

import fcntl
import gc
import os
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from pytest_procpar.forking import file_positions
from tests.process.helpers import child

pytestmark = [
    pytest.mark.python_dependent,
    pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc"),
]

TEXT = b"".join(b"%07d\n" % number for number in range(5000))


@pytest.fixture(autouse=True)
def only_from_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """What this test run has open is none of a test's."""
    monkeypatch.setattr(file_positions, "_noted", ())
    file_positions.begin()
    monkeypatch.setattr(file_positions, "_before", file_positions._before)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "data"
    path.write_bytes(TEXT)
    return path


def forked(body: Callable[[], object]) -> None:
    """Run this in a child that is forked as ours are."""

    def work() -> None:
        file_positions.renew()
        body()

    file_positions.note()
    with child(work):
        pass


def shares_position(fd: int) -> bool:
    """Whether a child that is forked from here shares the position of a descriptor."""
    before = os.lseek(fd, 0, os.SEEK_CUR)

    def move() -> None:
        assert os.lseek(fd, 0, os.SEEK_CUR) == before
        os.lseek(fd, 17, os.SEEK_CUR)

    forked(move)
    return os.lseek(fd, 0, os.SEEK_CUR) != before


def opened(path: Path, flags: int) -> Iterator[int]:
    fd = os.open(path, flags)
    yield fd
    os.close(fd)


def test_nobody_moves_what_another_reads(path: Path) -> None:
    with path.open("rb") as file:
        file.read(801)  # the buffer is ahead of that

        def read_on() -> None:
            assert file.tell() == 801
            assert file.read() == TEXT[801:]

        forked(read_on)
        forked(read_on)
        assert file.read() == TEXT[801:]


def test_child_of_a_child_has_its_own_too(path: Path) -> None:
    with path.open("rb", buffering=0) as file:

        def inner() -> None:
            assert file.read(8) == TEXT[8:16]

        def outer() -> None:
            assert file.read(8) == TEXT[:8]
            forked(inner)
            forked(inner)
            assert file.read(8) == TEXT[8:16]

        forked(outer)
        assert file.tell() == 0


def test_without_it_a_position_is_shared(path: Path) -> None:
    with path.open("rb", buffering=0) as file:
        with child(lambda: file.read(8)):
            pass
        assert file.tell() == 8


@pytest.mark.parametrize("mode", ["rb", "r+b", "a+b", "w+b"])
def test_files_that_are_read_get_a_position_of_their_own(path: Path, mode: str) -> None:
    with path.open(mode) as file:
        assert not shares_position(file.fileno())


@pytest.mark.parametrize("mode", ["wb", "ab", "xb"])
def test_files_that_are_only_written_do_not(path: Path, mode: str) -> None:
    if mode == "xb":
        path.unlink()
    with path.open(mode) as file:
        assert shares_position(file.fileno())


def test_a_file_that_has_been_deleted_is_still_read(path: Path) -> None:
    with path.open("rb") as file:
        path.unlink()
        assert not shares_position(file.fileno())
        forked(lambda: file.read() == TEXT or 1 / 0)


def test_what_has_no_name_and_is_written_belongs_to_all() -> None:
    with tempfile.TemporaryFile() as file:
        assert shares_position(file.fileno())
        file.write(TEXT)
        with open(f"/proc/self/fd/{file.fileno()}", "rb") as reader:
            assert not shares_position(reader.fileno())


@pytest.mark.parametrize("lock", [fcntl.flock, fcntl.lockf], ids=["flock", "posix"])
def test_a_file_that_is_locked_is_left_alone(path: Path, lock: Callable[[int, int], Any]) -> None:
    with path.open("r+b") as file:
        lock(file.fileno(), fcntl.LOCK_EX)
        assert shares_position(file.fileno())


def test_files_from_before_are_left_alone(path: Path) -> None:
    with path.open("rb") as file:
        file_positions.begin()
        assert shares_position(file.fileno())


def test_folders_devices_and_pipes_are_left_alone(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with ExitStack() as stack:
        fds = [
            os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY),
            os.open(os.devnull, os.O_RDONLY),
            os.open(tmp_path / "fifo", os.O_RDWR | os.O_NONBLOCK),
            *os.pipe(),
        ]
        for fd in fds:
            stack.callback(os.close, fd)
        before = [os.readlink(f"/proc/self/fd/{fd}") for fd in fds]
        file_positions.note()
        assert file_positions._noted == ()
        forked(lambda: before == [os.readlink(f"/proc/self/fd/{fd}") for fd in fds] or 1 / 0)


@pytest.mark.parametrize(
    "flags",
    [
        os.O_RDONLY,
        os.O_RDONLY | os.O_NOFOLLOW,
        os.O_RDONLY | os.O_NONBLOCK,
        os.O_RDONLY | os.O_NOATIME,
        os.O_RDWR | os.O_APPEND | os.O_SYNC,
        os.O_RDWR | os.O_CREAT | os.O_TRUNC,
    ],
)
@pytest.mark.parametrize("inheritable", [False, True])
def test_a_descriptor_is_otherwise_as_it_was(path: Path, flags: int, inheritable: bool) -> None:
    for fd in opened(path, flags):
        os.set_inheritable(fd, inheritable)
        os.write(fd, TEXT[:100]) if flags & os.O_TRUNC else None
        known = fcntl.fcntl(fd, fcntl.F_GETFL) & ~os.O_NOFOLLOW

        def look(fd: int = fd, known: int = known) -> None:
            assert os.get_inheritable(fd) is inheritable
            assert fcntl.fcntl(fd, fcntl.F_GETFL) & ~os.O_NOFOLLOW & ~os.O_CLOEXEC == known & ~os.O_CLOEXEC
            assert os.fstat(fd).st_size > 0  # it was not truncated again

        assert not shares_position(fd)
        forked(look)


def test_a_new_file_without_a_name_that_is_linked_later(tmp_path: Path) -> None:
    """`O_TMPFILE` stays among a descriptor's flags, and would make another file."""
    try:
        fd = os.open(tmp_path, os.O_TMPFILE | os.O_RDWR)
    except OSError:
        pytest.skip("the file system has none")
    os.write(fd, TEXT)
    os.link(f"/proc/self/fd/{fd}", tmp_path / "named", src_dir_fd=0, follow_symlinks=True)
    with open(fd, "r+b"):
        assert not shares_position(fd)
        forked(lambda: os.pread(fd, 8, 0) == TEXT[:8] or 1 / 0)


def test_copies_of_a_descriptor_go_on_sharing(path: Path) -> None:
    with path.open("rb", buffering=0) as file, path.open("rb", buffering=0) as other:
        copy = os.dup(file.fileno())

        def move() -> None:
            os.lseek(copy, 100, os.SEEK_SET)
            assert (file.tell(), other.tell()) == (100, 0)

        forked(move)
        assert (file.tell(), other.tell()) == (0, 0)
        os.close(copy)


def test_what_was_closed_or_replaced_since_is_let_be(path: Path, tmp_path: Path) -> None:
    with path.open("rb") as one, path.open("rb") as two:
        file_positions.note()

        def work() -> None:
            one.close()
            os.dup2(os.open(os.devnull, os.O_RDONLY), two.fileno())
            file_positions.renew()
            assert os.readlink(f"/proc/self/fd/{two.fileno()}") == os.devnull
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.fstat(7000)

        with child(work):
            pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give up its rights")
def test_a_file_that_may_not_be_opened_again_stays_open(path: Path) -> None:
    path.chmod(0o600)
    with path.open("rb") as file:

        def work() -> None:
            os.setuid(65534)
            file_positions.renew()
            assert file.read() == TEXT

        file_positions.note()
        with child(work):
            pass


def test_files_in_which_nobody_can_move_stop_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(fds: list[int]) -> list[list[int]]:
        raise OSError

    monkeypatch.setattr(file_positions, "_copies", refuse)
    with path.open("rb") as file, path.open("rb"):
        file.read(801)
        assert shares_position(file.fileno())


def test_a_descriptor_without_rights_is_no_file(path: Path) -> None:
    for fd in opened(path, os.O_PATH):
        file_positions.note()
        assert file_positions._noted == ()
        assert os.fstat(fd).st_size == len(TEXT)


# --- what is buffered -------------------------------------------------------------------------------


@pytest.mark.parametrize("frozen", [False, True], ids=["", "frozen"])
@pytest.mark.parametrize("mode", ["w", "a", "r+", "wb", "w+b"])
def test_what_is_buffered_is_written_once(path: Path, mode: str, frozen: bool) -> None:
    path.write_bytes(b"")
    with path.open(mode) as file:
        write: Callable[[Any], object] = file.write
        write(b"before " if "b" in mode else "before ")
        if frozen:
            gc.freeze()
        try:
            forked(file.flush)
            forked(file.close)
        finally:
            if frozen:
                assert gc.get_freeze_count()
                gc.unfreeze()
    assert path.read_text() == "before "


def test_what_cannot_be_written_out_stops_nothing(path: Path) -> None:
    with path.open("rb") as source, open("/dev/full", "wb") as full, path.open("wb") as file:
        full.write(b"x")
        os.dup2(full.fileno(), file.fileno())
        file.write(b"x")
        assert not shares_position(source.fileno())
        for broken in (full, file):
            with suppress(OSError):
                broken.close()


# --- what holds files -------------------------------------------------------------------------------


def test_archive(tmp_path: Path) -> None:
    path = tmp_path / "data.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(20):
            archive.writestr(str(number), TEXT + b"%d" % number)
    with zipfile.ZipFile(path) as archive, ExitStack() as stack:
        file_positions.note()

        def read_all() -> None:
            file_positions.renew()
            for _ in range(5):
                for number in range(20):
                    assert archive.read(str(number)) == TEXT + b"%d" % number

        for _ in range(3):  # at the same time
            stack.enter_context(child(read_all))


def test_many_files(path: Path) -> None:
    with ExitStack() as stack:
        files = [stack.enter_context(path.open("rb", buffering=0)) for _ in range(200)]
        for number, file in enumerate(files):
            file.seek(number)

        def work() -> None:
            assert [file.tell() for file in files] == list(range(200))
            for file in files:
                file.read(1)

        forked(work)
        assert [file.tell() for file in files] == list(range(200))
