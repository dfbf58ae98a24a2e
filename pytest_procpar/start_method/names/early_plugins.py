"""Finds what was done before any watch began by the project's plugins given by ``-p``, and their imports."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import PurePath
from types import ModuleType

import pytest

from pytest_procpar.core.evidence.installed import is_installed
from pytest_procpar.start_method.project.files import ProjectFiles
from pytest_procpar.start_method.project.watched_mappings import COMMON, VARIABLE

__all__ = ["EarlyPlugins"]


class EarlyPlugins:
    """The project's modules that are plugins at the first `begin`, with their imports, and their sources.

    :param vouched: what the project declares safe: the word "names" if all names are.
    :param is_vouched: whether a file is known to do no harm.
    """

    def __init__(
        self,
        config: pytest.Config,
        project: ProjectFiles,
        vouched: Iterable[str],
        is_vouched: Callable[[str], bool],
    ) -> None:
        self._config = config
        self._project = project
        self._are_names_vouched = "names" in vouched
        self._is_vouched = is_vouched
        self._files: dict[str, ModuleType] | None = None

    def begin(self) -> None:
        """Note which plugins there are, and what they have imported, on the first call."""
        if self._files is not None:
            return
        self._files = {}
        for plugin in self._config.pluginmanager.get_plugins():
            file = getattr(plugin, "__file__", None) if type(plugin) is ModuleType else None
            if isinstance(file, str) and self._is_own(file):
                self._files[file] = plugin
        if self._files:  # nothing else has imported the project's modules yet
            for module in list(sys.modules.values()):
                file = getattr(module, "__file__", None) if type(module) is ModuleType else None
                if isinstance(file, str) and self._is_own(file):
                    self._files.setdefault(file, module)

    def _is_own(self, file: str) -> bool:
        return not is_installed(file) and self._project.has(file)

    def findings(self) -> Iterator[str]:
        """Yield a reason for each that read the worker's identity, or made a name, when it was imported."""
        files, self._files = self._files or {}, {}  # only once: their sources would say the same again
        for file in [file for file in files if self._is_vouched(file)]:
            del files[file]
        yield from self._reads(files)
        if not self._are_names_vouched:
            yield from self._names(files)

    def _reads(self, files: Iterable[str]) -> Iterator[str]:
        for file in files:
            from pytest_procpar.core.evidence.at_import import reads

            source = "".join(linecache.getlines(file))
            for variable in (VARIABLE, *COMMON):
                line = reads(source, variable)
                if line is not None:
                    yield f"{self._project.place(file)}:{line} reads {variable} while it is imported"

    def _names(self, files: Mapping[str, ModuleType]) -> Iterator[str]:
        """Find texts and paths that were made to be unique and are held by a module's variable."""
        for file, module in files.items():
            from pytest_procpar.core.evidence.at_import import names_made
            from pytest_procpar.start_method.names.telling_variables import is_credential

            for line, name, call in names_made("".join(linecache.getlines(file))):
                if _is_name(vars(module).get(name)) and not is_credential(name):
                    yield f"{self._project.place(file)}:{line} makes a name of its own: {call}"


def _is_name(value: object) -> bool:
    kind = type(value)
    return issubclass(kind, (str, PurePath)) or kind.__module__ in ("tempfile", "uuid")
