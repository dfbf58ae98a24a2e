"""The pytest plugin: options, hooks and fixtures, and the moment at which a parallel run is started.

Every pytest run imports this wherever the package is installed, so it imports next to nothing.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Generator
from types import ModuleType

import pytest

import pytest_procpar

__all__: list[str] = []


pytest_procpar.import_as_they_are()  # again: pytest's own finder may have come since


def _xdist_is_loaded(pluginmanager: pytest.PytestPluginManager) -> bool:
    """Whether pytest-xdist's own plugin is loaded, under whatever name."""
    module = sys.modules.get("xdist.plugin")
    return module is not None and pluginmanager.is_registered(module)


def _register_shim(pluginmanager: pytest.PytestPluginManager) -> None:
    """Stand in for pytest-xdist: its hooks, its fixtures, and its name unless that is blocked."""
    from pytest_procpar.compat.xdist import hookspecs as xdist_hooks
    from pytest_procpar.compat.xdist import shim

    pluginmanager.add_hookspecs(xdist_hooks)
    if pluginmanager.register(shim, "xdist") is None:
        pluginmanager.register(shim, "procpar-xdist-shim")
    # A conftest may ask for the plugin by this name, which would define the options a second time.
    pluginmanager.register(ModuleType("xdist.plugin"), "xdist.plugin")


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Add the options, except those that pytest-xdist adds if it is installed.

    Whether it is loaded is known only once all plugins are.
    """
    from pytest_procpar.config.options import add_own_options, add_shared_options

    add_own_options(parser)
    if importlib.util.find_spec("xdist") is None:
        add_shared_options(parser)
        _register_shim(pluginmanager)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config, parser: pytest.Parser, args: list[str]
) -> Generator[None]:
    """Add the options late if pytest-xdist is installed but not loaded (``-p no:xdist``, no autoload).

    A process that runs tests again becomes inert here: nobody has read the options yet.
    """
    from pytest_procpar.compat.xdist.options import defines_workers, tell_early_worker

    if not defines_workers(early_config):
        from pytest_procpar.compat.foreign_options import parse_again
        from pytest_procpar.config.options import add_shared_options

        add_shared_options(parser)
        _register_shim(early_config.pluginmanager)
        parse_again(early_config, parser, args)
    if "PROCPAR_RERUN" in os.environ:
        from pytest_procpar.fresh.rerun import become_inert

        become_inert(early_config, parser, args)
    if _xdist_is_loaded(early_config.pluginmanager):
        from pytest_procpar.config.xdist_present import EarlyCount

        early_config.pluginmanager.register(EarlyCount(), "procpar-early-count")
    from pytest_procpar.config.given import read_early

    early = read_early(early_config)
    if early.procpar_advise:
        from pytest_procpar.advice.plugin import note_beginning

        note_beginning(early_config)
    if early.isolating_option is not None and not early.numprocesses:
        tell_early_worker(early_config)
    elif not early.numprocesses and not early.tx:
        return (yield)
    if hasattr(os, "fork"):
        from pytest_procpar.forking import file_positions

        file_positions.begin()
    from pytest_procpar.compat.foreign_options import copied_options
    from pytest_procpar.config.options import explain_unknown
    from pytest_procpar.config.settings import INTERPRETER, start_method
    from pytest_procpar.forking.random_state import note_unseeded

    early_config.stash[INTERPRETER] = list(sys.argv), list(sys.path)
    note_unseeded()

    if start_method(early_config) is not None:
        result = yield
    else:
        from pytest_procpar.start_method.hazards import watch

        with watch(early_config):
            result = yield
    explain_unknown(parser, args, copied_options(early_config))
    return result


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Define our hooks."""
    import pytest_procpar.hookspecs as hookspecs

    pluginmanager.add_hookspecs(hookspecs)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Start a parallel run if one is asked for; pytest then goes on in the controller."""
    from pytest_procpar.config.given import given
    from pytest_procpar.role import role_of

    asked = given(config)
    if asked.tries_suite:
        from pytest_procpar.switching.try_run import try_suite

        return try_suite(config, asked)
    if asked.procpar_history_tool is not None and not asked.records_history:
        from pytest_procpar.history.tool import use_history

        return use_history(config, asked.procpar_history_tool)
    if asked.procpar_report is not None:
        from pytest_procpar.json_report.plugin import check_path

        check_path(asked.procpar_report)
    if asked.recheck_suggest is not None:
        from pytest_procpar.json_report.plugin import check_path

        check_path(asked.recheck_suggest, "--recheck-suggest")
    if asked.procpar_replay is not None:
        from pytest_procpar.replay.file import read_replay
        from pytest_procpar.replay.reorder import install as install_replay

        install_replay(config, read_replay(asked.procpar_replay), asked.numprocesses, asked.maxprocesses)
    if not role_of(config).is_main:  # a worker of pytest-xdist's, or a fresh probe
        return None
    if _xdist_is_loaded(config.pluginmanager):
        from pytest_procpar.config.xdist_present import left_to_xdist, needs_own_workers

        left, wanted = left_to_xdist(config), needs_own_workers(asked)
        if left is not None and wanted is not None:
            raise pytest.UsageError(f"{wanted}: this run is left to pytest-xdist, which alone has {left}")
        if left is not None:
            return None
    if not asked.names_workers:
        return None
    from pytest_procpar.config.settings import read_settings
    from pytest_procpar.config.workers import read_distribution

    distribution = read_distribution(config, asked)
    if distribution.differs_from(asked):
        from pytest_procpar.compat.xdist.options import tell_distribution

        tell_distribution(config, distribution.workers, distribution.dist)
    settings = read_settings(config, asked, distribution)
    if settings is not None:
        from pytest_procpar.config.xdist_present import check_name

        check_name(config)
        from pytest_procpar.controller.session import start

        start(config, settings)
    return None


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Declare the marks, in any run, and start what was asked for in addition to running tests."""
    from pytest_procpar.compat.pytest_private.cache import has_entry
    from pytest_procpar.config.choices import has_pytest_forked
    from pytest_procpar.config.given import given
    from pytest_procpar.role import Role, role_of

    if not _xdist_is_loaded(config.pluginmanager):
        config.addinivalue_line(
            "markers",
            "xdist_group(name): tests with the same name run in the same worker under --dist=loadgroup "
            "and --dist=stable.",
        )
    config.addinivalue_line(
        "markers",
        "hang_timeout(seconds): how long a test may run with -n, whatever --hang-timeout says; 0: no limit.",
    )
    config.addinivalue_line(
        "markers", "isolated: the test, or each test of the class or module, runs in a process of its own."
    )
    if not has_pytest_forked():
        config.addinivalue_line("markers", "forked: the same as isolated.")
    role, asked = role_of(config), given(config)
    if role is not Role.PLAIN:
        from pytest_procpar.compat.plugins.bdd import install as install_carriers

        install_carriers(config)
        from pytest_procpar.compat.plugins.after_fork import introduce

        introduce(config)
    if asked.procpar_report is not None and role.is_main:
        from pytest_procpar.json_report.plugin import install as install_report

        install_report(config, asked.procpar_report)
    if asked.procpar_advise and role.is_main:
        from pytest_procpar.advice.plugin import install as install_advice

        install_advice(config)
    if asked.recheck_suggest is not None and role.is_main:
        from pytest_procpar.report.patch_file import install as install_patch_file

        install_patch_file(config, asked.recheck_suggest)
    if role.is_main and has_entry(config, "procpar/findings"):
        from pytest_procpar.report.findings_cache import recall

        recall(config)
    if role is Role.CONTROLLER or (asked.records_history and role.is_main):
        from pytest_procpar.history.keeper import install as keep_history

        keep_history(config, asked=asked.records_history)
    if asked.failure_output == "immediate" and role.is_main:
        from pytest_procpar.compat.pytest_reports.early_failures import ShowAtOnce

        config.pluginmanager.register(ShowAtOnce(config), "procpar-failures-at-once")
    if asked.leaks is not None:
        from pytest_procpar.leaks.summary import LeakSummary

        if role.is_main:
            config.pluginmanager.register(LeakSummary(), "procpar-leak-summary")
        if role is Role.PLAIN:
            from pytest_procpar.leaks.check import install as install_leaks

            install_leaks(config)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """In a run without workers: give marked tests a process of their own."""
    from pytest_procpar.compat.foreign_options import collects_only, debugger
    from pytest_procpar.role import Role, role_of

    config = session.config
    # If a run is left to pytest-xdist, only its own plugin, named dsession, shows that there are workers.
    is_plain = role_of(config) is Role.PLAIN and not config.pluginmanager.hasplugin("dsession")
    if not hasattr(os, "fork") or debugger(config) is not None or collects_only(config):
        return
    from pytest_procpar.worker.marks import ISOLATES, marked_tests

    if is_plain or config.stash.get(ISOLATES, False):
        from pytest_procpar.config.choices import isolating_marks

        marked = frozenset(marked_tests(session.items, isolating_marks()))
        if marked:
            from pytest_procpar.controller.plain_isolation import install as install_marked

            install_marked(session, marked)


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say who runs the tests if that may be in doubt, and which options have no effect in this run."""
    from pytest_procpar.compat.xdist.options import told_count
    from pytest_procpar.config.given import given

    lines = []
    asked, count = given(config), told_count(config)
    if count == 0 and asked.wants_recheck:
        lines.append("procpar: nothing is re-checked with -n 0")
    if asked.hang_timeout and not count:
        lines.append("procpar: --hang-timeout does nothing without workers: nobody watches. Give -n 1")
    if count:
        from pytest_procpar.compat.pytest_private.newest import untried_note

        note = untried_note(pytest.version_tuple)
        lines += [note] if note is not None else []
    if _xdist_is_loaded(config.pluginmanager):
        from pytest_procpar.config.xdist_present import headline

        line = headline(config)
        lines += [line] if line is not None else []
    return lines


@pytest.hookimpl(tryfirst=True)
def pytest_procpar_worker_forked(config: pytest.Config) -> None:
    """Renew what plugins must not share, before others ask them; look for leaks if that was asked for."""
    from pytest_procpar.compat.plugins.after_fork import adapt
    from pytest_procpar.config.given import given

    adapt(config)
    if given(config).leaks is not None:
        from pytest_procpar.leaks.check import install

        install(config)


@pytest.hookimpl(trylast=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """How many processors this process may use, given its affinity and its cgroup quota."""
    from pytest_procpar.config.workers import machine_count

    return machine_count(config)
