"""What a re-check needs to change nothing: the warden of its programs, and copies of changed files."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path

from pytest_procpar.fresh.warden import Warden
from pytest_procpar.system.kept_files import PutBack, put_back

__all__ = ["Custody"]


class Custody:
    """Owns the warden and the folder for copies; both are made when they are first needed, or before."""

    def __init__(self) -> None:
        self._warden: Warden | None = None
        self._kept: Path | None = None

    def begin(self) -> None:
        """Start the warden, and wait for nothing: it will soon be needed."""
        with suppress(OSError):  # who needs it hears of that
            self._warden = self._warden or Warden()

    def warden(self) -> Warden:
        """The warden, which starts programs.

        :raises OSError: if it cannot be started.
        """
        warden, self._warden = self._warden or Warden(), None
        warden.wait()
        self._warden = warden
        return warden

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
        """Put the files back, and end the warden. All processes that could change files must have ended.

        The second time, there is nothing left to do.
        """
        kept, self._kept = self._kept, None
        warden, self._warden = self._warden, None
        try:
            return PutBack() if kept is None else put_back(kept)
        finally:
            if warden is not None:
                warden.close()
