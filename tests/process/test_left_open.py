"""Files that are still open at the end of a process."""

from __future__ import annotations

import gzip
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import pytest

from pytest_procpar.forking import file_positions
from pytest_procpar.forking.file_positions import WrittenFiles
from pytest_procpar.forking.fork import fork
from pytest_procpar.forking.left_open import settle_left_open

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")


def only(*files: IO[Any]) -> Callable[[], WrittenFiles]:
    """What finds these files, opened here, and none of those that other tests have left."""
    fds = frozenset(file.fileno() for file in files)
    return lambda: WrittenFiles(fds, fds)


def test_what_is_buffered_is_written(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("w") as text, (tmp_path / "bytes").open("wb") as binary:
        text.write("text")
        binary.write(b"bytes")
        settle_left_open(only(text, binary))
        assert path.read_text() == "text"
        assert (tmp_path / "bytes").read_bytes() == b"bytes"


def test_a_compressed_file_gets_its_end(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with gzip.open(path, "wt") as text:
        text.write("text")
        settle_left_open(only(text))
        assert gzip.decompress(path.read_bytes()) == b"text"


def test_a_temporary_file_is_removed_by_who_has_made_it(tmp_path: Path) -> None:
    inherited = tempfile.NamedTemporaryFile("w", dir=tmp_path)  # noqa: SIM115 (left open)
    file_positions.note()
    pid = fork()
    if pid == 0:
        own = tempfile.NamedTemporaryFile("w", dir=tmp_path)  # noqa: SIM115 (left open)
        inherited.write("from the child")
        settle_left_open()
        there = os.path.exists(own.name), os.path.exists(inherited.name)
        os._exit(there != (False, True))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert Path(inherited.name).read_text() == "from the child"
    settle_left_open(only(inherited))
    assert not os.path.exists(inherited.name)


def test_a_disk_that_is_full_is_endured(tmp_path: Path) -> None:
    with open("/dev/full", "w") as full, (tmp_path / "file").open("w") as file:
        full.write("text")
        file.write("text")
        settle_left_open(only(full, file))
        assert (tmp_path / "file").read_text() == "text"
        with suppress(OSError):
            full.close()
