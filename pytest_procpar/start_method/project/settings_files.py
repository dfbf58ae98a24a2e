"""Files beside a module that say what is looked up in a copy of the environment: a template, a ``.env``."""

from __future__ import annotations

import os
import re
from contextlib import suppress

from pytest_procpar.start_method.project.watched_mappings import VARIABLE

__all__ = ["settings_file"]

#: The endings of such files' names.
_ENDINGS = (".cfg", ".conf", ".env", ".ini", ".json", ".properties", ".toml", ".yaml", ".yml")
#: Files in which tools that run the tests look for their own settings.
_TOOLS = frozenset({"package.json", "pyproject.toml", "pytest.ini", ".pytest.ini", "setup.cfg", "tox.ini"})
#: The most files of a folder that are read, and the size of each, in bytes.
_MOST, _LARGEST = 50, 1 << 16
#: The variable by itself, in either case.
_MENTION = re.compile(rf"{VARIABLE}(?![A-Z_])".encode(), re.IGNORECASE)


def settings_file(folder: str) -> str | None:
    """The name of a file in a folder that mentions the worker's variable; None if there is none."""
    with suppress(OSError), os.scandir(folder) as entries:
        files = [entry for entry in entries if _is_settings(entry.name)]
        for entry in sorted(files[:_MOST], key=lambda entry: entry.name):
            with suppress(OSError):
                if entry.is_file() and entry.stat().st_size <= _LARGEST and _mentions(entry.path):
                    return entry.name
    return None


def _is_settings(name: str) -> bool:
    return (name.endswith(_ENDINGS) or name.startswith(".env")) and name not in _TOOLS


def _mentions(path: str) -> bool:
    with open(path, "rb") as file:
        return _MENTION.search(file.read()) is not None
