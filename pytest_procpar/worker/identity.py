"""How a process becomes a worker in the eyes of pytest, plugins and conftests."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_procpar.compat.foreign_options import hides_output, set_basetemp_option
from pytest_procpar.compat.plugins.idle_summary import leave_out_idle_summary
from pytest_procpar.compat.plugins.reporters import mute_reporters
from pytest_procpar.compat.pytest_private.output import mute_reporter, redirect_stdio
from pytest_procpar.compat.xdist.options import tell_worker
from pytest_procpar.core.model import Dist, WorkerInput
from pytest_procpar.system.calls import change_directory, out_of_reach
from pytest_procpar.system.genuine import close

if TYPE_CHECKING:
    from pytest_procpar.core.protocol.server import Setup
    from pytest_procpar.start_method.hazards import Hazards

__all__ = ["Folder", "Output", "become_worker", "identify", "worker_environment", "workers_of"]


def worker_environment(workerinput: WorkerInput) -> dict[str, str]:
    """The environment variables that tell conftests which worker they are in."""
    return {
        "PYTEST_XDIST_WORKER": str(workerinput["workerid"]),
        "PYTEST_XDIST_WORKER_COUNT": str(workerinput["workercount"]),
        "PYTEST_XDIST_TESTRUNUID": str(workerinput["testrunuid"]),
    }


def workers_of(workerinput: WorkerInput) -> int:
    """How many workers the run has, as one of them is told."""
    count = workerinput["workercount"]
    return count if isinstance(count, int) else 1  # a plugin may have put anything there


def become_worker(
    config: pytest.Config,
    setup: Setup,
    workerinput: WorkerInput,
    dist: Dist,
    hazards: Hazards | None = None,
) -> None:
    """Take what the controller has prepared: environment, folders, identity. Call this before configure.

    A fresh interpreter was started with that environment and identity. Whatever its own conftests have
    changed since then stays.

    :param hazards: notes when something asks for the identity; None: nothing does.
    """
    if setup.recipe is None:
        _take_over(setup.environ)
        _tell_environment(config, workerinput)
    config.workerinput = (  # type: ignore[attr-defined]
        dict(workerinput) if hazards is None else hazards.wire.watched(workerinput, setup.inputs)
    )
    config.workeroutput = {}  # type: ignore[attr-defined]
    for plugin in config.invocation_params.plugins or ():
        if not isinstance(plugin, str):  # an object of the caller's, which acts in the controller
            config.pluginmanager.unregister(plugin)
    tell_worker(config, loadgroup=dist is Dist.LOADGROUP)
    if setup.basetemp is not None:
        set_basetemp_option(config, str(Path(setup.basetemp) / f"popen-{workerinput['workerid']}"))


def _take_over(environ: dict[str, str]) -> None:
    """Change the environment to what the controller's plugins have made of it since the fork."""
    before = dict(os.environ)
    for name in before.keys() - environ.keys():
        del os.environ[name]
    changed = {name: value for name, value in environ.items() if before.get(name) != value}
    os.environ.update(changed)
    if before.get("TZ") != environ.get("TZ"):
        time.tzset()  # a fresh interpreter reads it when it starts


def identify(config: pytest.Config, workerinput: WorkerInput) -> None:
    """Take a worker's identity at the fork: until then the fork server had the first worker's."""
    current: WorkerInput = config.workerinput  # type: ignore[attr-defined]
    current.clear()  # plugins keep references to it
    current.update(workerinput)
    _tell_environment(config, workerinput)


def _tell_environment(config: pytest.Config, workerinput: WorkerInput) -> None:
    """Put the identity into the environment, and into copies that were made before there was one."""
    from pytest_procpar.start_method.project.environment_copies import COPIES  # not for fresh processes

    identity = worker_environment(workerinput)
    os.environ.update(identity)
    if COPIES in config.stash:
        config.stash[COPIES].identify(identity)


class Folder:
    """The working directory in which a session begins, and whether its plugins change it.

    Whatever the controller's plugins do when they start, those of every worker do, too. If only the
    controller's plugins change the directory, the workers follow.
    """

    def __init__(self, config: pytest.Config, setup: Setup) -> None:
        self._controllers = setup.cwd
        # A fresh interpreter has already imported its conftests, which may have changed the directory.
        self._first = _current_folder() if setup.recipe is None else str(config.invocation_params.dir)

    def follow(self) -> None:
        """Change to the controller's directory, unless this process's own plugins have changed it."""
        if self._controllers != self._first and _current_folder() == self._first:
            change_directory(self._controllers)


def _current_folder() -> str:
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return ""


class Output:
    """The standard descriptors of a process that owns no terminal, from before configure to its first test.

    :param stdout: a descriptor of the run's standard output, which is taken over; None if it is still number
        1.
    """

    def __init__(self, config: pytest.Config, stdout: int | None = None) -> None:
        self._config = config
        self._stdout = stdout

    def hide(self) -> None:
        """Hide all output, and be no terminal to plugins that look for one at configure."""
        config = self._config
        if hides_output(config):
            if self._stdout is not None:
                close(self._stdout)
            self._stdout = None
        else:  # the user wants to see live what tests print
            self._stdout = out_of_reach(os.dup(1) if self._stdout is None else self._stdout)
        null = os.open(os.devnull, os.O_RDWR)
        redirect_stdio(config, null, (0, 1), out_of_reach)
        close(null)

    def show(self) -> None:
        """Show what tests print if nothing captures it; the terminal reporter stays mute."""
        mute_reporter(self._config, open(os.devnull, "w"))  # noqa: SIM115 (lives as long as the process)
        mute_reporters(self._config)
        leave_out_idle_summary(self._config)
        if self._stdout is not None:
            from pytest_procpar.forking.fork import flush_stdio  # a fresh probe has no output to show

            flush_stdio()
            redirect_stdio(self._config, self._stdout, (1,), out_of_reach)
