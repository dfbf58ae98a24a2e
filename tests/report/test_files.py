"""Files that others cannot get in the way of: links, pipes, equal process numbers, readers that sleep."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pytest_procpar.system import files

#: Writes a hundred files of its own, as soon as its standard input ends.
_WRITER = """
import os, sys
from pathlib import Path
from pytest_procpar.system import files

sys.stdin.read()
for number in range(100):
    files.replace(Path(sys.argv[1], f"{sys.argv[2]}-{number}"), sys.argv[2].encode() * 5000)
print(os.getpid())
"""


@pytest.fixture
def soon_impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no pipe be waited for any longer than a moment."""
    monkeypatch.setattr(files, "_PATIENCE", 0.01)


# --- what is at the name --------------------------------------------------------------------------


def test_a_link_or_pipe_at_the_name_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "link").symlink_to("precious")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe"):
        files.replace(tmp_path / name, b"ours")
        assert stat.S_ISREG(os.lstat(tmp_path / name).st_mode)
    assert (tmp_path / "precious").read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "pipe", "precious"]


def test_a_name_that_is_taken_meanwhile_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / f".procpar-{bytes(8).hex()}.tmp").symlink_to("precious")  # an attacker who guesses right
    draws = iter([bytes(8), b"otherone"])
    monkeypatch.setattr(files, "_random", lambda count: next(draws))
    files.replace(tmp_path / "report", b"ours")
    assert (tmp_path / "report").read_bytes() == b"ours"
    assert (tmp_path / "precious").read_text() == "precious"


def test_threads_of_one_process_do_not_mix_their_files_up(tmp_path: Path) -> None:
    def write(name: str) -> None:
        for number in range(100):
            files.replace(tmp_path / f"{name}-{number}", name.encode() * 5000)

    threads = [threading.Thread(target=write, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert_whole(tmp_path)


def test_two_containers_that_share_a_folder_do_not_mix_their_files_up(tmp_path: Path) -> None:
    apart = ["unshare", *([] if os.geteuid() == 0 else ["-r", "--user"]), "--pid", "--fork"]
    is_allowed = subprocess.run([*apart, "true"], capture_output=True, check=False).returncode == 0
    command = [*(apart if is_allowed else []), sys.executable, "-c", _WRITER, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    writers = [subprocess.Popen([*command, name], **pipes, text=True) for name in "ab"]  # type: ignore[call-overload]
    for writer in writers:
        writer.stdin.close()
    pids = []
    for writer in writers:
        pids.append(writer.stdout.read())
        writer.stdout.close()
        assert writer.wait() == 0
    assert len(set(pids)) == (1 if is_allowed else 2)
    assert_whole(tmp_path)


def assert_whole(folder: Path) -> None:
    """Two hundred files are there, each with what its writer wrote, and nothing else."""
    found = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert found == {f"{name}-{number}": name.encode() * 5000 for name in "ab" for number in range(100)}


# --- what another user has put there ----------------------------------------------------------------


def test_what_another_user_has_put_into_a_folder_for_all_is_not_trusted(tmp_path: Path) -> None:
    shared = tmp_path / "tmp"
    shared.mkdir()
    own = os.stat(shared)
    stranger = os.stat_result((own.st_mode, 1, 1, 1, os.geteuid() + 1, 1, 0, 0, 0, 0))
    assert files._is_trusted(stranger, shared)  # whoever may write to such a folder is trusted
    shared.chmod(0o1777)
    assert not files._is_trusted(stranger, shared)
    assert files._is_trusted(own, shared)
    tmp_path.chmod(0o755)
    for kind in ("link", "pipe"):
        if _as_a_stranger(shared / kind, tmp_path / "precious" if kind == "link" else None):
            with pytest.raises(PermissionError, match=r"another user has put a (link|file) there"):
                files.write(shared / kind, b"ours")
    assert not (tmp_path / "precious").exists()


def _as_a_stranger(path: Path, target: Path | None) -> bool:
    """Make a link, or a pipe, in a process of another user; whether this user may become another one."""
    make = f"os.mkfifo({path.name!r})" if target is None else f"os.symlink({str(target)!r}, {path.name!r})"
    stranger = 65534 if os.geteuid() != 65534 else 65533
    code = f"import os\ntry: os.setuid({stranger})\nexcept OSError: print('no')\nelse: {make}"
    done = subprocess.run([sys.executable, "-c", code], cwd=path.parent, check=True, capture_output=True)
    return not done.stdout


# --- pipes, devices, streams ------------------------------------------------------------------------


def test_a_pipe_that_nobody_reads_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="nobody reads this pipe"):
        files.write(tmp_path / "pipe", b"ours")


@pytest.mark.usefixtures("soon_impatient")
def test_a_reader_that_sleeps_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(TimeoutError, match="its reader does not read"):
        files.write(tmp_path / "pipe", bytes(1 << 20))
    os.close(reader)


def test_a_full_device_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left"):
        files.write(Path("/dev/full"), b"ours")


@pytest.mark.parametrize("name", ["/dev/stdout", "log"])
def test_what_goes_to_standard_output_is_neither_lost_nor_written_over(tmp_path: Path, name: str) -> None:
    code = (
        "import sys; from pathlib import Path; from pytest_procpar.system import files; print('before'); "
        f"path = Path({name!r}); files.probe(path); files.write(path, b'ours\\n'); print('after')"
    )
    with open(tmp_path / "log", "w") as log:
        subprocess.run([sys.executable, "-c", code], cwd=tmp_path, stdout=log, check=True)
    assert (tmp_path / "log").read_text() == "before\nours\nafter\n"
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


# --- reading ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("soon_impatient")
def test_no_file_is_read_without_an_end(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with open(tmp_path / "sparse", "wb") as sparse:
        sparse.truncate(1 << 40)
    wrong = {
        tmp_path / "pipe": "nobody writes to this pipe",
        tmp_path / "sparse": "it is larger than 1 MiB",
        tmp_path: "Is a directory",
        Path("/dev/zero"): "it is a device",
    }
    for path, reason in wrong.items():
        with pytest.raises(OSError, match=reason):
            files.read(path, 1 << 20)


def test_a_pipe_is_read_to_its_end_and_not_beyond_the_limit(tmp_path: Path) -> None:
    for limit in (10, 9):
        reader, writer = os.pipe()
        os.write(writer, b"0123456789")
        os.close(writer)
        path = Path(f"/dev/fd/{reader}")
        if limit == 10:
            assert files.read(path, limit) == b"0123456789"
        else:
            with pytest.raises(OSError, match="it is larger than 9 bytes") as raised:
                files.read(path, limit)
            assert raised.value.errno == errno.EFBIG
        os.close(reader)
