"""A plugin of the tests that need pytest-xdist: it is not installed where they run, but beside that."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Suite

REQUIREMENT = "pytest-xdist>=3.8,<4"

#: What a folder needs to be taken for an installation of this package.
_DIST_INFO = {
    "METADATA": "Metadata-Version: 2.1\nName: pytest-procpar\nVersion: 0\n",
    "entry_points.txt": "[pytest11]\nprocpar = pytest_procpar.plugin\n",
}


@pytest.fixture(scope="session")
def xdist_folder(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder to which pytest-xdist is installed, once for all workers."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "xdist"
    with (folder.parent / "xdist.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "xdist").exists():
            # An environment of CI has no pip of its own: see `.ci/venv`.
            shared = os.environ.get("PIP")
            pip = [shared, "--python", sys.executable] if shared else [sys.executable, "-m", "pip"]
            options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--target", str(folder)]
            install = [*pip, "install", *options, REQUIREMENT]
            done = subprocess.run(install, capture_output=True, text=True, check=False)
            if done.returncode and "CI" not in os.environ:
                pytest.skip(f"{REQUIREMENT} cannot be installed: {done.stderr}")
            assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def install_xdist(xdist_folder: Path, suite: Suite, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Installs pytest-xdist for the suite's runs."""

    def install(*, first: str = "xdist", autoload: bool = False) -> None:
        """Install it.

        :param first: whose entry point is found first: that of "xdist" or "procpar".
        :param autoload: whether pytest is to load whatever is installed, or only what it is told to.
        """
        ours = suite.path / "site"
        info = ours / "pytest_procpar-0.dist-info"
        info.mkdir(parents=True)
        for name, text in _DIST_INFO.items():
            (info / name).write_text(text)
        paths = [str(ours), str(xdist_folder)] if first == "procpar" else [str(xdist_folder), str(ours)]
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([*paths, os.environ.get("PYTHONPATH", "")]))
        monkeypatch.setenv("PYTEST_PLUGINS", "recorder")
        if autoload:
            monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")

    return install
