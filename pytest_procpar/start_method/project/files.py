"""Tells which files are the project's own: neither libraries nor files of a virtual environment."""

from __future__ import annotations

import os
import string
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from pytest_procpar.compat.foreign_options import confcutdir, python_path
from pytest_procpar.core.evidence.installed import INSTALLED

__all__ = ["ProjectFiles"]

_STDLIB = os.path.join(os.path.dirname(os.path.realpath(string.__file__)), "")

#: What stands in the folder of a repository.
_REPOSITORIES = (".git", ".hg", ".jj", ".svn")


def _repository(folder: Path) -> Path | None:
    """The folder of the repository that a folder is in; a home folder is none, even if it is kept in one."""
    for path in (folder, *folder.parents):
        if any((path / name).exists() for name in _REPOSITORIES):
            return None if path == Path.home() or path == Path(path.anchor) else path
    return None


class ProjectFiles:
    """Tells them by their place.

    They are below the rootdir, the invocation's folder, ``--confcutdir``, a folder of the ini value
    ``pythonpath``, or the folder of the repository that the rootdir is in.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._root = config.rootpath
        given = [config.rootpath, config.invocation_params.dir]
        if folder := confcutdir(config):
            given.append(config.invocation_params.dir / folder)
        given += [config.rootpath / folder for folder in python_path(config)]
        if repository := _repository(config.rootpath):
            given.append(repository)
        roots = {form for path in given for form in (os.path.abspath(path), os.path.realpath(path))}
        self._roots = tuple(sorted((os.path.join(root, "") for root in roots), key=len, reverse=True))
        prefix = os.path.join(os.path.realpath(sys.prefix), "")
        self._environment = prefix if any(prefix.startswith(root) for root in self._roots) else None
        self._files: dict[str, bool] = {}
        self._folders: dict[str, str] = {}

    def has(self, file: str) -> bool:
        """Whether a file is one of the project's."""
        known = self._files.get(file)
        if known is None:
            known = self._files[file] = self._find(file)
        return known

    def _find(self, file: str) -> bool:
        if file.startswith("<"):  # such as "<frozen importlib._bootstrap>"
            return False
        path = self._real(file)
        root = next((root for root in self._roots if path.startswith(root)), None)
        if root is None or path.startswith(_STDLIB):
            return False
        if self._environment is not None and path.startswith(self._environment):
            return False
        return not set(INSTALLED).intersection(Path(path[len(root) :]).parts)

    def _real(self, file: str) -> str:
        """A file's path without symbolic links. The folder's part is remembered for its other files."""
        if os.path.islink(file):
            return os.path.realpath(file)
        folder, name = os.path.split(file)
        real = self._folders.get(folder)
        if real is None:
            real = self._folders[folder] = os.path.realpath(folder)
        return os.path.join(real, name)

    def has_module(self, name: object) -> bool:
        """Whether a module, by its name, is one of the project's."""
        file = getattr(sys.modules.get(name), "__file__", None) if isinstance(name, str) else None
        return isinstance(file, str) and self.has(file)

    def place(self, file: str) -> str:
        """A file as a user knows it: relative to the rootdir if it is inside that."""
        with suppress(ValueError):
            return str(Path(file).relative_to(self._root))
        return file

    def without_root(self, text: str) -> str:
        """A text without the project's own folder, whose name may contain any number."""
        for root in self._roots:
            if len(root) > 1:
                text = text.replace(root, "/").replace(root[:-1], "")
        return text
