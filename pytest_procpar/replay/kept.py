"""The replay files of the re-check, for commands that need more than the names of tests.

`replay.file` defines the format, and reads it.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from pytest_procpar.replay.file import REPLAY_FORMAT, REPORT_FORMAT, VERSION
from pytest_procpar.system.files import replace

__all__ = ["ReplayFiles", "replay_by_index", "replay_of"]

#: How many files are kept in a folder that all runs share.
_KEPT = 100


class ReplayFiles:
    """The files that printed commands name. They stay, and no run changes those of another.

    They are in the folder that `folder` returns, if there is one and it can be written to, or else in a new
    temporary folder that only this user can read. Their names are made from their content.
    """

    def __init__(self, folder: Callable[[], Path | None]) -> None:
        self._shared = folder
        self._private: Path | None = None

    def write(self, name: str, content: bytes) -> Path:
        """Write a file whose name begins with `name`, and return its path.

        :raises OSError: if it can be written in neither folder.
        """
        file = f"{name}-{sha256(content).hexdigest()[:10]}.json"
        with suppress(OSError):  # a read-only project
            folder = self._shared()
            if folder is not None:
                replace(folder / file, content)
                _forget_older(folder)
                return folder / file
        if self._private is None:
            self._private = Path(tempfile.mkdtemp(prefix="procpar-replay-"))
        replace(self._private / file, content)
        return self._private / file

    def remove_private(self) -> None:
        """Remove the temporary folder, if there is one: no command that names it was printed."""
        if self._private is not None:
            shutil.rmtree(self._private, ignore_errors=True)
            self._private = None


def _forget_older(folder: Path) -> None:
    """Remove all but the newest files of a folder that nothing else empties."""
    found = sorted(folder.glob("*-??????????.json"), key=lambda path: path.lstat().st_mtime)
    for path in found[:-_KEPT]:
        with suppress(OSError):  # another run was faster
            path.unlink()


def replay_of(sequences: Iterable[tuple[str | None, Sequence[str]]]) -> bytes:
    """A replay file: for each process, the name of its worker, if it had one, and its tests' nodeids."""
    listed = [{"worker": worker, "tests": list(tests)} for worker, tests in sequences]
    return _to_bytes({"format": REPLAY_FORMAT, "version": VERSION, "sequences": listed})


def replay_by_index(ids: Sequence[str], sequences: Sequence[Sequence[int]]) -> bytes:
    """A replay file that tells tests with the same nodeid apart by index, as a report does.

    :param ids: the nodeids of all tests, by index.
    :param sequences: the indices of the tests of each process.
    """
    named = {ids[test] for tests in sequences for test in tests}
    listed = [{"index": index, "nodeid": nodeid} for index, nodeid in enumerate(ids) if nodeid in named]
    report = {"format": REPORT_FORMAT, "version": VERSION, "tests": listed}
    return _to_bytes({**report, "sequences": [{"worker": None, "tests": list(tests)} for tests in sequences]})


def _to_bytes(data: object) -> bytes:
    return f"{json.dumps(data, indent=1)}\n".encode()
