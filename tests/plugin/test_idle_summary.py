"""Hypothesis's part of the summary, which imports the library: left out where it has nothing to say."""

from __future__ import annotations

import os

import pytest

from tests.conftest import Suite

pytest.importorskip("hypothesis")

PLUGIN = ("-p", "_hypothesis_pytestplugin")
SUMMARY = """
    import sys
    import pytest
    from recorder import note

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(config):
        role = getattr(config, "workerinput", {"workerid": "main"})["workerid"]
        note("end", role=role, imported="hypothesis" in sys.modules)
"""
USES = """
    from hypothesis import given, settings, strategies

    @settings(database=None, derandomize=True, max_examples=3)
    @given(strategies.integers())
    def test_any(number):
        pass
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_no_process_imports_the_library_at_its_end(suite: Suite, method: str) -> None:
    suite.trivial(4)
    suite.conftest(SUMMARY)
    finished = suite.run("-n2", f"--start-method={method}", *PLUGIN)
    assert "4 passed" in finished.out
    ends = {end["role"]: end["imported"] for end in finished.notes("end")}
    assert ends == {"gw0": False, "gw1": False, "main": False}


def test_statistics_that_were_asked_for_are_written(suite: Suite) -> None:
    suite.tests(USES)
    assert "during generate phase" in suite.run("-n2", *PLUGIN, "--hypothesis-show-statistics").out


@pytest.mark.parametrize("told", [True, False])
def test_a_failing_example_becomes_a_patch(suite: Suite, monkeypatch: pytest.MonkeyPatch, told: bool) -> None:
    """A stand-in for the plugin: the patch needs another library."""
    suite.file("stand_in/_hypothesis_pytestplugin.py", "def pytest_terminal_summary(): print('and a patch')")
    suite.tests("def test_fails(): assert False\ndef test_passes(): pass")
    suite.conftest(f"""
        import pytest

        @pytest.hookimpl(wrapper=True)
        def pytest_runtest_makereport():
            report = yield
            if {told} and report.failed:
                report._hypothesis_failing_examples = "[]"
            return report
    """)
    path = (str(suite.path / "stand_in"), os.environ.get("PYTHONPATH", ""))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, path)))
    assert ("and a patch" in suite.run("-n2", *PLUGIN, "--recheck=none", "-s").out) == told
