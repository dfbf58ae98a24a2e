"""A project in a folder, whose modules are watched while they are imported."""

from __future__ import annotations

import importlib.util
import sys
import textwrap
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import cast

import pytest

from pytest_procpar.start_method.names.unique_names import UniqueNames
from pytest_procpar.start_method.project.files import ProjectFiles


class Config:
    """As much of pytest's as is looked at."""

    def __init__(self, root: Path) -> None:
        self.rootpath = root
        self.invocation_params = SimpleNamespace(dir=root)
        self.known_args_namespace = SimpleNamespace(confcutdir=None)
        self.option = SimpleNamespace(verbose=0)
        self.pluginmanager = pytest.PytestPluginManager()
        self.stash = pytest.Stash()
        self.python_path: list[Path] = []

    def getini(self, name: str) -> list[Path]:
        assert name == "pythonpath"
        return self.python_path


class Project:
    """Modules in a folder, watched while they are imported."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.config = Config(root)
        self.ids: list[str] = []
        self.modules: list[str] = []
        self.held: list[ModuleType] = []

    def names(self, *vouched: str) -> UniqueNames:
        config = cast("pytest.Config", self.config)
        return UniqueNames(
            config,
            ProjectFiles(config),
            vouched,
            lambda file: Path(file).name in vouched,
            lambda: self.ids,
        )

    def load(self, code: str, file: str = "settings.py") -> ModuleType:
        """Import a module of this code."""
        path = self.root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(code))
        name = f"tried_{path.stem}"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        self.modules.append(name)
        spec.loader.exec_module(module)
        self.held.append(module)
        return module

    def reasons(self, code: str, file: str = "settings.py", *vouched: str) -> list[str]:
        """What is found when a module has been imported."""
        names = self.names(*vouched)
        names.begin()
        try:
            self.load(code, file)
        finally:
            names.end()
        return list(names.findings())
