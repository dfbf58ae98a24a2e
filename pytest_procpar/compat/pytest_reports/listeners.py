"""Keeps plugins from hearing of tests in processes whose results are reported elsewhere, or not at all.

The plugins stay registered: tests use their fixtures, and some of their hooks change how a test runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import pytest
from pluggy import HookImpl

from pytest_procpar.compat.pytest_reports.quiet_hooks import module_of

__all__ = ["mute_plugins", "silence_plugins", "silence_tellers"]

#: The hooks through which pytest tells plugins about the running test.
_OF_TESTS = ("pytest_runtest_logstart", "pytest_runtest_logreport", "pytest_runtest_logfinish")
#: These, and all others through which a plugin can learn how tests end.
_OF_RUNS = (
    *_OF_TESTS, "pytest_report_teststatus", "pytest_exception_interact", "pytest_warning_recorded",
    "pytest_collectreport", "pytest_internalerror", "pytest_keyboard_interrupt", "pytest_terminal_summary",
)  # fmt: skip
#: The packages of plugins that report to the outside from other hooks, too.
_TELLERS = re.compile(
    r"(vscode_pytest|teamcity|ddtrace|pytest_reportportal|pytest_opentelemetry|buildkite_test_collector|"
    r"pytest_trunk\w*|pytest_mergify|pytest_testrail\w*|qase|testit_adapter_pytest|pytest_influxdb|"
    r"pytest_zebrunner|launchable)(\.|$)"
)

#: Those of them that report failures in the process where they happen.
_EDITORS = re.compile(r"vscode_pytest(\.|$)")


def mute_plugins(config: pytest.Config) -> None:
    """Let only pytest's own plugins hear of tests in this process: the others hear of them in another one.

    pytest calls `pytest_exception_interact` in the process where a failure happens. An editor's plugin uses
    that hook, too, to report how a test ended. So here it reports only what the report in the other process
    does not: an error of the setup.
    """
    _mute(config, _OF_TESTS)
    failures, protocol = config.hook.pytest_exception_interact, config.hook.pytest_runtest_protocol
    for impl in protocol.get_hookimpls():
        if _EDITORS.match(module_of(impl.plugin)):  # from there it reports skipped tests
            protocol._remove_plugin(impl.plugin)
    for at, impl in enumerate(failures._hookimpls):
        if _EDITORS.match(module_of(impl.plugin)) and not (impl.hookwrapper or impl.wrapper):
            told = HookImpl(impl.plugin, impl.plugin_name, _of_setups(impl), impl.opts)
            failures._hookimpls[at] = told


def _of_setups(impl: HookImpl) -> Callable[[object, object, pytest.TestReport], None]:
    def pytest_exception_interact(node: object, call: object, report: pytest.TestReport) -> None:
        if report.when == "setup":
            values = {"node": node, "call": call, "report": report}
            impl.function(*[values[name] for name in impl.argnames])

    return pytest_exception_interact


def silence_plugins(config: pytest.Config) -> None:
    """Keep plugins from learning or reporting what this process runs: it repeats tests already reported."""
    silence_tellers(config)
    _mute(config, _OF_RUNS)
    config.trace.root.setwriter(None)  # the file of --debug


def silence_tellers(config: pytest.Config) -> None:
    """Keep plugins from reporting to the outside what this process runs."""
    tellers = [plugin for plugin in config.pluginmanager.get_plugins() if _TELLERS.match(module_of(plugin))]
    for plugin in tellers:
        for caller in config.pluginmanager.get_hookcallers(plugin) or ():
            caller._remove_plugin(plugin)


def _mute(config: pytest.Config, hooks: Iterable[str]) -> None:
    for name in hooks:
        caller = getattr(config.hook, name)
        for impl in caller.get_hookimpls():
            if not module_of(impl.plugin).startswith(("_pytest.", "pytest_procpar.")):
                caller._remove_plugin(impl.plugin)
