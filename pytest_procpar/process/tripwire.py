"""Who asks which worker it is in, before there are workers.

Under pytest-xdist a worker knows its identity before it imports a conftest. A process that collects the
suite once, for all workers, has none of its own; whoever reads it there, to choose a database or a port,
would choose the same one for every worker. So reads are noted: of the environment variable, and of
``config.workerinput["workerid"]``.
"""

from __future__ import annotations

import os
import string
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

__all__ = ["Read", "Tripwire", "WatchedInput"]

_VARIABLE = "PYTEST_XDIST_WORKER"
_KEY = "workerid"

#: Plugins that only look whether they are in a worker, or read the identity anew in each (their own code was
#: read: pytest-cov 7.1, syrupy 7.0, inline-snapshot 0.36, pytest-benchmark 5.3).
_HARMLESS = frozenset({"pytest_cov", "syrupy", "inline_snapshot", "pytest_benchmark"})

#: Who passes on what somebody else has asked for: modules, and packages.
_BETWEEN = frozenset(
    {
        "os",
        "_collections_abc",
        "collections.abc",
        "posixpath",
        __name__,
        "pytest_procpar.compat.xdist_shim",
        "pytest_procpar.process.identity",
    }
)
_PACKAGES_BETWEEN = frozenset({"xdist", "pluggy"})

#: Where the standard library is, part of which is frozen (`_BETWEEN`).
_STDLIB = os.path.join(os.path.dirname(string.__file__), "")


class Read:
    """Where the identity was read: a file, and a line from 1."""

    def __init__(self, frame: FrameType, what: str) -> None:
        self.file = frame.f_code.co_filename
        self.line = frame.f_lineno
        self.module = _module(frame)
        self.what = what

    def place(self, root: Path) -> str:
        """The place as a user knows it: relative to the rootdir if it is inside."""
        path = Path(self.file)
        inside = path.is_relative_to(root) and "site-packages" not in path.parts
        return f"{path.relative_to(root) if inside else path}:{self.line}"


class Tripwire:
    """Notes the first read of a worker's identity between `lay` and `cut`.

    :param is_vouched: whether a file is known to do no harm by it.
    """

    def __init__(self, is_vouched: Callable[[str], bool] = lambda file: False) -> None:
        self._is_vouched = is_vouched
        self.first: Read | None = None
        self._environ: _WatchedEnviron | None = None
        self._original: dict[Any, Any] = {}
        self._is_laid = False

    def lay(self) -> None:
        """From here on, note."""
        self.first = None
        self._is_laid = True
        data: dict[Any, Any] = os.environ._data  # type: ignore[attr-defined]
        if not isinstance(data, _WatchedEnviron):
            self._original = data
            self._environ = _WatchedEnviron(data, self.read)
            _put(self._environ)

    def cut(self) -> None:
        """Note no more, and leave no trace: but for a `WatchedInput`, to which others may refer."""
        self._is_laid = False
        if self._environ is not None and os.environ._data is self._environ:  # type: ignore[attr-defined]
            self._original.clear()  # others may hold it
            self._original.update(self._environ)
            _put(self._original)
        self._environ = None

    def read(self, what: str) -> None:
        """Somebody reads an identity."""
        if not self._is_laid or self.first is not None:
            return
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and _is_between(frame):
            frame = frame.f_back
        if frame is None:
            return
        read = Read(frame, what)
        if read.module.partition(".")[0] not in _HARMLESS and not self._is_vouched(read.file):
            self.first = read


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _is_between(frame: FrameType) -> bool:
    name = _module(frame)
    if name in _BETWEEN or name.partition(".")[0] in _PACKAGES_BETWEEN:
        return True
    file = frame.f_code.co_filename
    return file.startswith(_STDLIB) and "site-packages" not in file and "dist-packages" not in file


def _put(data: dict[Any, Any]) -> None:
    os.environ._data = data  # type: ignore[attr-defined]
    if hasattr(os, "environb"):
        os.environb._data = data  # type: ignore[attr-defined]


class _WatchedEnviron(dict[Any, Any]):
    """The dictionary behind `os.environ`. Whoever copies it all has not asked for the identity."""

    def __init__(self, data: dict[Any, Any], note: Callable[[str], None]) -> None:
        super().__init__(data)
        self._note = note
        self._key = os.environ.encodekey(_VARIABLE)
        #: What is left to come, in reverse, while the whole is being copied.
        self._copied: list[Any] = []

    def __iter__(self) -> Any:
        self._copied = list(super().__iter__())
        self._copied.reverse()
        return super().__iter__()

    def __getitem__(self, key: Any) -> Any:
        self._look(key)
        return super().__getitem__(key)

    def __contains__(self, key: Any) -> bool:
        self._look(key)
        return super().__contains__(key)

    def get(self, key: Any, default: Any = None) -> Any:
        self._look(key)
        return super().get(key, default)

    def _look(self, key: Any) -> None:
        if self._copied and self._copied[-1] == key:
            self._copied.pop()
            return
        self._copied = []
        if key == self._key:
            self._note(_VARIABLE)


class WatchedInput(dict[str, Any]):
    """``config.workerinput`` of a process that collects for all workers. Its copies are plain."""

    def __init__(self, workerinput: dict[str, Any], note: Callable[[str], None]) -> None:
        super().__init__(workerinput)
        self._note = note

    def __getitem__(self, key: str) -> Any:
        self._look(key)
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        """As of any dict."""
        self._look(key)
        return super().get(key, default)

    def pop(self, key: str, *default: Any) -> Any:
        """As of any dict."""
        self._look(key)
        return super().pop(key, *default)

    def setdefault(self, key: str, default: Any = None) -> Any:
        """As of any dict."""
        self._look(key)
        return super().setdefault(key, default)

    def __reduce__(self) -> Any:
        return dict, (dict(self),)

    def _look(self, key: str) -> None:
        if key == _KEY:
            self._note(f'workerinput["{_KEY}"]')
