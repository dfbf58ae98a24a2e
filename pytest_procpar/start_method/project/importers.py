"""Finds what loaded a library into this process: the package that it is in, and the project's module."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from pytest_procpar.core.evidence.installed import INSTALLED
from pytest_procpar.start_method.project.files import ProjectFiles

__all__ = ["importer", "packages"]


def packages(path: str) -> list[str]:
    """The imported packages that an installed file belongs to; [] if it lies elsewhere."""
    parts = Path(path).parts
    for index in range(len(parts) - 2, -1, -1):
        if parts[index] in INSTALLED:
            folder = parts[index + 1]
            names = _of_distribution(folder.removesuffix(".libs")) if folder.endswith(".libs") else [folder]
            return [name for name in names if name in sys.modules]
    return []


def _of_distribution(name: str) -> list[str]:
    """The packages that a wheel installed whose own copies of libraries are in ``NAME.libs``."""
    from importlib.metadata import distribution

    with suppress(Exception):
        files = distribution(name).files or ()
        return list(dict.fromkeys(file.parts[0].partition(".")[0] for file in files))
    return [name]


def importer(names: Iterable[str], files: ProjectFiles) -> str | None:
    """The file of the project's first module that imports one of these packages, or something from one."""
    wanted = frozenset(names)
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None) if type(module) is ModuleType else None
        if not isinstance(file, str) or not wanted or not files.has(file):
            continue
        if any(_home(value) in wanted for value in list(vars(module).values())):
            return files.place(file)
    return None


def _home(value: Any) -> str:
    """The top package that a value is, or is from. Lazy objects are not made to load."""
    with suppress(Exception):
        kind = type(value)
        name = (
            object.__getattribute__(value, "__name__")
            if issubclass(kind, ModuleType)
            else object.__getattribute__(value, "__module__")
        )
        return str(name).partition(".")[0]
    return ""
