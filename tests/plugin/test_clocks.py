"""Tests that move the clock, and plugins that put anything in the place of a time: that decides nothing."""

from __future__ import annotations

import json

import pytest

from tests.conftest import Suite
from tests.plugin.rechecking import rechecked, told

#: The clocks are moved for some tests only, and not back and forth within one: as by a fixture that uses
#: freezegun or time-machine.
TRAVEL = """
    import time
    import _pytest.timing
    import pytest

    @pytest.fixture(scope="{scope}")
    def elsewhen():
        with pytest.MonkeyPatch.context() as patch:
            for module in (time, _pytest.timing):
                for name in ("time", "perf_counter", "monotonic"):
                    patch.setattr(module, name, lambda: {clock}, raising=False)
            yield

    def test_there(elsewhen):
        pass

    STATE = []

    def test_setter():
        STATE.append(1)

    def test_brittle():
        assert STATE
"""


@pytest.mark.parametrize(
    ("scope", "clock", "method"),
    [
        ("module", "-4e8", "fork"),
        ("session", "4e9", "fork-early"),
        ("class", "0", "spawn"),
        ("module", "float('nan')", "spawn"),
    ],
)
def test_a_clock_that_tests_move_decides_nothing(suite: Suite, scope: str, clock: str, method: str) -> None:
    suite.tests(TRAVEL.format(scope=scope, clock=clock))
    finished, findings = rechecked(
        suite, "-n1", f"--start-method={method}", "--recheck=all", "--recheck-order=reverse"
    )
    finished.assert_summary(passed=3)
    assert told(findings) == {"test_brittle": ("brittle", ["test_setter"])}
    assert findings[0]["commands"][0]["outcome"] == "failed"
    assert "no time for more" not in finished.out


@pytest.mark.parametrize("value", ["float('nan')", "float('-inf')", "1j", "None", "'soon'", "10**400"])
def test_whatever_a_plugin_says_of_times_each_test_has_its_outcome(suite: Suite, value: str) -> None:
    suite.conftest(f"""
        import pytest

        @pytest.hookimpl(wrapper=True)
        def pytest_runtest_makereport():
            report = yield
            report.start = report.stop = report.duration = {value}
            return report
    """)
    suite.tests("""
        def test_passes():
            pass

        def test_fails():
            assert False
    """)
    finished, findings = rechecked(suite, "-n2")
    assert (finished.summary["passed"], finished.summary["failed"]) == (1, 1)
    assert finished.ret == pytest.ExitCode.TESTS_FAILED
    assert [finding["kind"] for finding in findings] == ["plain"]
    report = json.loads((suite.path / "report.json").read_text())
    phases = [at["phases"].values() for test in report["tests"] for at in test["attempts"]]
    times = [(phase["start"], phase["duration"]) for some in phases for phase in some]
    assert times == [(0.0, 0.0)] * 6
