"""One virtual environment a contender, made once and kept in the work folder.

Knows pip and venv; knows nothing of suites or measurements.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.contenders import Contender

# What could make a contender behave otherwise than in its own clean environment.
_FOREIGN = ("PYTEST", "PYTHON", "COV", "COVERAGE", "VIRTUAL_ENV", "PROCPAR", "TOX")


class InstallError(RuntimeError):
    """A contender could not be installed; the text is for the table."""


@dataclass(frozen=True)
class Environment:
    """An environment that is ready to run.

    Attributes:
        python: Its interpreter.
        pytest: Version of pytest in it.
        version: Version of the contender's package; pytest's for plain pytest.
    """

    python: str
    pytest: str
    version: str


def clean_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """``environ`` without what steers Python, pytest or their plugins, and with a fixed hash seed."""
    kept = {name: value for name, value in environ.items() if not name.startswith(_FOREIGN)}
    return {**kept, "PYTHONHASHSEED": "0"}


def _run(command: list[str], log: Path) -> str:
    """Standard output of ``command``; what it says on either stream is appended to ``log``."""
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env=clean_environ(os.environ),
    )
    with log.open("a", encoding="utf-8") as file:
        file.write(f"$ {' '.join(command)}\n{done.stdout}{done.stderr}")
    if done.returncode:
        raise InstallError(last_error(done.stderr) or f"exit status {done.returncode}")
    return done.stdout


def last_error(output: str) -> str:
    """The line in pip's output that says most: an exception of a build, else pip's own error."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    raised = [line for line in lines if re.match(r"[\w.]*(Error|Exception): ", line)]
    marked = [line for line in lines if line.startswith(("ERROR:", "error:"))]
    return (raised or marked or lines or [""])[-1]


class Environments:
    """Makes the environments of one run under ``work``; the same ``work`` finds them made."""

    def __init__(self, work: Path, checkout: Path) -> None:
        version = "{}.{}.{}".format(*sys.version_info)
        self._envs = work / "envs" / version
        self._wheels = work / "wheels"
        self._checkout = checkout
        self._log = work / "logs" / "install.txt"
        self._pytest = ""  # the version in the first environment made, wanted in all
        for folder in (self._envs, self._wheels, self._log.parent):
            folder.mkdir(parents=True, exist_ok=True)

    def prepare(self, contender: Contender) -> Environment:
        """The contender's environment, with the pytest of the first one if it allows that.

        Raises:
            InstallError: pip or venv failed; everything they said is in the install log.
        """
        folder = self._envs / contender.name
        ready = self._cached(folder)
        if ready is None or (self._pytest and ready.pytest != self._pytest):
            ready = self._make(contender, folder)
        elif contender.from_checkout:  # the checkout may have changed since
            self._pip(folder, "--force-reinstall", "--no-deps", self._requirement(contender))
            ready = self._finish(contender, folder)
        self._pytest = self._pytest or ready.pytest
        return ready

    def _cached(self, folder: Path) -> Environment | None:
        marker = folder / "ready.json"
        if not marker.exists():
            return None
        return Environment(**json.loads(marker.read_text(encoding="utf-8")))

    def _make(self, contender: Contender, folder: Path) -> Environment:
        _run([sys.executable, "-m", "venv", "--clear", str(folder)], self._log)
        wanted = [self._requirement(contender), *contender.needs] if contender.package else []
        try:
            self._pip(folder, "pytest" + (f"=={self._pytest}" if self._pytest else ""), *wanted)
        except InstallError:
            if not (wanted and self._pytest):
                raise
            self._pip(folder, *wanted)  # it wants another pytest: the table shows which
        return self._finish(contender, folder)

    def _requirement(self, contender: Contender) -> str:
        """What pip is to install: a name, or the wheel just built from the checkout."""
        if not contender.from_checkout:
            return contender.package
        for old in self._wheels.glob("*.whl"):
            old.unlink()
        target = ["--wheel-dir", str(self._wheels), str(self._checkout)]
        _run([sys.executable, "-m", "pip", "wheel", "--no-deps", *target], self._log)
        return str(next(self._wheels.glob("*.whl")))

    def _pip(self, folder: Path, *arguments: str) -> None:
        options = ["install", "--disable-pip-version-check", "--quiet"]
        _run([_python(folder), "-m", "pip", *options, *arguments], self._log)

    def _finish(self, contender: Contender, folder: Path) -> Environment:
        names = ("pytest", contender.package or "pytest")
        code = f"from importlib.metadata import version as v; print(*map(v, {names!r}))"
        ours, theirs = _run([_python(folder), "-c", code], self._log).split()
        ready = Environment(_python(folder), ours, theirs)
        (folder / "ready.json").write_text(json.dumps(asdict(ready)), encoding="utf-8")
        return ready


def _python(folder: Path) -> str:
    return str(folder / "bin" / "python")
