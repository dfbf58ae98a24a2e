"""Which plugins hear of tests in a process whose results are reported elsewhere."""

from __future__ import annotations

import types
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_procpar.compat.pytest_reports.listeners import mute_plugins, silence_plugins, silence_tellers
from tests.compat.configs import made_config, made_report

HOOKS = (
    "pytest_runtest_logreport", "pytest_exception_interact", "pytest_runtest_protocol",
    "pytest_terminal_summary", "pytest_runtest_setup",
)  # fmt: skip


class Bench:
    """A config with plugins of these modules; ``heard`` is what they were told, by the module's name."""

    def __init__(self, *modules: str) -> None:
        self.config = made_config()
        self.heard: dict[str, list[str]] = {name: [] for name in modules}
        for name in modules:
            self.config.pluginmanager.register(self._plugin(name))

    def _plugin(self, name: str) -> types.ModuleType:
        plugin: Any = types.ModuleType(name)
        heard = self.heard[name]

        def pytest_runtest_logreport(report: object) -> None:
            heard.append("logreport")

        def pytest_exception_interact(report: Any) -> None:
            heard.append(f"interact {report.when}")

        def pytest_runtest_protocol(item: object) -> None:
            heard.append("protocol")

        def pytest_report_teststatus(report: object) -> None:
            heard.append("status")

        def pytest_runtest_setup(item: object) -> None:
            heard.append("setup")

        def pytest_sessionfinish(session: object) -> None:
            heard.append("sessionfinish")

        vars(plugin).update(
            (function.__name__, function)
            for function in (
                pytest_runtest_logreport, pytest_exception_interact, pytest_runtest_protocol,
                pytest_report_teststatus, pytest_runtest_setup, pytest_sessionfinish,
            )
        )  # fmt: skip
        return plugin  # type: ignore[no-any-return]

    def tell(self) -> None:
        """Call what the plugins implement, of each hook theirs only."""
        report, node = made_report(outcome="failed", longrepr="x"), SimpleNamespace()
        calls: dict[str, dict[str, Any]] = {
            "pytest_runtest_logreport": {"report": report},
            "pytest_exception_interact": {"node": node, "call": None, "report": report},
            "pytest_runtest_protocol": {"item": node, "nextitem": None},
            "pytest_report_teststatus": {"report": report, "config": self.config},
            "pytest_runtest_setup": {"item": node},
            "pytest_sessionfinish": {"session": node, "exitstatus": 0},
        }
        for name, values in calls.items():
            for impl in getattr(self.config.hook, name).get_hookimpls():
                if not impl.plugin_name.startswith(("_pytest", "terminal")) and impl.plugin in self.plugins():
                    impl.function(*[values[each] for each in impl.argnames])

    def plugins(self) -> list[Any]:
        return [
            p for p in self.config.pluginmanager.get_plugins() if getattr(p, "__name__", "") in self.heard
        ]


def test_a_muted_plugin_hears_of_no_report_and_still_changes_how_tests_run() -> None:
    bench = Bench("mine")
    mute_plugins(bench.config)
    bench.tell()
    assert sorted(bench.heard["mine"]) == [
        "interact call", "protocol", "sessionfinish", "setup", "status",
    ]  # fmt: skip
    assert len(bench.plugins()) == 1  # it stays registered


def test_an_editors_plugin_tells_of_errors_in_the_setup_only_where_the_test_runs() -> None:
    bench = Bench("vscode_pytest")
    mute_plugins(bench.config)
    bench.tell()
    assert "protocol" not in bench.heard["vscode_pytest"]
    assert "interact call" not in bench.heard["vscode_pytest"]
    report = made_report(when="setup", outcome="failed", longrepr="x")
    (told,) = [
        impl
        for impl in bench.config.hook.pytest_exception_interact.get_hookimpls()
        if impl.plugin in bench.plugins()
    ]
    told.function(*[{"node": None, "call": None, "report": report}[name] for name in told.argnames])
    assert bench.heard["vscode_pytest"][-1] == "interact setup"


def test_pytests_own_plugins_hear_of_everything_in_every_process() -> None:
    config = made_config()
    before = {name: len(getattr(config.hook, name).get_hookimpls()) for name in HOOKS}
    mute_plugins(config)
    silence_plugins(config)
    assert {name: len(getattr(config.hook, name).get_hookimpls()) for name in HOOKS} == before


def test_a_silenced_plugin_learns_nothing_of_how_tests_end() -> None:
    bench = Bench("mine")
    silence_plugins(bench.config)
    bench.tell()
    assert sorted(bench.heard["mine"]) == ["protocol", "sessionfinish", "setup"]


def test_a_silenced_process_has_no_plugin_that_reports_to_the_outside() -> None:
    bench = Bench("qase")
    silence_plugins(bench.config)
    bench.tell()
    assert bench.heard["qase"] == []


@pytest.mark.parametrize("teller", ["ddtrace.contrib.pytest", "pytest_trunk_io", "qase", "vscode_pytest"])
def test_a_plugin_that_reports_to_the_outside_takes_part_in_nothing(teller: str) -> None:
    bench = Bench(teller, f"my_{teller}", f"{teller}x" if teller == "qase" else "other")
    silence_tellers(bench.config)
    bench.tell()
    heard = [bool(words) for words in bench.heard.values()]
    assert heard == [False, True, True]
