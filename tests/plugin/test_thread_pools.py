"""Workers, and what runs tests again, have the thread pools of their share of the processors."""

from __future__ import annotations

import pytest

from tests.conftest import Suite

#: Makes the machine one with twelve processors; each test says what its process has.
TWELVE = """
    from pytest_procpar.config import settings

    settings.available_cpus = lambda: 12
"""
SAYS = """
    import os, pytest, subprocess, sys
    from recorder import note

    @pytest.mark.parametrize("number", range(4))
    def test(number):
        child = subprocess.run(
            [sys.executable, "-c", "import os; print(os.environ.get('OMP_NUM_THREADS'))"],
            stdout=subprocess.PIPE, text=True,
        )
        note("threads", here=os.environ.get("OMP_NUM_THREADS"), child=child.stdout.strip())
"""


@pytest.fixture(autouse=True)
def _unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


def threads(suite: Suite, *args: str) -> set[object]:
    finished = suite.run("-p", "twelve", *args)
    finished.assert_summary(passed=4)
    assert finished.facts("threads", "child") == [str(one) for one in finished.facts("threads", "here")]
    return set(finished.facts("threads", "here"))


@pytest.fixture
def twelve(suite: Suite) -> Suite:
    suite.file("twelve.py", TWELVE)
    suite.tests(SAYS)
    return suite


@pytest.mark.parametrize("method", ["fork", "fork-early", "spawn"])
def test_each_worker_has_its_share(twelve: Suite, method: str) -> None:
    assert threads(twelve, "-n3", f"--start-method={method}") == {"4"}


def test_workers_that_are_not_needed_have_none(twelve: Suite) -> None:
    assert threads(twelve, "-n6", "--start-method=fork") == {"3"}


@pytest.mark.parametrize("args", [["-n0"], ["-n1"], ["-n2", "-o", "procpar_limit_thread_pools=false"]])
def test_one_process_has_all_and_so_has_each_if_the_project_says_so(twelve: Suite, args: list[str]) -> None:
    assert threads(twelve, *args) == {None}


def test_what_the_user_has_set_stays(twelve: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert threads(twelve, "-n2") == {"7"}


def test_what_runs_again_has_what_it_had(suite: Suite) -> None:
    suite.file("twelve.py", TWELVE)
    suite.tests("""
        import os
        from recorder import note

        def test_fails():
            note("threads", here=os.environ.get("OMP_NUM_THREADS"), pid=os.getpid())
            assert False

        def test_passes(): pass
    """)
    finished = suite.run("-p", "twelve", "-n2", "--recheck=failed", "--recheck-budget=60")
    assert len(set(finished.facts("threads", "pid"))) > 2
    assert set(finished.facts("threads", "here")) == {"6"}
