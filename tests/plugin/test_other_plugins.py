"""What plugins of others need of us that pytest-xdist does not give them, with stand-ins for the plugins.

The real ones are in benchmarks/compatibility.
"""

from __future__ import annotations

import re

import pytest

from tests.conftest import Suite

pytestmark = pytest.mark.pytest_dependent


def test_pytester_runs_workers_in_its_own_process_again_and_again(suite: Suite) -> None:
    suite.tests(
        """
        pytest_plugins = ["pytester"]


        def test_inner(pytester):
            pytester.makepyfile("def test_a(): pass\\ndef test_b(): pass")
            for _ in range(3):
                pytester.runpytest_inprocess("-n", "2").assert_outcomes(passed=2)
        """
    )
    suite.run().assert_summary(passed=1)


SUGAR = """
    import sys
    import types

    import pytest
    from _pytest.terminal import TerminalReporter

    module = sys.modules["pytest_sugar"] = types.ModuleType("pytest_sugar")


    class Reporter(TerminalReporter):
        tests_count = 0

        def pytest_unconfigure(self):
            print("reporter was told of", self.tests_count)


    Reporter.__module__ = "pytest_sugar"


    @pytest.hookimpl(trylast=True)
    def pytest_configure(config):
        config.pluginmanager.unregister(config.pluginmanager.getplugin("terminalreporter"))
        config.pluginmanager.register(Reporter(config), "terminalreporter")
"""


def test_reporter_of_pytest_sugar_learns_how_many_tests_there_are(suite: Suite) -> None:
    suite.conftest(SUGAR)
    suite.trivial(7)
    suite.run("-n2").stdout.fnmatch_lines(["reporter was told of 7"])


#: As teamcity-messages 1.33: it writes to the stream that was standard output when it was configured.
TEAMCITY = """
    import sys
    import types

    module = types.ModuleType("teamcity.pytest_plugin")


    class Messages:
        def __init__(self):
            self.output = sys.stdout.buffer

        def testCount(self, count):
            self.say(f"tests: {count}")

        def say(self, text):
            self.output.write(f"\\n##{text}\\n".encode())
            self.output.flush()


    class Reporting:
        def __init__(self):
            self.teamcity = Messages()

        def pytest_collection_finish(self, session):
            self.teamcity.testCount(len(session.items))

        def pytest_runtest_logreport(self, report):
            if report.when == "call":
                self.teamcity.say(f"{report.outcome}: {report.nodeid}")


    Reporting.__module__ = "teamcity.pytest_plugin"


    def pytest_configure(config):
        config._teamcityReporting = Reporting()
        config.pluginmanager.register(config._teamcityReporting)
"""


@pytest.mark.parametrize("options", [["--start-method=fork"], ["--start-method=spawn"], ["-s"]], ids=str)
def test_teamcity_is_told_of_everything_once(suite: Suite, options: list[str]) -> None:
    suite.conftest(TEAMCITY)
    suite.trivial(3)
    told = [line for line in suite.run("-n2", *options).stdout.lines if line.startswith("##")]
    assert sorted(told) == [*(f"##passed: test_it.py::test[{i}]" for i in range(3)), "##tests: 3"]


def test_reporter_that_has_changed_costs_a_warning(suite: Suite) -> None:
    suite.conftest(SUGAR.replace("tests_count = 0", "tests_count = property(lambda self: 0)"))
    suite.trivial(3)
    run = suite.run("-n2")
    assert run.summary["passed"] == 3
    run.stdout.fnmatch_lines(["*pytest_sugar could not be told of 3 tests: AttributeError*"])


def test_reporter_of_pytest_rich_learns_the_tests(suite: Suite) -> None:
    suite.conftest(
        """
        import sys
        import types

        module = sys.modules["pytest_rich.terminal"] = types.ModuleType("pytest_rich.terminal")


        class Reporter:
            def __init__(self):
                self.items, self.items_per_file, self.status_per_item = {}, {}, {}
                self.total_items_collected = 0

            def pytest_collection_finish(self, session):
                print("reporter has seen", self.total_items_collected)

            def pytest_runtest_logstart(self, nodeid):
                item = self.items[nodeid]
                assert item in self.items_per_file[item.path] and item.path.is_file()
                assert self.status_per_item[nodeid] == "collected"


        Reporter.__module__ = "pytest_rich.terminal"


        def pytest_configure(config):
            if not hasattr(config, "workerinput"):
                config.pluginmanager.register(Reporter(), "rich-terminal-reporter")
        """
    )
    suite.trivial(4)
    run = suite.run("-n2")
    run.assert_summary(passed=4)
    run.stdout.fnmatch_lines(["reporter has seen 4"])


def test_scenarios_of_pytest_bdd_travel_with_the_reports(suite: Suite) -> None:
    suite.conftest(
        """
        import sys
        import types
        from dataclasses import dataclass
        from weakref import WeakKeyDictionary

        import pytest


        @dataclass
        class ReportContext:
            scenario: dict
            name: str


        module = sys.modules["pytest_bdd.reporting"] = types.ModuleType("pytest_bdd.reporting")
        module.ReportContext = ReportContext
        module.test_report_context_registry = WeakKeyDictionary()


        @pytest.hookimpl(wrapper=True)
        def pytest_runtest_makereport(item):
            report = yield
            context = ReportContext({"steps": [item.name]}, "scenario of " + item.name)
            module.test_report_context_registry[report] = context
            return report


        def pytest_runtest_logreport(report):
            context = module.test_report_context_registry[report]
            print("heard", report.when, context.name, context.scenario)
        """
    )
    suite.trivial(2)
    heard = [re.findall(r"heard .*", run.out) for run in (suite.run(), suite.run("-n2"))]
    assert len(heard[0]) == 6
    assert sorted(heard[1]) == sorted(heard[0])
