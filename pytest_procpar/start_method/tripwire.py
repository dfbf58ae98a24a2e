"""Notices code that asks which worker it is in, before there are workers.

Under pytest-xdist a worker knows its identity before it imports a conftest. A process that collects the
suite once, for all workers, has none of its own. Code that reads it there, to choose a database or a port,
would choose the same one for every worker. So reads are noted: of the environment variable, of
``config.workerinput["workerid"]``, and of whatever else differs between workers in ``workerinput``. Code that
copies all of it has not read it, unless the source of a file that is involved looks the name up.
"""

from __future__ import annotations

import os
import string
import sys
import tokenize
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest_procpar
from pytest_procpar.core.evidence.installed import is_installed
from pytest_procpar.core.model import WorkerInput
from pytest_procpar.start_method.project.frames import module_of, package_of
from pytest_procpar.start_method.project.watched_mappings import VARIABLE, WatchedEnviron, WatchedInput

__all__ = ["Read", "Tripwire"]

#: The names under which settings look it up, some without their prefix.
_NAMES = frozenset({VARIABLE.lower(), VARIABLE.lower().removeprefix("pytest_")})
#: What settings may name as the beginning of all their names.
_PREFIX = "pytest_xdist_"

#: Plugins that only look whether they are in a worker, or read the identity anew in each worker (their code
#: was read: pytest-cov 7.1, syrupy 7.0, inline-snapshot 0.36, pytest-benchmark 5.3).
_HARMLESS = frozenset({"pytest_cov", "syrupy", "inline_snapshot", "pytest_benchmark"})

#: Modules, and packages, that only pass on what other code asks for.
_BETWEEN = frozenset(
    {
        "os",
        "_collections_abc",
        "collections.abc",
        "posixpath",
        __name__,
        WatchedInput.__module__,
        "pytest_procpar.compat.xdist.shim",
        "pytest_procpar.worker.identity",
    }
)
#: Libraries that read settings for other code.
_READ_SETTINGS = frozenset({
    "decouple", "dynaconf", "environ", "environs", "envparse", "pydantic", "pydantic_settings",
})  # fmt: skip
_PACKAGES_BETWEEN = _READ_SETTINGS | {"xdist", "pluggy"}

#: The folder of the standard library. Part of the library is frozen (`_BETWEEN`).
_STDLIB = os.path.join(os.path.dirname(string.__file__), "")
#: The folder of this plugin.
_OWN = os.path.join(os.path.dirname(pytest_procpar.__file__), "")


class Read:
    """Where the identity was read: a file, and a line counted from 1."""

    def __init__(self, frame: FrameType, what: str) -> None:
        self.file = frame.f_code.co_filename
        self.line = frame.f_lineno
        self.module = module_of(frame)
        self.what = what

    def place(self, root: Path) -> str:
        """The place as a user knows it: relative to the rootdir if it is inside that."""
        path = Path(self.file)
        inside = path.is_relative_to(root) and "site-packages" not in path.parts
        return f"{path.relative_to(root) if inside else path}:{self.line}"


class Tripwire:
    """Notes the first read of a worker's identity between `lay` and `cut`.

    :param is_vouched: whether a file is known to do no harm by reading it.
    """

    def __init__(self, is_vouched: Callable[[str], bool] = lambda file: False) -> None:
        self._is_vouched = is_vouched
        self.first: Read | None = None
        #: The project's files that have copied the environment, or called what did.
        self.copiers: set[str] = set()
        self._environ: WatchedEnviron | None = None
        self._original: dict[object, object] = {}
        self._is_laid = False
        #: By file and names: the name that the file looks up in its copy.
        self._looked_up: dict[tuple[str, frozenset[str]], str | None] = {}
        #: By folder: its file that names the variable.
        self._settings_files: dict[str, str | None] = {}

    def lay(self) -> None:
        """Start to note reads."""
        self.first = None
        self._is_laid = True
        data: dict[object, object] = os.environ._data  # type: ignore[attr-defined]
        if not isinstance(data, WatchedEnviron):
            self._original = data
            self._environ = WatchedEnviron(data, self.read, self._environ_taken)
            _put(self._environ)

    def cut(self) -> None:
        """Stop, and leave no trace, except for a `WatchedInput`, to which other objects may refer."""
        self._is_laid = False
        if self._environ is not None and os.environ._data is self._environ:  # type: ignore[attr-defined]
            self._original.clear()  # others may hold it
            self._original.update(self._environ)
            _put(self._original)
        self._environ = None

    def watched(self, workerinput: WorkerInput, inputs: list[WorkerInput]) -> WatchedInput:
        """Make a workerinput that notes when code reads a key whose value differs between these `inputs`."""

        def asked(key: str) -> None:
            self.read(f'workerinput["{key}"]')

        def taken(keys: frozenset[str]) -> None:
            self._taken(keys, lambda key: f'workerinput["{key}"] from a copy')

        return WatchedInput(workerinput, inputs, asked, taken, lambda: self._is_laid)

    def read(self, what: str) -> None:
        """Note that an identity is read, and by which code."""
        if not self._is_laid or self.first is not None:
            return
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and _is_between(frame):
            frame = frame.f_back
        if frame is not None:
            self._note(frame, what)

    def _note(self, frame: FrameType, what: str) -> bool:
        """Note a read; return whether it may do harm."""
        read = Read(frame, what)
        if package_of(frame) in _HARMLESS or self._is_vouched(read.file):
            return False
        self.first = read
        return True

    def _environ_taken(self) -> None:
        self._taken(_NAMES, lambda name: f"{VARIABLE} from a copy of os.environ")
        if not self._is_laid or self.first is not None:
            return
        for frame in _involved(sys._getframe(1)):
            if _is_installed(frame):
                continue
            self.copiers.add(frame.f_code.co_filename)
            named_in = self._settings_file(os.path.dirname(frame.f_code.co_filename))
            words = f"{VARIABLE}, which {named_in} names, from a copy of os.environ"
            if named_in is not None and self._note(frame, words):
                return

    def _settings_file(self, folder: str) -> str | None:
        if folder not in self._settings_files:
            from pytest_procpar.start_method.project.settings_files import settings_file

            self._settings_files[folder] = settings_file(folder)
        return self._settings_files[folder]

    def _taken(self, names: frozenset[str], words: Callable[[str], str]) -> None:
        """When something that holds an identity is copied, look whether the files involved read it."""
        if not self._is_laid or self.first is not None:
            return
        frames = list(_involved(sys._getframe(1)))
        sources = [(frame, frame.f_code.co_filename) for frame in frames]
        sources += [(frames[0], file) for file in _settings_classes(sys._getframe(1)) if frames]
        for frame, file in sources:
            name = self._look_up(file, names)
            if name is not None and self._note(frame, words(name)):
                return

    def _look_up(self, file: str, names: frozenset[str]) -> str | None:
        if (file, names) not in self._looked_up:
            self._looked_up[file, names] = None  # until it is known
            self._looked_up[file, names] = _looked_up_in(file, names)
        return self._looked_up[file, names]


def _looked_up_in(file: str, names: frozenset[str]) -> str | None:
    if not file.endswith(".py"):
        return None
    try:
        with tokenize.open(file) as stream:
            source = stream.read()
    except (OSError, SyntaxError, UnicodeError):
        return None
    from pytest_procpar.core.evidence.mentions import looked_up

    return looked_up(source, names, _PREFIX if names is _NAMES else "")


def _involved(frame: FrameType | None) -> Iterator[FrameType]:
    """The nearest frame that is not in between, and the project's frames further out, up to pytest."""
    is_nearest = True
    while frame is not None and package_of(frame) != "_pytest":
        if not _is_between(frame):
            if is_nearest or not _is_installed(frame):
                yield frame
            is_nearest = False
        frame = frame.f_back


def _settings_classes(frame: FrameType | None) -> Iterator[str]:
    """The files with the classes whose settings a library is reading: they name the variables."""
    while frame is not None and package_of(frame) != "_pytest":
        if package_of(frame) in _READ_SETTINGS:
            for value in list(frame.f_locals.values()):
                kind = value if issubclass(type(value), type) else type(value)
                for base in kind.__mro__:
                    file = getattr(sys.modules.get(base.__module__), "__file__", None)
                    if (
                        isinstance(file, str)
                        and not file.startswith((_STDLIB, _OWN))
                        and not is_installed(file)
                    ):
                        yield file
        frame = frame.f_back


def _is_between(frame: FrameType) -> bool:
    if module_of(frame) in _BETWEEN or package_of(frame) in _PACKAGES_BETWEEN:
        return True
    return frame.f_code.co_filename.startswith((_STDLIB, "<frozen ")) and not _is_installed(frame)


def _is_installed(frame: FrameType) -> bool:
    file = frame.f_code.co_filename
    return is_installed(file) or file.startswith(_OWN)


def _put(data: dict[object, object]) -> None:
    os.environ._data = data  # type: ignore[attr-defined]
    if hasattr(os, "environb"):
        os.environb._data = data  # type: ignore[attr-defined]
