"""pytest-xdist, where it is loaded beside this plugin: which runs are left to it, and what to say about that.

Its options, hooks, fixtures and name stay as they are. What ``-n`` asks for runs here; what only pytest-xdist
can do, it does.
"""

from __future__ import annotations

import sys
from collections.abc import Generator

import pytest

from pytest_procpar.compat.foreign_options import has_flag
from pytest_procpar.compat.xdist.options import only_xdist_can, tell_count, told_dist
from pytest_procpar.config.given import Given, read_given
from pytest_procpar.config.parsing import is_remote
from pytest_procpar.config.workers import count_workers
from pytest_procpar.role import Role, role_of

__all__ = ["EarlyCount", "check_name", "headline", "left_to_xdist", "needs_own_workers"]

#: The major versions whose options and plugin objects we know.
_KNOWN = ("3",)

#: Options of ours that need our own workers.
_OURS = {
    "isolate": "--isolate",
    "max_tests_per_worker": "--max-tests-per-worker",
    "procpar_replay": "--replay",
    "leaks": "--leaks",
    "hang_timeout": "--hang-timeout",
    "start_method": "--start-method",
}

#: Plugins that prepare something for their workers only if a plugin is called xdist, and that fail in workers
#: where that is missing; and the options without which they do not fail, if there are any.
_FRAIL: dict[str, tuple[str, ...]] = {
    "randomly": (),
    "random_order": (),
    "mypy": (),
    "pytest-retry": (),
    "pytest_mpl": ("--mpl", "--mpl-generate-path", "--mpl-generate-hash-library"),
}

_LEFT = pytest.StashKey["str | None"]()


def left_to_xdist(config: pytest.Config) -> str | None:
    """What a run needs that only the loaded pytest-xdist has; None if the run is ours.

    Ask this before anybody has changed the options.
    """
    if _LEFT not in config.stash:
        config.stash[_LEFT] = _why_left(config)
    return config.stash[_LEFT]


def _why_left(config: pytest.Config) -> str | None:
    if _version().split(".")[0] not in _KNOWN:
        return "options and plugins of a version that is not known here"
    theirs = only_xdist_can(config)
    if theirs is not None:
        return theirs
    looping = getattr(sys.modules.get("xdist.looponfail"), "WorkerFailSession", None)
    if looping is not None and any(isinstance(p, looping) for p in config.pluginmanager.get_plugins()):
        return "--looponfail"
    asked = read_given(config)
    specs = asked.tx if asked.numprocesses is None else ()
    return next((f"--tx={spec}" for spec in specs if is_remote(spec)), None)


def _version() -> str:
    return str(getattr(sys.modules.get("xdist"), "__version__", ""))


def needs_own_workers(asked: Given) -> str | None:
    """The option of ours that a run left to pytest-xdist cannot have; None if there is none."""
    for name, flag in _OURS.items():
        if getattr(asked, name):
            return flag
    return "--recheck" if asked.wants_recheck else None


def headline(config: pytest.Config) -> str | None:
    """What the header says where pytest-xdist is loaded; None if nothing is distributed."""
    name = config.pluginmanager.get_name(sys.modules["pytest_procpar.plugin"])
    xdist = f"pytest-xdist {_version()}"
    if role_of(config) is Role.CONTROLLER:
        return f"procpar: runs the tests of -n in place of {xdist}; -p no:{name} gives them back"
    left = left_to_xdist(config)
    if left is None or told_dist(config) == "no":
        return None
    return f"procpar: leaves this run to {xdist}, which alone has {left}"


def check_name(config: pytest.Config) -> None:
    """Refuse plugins that would fail in workers because no plugin is called xdist.

    :raises pytest.UsageError: naming the first one.
    """
    pluginmanager = config.pluginmanager
    if pluginmanager.hasplugin("xdist"):
        return
    why = "-p no:xdist" if pluginmanager.is_blocked("xdist") else "no plugin is called xdist"
    for name, options in _FRAIL.items():
        if pluginmanager.hasplugin(name) and (not options or any(has_flag(config, flag) for flag in options)):
            raise pytest.UsageError(
                f"{why}: the plugin {name} would fail in every worker, as it prepares them only if a plugin "
                f"is called xdist. Leave -p no:xdist out: -n is procpar's even so; or add -p no:{name}"
            )


class EarlyCount:
    """A plugin that works out what ``-n auto`` means before pytest-xdist does, in whatever order they load.

    pytest-xdist does not know the quotas of control groups.
    """

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> Generator[None, object, object]:
        """Replace ``auto`` and ``logical`` by a number."""
        if role_of(config).is_main and left_to_xdist(config) is None:
            tell_count(config, count_workers(config, read_given(config)))
        return (yield)
