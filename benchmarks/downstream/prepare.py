"""Gets a suite ready to run: its sdist unpacked, and an environment with it and the plugin.

All of it is cached in the work folder. Knows pip and venv; knows nothing of runs or outcomes.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.downstream.suites import Suite

RECORDER = "downstream_recorder"
#: What is not imported need not be compiled.
_QUIET = ("--quiet", "--disable-pip-version-check", "--no-compile")


class PrepareError(RuntimeError):
    """A download, a build or an installation failed; the text says which and how."""


@dataclass(frozen=True)
class Prepared:
    """A suite that is ready to run.

    Attributes:
        suite: Which.
        pytest: The environment's pytest.
        cwd: Folder to run it in.
    """

    suite: Suite
    pytest: Path
    cwd: Path


def call(what: str, *command: str | Path) -> str:
    """What a command has printed. Raises `PrepareError`, with the end of it, if it fails."""
    done = subprocess.run(
        [str(word) for word in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        tail = "\n".join(done.stdout.splitlines()[-15:])
        raise PrepareError(f"{what} failed:\n{tail}")
    return done.stdout


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "_", name).lower()


def download(suite: Suite, folder: Path) -> Path:
    """The suite's sdist in ``folder``, fetched unless it is there."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = f"{_canonical(suite.name)}_{_canonical(suite.version)}_tar_gz"

    def found() -> Path | None:
        return next((p for p in folder.iterdir() if _canonical(p.name) == wanted), None)

    if found() is None:
        # Only this project as an sdist: its build backend may come as a wheel.
        options = ("--no-deps", "--no-binary", suite.name, "--dest", folder)
        pip = (sys.executable, "-m", "pip", "download", "--quiet")
        call(f"download of {suite.requirement}", *pip, *options, suite.requirement)
    sdist = found()
    if sdist is None:
        raise PrepareError(f"{suite.requirement} has no sdist that ends in .tar.gz")
    return sdist


def unpack(sdist: Path, folder: Path) -> Path:
    """The tree in ``sdist``, below ``folder``, unpacked unless it is there."""
    target = folder / sdist.name.removesuffix(".tar.gz")
    if not target.exists():
        partial = folder / f"{target.name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        with tarfile.open(sdist) as archive:
            archive.extractall(partial, filter="data")
        (tree,) = partial.iterdir()
        tree.rename(target)
        partial.rmdir()
    return target


def plugin_requirement(plugin: str, work: Path) -> str:
    """What to hand to pip for ``plugin``: a wheel for a path, else the requirement itself."""
    path = Path(plugin)
    if path.is_file():
        return str(path.resolve())
    if not path.is_dir():
        return plugin
    wheels = work / "wheels"
    shutil.rmtree(wheels, ignore_errors=True)
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps")
    call(f"build of {path.resolve().name}", *pip, "--wheel-dir", wheels, path.resolve())
    (wheel,) = wheels.glob("*.whl")
    return str(wheel.resolve())


def plugin_name(plugin: str) -> str:
    """The canonical name of a wheel's path or of a requirement, without version and extras."""
    found = re.match(r"[A-Za-z]+(?:[-_.][A-Za-z]+)*", Path(plugin).name)
    return _canonical(found[0]) if found else "plugin"


def _fingerprint(words: list[str]) -> str:
    """Changes when a requirement does, or the content of a file that is required."""
    digest = hashlib.sha256(sys.version.encode())
    for word in words:
        digest.update(word.encode() + b"\0")
        if os.path.isfile(word):
            digest.update(Path(word).read_bytes())
    return digest.hexdigest()


def environment(suite: Suite, pytest: str, plugin: str, folder: Path) -> None:
    """Make ``folder`` a virtual environment with the project, its requirements, pytest and plugin."""
    install([suite.full_requirement, *suite.requirements, pytest], plugin, folder)


def install(base: list[str], plugin: str, folder: Path) -> None:
    """Make ``folder`` a virtual environment with ``base``, the last of which is pytest, and ``plugin``.

    The first installation is kept while nothing of it changes; a plugin that changed alone is
    installed over the old one.
    """
    stamp, plugin_stamp = folder / "stamp", folder / "plugin-stamp"
    python = folder / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python, "install", *_QUIET)
    if not stamp.exists() or stamp.read_text() != _fingerprint(base):
        shutil.rmtree(folder, ignore_errors=True)
        call("making an environment", sys.executable, "-m", "venv", "--without-pip", folder)
        call(f"installing into {folder.name}", *pip, *base)
        stamp.write_text(_fingerprint(base))
    fingerprint = _fingerprint([plugin])
    if not plugin_stamp.exists() or plugin_stamp.read_text() != fingerprint:
        what = f"installing {plugin_name(plugin)}"
        call(what, *pip, base[-1], plugin)
        if plugin.endswith(".whl"):  # pip keeps an installed wheel of the same version
            call(what, *pip, "--force-reinstall", "--no-deps", plugin)
        plugin_stamp.write_text(fingerprint)


def recorder_folder(work: Path) -> Path:
    """A folder for ``PYTHONPATH`` with the recorder alone, so that nothing of ours shadows theirs."""
    folder = work / "recorder"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(Path(__file__).with_name("recorder.py"), folder / f"{RECORDER}.py")
    return folder


def tree_of(suite: Suite, work: Path) -> Path:
    """The suite's sdist unpacked, or an empty folder where its tests are those that are installed."""
    if suite.installed:
        tree = work / "trees" / f"{suite.name}-{suite.version}-installed"
        tree.mkdir(parents=True, exist_ok=True)
        return tree
    tree = unpack(download(suite, work / "sdists"), work / "trees")
    for path in suite.drop:
        if (tree / path).is_file():
            (tree / path).unlink()
        else:
            shutil.rmtree(tree / path, ignore_errors=True)
    return tree


def prepare(suite: Suite, pytest: str, plugin: str, work: Path) -> Prepared:
    """Everything that must be there before ``suite`` can run. Raises `PrepareError`."""
    tree = tree_of(suite, work)
    venv = work / "venvs" / f"{suite.name}-{plugin_name(plugin)}"
    environment(suite, pytest, plugin, venv)
    return Prepared(suite, venv / "bin" / "pytest", tree / suite.cwd)
