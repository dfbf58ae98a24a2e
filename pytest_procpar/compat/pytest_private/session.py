"""What we need from pytest's session that it does not offer in public, each in a function that says why.

Written against pytest 8.2 to 9.2. Of our packages, only `compat` imports `_pytest`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
from _pytest.config import ConftestImportFailure, _prepareconfig
from _pytest.config.argparsing import OptionGroup

__all__ = [
    "ConftestImportFailure", "add_short_option", "config_from_command_line", "configure",
    "postpone_fixture_manager", "raise_interrupt", "run_main", "session_from_config", "set_arguments",
    "set_basetemp", "set_ini", "shared_basetemp", "tear_down_all", "unconfigure", "unusable_basetemp",
]  # fmt: skip


# --- starting and ending a session -----------------------------------------------------------------


def add_short_option(group: OptionGroup, *names: str, **attributes: object) -> None:
    """Add an option with a lowercase short name, which `addoption` reserves for pytest."""
    group._addoption(*names, **attributes)


def config_from_command_line(args: list[str]) -> pytest.Config:
    """Make a config from a command line as pytest's `main` does: plugins and initial conftests are loaded."""
    return _prepareconfig(args)


def run_main(config: pytest.Config, run: Callable[[], None], own: object, *, forked: bool) -> None:
    """Call the plugins' `pytest_cmdline_main` in a worker, and `run` in the place where pytest would run.

    :param own: our plugin.
    :param forked: whether this process was forked during our `pytest_cmdline_main`. The calls that come
        before ours have been made then.
    """
    caller = config.hook.pytest_cmdline_main
    main = config.pluginmanager.getplugin("main")
    calls = [impl for impl in reversed(caller.get_hookimpls()) if not (impl.wrapper or impl.hookwrapper)]
    plugins = [impl.plugin for impl in calls]
    last = plugins.index(main)
    if forked:
        first = plugins.index(own) + 1 if own in plugins else 0
        for impl in calls[first:last]:
            impl.function(*[config for _ in impl.argnames])
        run()
        return
    for plugin in [own, *plugins[last:]]:
        if plugin in plugins:
            caller._remove_plugin(plugin)

    class Run:
        @pytest.hookimpl(trylast=True)
        def pytest_cmdline_main(self) -> int:
            run()
            return 0

    config.pluginmanager.register(Run(), "procpar-main")
    caller(config=config)


def session_from_config(config: pytest.Config) -> pytest.Session:
    """Make a session. pytest's own `wrap_session` would also finish it, in the fork server."""
    session: pytest.Session = pytest.Session.from_config(config)
    session.exitstatus = pytest.ExitCode.OK
    return session


def postpone_fixture_manager(config: pytest.Config) -> Callable[[pytest.Session], None]:
    """Keep pytest from looking for fixtures in every plugin at session start; return what does that later.

    It takes 8 ms, and nothing in the controller waits for it. Call this before `pytest_configure` is over.
    """
    fixtures = config.pluginmanager.getplugin("fixtures")
    caller = config.hook.pytest_sessionstart
    if fixtures is None or all(impl.plugin is not fixtures for impl in caller.get_hookimpls()):
        return lambda session: None
    caller._remove_plugin(fixtures)
    start: Callable[[pytest.Session], None] = fixtures.pytest_sessionstart
    return start


def set_arguments(config: pytest.Config, args: list[str], words: tuple[str, ...]) -> None:
    """Replace the arguments of the command line, before conftests are loaded and all is parsed for good.

    :param args: those of the command line, and before them what the environment and the ini file add.
    """
    given = config.invocation_params
    args[len(args) - len(given.args) :] = words
    config.invocation_params = config.InvocationParams(args=words, plugins=given.plugins, dir=given.dir)
    sys.argv[1:] = words


def set_ini(config: pytest.Config, name: str, value: object) -> None:
    """Set an ini option, even one that no plugin has defined: ``-o`` may be refused for such an option."""
    config._inicache[name] = value


def configure(config: pytest.Config) -> None:
    """Call `pytest_configure` of every plugin."""
    config._do_configure()


def unconfigure(config: pytest.Config) -> None:
    """Call `pytest_unconfigure` of every plugin, and the config's cleanups, once."""
    config._ensure_unconfigure()


def tear_down_all(session: pytest.Session) -> None:
    """Tear down all that is set up, as pytest does when an exception ends the session."""
    session._setupstate.teardown_exact(None)


def raise_interrupt(place: tuple[str, int] | None) -> NoReturn:
    """Raise a KeyboardInterrupt that seems to come from `place`: a file, and a line counted from 1.

    pytest prints where an interrupt came from. This one came from a test, in another process.
    """
    if place is not None:
        filename, line = place
        exec(compile("\n" * (line - 1) + "raise KeyboardInterrupt", filename, "exec"))
    raise KeyboardInterrupt


# --- temporary directories -------------------------------------------------------------------------


def set_basetemp(config: pytest.Config, basetemp: Path) -> None:
    """Put this process's ``tmp_path`` directories under `basetemp`, unless they are there already."""
    factory = getattr(config, "_tmp_path_factory", None)
    if factory is None or factory._given_basetemp == basetemp:
        return
    factory._given_basetemp = basetemp
    factory._basetemp = None


def shared_basetemp(config: pytest.Config) -> str | None:
    """The controller's base temporary directory, made if necessary; workers have theirs inside it.

    If it cannot be made, the tests that ask for such a directory fail, as under plain pytest.
    """
    factory = getattr(config, "_tmp_path_factory", None)
    if factory is None:
        return None
    try:
        return str(factory.getbasetemp())
    except OSError:
        return None if factory._given_basetemp is None else str(factory._given_basetemp)


def unusable_basetemp(config: pytest.Config) -> str | None:
    """The base temporary directory if it cannot be made, "" for the default one; None if it can be made."""
    factory = getattr(config, "_tmp_path_factory", None)
    if factory is None:
        return None
    try:
        factory.getbasetemp()
    except OSError:
        return str(factory._given_basetemp or "")
    return None
