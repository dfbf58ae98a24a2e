"""Whether a worker's terminal reporter asks for the status of reports: only if somebody listens."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from pytest_procpar.compat.pytest_reports.statuses import Statuses, tell_no_statuses
from tests.compat.configs import made_config, made_report


class Listener:
    def __init__(self) -> None:
        self.heard: list[str] = []

    def pytest_report_teststatus(self, report: pytest.TestReport) -> None:
        self.heard.append(str(report.when))


def tell(config: Any) -> None:
    config.hook.pytest_runtest_logreport(report=made_report())


def stats(config: Any) -> dict[str, int]:
    reporter = config.pluginmanager.getplugin("terminalreporter")
    return {word: len(reports) for word, reports in reporter.stats.items()}


def test_without_a_listener_the_reporter_hears_of_nothing() -> None:
    config = made_config()
    assert not Statuses(config).told
    tell(config)
    assert stats(config) == {}


def test_a_listener_hears_of_every_report_which_the_reporter_counts_and_does_not_print() -> None:
    config, listener = made_config(), Listener()
    config.pluginmanager.register(listener)
    assert Statuses(config).told
    tell(config)
    assert (listener.heard, stats(config)) == (["call"], {"passed": 1})
    assert config.pluginmanager.getplugin("terminalreporter")._tw._file.getvalue() == ""


def test_a_listener_that_a_test_brings_along_hears_from_then_on() -> None:
    config, listener = made_config(), Listener()
    statuses = Statuses(config)
    config.pluginmanager.register(object())
    statuses.look()
    assert not statuses.told
    config.pluginmanager.register(listener)
    statuses.look()
    config.pluginmanager.register(Listener())
    statuses.look()
    tell(config)
    assert (statuses.told, listener.heard, stats(config)) == (True, ["call"], {"passed": 1})


def test_a_part_of_pytest_is_no_listener() -> None:
    config = made_config()
    statuses = Statuses(config)
    part: Any = ModuleType("_pytest.part")
    part.pytest_report_teststatus = lambda report: None
    config.pluginmanager.register(part)
    statuses.look()
    tell(config)
    assert (statuses.told, stats(config)) == (False, {})


def test_a_listener_in_the_place_of_a_part_of_pytest_is_noticed() -> None:
    config, listener = made_config(), Listener()
    part: Any = ModuleType("_pytest.part")
    part.pytest_report_teststatus = lambda report: None
    config.pluginmanager.register(part, "part")
    statuses = Statuses(config)
    config.pluginmanager.unregister(name="part")
    config.pluginmanager.register(listener, "part")
    statuses.look()
    tell(config)
    assert (statuses.told, listener.heard) == (True, ["call"])


def test_the_reporter_keeps_its_place_among_those_that_hear_of_reports() -> None:
    config = made_config()
    config.pluginmanager.register(Listener())
    before = [impl.plugin for impl in config.hook.pytest_runtest_logreport.get_hookimpls()]
    Statuses(config)
    assert [impl.plugin for impl in config.hook.pytest_runtest_logreport.get_hookimpls()] == before


def test_somebody_elses_reporter_is_left_alone() -> None:
    class Other:
        def __init__(self) -> None:
            self.heard = 0

        def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
            self.heard += 1

    config, other = made_config(), Other()
    config.pluginmanager.unregister(name="terminalreporter")
    config.pluginmanager.register(other, "terminalreporter")
    config.pluginmanager.register(Listener())
    statuses = Statuses(config)
    statuses.look()
    tell(config)
    assert (statuses.told, other.heard) == (False, 1)


def test_in_a_process_that_tells_no_statuses_the_reporter_hears_of_nothing() -> None:
    config, listener = made_config(), Listener()
    config.pluginmanager.register(listener)
    tell_no_statuses(config)
    tell_no_statuses(config)  # it may be gone already
    tell(config)
    assert (listener.heard, stats(config)) == ([], {})
