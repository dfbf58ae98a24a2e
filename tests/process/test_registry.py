"""The file of claims: processes that come, die and fork, and folders that are not safe."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytest_procpar.core.sizing.claims import Claim, packed
from pytest_procpar.host import folder, registry
from pytest_procpar.host.folder import UnsafeFolder, open_folder
from pytest_procpar.host.registry import Registry

MINE, THEIRS = Claim(1, 4, 0xF), Claim(2, 3, 0xF)


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """Where a folder is that only these processes share."""
    place = tmp_path / "runtime"
    place.mkdir(mode=0o700)
    return {"XDG_RUNTIME_DIR": str(place)}


@pytest.fixture
def mine(environ: dict[str, str]) -> Iterator[Registry]:
    one = Registry(environ)
    one.tell(MINE)
    yield one
    one.leave()


class Run:
    """A forked process with a place of its own; it stays until it is killed."""

    def __init__(
        self, environ: dict[str, str], claim: Claim, then: Callable[[], object] = lambda: None
    ) -> None:
        heard, says = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            try:
                registry._has_place = False
                own = Registry(environ)
                own.tell(claim)
                then()
                os.write(says, b"x")
                signal.pause()
            finally:
                os._exit(1)
        os.close(says)
        assert os.read(heard, 1) == b"x"
        os.close(heard)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def test_runs_see_each_other_and_not_themselves(environ: dict[str, str], mine: Registry) -> None:
    assert mine.others() == []
    run = Run(environ, THEIRS)
    assert mine.others() == [THEIRS]
    run.kill()


def test_a_killed_run_is_gone_at_once_and_its_place_is_free(environ: dict[str, str], mine: Registry) -> None:
    Run(environ, THEIRS).kill()
    assert mine.others() == []
    more = [Run(environ, Claim(3 + n, 1, 1)) for n in range(2)]
    assert [claim.since for claim in mine.others()] == [3, 4]
    size = os.fstat(mine._fd).st_size
    for run in more:
        run.kill()
    assert size == 3 * len(packed(MINE)), "the place of the killed one was taken"


def test_a_run_that_leaves_is_gone(environ: dict[str, str], mine: Registry) -> None:
    run = Run(environ, THEIRS)
    mine.leave()
    mine.leave()
    again = Registry(environ)
    assert again.others() == [THEIRS]
    again.leave()
    run.kill()


def test_children_keep_no_place(environ: dict[str, str], mine: Registry) -> None:
    told, tells = os.pipe()

    def fork() -> None:
        os.close(tells)
        if not os.fork():
            os.read(told, 1)
            os._exit(0)
        subprocess.Popen([sys.executable, "-c", "import os; os.read(0, 1)"], stdin=told, close_fds=False)

    Run(environ, THEIRS, fork).kill()
    assert mine.others() == []
    os.close(told)
    os.close(tells)  # which ends the children


def test_a_child_that_leaves_takes_nothing_from_its_parent(environ: dict[str, str], mine: Registry) -> None:
    run = Run(environ, THEIRS)
    pid = os.fork()
    if not pid:
        mine.leave()
        os._exit(0)
    os.waitpid(pid, 0)
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        registry._has_place = False
        os.write(writer, str(sorted(claim.since for claim in Registry(environ).others())).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(reader, 99) == b"[1, 2]"
    run.kill()
    os.close(reader)
    os.close(writer)


def test_a_process_has_one_place(environ: dict[str, str], mine: Registry) -> None:
    with pytest.raises(OSError, match="in this process has a place already"):
        Registry(environ)


def test_what_makes_no_sense_is_no_claim(environ: dict[str, str], mine: Registry) -> None:
    file = Path(environ["XDG_RUNTIME_DIR"], "pytest-procpar", "runs")
    run = Run(environ, THEIRS)
    with file.open("r+b") as whole:  # no lock of this process is on it: closing it loses mine
        whole.seek(len(packed(MINE)))
        whole.write(b"?")
    assert mine.others() == []
    run.kill()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EBADF, errno.EINTR])
def test_a_lock_that_cannot_be_asked_for_does_not_mean_that_a_run_lives(
    environ: dict[str, str], mine: Registry, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    run = Run(environ, THEIRS)

    def lockf(fd: int, *rest: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(registry, "_is_free", registry._bind_lock(lockf)[1])
    try:
        with pytest.raises(OSError, match=os.strerror(number)):
            mine.others()
    finally:
        run.kill()


def test_there_are_places_for_so_many(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "MOST_RUNS", 1)
    run = Run(environ, THEIRS)
    with pytest.raises(OSError, match="1 runs have a place already"):
        Registry(environ)
    run.kill()


# --- the folder ---


def test_the_folder_and_the_file_are_the_users_alone(environ: dict[str, str], mine: Registry) -> None:
    place = Path(environ["XDG_RUNTIME_DIR"], "pytest-procpar")
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert stat.S_IMODE((place / "runs").stat().st_mode) == 0o600
    assert not os.get_inheritable(mine._fd)


@pytest.mark.parametrize("mode", [0o777, 0o750, 0o701])
def test_a_folder_that_others_may_look_into_is_refused(tmp_path: Path, mode: int) -> None:
    place = tmp_path / f"pytest-procpar-{os.geteuid()}"
    place.mkdir()
    place.chmod(mode)
    with pytest.raises(UnsafeFolder):
        os.close(folder._open(str(place), None))


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to("elsewhere")
    with pytest.raises(OSError, match="link"):
        os.close(folder._open(str(tmp_path / "link"), None))


def test_a_file_that_is_a_link_is_not_followed(environ: dict[str, str], tmp_path: Path) -> None:
    place = Path(environ["XDG_RUNTIME_DIR"], "pytest-procpar")
    place.mkdir(mode=0o700)
    (place / "runs").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="runs"):
        Registry(environ)
    assert not (tmp_path / "victim").exists()
    assert not registry._has_place


@pytest.mark.parametrize("runtime", ["", "relative", "/nonexistent", "unsafe"])
def test_without_a_runtime_folder_it_is_in_the_temporary_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: str
) -> None:
    if runtime == "unsafe":
        runtime = str(tmp_path / "unsafe")
        Path(runtime).mkdir()
        Path(runtime).chmod(0o755)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    fd = open_folder({"XDG_RUNTIME_DIR": runtime})
    assert os.path.samestat(os.fstat(fd), (tmp_path / f"pytest-procpar-{os.geteuid()}").stat())
    os.close(fd)
