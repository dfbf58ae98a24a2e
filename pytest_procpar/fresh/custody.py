"""What a re-check needs to change nothing: the warden of its programs, and copies of changed files."""

from __future__ import annotations

import tempfile
from pathlib import Path

from pytest_procpar.fresh.warden import Warden
from pytest_procpar.system.kept_files import PutBack, put_back

__all__ = ["Custody"]


class Custody:
    """Owns the warden and the folder for copies; both are made when they are first needed."""

    def __init__(self) -> None:
        self._warden: Warden | None = None
        self._kept: Path | None = None

    def warden(self) -> Warden:
        """The warden, which starts programs.

        :raises OSError: if it cannot be started.
        """
        if self._warden is None:
            self._warden = Warden()
        return self._warden

    def kept(self) -> Path:
        """The folder for copies of changed files, see `system.kept_files`.

        It is the warden's folder, since the warden puts files back if this process is killed; without a
        warden, it is a folder of this process.

        :raises OSError: if it cannot be made.
        """
        if self._kept is None:
            try:
                folder = self.warden().kept
                folder.mkdir()
            except OSError:
                folder = Path(tempfile.mkdtemp(prefix="procpar-kept-"))
            self._kept = folder
        return self._kept

    def close(self) -> PutBack:
        """Put the files back, and end the warden. All processes that could change files must have ended."""
        try:
            return PutBack() if self._kept is None else put_back(self._kept)
        finally:
            if self._warden is not None:
                self._warden.close()
