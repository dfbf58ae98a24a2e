"""How a process becomes a worker in the eyes of pytest, plugins and conftests."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from pytest_procpar.compat.output import mute_reporter, redirect_stdio
from pytest_procpar.core.messages import Setup
from pytest_procpar.core.model import Dist
from pytest_procpar.process.fork import flush_stdio
from pytest_procpar.process.hazards import Hazards
from pytest_procpar.process.system import out_of_reach
from pytest_procpar.process.tripwire import WatchedInput

__all__ = ["Output", "become_worker", "identify", "worker_environment"]

#: Options that must not make a worker act as a controller (as under pytest-xdist).
_WORKER_OPTIONS: dict[str, Any] = {
    "looponfail": False,
    "usepdb": False,
    "dist": "no",
    "distload": False,
    "numprocesses": None,
    "maxprocesses": None,
    "tx": [],
}


def worker_environment(workerinput: dict[str, Any]) -> dict[str, str]:
    """The environment variables from which conftests learn which worker they are in."""
    return {
        "PYTEST_XDIST_WORKER": workerinput["workerid"],
        "PYTEST_XDIST_WORKER_COUNT": str(workerinput["workercount"]),
        "PYTEST_XDIST_TESTRUNUID": workerinput["testrunuid"],
    }


def become_worker(
    config: pytest.Config,
    setup: Setup,
    workerinput: dict[str, Any],
    dist: Dist,
    hazards: Hazards | None = None,
) -> None:
    """Take what the controller has prepared: environment, folders, identity. To be called before configure.

    :param hazards: who is to know of it if somebody asks for the identity; None: nobody.
    """
    config.workerinput = (  # type: ignore[attr-defined]
        dict(workerinput) if hazards is None else WatchedInput(workerinput, hazards.wire.read)
    )
    config.workeroutput = {}  # type: ignore[attr-defined]
    os.environ.clear()
    os.environ.update(setup.environ)
    os.chdir(setup.cwd)
    for plugin in config.invocation_params.plugins or ():
        if not isinstance(plugin, str):  # an object of the caller's, which acts in the controller
            config.pluginmanager.unregister(plugin)
    for name, value in _WORKER_OPTIONS.items():
        setattr(config.option, name, value)
    config.option.loadgroup = dist is Dist.LOADGROUP
    identify(config, workerinput)
    if setup.basetemp is not None:
        config.option.basetemp = str(Path(setup.basetemp) / f"popen-{workerinput['workerid']}")


def identify(config: pytest.Config, workerinput: dict[str, Any]) -> None:
    """Take an identity: the fork server holds the first worker's until the fork."""
    current: dict[str, Any] = config.workerinput  # type: ignore[attr-defined]
    current.clear()  # plugins keep references to it
    current.update(workerinput)
    os.environ.update(worker_environment(workerinput))


class Output:
    """The standard descriptors of a process that owns no terminal, from before configure to its first test.

    :param stdout: a descriptor of the run's standard output, which is taken; None if it is still number 1.
    """

    def __init__(self, config: pytest.Config, stdout: int | None = None) -> None:
        self._config = config
        self._stdout = stdout

    def hide(self) -> None:
        """Let nothing be printed, and be no terminal to plugins that look for one at configure."""
        config = self._config
        if config.option.capture != "no":
            if self._stdout is not None:
                os.close(self._stdout)
            self._stdout = None
        else:  # what tests print is wanted live
            self._stdout = out_of_reach(os.dup(1) if self._stdout is None else self._stdout)
        null = os.open(os.devnull, os.O_RDWR)
        redirect_stdio(config, null, (0, 1))
        os.close(null)

    def show(self) -> None:
        """Let what tests print be seen if nothing captures it; the terminal reporter stays mute."""
        mute_reporter(self._config, open(os.devnull, "w"))  # noqa: SIM115 (lives as long as the process)
        if self._stdout is not None:
            flush_stdio()
            redirect_stdio(self._config, self._stdout, (1,))
