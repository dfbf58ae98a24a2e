"""pytest-xdist, where it is loaded beside this plugin: which runs are left to it, and what is said of that.

Its options, hooks, fixtures and name stay as they are. What ``-n`` asks for is run here; what it can and this
plugin cannot, it does.
"""

from __future__ import annotations

import sys
from collections.abc import Generator

import pytest

from pytest_procpar.compat.xdist.options import tell_count
from pytest_procpar.config.parsing import is_remote
from pytest_procpar.config.settings import count_workers, wants_recheck
from pytest_procpar.role import Role, role_of

__all__ = ["EarlyCount", "check_name", "headline", "left_to_xdist", "needs_own_workers"]

#: The major versions whose options and plugin objects are known.
_KNOWN = ("3",)

#: Options of pytest-xdist that only it can do, by the name of their values.
_THEIRS = {"looponfail": "--looponfail", "px": "--px", "rsyncdir": "--rsyncdir", "ramp": "--ramp"}

#: Options of ours that need workers of ours.
_OURS = {
    "isolate": "--isolate",
    "max_tests_per_worker": "--max-tests-per-worker",
    "procpar_replay": "--replay",
    "leaks": "--leaks",
    "hang_timeout": "--hang-timeout",
    "start_method": "--start-method",
}

#: Plugins that have something prepared for their workers only if a plugin is called xdist, and fail there for
#: want of it; and the options without which they do not, if there are any.
_FRAIL: dict[str, tuple[str, ...]] = {
    "randomly": (),
    "random_order": (),
    "mypy": (),
    "pytest-retry": (),
    "pytest_mpl": ("--mpl", "--mpl-generate-path", "--mpl-generate-hash-library"),
}

_LEFT = pytest.StashKey["str | None"]()


def left_to_xdist(config: pytest.Config) -> str | None:
    """What a run needs that only pytest-xdist has, which is loaded; None if the run is ours.

    To be asked before anybody has changed the options.
    """
    if _LEFT not in config.stash:
        config.stash[_LEFT] = _why_left(config)
    return config.stash[_LEFT]


def _why_left(config: pytest.Config) -> str | None:
    option = config.option
    if _version().split(".")[0] not in _KNOWN:
        return "options and plugins of a version that is not known here"
    for name, flag in _THEIRS.items():
        if getattr(option, name, None):
            return flag
    looping = getattr(sys.modules.get("xdist.looponfail"), "WorkerFailSession", None)
    if looping is not None and any(isinstance(p, looping) for p in config.pluginmanager.get_plugins()):
        return "--looponfail"
    specs = option.tx if option.numprocesses is None else ()
    return next((f"--tx={spec}" for spec in specs if is_remote(spec)), None)


def _version() -> str:
    return str(getattr(sys.modules.get("xdist"), "__version__", ""))


def needs_own_workers(config: pytest.Config) -> str | None:
    """The option of ours that a run cannot have which is left to pytest-xdist; None if there is none."""
    for name, flag in _OURS.items():
        if getattr(config.option, name, None):
            return flag
    return "--recheck" if wants_recheck(config) else None


def headline(config: pytest.Config) -> str | None:
    """What the header says where pytest-xdist is loaded; None where nothing is distributed."""
    name = config.pluginmanager.get_name(sys.modules["pytest_procpar.plugin"])
    xdist = f"pytest-xdist {_version()}"
    if role_of(config) is Role.CONTROLLER:
        return f"procpar: runs the tests of -n in place of {xdist}; -p no:{name} gives them back"
    left = left_to_xdist(config)
    if left is None or config.option.dist == "no":
        return None
    return f"procpar: leaves this run to {xdist}, which alone has {left}"


def check_name(config: pytest.Config) -> None:
    """See that plugins which fail in workers unless something is called xdist are not there, or it is.

    :raises pytest.UsageError: naming the first one.
    """
    pluginmanager = config.pluginmanager
    if pluginmanager.hasplugin("xdist"):
        return
    why = "-p no:xdist" if pluginmanager.is_blocked("xdist") else "no plugin is called xdist"
    for name, options in _FRAIL.items():
        if pluginmanager.hasplugin(name) and (not options or any(map(config.getoption, options))):
            raise pytest.UsageError(
                f"{why}: the plugin {name} would fail in every worker, as it prepares them only if a plugin "
                f"is called xdist. Leave -p no:xdist out: -n is procpar's even so; or add -p no:{name}"
            )


class EarlyCount:
    """A plugin that finds out what ``-n auto`` means before pytest-xdist does, whoever was loaded first.

    It knows no quota of control groups.
    """

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> Generator[None, object, object]:
        """Put a number into the place of ``auto`` and ``logical``."""
        if role_of(config).is_main and left_to_xdist(config) is None:
            tell_count(config, count_workers(config))
        return (yield)
