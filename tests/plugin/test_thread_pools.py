"""Workers, and what runs tests again, have thread pools of their share of the processors."""

from __future__ import annotations

import ctypes

import pytest

from tests.conftest import Suite

#: Makes the machine one with twelve processors, as libgomp sees it, too.
TWELVE = """
    import ctypes
    from pytest_procpar.config import settings

    settings.available_cpus = lambda: 12
    ctypes.CDLL("libgomp.so.1").omp_set_num_threads(12)
"""
SAYS = """
    import ctypes, os, pytest
    from recorder import note

    @pytest.mark.parametrize("number", range(4))
    def test(number):
        threads = ctypes.CDLL("libgomp.so.1").omp_get_max_threads()
        note("threads", count=threads, variable=os.environ.get("OMP_NUM_THREADS"))
"""


@pytest.fixture
def twelve(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> Suite:
    try:
        ctypes.CDLL("libgomp.so.1")
    except OSError:
        pytest.skip("libgomp is not installed")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    suite.conftest(TWELVE)
    suite.tests(SAYS)
    return suite


def threads(suite: Suite, *args: str) -> set[int]:
    finished = suite.run(*args)
    finished.assert_summary(passed=4)
    assert set(finished.facts("threads", "variable")) <= {None, "7"}
    return set(finished.facts("threads", "count"))


@pytest.mark.parametrize("method", ["fork", "fork-early", "spawn"])
def test_each_worker_has_its_share(twelve: Suite, method: str) -> None:
    assert threads(twelve, "-n3", f"--start-method={method}") == {4}


def test_workers_that_are_not_needed_have_none(twelve: Suite) -> None:
    assert threads(twelve, "-n6", "--start-method=fork") == {3}


@pytest.mark.parametrize("args", [["-n0"], ["-n1"], ["-n2", "-o", "procpar_limit_thread_pools=false"]])
def test_one_process_has_all_and_so_has_each_if_the_project_says_so(twelve: Suite, args: list[str]) -> None:
    assert threads(twelve, *args) == {12}


def test_what_the_user_has_set_stays(twelve: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert threads(twelve, "-n2") == {12}


def test_what_runs_again_has_what_it_had(twelve: Suite) -> None:
    twelve.tests(f"{SAYS}        assert number\n")
    finished = twelve.run("-n2", "--recheck=failed", "--recheck-budget=60")
    counts = finished.facts("threads", "count")
    assert len(counts) > 4
    assert set(counts) == {6}
