"""``--procpar-advise`` tells where a run's time went, and what to change first."""

from __future__ import annotations

import re

import pytest

from tests.conftest import Finished, Suite

TIME = r"[\d.]+ m?s"
SLOW_FIXTURE = """
    import pytest, time

    @pytest.fixture(scope="module")
    def slow():
        time.sleep(0.2)

    @pytest.mark.parametrize("number", range(4))
    def test(slow, number):
        time.sleep(0.01)
"""


def advice_in(finished: Finished) -> str:
    _, _, advice = finished.out.partition("procpar: advice")
    return advice


def test_what_a_run_tells_is_printed_after_it(suite: Suite) -> None:
    for name in ("test_one.py", "test_two.py"):
        suite.file(name, SLOW_FIXTURE)
    advice = advice_in(suite.run("-n2", "--procpar-advise"))
    assert re.search(r"8 tests in 2 workers: .*s$", advice, re.MULTILINE)
    assert "before the first test: " in advice
    assert re.search(rf"longest test: {TIME}, test_(one|two)\.py::test\[\d\]", advice)
    assert re.search(rf"dear fixtures: {TIME}, set up (once|2 times).*: test_one\.py", advice)
    assert re.search(r"idle: \d+% \(gw0 \d+%, gw1 \d+%\)", advice)
    assert "no schedule is faster than " in advice
    assert "tests expected to take: -n 1 " in advice


def test_a_run_without_workers_says_how_many_are_worth_having(suite: Suite) -> None:
    suite.file("twelve.py", "from pytest_procpar.advice import plugin; plugin.available_cpus = lambda: 2")
    suite.file("test_one.py", SLOW_FIXTURE)
    suite.file("test_two.py", SLOW_FIXTURE)
    advice = advice_in(suite.run("-p", "twelve", "--procpar-advise"))
    assert "8 tests without workers: " in advice
    assert re.search(rf"gains about {TIME}: -n 2", advice)
    assert "idle" not in advice


def test_imports_of_conftests_count_as_time_before_the_first_test(suite: Suite) -> None:
    suite.conftest("import time; time.sleep(0.3)")
    suite.trivial(2)
    advice = advice_in(suite.run("-n2", "--procpar-advise"))
    found = re.search(r"before the first test: (\d+) ms", advice)
    assert found is None or int(found[1]) >= 300


@pytest.mark.parametrize("args", [["-n2"], []])
def test_without_a_test_it_says_so(suite: Suite, args: list[str]) -> None:
    suite.trivial(2)
    finished = suite.run(*args, "--procpar-advise", "-k", "nothing")
    assert finished.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    assert "no test has run, so there is nothing to advise" in finished.out


def test_every_way_to_end_is_taken_note_of(suite: Suite) -> None:
    suite.tests("""
        import os, pytest

        def test_passes(): pass
        def test_fails(): assert False
        @pytest.mark.skip
        def test_skipped(): pass
        def test_skips(): pytest.skip()
        @pytest.mark.xfail
        def test_xfails(): assert False
        @pytest.fixture
        def broken(): assert False
        def test_error(broken): pass
        def test_crashes(): os.abort()
    """)
    advice = advice_in(suite.run("-n2", "--procpar-advise"))
    assert "6 tests in 2 workers: " in advice
