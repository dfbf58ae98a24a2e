"""Which hook calls are left out because nobody listens, and that a new listener gets them from then on."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from pytest_procpar.compat.pytest_reports.quiet_hooks import QuietPhases
from tests.compat.configs import made_config

HOOKS = {
    "pytest_runtest_logreport": "reports",
    "pytest_report_teststatus": "reports",
    "pytest_runtest_logstart": "starts",
    "pytest_runtest_logfinish": "ends",
}


def plugin_with(hook: str, name: str) -> Any:
    plugin: Any = ModuleType(name)
    setattr(plugin, hook, lambda: None)
    return plugin


def quiet_ones(quiet: QuietPhases) -> set[str]:
    quiet.look()
    return {name for name in ("reports", "starts", "ends") if getattr(quiet, name)}


def bench() -> tuple[Any, QuietPhases]:
    config = made_config()
    config.pluginmanager.getplugin("terminalreporter").showfspath = False
    return config, QuietPhases(config)


def test_without_listeners_all_are_left_out() -> None:
    assert quiet_ones(bench()[1]) == {"reports", "starts", "ends"}


@pytest.mark.parametrize("hook", HOOKS)
def test_who_comes_and_goes_has_its_calls_meanwhile(hook: str) -> None:
    config, quiet = bench()
    before = quiet_ones(quiet)
    config.pluginmanager.register(plugin_with(hook, "listener"), "listener")
    assert quiet_ones(quiet) == before - {HOOKS[hook]}
    config.pluginmanager.unregister(name="listener")
    assert quiet_ones(quiet) == before


def test_a_listener_in_the_place_of_a_part_of_pytest_is_noticed() -> None:
    config, quiet = bench()
    config.pluginmanager.register(plugin_with("pytest_report_teststatus", "_pytest.part"), "part")
    assert "reports" in quiet_ones(quiet)
    config.pluginmanager.unregister(name="part")
    config.pluginmanager.register(plugin_with("pytest_report_teststatus", "listener"), "part")
    assert "reports" not in quiet_ones(quiet)


@pytest.mark.parametrize("hook", ["pytest_runtest_logreport", "pytest_runtest_logstart"])
def test_a_listener_in_the_place_of_the_reporter_is_noticed(hook: str) -> None:
    config, quiet = bench()
    assert HOOKS[hook] in quiet_ones(quiet)
    caller = getattr(config.hook, hook)
    caller._remove_plugin(config.pluginmanager.getplugin("terminalreporter"))
    config.pluginmanager.register(plugin_with(hook, "listener"))
    assert HOOKS[hook] not in quiet_ones(quiet)
